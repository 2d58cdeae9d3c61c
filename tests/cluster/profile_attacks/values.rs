//! Values that the API server rejects, or stores differently from what was sent.

use admission::decision::Outcome;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::request::Request;
use admission::validate::validate;
use serde_json::{Value, json};

use crate::PLANE;
use crate::profile_attacks::{mine, namespace, plain_job, review};

/// Each is rejected by the check, or makes a pod that the API server accepts and
/// that is right as it is stored.
const RULES: [&str; 19] = [
    // The API server writes a quantity in its own way: `1k`, `0`.
    "containers: {build: {set: {resources: {limits: {a.test/device: 1000}}}}}",
    "containers: {build: {set: {resources: {limits: {a.test/device: '00'}}}}}",
    "containers: {build: {set: {resources: {limits: {a.test/device: '007'}}}}}",
    "containers: {build: {set: {resources: {limits: {a.test/device: '100000000000000000'}}}}}",
    // With `requests.` in front a quota's name, which is too long then.
    "containers: {build: {set: {resources: {limits: {aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbb/c: 1}}}}}",
    "containers: {build: {set: {resources: {limits: {mykubernetes.io/c: 1}}}}}",
    // An empty text is none.
    "containers: {build: {set: {securityContext: {seLinuxOptions: {type: ''}}}}}",
    "containers: {build: {set: {securityContext: {appArmorProfile: {type: Localhost, localhostProfile: ' podman'}}}}}",
    "containers: {build: {set: {securityContext: {appArmorProfile: {type: Localhost, localhostProfile: /usr/bin/podman}}}}}",
    "containers: {build: {set: {securityContext: {seccompProfile: {type: Localhost, localhostProfile: ' podman '}}}}}",
    // Annotations that the API server reads.
    "pod: {set: {annotations: {kubernetes.io/config.mirror: x}}}",
    "pod: {set: {annotations: {scheduler.alpha.kubernetes.io/tolerations: x}}}",
    "pod: {set: {annotations: {controller.kubernetes.io/pod-deletion-cost: x}}}",
    "pod: {set: {annotations: {seccomp.security.alpha.kubernetes.io/pod: x}}}",
    "pod: {set: {annotations: {container.seccomp.security.alpha.kubernetes.io/build: x}}}",
    // Its own values deny every job, whatever the job is.
    "containers: {build: {set: {env: {HOME: /}}}, helper: {home: true}}",
    "pod: {set: {hostUsers: true}, ifUnset: {hostUsers: false}}\ncontainers: {build: {set: {securityContext: {procMount: Unmasked}}}}",
    "pod: {set: {hostUsers: false, securityContext: {runAsUser: 70000}}}\ncontainers: {build: {ifUnset: {securityContext: {runAsUser: 1}}}, helper: {ifUnset: {securityContext: {runAsUser: 1}}}, init: {ifUnset: {securityContext: {runAsUser: 1}}}, services: {ifUnset: {securityContext: {runAsUser: 1}}}}",
    "pod: {set: {annotations: {a: 'ANNOTATION'}}, ifUnset: {annotations: {b: 'ANNOTATION'}}}",
];

#[test]
fn values_that_the_check_accepts_are_stored_by_the_api_server_unchanged() {
    let namespace_at = namespace(&json!({}));
    let labels = [(PROFILE, "mine"), (LEVEL, "privileged")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let policy = Namespace::new("ci", labels, []);
    let mut wrong = Vec::new();
    for rules in RULES {
        let rules = rules.replace("ANNOTATION", &"x".repeat(31_000));
        let Ok((profiles, _)) = mine(&rules) else {
            continue;
        };
        let settings = Settings {
            profiles: &profiles,
            ..Settings::built_in()
        };
        let mut pod = plain_job();
        let text = review(&pod, "runner");
        let request = Request::from_review(text.as_bytes()).expect("a review");
        match mutate(request, &policy, &settings).outcome {
            Outcome::Mutate(patch) => json_patch::patch(&mut pod, &patch).expect("it fits"),
            Outcome::Allow(_) => {}
            Outcome::Deny(denial) => {
                wrong.push(format!("{rules:.80}: denied: {:.200}", denial.message));
                continue;
            }
        }
        let (code, stored) = PLANE.try_pod(&namespace_at, &pod);
        if code != 201 {
            wrong.push(format!("{rules:.80}: {code} {:.200}", stored["message"]));
            continue;
        }
        let text = review(&without_status(stored), "runner");
        let request = Request::from_review(text.as_bytes()).expect("a review");
        let judged = validate(request, &policy, &settings);
        if !judged.changes.is_empty() {
            wrong.push(format!("{rules:.80}: undone: {}", judged.changes[0]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn without_status(mut pod: Value) -> Value {
    pod.as_object_mut().expect("an object").remove("status");
    pod
}

#[test]
fn the_api_server_accepts_sys_admin_without_its_prefix_together_with_no_escalation() {
    let mut pod = plain_job();
    let context =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"add": ["SYS_ADMIN"]}});
    pod["spec"]["containers"][0]["securityContext"] = context;
    assert_eq!(PLANE.try_pod(&namespace(&json!({})), &pod).0, 201);
}
