//! What each built-in profile makes of the runner's pods, without a cluster.

use admission::decision::Allowed;
use admission::profile::Profiles;
use cases::answer::{Answer, answer_for, corrected};
use cases::fixture;
use cases::view::{container, container_mut, effective, home};
use serde_json::{Value, json};

/// What the pod has for a container: the effective user, what it may do, what it is
/// given.
fn seen(pod: &Value, name: &str) -> String {
    let container = container(pod, name);
    let mut seen = Vec::new();
    let mut put = |word: &str, value: &Value| match value {
        Value::Null => {}
        Value::String(text) => seen.push(format!("{word}{text}")),
        value => seen.push(format!("{word}{value}")),
    };
    for (word, field) in [
        ("uid=", "runAsUser"),
        ("gid=", "runAsGroup"),
        ("nonRoot=", "runAsNonRoot"),
    ] {
        put(word, effective(pod, container, field));
    }
    let context = &container["securityContext"];
    put("privileged=", &context["privileged"]);
    put("escalation=", &context["allowPrivilegeEscalation"]);
    put("procMount=", &context["procMount"]);
    put("selinux=", &context["seLinuxOptions"]["type"]);
    for (sign, list) in [("+", "add"), ("-", "drop")] {
        let names = context["capabilities"][list].as_array();
        names.into_iter().flatten().for_each(|name| put(sign, name));
    }
    put(
        "fuse=",
        &container["resources"]["limits"]["github.com/fuse"],
    );
    put("HOME=", &json!(home(container)));
    seen.join(" ")
}

/// The words of `build`, `helper` and `init-permissions` under each profile,
/// whether or not the runner marks every container as privileged.
const RUNNERS_OWN: [(&str, &str, &str, &str); 6] = [
    (
        "userns",
        "uid=1000 privileged=false escalation=true procMount=Unmasked +SETUID +SETGID -NET_RAW HOME=/my_custom_dir",
        "uid=1000 privileged=false -NET_RAW HOME=/my_custom_dir",
        "uid=1000 privileged=false -NET_RAW",
    ),
    (
        "rootless",
        "uid=1000 privileged=false escalation=true +SETUID +SETGID -NET_RAW HOME=/my_custom_dir",
        "uid=1000 privileged=false -NET_RAW HOME=/my_custom_dir",
        "uid=1000 privileged=false -NET_RAW",
    ),
    (
        "root",
        "uid=0 gid=0 nonRoot=false privileged=false escalation=false \
         +SETUID +SETGID +SETFCAP +SYS_CHROOT -NET_RAW",
        "nonRoot=false privileged=false -NET_RAW",
        "nonRoot=false privileged=false -NET_RAW",
    ),
    (
        "root-fuse",
        "uid=0 gid=0 nonRoot=false privileged=false escalation=false \
         +SETUID +SETGID +SETFCAP +SYS_CHROOT -NET_RAW fuse=1",
        "nonRoot=false privileged=false -NET_RAW",
        "nonRoot=false privileged=false -NET_RAW",
    ),
    (
        "openshift",
        "uid=1000 privileged=false escalation=true selinux=container_engine_t \
         +SETUID +SETGID -NET_RAW HOME=/my_custom_dir",
        "uid=1000 privileged=false -NET_RAW HOME=/my_custom_dir",
        "uid=1000 privileged=false -NET_RAW",
    ),
    (
        "privileged",
        "uid=1000 privileged=true escalation=true -NET_RAW HOME=/my_custom_dir",
        "uid=1000 privileged=false -NET_RAW HOME=/my_custom_dir",
        "uid=1000 privileged=false -NET_RAW",
    ),
];

#[test]
fn each_profile_sets_in_the_runners_own_containers_what_its_row_lists() {
    for name in ["default-with-service", "privileged-with-service"] {
        for (profile, build, helper, init) in RUNNERS_OWN {
            let pod = corrected(&fixture(name), profile);
            assert_eq!(seen(&pod, "build"), build, "{profile}, {name}");
            assert_eq!(seen(&pod, "helper"), helper, "{profile}, {name}");
            assert_eq!(seen(&pod, "init-permissions"), init, "{profile}, {name}");
        }
    }
}

#[test]
fn a_service_keeps_its_user_and_its_privileged_flag() {
    for (name, service) in [
        ("default-with-service", "svc-0"),
        ("privileged-with-service", "docker"),
    ] {
        let mut before = fixture(name);
        for user in [Value::Null, json!(999)] {
            container_mut(&mut before, service)["securityContext"]["runAsUser"] = user;
            for profile in Profiles::built_in().iter() {
                let pod = corrected(&before, &profile.name);
                assert_eq!(
                    container(&pod, service),
                    container(&before, service),
                    "{}",
                    profile.name
                );
            }
        }
    }
    let pod = corrected(&fixture("privileged-with-service"), "rootless");
    assert_eq!(
        container(&pod, "docker")["securityContext"]["privileged"],
        true
    );
}

#[test]
fn only_userns_and_openshift_change_the_pod_itself() {
    let before = fixture("default-with-service");
    for profile in Profiles::built_in().iter() {
        let pod = corrected(&before, &profile.name);
        let (annotations, host_users) =
            (&pod["metadata"]["annotations"], &pod["spec"]["hostUsers"]);
        match profile.name.as_str() {
            "userns" => assert_eq!(*host_users, false),
            "openshift" => {
                assert_eq!(annotations["io.kubernetes.cri-o.Devices"], "/dev/fuse");
                assert_eq!(annotations["openshift.io/required-scc"], "podseal-rootless");
                assert_eq!(annotations["job.runner.gitlab.com/id"], "9876543210");
            }
            name => {
                assert!(host_users.is_null(), "{name}");
                assert_eq!(*annotations, before["metadata"]["annotations"], "{name}");
            }
        }
        assert_eq!(pod["spec"].get("securityContext"), None, "{}", profile.name);
    }
}

#[test]
fn the_profile_none_changes_nothing() {
    for name in [
        "default-with-service",
        "privileged-with-service",
        "umask-collector",
    ] {
        let answer = answer_for(&fixture(name), "none");
        assert_eq!(answer, Answer::Untouched(Allowed::AlreadyRight), "{name}");
    }
}

#[test]
fn the_uid_collector_runs_as_the_same_user_as_build() {
    let before = fixture("umask-collector");
    assert_eq!(
        seen(&before, "init-build-uid-gid-collector"),
        "uid=1001 gid=1001 nonRoot=true -NET_RAW"
    );
    for (profile, user) in [
        ("userns", "uid=1000"),
        ("rootless", "uid=1000"),
        ("root", "uid=0 gid=0 nonRoot=false"),
        ("root-fuse", "uid=0 gid=0 nonRoot=false"),
        ("openshift", "uid=1000"),
        ("privileged", "uid=1000"),
    ] {
        let pod = corrected(&before, profile);
        let collector = seen(&pod, "init-build-uid-gid-collector");
        assert_eq!(
            collector,
            format!("{user} privileged=false -NET_RAW"),
            "{profile}"
        );
        assert!(
            seen(&pod, "build").starts_with(&format!("{user} privileged=")),
            "{profile}"
        );
    }
}

#[test]
fn the_uid_collector_gets_the_user_that_only_build_sets() {
    let mut before = fixture("umask-collector");
    before["spec"]["securityContext"] = json!({"runAsGroup": 7, "runAsNonRoot": true});
    container_mut(&mut before, "build")["securityContext"]["runAsGroup"] = json!(8);
    let pod = corrected(&before, "rootless");
    let collector = container(&pod, "init-build-uid-gid-collector");
    for (field, value) in [
        ("runAsUser", json!(1000)),
        ("runAsGroup", json!(8)),
        ("runAsNonRoot", json!(true)),
    ] {
        assert_eq!(*effective(&pod, collector, field), value, "{field}");
    }
}

#[test]
fn set_overrides_the_pod_and_if_unset_only_adds_what_is_missing() {
    let mut before = fixture("default-with-service");
    let own = json!({"runAsUser": 0, "privileged": true, "allowPrivilegeEscalation": true});
    for name in ["build", "helper", "init-permissions"] {
        container_mut(&mut before, name)["securityContext"] = own.clone();
    }
    let pod = corrected(&before, "rootless");
    let words = ["build", "helper", "init-permissions"].map(|name| seen(&pod, name));
    assert!(
        words[0].starts_with("uid=1000 privileged=false"),
        "{}",
        words[0]
    );
    assert!(
        words[1].starts_with("uid=0 privileged=false"),
        "{}",
        words[1]
    );
    assert!(
        words[2].starts_with("uid=0 privileged=false"),
        "{}",
        words[2]
    );
}

#[test]
fn if_unset_does_not_override_a_value_of_the_pod() {
    let mut before = fixture("default-with-service");
    before["spec"]["securityContext"] = json!({"runAsUser": 2000});
    let pod = corrected(&before, "rootless");
    assert!(seen(&pod, "build").starts_with("uid=1000"));
    assert!(seen(&pod, "helper").starts_with("uid=2000"));
    assert!(seen(&pod, "svc-0").starts_with("uid=2000"));
    assert_eq!(
        before["spec"]["securityContext"],
        pod["spec"]["securityContext"]
    );
}

#[test]
fn a_capability_that_a_profile_adds_is_removed_from_drop_where_all_stays_and_cap_x_equals_x() {
    for (before, after) in [
        (
            json!({"drop": ["ALL"]}),
            json!({"add": ["SETUID", "SETGID"], "drop": ["ALL"]}),
        ),
        (
            json!({"drop": ["NET_RAW", "CAP_SETUID", "setgid", "ALL"]}),
            json!({"add": ["SETUID", "SETGID"], "drop": ["NET_RAW", "ALL"]}),
        ),
        (
            json!({"add": ["CAP_SETUID", "MKNOD"]}),
            json!({"add": ["CAP_SETUID", "MKNOD", "SETGID"]}),
        ),
        (
            json!({"drop": ["SETGID"]}),
            json!({"add": ["SETUID", "SETGID"], "drop": []}),
        ),
    ] {
        let mut pod = fixture("default-with-service");
        container_mut(&mut pod, "build")["securityContext"]["capabilities"] = before;
        let pod = corrected(&pod, "rootless");
        assert_eq!(
            container(&pod, "build")["securityContext"]["capabilities"],
            after
        );
    }
}

#[test]
fn an_selinux_type_is_set_together_with_the_platforms_level() {
    let mut pod = fixture("default-with-service");
    container_mut(&mut pod, "build")["securityContext"]["seLinuxOptions"] =
        json!({"level": "s0:c26,c5"});
    let pod = corrected(&pod, "openshift");
    let options = &container(&pod, "build")["securityContext"]["seLinuxOptions"];
    assert_eq!(
        *options,
        json!({"level": "s0:c26,c5", "type": "container_engine_t"})
    );
}
