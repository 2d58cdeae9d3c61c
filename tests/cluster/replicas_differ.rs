//! Two replicas of which one has taken a changed profile up and the other has not:
//! one corrects the jobs of a real API server, the other validates them.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::chart::manifests;
use support::controlplane::{ADMIN, PODSEAL, await_condition};
use support::podseal::{Certificate, Podseal, SITE};

use crate::PLANE;

fn write(folder: &Path, user: u32) {
    let profile = format!(
        "name: ours\nsummary: ours\nextends: rootless\n\
         containers: {{build: {{set: {{securityContext: {{runAsUser: {user}}}}}}}}}\n"
    );
    std::fs::write(folder.join("ours.yaml"), profile).expect("the file can be written");
}

#[test]
fn a_job_passes_whichever_replica_has_the_newer_profile_and_is_denied_when_none_corrects_it() {
    let plane = &*PLANE;
    let namespace = "jobs-of-replicas";
    let certificate = Certificate::new();
    let folders = [1001, 1002].map(|user| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), user);
        folder
    });
    let replicas = [0, 1].map(|index: usize| {
        Podseal::replica(&certificate, |command: &mut Command| {
            command
                .env("KUBECONFIG", plane.kubeconfig(PODSEAL))
                .arg("--profiles")
                .arg(folders[index].path());
        })
    });
    for replica in &replicas {
        let is_ready = || replica.status("/readyz").0 == 200;
        await_condition("podseal is ready", is_ready, String::new);
    }
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {"podseal.io/profile": "ours", SITE: "replicas"}},
    });
    plane.apply(ADMIN, &manifest.to_string());
    let pod = cases::job("job");
    let created = || plane.try_pod(namespace, &pod);
    let user = |answer: &Value| {
        let containers = answer["spec"]["containers"].as_array();
        let build = containers.and_then(|all| all.iter().find(|one| one["name"] == "build"));
        build.and_then(|build| build["securityContext"]["runAsUser"].as_i64())
    };
    for (corrects, judges, expected) in [(0, 1, 1001), (1, 0, 1002)] {
        let [mutating, _] = replicas[corrects].configurations_for("replicas");
        let [_, validating] = replicas[judges].configurations_for("replicas");
        plane.apply(ADMIN, &manifests(&[mutating, validating]));
        let reason = "the pod meets the namespace's level, and another version of its profile \
                      corrected it";
        let passes = || {
            let (code, answer) = created();
            let is_judged = replicas[judges].has_logged(|event| event["message"] == reason);
            code == 201 && user(&answer) == Some(expected) && is_judged
        };
        await_condition("the one corrects, the other admits", passes, || {
            format!("{:#}", created().1)
        });
    }
    let mutating = ["delete", "mutatingwebhookconfiguration", "podseal-replicas"];
    plane.kubectl(ADMIN, &mutating, "");
    let is_denied = || created().0 == 403;
    await_condition("no webhook corrects it", is_denied, String::new);
    let (_, answer) = created();
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains("lacks what its profile sets"), "{message}");
}
