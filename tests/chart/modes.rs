//! `certificates.mode` changes while jobs come, by the steps of
//! docs/certificates.md.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::controlplane::ADMIN;
use support::helm::{CHART, helm};
use support::text;
use support::tls::Authority;

use crate::release::{CONFIGURATIONS, Release};

/// A certificate that somebody made, in a Secret.
struct Given {
    folder: tempfile::TempDir,
    /// The values that name it.
    args: [String; 3],
}

impl Given {
    fn new(release: &Release) -> Given {
        let host = format!("{}.{}.svc", release.name, release.namespace);
        let authority = Authority::new("given");
        let issued = authority.issue_as(&[host.as_str(), "localhost"], 1975, 4096);
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "serving", "namespace": release.namespace},
            "data": {
                "tls.crt": STANDARD.encode(&issued.certificate),
                "tls.key": STANDARD.encode(&issued.key),
            },
        });
        release.plane.apply(ADMIN, &secret.to_string());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, &authority.pem).expect("the folder can be written");
        let args = [
            "--set=certificates.mode=existing-secret".to_owned(),
            "--set=certificates.existingSecret.name=serving".to_owned(),
            format!(
                "--set-file=certificates.existingSecret.caBundle={}",
                file.display()
            ),
        ];
        Given { folder, args }
    }

    /// Puts another authority before the one that is given; returns both.
    fn also_trust(&self, authority: &[u8]) -> String {
        let file = self.folder.path().join("ca.crt");
        let given = std::fs::read(&file).expect("it is there");
        let both = [authority, &given].concat();
        std::fs::write(&file, &both).expect("the folder can be written");
        STANDARD.encode(both)
    }

    fn args(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}

impl Release {
    /// What `ca.crt` of the self-managed Secret holds.
    fn own_authority(&self) -> Vec<u8> {
        let secret = format!("{}-tls", self.name);
        let path = format!("/api/v1/namespaces/{}/secrets/{secret}", self.namespace);
        let secret = self.get(&path).expect("the Secret is there");
        let authority = secret["data"]["ca.crt"].as_str().expect("an authority");
        STANDARD.decode(authority).expect("base64")
    }

    /// Makes another manager hold the `caBundle`, this one or the present one.
    fn hold_ca_bundles(&self, bundle: Option<&str>) {
        self.as_mode_change(|webhook| {
            let present = webhook["clientConfig"]["caBundle"].clone();
            let bundle = bundle.map_or(present, Value::from);
            Some(json!({
                "name": webhook["name"],
                "admissionReviewVersions": webhook["admissionReviewVersions"],
                "sideEffects": webhook["sideEffects"],
                "clientConfig": {"caBundle": bundle},
            }))
        });
    }

    /// Makes that manager let go of it.
    fn let_ca_bundles_go(&self) {
        self.as_mode_change(|_| None);
    }

    fn as_mode_change(&self, says: impl Fn(&Value) -> Option<Value>) {
        for kind in CONFIGURATIONS {
            let present = self.configuration(kind).expect("it is there");
            let webhooks = present["webhooks"].as_array().expect("webhooks");
            let webhooks: Vec<_> = webhooks.iter().filter_map(&says).collect();
            let mut said = json!({
                "apiVersion": present["apiVersion"],
                "kind": present["kind"],
                "metadata": {"name": self.name},
            });
            if !webhooks.is_empty() {
                said["webhooks"] = webhooks.into();
            }
            let args = [
                "apply",
                "--server-side",
                "--force-conflicts",
                "--field-manager=mode-change",
                "-f",
                "-",
            ];
            let output = self.plane.kubectl(ADMIN, &args, &said.to_string());
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
    }
}

#[test]
fn no_job_notices_a_change_of_mode_that_is_done_by_the_book() {
    let release = Release::installed("modes", &[]);
    let given = Given::new(&release);
    let alone = std::fs::read(given.folder.path().join("ca.crt")).expect("it is there");
    let both = given.also_trust(&release.own_authority());
    let fared = release.under_traffic(|| {
        release.hold_ca_bundles(Some(&both));
        release.upgrade(&given.args());
    });
    fared.is_flawless("self-managed to existing-secret");
    std::fs::write(given.folder.path().join("ca.crt"), &alone).expect("it can be written");
    let fared = release.under_traffic(|| {
        release.let_ca_bundles_go();
        release.upgrade(&given.args());
    });
    fared.is_flawless("the old authority goes");
    let bundle = STANDARD.encode(&alone);
    assert_eq!(release.ca_bundles(), [bundle.as_str(), &bundle]);
    release.hold_ca_bundles(None);
    let fared = release.under_traffic(|| release.upgrade(&[]));
    fared.is_flawless("existing-secret to self-managed");
    release.node().check();
}

#[test]
fn a_change_of_mode_that_nobody_trusts_yet_changes_nothing() {
    let release = Release::installed("refused", &[]);
    let given = Given::new(&release);
    let (pods, bundles) = (release.pods(), release.ca_bundles());
    // By force as well: the Deployment would be first all the same.
    for force in [&[][..], &["--force-conflicts"]] {
        let own = ["-n", release.namespace.as_str(), "--set", &release.port];
        let upgrade = ["upgrade", release.name.as_str(), CHART];
        let args = [&upgrade[..], &own, &given.args(), force].concat();
        let output = helm(&release.plane, &args);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{force:?}");
        let expected = format!(
            "certificates.existingSecret.caBundle: differs from the caBundle of the \
             MutatingWebhookConfiguration {}, so the new certificate would not be trusted; set it there first",
            release.name
        );
        assert!(said.contains(&expected), "{force:?}: {said}");
    }
    release.await_rollout();
    let fared = release.under_traffic(|| ());
    fared.is_flawless("after a refused change of mode");
    assert_eq!((release.pods(), release.ca_bundles()), (pods, bundles));
    release.node().check();
}
