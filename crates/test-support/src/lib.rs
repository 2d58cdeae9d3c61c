//! What the tests run: podseal, a control plane, helm, a node, and servers that
//! misbehave. It does not depend on podseal's core.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

pub mod balancer;
pub mod book;
pub mod chart;
pub mod controlplane;
pub mod device_plugin;
pub mod helm;
pub mod log;
pub mod node;
pub mod podseal;
pub mod proxy;
pub mod runner;
pub mod scripted;
pub mod scripted_kubelet;
pub mod simulated_node;
pub mod tether;
pub mod tls;
pub mod volume;
pub mod wait;
pub mod wire;

/// The root of the repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The podseal that cargo has built along with the tests.
pub fn program() -> PathBuf {
    // Cargo sets it for a test or a bench that it runs. A debugger does not.
    if let Some(program) = std::env::var_os("CARGO_BIN_EXE_podseal") {
        return program.into();
    }
    let test = std::env::current_exe().expect("this program has a path");
    let folder = test.parent().expect("it is in a folder");
    let profile = folder
        .parent()
        .expect("cargo builds tests in target/*/deps");
    profile.join("podseal")
}

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
        // A command that fails early closes its end; its exit code is
        // enough.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect("the command ends");
    writer.join().expect("the writer does not panic");
    output
}

/// What a command prints, where it succeeds. `what` is the command.
pub fn printed(what: &str, output: &Output) -> String {
    assert!(
        output.status.success(),
        "{what}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// An HTTP client that trusts one certificate.
pub fn https_client(ca: &str) -> reqwest::ClientBuilder {
    let ca = reqwest::Certificate::from_pem(ca.as_bytes()).expect("a certificate");
    http_client().tls_certs_only([ca])
}

/// An HTTP client.
fn http_client() -> reqwest::ClientBuilder {
    // Fails where the process has a default provider already: the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([]).no_proxy()
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
