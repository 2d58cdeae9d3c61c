//! What the tests share. A test binary uses some of it, never all.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    unreachable_pub,
    reason = "included by path, where nothing is reachable"
)]

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

pub mod balancer;
pub mod chart;
pub mod controlplane;
pub mod podseal;
pub mod review;
pub mod tether;
pub mod tls;
pub mod view;
pub mod wire;

/// Runs `command` with `input` on its standard input.
pub fn run(mut command: Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command can be started");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let input = input.to_owned();
    // From a thread: a command that writes much before it reads would block.
    let writer = std::thread::spawn(move || {
        // A command that fails early closes its end; its exit code tells.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect("the command ends");
    writer.join().expect("the writer does not panic");
    output
}

/// An HTTP client that trusts one certificate.
pub fn https_client(ca: &str) -> reqwest::ClientBuilder {
    // Fails where the process has a default provider already: the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(ca.as_bytes()).expect("a certificate");
    reqwest::Client::builder().tls_certs_only([ca]).no_proxy()
}

/// The runtime that all tests of the binary share.
static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("a runtime"));

/// Waits for `future` on the shared runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// Starts `task` on the shared runtime.
pub fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    RUNTIME.spawn(task)
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text of a fixture under `tests/fixtures`.
pub fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A pod of `tests/fixtures/pods`.
pub fn pod(name: &str) -> serde_json::Value {
    serde_json::from_str(&fixture(&format!("pods/{name}.json"))).expect("a fixture is JSON")
}
