//! Every kind of runner with every profile at every level, as in [`TABLE`].

use std::collections::{BTreeMap, BTreeSet};

use admission::decision::{Allowed, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::request::Request;
use cases::view::View;
use serde_json::{Value, json};

use crate::fleet::table::{Gives, LETTERS, TABLE, gives};
use crate::fleet::{CLUSTER, job, profiles};

const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];

#[test]
fn every_job_with_every_profile_at_every_level_has_the_outcome_in_the_table() {
    let mut pairs = BTreeSet::new();
    let mut block: Vec<(&str, [String; 3])> = Vec::new();
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        if let Some(names) = line.strip_suffix(':') {
            let of_profile = |profile| {
                let at = |level| CLUSTER.namespace_of(profile, level);
                (profile, LEVELS.map(at))
            };
            block = names.split(' ').map(of_profile).collect();
            continue;
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [shape, cells @ ..] = &cells[..] else {
            panic!("a line has cells: {line}")
        };
        assert_eq!(cells.len(), LEVELS.len(), "{line}");
        for (profile, namespaces) in &block {
            assert!(pairs.insert((*profile, *shape)), "{profile} {shape} twice");
            for ((namespace, level), cell) in namespaces.iter().zip(LEVELS).zip(cells) {
                assert_cell(shape, profile, level, namespace, cell);
            }
        }
    }
    let every = profiles().iter().count() * crate::fleet::SHAPES.len();
    assert_eq!(pairs.len(), every, "the table is whole");
}

fn assert_cell(shape: &str, profile: &str, level: &str, namespace: &str, cell: &str) {
    let what = format!("{shape} with {profile} at {level}");
    let (code, answer) = CLUSTER.create_pod(namespace, &job(shape, &what.replace(' ', "-")));
    if code == 201 {
        assert_eq!("stored", cell, "{what}");
        return assert_stored(View(answer), shape, profile, level, &what);
    }
    assert_eq!(code, 403, "{what}: {answer:#}");
    let message = answer["message"].as_str().expect("a message");
    let reported = message
        .strip_prefix("admission webhook \"")
        .and_then(|rest| rest.split_once(".podseal.io\" denied the request: "));
    let Some((webhook, reported)) = reported else {
        panic!("{what}: not podseal's words: {message}")
    };
    let found = match webhook {
        "mutate" => refused(reported),
        _ => forbidden(reported, &what.replace(' ', "-")),
    };
    assert_eq!(found, cell, "{what}: {message}");
    let by = match webhook {
        "mutate" => format!(
            "namespace \"{namespace}\" has the label podseal.io/profile: \"{profile}\", which \
             podseal cannot apply here; to fix this, "
        ),
        _ => format!(
            "namespace \"{namespace}\" requires every pod to meet {level} (label podseal.io/level; \
             podseal.io/profile: \"{profile}\")"
        ),
    };
    assert!(
        reported.contains(&by) && reported.contains("; to fix this, "),
        "{what}: {reported}"
    );
}

/// `CONTAINER/FIELD` of a denial by the correction.
fn refused(reported: &str) -> String {
    let (place, rest) = reported.split_once(", ").expect("a place");
    let (field, _) = rest.split_once(": ").expect("a field");
    let name = place.split('"').nth(1).unwrap_or(place);
    let field = field.strip_prefix("securityContext.").unwrap_or(field);
    format!("{name}/{field}")
}

/// `CONTAINER:LETTERS …` of a denial by `/validate`, as its record has it. Its
/// sentence names the first of them, with container, field and value.
fn forbidden(reported: &str, pod: &str) -> String {
    let record = CLUSTER.podseal.decision_on("validate", pod);
    let violations = record["violations"].as_array().expect("violations");
    let text = |violation: &Value, key: &str| violation[key].as_str().map(str::to_owned);
    let first = &violations[0];
    let container = text(first, "container").unwrap_or_default();
    for part in [&container, &text(first, "field").expect("a field")] {
        assert!(reported.contains(part.as_str()), "{part} in {reported}");
    }
    let mut cells: BTreeMap<String, BTreeSet<char>> = BTreeMap::new();
    for violation in violations {
        let container = text(violation, "container").unwrap_or("pod".to_owned());
        let control = text(violation, "control").expect("a control");
        let letter = LETTERS.iter().find(|(name, _)| *name == control);
        let (_, letter) = letter.unwrap_or_else(|| panic!("{control} has no letter"));
        cells.entry(container).or_default().insert(*letter);
    }
    let cells = cells
        .iter()
        .map(|(container, letters)| format!("{container}:{}", letters.iter().collect::<String>()));
    cells.collect::<Vec<_>>().join(" ")
}

fn assert_stored(pod: View, shape: &str, profile: &str, level: &str, what: &str) {
    assert_eq!(left_to_do(&pod.0, profile, level), "", "{what}");
    let gives = gives(profile).filter(|_| shape != "windows");
    match gives {
        Some(gives) => assert_given(&pod, &gives, shape, level, what),
        None => assert_untouched(&pod, shape, what),
    }
}

/// What podseal would do to the pod as it is stored.
fn left_to_do(pod: &Value, profile: &str, level: &str) -> String {
    let text = pod.to_string();
    let pod = serde_json::from_str(&text).expect("a stored pod");
    let labels = [(PROFILE, profile), (LEVEL, level)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let namespace = Namespace::new("ci", labels, []);
    let settings = Settings {
        profiles: profiles(),
        ..Settings::built_in()
    };
    match mutate(Request::create(pod, "ci"), &namespace, &settings).outcome {
        Outcome::Allow(Allowed::AlreadyRight | Allowed::Windows) => String::new(),
        other => format!("{other:?}"),
    }
}

fn assert_given(pod: &View, gives: &Gives, shape: &str, level: &str, what: &str) {
    assert_eq!(pod.uid("build"), Some(gives.uid), "{what}");
    for (field, value) in [
        ("privileged", gives.privileged),
        ("allowPrivilegeEscalation", gives.escalation),
    ] {
        assert_eq!(
            pod.security("build", field),
            &json!(value),
            "{what}: {field}"
        );
    }
    let of_runner = ["helper", "init-permissions", "init-build-uid-gid-collector"];
    for container in of_runner.into_iter().filter(|name| pod.has(name)) {
        let privileged = pod.security(container, "privileged");
        assert_ne!(privileged, &json!(true), "{what}: {container}");
    }
    let added = pod.capabilities("build", "add");
    for capability in gives.capabilities {
        assert!(added.contains(capability), "{what}: {added:?}");
    }
    let dropped = pod.capabilities("build", "drop");
    assert!(
        gives
            .capabilities
            .iter()
            .all(|name| !dropped.contains(name)),
        "{what}"
    );
    assert!(
        level != "restricted" || dropped.contains(&"ALL"),
        "{what}: {dropped:?}"
    );
    // The runner's own user namespace stays where the profile needs none.
    let own_ids = gives.own_ids || shape == "suspendable";
    let host_users = if own_ids { json!(false) } else { Value::Null };
    assert_eq!(pod.0["spec"]["hostUsers"], host_users, "{what}");
    assert_device(pod, gives, what);
    assert_home(pod, gives, what);
    if pod.has("init-build-uid-gid-collector") {
        for field in ["runAsUser", "runAsGroup", "runAsNonRoot"] {
            let collected = pod.effective("init-build-uid-gid-collector", field);
            assert_eq!(collected, pod.effective("build", field), "{what}: {field}");
        }
    }
    for (pointer, value) in gives.more {
        let found = match pointer.strip_prefix("/env/") {
            Some(name) => pod.env("build", name),
            None => {
                let root = match pointer.starts_with("/metadata") {
                    true => &pod.0,
                    false => pod.container("build"),
                };
                let found = root.pointer(pointer).and_then(Value::as_str);
                found.map(str::to_owned)
            }
        };
        assert_eq!(found.as_deref(), Some(*value), "{what}: {pointer}");
    }
}

/// A device's request is its limit, or the API server would have rejected it; and
/// no container gets one that the profile does not set, unless the runner does.
fn assert_device(pod: &View, gives: &Gives, what: &str) {
    let Some(device) = gives.device else { return };
    let resources = &pod.container("build")["resources"];
    for kind in ["limits", "requests"] {
        assert_eq!(resources[kind][device], json!("1"), "{what}: {kind}");
    }
}

fn assert_home(pod: &View, gives: &Gives, what: &str) {
    if !gives.home {
        let volumes = pod.0["spec"]["volumes"].as_array().expect("volumes");
        assert!(
            volumes
                .iter()
                .all(|volume| volume["name"] != "podseal-home"),
            "{what}"
        );
        return;
    }
    let home = pod.env("build", "HOME").expect("a HOME");
    for container in ["build", "helper"].into_iter().filter(|name| pod.has(name)) {
        assert_eq!(
            pod.env(container, "HOME"),
            Some(home.clone()),
            "{what}: {container}"
        );
        let mounts = pod.container(container)["volumeMounts"].as_array();
        let paths = mounts
            .into_iter()
            .flatten()
            .filter_map(|m| m["mountPath"].as_str());
        let covers = |path: &str| home == path || home.starts_with(&format!("{path}/"));
        assert_eq!(
            paths.filter(|path| covers(path)).count(),
            1,
            "{what}: {container}, {home}"
        );
    }
    // A mount in or around another would hide it.
    let paths: Vec<_> = pod.container("build")["volumeMounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    for path in &paths {
        let nested = paths
            .iter()
            .filter(|other| other.starts_with(&format!("{path}/")));
        assert_eq!(nested.count(), 0, "{what}: {paths:?}");
    }
}

fn assert_untouched(pod: &View, shape: &str, what: &str) {
    let posted = View(cases::fixture(shape));
    for container in posted.containers() {
        let context = |view: &View| match &view.container(container)["securityContext"] {
            Value::Null => json!({}),
            context => context.clone(),
        };
        assert_eq!(context(pod), context(&posted), "{what}: {container}");
        assert_eq!(
            pod.env(container, "HOME"),
            posted.env(container, "HOME"),
            "{what}"
        );
    }
}

#[test]
fn a_windows_job_is_not_changed_with_the_reason_in_record_and_review_whatever_the_profile() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/profiles");
    let why = "the job runs on Windows, which no profile supports";
    for profile in profiles().iter().map(|profile| profile.name.as_str()) {
        let namespace = CLUSTER.namespace_of(profile, "baseline");
        let name = format!("on-windows-{profile}");
        let pod = job("windows", &name);
        let (code, answer) = CLUSTER.create_pod(&namespace, &pod);
        assert_eq!(code, 201, "{profile}: {answer:#}");
        let record = CLUSTER.podseal.decision_on("mutate", &name);
        assert_eq!(record["message"], why, "{profile}");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.args([
            "review",
            "--profiles",
            folder,
            "--profile",
            profile,
            "--annotation",
            "podseal.io/runner=system:serviceaccount:gitlab:gitlab-runner",
            "-o",
            "json",
            "-",
        ]);
        let output = support::run(command, &pod.to_string());
        let line: Value = serde_json::from_slice(&output.stdout).expect("a line");
        let message = line["message"].as_str().expect("a message");
        assert!(message.starts_with(why), "{profile}: {message}");
        assert_eq!(line["changes"], json!([]), "{profile}");
    }
}

#[test]
fn the_creator_of_a_pod_is_warned_once_of_what_may_keep_the_job_from_running() {
    let namespace = CLUSTER.namespace_of("rootless", "baseline");
    let warned = |name: &str, seccomp: Option<&str>| {
        let args = ["create", "-n", &namespace, "--dry-run=server", "-f", "-"];
        let mut pod = job("honor-entrypoint", name);
        if let Some(kind) = seccomp {
            pod["spec"]["securityContext"]["seccompProfile"] = json!({"type": kind});
        }
        let runner = support::controlplane::RUNNER;
        let output = CLUSTER.plane.kubectl(runner, &args, &pod.to_string());
        let stderr = support::text(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        stderr
    };
    let stderr = warned("cautioned", Some("RuntimeDefault"));
    let warning = "Warning: container \"build\", securityContext.seccompProfile: RuntimeDefault";
    assert_eq!(stderr.matches(warning).count(), 1, "{stderr}");
    for webhook in ["mutate", "validate"] {
        let record = CLUSTER.podseal.decision_on(webhook, "cautioned");
        let cautions = record["cautions"].as_array().expect("cautions");
        let ids: Vec<_> = cautions.iter().map(|caution| &caution["id"]).collect();
        assert_eq!(ids, ["seccomp-default"], "{record:#}");
    }
    assert!(!warned("ordinary", None).contains("Warning"));
}

#[test]
fn a_strict_namespace_denies_what_may_keep_the_job_from_running() {
    let labels = json!({"podseal.io/profile": "rootless", "podseal.io/strict": "true"});
    let namespace = CLUSTER.namespace(&CLUSTER.free_name("strict"), &labels, &json!({}));
    let mut pod = job("honor-entrypoint", "in-strict");
    let (code, _) = CLUSTER.create_pod(&namespace, &pod);
    assert_eq!(code, 201);
    pod["metadata"]["name"] = "in-strict-2".into();
    pod["spec"]["securityContext"]["seccompProfile"] = json!({"type": "RuntimeDefault"});
    let (code, answer) = CLUSTER.try_pod(&namespace, &pod);
    assert_eq!(code, 403, "{answer:#}");
    let message = answer["message"].as_str().expect("a message");
    let why = "denies what may keep a job from running, by the label podseal.io/strict";
    assert!(message.contains(why), "{message}");
}
