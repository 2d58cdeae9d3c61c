//! Malicious files.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use admission::decision::Outcome;
use admission::lint::files::read;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{Namespace, PROFILE};
use admission::profile::Profile;
use admission::request::Request;
use cases::job_log;

use crate::profile_attacks::{file, mine, plain_job, review};

/// Runs `podseal profiles --check` on `folder`, and returns its exit code.
fn check(folder: &std::path::Path) -> Option<i32> {
    // While podseal serves, profiles are read on a thread with so much of a stack.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -s 2048; exec \"$0\" profiles --check \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_podseal")).arg(folder);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            return status.code();
        }
        if Instant::now() > end {
            child.kill().expect("it can be ended");
            child.wait().expect("it ends");
            panic!("it never ends");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `many` profiles, each of which extends the next.
fn write_chain(folder: &std::path::Path, many: usize) {
    for at in 0..many {
        let base = match at + 1 {
            next if next == many => "rootless".to_owned(),
            next => format!("p{next:04}"),
        };
        let text = format!("name: p{at:04}\nsummary: x\nextends: {base}\n");
        std::fs::write(folder.join(format!("{at:04}.yaml")), text).expect("it can be written");
    }
}

#[test]
fn a_long_chain_of_profiles_does_not_crash_podseal() {
    for (many, code) in [(99, 0), (900, 1)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_chain(folder.path(), many);
        assert_eq!(check(folder.path()), Some(code), "{many} profiles");
    }
}

#[test]
fn a_named_pipe_among_the_profiles_is_reported_and_not_waited_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pipe = folder.path().join("x.yaml");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    assert!(check(folder.path()).is_some_and(|code| code != 0));
}

#[test]
fn yaml_aliases_do_not_expand_a_small_file() {
    let anchors: Vec<_> = (0..99).map(|n| format!("T{n}: &t{n} x")).collect();
    let aliases: Vec<_> = (0..950).map(|n| format!("K{n}: *a")).collect();
    let env = format!(
        "A: &a \"{}\", {}, {}",
        "x".repeat(50_000),
        anchors.join(", "),
        aliases.join(", ")
    );
    let Ok((profiles, _)) = mine(&format!(
        "containers: {{build: {{set: {{env: {{{env}}}}}}}}}"
    )) else {
        return;
    };
    let profile = profiles.get("mine").expect("it is there");
    let size: usize = profile
        .containers
        .build
        .set
        .env
        .values()
        .map(String::len)
        .sum();
    assert!(size < 1_000_000, "{size} bytes");
}

#[test]
fn null_removes_what_the_extended_profile_sets() {
    for rules in [
        "extends: openshift\npod: {set: {annotations: {io.kubernetes.cri-o.Devices: null}}}",
        "extends: root-fuse\ncontainers: {build: {set: {resources: {limits: {github.com/fuse: null}}}}}",
        "extends: rootless\ncontainers: {build: {set: {securityContext: {runAsUser: null}}}}",
        "extends: rootless\ncontainers: {build: null}",
    ] {
        assert!(
            mine(rules).is_ok(),
            "{rules}: {:?}",
            mine(rules).map(|_| ())
        );
    }
}

#[test]
fn a_profiles_pod_rules_apply_before_a_containers_if_unset() {
    let user = "{ifUnset: {securityContext: {runAsUser: 1000}}}";
    let roles = ["build", "helper", "init", "services"].map(|role| format!("{role}: {user}"));
    let rules = format!(
        "pod: {{set: {{securityContext: {{runAsUser: 0, runAsNonRoot: true}}}}}}\n\
         containers: {{{}}}",
        roles.join(", ")
    );
    assert!(mine(&rules).is_err(), "no container of it ever starts");
}

#[test]
fn a_denial_that_lists_a_hundred_profiles_still_fits_a_line() {
    let files: Vec<_> = (0..100)
        .map(|n| {
            let name = format!("p{n:03}{}", "x".repeat(59));
            file(&format!("{n}.yaml"), &format!("name: {name}\nsummary: x\n"))
        })
        .collect();
    let (profiles, _) = read(&files).expect("a hundred are allowed");
    let settings = Settings {
        profiles: &profiles,
        ..Settings::built_in()
    };
    let label = (PROFILE.to_owned(), "none-such".to_owned());
    let namespace = Namespace::new("ci", [label], []);
    let body = review(&plain_job(), "runner");
    let request = Request::from_review(body.as_bytes()).expect("a review");
    let decision = mutate(request, &namespace, &settings);
    let Outcome::Deny(denial) = decision.outcome else {
        panic!("{:?}", decision.outcome);
    };
    assert_eq!(job_log::unfit(&denial.message), None);
}

#[test]
fn no_text_of_a_profile_reaches_a_terminal_with_its_escapes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "name: mine\nsummary: \"a\\e[31mb\\nc\"\ncontainers: {build: {home: true, set: \
                {securityContext: {seLinuxOptions: {type: \"\\e[31mx\"}}}}}\n";
    if Profile::from_yaml(text).is_err() {
        return;
    }
    std::fs::write(folder.path().join("mine.yaml"), text).expect("it can be written");
    for argument in ["--check", "--profiles"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.args(["profiles", argument]).arg(folder.path());
        let output = command
            .env_remove("NO_COLOR")
            .env("CLICOLOR_FORCE", "1")
            .output()
            .expect("it runs");
        let text = support::text(&output.stdout);
        assert!(
            !text.contains("\u{1b}[31mx") && !text.contains("\u{1b}[31mb"),
            "{text:?}"
        );
        assert!(!text.contains("\nc"), "{text:?}");
    }
}
