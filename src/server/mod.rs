//! Accepts TLS connections and serves HTTP/1.1 and HTTP/2, independent of reviews.
//! This file has the accept loop and the graceful shutdown.
//!
//! | file | what it does |
//! |---|---|
//! | `connections` | admits and closes connections |
//! | `eviction` | selects the connection to evict when all slots are taken |
//! | `connection` | one connection: TLS, HTTP/1.1 or HTTP/2 |
//! | `activity` | the state of a connection |
//! | `handshake_failures` | logs certificates that were rejected in a handshake |
//! | [`limits`] | the limits of connections |

mod activity;
mod connection;
mod connections;
mod eviction;
mod handshake_failures;
pub mod limits;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use self::connection::Protocols;
use self::connections::{Closing, Connections};
use self::limits::ConnectionLimits;
use crate::certificates::serving::Current;
use crate::fairness::peer::Peer;
use crate::logging::throttle::LogThrottle;
use crate::metrics::connections::{CloseReason, ConnectionMetrics};

/// The pause after a failed accept, which is usually "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What serving requires in addition to the app.
pub struct Server {
    /// The serving certificate.
    pub certificate: Current,
    /// The limits of connections.
    pub limits: ConnectionLimits,
    /// The metrics of connections.
    pub metrics: ConnectionMetrics,
}

impl Server {
    /// Serves `app` over TLS, from the first certificate until `stop` resolves.
    ///
    /// The shutdown has three steps. For [`ConnectionLimits::drain`], while this replica
    /// is removed from the Service's endpoints, all requests are still served, but each
    /// response asks its client to reconnect. Then no new connection is accepted, and
    /// idle ones are closed. Requests in flight may complete within
    /// [`ConnectionLimits::finish`].
    pub async fn serve(self, listener: TcpListener, app: Router, stop: impl Future<Output = ()>) {
        let connections = Connections::new(self.limits.clone(), self.metrics.clone());
        let drained = async {
            stop.await;
            connections.close_all(Closing::WithNextAnswer, CloseReason::Drain);
            sleep(self.limits.drain).await;
        };
        tokio::select! {
            () = self.accept(&listener, app, &connections) => {}
            () = connections.sweep() => {}
            () = drained => {}
        }
        drop(listener);
        connections.close_all(Closing::AfterRequests, CloseReason::Drain);
        let all_closed = timeout(self.limits.finish, connections.all_closed()).await;
        if all_closed.is_err() {
            tracing::warn!("some requests did not finish in time; closing their connections");
            connections.close_all(Closing::Now, CloseReason::Drain);
        }
    }

    /// Returns only if there will be no certificate.
    async fn accept(&self, listener: &TcpListener, app: Router, connections: &Arc<Connections>) {
        let protocols = Protocols::new();
        let failures = LogThrottle::default();
        let mut certificate = self.certificate.clone();
        if certificate.wait_for(Option::is_some).await.is_err() {
            return;
        }
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(suppressed) = failures.pass() {
                        tracing::warn!(%error, suppressed, "cannot accept a connection");
                    }
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Without a slot, the connection is closed.
            let Some(slot) = connections.admit(Peer::of(address.ip())) else {
                continue;
            };
            let served = certificate.borrow_and_update().clone();
            let served = served.expect("a certificate is replaced, never removed");
            let acceptor = TlsAcceptor::from(Arc::clone(&served.config));
            let protocols = protocols.clone();
            let handshake = self.limits.handshake;
            let app = app.clone();
            let metrics = self.metrics.clone();
            tokio::spawn(async move {
                // Not in the loop, where all other connections would wait too.
                let slot = slot.await;
                connection::serve(stream, acceptor, protocols, handshake, app, slot, metrics).await;
            });
        }
    }
}
