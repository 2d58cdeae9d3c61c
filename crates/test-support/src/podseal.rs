//! The real `podseal serve`, as a process, with a throw-away certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::chart::manifests;
use crate::controlplane::{ControlPlane, PODSEAL, await_condition};
use crate::log::{ProcessLog, Unread};
use crate::tether::Tethered;

/// A serving podseal.
pub struct Podseal {
    /// Its process.
    pub process: Tethered,
    /// The certificate it serves, which is its own CA.
    pub ca: String,
    /// `https://127.0.0.1:PORT`
    pub url: String,
    /// `http://127.0.0.1:PORT`, of probes and metrics
    pub status_url: String,
    log: Arc<ProcessLog>,
    _certificate: Option<Arc<Certificate>>,
}

/// A throw-away serving certificate, which is its own CA.
pub struct Certificate {
    /// As PEM.
    pub pem: String,
    /// With `tls.crt` and `tls.key`.
    pub folder: tempfile::TempDir,
}

impl Certificate {
    /// A new one.
    pub fn new() -> Arc<Certificate> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pem = write_certificate(folder.path());
        Arc::new(Certificate { pem, folder })
    }
}

impl Podseal {
    /// Starts `podseal serve` for the cluster.
    pub fn for_cluster(plane: &ControlPlane) -> Podseal {
        Podseal::start(|command| {
            command.env("KUBECONFIG", plane.kubeconfig(PODSEAL));
        })
    }

    /// Starts `podseal serve` with namespaces from a file of this text.
    pub fn for_namespaces(namespaces: &str) -> Podseal {
        Podseal::with_namespaces(namespaces, &[])
    }

    /// The same, with more arguments.
    pub fn with_namespaces(namespaces: &str, arguments: &[&str]) -> Podseal {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(&file, namespaces).expect("the file can be written");
        Podseal::start(|command| {
            command.arg("--namespaces").arg(file.path()).args(arguments);
        })
    }

    /// Starts `podseal serve` with what `complete` adds to the command.
    pub fn start(complete: impl FnOnce(&mut Command)) -> Podseal {
        Podseal::replica(&Certificate::new(), complete)
    }

    /// One of several that serve the same certificate.
    pub fn replica(certificate: &Arc<Certificate>, complete: impl FnOnce(&mut Command)) -> Podseal {
        let folder = certificate.folder.path();
        let podseal = Podseal::with_certificate(folder, certificate.pem.clone(), complete);
        Podseal {
            _certificate: Some(Arc::clone(certificate)),
            ..podseal
        }
    }

    /// Starts `podseal serve` with `tls.crt` and `tls.key` of `folder`, which
    /// `ca` has issued.
    pub fn with_certificate(
        folder: &Path,
        ca: String,
        complete: impl FnOnce(&mut Command),
    ) -> Podseal {
        let mut command = Command::new(crate::program());
        command.arg("serve");
        complete(&mut command);
        Podseal::run(folder, ca, command)
    }

    /// Starts `podseal serve` by another program, `by`, which takes it as its last
    /// arguments.
    pub fn started_by(by: &[&str], complete: impl FnOnce(&mut Command)) -> Podseal {
        let certificate = Certificate::new();
        let (program, arguments) = by.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(arguments).arg(crate::program()).arg("serve");
        complete(&mut command);
        let podseal = Podseal::run(certificate.folder.path(), certificate.pem.clone(), command);
        Podseal {
            _certificate: Some(certificate),
            ..podseal
        }
    }

    fn run(folder: &Path, ca: String, mut command: Command) -> Podseal {
        let is_given = |command: &Command, flag: &str| command.get_args().any(|arg| arg == flag);
        if !is_given(&command, "--tls-mode") {
            command.arg("--tls-cert-file").arg(folder.join("tls.crt"));
            command
                .arg("--tls-private-key-file")
                .arg(folder.join("tls.key"));
        }
        for (flag, value) in [
            ("--listen", "127.0.0.1:0"),
            ("--status-listen", "127.0.0.1:0"),
            ("--log-format", "json"),
            ("--drain", "200ms"),
        ] {
            if !is_given(&command, flag) {
                command.args([flag, value]);
            }
        }
        let (process, stderr) = Tethered::piped(&command);
        let log = ProcessLog::of(stderr);
        let mut podseal = Podseal {
            process,
            ca,
            url: String::new(),
            status_url: String::new(),
            log,
            _certificate: None,
        };
        let serving = podseal.await_event(|event| address(event, "address").is_some());
        let address = |name| address(&serving, name).expect("it was looked for");
        podseal.url = format!("https://{}", address("address"));
        podseal.status_url = format!("http://{}", address("status_address"));
        podseal
    }

    /// Waits for the first log event that `wanted` selects.
    pub fn await_event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.log.await_event(wanted)
    }

    /// The record of what `webhook` decided on the pod called `name`.
    pub fn decision_on(&self, webhook: &str, name: &str) -> Value {
        self.await_event(|event| event["webhook"] == webhook && event["pod"] == name)
    }

    /// Whether the log has an event that `wanted` selects, by now.
    pub fn has_logged(&self, wanted: impl Fn(&Value) -> bool) -> bool {
        self.log.has_logged(wanted)
    }

    /// The webhook configurations users get, pointing at this process, which is
    /// the podseal of `site`.
    pub fn configurations_for(&self, site: &str) -> [Value; 2] {
        let client = |path: &str| json!({"url": format!("{}{path}", self.url)});
        let mut both = pointed(&self.ca, client);
        both.iter_mut().for_each(|one| restrict(one, site));
        both
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        let address = self.url.strip_prefix("https://").expect("a URL");
        address.parse().expect("an address")
    }

    /// An HTTP client that trusts this process's certificate.
    pub fn client(&self) -> reqwest::ClientBuilder {
        crate::https_client(&self.ca)
    }
}

/// An address in the event "serving", as JSON or as text.
fn address<'e>(event: &'e Value, name: &str) -> Option<&'e str> {
    match event {
        Value::String(line) => {
            let (_, fields) = line.split_once(" serving ")?;
            let (_, address) = fields.split_once(&format!("{name}="))?;
            address.split(' ').next()
        }
        event => event[name]
            .as_str()
            .filter(|_| event["message"] == "serving"),
    }
}

/// The webhook configurations users get: the mutating and the validating one.
pub fn registered() -> [Value; 2] {
    let deploy = include_str!("../../../deploy/podseal.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(deploy).expect("it is YAML");
    let of_kind = |kind: &str| {
        let found = objects.iter().find(|object| object["kind"] == kind);
        found.expect("deploy/ registers both").clone()
    };
    [
        of_kind("MutatingWebhookConfiguration"),
        of_kind("ValidatingWebhookConfiguration"),
    ]
}

/// The label of namespaces by which tests share a control plane: each site has a
/// podseal, which is called for the namespaces of its site alone.
pub const SITE: &str = "example.com/site";

/// Makes `configuration` one of `site`: named for it, and for its namespaces.
pub fn restrict(configuration: &mut Value, site: &str) {
    configuration["metadata"]["name"] = format!("podseal-{site}").into();
    let webhooks = configuration["webhooks"].as_array_mut();
    for webhook in webhooks.expect("webhooks") {
        webhook["namespaceSelector"]["matchLabels"][SITE] = site.into();
    }
}

/// The webhook configurations that users get, with `client` for each path.
fn pointed(ca: &str, client: impl Fn(&str) -> Value) -> [Value; 2] {
    use base64::Engine;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    registered().map(|mut configuration| {
        for webhook in configuration["webhooks"].as_array_mut().expect("webhooks") {
            let config = &mut webhook["clientConfig"];
            *config = client(config["service"]["path"].as_str().expect("a path"));
            config["caBundle"] = ca.as_str().into();
        }
        configuration
    })
}

/// The same through the Service `podseal`, as in production: the API server then
/// speaks HTTP/1.1. Without nodes the Service leads to this port of this host.
pub fn configurations_by_service(ca: &str, port: u16) -> String {
    let service = |path: &str| {
        let service =
            json!({"namespace": "podseal", "name": "podseal", "path": path, "port": port});
        json!({"service": service})
    };
    let configurations = manifests(&pointed(ca, service));
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: podseal}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: podseal, namespace: podseal}}\n\
         spec: {{type: ExternalName, externalName: localhost, ports: [{{port: {port}}}]}}\n\
         {configurations}"
    )
}

/// Writes `tls.crt` and `tls.key`, and returns the certificate.
pub fn write_certificate(folder: &Path) -> String {
    let names = ["127.0.0.1", "localhost", "podseal.podseal.svc"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let pem = made.cert.pem();
    std::fs::write(folder.join("tls.crt"), &pem).expect("the folder can be written");
    let key = made.signing_key.serialize_pem();
    std::fs::write(folder.join("tls.key"), key).expect("the folder can be written");
    pem
}

impl Podseal {
    /// What the status port answers at `path`: the code and the text.
    pub fn status(&self, path: &str) -> (u16, String) {
        status(&self.status_url, path)
    }

    /// The value of a series, such as `podseal_shed_total{reason="memory"}`.
    pub fn metric(&self, series: &str) -> Option<f64> {
        metric(&self.status_url, series)
    }

    /// Waits until a series has at least this value.
    pub fn await_metric(&self, series: &str, value: f64) {
        let reached = || self.metric(series).is_some_and(|now| now >= value);
        await_condition(series, reached, || format!("{:?}", self.metric(series)));
    }

    /// Stops to read its log, all but one line, until the result is dropped.
    pub fn stop_reading_log(&self) -> Unread {
        self.log.stop_reading()
    }

    /// Waits until its log has ended, and returns it.
    pub fn ended_log(&self) -> Vec<String> {
        self.log.await_end();
        self.log.lines()
    }

    /// The log so far, as it was written.
    pub fn lines(&self) -> Vec<String> {
        self.log.lines()
    }
}

/// What the status port at this URL answers at `path`: the code and the text.
pub(crate) fn status(url: &str, path: &str) -> (u16, String) {
    let url = format!("{url}{path}");
    let answer = async {
        let client = crate::http_client().build().expect("a client");
        let response = client.get(url).send();
        let response = response.await.expect("an answer");
        let code = response.status().as_u16();
        (code, response.text().await.expect("a text"))
    };
    crate::block_on(answer)
}

/// The value of a series at the status port of this URL.
pub(crate) fn metric(url: &str, series: &str) -> Option<f64> {
    let (_, text) = status(url, "/metrics");
    let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value)
}
