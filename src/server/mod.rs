//! Accepts TLS connections and serves HTTP/1.1 and HTTP/2 on them. It knows
//! nothing of reviews. This file has the accept loop and the orderly end.
//!
//! | file | what it does |
//! |---|---|
//! | `connections` | which connections may stay, and for how long |
//! | `eviction` | which of them ends for a newcomer when all slots are taken |
//! | `connection` | one of them: TLS, HTTP/1.1 or HTTP/2 |
//! | `activity` | what it is doing meanwhile |
//! | `handshake_failures` | logs certificates that were refused in a handshake |
//! | [`limits`] | the bounds of all that |

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

/// Pause after a failed accept, which is most often "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What serving needs, besides the app.
pub struct Server {
    /// What is served as certificate.
    pub certificate: Current,
    /// The bounds.
    pub limits: ConnectionLimits,
    /// Where connections are counted.
    pub metrics: ConnectionMetrics,
}

impl Server {
    /// Serves `app` over TLS, from the first certificate on, until `stop`
    /// resolves.
    ///
    /// Then the end is in three steps. While endpoints that name this replica go
    /// away, for [`ConnectionLimits::drain`], everything is still served, but each answer
    /// tells its client to connect elsewhere next time. Then nothing new is accepted, and
    /// idle connections are closed. What is in flight finishes, for
    /// [`ConnectionLimits::finish`] at most.
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
        let slot_freed = timeout(self.limits.finish, connections.all_closed()).await;
        if slot_freed.is_err() {
            tracing::warn!("some requests did not finish before the drain ended");
            connections.close_all(Closing::Now, CloseReason::Drain);
        }
    }

    /// Never returns while certificates may come.
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
            // Without a slot it is closed.
            let Some(slot) = connections.admit(Peer::of(address.ip())) else {
                continue;
            };
            let served = certificate.borrow_and_update().clone();
            let served = served.expect("what is served is replaced, never taken away");
            let acceptor = TlsAcceptor::from(Arc::clone(&served.config));
            let protocols = protocols.clone();
            let handshake = self.limits.handshake;
            let app = app.clone();
            let metrics = self.metrics.clone();
            tokio::spawn(async move {
                // Here and not in the loop, where all others would wait as well.
                let slot = slot.await;
                connection::serve(stream, acceptor, protocols, handshake, app, slot, metrics).await;
            });
        }
    }
}
