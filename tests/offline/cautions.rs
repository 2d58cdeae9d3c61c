//! What may keep Podman from running in a pod that is accepted: a table of the kinds,
//! each seen in a job's pod, and gone once it is cured.

use std::collections::BTreeSet;

use admission::cautions::Id;
use admission::decision::{Decision, Outcome};
use admission::lint::files;
use admission::lint::files::ProfileFile;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE, STRICT};
use admission::request::Request;
use admission::validate::validate;
use cases::answer::corrected;
use cases::fixture;
use cases::job_log::LONGEST_WARNING;
use cases::review::review_of;
use cases::security_pods;
use serde_json::{Value, json};

/// A value at a JSON Pointer below `spec`.
type Edit = (&'static str, &'static str);

/// The id of a caution, a profile, what a pod has that it is about, and what cures it
/// in addition. `build` is container 0, `helper` container 1.
// One kind a line, so that it reads as the table it is.
#[rustfmt::skip]
const KINDS: [(&str, &str, &[Edit], Option<Edit>); 39] = [
    ("helper-as-root", "job-only", &[("securityContext", r#"{"runAsNonRoot": true}"#)], Some(("securityContext", r#"{"runAsNonRoot": true, "runAsUser": 7}"#))),
    ("volume-in-user-namespace", "userns", &[NFS, MOUNTED], None),
    ("runtime-class", "userns", &[("runtimeClassName", r#""gvisor""#)], Some(("runtimeClassName", r#""""#))),
    ("runtime-class", "root", &[("runtimeClassName", r#""gvisor""#)], None),
    ("group-of-user", "rootless", &[("securityContext", r#"{"runAsGroup": 123}"#)], Some(("securityContext", r#"{"runAsGroup": 1000}"#))),
    ("isolation", "rootless", &[("containers/0/env", r#"[{"name": "BUILDAH_ISOLATION", "value": "oci"}]"#)], Some(("containers/0/env", r#"[{"name": "BUILDAH_ISOLATION", "value": "chroot"}]"#))),
    ("storage-conf", "rootless", &[CONFIG_MAP, ("containers/0/volumeMounts", r#"[{"name": "data", "mountPath": "/home/build/.config/containers/"}]"#)], Some(("containers/0/env", r#"[{"name": "CONTAINERS_STORAGE_CONF", "value": "/home/build/.config/containers/storage.conf"}]"#))),
    ("storage-conf", "root", &[CONFIG_MAP, ("containers/0/volumeMounts", r#"[{"name": "data", "mountPath": "/etc/containers/storage.conf"}]"#)], None),
    ("unused-store", "userns", &[CLAIM, ("containers/0/volumeMounts", r#"[{"name": "data", "mountPath": "/var/lib/containers/storage"}]"#)], Some(("containers/0/volumeMounts", r#"[{"name": "data", "mountPath": "/my_custom_dir/.local/share/containers"}]"#))),
    ("owner-of-files", "rootless at restricted", &[("initContainers", r#"[{"name": "init-build-uid-gid-collector"}]"#)], Some(("securityContext", r#"{"runAsGroup": 5}"#))),
    ("volume-owner", "rootless", &[CLAIM, MOUNTED], Some(("securityContext", r#"{"fsGroup": 1000}"#))),
    ("volume-owner", "privileged", &[("volumes/0", r#"{"name": "repo", "hostPath": {"path": "/data"}}"#)], None),
    ("volume-owner", "rootless", &[NFS, MOUNTED], Some(("containers/0/volumeMounts", r#"[{"name": "data", "mountPath": "/data", "readOnly": true}]"#))),
    ("seccomp-default", "rootless", &[("securityContext", r#"{"seccompProfile": {"type": "RuntimeDefault"}}"#)], Some(("containers/0/securityContext", r#"{"seccompProfile": {"type": "Localhost", "localhostProfile": "podman.json"}}"#))),
    ("seccomp-default", "root", &[("containers/0/securityContext", r#"{"seccompProfile": {"type": "RuntimeDefault"}}"#)], None),
    ("seccomp-default", "userns", &[("securityContext", r#"{"seccompProfile": {"type": "RuntimeDefault"}}"#)], None),
    ("seccomp-default", "root-fuse", &[("securityContext", r#"{"seccompProfile": {"type": "RuntimeDefault"}}"#)], None),
    ("apparmor-default", "rootless", &[("securityContext", r#"{"appArmorProfile": {"type": "RuntimeDefault"}}"#)], Some(("containers/0/securityContext", r#"{"appArmorProfile": {"type": "Unconfined"}}"#))),
    ("no-escalation", "job-only", &[("containers/0/securityContext", r#"{"runAsUser": 7, "allowPrivilegeEscalation": false}"#)], Some(("containers/0/securityContext", r#"{"runAsUser": 7}"#))),
    ("ids-not-mapped", "job-only", &[("containers/0/securityContext", r#"{"runAsUser": 7, "capabilities": {"drop": ["all"]}}"#)], Some(("containers/0/securityContext", r#"{"runAsUser": 7, "capabilities": {"drop": ["ALL"], "add": ["CAP_SETUID", "SETGID"]}}"#))),
    ("read-only-root", "rootless", &[("containers/0/securityContext", r#"{"readOnlyRootFilesystem": true}"#)], Some(("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/tmp"}, {"name": "repo", "mountPath": "/var/tmp/"}, {"name": "repo", "mountPath": "/run"}]"#))),
    ("home-behind-overlay", "job-only", &[("containers/0/volumeMounts", r#"[{"name": "gl-runner-overlay-init", "mountPath": "/x"}]"#), ("containers/0/securityContext", r#"{"privileged": true}"#), ("hostUsers", "false")], Some(("containers/0/env", r#"[{"name": "HOME", "value": "/x/home"}]"#))),
    ("home-parents", "rootless", &[("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/my_custom_dir/.local/share/fonts"}]"#)], Some(("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/my_custom_dir/.local/share/containers/cache"}]"#))),
    ("old-home", "rootless", &[("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/home/podman/.docker"}]"#)], Some(("containers/0/env", r#"[{"name": "REGISTRY_AUTH_FILE", "value": "/home/podman/.docker/config.json"}]"#))),
    ("old-home", "rootless", &[("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/root/.config"}]"#)], Some(("containers/0/env", r#"[{"name": "HOME", "value": "/root"}]"#))),
    ("old-home", "rootless", &[("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/root/.ssh"}]"#)], Some(("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/home/podman/.ssh"}]"#))),
    ("old-home", "root", &[("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/home/podman/.docker"}]"#)], Some(("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/root/.docker"}]"#))),
    ("old-home", "userns", &[("containers/0/volumeMounts", r#"[{"name": "repo", "mountPath": "/home/podman/.local/share/containers"}]"#)], None),
    ("home-in-checkout", "rootless", &[("containers/0/env", r#"[{"name": "CI_PROJECT_DIR", "value": "/builds/a/b"}, {"name": "HOME", "value": "/builds/a/b/home"}]"#)], Some(("containers/0/env", r#"[{"name": "CI_PROJECT_DIR", "value": "/builds/a/b"}, {"name": "HOME", "value": "/builds/a/b"}]"#))),
    ("secret-mode", "rootless", &[SECRET, MOUNTED], Some(("securityContext", r#"{"fsGroup": 1000}"#))),
    ("secret-mode", "rootless", &[("volumes/0", r#"{"name": "repo", "projected": {"defaultMode": 288}}"#)], Some(("volumes/0", r#"{"name": "repo", "projected": {"defaultMode": 292}}"#))),
    ("runtime-directory", "rootless", &[("containers/0/env", r#"[{"name": "XDG_RUNTIME_DIR", "value": "/run/user/1000"}]"#)], Some(("containers/0/env", r#"[{"name": "XDG_RUNTIME_DIR", "value": "/my_custom_dir/run"}]"#))),
    ("runtime-directory", "rootless", &[("containers/0/env", r#"[{"name": "TMPDIR", "value": "/scratch"}]"#)], Some(("containers/0/env", r#"[{"name": "TMPDIR", "value": "/var/tmp"}]"#))),
    ("runtime-directory", "rootless", &[("containers/0/env", r#"[{"name": "TMPDIR", "value": "/builds/../opt"}]"#)], None),
    ("ephemeral-storage", "rootless", &[("containers/0/resources", r#"{"limits": {"ephemeral-storage": "1Gi"}}"#)], Some(("containers/0/resources", r#"{"limits": {"memory": "1Gi"}}"#))),
    ("ephemeral-storage", "root", &[("containers/1/resources", r#"{"limits": {"ephemeral-storage": "1Gi"}}"#)], None),
    ("clone-without-helper", "helper-home", &[("containers/1/name", r#""other""#)], Some(("containers/0/env", r#"[{"name": "HOME", "value": "/builds"}]"#))),
    ("volume-owner", "rootless", &[("volumes/0", r#"{"name": "repo", "persistentVolumeClaim": {"claimName": "builds"}}"#)], Some(("volumes/0", r#"{"name": "repo", "emptyDir": {}}"#))),
    ("helper-as-root", "job-only", &[("initContainers/0/securityContext", r#"{"runAsNonRoot": true}"#)], None),
];

const MOUNTED: Edit = (
    "containers/0/volumeMounts",
    r#"[{"name": "data", "mountPath": "/data"}]"#,
);
const NFS: Edit = (
    "volumes",
    r#"[{"name": "data", "nfs": {"server": "s", "path": "/"}}]"#,
);
const CLAIM: Edit = (
    "volumes",
    r#"[{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]"#,
);
const CONFIG_MAP: Edit = (
    "volumes",
    r#"[{"name": "data", "configMap": {"name": "c"}}]"#,
);
const SECRET: Edit = (
    "volumes",
    r#"[{"name": "data", "secret": {"secretName": "s", "defaultMode": 256}}]"#,
);

/// Profiles that leave to the pod what the built-in ones set.
const OWN: &str = "
name: job-only
summary: sets a variable, so that there are rules
containers: {build: {home: true, ifUnset: {env: {A: b}}}}
---
name: helper-home
summary: HOME for helper alone
containers: {helper: {home: true}}
";

/// What podseal decides on `pod` in a namespace with a profile and these labels.
fn decided<T>(
    pod: &Value,
    profile: &str,
    labels: &[(&str, &str)],
    read: impl FnOnce(&Decision<'_>) -> T,
) -> T {
    let (profile, level) = profile.split_once(" at ").unwrap_or((profile, "baseline"));
    let labels = [&[(PROFILE, profile), (LEVEL, level)], labels].concat();
    let labels = labels.iter();
    let labels = labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let namespace = Namespace::new("gitlab-ci", labels, []);
    let files = OWN.split("---\n").enumerate().map(|(n, text)| ProfileFile {
        name: format!("{n}.yaml"),
        text: text.to_owned(),
    });
    let files: Vec<_> = files.collect();
    let (profiles, _) = files::read(&files).expect("profiles");
    let settings = Settings {
        profiles: &profiles,
        ..Settings::built_in()
    };
    let body = review_of(pod).to_string();
    let request = Request::from_review(body.as_bytes()).expect("a review");
    read(&mutate(request, &namespace, &settings))
}

fn ids(pod: &Value, profile: &str) -> Vec<&'static str> {
    decided(pod, profile, &[], |decision| {
        let denied = matches!(decision.outcome, Outcome::Deny(_));
        assert!(!denied, "{profile}: {:?}", decision.outcome);
        decision
            .cautions
            .iter()
            .map(|found| found.id.name())
            .collect()
    })
}

fn edited(mut pod: Value, edits: &[Edit]) -> Value {
    for (path, value) in edits {
        let value = serde_json::from_str(value).expect("JSON");
        security_pods::set(&mut pod, &(format!("/spec/{path}"), value));
    }
    pod
}

fn job() -> Value {
    fixture("default-with-service")
}

#[test]
fn each_kind_is_found_in_a_jobs_pod_and_gone_once_it_is_cured() {
    for (id, profile, edits, cure) in KINDS {
        let pod = edited(job(), edits);
        let found = ids(&pod, profile);
        assert!(found.contains(&id), "{id} under {profile}: {found:?}");
        if let Some(cure) = cure {
            let found = ids(&edited(pod, &[cure]), profile);
            assert!(!found.contains(&id), "{id} is cured: {found:?}");
        }
    }
}

#[test]
fn every_rule_has_a_row() {
    let in_table: BTreeSet<_> = KINDS.iter().map(|(id, ..)| *id).collect();
    assert_eq!(BTreeSet::from(Id::ALL.map(Id::name)), in_table);
}

#[test]
fn an_ordinary_job_has_none_under_any_profile() {
    for name in ["default-with-service", "umask-collector", "native-steps"] {
        for profile in [
            "userns",
            "rootless",
            "root",
            "root-fuse",
            "openshift",
            "none",
        ] {
            assert_eq!(ids(&fixture(name), profile), [""; 0], "{name}, {profile}");
        }
    }
}

#[test]
fn a_profile_that_changes_nothing_has_none() {
    for (_, _, edits, _) in KINDS {
        assert_eq!(ids(&edited(job(), edits), "none"), [""; 0], "{edits:?}");
    }
}

#[test]
fn a_corrected_pod_has_the_same_cautions() {
    for (id, profile, edits, _) in KINDS {
        if ["job-only", "helper-home"].contains(&profile) || profile.contains(" at ") {
            continue;
        }
        let pod = edited(job(), edits);
        let again = ids(&corrected(&pod, profile), profile);
        assert_eq!(ids(&pod, profile), again, "{id} under {profile}");
    }
}

#[test]
fn its_creator_is_warned_in_a_length_that_the_api_server_does_not_truncate() {
    for (id, profile, edits, _) in KINDS {
        decided(&edited(job(), edits), profile, &[], |decision| {
            let caution = decision.cautions.iter().find(|found| found.id.name() == id);
            let text = &caution.expect(id).to_string();
            assert!(text.len() <= LONGEST_WARNING, "{}: {text}", text.len());
            assert!(decision.warnings_for_creator().contains(text), "{text}");
        });
    }
}

#[test]
fn a_strict_namespace_denies_it_in_both_webhooks_and_any_other_value_is_strict() {
    let seccomp = KINDS.iter().find(|(id, ..)| *id == "seccomp-default");
    let pod = edited(job(), seccomp.expect("a row").2);
    for value in ["true", "yes", ""] {
        decided(&pod, "rootless", &[(STRICT, value)], |decision| {
            let Outcome::Deny(denial) = &decision.outcome else {
                panic!("{:?}", decision.outcome);
            };
            for part in [
                "container \"build\", securityContext.seccompProfile: RuntimeDefault",
                "cannot clone: Operation not permitted",
                "namespace \"gitlab-ci\" denies what may keep a job from running, by the label \
                 podseal.io/strict",
            ] {
                assert!(denial.message.contains(part), "{}", denial.message);
            }
        });
    }
    decided(&pod, "rootless", &[(STRICT, "false")], |decision| {
        assert!(matches!(decision.outcome, Outcome::Mutate(_)));
    });
    // Another webhook may add it to a pod that podseal has corrected.
    let mut after = corrected(&job(), "rootless");
    after["spec"]["securityContext"] = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    let labels = [(PROFILE, "rootless"), (STRICT, "true")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let namespace = Namespace::new("gitlab-ci", labels, []);
    let body = review_of(&after).to_string();
    let request = Request::from_review(body.as_bytes()).expect("a review");
    let decision = validate(request, &namespace, &Settings::built_in());
    assert!(matches!(decision.outcome, Outcome::Deny(_)));
}
