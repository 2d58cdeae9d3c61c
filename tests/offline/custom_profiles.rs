//! What a profile can say beyond the built-in ones, since theirs is the format
//! users will write.

use admission::correct::marker::CORRECTED_AS;
use admission::decision::{Allowed, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::profile::{Profile, Profiles};
use admission::request::Request;
use admission::validate::validate;
use cases::answer::patched;
use cases::fixture;
use cases::job_log;
use cases::review::review_of;
use cases::view::View;
use cases::view::container_mut;
use serde_json::{Value, json};

/// The pod as a profile of this YAML leaves it, which is then right.
fn corrected(pod: &Value, yaml: &str) -> View {
    let profile = Profile::from_yaml(&format!("name: custom\nsummary: a test\n{yaml}"));
    let profiles: Profiles = [profile.unwrap_or_else(|error| panic!("{error}"))]
        .into_iter()
        .collect();
    let settings = Settings {
        profiles: &profiles,
        require_runner: false,
        ..Settings::built_in()
    };
    let namespace = Namespace::new("gitlab-ci", [(PROFILE.to_owned(), "custom".to_owned())], []);
    let mut pod = pod.clone();
    for round in 0..2 {
        let text = review_of(&pod).to_string();
        let request = Request::from_review(text.as_bytes()).expect("a review");
        match mutate(request, &namespace, &settings).outcome {
            Outcome::Mutate(patch) if round == 0 => pod = patched(&pod, &patch),
            Outcome::Allow(Allowed::AlreadyRight) => {}
            other => panic!("round {round}: {other:?}"),
        }
    }
    View(pod)
}

fn job() -> Value {
    fixture("default-with-service")
}

#[test]
fn env_is_set_over_what_the_job_has_and_defaulted_where_it_has_nothing() {
    let mut pod = job();
    let env = container_mut(&mut pod, "build")["env"]
        .as_array_mut()
        .expect("env");
    env.push(json!({"name": "BUILDAH_ISOLATION", "value": "oci"}));
    env.push(json!({"name": "STORAGE_DRIVER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}));
    env.push(json!({"name": "TMPDIR", "value": "/job"}));
    let pod = corrected(
        &pod,
        "containers: {build: {set: {env: {BUILDAH_ISOLATION: chroot, STORAGE_DRIVER: overlay}},
           ifUnset: {env: {TMPDIR: /profile, STORAGE_OPTS: ''}}}}",
    );
    assert_eq!(
        pod.env("build", "BUILDAH_ISOLATION").as_deref(),
        Some("chroot")
    );
    assert_eq!(
        pod.env("build", "STORAGE_DRIVER").as_deref(),
        Some("overlay")
    );
    assert_eq!(pod.env("build", "TMPDIR").as_deref(), Some("/job"));
    assert_eq!(
        pod.env("build", "STORAGE_OPTS").as_deref(),
        Some(""),
        "present but empty"
    );
}

#[test]
fn an_apparmor_profile_is_set_in_the_annotation_too_where_the_pod_has_one() {
    let key = "container.apparmor.security.beta.kubernetes.io/build";
    let mut pod = job();
    pod["metadata"]["annotations"][key] = "runtime/default".into();
    for (profile, field, annotation) in [
        (
            "type: Unconfined",
            json!({"type": "Unconfined"}),
            "unconfined",
        ),
        (
            "type: Localhost, localhostProfile: podman",
            json!({"type": "Localhost", "localhostProfile": "podman"}),
            "localhost/podman",
        ),
    ] {
        let yaml = format!(
            "containers: {{build: {{set: {{securityContext: {{appArmorProfile: \
             {{{profile}}}}}}}}}}}"
        );
        let pod = corrected(&pod, &yaml);
        assert_eq!(pod.security("build", "appArmorProfile"), &field);
        assert_eq!(pod.0["metadata"]["annotations"][key], annotation);
    }
}

#[test]
fn a_seccomp_profile_replaces_the_pods_own_as_a_whole() {
    let mut pod = job();
    container_mut(&mut pod, "build")["securityContext"]["seccompProfile"] =
        json!({"type": "Localhost", "localhostProfile": "old.json"});
    let yaml =
        "containers: {build: {set: {securityContext: {seccompProfile: {type: Unconfined}}}}}";
    let pod = corrected(&pod, yaml);
    assert_eq!(
        pod.security("build", "seccompProfile"),
        &json!({"type": "Unconfined"})
    );
}

#[test]
fn pod_fields_are_set_and_defaulted() {
    let yaml = "pod: {set: {annotations: {a: set}, securityContext: {runAsNonRoot: true}},
                 ifUnset: {annotations: {a: default, b: default}, hostUsers: false,
                           securityContext: {runAsUser: 7}}}";
    let mut pod = job();
    pod["metadata"]["annotations"]["b"] = "own".into();
    pod["spec"]["securityContext"] = json!({"runAsUser": 5, "runAsNonRoot": false});
    let View(pod) = corrected(&pod, yaml);
    assert_eq!((&pod["metadata"]["annotations"]["a"]), &json!("set"));
    assert_eq!((&pod["metadata"]["annotations"]["b"]), &json!("own"));
    assert_eq!(pod["spec"]["hostUsers"], json!(false));
    assert_eq!(
        pod["spec"]["securityContext"],
        json!({"runAsUser": 5, "runAsNonRoot": true})
    );
}

#[test]
fn dropping_all_takes_back_what_the_pod_adds_and_keeps_what_the_profile_does() {
    let mut pod = job();
    container_mut(&mut pod, "build")["securityContext"]["capabilities"] =
        json!({"add": ["SYS_ADMIN", "CAP_SETUID"], "drop": ["SETGID"]});
    let yaml = "containers: {build: {capabilities: {add: [SETUID, SETGID], drop: [ALL]}}}";
    let pod = corrected(&pod, yaml);
    assert_eq!(pod.capabilities("build", "add"), ["CAP_SETUID", "SETGID"]);
    assert_eq!(pod.capabilities("build", "drop"), ["ALL"]);
}

#[test]
fn services_can_be_spoken_of_and_a_home_can_be_bounded() {
    let yaml = "home: {path: /home/job, sizeLimit: 10Gi}
containers:
  build: {home: true}
  services: {ifUnset: {securityContext: {runAsUser: 70}}, home: true}";
    let pod = corrected(&job(), yaml);
    assert_eq!(pod.uid("svc-0"), Some(70));
    assert_eq!(pod.env("svc-0", "HOME").as_deref(), Some("/home/job"));
    let volume = pod.mounted_at("build", "/home/job").expect("a volume");
    assert_eq!(volume["emptyDir"], json!({"sizeLimit": "10Gi"}));
}

#[test]
fn the_collector_follows_build_whatever_the_profile_says_of_init_containers() {
    let collector = "init-build-uid-gid-collector";
    let mut pod = fixture("umask-collector");
    for name in ["build", collector] {
        container_mut(&mut pod, name)["securityContext"] = json!({});
    }
    let yaml = "containers:
  build: {set: {securityContext: {privileged: false}}}
  init: {set: {securityContext: {runAsGroup: 5}}, ifUnset: {securityContext: {runAsUser: 1000}}}";
    let pod = corrected(&pod, yaml);
    assert_eq!((pod.uid("build"), pod.uid(collector)), (None, None));
    assert_eq!(pod.security(collector, "runAsGroup"), &Value::Null);
}

#[test]
fn the_uid_collector_follows_build_where_a_profile_speaks_of_users_anywhere() {
    for rules in [
        "pod: {set: {securityContext: {runAsUser: 2000, runAsGroup: 7}}}",
        "pod: {ifUnset: {securityContext: {runAsUser: 2000}}}",
        "containers: {init: {set: {securityContext: {runAsUser: 2000}}}}",
        "containers: {init: {ifUnset: {securityContext: {runAsGroup: 7}}}}",
    ] {
        let pod = corrected(&fixture("umask-collector"), rules);
        for field in ["runAsUser", "runAsGroup", "runAsNonRoot"] {
            assert_eq!(
                pod.effective("init-build-uid-gid-collector", field),
                pod.effective("build", field),
                "{field}, {rules}"
            );
        }
    }
    let untouched = fixture("umask-collector");
    let rules = "containers: {helper: {home: true}}";
    let pod = corrected(&untouched, rules);
    assert_eq!(pod.uid("init-build-uid-gid-collector"), Some(1001));
}

#[test]
fn a_container_that_could_never_start_is_denied_where_the_profile_speaks_of_its_user() {
    let denied = |pod: &Value, rules: &str| {
        let yaml = format!("name: custom\nsummary: a test\n{rules}\n");
        let profile = Profile::from_yaml(&yaml).unwrap_or_else(|error| panic!("{error}"));
        let profiles: Profiles = [profile].into_iter().collect();
        let settings = Settings {
            profiles: &profiles,
            ..Settings::built_in()
        };
        let label = (PROFILE.to_owned(), "custom".to_owned());
        let namespace = Namespace::new("gitlab-ci", [label], []);
        let text = review_of(pod).to_string();
        let request = Request::from_review(text.as_bytes()).expect("a review");
        match mutate(request, &namespace, &settings).outcome {
            Outcome::Deny(denial) => Some(denial.message),
            _ => None,
        }
    };
    let mut pod = job();
    pod["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    let root = "containers: {build: {set: {securityContext: {runAsUser: 0}}}}";
    let message = denied(&pod, root).expect("a denial");
    let why = "container \"build\", securityContext.runAsNonRoot: true together with runAsUser: 0, \
               and the kubelet never starts such a container; ";
    assert!(message.starts_with(why), "{message}");
    let both = "containers: {build: {set: {securityContext: {runAsUser: 0, runAsNonRoot: false}}}}";
    assert_eq!(denied(&pod, both), None);
    // What the profile does not speak of is the runner's own business.
    pod["spec"]["securityContext"]["runAsUser"] = json!(0);
    assert_eq!(denied(&pod, "containers: {helper: {home: true}}"), None);
}

/// What each webhook decides on `pod` where the profile is as `yaml` has it, and
/// the pod as the correction leaves it.
fn decided(pod: &Value, yaml: &str) -> (Value, Outcome) {
    decided_at("baseline", pod, yaml)
}

fn decided_at(level: &str, pod: &Value, yaml: &str) -> (Value, Outcome) {
    let profile = Profile::from_yaml(&format!("name: custom\nsummary: a test\n{yaml}"));
    let profiles: Profiles = [profile.expect("a profile")].into_iter().collect();
    let settings = Settings {
        profiles: &profiles,
        ..Settings::built_in()
    };
    let labels = [(PROFILE, "custom"), (LEVEL, level)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let namespace = Namespace::new("gitlab-ci", labels, []);
    let text = review_of(pod).to_string();
    let request = || Request::from_review(text.as_bytes()).expect("a review");
    let after = match mutate(request(), &namespace, &settings).outcome {
        Outcome::Mutate(patch) => patched(pod, &patch),
        _ => pod.clone(),
    };
    (after, validate(request(), &namespace, &settings).outcome)
}

const OLD: &str = "extends: rootless\n";
const NEW: &str =
    "extends: rootless\ncontainers: {build: {set: {securityContext: {runAsUser: 1234}}}}\n";

#[test]
fn what_another_version_of_the_profile_corrected_is_not_taken_for_a_pod_somebody_changed() {
    for (before, after) in [(OLD, NEW), (NEW, OLD)] {
        let (pod, _) = decided(&job(), before);
        let (_, judged) = decided(&pod, after);
        assert_eq!(judged, Outcome::Allow(Allowed::OtherVersion));
        let (_, judged) = decided(&pod, before);
        assert_eq!(judged, Outcome::Allow(Allowed::Complies));
    }
}

#[test]
fn a_pod_that_somebody_changed_is_denied_for_all_its_mark() {
    let (pod, _) = decided(&job(), OLD);
    let mut changed = pod.clone();
    container_mut(&mut changed, "build")["securityContext"]["runAsUser"] = 7.into();
    let (_, judged) = decided(&changed, OLD);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
    let mut unmarked = pod;
    let annotations = unmarked["metadata"]["annotations"].as_object_mut();
    let mark = annotations.expect("annotations").remove(CORRECTED_AS);
    assert!(mark.is_some());
    let (_, judged) = decided(&unmarked, OLD);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
}

#[test]
fn a_mark_of_the_authors_is_written_over_and_admits_nothing_that_the_level_forbids() {
    let mut pod = job();
    pod["metadata"]["annotations"][CORRECTED_AS] = "custom@00000000".into();
    assert_eq!(decided(&pod, OLD).0, decided(&job(), OLD).0);
    container_mut(&mut pod, "build")["securityContext"]["privileged"] = true.into();
    let (_, judged) = decided(&pod, OLD);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
}

#[test]
fn a_built_in_profile_leaves_no_mark_since_only_another_podseal_could_change_it() {
    let text = review_of(&job()).to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let namespace = Namespace::new("ci", [(PROFILE.to_owned(), "rootless".to_owned())], []);
    let Outcome::Mutate(patch) = mutate(request, &namespace, &Settings::built_in()).outcome else {
        panic!("it is corrected");
    };
    let annotations = &patched(&job(), &patch)["metadata"]["annotations"];
    assert_eq!(annotations.get(CORRECTED_AS), None);
}

#[test]
fn a_pod_of_another_version_is_denied_for_nothing_but_what_the_level_forbids() {
    let plain = "containers: {build: {set: {securityContext: {privileged: false}}}}";
    let wide = "containers: {build: {set: {securityContext: {privileged: true}}}}";
    let caps = "containers: {build: {capabilities: {add: [SYS_ADMIN]}}}";
    for (corrects, judges, passes) in [
        (plain, wide, true),
        (plain, caps, true),
        (wide, plain, false),
        (caps, plain, false),
    ] {
        let (pod, _) = decided(&job(), corrects);
        let (_, judged) = decided(&pod, judges);
        let is_denied = matches!(judged, Outcome::Deny(_));
        assert_eq!(!is_denied, passes, "{corrects}, {judges}: {judged:?}");
    }
}

#[test]
fn where_nobody_corrects_jobs_an_authors_mark_spares_them_the_comparison_and_nothing_else() {
    let mut pod = job();
    pod["metadata"]["annotations"][CORRECTED_AS] = "custom@00000000".into();
    let (_, judged) = decided(&pod, OLD);
    assert_eq!(judged, Outcome::Allow(Allowed::OtherVersion));
    pod["spec"]["hostPID"] = true.into();
    let (_, judged) = decided(&pod, OLD);
    assert!(matches!(judged, Outcome::Deny(_)), "{judged:?}");
}

#[test]
fn a_pod_without_room_for_the_mark_is_denied_with_the_reason() {
    let mut pod = job();
    let annotations = &mut pod["metadata"]["annotations"];
    let size: usize = annotations
        .as_object()
        .expect("a map")
        .iter()
        .map(|(k, v)| k.len() + v.as_str().unwrap_or_default().len())
        .sum();
    annotations["a"] = "x".repeat(256 * 1024 - size - 1).into();
    let text = review_of(&pod).to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let profile =
        Profile::from_yaml(&format!("name: custom\nsummary: a test\n{OLD}")).expect("a profile");
    let profiles: Profiles = [profile].into_iter().collect();
    let settings = Settings {
        profiles: &profiles,
        ..Settings::built_in()
    };
    let namespace = Namespace::new("ci", [(PROFILE.to_owned(), "custom".to_owned())], []);
    let outcome = mutate(request, &namespace, &settings).outcome;
    let Outcome::Deny(denial) = outcome else {
        panic!("{outcome:?}")
    };
    let message = &denial.message;
    assert!(message.contains("metadata.annotations"), "{message}");
}

/// Privileged, but only in a user namespace, as nobody and without a file to write.
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
fn with_a_made_up_mark_a_grant_counts_only_beside_the_limits_that_its_profile_sets() {
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
fn a_service_that_is_granted_privilege_has_it_only_in_the_namespaces_its_profile_sets() {
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
fn at_restricted_a_made_up_mark_keeps_no_capability_that_neither_level_nor_profile_gives() {
    let mut job = job();
    let containers = job["spec"]["containers"].as_array_mut();
    containers.expect("containers").truncate(2);
    let (mut pod, _) = decided_at("restricted", &job, OLD);
    pod["metadata"]["annotations"][CORRECTED_AS] = "custom@00000000".into();
    let (_, judged) = decided_at("restricted", &pod, OLD);
    assert_eq!(judged, Outcome::Allow(Allowed::OtherVersion));
    for said in [
        json!({"add": ["SETUID", "SETGID"]}),
        json!({"add": ["SETUID", "SETGID", "CHOWN"], "drop": ["ALL"]}),
    ] {
        let mut pod = pod.clone();
        container_mut(&mut pod, "build")["securityContext"]["capabilities"] = said.clone();
        let (_, judged) = decided_at("restricted", &pod, OLD);
        assert!(matches!(judged, Outcome::Deny(_)), "{said}: {judged:?}");
    }
}

#[test]
fn a_pod_that_its_profile_cannot_be_applied_to_has_no_grant_by_a_made_up_mark() {
    let mut pod = within_limits_of_another_version();
    // A user namespace beside the host's network is nothing that can be corrected.
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
    // Of an added limit nobody can say whether the pod's author left it out.
    let after = context("readOnlyRootFilesystem: true");
    let (pod, _) = decided(&job(), &before);
    assert!(matches!(decided(&pod, &after).1, Outcome::Deny(_)));
    let (pod, _) = decided(&job(), &after);
    let passes = Outcome::Allow(Allowed::OtherVersion);
    assert_eq!(decided(&pod, &before).1, passes);
}

#[test]
fn a_seccomp_profile_is_set_in_the_older_annotations_too_where_the_pod_has_them() {
    let of_build = "container.seccomp.security.alpha.kubernetes.io/build";
    let of_pod = "seccomp.security.alpha.kubernetes.io/pod";
    let confinements = [
        ("type: Unconfined", "unconfined"),
        ("type: RuntimeDefault", "runtime/default"),
        (
            "type: Localhost, localhostProfile: podman.json",
            "localhost/podman.json",
        ),
    ];
    for (profile, annotation) in confinements {
        for part in ["set", "ifUnset"] {
            let context = format!("{part}: {{securityContext: {{seccompProfile: {{{profile}}}}}}}");
            for (key, rules) in [
                (of_build, format!("containers: {{build: {{{context}}}}}")),
                (of_pod, format!("pod: {{{context}}}")),
            ] {
                for said in ["unconfined", "runtime/default", "localhost/other.json"] {
                    let mut pod = job();
                    pod["metadata"]["annotations"][key] = said.into();
                    let pod = corrected(&pod, &rules);
                    let annotations = &pod.0["metadata"]["annotations"];
                    assert_eq!(annotations[key], annotation, "{rules}");
                }
            }
            // As good as runtime/default, to the API server.
            let rules = format!("containers: {{build: {{{context}}}}}");
            let mut pod = job();
            pod["metadata"]["annotations"][of_build] = "docker/default".into();
            let pod = corrected(&pod, &rules);
            let kept = match annotation {
                "runtime/default" => "docker/default",
                other => other,
            };
            assert_eq!(pod.0["metadata"]["annotations"][of_build], kept);
            assert_eq!(pod.0["metadata"]["annotations"].get(of_pod), None);
        }
    }
}
