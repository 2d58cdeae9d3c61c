//! The accept loop, and the orderly end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::connection::{self, Protocols};
use super::connections::{Connections, End, Order};
use super::limits::Limits;
use crate::certificates::serving::Current;

/// Pause after a failed accept, which is most often "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` over TLS, from the first certificate on, until `stop` resolves.
///
/// Then the end is in three steps. While endpoints that name this replica go
/// away, for [`Limits::drain`], everything is served on, but each answer tells
/// its client to go elsewhere next time. Then nothing new is accepted, and idle
/// connections are closed. What is in flight finishes, for [`Limits::finish`] at
/// most.
pub async fn serve(
    listener: TcpListener,
    certificate: Current,
    app: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let connections = Connections::new(limits.clone());
    let drained = async {
        stop.await;
        connections.tell(Order::LastAnswer, End::Drain);
        sleep(limits.drain).await;
    };
    tokio::select! {
        () = accept(&listener, certificate, app, &connections) => {}
        () = connections.sweep() => {}
        () = drained => {}
    }
    drop(listener);
    connections.tell(Order::Finish, End::Drain);
    if timeout(limits.finish, connections.all_left())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time");
        connections.tell(Order::Abort, End::Drain);
    }
}

/// Never returns while certificates may come.
async fn accept(
    listener: &TcpListener,
    mut certificate: Current,
    app: Router,
    connections: &Arc<Connections>,
) {
    let protocols = Protocols::new();
    if certificate.wait_for(Option::is_some).await.is_err() {
        return;
    }
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = connections.place().await;
        let served = certificate.borrow_and_update().clone();
        let served = served.expect("what is served is replaced, never taken away");
        let acceptor = TlsAcceptor::from(Arc::clone(&served.config));
        tokio::spawn(connection::serve(
            stream,
            acceptor,
            protocols.clone(),
            app.clone(),
            place,
        ));
    }
}
