//! Namespaces that carry no label of podseal's, and the namespace rules for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use cases::view::View;
use reqwest::Method;
use serde_json::{Value, json};
use support::chart::manifests;
use support::controlplane::{ADMIN, RUNNER, await_condition};
use support::podseal::{Podseal, SITE, registered as as_users_get, restrict};
use support::text;

use crate::fleet::{CLUSTER, job};

/// The rules that podseal is started with.
pub(crate) const RULES: &str = "
rules:
- name: jobs
  namespaces: {prefix: ci-job-}
  profile: rootless-apparmor
  level: restricted
  runner: system:serviceaccount:gitlab:gitlab-runner
  settings: {run-as-user: '1500', home: /work/home}
- name: jobs-too
  namespaces: {prefix: ci-job}
  profile: none
- name: payments
  namespaces: {matchLabels: {team: payments}}
  profile: userns
- name: gold
  namespaces: {prefix: tried-, matchLabels: {tier: gold}}
  profile: root-fuse
  mode: warn
- name: watched
  namespaces: {prefix: watched-}
  profile: rootless
  mode: audit
- name: bait
  namespaces: {matchLabels: {bait: 'yes'}}
  profile: rootless
  level: restricted
";

/// The entries by which the API server calls for namespaces without a label, and
/// for those that are baited. Neither has the chart's `matchConditions`: here it
/// is podseal itself that has to know its bounds.
pub(crate) fn registered(podseal: &Podseal) -> String {
    use base64::Engine;
    let ca = base64::engine::general_purpose::STANDARD.encode(&podseal.ca);
    let unlabelled = json!({"matchExpressions": [
        {"key": "podseal.io/profile", "operator": "DoesNotExist"},
        {"key": "bait", "operator": "DoesNotExist"},
    ]});
    let baited = json!({"matchLabels": {"bait": "yes"}});
    let all = as_users_get().map(|mut configuration| {
        let users = configuration["webhooks"][0].take();
        let entry = |kind: &str, selector: &Value| {
            let mut entry = users.clone();
            let name = entry["name"]
                .as_str()
                .expect("a name")
                .replace("podseal", kind);
            let path = entry["clientConfig"]["service"]["path"]
                .as_str()
                .expect("a path");
            let url = format!("{}{path}", podseal.url);
            entry["clientConfig"] = json!({"url": url, "caBundle": ca});
            entry["name"] = name.into();
            entry["namespaceSelector"] = selector.clone();
            let entry_of = entry.as_object_mut().expect("an object");
            entry_of.remove("matchConditions");
            entry
        };
        let entries = [entry("unlabelled", &unlabelled), entry("baited", &baited)];
        configuration["webhooks"] = json!(entries);
        restrict(&mut configuration, "fleet");
        configuration["metadata"]["name"] = "podseal-fleet-namespace-rules".into();
        configuration
    });
    manifests(&all)
}

/// A new namespace with these labels, and no annotation.
fn namespace(prefix: &str, labels: &Value) -> String {
    CLUSTER.namespace(&CLUSTER.free_name(prefix), labels, &json!({}))
}

fn created(namespace: &str, pod: &Value) -> View {
    let (code, answer) = CLUSTER.create_pod(namespace, pod);
    assert_eq!(code, 201, "{namespace}: {answer:#}");
    View(answer)
}

/// The sentence with which podseal denies.
fn denied(namespace: &str, pod: &Value) -> String {
    let (code, answer) = CLUSTER.create_pod(namespace, pod);
    let message = answer["message"].as_str().unwrap_or_default();
    let reported = message.split_once(".io\" denied the request: ");
    let (_, reported) = reported.unwrap_or_else(|| panic!("{namespace}, {code}: {answer:#}"));
    assert_eq!(code, 403, "{message}");
    reported.to_owned()
}

#[test]
fn the_first_rule_that_matches_sets_profile_level_runner_and_settings() {
    let namespace = namespace("ci-job-123", &json!({"team": "payments"}));
    let pod = created(&namespace, &job("native-steps", "by-rule"));
    assert_eq!(pod.uid("build"), Some(1500));
    assert_eq!(pod.env("build", "HOME").as_deref(), Some("/work/home"));
    let confined = pod.security("build", "appArmorProfile");
    assert_eq!(confined["localhostProfile"], "podman-build");
    assert!(
        pod.capabilities("build", "drop").contains(&"ALL"),
        "restricted"
    );
    let record = CLUSTER.podseal.decision_on("mutate", "by-rule");
    assert_eq!(record["profile"], "rootless-apparmor", "{record:#}");
    assert_eq!(record["level"], "restricted");
    // A pod of another user is not a job's, and must meet the rule's level.
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let other = job("native-steps", "by-another");
    let (code, answer) = CLUSTER
        .plane
        .request(ADMIN, Method::POST, &path, Some(&other));
    let message = answer["message"].as_str().unwrap_or_default();
    assert_eq!(code, 403, "{message}");
    let by = "requires every pod to meet restricted (namespace rule jobs; profile \"rootless-apparmor\" ";
    assert!(message.contains(by), "{message}");
}

#[test]
fn a_rule_requires_prefix_and_labels_and_does_not_apply_if_one_is_missing() {
    let by_label = namespace("anywhere", &json!({"team": "payments"}));
    let pod = created(&by_label, &job("default-with-service", "x"));
    assert_eq!(pod.0["spec"]["hostUsers"], false, "the second rule");
    let gold = json!({"tier": "gold"});
    let both = created(&namespace("tried", &gold), &job("legacy-exec", "x"));
    assert_eq!(both.limit("build", "github.com/fuse"), Some("1"));
    for (prefix, labels) in [
        ("tried", json!({"tier": "silver"})),
        ("other", gold),
        ("tried", json!({})),
        ("my-ci-job-1", json!({"team": "Payments"})),
    ] {
        let pod = created(&namespace(prefix, &labels), &job("legacy-exec", "x"));
        assert_eq!(pod.uid("build"), None, "{prefix} {labels}");
    }
}

#[test]
fn the_modes_of_rules_work_like_those_of_labels() {
    let privileged = |name: &str| job("privileged-with-service", name);
    let warned = namespace("tried", &json!({"tier": "gold"}));
    let args = ["create", "-n", &warned, "-f", "-"];
    let output = CLUSTER
        .plane
        .kubectl(RUNNER, &args, &privileged("warned").to_string());
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("Warning: podseal would deny this: container \"docker\""),
        "{stderr}"
    );
    let watched = namespace("watched", &json!({}));
    let pod = created(&watched, &privileged("watched"));
    assert_eq!(pod.security("build", "privileged"), &json!(true));
    let record = CLUSTER.podseal.decision_on("mutate", "watched");
    assert_eq!(
        (&record["decision"], &record["mode"]),
        (&json!("mutate"), &json!("audit"))
    );
}

#[test]
fn a_profile_label_overrides_all_rules_and_without_it_a_namespace_can_only_be_stricter() {
    let labelled = namespace("ci-job-5", &json!({"podseal.io/profile": "rootless"}));
    let pod = created(&labelled, &job("default-with-service", "x"));
    assert_eq!(pod.uid("build"), Some(1000), "no setting of the rule's");
    assert_eq!(pod.env("build", "HOME").as_deref(), Some("/my_custom_dir"));
    assert!(
        !pod.capabilities("build", "drop").contains(&"ALL"),
        "nor its level"
    );
    assert_eq!(pod.security("build", "appArmorProfile"), &Value::Null);
    // No profile, but a milder level and a setting of its own.
    let name = CLUSTER.free_name("ci-job-6");
    let labels = json!({"podseal.io/level": "baseline", "podseal.io/mode": "audit"});
    CLUSTER.namespace(&name, &labels, &json!({"podseal.io/run-as-user": "1700"}));
    let pod = created(&name, &job("native-steps", "milder"));
    assert_eq!(pod.uid("build"), Some(1700));
    assert_eq!(
        pod.env("build", "HOME").as_deref(),
        Some("/work/home"),
        "the rule's"
    );
    let record = CLUSTER.podseal.decision_on("validate", "milder");
    assert_eq!(record["level"], "restricted", "{record:#}");
    assert_eq!(record["mode"], "enforce", "{record:#}");
    let warnings = record["warnings"].to_string();
    assert!(
        warnings.contains("is less strict than the namespace rule jobs, so the rule applies"),
        "{warnings}"
    );
    // If the rule's mode is audit, a namespace may require more.
    let stricter = namespace("watched", &json!({"podseal.io/mode": "enforce"}));
    let reported = denied(&stricter, &job("privileged-with-service", "x"));
    assert!(reported.contains("\"docker\""), "{reported}");
}

#[test]
fn an_invalid_setting_of_a_namespace_under_a_rule_is_denied_with_rule_and_annotation() {
    let name = CLUSTER.free_name("ci-job-7");
    CLUSTER.namespace(&name, &json!({}), &json!({"podseal.io/run-as-user": "0"}));
    let reported = denied(&name, &job("legacy-exec", "x"));
    let expected = format!(
        "namespace \"{name}\" has the profile \"rootless-apparmor\" from the namespace rule jobs, and \
         the annotation podseal.io/run-as-user cannot be applied: \"0\" is not a user ID from 1 to \
         65535; to fix this, ask a cluster administrator to correct or remove that"
    );
    assert!(reported.starts_with(&expected), "{reported}");
}

#[test]
fn namespaces_of_the_cluster_and_of_podseal_are_ignored_whatever_their_labels() {
    // With a label of podseal's own, as well: nothing that runs the cluster may
    // come to depend on podseal.
    let labels = json!({
        "bait": "yes",
        "team": "payments",
        "tier": "gold",
        "podseal.io/profile": "rootless",
        "podseal.io/level": "restricted",
        "podseal.io/mode": "enforce",
    });
    let unlabelled = json!({"bait": "yes", "team": "payments"});
    let all = [
        ("kube-system", &labels),
        ("kube-public", &unlabelled),
        ("kube-flannel", &labels),
        ("openshift-ci", &labels),
        ("openshift-dns", &unlabelled),
        ("podseal", &labels),
    ];
    for (name, labels) in all {
        let mut labels = labels.clone();
        labels[SITE] = "fleet".into();
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels}});
        CLUSTER.plane.apply(ADMIN, &manifest.to_string());
        let pod_name = format!("in-{name}");
        let pod = job("privileged-with-service", &pod_name);
        // Until the API server knows the label by which it calls.
        let is_called = || {
            let (code, answer) = CLUSTER.try_pod(name, &pod);
            assert_eq!(code, 201, "{answer:#}");
            CLUSTER.podseal.has_logged(|event| {
                event["webhook"] == "validate" && event["pod"] == pod_name.as_str()
            })
        };
        await_condition("podseal is called", is_called, String::new);
        let stored = created(name, &pod);
        assert_eq!(
            stored.security("build", "privileged"),
            &json!(true),
            "{name}"
        );
        for webhook in ["mutate", "validate"] {
            let record = CLUSTER.podseal.decision_on(webhook, &pod_name);
            let message = record["message"].as_str().expect("a message");
            let why = "the namespace is the cluster's own or podseal's, which podseal ignores";
            assert!(message.starts_with(why), "{name}: {record:#}");
            assert_eq!(record["profile"], Value::Null, "{name}");
        }
    }
    // The same labels apply in other namespaces.
    let elsewhere = namespace("ci-kube", &labels);
    denied(&elsewhere, &job("privileged-with-service", "x"));
    let elsewhere = namespace("podseal-jobs", &unlabelled);
    let reported = denied(&elsewhere, &job("privileged-with-service", "x"));
    assert!(reported.contains("\"docker\""), "{reported}");
}

#[test]
fn jobs_in_fifty_new_namespaces_are_corrected_at_once() {
    let (corrected, busy) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let namespace = namespace("ci-job-burst", &json!({}));
                let pod = job("native-steps", "x");
                // As client-go does with Retry-After.
                let answer = loop {
                    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
                    if code != 503 {
                        assert_eq!(code, 201, "{answer:#}");
                        break answer;
                    }
                    assert_eq!(answer["details"]["retryAfterSeconds"], 1, "{answer:#}");
                    busy.fetch_add(1, Ordering::Relaxed);
                };
                assert_eq!(View(answer).uid("build"), Some(1500), "{namespace}");
                corrected.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    println!("{busy:?} were told to retry");
    assert_eq!(corrected.into_inner(), 50);
}

#[test]
fn a_namespace_that_is_deleted_while_a_job_is_admitted_admits_no_uncorrected_pod() {
    let pods = AtomicUsize::new(0);
    for _ in 0..10 {
        let namespace = namespace("ci-job-going", &json!({}));
        created(&namespace, &job("native-steps", "before"));
        std::thread::scope(|scope| {
            let jobs = scope.spawn(|| {
                for number in 0.. {
                    let pod = job("native-steps", &format!("job-{number}"));
                    let (code, answer) = CLUSTER.create_pod(&namespace, &pod);
                    let message = answer["message"].as_str().unwrap_or_default().to_owned();
                    match code {
                        201 => {
                            let pod = View(answer);
                            assert_eq!(pod.uid("build"), Some(1500));
                            pods.fetch_add(1, Ordering::Relaxed);
                        }
                        // The API server's own words, once it knows.
                        404 => return,
                        403 if message.contains("because it is being terminated") => {}
                        // podseal's, if it was called just
                        // before.
                        503 => {
                            let whys = ["no such namespace", "answer is out of date"];
                            let is_it = whys.iter().any(|why| message.contains(why));
                            assert!(is_it, "{message}");
                        }
                        _ => panic!("{code}: {message}"),
                    }
                }
            });
            // No controllers run here.
            CLUSTER.plane.remove_namespace(&namespace);
            jobs.join().expect("no job got through");
        });
    }
    println!("{pods:?} jobs came before the end");
}
