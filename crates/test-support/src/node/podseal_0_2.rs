//! What makes a replica answer as podseal 0.2.0 does: the binary under test is every
//! replica, and it knows paths that 0.2.0 does not.
//!
//! A server in front of it, with the same certificate, passes `/mutate` and
//! `/validate` on and responds to any other path as 0.2.0 does. Reviews are decided
//! by the binary under test; of 0.2.0 it is the paths alone that this is about.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONNECTION;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The body of 0.2.0's response with code 404.
const NOT_FOUND: &str = "podseal answers POST /mutate and POST /validate\n";

/// A server in front of one replica.
pub(super) struct Front {
    pub(super) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Front {
    /// One before the replica at `replica`, with the certificate in this Secret;
    /// none yet where there is none. It counts requests that are not found.
    pub(super) fn start(
        replica: SocketAddr,
        secret: &Value,
        not_found: &Arc<AtomicUsize>,
    ) -> Option<Front> {
        let pem = |key: &str| STANDARD.decode(secret["data"][key].as_str()?).ok();
        let (chain, key) = (pem("tls.crt")?, pem("tls.key")?);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .ok()?;
        let key = PrivateKeyDer::from_pem_slice(&key).ok()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("podseal serves it as well")));
        // It has shown its certificate to the API server often enough.
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        let client = client.http1_only().no_proxy().build().expect("a client");
        let listener = crate::block_on(TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let not_found = Arc::clone(not_found);
        let serving = crate::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let _ = stream.set_nodelay(true);
                let (client, not_found) = (client.clone(), Arc::clone(&not_found));
                connections.spawn(serve(stream, acceptor.clone(), client, replica, not_found));
            }
        });
        Some(Front { address, serving })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    client: reqwest::Client,
    replica: SocketAddr,
    not_found: Arc<AtomicUsize>,
) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let (client, not_found) = (client.clone(), Arc::clone(&not_found));
        async move { Ok::<_, Infallible>(answer(request, client, replica, &not_found).await) }
    });
    let served = hyper::server::conn::http1::Builder::new();
    let _ = served.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    client: reqwest::Client,
    replica: SocketAddr,
    not_found: &AtomicUsize,
) -> Response<Full<Bytes>> {
    let of = |code: StatusCode, text: Bytes| {
        let mut response = Response::new(Full::new(text));
        *response.status_mut() = code;
        response
    };
    if !["/mutate", "/validate"].contains(&request.uri().path()) {
        not_found.fetch_add(1, Ordering::Relaxed);
        return of(StatusCode::NOT_FOUND, NOT_FOUND.into());
    }
    let url = format!("https://{replica}{}", request.uri());
    let passed = async {
        let body = request.into_body().collect().await.ok()?.to_bytes();
        let answer = client.post(url).body(body).send().await.ok()?;
        let (code, headers) = (answer.status(), answer.headers().clone());
        Some((code, headers, answer.bytes().await.ok()?))
    };
    let Some((code, headers, body)) = passed.await else {
        return of(StatusCode::BAD_GATEWAY, Bytes::new());
    };
    let mut response = of(code, body);
    // A replica that drains closes the connection with each response.
    if let Some(connection) = headers.get(CONNECTION) {
        response
            .headers_mut()
            .insert(CONNECTION, connection.clone());
    }
    response
}
