//! The chart's SecurityContextConstraints, and job pods under them.
//!
//! OpenShift admits a pod twice: before podseal sees it, filling in what is left
//! open, and again after podseal changed it. `scc.rs` is our reading of that.

mod scc;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Once;

use admission::profile::Profiles;
use scc::{admitted, restricted_v2};
use serde_json::{Value, json};
use support::controlplane::{ADMIN, ControlPlane};
use support::{chart, text};

use crate::PLANE;

const ACCOUNTS: &str = "openshift.jobServiceAccounts=[\
    {\"namespace\": \"ci\", \"name\": \"jobs\"}, {\"namespace\": \"ci\", \"name\": \"nightly\"}, \
    {\"namespace\": \"apps\", \"name\": \"builds\"}]";

fn rendered(values: &[&str]) -> Vec<Value> {
    let mut all = vec!["openshift.enabled=true"];
    all.extend(values);
    chart::rendered("openshift", &all).expect("it renders")
}

/// The chart's own.
fn podseal_rootless() -> Value {
    chart::the("SecurityContextConstraints", &rendered(&[])).clone()
}

/// The annotations that the profile sets.
fn annotations() -> Value {
    let profiles = Profiles::built_in();
    let profile = profiles.iter().find(|profile| profile.name == "openshift");
    let profile = serde_json::to_value(profile.expect("a built-in profile")).expect("JSON");
    profile["pod"]["set"]["annotations"].clone()
}

/// The pod as `podseal review` leaves it.
fn corrected(pod: &Value) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["review", "--profile", "openshift", "-o", "yaml", "-"]);
    let output = support::run(command, &pod.to_string());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_saphyr::from_str(&text(&output.stdout)).expect("a pod as YAML")
}

/// A fixture of a runner that names the constraints itself, as its configuration
/// has to say.
fn job(fixture: &str) -> Value {
    let mut pod = cases::fixture(fixture);
    pod["metadata"]["annotations"]["openshift.io/required-scc"] = json!("podseal-rootless");
    pod
}

fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    let mut all = lists.into_iter().flatten().flatten();
    all.find(|container| container["name"] == name)
        .expect("the container")
}

#[test]
fn it_differs_from_restricted_v2_in_what_podman_needs_and_in_nothing_else() {
    let ours = podseal_rootless();
    let theirs = restricted_v2();
    // An empty list and null are one.
    let said = |value: &Value| {
        if *value == json!([]) {
            Value::Null
        } else {
            value.clone()
        }
    };
    let fields = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect());
    let mut all: BTreeSet<String> = fields(&ours).expect("an object");
    all.extend(fields(&theirs).unwrap_or_else(BTreeSet::new));
    all.remove("metadata");
    let differs = |field: &String| said(&ours[field]) != said(&theirs[field]);
    let different: Value = all
        .iter()
        .filter(|field| differs(field))
        .map(|field| (field.clone(), ours[field].clone()))
        .collect();
    let volumes = json!([
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret"
    ]);
    let expected = json!({
        "allowPrivilegeEscalation": true,
        "defaultAllowPrivilegeEscalation": false,
        "allowedCapabilities": ["SETUID", "SETGID"],
        "requiredDropCapabilities": ["KILL", "MKNOD"],
        "runAsUser": {"type": "MustRunAs", "uid": 1000},
        "seLinuxContext": {"type": "MustRunAs", "seLinuxOptions": {"type": "container_engine_t"}},
        "seccompProfiles": null,
        // Without those of images, which OpenShift knows since 4.20 or so.
        "volumes": volumes,
    });
    assert_eq!(different, expected);
}

#[test]
fn the_profile_names_it_and_needs_no_device_plugin() {
    let annotations = annotations();
    assert_eq!(
        podseal_rootless()["metadata"]["name"],
        annotations["openshift.io/required-scc"]
    );
    assert_eq!(annotations["io.kubernetes.cri-o.Devices"], "/dev/fuse");
    let pod = corrected(&job("default-with-service"));
    let limits = &container(&pod, "build")["resources"]["limits"];
    assert!(limits["github.com/fuse"].is_null());
}

#[test]
fn what_podseal_makes_of_a_job_pod_is_admitted_before_and_after_it() {
    let scc = podseal_rootless();
    for fixture in [
        "default-with-service",
        "honor-entrypoint",
        "legacy-exec",
        "native-steps",
    ] {
        let first =
            admitted(&scc, &job(fixture)).unwrap_or_else(|wrong| panic!("{fixture}: {wrong:?}"));
        let corrected = corrected(&first);
        let second =
            admitted(&scc, &corrected).unwrap_or_else(|wrong| panic!("{fixture}: {wrong:?}"));
        // The last check fills in nothing more.
        assert_eq!(admitted(&scc, &second).as_ref(), Ok(&second), "{fixture}");
        let build = &container(&second, "build")["securityContext"];
        assert_eq!(build["runAsUser"], 1000, "{fixture}");
        assert_eq!(build["allowPrivilegeEscalation"], true, "{fixture}");
        assert_eq!(
            build["capabilities"]["add"],
            json!(["SETUID", "SETGID"]),
            "{fixture}"
        );
        let options = json!({"type": "container_engine_t", "level": scc::LEVEL});
        assert_eq!(build["seLinuxOptions"], options, "{fixture}");
        for list in ["initContainers", "containers"] {
            for other in second["spec"][list].as_array().into_iter().flatten() {
                let escalates = other["securityContext"]["allowPrivilegeEscalation"] == true;
                assert_eq!(
                    escalates,
                    other["name"] == "build",
                    "{fixture}: {}",
                    other["name"]
                );
            }
        }
        let mut sent = second.clone();
        sent["metadata"]["namespace"] = json!("ci");
        let (code, answer) = plane().try_pod("ci", &sent);
        assert_eq!(code, 201, "{fixture}: {answer}");
    }
}

#[test]
fn a_pod_that_restricted_v2_shaped_first_does_not_fit_afterwards() {
    // Why the runner has to name the constraints: every service account may use
    // restricted-v2, and of those that fit the strictest comes first.
    let first = admitted(&restricted_v2(), &cases::fixture("legacy-exec")).expect("it fits");
    let wrong = admitted(&podseal_rootless(), &corrected(&first)).expect_err("it fits no more");
    assert_eq!(
        wrong,
        [
            "pod: seLinuxOptions.type",
            "pod: seccompProfile",
            "build: seccompProfile",
            "helper: seLinuxOptions.type",
            "helper: seccompProfile",
            "helper: runAsUser 1000660000",
        ]
    );
}

#[test]
fn a_runner_that_asks_for_more_is_refused_before_podseal_sees_the_pod() {
    for (fixture, told) in [
        ("privileged-with-service", "build: privileged"),
        ("privileged-nonroot", "helper: privileged"),
        ("root-fuse", "build: runAsUser 0"),
        ("suspendable", "build: capability SYS_ADMIN"),
    ] {
        let wrong = admitted(&podseal_rootless(), &job(fixture)).expect_err(fixture);
        assert!(
            wrong.iter().any(|what| what == told),
            "{fixture}: {wrong:?}"
        );
    }
}

#[test]
fn the_rest_of_the_doors_stays_shut() {
    let scc = podseal_rootless();
    for (field, value, told) in [
        ("hostNetwork", json!(true), "pod: hostNetwork"),
        ("hostPID", json!(true), "pod: hostPID"),
        ("hostIPC", json!(true), "pod: hostIPC"),
        (
            "volumes",
            json!([{"name": "x", "hostPath": {"path": "/"}}]),
            "pod: volume hostPath",
        ),
        (
            "securityContext",
            json!({"runAsUser": 0}),
            "build: runAsUser 0",
        ),
        ("securityContext", json!({"fsGroup": 0}), "pod: fsGroup"),
        (
            "securityContext",
            json!({"seLinuxOptions": {"type": "spc_t", "level": scc::LEVEL}}),
            "pod: seLinuxOptions.type",
        ),
        (
            "securityContext",
            json!({"seLinuxOptions": {"type": "container_engine_t", "level": "s0"}}),
            "pod: seLinuxOptions.level",
        ),
        (
            "securityContext",
            json!({"seccompProfile": {"type": "Unconfined"}}),
            "pod: seccompProfile",
        ),
    ] {
        let mut pod = job("legacy-exec");
        pod["spec"][field] = value;
        let wrong = admitted(&scc, &pod).expect_err(told);
        assert!(wrong.iter().any(|what| what == told), "{told}: {wrong:?}");
    }
}

/// The control plane, with the namespaces of these tests.
fn plane() -> &'static ControlPlane {
    static CREATED: Once = Once::new();
    CREATED.call_once(|| {
        for name in ["ci", "apps"] {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            PLANE.apply(ADMIN, &namespace.to_string());
        }
    });
    &PLANE
}

#[test]
fn the_named_service_accounts_may_use_it_in_their_namespace_and_nobody_else_may() {
    let mut objects = rendered(&[ACCOUNTS]);
    // Its kind is OpenShift's.
    objects.retain(|object| object["kind"] != "SecurityContextConstraints");
    plane().apply(ADMIN, &chart::manifests(&objects));
    let account = |namespace: &str, name: &str| format!("system:serviceaccount:{namespace}:{name}");
    for (user, namespace, scc, answer) in [
        (account("ci", "jobs"), "ci", "podseal-rootless", true),
        (account("ci", "nightly"), "ci", "podseal-rootless", true),
        (account("apps", "builds"), "apps", "podseal-rootless", true),
        (account("ci", "jobs"), "apps", "podseal-rootless", false),
        (account("ci", "default"), "ci", "podseal-rootless", false),
        (account("apps", "jobs"), "apps", "podseal-rootless", false),
        (account("ci", "jobs"), "ci", "privileged", false),
    ] {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": {
                "namespace": namespace, "verb": "use", "name": scc,
                "group": "security.openshift.io", "resource": "securitycontextconstraints",
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let (code, told) = plane().request(ADMIN, reqwest::Method::POST, path, Some(&review));
        assert_eq!(code, 201, "{told}");
        assert_eq!(
            told["status"]["allowed"], answer,
            "{user} in {namespace}, {scc}"
        );
    }
}

#[test]
fn under_another_name_the_role_follows() {
    let objects = rendered(&["openshift.sccName=\"builds\"", ACCOUNTS]);
    let scc = chart::the("SecurityContextConstraints", &objects);
    assert_eq!(scc["metadata"]["name"], "builds");
    let role = chart::the("ClusterRole", &objects);
    assert_eq!(role["rules"][0]["resourceNames"], json!(["builds"]));
    let bindings = objects
        .iter()
        .filter(|object| object["kind"] == "RoleBinding");
    assert!(
        bindings
            .clone()
            .all(|binding| binding["roleRef"]["name"] == role["metadata"]["name"])
    );
    assert_eq!(bindings.count(), 2);
}
