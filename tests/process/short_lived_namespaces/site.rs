//! An API server that shows namespaces as a test says, and podseal with namespace rules.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cases::review::{as_sent, review};
use serde_json::{Value, json};
use support::block_on;
use support::controlplane::await_condition;
use support::podseal::Podseal;
use support::scripted::{Kind, Reply, Request, Scripted, Then, line, list};

/// The team of a namespace decides about its profile.
const RULES: &str = "
rules:
- {name: a, namespaces: {prefix: ci-job-, matchLabels: {team: a}}, profile: rootless}
- {name: b, namespaces: {prefix: ci-job-, matchLabels: {team: b}}, profile: root-fuse}
";

/// A namespace of this team.
pub(super) fn namespace(name: &str, team: &str, version: &str) -> Value {
    json!({"metadata": {
        "name": name,
        "uid": format!("of-{team}"),
        "resourceVersion": version,
        "labels": {"team": team, "kubernetes.io/metadata.name": name},
    }})
}

pub(super) fn terminating(name: &str, team: &str, version: &str) -> Value {
    let mut namespace = namespace(name, team, version);
    namespace["metadata"]["deletionTimestamp"] = "2026-11-29T00:00:00Z".into();
    namespace
}

/// What one look-up finds: an object, or that there is none.
type Truth = Arc<Mutex<Value>>;

/// An API server with some namespaces without the label, whose first watch of them sends
/// what the test says, and podseal.
pub(super) struct Site {
    server: Scripted,
    truth: Truth,
    lines: Sender<String>,
    pub(super) podseal: Podseal,
    client: reqwest::Client,
    /// Their digest, which is the path of their webhooks.
    pub(super) rules: String,
}

impl Site {
    pub(super) fn start(listed: Vec<Value>) -> Site {
        let (lines, to_send) = channel();
        let truth = Truth::default();
        let (says, to_send) = (Arc::clone(&truth), Arc::new(Mutex::new(to_send)));
        let server = Scripted::start_for_kinds(move |kind, request| match (kind, request) {
            (_, Request::Get(_)) => match says.lock().expect("no thread panics").clone() {
                Value::Null => Reply::Json(404, status(404)),
                namespace => Reply::Json(200, namespace),
            },
            (Kind::Labelled, Request::Watch(_)) => Reply::Lines(vec![], Then::EndInTime),
            (Kind::Labelled, _) => list(&[]),
            (Kind::Unlabelled, Request::List(0)) => list(&listed),
            (Kind::Unlabelled, Request::Watch(_)) => {
                let to_send = Arc::clone(&to_send);
                Reply::Body(Box::new(move |body| {
                    let end = Instant::now() + body.timeout.expect("podseal sets a timeout");
                    let to_send = to_send.lock().expect("no thread panics");
                    while let Some(left) = end.checked_duration_since(Instant::now()) {
                        match to_send.recv_timeout(left) {
                            Ok(line) => body.write(format!("{line}\n").as_bytes())?,
                            Err(_) => break,
                        }
                    }
                    Ok(())
                }))
            }
            // It lists once.
            (Kind::Unlabelled, _) => Reply::Silence,
        });
        let folder = tempfile::tempdir().expect("a folder");
        let (kubeconfig, rules) = (folder.path().join("config"), folder.path().join("rules"));
        std::fs::write(&kubeconfig, server.kubeconfig()).expect("a kubeconfig");
        std::fs::write(&rules, RULES).expect("a file of rules");
        let podseal = Podseal::start(|command| {
            command.env("KUBECONFIG", &kubeconfig);
            command.arg("--namespace-rules").arg(&rules);
        });
        let event = podseal.await_event(|event| event["rules"].is_string());
        let rules = event["rules"].as_str().expect("a digest").to_owned();
        let is_ready = || podseal.metric("podseal_namespace_cache_fresh") == Some(1.0);
        await_condition("both watches work", is_ready, String::new);
        let client = podseal.client().http1_only().build().expect("a client");
        Site {
            server,
            truth,
            lines,
            podseal,
            client,
            rules,
        }
    }

    /// What a look-up finds from now on.
    pub(super) fn finds(&self, namespace: Value) {
        *self.truth.lock().expect("no thread panics") = namespace;
    }

    /// The watch sends an event.
    pub(super) fn shows(&self, kind: &str, namespace: &Value) {
        let sent = self.lines.send(line(kind, namespace));
        sent.expect("the watch goes on");
    }

    /// The watch sends an event, and podseal has read it: it knows so many namespaces.
    pub(super) fn shows_until(&self, kind: &str, namespace: &Value, known: f64) {
        self.shows(kind, namespace);
        let is_read = || self.podseal.metric("podseal_namespaces_cached") == Some(known);
        await_condition("the event is read", is_read, String::new);
    }

    /// The profile of a job in `namespace`, or the message of its denial.
    pub(super) fn profile(&self, webhook: &str, namespace: &str) -> String {
        block_on(self.review(&format!("{webhook}/{}", self.rules), namespace))
    }

    pub(super) async fn review(&self, path: &str, namespace: &str) -> String {
        let pod = cases::fixture("default-with-service");
        let url = format!("{}/{path}", self.podseal.url);
        let review = as_sent(&review("u", namespace, &pod));
        let answer = self.client.post(url).body(review).send();
        let answer = answer.await.expect("an answer").bytes().await;
        let answer: Value = serde_json::from_slice(&answer.expect("a whole answer")).expect("JSON");
        let response = &answer["response"];
        let profile = response["auditAnnotations"]["profile"].as_str();
        let message = response["status"]["message"].as_str();
        profile.or(message).unwrap_or("none").to_owned()
    }

    pub(super) fn gets(&self) -> usize {
        let is_get = |request: &Request| matches!(request, Request::Get(_));
        self.server.received(is_get)
    }

    pub(super) fn look_ups(&self, outcome: &str) -> Option<f64> {
        let series = format!("podseal_namespace_lookups_total{{outcome=\"{outcome}\"}}");
        self.podseal.metric(&series)
    }
}

pub(super) fn status(code: u16) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "message": "x"})
}
