//! Servers that complete the TLS handshake, and then do what a test requires.
#![allow(
    unreachable_pub,
    reason = "a module of a test binary, where nothing is reachable"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use support::tls::{Authority, Issued};

/// What a connection is served with: a stream after its handshake.
pub type Stream<'s> = rustls::Stream<'s, ServerConnection, TcpStream>;

/// Serves every connection to `host` in a thread of its own, until the test ends.
pub fn listen(host: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((host, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.expect("a connection"), Arc::clone(&serve));
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A server's side of TLS; with `clients` it requires a client certificate.
pub fn config(
    issued: &Issued,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<&Authority>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let pem = authority.pem.as_bytes();
            let ca = rustls::pki_types::CertificateDer::from_pem_slice(pem);
            roots.add(ca.expect("a certificate")).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key");
    let config = builder.with_single_cert(vec![issued.leaf()], key);
    Arc::new(config.expect("a certificate and its key"))
}

/// Serves TLS, and then `serve` does what it likes.
pub fn tls(
    host: &str,
    config: Arc<ServerConfig>,
    serve: impl Fn(&mut Stream<'_>) + Send + Sync + 'static,
) -> SocketAddr {
    listen(host, move |mut socket| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
        while connection.is_handshaking() {
            if connection.complete_io(&mut socket).is_err() {
                // The alert, if there is one.
                let _ = connection.write_tls(&mut socket);
                return;
            }
        }
        serve(&mut rustls::Stream::new(&mut connection, &mut socket));
    })
}

/// Answers one request of each connection with what `answer` makes of its
/// path and its review's uid, and hangs up.
pub fn answering(
    config: Arc<ServerConfig>,
    answer: impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static,
) -> SocketAddr {
    tls("127.0.0.1", config, move |stream| {
        let request = request(stream);
        let path = request.split(' ').nth(1).expect("a path");
        let (_, rest) = request.split_once("\"uid\":\"").expect("a uid");
        let (uid, _) = rest.split_once('"').expect("its end");
        // Who has seen enough does not read to the end.
        let _ = stream.write_all(&answer(path, uid));
        let _ = stream.flush();
        stream.conn.send_close_notify();
        let _ = stream.flush();
    })
}

/// Reads a request whole.
pub fn request(stream: &mut Stream<'_>) -> String {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap_or(0);
        assert!(read > 0, "the request ends before its time: {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        if let Some((header, body)) = text.split_once("\r\n\r\n") {
            let length = header.split_once("content-length: ").expect("a length").1;
            let length = length.lines().next().expect("a line");
            if body.len() >= length.parse().expect("a number") {
                return text;
            }
        }
    }
}

/// An answer over HTTP/1.1.
pub fn http(code: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {code}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}
