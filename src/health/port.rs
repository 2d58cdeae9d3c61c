//! The status port: plain HTTP, with few and short connections.
//!
//! A client of the port must not be able to exhaust podseal, nor to block the kubelet,
//! which restarts a container that does not answer. So at the limit, a new connection
//! replaces the oldest one: a probe is answered within a millisecond, long before it is
//! the oldest.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::logging::throttle::LogThrottle;

/// The maximum number of connections: the kubelet, a few scrapers and users.
const CONNECTIONS: usize = 64;
/// The timeout of a request's header. It also closes a scraper's idle connection,
/// which then reconnects without an error: Go retries a GET.
const HEADER: Duration = Duration::from_secs(30);
/// The maximum duration of a connection, even if the client does not read.
const LIFETIME: Duration = Duration::from_secs(300);
/// The pause after a failed accept, which is usually "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `pages` until the runtime ends, so that podseal reports its shutdown to the
/// end.
pub async fn serve(listener: TcpListener, pages: Router) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(16 * 1024);
    let failures = LogThrottle::default();
    let mut connections = VecDeque::<AbortHandle>::with_capacity(CONNECTIONS);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                if let Some(suppressed) = failures.pass() {
                    tracing::warn!(
                        %error,
                        suppressed,
                        "cannot accept a connection to the status port"
                    );
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let service = TowerToHyperService::new(pages.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        // How a connection ends does not matter here.
        let task = tokio::spawn(async move {
            let _ = timeout(LIFETIME, connection).await;
        });
        connections.push_back(task.abort_handle());
    }
}
