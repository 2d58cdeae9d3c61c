//! `certificates.mode` changes while jobs come.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::attack::Given;
use crate::helm::{CHART, helm};
use crate::release::{CONFIGURATIONS, Release};
use crate::support::controlplane::ADMIN;
use crate::support::text;

impl Release {
    /// What `ca.crt` of the self-managed Secret holds.
    fn own_authority(&self) -> Vec<u8> {
        let secret = format!("{}-tls", self.name);
        let path = format!("/api/v1/namespaces/{}/secrets/{secret}", self.namespace);
        let secret = self.get(&path).expect("the Secret is there");
        let authority = secret["data"]["ca.crt"].as_str().expect("an authority");
        STANDARD.decode(authority).expect("base64")
    }

    /// Makes another manager hold the `caBundle`, so that it stays when helm lets
    /// go of it.
    fn hold_ca_bundles(&self) {
        for kind in CONFIGURATIONS {
            let configuration = self.configuration(kind).expect("it is there");
            let webhook = &configuration["webhooks"][0];
            let held = json!({
                "apiVersion": configuration["apiVersion"],
                "kind": configuration["kind"],
                "metadata": {"name": self.name},
                "webhooks": [{
                    "name": webhook["name"],
                    "admissionReviewVersions": webhook["admissionReviewVersions"],
                    "sideEffects": webhook["sideEffects"],
                    "clientConfig": {
                        "caBundle": webhook["clientConfig"]["caBundle"],
                        "service": webhook["clientConfig"]["service"],
                    },
                }],
            });
            let args = [
                "apply",
                "--server-side",
                "--field-manager=mode-change",
                "-f",
                "-",
            ];
            let output = self.plane.kubectl(ADMIN, &args, &held.to_string());
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
    }
}

#[test]
fn no_job_notices_a_change_of_mode_that_is_done_by_the_book() {
    let release = Release::installed("modes", &[]);
    let given = Given::new(&release);
    given.also_trust(&release.own_authority());
    let args = [&given.args()[..], &["--force-conflicts"]].concat();
    let fared = release.under_traffic(|| release.upgrade(&args));
    fared.is_flawless("self-managed to existing-secret");
    release.hold_ca_bundles();
    let fared = release.under_traffic(|| release.upgrade(&[]));
    fared.is_flawless("existing-secret to self-managed");
    release.node().check();
}

/// FAILS at 755e4e7: helm applies the Deployment, then stops at the conflict over
/// `caBundle`; the replicas roll over to a certificate that nobody trusts.
#[test]
fn a_change_of_mode_that_helm_refuses_leaves_podseal_as_it_was() {
    let release = Release::installed("refused", &[]);
    let given = Given::new(&release);
    let before = release.pods();
    let port = format!("--set={}", release.port);
    let own = [
        "-n",
        release.namespace.as_str(),
        "--set=serve.drainSeconds=2",
        &port,
    ];
    let upgrade = ["upgrade", release.name.as_str(), CHART];
    let output = helm(
        &release.plane,
        &[&upgrade[..], &own, &given.args()].concat(),
    );
    if output.status.success() {
        // It may as well work.
        release.await_rollout();
        return release.await_corrections();
    }
    println!("{}", text(&output.stderr));
    release.await_rollout();
    release
        .under_traffic(|| ())
        .is_flawless("after a refused change of mode");
    assert_eq!(release.pods(), before);
}
