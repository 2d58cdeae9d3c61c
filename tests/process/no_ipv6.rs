//! `podseal serve` where the kernel has no IPv6 (`ipv6.disable=1`).
//!
//! No network namespace is without IPv6 in the same way, so the process gets a
//! `socket` that answers as such a kernel.

use std::process::Command;

use support::podseal::{Certificate, Podseal};
use support::text;

const SOCKET: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int socket(int domain, int type, int protocol) {
    if (domain == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return syscall(SYS_socket, domain, type, protocol);
}
"#;

/// The library with that `socket`, in a folder that is removed with the value.
fn library() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("socket.c");
    std::fs::write(&source, SOCKET).expect("the folder can be written");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-o"]);
    command.arg(folder.path().join("socket.so")).arg(&source);
    let output = support::run(command, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder
}

fn without_ipv6(command: &mut Command, library: &tempfile::TempDir) {
    command.env("LD_PRELOAD", library.path().join("socket.so"));
}

#[test]
fn both_ports_listen_on_ipv4_instead_and_the_log_says_so() {
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&namespaces, "{kind: Namespace, metadata: {name: ci}}").expect("written");
    let library = library();
    let podseal = Podseal::start(|command| {
        without_ipv6(command, &library);
        command.args(["--listen", "[::]:0", "--status-listen", "[::]:0"]);
        command.arg("--namespaces").arg(namespaces.path());
    });
    for flag in ["--listen", "--status-listen"] {
        let logged = podseal.await_event(|event| event["flag"] == flag);
        let message = logged["message"].as_str().expect("a message");
        assert!(message.starts_with("IPv6 is not available"), "{logged}");
        assert_eq!(logged["instead"], "0.0.0.0:0");
    }
    assert!(
        podseal.url.starts_with("https://0.0.0.0:"),
        "{}",
        podseal.url
    );
    // The self-probe has passed, so the webhooks' port answers.
    podseal.await_event(|event| event["message"] == "ready");
    assert_eq!(podseal.status("/readyz"), (200, "ok".to_owned()));
}

/// What `podseal serve --listen ADDRESS` prints before it ends.
fn refused(address: &str, prepare: impl FnOnce(&mut Command)) -> String {
    let certificate = Certificate::new();
    let file = |name: &str| certificate.folder.path().join(name);
    std::fs::write(
        file("namespaces"),
        "{kind: Namespace, metadata: {name: ci}}",
    )
    .expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args([
        "serve",
        "--status-listen",
        "127.0.0.1:0",
        "--listen",
        address,
    ]);
    command.arg("--tls-cert-file").arg(file("tls.crt"));
    command.arg("--tls-private-key-file").arg(file("tls.key"));
    command.arg("--namespaces").arg(file("namespaces"));
    prepare(&mut command);
    let output = support::run(command, "");
    assert_eq!(output.status.code(), Some(2));
    text(&output.stderr)
}

#[test]
fn an_explicit_ipv6_address_is_not_replaced() {
    let library = library();
    let stderr = refused("[::1]:0", |command| without_ipv6(command, &library));
    let expected = "cannot listen on --listen [::1]:0: Address family not supported by protocol";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn a_port_in_use_is_an_error_and_not_shared() {
    let taken = std::net::TcpListener::bind("[::]:0").or_else(|_| {
        // A machine without IPv6 shows the same by IPv4.
        std::net::TcpListener::bind("0.0.0.0:0")
    });
    let address = taken.as_ref().expect("a port").local_addr();
    let stderr = refused(&address.expect("an address").to_string(), |_| ());
    assert!(stderr.contains("the address is already in use"), "{stderr}");
    assert!(!stderr.contains("IPv6 is not available"), "{stderr}");
}
