//! What each profile needs granted at each level, and that no grant admits more.

use admission::gitlab::role::Role;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, PROFILE};
use admission::profile::{Profile, Profiles};
use cases::fixture;
use cases::fixtures::job_without_services;
use cases::job_log::unfit;
use cases::review::review_of;
use cases::view::container_mut;
use serde_json::{Value, json};

use super::{fate, fate_with, namespace};

/// The pod a profile is made for, at the level its grants are for.
fn own_pod(profile: &str) -> Value {
    if profile == "privileged" {
        fixture("privileged-with-service")
    } else {
        job_without_services()
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
fn at_restricted_rootless_and_userns_pass_and_the_others_are_denied_with_the_violation() {
    for profile in ["rootless", "userns"] {
        let fate = fate(
            &job_without_services(),
            &[(PROFILE, profile), (LEVEL, "restricted")],
        );
        assert!(fate.allowed, "{profile}: {:?}", fate.message);
    }
    for (profile, way) in [
        ("root", "runAsUser build 0"),
        ("root-fuse", "runAsUser build 0"),
        ("openshift", "allowPrivilegeEscalation build true"),
        ("privileged", "privileged build true"),
        ("none", "allowPrivilegeEscalation helper undefined"),
    ] {
        let fate = fate(
            &job_without_services(),
            &[(PROFILE, profile), (LEVEL, "restricted")],
        );
        assert!(!fate.allowed, "{profile}");
        assert!(
            fate.violations.contains(&way.to_owned()),
            "{profile}: {:?}",
            fate.violations
        );
    }
}

#[test]
fn a_denial_of_a_profile_that_cannot_meet_restricted_begins_with_that_and_the_fix() {
    for (label, by, correct) in [
        ("restricted", "label podseal.io/level", ""),
        (
            "restrictd",
            "label podseal.io/level is invalid",
            "correct the label podseal.io/level, or ",
        ),
    ] {
        for (profile, set) in [
            ("root", "runAsUser: 0"),
            ("root-fuse", "runAsUser: 0"),
            ("privileged", "privileged: true"),
            ("openshift", "allowPrivilegeEscalation: true"),
        ] {
            let labels = [(PROFILE, profile), (LEVEL, label)];
            let fate = fate(&job_without_services(), &labels);
            let message = fate.message.expect("a denial");
            let start = format!(
                "the profile sets securityContext.{set} on build, so no job with it can meet the \
                 level: namespace \"gitlab-ci\" requires every pod to meet restricted ({by}; \
                 podseal.io/profile: \"{profile}\"); to fix this, {correct}ask a cluster \
                 administrator for another profile or level; the violations are: "
            );
            assert!(message.starts_with(&start), "{message}");
            assert_eq!(unfit(&message), None, "{message}");
            let listed = message.matches(" is forbidden by ").count();
            assert!((1..=2).contains(&listed), "{message}");
            let omitted = match fate.violations.len() - listed {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            assert!(
                message.contains(&format!("{omitted} (audit id ")),
                "{message}"
            );
        }
    }
}

/// The denial of a job with a privileged service at `restricted`, under a profile of root
/// with these grants, with a user namespace or without.
fn denial_under_root(grants: &str, host_users: bool, ignores_user_namespaces: bool) -> String {
    let yaml = format!(
        "name: root\nsummary: x\npod: {{set: {{hostUsers: {host_users}}}}}\n\
         containers: {{build: {{set: {{securityContext: {{privileged: false, runAsUser: 0}}}}, \
         grants: {{restricted: [{grants}]}}}}}}\n"
    );
    let profile = Profile::from_yaml(&yaml).expect("a profile");
    let profiles: Profiles = [profile].into_iter().collect();
    let settings = Settings {
        profiles: &profiles,
        ignore_user_namespaces: ignores_user_namespaces,
        ..Settings::built_in()
    };
    let labels = namespace(&[(PROFILE, "root"), (LEVEL, "restricted")], None);
    let job = review_of(&fixture("privileged-with-service"));
    let message = fate_with(&job, &labels, &settings).message;
    message.expect("a denial")
}

#[test]
fn a_profile_of_root_is_blamed_only_where_no_job_can_meet_restricted() {
    let both = "runAsUser, runAsNonRoot";
    for (grants, host_users, ignored, is_blamed) in [
        (both, true, false, false),
        ("runAsUser", true, false, true),
        ("", true, false, true),
        ("", false, false, false),
        ("", false, true, true),
        (both, false, true, false),
    ] {
        let message = denial_under_root(grants, host_users, ignored);
        let begins = "the profile sets securityContext.runAsUser: 0 on build, so no job";
        let remedy = "to fix this, change the job's services or the runner's config.toml, or ask";
        let (is_there, is_not) = match is_blamed {
            true => (begins, remedy),
            false => (remedy, begins),
        };
        let row = format!("{grants:?} {host_users} {ignored}: {message}");
        assert!(
            message.contains(is_there) && !message.contains(is_not),
            "{row}"
        );
    }
}

#[test]
fn at_restricted_helper_and_init_need_no_grant() {
    for profile in ["rootless", "userns", "openshift", "privileged"] {
        let fate = fate(
            &job_without_services(),
            &[(PROFILE, profile), (LEVEL, "restricted")],
        );
        let theirs = |violation: &&String| !violation.contains(" build ");
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
        let mut pod = job_without_services();
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
    let mut pod = job_without_services();
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
    for profile in [
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "openshift",
        "none",
    ] {
        let fate = fate(&fixture("privileged-with-service"), &[(PROFILE, profile)]);
        assert!(!fate.allowed, "{profile}");
        let docker = fate
            .violations
            .iter()
            .any(|violation| violation == "privileged docker true");
        assert!(docker, "{profile}: {:?}", fate.violations);
    }
    let labels = [(PROFILE, "rootless"), (LEVEL, "privileged")];
    assert!(fate(&fixture("privileged-with-service"), &labels).allowed);
}

#[test]
fn the_privileged_grant_admits_privileged_in_build_and_services_and_nothing_else() {
    for (name, field, value, violation) in [
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
        assert_eq!(fate.violations, [violation]);
    }
}
