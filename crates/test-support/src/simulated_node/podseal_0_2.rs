//! What makes a replica answer as podseal 0.2.0 does: the binary under test is every
//! replica, and it knows paths that 0.2.0 does not.
//!
//! A server in front of it, with the same certificate, passes `/mutate` and
//! `/validate` on and responds to any other path as 0.2.0 does. Each of its connections
//! has one to the replica, and ends when that one does: a replica that drains closes
//! idle connections too. Reviews are decided by the binary under test; of 0.2.0 it is
//! the paths alone that this is about.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::tls;

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
        let to_replica = ToReplica {
            address: replica,
            tls: TlsConnector::from(tls::client_of_any()),
        };
        let listener = crate::block_on(TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let not_found = Arc::clone(not_found);
        let serving = crate::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let _ = stream.set_nodelay(true);
                let (to_replica, not_found) = (to_replica.clone(), Arc::clone(&not_found));
                connections.spawn(serve(stream, acceptor.clone(), to_replica, not_found));
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

/// How to connect to the replica.
#[derive(Clone)]
struct ToReplica {
    address: SocketAddr,
    tls: TlsConnector,
}

impl ToReplica {
    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        self.tls.connect(self.address.ip().into(), stream).await
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    to_replica: ToReplica,
    not_found: Arc<AtomicUsize>,
) -> Option<()> {
    let replica = to_replica.connect().await.ok()?;
    let (sender, replica) = http1::handshake(TokioIo::new(replica)).await.ok()?;
    let stream = acceptor.accept(stream).await.ok()?;
    let sender = Arc::new(Mutex::new(sender));
    let service = service_fn(move |request: Request<Incoming>| {
        let (sender, not_found) = (Arc::clone(&sender), Arc::clone(&not_found));
        async move { answer(request, &sender, &not_found).await }
    });
    let served = hyper::server::conn::http1::Builder::new();
    let mut served = pin!(served.serve_connection(TokioIo::new(stream), service));
    let mut replica = pin!(replica);
    tokio::select! {
        _ = &mut served => {}
        _ = &mut replica => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
    Some(())
}

async fn answer(
    request: Request<Incoming>,
    replica: &Mutex<SendRequest<Incoming>>,
    not_found: &AtomicUsize,
) -> hyper::Result<Response<BoxBody<Bytes, hyper::Error>>> {
    if ["/mutate", "/validate"].contains(&request.uri().path()) {
        let answer = replica.lock().await.send_request(request).await?;
        return Ok(answer.map(BodyExt::boxed));
    }
    not_found.fetch_add(1, Ordering::Relaxed);
    let text = Full::new(Bytes::from(NOT_FOUND));
    let mut response = Response::new(text.map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}
