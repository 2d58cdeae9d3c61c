//! The real `podseal serve`, as a process, with a throw-away certificate.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStderr, Command};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::controlplane::{ControlPlane, PODSEAL};
use super::tether::Tethered;

/// A serving podseal.
pub struct Podseal {
    /// Its process.
    pub process: Tethered,
    /// The certificate it serves, which is its own CA.
    pub ca: String,
    /// `https://127.0.0.1:PORT`
    pub url: String,
    log: Arc<Log>,
    _folder: tempfile::TempDir,
}

#[derive(Default)]
struct Log {
    state: Mutex<(Vec<Value>, bool)>,
    lines: Mutex<Vec<String>>,
    more: Condvar,
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
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(&file, namespaces).expect("the file can be written");
        Podseal::start(|command| {
            command.arg("--namespaces").arg(file.path());
        })
    }

    /// Starts `podseal serve` with what `complete` adds to the command.
    pub fn start(complete: impl FnOnce(&mut Command)) -> Podseal {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ca = write_certificate(folder.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        complete(&mut command);
        if !command.get_args().any(|arg| arg == "--tls-mode") {
            let files = [
                ("--tls-cert-file", "tls.crt"),
                ("--tls-private-key-file", "tls.key"),
            ];
            for (option, name) in files {
                command.arg(option).arg(folder.path().join(name));
            }
        }
        if !command.get_args().any(|arg| arg == "--log-format") {
            command.args(["--log-format", "json"]);
        }
        let (process, stderr) = Tethered::piped(&command);
        let log = Arc::new(Log::default());
        let reader = Arc::clone(&log);
        std::thread::spawn(move || reader.follow(stderr));
        let mut podseal = Podseal {
            process,
            ca,
            url: String::new(),
            log,
            _folder: folder,
        };
        let serving = podseal.await_event(|event| address(event).is_some());
        let address = address(&serving).expect("it was looked for");
        podseal.url = format!("https://{address}");
        podseal
    }

    /// Waits for the first log event that `wanted` says.
    pub fn await_event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let patience = Duration::from_secs(60);
        let state = self.log.state.lock().expect("the reader does not panic");
        let missing = |state: &mut (Vec<Value>, bool)| !state.1 && !state.0.iter().any(&wanted);
        let (state, _) = self
            .log
            .more
            .wait_timeout_while(state, patience, missing)
            .expect("the reader does not panic");
        let found = state.0.iter().find(|event| wanted(event));
        found
            .cloned()
            .unwrap_or_else(|| panic!("no such event in the log: {:#?}", state.0))
    }

    /// The record of what `webhook` decided on the pod called `name`.
    pub fn decision_on(&self, webhook: &str, name: &str) -> Value {
        self.await_event(|event| event["webhook"] == webhook && event["pod"] == name)
    }

    /// Whether the log holds an event that `wanted` says, by now.
    pub fn has_logged(&self, wanted: impl Fn(&Value) -> bool) -> bool {
        let state = self.log.state.lock().expect("the reader does not panic");
        state.0.iter().any(wanted)
    }

    /// The webhook configurations users get, pointing at this process.
    pub fn configurations(&self) -> String {
        let mutating = include_str!("../../deploy/mutating-webhook-configuration.yaml");
        let validating = include_str!("../../deploy/validating-webhook-configuration.yaml");
        [mutating, validating]
            .map(|yaml| self.configuration(yaml))
            .join("\n---\n")
    }

    fn configuration(&self, yaml: &str) -> String {
        use base64::Engine;
        let mut configuration: Value = serde_saphyr::from_str(yaml).expect("it is YAML");
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.ca);
        for webhook in configuration["webhooks"].as_array_mut().expect("webhooks") {
            let client = &mut webhook["clientConfig"];
            let path = client["service"]["path"]
                .as_str()
                .expect("a path")
                .to_owned();
            *client = serde_json::json!({"url": format!("{}{path}", self.url), "caBundle": ca});
        }
        configuration.to_string()
    }

    /// An HTTP client that trusts this process's certificate.
    pub fn client(&self) -> reqwest::ClientBuilder {
        super::https_client(&self.ca)
    }
}

/// The address that the event "serving" tells, as JSON or as text.
fn address(event: &Value) -> Option<&str> {
    match event {
        Value::String(line) => {
            let (_, address) = line.split_once(" serving address=")?;
            address.split(' ').next()
        }
        event => event["address"]
            .as_str()
            .filter(|_| event["message"] == "serving"),
    }
}

impl Log {
    fn follow(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { break };
            let mut lines = self.lines.lock().expect("no reader panics");
            lines.push(line.clone());
            drop(lines);
            let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
            self.state.lock().expect("no waiter panics").0.push(event);
            self.more.notify_all();
        }
        self.state.lock().expect("no waiter panics").1 = true;
        self.more.notify_all();
    }
}

/// Writes `tls.crt` and `tls.key`, and returns the certificate.
pub fn write_certificate(folder: &Path) -> String {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let pem = made.cert.pem();
    std::fs::write(folder.join("tls.crt"), &pem).expect("the folder can be written");
    let key = made.signing_key.serialize_pem();
    std::fs::write(folder.join("tls.key"), key).expect("the folder can be written");
    pem
}

impl Podseal {
    /// The log so far, as it was written.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.log.lines.lock();
        lines.expect("the reader does not panic").clone()
    }
}
