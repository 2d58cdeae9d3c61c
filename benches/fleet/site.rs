//! An API server with namespaces, and podseal, which it calls as the chart registers it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use cases::job;
use reqwest::Method;
use serde_json::{Value, json};
use support::block_on;
use support::chart::rules_file;
use support::controlplane::{ADMIN, ControlPlane, PODSEAL, await_condition};

use super::common::identity::Identity;
use super::common::program;
use super::common::server::{Server, time_to_ready};

/// A namespace with the label.
pub(crate) const LABELLED: &str = "labelled";
/// A namespace that podseal is not called for.
pub(crate) const ELSEWHERE: &str = "elsewhere";
/// The value that makes the rule.
const RULES: &str =
    r#"namespaceRules=[{"name":"jobs","namespaces":{"prefix":"ci-job-"},"profile":"rootless"}]"#;
/// How often podseal is started to measure the time.
const STARTS: usize = 5;

/// The API server, and what podseal needs.
pub(crate) struct Site {
    pub(crate) plane: ControlPlane,
    identity: Identity,
    folder: tempfile::TempDir,
    /// How many places in the audit log were marked.
    marks: AtomicUsize,
}

impl Site {
    pub(crate) fn start() -> Site {
        let site = Site {
            plane: ControlPlane::start(),
            identity: Identity::new(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            marks: AtomicUsize::default(),
        };
        let rules = rules_file(&[RULES]);
        std::fs::write(site.rules(), rules).expect("the folder can be written");
        site.plane.create_namespace(&labelled(LABELLED));
        site.plane.create_namespace(&unlabelled(ELSEWHERE));
        site
    }

    fn rules(&self) -> PathBuf {
        self.folder.path().join("rules.yaml")
    }

    /// A podseal that is ready.
    pub(crate) fn podseal(&self) -> Server {
        let server = self.start_podseal();
        server.await_ready();
        server
    }

    fn start_podseal(&self) -> Server {
        let mut command = program::podseal(&program::binary(), &self.identity);
        command.arg("--namespace-rules").arg(self.rules());
        command.env("KUBECONFIG", self.plane.kubeconfig(PODSEAL));
        // As the chart sets it.
        command.env("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072");
        Server::start(&command)
    }

    /// Milliseconds from the start to ready: the median.
    pub(crate) fn time_to_ready(&self) -> f64 {
        time_to_ready(STARTS, || self.start_podseal())
    }

    /// Registers the webhooks of the chart, with the rule, and waits until the API server
    /// calls them.
    pub(crate) fn register(&self, podseal: &Server) {
        let (_, port) = podseal.address.rsplit_once(':').expect("a port");
        let port = port.parse().expect("a port");
        self.plane.register(&[RULES], &self.identity.ca, port);
        self.plane.create_namespace(&unlabelled("ci-job-first"));
        for namespace in [LABELLED, "ci-job-first"] {
            let is_corrected = || {
                let (_, answer) = self.plane.try_pod(namespace, &job("first"));
                answer["metadata"]["annotations"]["podseal.io/corrected-as"].is_string()
                    || answer["spec"]["containers"][0]["securityContext"]["runAsUser"].is_u64()
            };
            await_condition("the API server calls podseal", is_corrected, String::new);
        }
        self.plane.remove_namespace("ci-job-first");
    }

    /// Waits until podseal knows all namespaces of a kind, and one with the label.
    pub(crate) fn await_known(&self, podseal: &Server, count: usize) {
        let is_known = || metric(podseal, "podseal_namespaces_cached") == (count + 1) as f64;
        await_condition("podseal knows all namespaces", is_known, String::new);
    }

    /// How often podseal asked the API server, for namespaces, by this verb.
    pub(crate) fn asked(&self, verb: &str) -> usize {
        let events = self.events_until_now();
        let is_podseals = |event: &&Value| {
            let user = event["user"]["username"].as_str().unwrap_or_default();
            event["verb"] == verb
                && event["objectRef"]["resource"] == "namespaces"
                && user == "system:serviceaccount:podseal:podseal"
        };
        events.iter().filter(is_podseals).count()
    }

    /// The API server's audit log, with an event of all that was answered before: events are
    /// written in their order, a moment after the answers.
    fn events_until_now(&self) -> Vec<Value> {
        let last = format!("last-{}", self.marks.fetch_add(1, Ordering::SeqCst));
        let path = format!("/api/v1/namespaces/{ELSEWHERE}/pods/{last}");
        self.plane.request(ADMIN, Method::GET, &path, None);
        let mut events = Vec::new();
        let is_written = || {
            events = self.plane.audit_events();
            events
                .iter()
                .any(|event| event["objectRef"]["name"] == *last)
        };
        await_condition("the audit log has all events", is_written, String::new);
        events
    }
}

pub(crate) fn unlabelled(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

pub(crate) fn labelled(name: &str) -> Value {
    let mut namespace = unlabelled(name);
    namespace["metadata"]["labels"] = json!({"podseal.io/profile": "rootless"});
    namespace
}

/// The sum of a metric of podseal, over its labels.
pub(crate) fn metric(podseal: &Server, name: &str) -> f64 {
    let address = podseal
        .status_address
        .as_ref()
        .expect("podseal has metrics");
    let text = block_on(async {
        let client = reqwest::Client::builder()
            .tls_certs_only([])
            .no_proxy()
            .build();
        let request = client
            .expect("a client")
            .get(format!("http://{address}/metrics"));
        let answer = request.send().await.expect("an answer");
        answer.text().await.expect("a text")
    });
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let is_it = series == name || series.strip_prefix(name)?.starts_with('{');
        is_it.then(|| value.parse::<f64>().ok()).flatten()
    };
    text.lines().filter_map(value).sum()
}
