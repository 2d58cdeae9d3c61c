//! Levels, modes, grants and the runner's identity, offline: what each profile
//! needs granted, and that nothing else is.

use admission::decision::{Answer, Outcome};
use admission::gitlab::role::Role;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, MODE, Namespace, PROFILE, RUNNER};
use admission::profile::{Profile, Profiles};
use admission::request::Request;
use admission::validate::validate;
use cases::answer::patched;
use cases::fixture;
use cases::review::review_of;
use cases::view::container_mut;
use serde_json::{Value, json};

fn namespace(labels: &[(&str, &str)], runner: Option<&str>) -> Namespace {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let runner = runner.map(|users| (RUNNER.to_owned(), users.to_owned()));
    Namespace::new("gitlab-ci", labels.collect::<Vec<_>>(), runner)
}

/// What became of a pod, after both webhooks.
#[derive(Debug, PartialEq)]
struct Fate {
    allowed: bool,
    pod: Value,
    /// The policy's word, whatever the mode made of it.
    message: Option<String>,
    violations: Vec<String>,
    told: Vec<String>,
    warnings: Vec<String>,
    changes: usize,
}

fn fate_with(review: &Value, namespace: &Namespace, settings: &Settings<'_>) -> Fate {
    let text = review.to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let corrected = mutate(request, namespace, settings);
    let mut review = review.clone();
    if let Answer::Patch(patch) = corrected.answer() {
        review["request"]["object"] = patched(&review["request"]["object"], patch);
    }
    let text = review.to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let judged = validate(request, namespace, settings);
    let denies = |outcome: &Outcome| match outcome {
        Outcome::Deny(denial) => Some(denial.message.clone()),
        _ => None,
    };
    let is_denied = |answer| matches!(answer, Answer::Deny(_));
    let told = |v: &admission::standards::Violation<'_>| {
        format!(
            "{} {} {}",
            v.control.family().name(),
            &*v.container,
            v.value.text()
        )
    };
    Fate {
        allowed: !is_denied(corrected.answer()) && !is_denied(judged.answer()),
        pod: review["request"]["object"].clone(),
        message: denies(&corrected.outcome).or(denies(&judged.outcome)),
        violations: judged.violations.listed.iter().map(told).collect(),
        told: [corrected.told(), judged.told()].concat(),
        warnings: judged.warnings().map(str::to_owned).collect(),
        changes: judged.changes.len(),
    }
}

fn fate(pod: &Value, labels: &[(&str, &str)]) -> Fate {
    fate_with(
        &review_of(pod),
        &namespace(labels, None),
        &Settings::built_in(),
    )
}

/// A job without services, as the runner makes it.
fn plain_job() -> Value {
    let mut pod = fixture("default-with-service");
    pod["spec"]["containers"]
        .as_array_mut()
        .expect("containers")
        .truncate(2);
    pod
}

/// The pod a profile is made for, at the level its grants are for.
fn own_pod(profile: &str) -> Value {
    if profile == "privileged" {
        fixture("privileged-with-service")
    } else {
        plain_job()
    }
}

#[test]
fn at_baseline_every_profiles_own_pod_passes() {
    for profile in Profiles::built_in().iter() {
        let fate = fate(&own_pod(&profile.name), &[(PROFILE, &profile.name)]);
        assert!(fate.allowed, "{}: {:?}", profile.name, fate.message);
    }
}

#[test]
fn at_restricted_rootless_and_userns_pass_and_the_others_say_what_stands_in_the_way() {
    for profile in ["rootless", "userns"] {
        let fate = fate(&plain_job(), &[(PROFILE, profile), (LEVEL, "restricted")]);
        assert!(fate.allowed, "{profile}: {:?}", fate.message);
    }
    for (profile, way) in [
        ("root-fuse", "runAsUser build 0"),
        ("openshift", "allowPrivilegeEscalation build true"),
        ("privileged", "privileged build true"),
        ("none", "allowPrivilegeEscalation helper undefined"),
    ] {
        let fate = fate(&plain_job(), &[(PROFILE, profile), (LEVEL, "restricted")]);
        assert!(!fate.allowed, "{profile}");
        assert!(
            fate.violations.contains(&way.to_owned()),
            "{profile}: {:?}",
            fate.violations
        );
    }
}

#[test]
fn at_restricted_helper_and_init_need_no_grant() {
    for profile in ["rootless", "userns", "openshift", "privileged"] {
        let fate = fate(&plain_job(), &[(PROFILE, profile), (LEVEL, "restricted")]);
        let theirs = |told: &&String| !told.contains(" build ");
        let theirs: Vec<_> = fate.violations.iter().filter(theirs).collect();
        assert!(theirs.is_empty(), "{profile}: {theirs:?}");
    }
}

/// The profile with one grant taken away, for each there is.
fn without_each_grant(profile: &Profile) -> Vec<(String, &'static str, Profile)> {
    let mut all = Vec::new();
    for role in Role::ALL {
        let grants = &profile.containers.role(role).grants;
        for (level, count) in [
            ("baseline", grants.baseline.len()),
            ("restricted", grants.restricted.len()),
        ] {
            for index in 0..count {
                let mut less = profile.clone();
                let rules = match role {
                    Role::Build => &mut less.containers.build,
                    Role::Helper => &mut less.containers.helper,
                    Role::Init => &mut less.containers.init,
                    Role::Services => &mut less.containers.services,
                };
                let grants = match level {
                    "baseline" => &mut rules.grants.baseline,
                    _ => &mut rules.grants.restricted,
                };
                let family = grants.remove(index);
                all.push((format!("{role:?} {}", family.name()), level, less));
            }
        }
    }
    all
}

#[test]
fn without_any_one_of_its_grants_a_profiles_own_pod_is_rejected() {
    let mut tried = 0;
    for profile in Profiles::built_in().iter() {
        for (grant, level, less) in without_each_grant(profile) {
            let profiles: Profiles = [less].into_iter().collect();
            let settings = Settings {
                profiles: &profiles,
                require_runner: false,
                ..Settings::built_in()
            };
            let labels = [(PROFILE, profile.name.as_str()), (LEVEL, level)];
            let mut pod = own_pod(&profile.name);
            if grant.ends_with("seccompProfile") {
                // Ungranted, podseal sets RuntimeDefault, and the level is met:
                // what fails is Podman. The grant is what keeps it unset.
                let fate = fate_with(&review_of(&pod), &namespace(&labels, None), &settings);
                let build = container_mut(&mut pod, "build").clone();
                assert_eq!(build["securityContext"]["seccompProfile"], Value::Null);
                let given =
                    container_mut(&mut { fate.pod }, "build")["securityContext"]["seccompProfile"]
                        .clone();
                assert_eq!(given, json!({"type": "RuntimeDefault"}), "{grant}");
                tried += 1;
                continue;
            }
            let fate = fate_with(&review_of(&pod), &namespace(&labels, None), &settings);
            assert!(!fate.allowed, "{} at {level} without {grant}", profile.name);
            tried += 1;
        }
    }
    assert_eq!(tried, 9, "the grants of the built-in profiles");
}

#[test]
fn a_grant_at_restricted_lowers_its_control_to_baseline_and_no_further() {
    for (field, value) in [
        ("capabilities", json!({"add": ["SYS_ADMIN"]})),
        ("seccompProfile", json!({"type": "Unconfined"})),
    ] {
        let mut pod = plain_job();
        container_mut(&mut pod, "build")["securityContext"][field] = value;
        let fate = fate(&pod, &[(PROFILE, "rootless"), (LEVEL, "restricted")]);
        let dropped = field == "capabilities";
        // What the runner adds is taken back; what it confines by is its word.
        assert_eq!(fate.allowed, dropped, "{field}: {:?}", fate.message);
        let mut pod = fate.pod;
        let context = &container_mut(&mut pod, "build")["securityContext"];
        let adds = context["capabilities"]["add"].to_string();
        assert!(!adds.contains("SYS_ADMIN"), "{adds}");
    }
}

#[test]
fn where_default_seccomp_would_reach_build_at_restricted_the_job_is_denied_with_that_reason() {
    let mut pod = plain_job();
    pod["spec"]["securityContext"] = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    for profile in ["rootless", "userns"] {
        let fate = fate(&pod, &[(PROFILE, profile), (LEVEL, "restricted")]);
        let message = fate.message.expect("a denial");
        assert!(
            message.contains("Podman cannot create a user namespace"),
            "{message}"
        );
    }
    pod["spec"]["containers"][0]["securityContext"]["seccompProfile"] =
        json!({"type": "Localhost", "localhostProfile": "podman.json"});
    let fate = fate(&pod, &[(PROFILE, "rootless"), (LEVEL, "restricted")]);
    assert!(fate.allowed, "{:?}", fate.message);
}

#[test]
fn a_privileged_service_is_rejected_where_no_profile_grants_it() {
    for profile in ["userns", "rootless", "root-fuse", "openshift", "none"] {
        let fate = fate(&fixture("privileged-with-service"), &[(PROFILE, profile)]);
        assert!(!fate.allowed, "{profile}");
        let docker = fate
            .violations
            .iter()
            .any(|told| told == "privileged docker true");
        assert!(docker, "{profile}: {:?}", fate.violations);
    }
    let labels = [(PROFILE, "rootless"), (LEVEL, "privileged")];
    assert!(fate(&fixture("privileged-with-service"), &labels).allowed);
}

#[test]
fn the_privileged_grant_admits_privileged_in_build_and_services_and_nothing_else() {
    for (name, field, value, told) in [
        (
            "build",
            "capabilities",
            json!({"add": ["SYS_ADMIN"]}),
            "capabilities build SYS_ADMIN",
        ),
        (
            "docker",
            "seLinuxOptions",
            json!({"type": "spc_t"}),
            "seLinuxOptions docker spc_t",
        ),
        (
            "docker",
            "seccompProfile",
            json!({"type": "Unconfined"}),
            "seccompProfile docker Unconfined",
        ),
    ] {
        let mut pod = fixture("privileged-with-service");
        container_mut(&mut pod, name)["securityContext"][field] = value;
        let fate = fate(&pod, &[(PROFILE, "privileged")]);
        assert_eq!(fate.violations, [told]);
    }
}

#[test]
fn warn_corrects_and_admits_and_tells_what_it_would_have_denied() {
    let pod = fixture("privileged-with-service");
    let fate = fate(&pod, &[(PROFILE, "rootless"), (MODE, "warn")]);
    assert!(fate.allowed && fate.message.is_some() && fate.pod != pod);
    assert_eq!(
        fate.told,
        [
            "podseal would deny this: container \"docker\", securityContext.privileged: true is \
          forbidden by the control privileged"
        ]
    );
}

#[test]
fn audit_changes_nothing_and_judges_the_pod_as_it_would_have_been_corrected() {
    let pod = fixture("privileged-with-service");
    let fate = fate(&pod, &[(PROFILE, "rootless"), (MODE, "audit")]);
    assert!(fate.allowed && fate.pod == pod && fate.told.is_empty());
    assert_eq!(
        fate.violations,
        ["privileged docker true"],
        "not those the correction mends"
    );
    assert!(fate.changes > 5, "and the correction is recorded too");
}

#[test]
fn no_policy_denial_leaves_podseal_in_warn_or_audit() {
    let mut dangerous = plain_job();
    let env = container_mut(&mut dangerous, "build")["env"]
        .as_array_mut()
        .expect("env");
    env.push(json!({"name": "HOME", "value": "/etc"}));
    for mode in ["warn", "audit"] {
        for (pod, profile) in [(&dangerous, "rootless"), (&plain_job(), "no-such-profile")] {
            let fate = fate(pod, &[(PROFILE, profile), (MODE, mode)]);
            assert!(fate.allowed && fate.message.is_some(), "{profile} {mode}");
            assert_eq!(fate.told.is_empty(), mode == "audit", "{:?}", fate.told);
        }
    }
}

#[test]
fn only_the_named_runner_gets_a_correction_and_a_grant() {
    let pod = fixture("privileged-with-service");
    let named = |users| namespace(&[(PROFILE, "privileged")], Some(users));
    let settings = Settings::built_in();
    let ours = "someone, system:serviceaccount:gitlab:gitlab-runner";
    let runners = fate_with(&review_of(&pod), &named(ours), &settings);
    assert!(
        runners.allowed && runners.warnings.is_empty(),
        "{runners:?}"
    );
    let other = fate_with(
        &review_of(&pod),
        &named("system:serviceaccount:other:runner"),
        &settings,
    );
    assert!(
        !other.allowed && other.pod == pod,
        "no correction, no grant"
    );
    assert_eq!(
        other.violations.len(),
        4,
        "all four containers: {:?}",
        other.violations
    );
}

#[test]
fn a_misspelt_label_is_told_to_the_creator_and_in_the_record_and_in_audit_in_the_record_alone() {
    let pod = fixture("default-with-service");
    let warning = "label podseal.io/levle has no effect; did you mean podseal.io/level?";
    for mode in ["enforce", "warn", "audit"] {
        let labels = [
            (PROFILE, "rootless"),
            (MODE, mode),
            ("podseal.io/levle", "restricted"),
        ];
        let fate = fate(&pod, &labels);
        assert_eq!(fate.warnings, [warning], "{mode}");
        let told = if mode == "audit" { 0 } else { 2 };
        assert_eq!(
            fate.told.iter().filter(|told| *told == warning).count(),
            told,
            "{mode}: by each webhook"
        );
    }
}

#[test]
fn labels_alone_are_warned_of_where_they_give_more_than_baseline_and_denied_on_request() {
    let pod = fixture("privileged-with-service");
    let namespace = namespace(&[(PROFILE, "privileged")], None);
    let trusted = fate_with(&review_of(&pod), &namespace, &Settings::built_in());
    assert!(trusted.allowed);
    assert!(
        trusted.warnings.iter().any(|w| w.contains(RUNNER)),
        "{:?}",
        trusted.warnings
    );
    let strict = Settings {
        require_runner: true,
        ..Settings::built_in()
    };
    let fate = fate_with(&review_of(&pod), &namespace, &strict);
    let message = fate.message.expect("a denial");
    assert!(
        message.contains(RUNNER) && message.contains("gitlab-runner"),
        "{message}"
    );
    let rootless = self::namespace(&[(PROFILE, "rootless")], None);
    assert!(
        fate_with(&review_of(&plain_job()), &rootless, &strict).allowed,
        "nothing to trust"
    );
}

#[test]
fn what_another_webhook_took_back_is_rejected_with_that_reason() {
    let pod = plain_job();
    let namespace = namespace(&[(PROFILE, "userns")], None);
    let corrected = fate_with(&review_of(&pod), &namespace, &Settings::built_in()).pod;
    let mut taken = corrected.clone();
    taken["spec"]
        .as_object_mut()
        .expect("spec")
        .remove("hostUsers");
    let text = review_of(&taken).to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    let settings = Settings::built_in();
    let Outcome::Deny(denial) = validate(request, &namespace, &settings).outcome else {
        panic!("it is rejected");
    };
    assert!(
        denial
            .message
            .starts_with("the pod lacks what its profile sets: pod: hostUsers set to false;"),
        "{}",
        denial.message
    );
}

#[test]
fn a_mirror_pod_gets_no_correction_and_no_grant() {
    let mut pod = fixture("privileged-with-service");
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x".into();
    let fate = fate(&pod, &[(PROFILE, "privileged")]);
    assert!(!fate.allowed && fate.pod == pod);
}

/// What `/validate` says to an update from `old` to `new`.
fn update(old: &Value, new: &Value) -> Outcome {
    let mut review = review_of(new);
    review["request"]["operation"] = "UPDATE".into();
    review["request"]["oldObject"] = old.clone();
    let text = review.to_string();
    let request = Request::from_review(text.as_bytes()).expect("a review");
    validate(
        request,
        &namespace(&[(PROFILE, "none")], None),
        &Settings::built_in(),
    )
    .outcome
}

/// The sentence of the denial of an update.
fn denied(old: &Value, new: &Value) -> String {
    match update(old, new) {
        Outcome::Deny(denial) => denial.message,
        outcome => panic!("the update passes: {outcome:?}"),
    }
}

#[test]
fn a_pod_in_which_anything_violates_takes_no_new_image_and_no_new_container() {
    let old = fixture("privileged-with-service");
    let containers = old["spec"]["containers"].as_array().expect("containers");
    for container in containers {
        let name = container["name"].as_str().expect("a name");
        let mut new = old.clone();
        container_mut(&mut new, name)["image"] = "attacker:latest".into();
        let message = denied(&old, &new);
        let beginning =
            format!("container \"{name}\", image: a new image or container is not allowed");
        assert!(message.starts_with(&beginning), "{message}");
        assert!(message.contains("control privileged") && message.contains("; to fix this, "));
    }
    let mut new = old.clone();
    new["spec"]["ephemeralContainers"] =
        json!([{"name": "debug", "image": "x", "targetContainerName": "build"}]);
    let message = denied(&old, &new);
    assert!(
        message.starts_with("ephemeral container \"debug\", image: "),
        "{message}"
    );
    assert!(
        matches!(update(&new, &new), Outcome::Allow(_)),
        "it is there already"
    );
    assert!(
        matches!(update(&new, &old), Outcome::Allow(_)),
        "something goes"
    );
    assert!(
        matches!(update(&old, &old), Outcome::Allow(_)),
        "nothing changes"
    );
    let mut resized = old.clone();
    container_mut(&mut resized, "build")["resources"] = json!({"requests": {"cpu": "2"}});
    assert!(
        matches!(update(&old, &resized), Outcome::Allow(_)),
        "it is resized"
    );
}

#[test]
fn where_nodes_may_ignore_user_namespaces_a_pod_with_one_is_judged_like_any_other() {
    let restricted = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let with = |key: &str, value: Value| {
        let mut context = restricted.clone();
        context[key] = value;
        context
    };
    // What a user namespace relaxes, at the level that asks for it otherwise.
    let relaxed = [
        ("baseline", json!({"procMount": "Unmasked"})),
        ("restricted", with("runAsUser", json!(0))),
        ("restricted", with("runAsNonRoot", json!(false))),
        ("restricted", restricted.clone()),
    ];
    let ignoring = Settings {
        ignore_user_namespaces: true,
        ..Settings::built_in()
    };
    for (level, context) in relaxed {
        let pod = |own_ids: bool, image: &str| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "app"},
                "spec": {
                    "hostUsers": !own_ids,
                    "containers": [{"name": "app", "image": image, "securityContext": context}],
                },
            })
        };
        let namespace = namespace(&[(PROFILE, "none"), (LEVEL, level)], None);
        let judged = |review: &Value, settings: &Settings<'_>| {
            fate_with(review, &namespace, settings).allowed
        };
        let created = |own_ids| review_of(&pod(own_ids, "x"));
        assert!(judged(&created(true), &Settings::built_in()), "{context}");
        assert!(!judged(&created(true), &ignoring), "{context}");
        assert!(!judged(&created(false), &Settings::built_in()), "{context}");
        // In an update what was there may stay, and another image counts as new.
        let updated = |image| {
            let mut review = review_of(&pod(true, image));
            review["request"]["operation"] = "UPDATE".into();
            review["request"]["oldObject"] = pod(true, "x");
            review
        };
        assert!(judged(&updated("x"), &ignoring), "{context}");
        assert!(judged(&updated("y"), &Settings::built_in()), "{context}");
        assert!(!judged(&updated("y"), &ignoring), "{context}");
    }
}

#[test]
fn a_violation_can_be_taken_out_with_or_without_a_new_image() {
    let mut old = plain_job();
    old["spec"]["hostNetwork"] = true.into();
    let mut new = plain_job();
    assert!(matches!(update(&old, &new), Outcome::Allow(_)));
    container_mut(&mut new, "build")["image"] = "other:latest".into();
    assert!(matches!(update(&old, &new), Outcome::Allow(_)));
}

#[test]
fn a_pod_in_which_nothing_violates_takes_new_images_and_containers() {
    let old = plain_job();
    let mut new = old.clone();
    container_mut(&mut new, "build")["image"] = "other:latest".into();
    new["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "x"}]);
    assert!(matches!(update(&old, &new), Outcome::Allow(_)));
    new["spec"]["ephemeralContainers"][0]["securityContext"] = json!({"privileged": true});
    let message = denied(&old, &new);
    let sentence = "ephemeral container \"debug\", securityContext.privileged: true is forbidden";
    assert!(
        message.starts_with(sentence),
        "told as what it is: {message}"
    );
}

#[test]
fn a_container_that_moves_in_its_list_or_has_a_violation_less_violates_nothing_new() {
    let mut old = fixture("privileged-with-service");
    let adds = json!({"add": ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"]});
    container_mut(&mut old, "build")["securityContext"]["capabilities"] = adds;
    let mut new = old.clone();
    let adds = json!({"add": ["SYS_PTRACE", "SYS_ADMIN"]});
    container_mut(&mut new, "build")["securityContext"]["capabilities"] = adds;
    let list = new["spec"]["containers"]
        .as_array_mut()
        .expect("containers");
    list.reverse();
    assert!(matches!(update(&old, &new), Outcome::Allow(_)));
    let adds = json!({"add": ["SYS_PTRACE", "SYS_TIME"]});
    container_mut(&mut new, "build")["securityContext"]["capabilities"] = adds;
    let message = denied(&old, &new);
    assert!(message.starts_with("container \"build\", securityContext.capabilities.add: SYS_TIME"));
}
