//! The status port: plain HTTP, few connections, and none that stays for ever.
//!
//! A client that reaches the port must not be able to exhaust podseal by it, nor to
//! keep the kubelet out, which restarts what does not answer. So a connection too
//! many costs the oldest one its place and not the newest its turn: a probe is
//! answered within a millisecond of its coming, long before it is the oldest.

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

/// How many connections there are at once: the kubelet's, some scrapers', a
/// curious person's.
const CONNECTIONS: usize = 64;
/// How long a client may take for a request's header. A scraper's idle
/// connection ends by it as well, which costs it a new one and no error: Go
/// sends a GET again.
const HEADER: Duration = Duration::from_secs(30);
/// How long a connection may last, answers that are not read included.
const LIFETIME: Duration = Duration::from_secs(300);
/// Pause after a failed accept, which is most often "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `pages`, until the runtime ends: the last thing podseal does is to
/// tell that it stops.
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
        // Whether it ends well, in time or not at all is the client's affair.
        let task = tokio::spawn(async move {
            let _ = timeout(LIFETIME, connection).await;
        });
        connections.push_back(task.abort_handle());
    }
}
