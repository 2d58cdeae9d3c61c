//! Pods whose author forged the mark of another version of the profile, without a
//! correction: a real API server calls podseal to validate, and not to mutate.

use std::path::Path;

use serde_json::{Value, json};
use support::controlplane::{ADMIN, PODSEAL, await_condition};
use support::podseal::{Podseal, SITE};

use crate::PLANE;

const PROFILE: &str = "name: contained
summary: privileged, within a user namespace
pod: {set: {hostUsers: false}}
containers:
  build:
    set: {securityContext: {privileged: true, runAsUser: 1000}}
    grants: {baseline: [privileged]}
  services: {grants: {baseline: [privileged]}}
";

/// The namespace of these jobs.
const JOBS: &str = "marked-jobs";

/// A podseal that is called only to validate.
fn judged_alone(folder: &Path) -> Podseal {
    std::fs::write(folder.join("contained.yaml"), PROFILE).expect("it can be written");
    let podseal = Podseal::start(|command| {
        command
            .env("KUBECONFIG", PLANE.kubeconfig(PODSEAL))
            .arg("--profiles")
            .arg(folder);
    });
    let is_ready = || podseal.status("/readyz").0 == 200;
    await_condition("podseal is ready", is_ready, String::new);
    let [_, validating] = podseal.configurations_for("marks");
    PLANE.apply(ADMIN, &validating.to_string());
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": JOBS,
            "labels": {"podseal.io/profile": "contained", SITE: "marks"},
            "annotations": {"podseal.io/runner": "system:serviceaccount:gitlab:gitlab-runner"},
        },
    });
    PLANE.apply(ADMIN, &namespace.to_string());
    // Without a mark it lacks what its profile sets.
    let mut plain = job(&json!({}), &json!({}), "");
    plain["metadata"]["annotations"] = Value::Null;
    let is_judged = || PLANE.try_pod(JOBS, &plain).0 == 403;
    await_condition("the API server asks podseal", is_judged, String::new);
    podseal
}

/// A job with these security contexts, of `build` and of a service, and a mark.
fn job(build: &Value, service: &Value, mark: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "job",
            "labels": {"job.runner.gitlab.com/pod": "job"},
            "annotations": {"podseal.io/corrected-as": mark},
        },
        "spec": {"containers": [
            {"name": "build", "image": "podman", "securityContext": build},
            {"name": "helper", "image": "helper"},
            {"name": "svc-0", "image": "docker:dind", "securityContext": service},
        ]},
    })
}

#[test]
fn a_forged_mark_makes_no_pod_privileged_outside_the_limits_of_its_profile() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let _podseal = judged_alone(folder.path());
    let (nothing, privileged) = (json!({}), json!({"privileged": true}));
    let as_user = json!({"privileged": true, "runAsUser": 1000});
    let as_root = json!({"privileged": true, "runAsUser": 0});
    for mark in ["contained@00000000", "privileged@12345678", "x", ""] {
        for (build, service, host_users) in [
            (&as_user, &nothing, None),
            (&as_user, &nothing, Some(true)),
            (&as_root, &nothing, Some(false)),
            (&privileged, &nothing, Some(false)),
            (&nothing, &privileged, None),
            (&as_user, &privileged, None),
        ] {
            let mut pod = job(build, service, mark);
            if let Some(host_users) = host_users {
                pod["spec"]["hostUsers"] = host_users.into();
            }
            let (code, answer) = PLANE.try_pod(JOBS, &pod);
            let message = answer["message"].as_str().unwrap_or_default();
            assert_eq!(code, 403, "{mark} {build} {service} {host_users:?}");
            let forbidden = "securityContext.privileged: true is forbidden";
            assert!(message.contains(forbidden), "{message}");
            assert!(message.contains(", lacks "), "{message}");
        }
        // Within them, a pod of another version passes.
        let mut pod = job(&as_user, &privileged, mark);
        pod["spec"]["hostUsers"] = false.into();
        let (code, answer) = PLANE.try_pod(JOBS, &pod);
        assert_eq!(code, 201, "{mark}: {answer:#}");
    }
}
