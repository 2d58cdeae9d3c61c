//! The accept loop: connections, their limits, and the orderly end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::certificates::serving::Current;

/// How many connections are served at once. An API server keeps a handful.
const CONNECTIONS: usize = 1024;
/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be without a complete request header. The API
/// server closes idle connections after 90 s (client-go's default transport),
/// and a connection that the server closes first costs it an admission, since
/// Go does not retry a POST.
const IDLE: Duration = Duration::from_secs(120);
/// How long requests in flight get to finish after the signal to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept, which is most often "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` over TLS until `shutdown` resolves, then lets the requests in
/// flight finish.
pub async fn serve(
    listener: TcpListener,
    mut certificate: Current,
    app: Router,
    shutdown: impl Future<Output = ()>,
) {
    let (http1, http2) = (http1(), http2());
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (
                slot.expect("the semaphore is never closed"),
                listener.accept().await,
            )
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(served) = certificate.borrow_and_update().clone() else {
            continue;
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&served.config));
        let (http1, http2) = (http1.clone(), http2.clone());
        let app = app.clone();
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _slot = slot;
            let served = async {
                let stream = handshake(stream, &acceptor).await?;
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream = awaited(stream).await?;
                let service = TowerToHyperService::new(app);
                // A connection that ends badly is the peer's affair; what
                // matters of it has been answered or cannot be.
                if is_h2 {
                    let connection = http2.serve_connection(TokioIo::new(stream), service);
                    let _ = watcher.watch(connection).await;
                } else {
                    let connection = http1.serve_connection(TokioIo::new(stream), service);
                    let _ = watcher.watch(connection).await;
                }
                io::Result::Ok(())
            };
            if let Err(error) = served.await {
                tracing::debug!(%error, "a TLS handshake failed");
            }
        });
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

async fn handshake(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(stream) => stream,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")),
    }
}

/// The connection once its client has begun to speak. Whoever only holds it
/// open holds one of [`CONNECTIONS`] places.
async fn awaited<S: AsyncRead + Unpin>(stream: S) -> io::Result<BufReader<S>> {
    let mut stream = BufReader::new(stream);
    match timeout(HANDSHAKE, stream.fill_buf()).await {
        Ok(Ok(_)) => Ok(stream),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no request came")),
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(64 * 1024);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(16)
        .max_header_list_size(16 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// Resolves when the process is told to stop, by SIGTERM or Ctrl-C.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
