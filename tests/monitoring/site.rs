//! The podseals that are scraped: two replicas that keep their certificates
//! themselves, in a real cluster, and one that has them from files.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cases::review::{job_review, review};
use reqwest::Method;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;
use support::controlplane::{ADMIN, ControlPlane, PODSEAL, await_condition};
use support::device_plugin::DevicePlugin;
use support::podseal::Podseal;
use support::scripted_kubelet::ScriptedKubelet;
use support::tls::{self, Authority, Issued, Stream};
use support::wire;

use crate::scrape::{Sample, samples};

/// The labels of a target that a PodMonitor leads to.
pub(crate) const TARGET_LABELS: [&str; 6] = [
    "container",
    "endpoint",
    "instance",
    "job",
    "namespace",
    "pod",
];

/// The label that the chart adds to those of the device plugin.
pub(crate) const NODE_LABEL: &str = "node";

/// The namespaces of the cluster: podseal's own, one that enforces and one that
/// only warns.
const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: podseal}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ci, labels: {podseal.io/profile: rootless}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: warns, labels: {podseal.io/profile: rootless, podseal.io/mode: warn}}}
";

/// A profile of the site's own.
const OURS: &str = "
{name: ours, extends: rootless, summary: as 2000, containers: {build: {set: {securityContext: {runAsUser: 2000}}}}}
";

pub(crate) static SITE: LazyLock<Site> = LazyLock::new(Site::scraped);

/// What was scraped.
pub(crate) struct Site {
    /// Two replicas whose certificates are self-managed.
    pub(crate) replicas: Vec<Scraped>,
    /// A podseal whose certificate comes from files, while it is well.
    pub(crate) with_files: Vec<Sample>,
    /// A device plugin that the kubelet knows, on a node with the device.
    pub(crate) plugin: Vec<Sample>,
    /// One of the scrapes as it was.
    pub(crate) text: String,
    /// When, in seconds since 1970.
    pub(crate) time: u64,
}

/// A replica, as it was at different times.
pub(crate) struct Scraped {
    /// Ready, and asked nothing yet.
    pub(crate) idle: Vec<Sample>,
    /// After reviews as there are every day.
    pub(crate) busy: Vec<Sample>,
    /// After all kinds of trouble.
    pub(crate) troubled: Vec<Sample>,
}

impl Site {
    fn scraped() -> Site {
        let plane = ControlPlane::start();
        plane.apply(ADMIN, CLUSTER);
        plane.allow_self_managed("podseal", "podseal");
        let clients = Clients::new();
        let podseals = [clients.podseal(&plane), clients.podseal(&plane)];
        for podseal in &podseals {
            await_ready(podseal);
        }
        let ca = authority(&plane);
        let idle = podseals.each_ref().map(scrape);
        podseals
            .iter()
            .for_each(|podseal| clients.review(podseal, &ca));
        let busy = podseals.each_ref().map(scrape);
        podseals
            .iter()
            .for_each(|podseal| clients.trouble(podseal, &ca));
        let troubled = podseals.each_ref().map(scrape);
        let (_, text) = podseals[0].status("/metrics");
        let times = idle.into_iter().zip(busy).zip(troubled);
        let replicas = times.map(|((idle, busy), troubled)| Scraped {
            idle,
            busy,
            troubled,
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Site {
            replicas: replicas.collect(),
            with_files: with_files(&plane),
            plugin: plugin(),
            text,
            time: now.expect("after 1970").as_secs(),
        }
    }
}

fn with_files(plane: &ControlPlane) -> Vec<Sample> {
    let podseal = Podseal::for_cluster(plane);
    await_ready(&podseal);
    scrape(&podseal)
}

fn plugin() -> Vec<Sample> {
    let (sockets, dev) = (tempfile::tempdir(), tempfile::tempdir());
    let (sockets, dev) = (sockets.expect("a folder"), dev.expect("a folder"));
    let _kubelet = ScriptedKubelet::start(sockets.path());
    let plugin = DevicePlugin::start(sockets.path(), dev.path(), |_| {});
    plugin.await_metric("registered", 1.0);
    let (code, text) = plugin.status("/metrics");
    assert_eq!(code, 200);
    let mut samples = samples(&text);
    // Only root can make a device.
    let healthy = samples
        .iter_mut()
        .find(|sample| sample.name == "podseal_device_plugin_device_healthy");
    healthy.expect("it says whether there is one").value = 1.0;
    samples
}

fn await_ready(podseal: &Podseal) {
    podseal.await_event(|event| event["message"] == "ready");
}

fn scrape(podseal: &Podseal) -> Vec<Sample> {
    let (code, text) = podseal.status("/metrics");
    assert_eq!(code, 200);
    samples(&text)
}

/// The authority of podseal's own certificate, as its Secret has it.
fn authority(plane: &ControlPlane) -> String {
    let path = "/api/v1/namespaces/podseal/secrets/podseal-tls";
    let (code, secret) = plane.request(ADMIN, Method::GET, path, None);
    assert_eq!(code, 200, "{secret:#}");
    let pem = STANDARD.decode(secret["data"]["ca.crt"].as_str().expect("a text"));
    String::from_utf8(pem.expect("base64")).expect("PEM")
}

/// Those who call podseal: an API server with a certificate, and others.
struct Clients {
    identity: Issued,
    authority: Authority,
    folder: tempfile::TempDir,
}

impl Clients {
    fn new() -> Clients {
        let authority = Authority::new("clients");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.crt"), &authority.pem).expect("a file");
        fs::create_dir(folder.path().join("profiles")).expect("a folder");
        fs::write(folder.path().join("profiles/ours.yaml"), OURS).expect("a file");
        Clients {
            identity: authority.issue(),
            authority,
            folder,
        }
    }

    fn client_ca(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.crt")
    }

    fn profiles(&self) -> std::path::PathBuf {
        self.folder.path().join("profiles")
    }

    /// A podseal that answers them, and holds no more than one large review.
    fn podseal(&self, plane: &ControlPlane) -> Podseal {
        Podseal::start(|command| {
            command.env("KUBECONFIG", plane.kubeconfig(PODSEAL));
            command.args(["--tls-mode", "self-managed", "--namespace", "podseal"]);
            command.args(["--max-body-memory", "1200KiB"]);
            command.arg("--client-ca").arg(self.client_ca());
            command.arg("--profiles").arg(self.profiles());
        })
    }

    /// What there is every day: jobs that are corrected, pods that may pass, some
    /// that are denied, and some that are warned of.
    fn review(&self, podseal: &Podseal, ca: &str) {
        let mut privileged = cases::fixture("default-with-service");
        privileged["metadata"]["labels"] = json!({});
        privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
        let harmless = json!({"metadata": {"name": "p"}, "spec": {"containers": []}});
        let mut update = review("u", "ci", &harmless);
        update["request"]["operation"] = "UPDATE".into();
        update["request"]["oldObject"] = harmless.clone();
        for (path, body) in [
            ("/mutate", job_review("u", "ci")),
            ("/validate", review("u", "ci", &harmless).to_string()),
            ("/validate", review("u", "ci", &privileged).to_string()),
            ("/validate", review("u", "warns", &privileged).to_string()),
            ("/validate", update.to_string()),
        ] {
            let answer = self.post(podseal, ca, path, &body);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    /// All that ought not to be.
    fn trouble(&self, podseal: &Podseal, ca: &str) {
        self.post(podseal, ca, "/mutate", "{");
        self.post(podseal, ca, "/elsewhere", "");
        self.post(podseal, ca, "/validate", &job_review("u", "nowhere"));
        // One who holds the memory there is, or another after a while: where the
        // review before has not given its own back yet, it is the holder that is shed,
        // and told so only when its last byte comes.
        let (mut holder, mut tried) = (None, 0);
        let is_shed = || {
            if tried % 20 == 0 {
                holder = Some(self.hold(podseal, ca));
            }
            tried += 1;
            self.post(podseal, ca, "/mutate", &job_review("u", "ci"));
            podseal.metric(r#"podseal_shed_total{reason="memory"}"#) > Some(0.0)
        };
        await_condition("a review is shed", is_shed, String::new);
        // One who trusts somebody else, one who shows nothing, one who speaks no TLS.
        let stranger = Authority::new("another");
        let mut distrusts = connect(podseal, &stranger.pem, Some(&self.identity));
        distrusts.flush().expect_err("podseal is not trusted");
        let mut anonymous = connect(podseal, ca, None);
        let _ = anonymous.write_all(b"GET / HTTP/1.1\r\n\r\n");
        let _ = anonymous.read_to_end(&mut Vec::new());
        let mut plain = TcpStream::connect(podseal.address()).expect("podseal listens");
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
        for reason in ["peer_alert", "not_tls"] {
            let series = format!("podseal_tls_handshake_failures_total{{reason=\"{reason}\"}}");
            podseal.await_metric(&series, 1.0);
        }
        let series = r#"podseal_tls_handshake_failures_total{reason="client_certificate"}"#;
        // The first is the self-probe's.
        podseal.await_metric(series, 2.0);
        // Files that cannot be used, and then others that can.
        fs::write(self.client_ca(), "no certificate").expect("a file");
        podseal.await_metric(
            r#"podseal_certificate_reloads_total{certificate="client_ca",result="failed"}"#,
            1.0,
        );
        fs::write(self.client_ca(), &self.authority.pem).expect("a file");
        let series = r#"podseal_certificate_reload_failing{certificate="client_ca"}"#;
        let is_mended = || podseal.metric(series) == Some(0.0);
        await_condition("the files are in order", is_mended, String::new);
        fs::write(self.profiles().join("ours.yaml"), "name: ours").expect("a file");
        podseal.await_metric("podseal_profiles_reload_failing", 1.0);
        let others = OURS.replace("2000", "3000");
        fs::write(self.profiles().join("ours.yaml"), others).expect("a file");
        let is_mended = || podseal.metric("podseal_profiles_reload_failing") == Some(0.0);
        await_condition("the profiles are in order", is_mended, String::new);
    }

    /// Posts one large review, of which the last byte does not come.
    fn hold(&self, podseal: &Podseal, ca: &str) -> Stream {
        let large = json!({"spec": {"x": "x".repeat(500_000)}});
        let request = wire::post("/mutate", &review("u", "ci", &large).to_string());
        let mut holder = connect(podseal, ca, Some(&self.identity));
        let all_but_one = &request[..request.len() - 1];
        holder.write_all(all_but_one).expect("sent");
        holder.flush().expect("sent");
        holder
    }

    /// Posts as the API server, and returns the answer.
    fn post(&self, podseal: &Podseal, ca: &str, path: &str, body: &str) -> String {
        let mut stream = connect(podseal, ca, Some(&self.identity));
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: podseal\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body.as_bytes()).expect("sent");
        stream.flush().expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

/// A connection to podseal by the name of its Service.
fn connect(podseal: &Podseal, ca: &str, identity: Option<&Issued>) -> Stream {
    let config = tls::client(ca, rustls::DEFAULT_VERSIONS, identity);
    let stream = TcpStream::connect(podseal.address()).expect("podseal listens");
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a timeout");
    let name = ServerName::try_from("podseal.podseal.svc").expect("a name");
    let client = ClientConnection::new(Arc::clone(&config), name).expect("a client");
    StreamOwned::new(client, stream)
}
