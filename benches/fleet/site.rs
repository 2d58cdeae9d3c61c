//! An API server with namespaces, and podseal, which it calls as the chart registers it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::block_on;
use support::chart::{rendered, the};
use support::controlplane::{ADMIN, ControlPlane, PODSEAL, await_condition};

use super::identity::Identity;
use super::server::Server;

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
}

impl Site {
    pub(crate) fn start() -> Site {
        let site = Site {
            plane: ControlPlane::start(),
            identity: Identity::new(),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        let objects = rendered("rules", &[RULES]).expect("the chart renders its rules");
        let text = the("ConfigMap", &objects)["data"]["defaults.yaml"].as_str();
        std::fs::write(site.rules(), text.expect("a text")).expect("the folder can be written");
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
        let named = std::env::var_os("BENCH_PODSEAL").filter(|path| !path.is_empty());
        let binary = named.map_or_else(|| env!("CARGO_BIN_EXE_podseal").into(), PathBuf::from);
        let mut command = Command::new(binary);
        command.args(["serve", "--log-format", "json"]);
        command.args(["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"]);
        command
            .arg("--tls-cert-file")
            .arg(self.identity.certificate());
        command
            .arg("--tls-private-key-file")
            .arg(self.identity.key());
        command.arg("--namespace-rules").arg(self.rules());
        command.env("KUBECONFIG", self.plane.kubeconfig(PODSEAL));
        Server::start(&command)
    }

    /// Milliseconds from the start to ready: the median.
    pub(crate) fn time_to_ready(&self) -> f64 {
        let one = |_| {
            let start = Instant::now();
            self.start_podseal().await_ready();
            start.elapsed().as_secs_f64() * 1e3
        };
        let mut times: Vec<f64> = (0..STARTS).map(one).collect();
        times.sort_by(f64::total_cmp);
        times[STARTS / 2]
    }

    /// Registers the webhooks of the chart, with the rule, and waits until the API server
    /// calls them. The Service leads to the process, as without nodes it can.
    pub(crate) fn register(&self, podseal: &Server) {
        use base64::Engine;
        let (_, port) = podseal.address.rsplit_once(':').expect("a port");
        let port: u16 = port.parse().expect("a port");
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.identity.ca);
        let mut items = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podseal"}}),
            json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "podseal", "namespace": "podseal"},
                "spec": {"type": "ExternalName", "externalName": "localhost",
                    "ports": [{"port": port}]}}),
        ];
        for mut object in rendered("webhooks", &[RULES]).expect("the chart renders its webhooks") {
            for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
                webhook["clientConfig"]["caBundle"] = ca.clone().into();
                webhook["clientConfig"]["service"]["port"] = port.into();
            }
            items.push(object);
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.plane.apply(ADMIN, &list.to_string());
        self.plane.create_namespace(&unlabelled("ci-job-first"));
        for namespace in [LABELLED, "ci-job-first"] {
            let is_corrected = || {
                let (_, answer) = self.plane.try_pod(namespace, &pod("first"));
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
        let start = Instant::now();
        // A podseal of before does not know those of rules.
        while !is_known() && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How often podseal asked the API server, for namespaces, by this verb.
    pub(crate) fn asked(&self, verb: &str) -> usize {
        let events = self.plane.audit_events();
        let is_podseals = |event: &&Value| {
            let user = event["user"]["username"].as_str().unwrap_or_default();
            event["verb"] == verb
                && event["objectRef"]["resource"] == "namespaces"
                && user == "system:serviceaccount:podseal:podseal"
        };
        events.iter().filter(is_podseals).count()
    }
}

/// The pod of a real job, with this name.
pub(crate) fn pod(name: &str) -> Value {
    let mut pod = cases::fixture("default-with-service");
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("namespace");
    metadata.insert("name".to_owned(), name.into());
    pod
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
