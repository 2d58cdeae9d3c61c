//! What an operator in a hurry does to a release. Reproductions that print and
//! assert nothing: no tests to keep; see modes.rs and token.rs for those.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::helm::{CHART, helm};
use crate::release::{Attempt, Release};
use crate::support::controlplane::ADMIN;
use crate::support::text;
use crate::support::tls::Authority;

pub(crate) struct Given {
    folder: tempfile::TempDir,
    args: [String; 3],
}

impl Given {
    pub(crate) fn new(release: &Release) -> Given {
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
                "ca.crt": STANDARD.encode(&authority.pem),
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

    /// Puts another authority beside the one that is given.
    pub(crate) fn also_trust(&self, authority: &[u8]) {
        let file = self.folder.path().join("ca.crt");
        let given = std::fs::read(&file).expect("it is there");
        std::fs::write(&file, [&given, authority].concat()).expect("the folder can be written");
    }

    pub(crate) fn args(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}

fn tell(what: &str, fared: &crate::traffic::Fared) {
    println!(
        "ATTACK {what}: {} corrected, {} untouched, {} refused; first {:?}",
        fared.corrected,
        fared.untouched,
        fared.refused.len(),
        fared.refused.first()
    );
}

impl Release {
    /// helm, whatever comes of it; prints how jobs fared meanwhile.
    fn dares(&self, what: &str, verb: &[&str], args: &[&str]) {
        let mut code = false;
        let start = std::time::Instant::now();
        let fared = self.under_traffic(|| {
            let port = format!("--set={}", self.port);
            let own = ["-n", &self.namespace, "--wait", "--timeout=60s"];
            let values = [port.as_str(), "--set=serve.drainSeconds=2"];
            let values = if verb[0] == "rollback" {
                &[][..]
            } else {
                &values[..]
            };
            let output = helm(&self.plane, &[verb, &own[..], values, args].concat());
            code = output.status.success();
            if !code {
                println!("ATTACK {what}: helm: {:.900}", text(&output.stderr));
            }
        });
        println!("ATTACK {what}: helm ok {code} in {:?}", start.elapsed());
        tell(what, &fared);
        let start = std::time::Instant::now();
        let mut last = self.try_job(&self.jobs);
        while last != Attempt::Corrected && start.elapsed().as_secs() < 25 {
            std::thread::sleep(std::time::Duration::from_millis(300));
            last = self.try_job(&self.jobs);
        }
        println!("ATTACK {what}: {:?} later: {last:?}", start.elapsed());
        println!(
            "ATTACK {what}: bundles {:?}",
            self.ca_bundles()
                .iter()
                .map(String::len)
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn attack_a_failed_change_of_mode_is_left_alone() {
    let release = Release::installed("aftermath", &[]);
    let given = Given::new(&release);
    let before = release.pods();
    let upgrade = ["upgrade", release.name.as_str(), CHART];
    release.dares("aftermath", &upgrade, &given.args());
    let fared = release.under_traffic(|| std::thread::sleep(std::time::Duration::from_secs(20)));
    tell("20s after", &fared);
    println!("ATTACK pods before {before:?}, now {:?}", release.pods());
    let own = ["-n", release.namespace.as_str()];
    for what in ["secrets", "roles"] {
        println!(
            "ATTACK {}",
            release.kubectl(&[&["get", what][..], &own].concat())
        );
    }
    let deployment = format!("deployment/{}", release.name);
    println!(
        "ATTACK args {}",
        release.kubectl(
            &[
                &[
                    "get",
                    &deployment,
                    "-o",
                    "jsonpath={.spec.template.spec.containers[0].args}"
                ][..],
                &own
            ]
            .concat()
        )
    );
    println!(
        "ATTACK role {}",
        release.kubectl(&[
            "get",
            "clusterrole",
            &release.name,
            "-o",
            "jsonpath={.rules}"
        ])
    );
    let rollback = ["rollback", release.name.as_str()];
    release.dares("aftermath, rollback", &rollback, &[]);
}

#[test]
fn attack_modes_change_under_traffic() {
    let release = Release::installed("modes", &[]);
    let given = Given::new(&release);
    let upgrade = ["upgrade", release.name.as_str(), CHART];
    release.dares("self-managed to existing-secret", &upgrade, &given.args());
    release.dares("back", &upgrade, &[]);
    let mut forced = given.args();
    forced.push("--force-conflicts");
    release.dares("self-managed to existing-secret, forced", &upgrade, &forced);
    release.dares("existing-secret to self-managed", &upgrade, &[]);
    release.dares(
        "rollback to existing-secret",
        &["rollback", &release.name, "4"],
        &[],
    );
    release.dares(
        "rollback to self-managed",
        &["rollback", &release.name, "1"],
        &[],
    );
}

#[test]
fn attack_modes_change_client_side() {
    let release = Release::installed("sides", &["--server-side=false"]);
    let given = Given::new(&release);
    let upgrade = ["upgrade", release.name.as_str(), CHART];
    release.dares(
        "client: self-managed to existing-secret",
        &upgrade,
        &given.args(),
    );
    release.dares("client: existing-secret to self-managed", &upgrade, &[]);
}

#[test]
fn attack_force_replace_under_traffic() {
    let release = Release::installed("force", &[]);
    let bundles = release.ca_bundles();
    let upgrade = ["upgrade", release.name.as_str(), CHART];
    for args in [
        &["--force-replace", "--server-side=false"][..],
        &["--take-ownership"],
        &["--force-conflicts"],
        &["--reset-values"],
    ] {
        release.dares(&format!("{args:?}"), &upgrade, args);
        println!("ATTACK same bundles {}", release.ca_bundles() == bundles);
    }
}

#[test]
fn attack_an_overlap_of_nothing() {
    let release = Release::installed("overlap", &["--set=certificates.selfManaged.caOverlap=0s"]);
    let before = release.ca_bundles();
    let secret = format!("{}-tls", release.name);
    let fared = release.under_traffic(|| {
        release.kubectl(&[
            "annotate",
            "secret",
            &secret,
            "podseal.io/rotate-ca=now",
            "-n",
            &release.namespace,
        ]);
        let start = std::time::Instant::now();
        while start.elapsed().as_secs() < 12 {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    });
    tell("caOverlap=0s", &fared);
    println!("ATTACK changed {}", before != release.ca_bundles());
}

/// `kube-ci` may be labelled, and nobody says that it does nothing.
#[test]
fn attack_a_label_that_never_counts() {
    let release = Release::installed("vain", &[]);
    release.create_namespace("kube-ci", &json!({"podseal.io/profile": "rootless"}));
    let output = release.plane.kubectl(
        ADMIN,
        &[
            "label",
            "namespace",
            "kube-ci",
            "podseal.io/level=restricted",
        ],
        "",
    );
    println!("ATTACK {}{}", text(&output.stdout), text(&output.stderr));
    std::thread::sleep(std::time::Duration::from_secs(2));
    let mut pod = crate::release::job("privileged-with-service");
    pod["metadata"]["name"] = "x".into();
    println!(
        "ATTACK {:?}",
        Attempt::of(release.plane.try_pod("kube-ci", &pod))
    );
    for pod in release.pods() {
        let log = release.node().log(pod.trim_start_matches("pod/"));
        println!(
            "ATTACK log {:?}",
            log.iter()
                .filter(|l| l.contains("kube-ci"))
                .collect::<Vec<_>>()
        );
    }
    release.kubectl(&["delete", "namespace", "kube-ci", "--wait=false"]);
}
