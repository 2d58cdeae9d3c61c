//! Paths that name the rules for which a webhook is registered.

use serde_json::{Value, json};
use support::podseal::Podseal;
use support::{block_on, text};

use super::{NAMESPACES, RULES, Serving, profile, review};

/// The paths that `podseal rules` prints for a file: of `/mutate` and `/validate`.
fn paths(arguments: &[&str]) -> [String; 2] {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.arg("rules").args(arguments);
    let output = support::run(command, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.try_into().expect("two paths")
}

/// A file of these rules.
fn file(rules: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(&file, rules).expect("the file can be written");
    file
}

const JOBS: &str = "rules: [{name: jobs, namespaces: {prefix: ci-job-}, profile: rootless}]";

/// The answer to a review: whether it is allowed, the status, and whether a patch is
/// there.
fn answer((code, text): (u16, String)) -> (bool, Value, bool) {
    assert_eq!(code, 200, "{text}");
    let review: Value = serde_json::from_str(&text).expect("JSON");
    let response = &review["response"];
    assert_eq!(response["uid"], "u");
    let allowed = response["allowed"].as_bool().expect("a decision");
    let patched = response["patch"].is_string();
    (allowed, response["status"].clone(), patched)
}

#[test]
fn a_replica_answers_a_path_with_rules_only_if_it_has_exactly_these() {
    // A line's end is enough of a difference.
    let (held, other) = (file(JOBS), file(&format!("{JOBS}\n")));
    let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
    let [mutate, validate] = paths(&[&path(&held)]);
    let [other_mutate, other_validate] = paths(&[&path(&other)]);
    assert_ne!(mutate, other_mutate);
    let with_rules = Podseal::with_namespaces(NAMESPACES, &["--namespace-rules", &path(&held)]);
    let client = with_rules.client().build().expect("a client");
    let with_rules = Serving {
        podseal: with_rules,
        client,
    };
    let without = Podseal::for_namespaces(NAMESPACES);
    let client = without.client().http1_only().build().expect("a client");
    let without = Serving {
        podseal: without,
        client,
    };

    let (allowed, _, patched) = answer(with_rules.post(&mutate, "ci-job-17"));
    assert!(allowed && patched, "by its own rules it decides");
    let (allowed, status, _) = answer(with_rules.post(&validate, "ci-job-17"));
    assert_eq!((allowed, &status["code"]), (false, &json!(403)), "{status}");

    let others = [
        (&with_rules, &other_mutate, mutate.as_str()),
        (&with_rules, &other_validate, mutate.as_str()),
        (&without, &mutate, "none"),
        (&without, &validate, "none"),
    ];
    for (replica, path, holds) in others {
        let (allowed, status, patched) = answer(replica.post(path, "ci-job-17"));
        assert!(!allowed && !patched, "{path}");
        assert_eq!(status["code"], 503, "{path}");
        let seconds = status["details"]["retryAfterSeconds"].as_u64();
        // As long as Helm waits for a rollout by default.
        assert!(10 * seconds.expect("a time to retry") >= 300, "{path}");
        let message = status["message"].as_str().expect("a message");
        let asked = path.rsplit('/').next().expect("a segment");
        let holds = holds.rsplit('/').next().expect("a segment");
        assert!(message.contains(asked), "{message}");
        assert!(message.contains(&format!("has {holds},")), "{message}");
    }
    let shed = "podseal_shed_total{reason=\"rules\"}";
    assert_eq!(with_rules.podseal.metric(shed), Some(2.0));
    let event = without.podseal.await_event(|event| event["held"] == "none");
    assert_eq!(
        event["asked"],
        others[2].1.rsplit('/').next().expect("a segment")
    );

    // The plain paths are for administrators who register podseal by hand.
    let (allowed, _, patched) = answer(with_rules.post("/mutate", "ci-job-17"));
    assert!(allowed && patched);
    let (allowed, _, patched) = answer(without.post("/mutate", "ci-job-17"));
    assert!(allowed && !patched);
}

#[test]
fn a_connection_that_was_used_for_other_rules_is_closed_with_the_response() {
    let [mutate, _] = paths(&[&file(JOBS).path().display().to_string()]);
    let replica = Podseal::for_namespaces(NAMESPACES);
    let client = replica.client().http1_only().build().expect("a client");
    let ask = |path: &str| {
        let url = format!("{}{path}", replica.url);
        let request = client.post(url).body(review("ci-job-17").to_string());
        let answer = block_on(async { request.send().await.expect("an answer") });
        let connection = answer.headers().get("connection");
        connection.map(|value| value.to_str().expect("text").to_owned())
    };
    assert_eq!(
        ask(&mutate).as_deref(),
        Some("close"),
        "or it never meets another replica"
    );
    assert_eq!(ask("/mutate"), None);
}

#[test]
fn a_path_that_names_no_rules_is_unknown_and_adds_no_time_series() {
    let [mutate, _] = paths(&[&file(JOBS).path().display().to_string()]);
    let replica = Podseal::for_namespaces(NAMESPACES);
    let client = replica.client().build().expect("a client");
    let serving = Serving {
        podseal: replica,
        client,
    };
    let series = || -> Vec<String> {
        let (_, page) = serving.podseal.status("/metrics");
        let names = page.lines().filter(|line| !line.starts_with('#'));
        let names = names.filter_map(|line| line.rsplit_once(' '));
        names.map(|(name, _)| name.to_owned()).collect()
    };
    let before = series();
    let digest = mutate.strip_prefix("/mutate/").expect("a path");
    let long = format!("/mutate/rules-{}", "a".repeat(4000));
    let wrong = [
        format!("/{digest}"),
        format!("{mutate}/"),
        format!("{mutate}0"),
        format!("{mutate}/{digest}"),
        format!("/mutate//{digest}"),
        mutate.replace("rules-", "rules-A"),
        mutate.replace("rules-", "rule-"),
        mutate.replace("rules-", "rules-%0a"),
        "/mutate/".to_owned(),
        "/mutate/rules-".to_owned(),
        "/validate/rules-forged-by-a-pod0".to_owned(),
        long,
    ];
    for path in &wrong {
        let (code, text) = serving.post(path, "ci-job-17");
        assert_eq!(code, 404, "{path}");
        assert_eq!(text, "podseal serves POST /mutate and POST /validate\n");
        let url = format!("{}{path}", serving.podseal.url);
        let answer = block_on(async { serving.client.get(url).send().await.expect("an answer") });
        assert_eq!(answer.status(), 404, "{path}");
    }
    let count = "podseal_refused_requests_total{reason=\"path\"}";
    assert_eq!(
        serving.podseal.metric(count),
        Some(2.0 * wrong.len() as f64)
    );
    // And one of the right form, which anyone can make up.
    for forged in 0..100 {
        let path = format!("/mutate/rules-{forged:016x}");
        let (allowed, status, _) = answer(serving.post(&path, "ci-job-17"));
        assert_eq!((allowed, &status["code"]), (false, &json!(503)));
    }
    let url = format!("{}{mutate}", serving.podseal.url);
    let answer = block_on(async { serving.client.get(url).send().await.expect("an answer") });
    assert_eq!(answer.status(), 405);
    assert_eq!(series(), before, "a label is never made of a path");
    let reported = serving.podseal.lines();
    let reported = reported.iter().filter(|line| line.contains("rules-"));
    assert!(reported.count() <= 10, "the log is not theirs to fill");
}

#[test]
fn a_file_of_rules_is_checked_before_its_paths_are_printed() {
    let ours = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(ours.path().join("mine.yaml"), profile(1001)).expect("it can be written");
    let rules = file(RULES);
    let path = rules.path().display().to_string();
    let profiles = ours.path().display().to_string();
    let [mutate, validate] = paths(&[&path, "--profiles", &profiles]);
    assert_eq!(mutate.replace("/mutate", "/validate"), validate);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["rules", &path]);
    let output = support::run(command, "");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let why = "namespace rule \"jobs\" names the profile \"mine\"";
    let reported = text(&output.stderr);
    assert!(reported.contains(why), "{reported}");
}
