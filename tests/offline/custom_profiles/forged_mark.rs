//! A forged mark gets a pod no grant without the limits that its profile sets.

use admission::correct::marker::CORRECTED_AS;
use admission::decision::{Allowed, Outcome};
use cases::job_log;
use cases::view::container_mut;
use serde_json::{Value, json};

use super::{OLD, decided, decided_at, job};

/// Privileged, but only in a user namespace, as an unprivileged user and with a
/// read-only root file system.
const WITHIN_LIMITS: &str = "pod:
  set: {hostUsers: false, annotations: {example.com/limit: low}}
containers:
  build:
    set:
      securityContext:
        {privileged: true, runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true,
         readOnlyRootFilesystem: true, seLinuxOptions: {type: container_t},
         seccompProfile: {type: Localhost, localhostProfile: tight.json},
         appArmorProfile: {type: Localhost, localhostProfile: tight}}
    capabilities: {drop: [NET_RAW]}
    grants: {baseline: [privileged]}
  services: {grants: {baseline: [privileged]}}
";

/// A job's pod as `WITHIN_LIMITS` corrects it, with the mark of another version.
fn within_limits_of_another_version() -> Value {
    let mut pod = decided(&job(), WITHIN_LIMITS).0;
    pod["metadata"]["annotations"][CORRECTED_AS] = "custom@00000000".into();
    pod
}

#[test]
fn with_a_forged_mark_a_grant_applies_only_together_with_the_limits_of_its_profile() {
    let right = within_limits_of_another_version();
    let (_, judged) = decided(&right, WITHIN_LIMITS);
    assert_eq!(judged, Outcome::Allow(Allowed::OtherVersion));
    let build = right["spec"]["containers"].as_array().expect("containers");
    let build = build.iter().position(|one| one["name"] == "build");
    let of_build = format!(
        "/spec/containers/{}/securityContext",
        build.expect("a build")
    );
    let attacks = [
        ("/spec/hostUsers", json!(null), "hostUsers set to false"),
        (
            "/spec/hostUsers",
            json!(true),
            "hostUsers set to false (was true)",
        ),
        (
            "/metadata/annotations/example.com~1limit",
            json!("high"),
            "annotation example.com/limit set to low",
        ),
        ("runAsUser", json!(0), "runAsUser set to 1000 (was 0)"),
        ("runAsUser", json!(null), "runAsUser set to 1000"),
        ("runAsGroup", json!(0), "runAsGroup set to 1000 (was 0)"),
        ("runAsNonRoot", json!(false), "runAsNonRoot set to true"),
        (
            "readOnlyRootFilesystem",
            json!(null),
            "readOnlyRootFilesystem set to true",
        ),
        (
            "seLinuxOptions",
            json!({"type": "container_engine_t"}),
            "seLinuxOptions.type set to",
        ),
        (
            "seccompProfile",
            json!({"type": "RuntimeDefault"}),
            "seccompProfile set to Localhost",
        ),
        (
            "seccompProfile",
            json!(null),
            "seccompProfile set to Localhost",
        ),
        (
            "appArmorProfile",
            json!({"type": "RuntimeDefault"}),
            "appArmorProfile set to Localhost",
        ),
        ("capabilities", json!({}), "capabilities.drop gains NET_RAW"),
    ];
    for (at, value, lacking) in attacks {
        let mut pod = right.clone();
        let path = match at.starts_with('/') {
            true => at.to_owned(),
            false => format!("{of_build}/{at}"),
        };
        *pod.pointer_mut(&path).unwrap_or_else(|| panic!("{path}")) = value.clone();
        let (_, judged) = decided(&pod, WITHIN_LIMITS);
        let Outcome::Deny(denial) = judged else {
            panic!("{at}: {value} passes: {judged:?}");
        };
        let message = &denial.message;
        assert!(
            message.contains("securityContext.privileged: true is forbidden"),
            "{message}"
        );
        assert!(message.contains(lacking), "{at}: {message}");
        assert!(message.contains(CORRECTED_AS), "{message}");
    }
}

#[test]
fn a_service_that_is_granted_privileged_has_it_only_in_the_user_namespace_that_its_profile_sets() {
    let mut pod = within_limits_of_another_version();
    container_mut(&mut pod, "svc-0")["securityContext"]["privileged"] = true.into();
    let (_, judged) = decided(&pod, WITHIN_LIMITS);
    assert_eq!(judged, Outcome::Allow(Allowed::OtherVersion));
    container_mut(&mut pod, "build")["securityContext"]["privileged"] = false.into();
    pod["spec"]["hostUsers"] = Value::Null;
    let (_, judged) = decided(&pod, WITHIN_LIMITS);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
}

#[test]
fn a_denial_for_lacking_limits_fits_a_job_log_however_much_is_lacking_and_forbidden() {
    let value = "é".repeat(1000);
    let annotations = (0..20).map(|n| format!("example.com/{n}: {value}"));
    let annotations = annotations.collect::<Vec<_>>().join(", ");
    let yaml = format!(
        "pod: {{set: {{hostUsers: false, annotations: {{{annotations}}}}}}}\n\
         containers: {{build: {{grants: {{baseline: [privileged]}},
           set: {{securityContext: {{privileged: true}}}}}}}}\n"
    );
    let mut pod = job();
    pod["metadata"]["annotations"][CORRECTED_AS] = "custom@00000000".into();
    let capability = "X\n\u{202e}".repeat(1000);
    let added: Vec<_> = (0..50).map(|n| format!("{capability}{n}")).collect();
    container_mut(&mut pod, "svc-0")["securityContext"]["capabilities"] = json!({"add": added});
    let (_, judged) = decided(&pod, &yaml);
    let Outcome::Deny(denial) = judged else {
        panic!("{judged:?}");
    };
    let message = &denial.message;
    assert_eq!(job_log::unfit(message), None, "{message}");
    assert!(
        message.len() <= job_log::LONGEST,
        "{}: {message}",
        message.len()
    );
    assert!(
        message.contains(" more; ") && message.contains("lacks "),
        "{message}"
    );
}

#[test]
fn at_restricted_a_forged_mark_keeps_no_capability_that_neither_level_nor_profile_allows() {
    let job = cases::fixtures::job_without_services();
    let (mut pod, _) = decided_at("restricted", &job, OLD);
    pod["metadata"]["annotations"][CORRECTED_AS] = "custom@00000000".into();
    let (_, judged) = decided_at("restricted", &pod, OLD);
    assert_eq!(judged, Outcome::Allow(Allowed::OtherVersion));
    for changed in [
        json!({"add": ["SETUID", "SETGID"]}),
        json!({"add": ["SETUID", "SETGID", "CHOWN"], "drop": ["ALL"]}),
    ] {
        let mut pod = pod.clone();
        container_mut(&mut pod, "build")["securityContext"]["capabilities"] = changed.clone();
        let (_, judged) = decided_at("restricted", &pod, OLD);
        assert!(matches!(judged, Outcome::Deny(_)), "{changed}: {judged:?}");
    }
}

#[test]
fn a_pod_that_its_profile_cannot_be_applied_to_gets_no_grant_by_a_forged_mark() {
    let mut pod = within_limits_of_another_version();
    // A user namespace together with the host's network cannot be corrected.
    pod["spec"]["hostNetwork"] = true.into();
    let (_, judged) = decided(&pod, WITHIN_LIMITS);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
}

#[test]
fn a_changed_profile_with_grants_loses_no_job_while_replicas_differ_unless_limits_are_added() {
    let version = |build: &str| {
        format!(
            "extends: privileged\npod: {{set: {{hostUsers: false}}}}\n\
             containers: {{build: {{{build}}}}}\n"
        )
    };
    let context = |fields: &str| version(&format!("set: {{securityContext: {{{fields}}}}}"));
    let before = context("runAsUser: 1000");
    for after in [
        context("runAsUser: 2000"),
        version("set: {env: {STORAGE_DRIVER: vfs}}"),
        version("set: {resources: {limits: {github.com/fuse: 1}}}"),
        format!("{}home: {{path: /work/home}}\n", context("runAsUser: 1000")),
    ] {
        for (corrects, judges) in [(&before, &after), (&after, &before)] {
            let (pod, _) = decided(&job(), corrects);
            let (_, judged) = decided(&pod, judges);
            let passes = Outcome::Allow(Allowed::OtherVersion);
            assert_eq!(judged, passes, "{corrects}, {judges}");
        }
    }
    // It cannot be known whether the pod's author left out an added limit.
    let after = context("readOnlyRootFilesystem: true");
    let (pod, _) = decided(&job(), &before);
    assert!(matches!(decided(&pod, &after).1, Outcome::Deny(_)));
    let (pod, _) = decided(&job(), &after);
    let passes = Outcome::Allow(Allowed::OtherVersion);
    assert_eq!(decided(&pod, &before).1, passes);
}
