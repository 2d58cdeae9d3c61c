//! A real etcd and kube-apiserver on free loopback ports.

mod config;
mod etcd;
mod kubeconfig;
mod namespaces;
mod requests;
mod webhooks;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;

use self::config::{AUDIT, DEBUGGER_MAY_ATTACH, READS_NAMESPACES, SELF_MANAGED, TOKENS};
use crate::tether::Tethered;
pub use crate::wait::await_condition;

/// Users the API server knows, each by a token of the same name.
pub const ADMIN: &str = "admin";
/// The service account GitLab Runner creates job pods as.
pub const RUNNER: &str = "runner";
/// A user who may add ephemeral containers, and nothing else.
pub const DEBUGGER: &str = "debugger";
/// The service account podseal runs as.
pub const PODSEAL: &str = "podseal";

/// The timeout of one request to `/readyz`.
const READYZ_TIMEOUT: Duration = Duration::from_secs(5);

/// Held while a control plane starts: an API server that starts keeps two processors busy for
/// seconds, so several at once would all be ready late.
static STARTING: Mutex<()> = Mutex::new(());

/// A control plane: etcd and an API server. No controllers, no nodes: a created
/// pod stays Pending, which is all that admission needs.
pub struct ControlPlane {
    bin: PathBuf,
    folder: PathBuf,
    apiserver_port: u16,
    etcd_port: u16,
    http: reqwest::Client,
    flags: &'static [&'static str],
    apiserver: Mutex<Option<Tethered>>,
    // Declared after the API server: it outlives it, and takes the folder along.
    _etcd: Tethered,
}

impl ControlPlane {
    /// Starts one, and waits until it is ready.
    pub fn start() -> ControlPlane {
        ControlPlane::start_with(&[])
    }

    /// Starts one whose API server also has these flags.
    pub fn start_with(flags: &'static [&'static str]) -> ControlPlane {
        let plane = ControlPlane::start_empty(flags);
        plane.apply(ADMIN, READS_NAMESPACES);
        plane
    }

    /// Starts one that has never heard of podseal, for its chart.
    pub fn start_empty(flags: &'static [&'static str]) -> ControlPlane {
        let bin = binaries();
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new()
            .prefix("podseal-controlplane-")
            .tempdir();
        // From here on the keeper of etcd removes it, even after a kill.
        let folder = folder.expect("a temporary folder").keep();
        let ca = write_files(&folder);
        let (etcd, etcd_port) = etcd::start(&bin, &folder);
        let plane = ControlPlane {
            bin,
            folder,
            apiserver_port: free_port(),
            etcd_port,
            http: crate::https_client(&ca).build().expect("a client"),
            flags,
            apiserver: Mutex::new(None),
            _etcd: etcd,
        };
        plane.start_apiserver();
        plane.apply(ADMIN, crate::runner::RBAC);
        plane.apply(ADMIN, DEBUGGER_MAY_ATTACH);
        plane
    }

    /// Ends the API server, as a crash would.
    pub fn stop_apiserver(&self) {
        *self.apiserver() = None;
    }

    /// Starts the API server, on the port it had before, and waits for it.
    pub fn start_apiserver(&self) {
        self.start_apiserver_with(&[]);
    }

    /// The same, with more flags.
    pub fn start_apiserver_with(&self, flags: &[&str]) {
        let port = self.apiserver_port.to_string();
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut command = Command::new(self.bin.join("kube-apiserver"));
        command
            .args([
                "--etcd-servers",
                &format!("http://127.0.0.1:{}", self.etcd_port),
            ])
            .args(["--bind-address", "127.0.0.1", "--secure-port", &port])
            .args(["--tls-cert-file", &file("apiserver.crt")])
            .args(["--tls-private-key-file", &file("apiserver.key")])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .args(["--service-account-key-file", &file("apiserver.pub")])
            .args(["--service-account-signing-key-file", &file("apiserver.key")])
            .args(["--token-auth-file", &file("tokens.csv")])
            .args(["--authorization-mode", "RBAC"])
            .args(["--service-cluster-ip-range", "10.96.0.0/16"])
            .args(["--disable-admission-plugins", "ServiceAccount"])
            .args(["--cert-dir", &file("certs")])
            .args(["--audit-policy-file", &file("audit.yaml")])
            .args(["--audit-log-path", &file("audit.log")])
            .arg("--allow-privileged")
            .args(self.flags)
            .args(flags);
        // Its calls of webhooks stay on this machine.
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_lowercase());
        }
        let log = self.folder.join("apiserver.log");
        *self.apiserver() = Some(Tethered::start(&command, &log, None));
        // Not kubectl: a process for each request would keep a processor busy that the API
        // server needs.
        let url = format!("https://127.0.0.1:{port}/readyz");
        let ready = || {
            let request = self
                .http
                .get(&url)
                .bearer_auth(ADMIN)
                .timeout(READYZ_TIMEOUT);
            crate::block_on(async {
                let response = request.send().await;
                response.is_ok_and(|response| response.status().is_success())
            })
        };
        await_condition("the API server is ready", ready, || tail(&log));
    }

    fn apiserver(&self) -> MutexGuard<'_, Option<Tethered>> {
        self.apiserver.lock().expect("no holder panics")
    }

    /// The API server's audit log so far. An event is written after its answer
    /// is sent, so it has to be awaited.
    pub fn audit_events(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.folder.join("audit.log")).unwrap_or_default();
        // The last line may be half written.
        let events = log.lines().map(serde_json::from_str);
        events.filter_map(Result::ok).collect()
    }

    /// Where a program of the control plane is, such as `helm`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// A folder that is removed with the control plane.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The certificate of the API server, which is its own authority.
    pub fn certificate(&self) -> String {
        let path = self.folder.join("apiserver.crt");
        std::fs::read_to_string(path).expect("it was written at the start")
    }

    /// The port that the API server listens on.
    pub fn apiserver_port(&self) -> u16 {
        self.apiserver_port
    }

    /// Lets podseal keep its certificates in `namespace`, and the `caBundle` of
    /// the two configurations called `configuration`.
    pub fn allow_self_managed(&self, namespace: &str, configuration: &str) {
        let rbac = SELF_MANAGED
            .replace("NAMESPACE", namespace)
            .replace("CONFIGURATION", configuration);
        self.apply(ADMIN, &rbac);
    }

    /// The CPU time that the API server has used, in user and kernel mode.
    ///
    /// # Panics
    /// If it does not run.
    pub fn apiserver_cpu(&self) -> Duration {
        let apiserver = self.apiserver();
        apiserver.as_ref().expect("it runs").cpu()
    }
}

/// Writes what the API server reads, and returns its certificate.
fn write_files(folder: &Path) -> String {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("the folder can be written");
    };
    let certificate = made.cert.pem();
    write("apiserver.crt", &certificate);
    write("apiserver.key", &made.signing_key.serialize_pem());
    write("apiserver.pub", &made.signing_key.public_key_pem());
    write("tokens.csv", TOKENS);
    write("audit.yaml", AUDIT);
    certificate
}

/// A port without a listener, below those that the kernel uses for outgoing
/// connections: one of these could otherwise take it before its listener does, or
/// while the API server is away.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    // Each test process starts at another one, since they may run at the same
    // time.
    let start = std::process::id().wrapping_mul(61);
    let mut ports = std::iter::repeat_with(|| {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + step % COUNT).expect("it is below 32000")
    });
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports
        .by_ref()
        .take(COUNT as usize)
        .find(is_free)
        .expect("one port is free")
}

/// Where `tests/controlplane/build.sh` puts the binaries, built if need be.
pub fn binaries() -> PathBuf {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let script = Path::new(crate::ROOT).join("tests/controlplane/build.sh");
        let mut command = Command::new(script);
        command.stderr(std::process::Stdio::inherit());
        let output = command.output().expect("bash can be started");
        assert!(
            output.status.success(),
            "the control plane could not be built"
        );
        PathBuf::from(crate::text(&output.stdout).trim())
    };
    BINARIES.get_or_init(build).clone()
}

fn tail(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
