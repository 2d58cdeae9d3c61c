//! One connection: the handshake, the protocol, and how it is closed.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_service::Service;

use super::activity::{Activity, ObservedStream};
use super::connections::{Closing, ConnectionSlot};
use super::handshake_failures::Endpoints;
use crate::fairness::caller::Caller;
use crate::metrics::connections::{CloseReason, ConnectionMetrics, HandshakeFailure};

/// The HTTP implementations, shared by all connections.
#[derive(Clone)]
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocols {
    pub(super) fn new() -> Protocols {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // This timeout would also apply to idle connections. `connections` has its own.
            .header_read_timeout(None)
            .max_buf_size(64 * 1024);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(32)
            .max_header_list_size(8 * 1024)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10));
        Protocols { http1, http2 }
    }
}

/// Serves a connection until it ends or must be closed.
pub(super) async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    protocols: Protocols,
    handshake_timeout: Duration,
    app: Router,
    mut slot: ConnectionSlot,
    figures: ConnectionMetrics,
) {
    let mut aborted = slot.closing.clone();
    let served = async {
        let mut closing = slot.closing.clone();
        let ends = Endpoints::of(&stream);
        let accepted = tokio::select! {
            done = accept_tls(stream, &acceptor, handshake_timeout) => done,
            // No request is in flight yet.
            _ = closing.wait_for(|closing| *closing >= Closing::AfterRequests) => return,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                let failure = HandshakeFailure::of(&error);
                figures.handshake_failed(failure);
                slot.handshake_failures().log(failure, ends, &error);
                slot.ends(CloseReason::Handshake);
                return;
            }
        };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        slot.activity.handshake_done(is_http2);
        // Errors of a connection are ignored: its requests have been answered if possible.
        if is_http2 {
            serve_http2(stream, &protocols, app, &slot).await;
        } else {
            serve_http1(stream, &protocols, app, &slot).await;
        }
    };
    tokio::select! {
        () = served => {}
        _ = aborted.wait_for(|closing| *closing == Closing::Now) => {}
    }
}

async fn accept_tls(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    time: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    tokio::time::timeout(time, acceptor.accept(stream)).await?
}

async fn serve_http1(
    stream: TlsStream<TcpStream>,
    protocols: &Protocols,
    app: Router,
    slot: &ConnectionSlot,
) {
    let io = TokioIo::new(ObservedStream::new(stream, Arc::clone(&slot.activity)));
    let service = TrackedService {
        app,
        caller: Arc::clone(&slot.caller),
        activity: Arc::clone(&slot.activity),
        closing: Some(slot.closing.clone()),
    };
    let mut connection = pin!(protocols.http1.serve_connection(io, service));
    let mut closing = slot.closing.clone();
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closing.wait_for(|closing| *closing >= Closing::AfterRequests) => {}
    }
    // Closes an idle connection immediately, otherwise after the response in flight.
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn serve_http2(
    stream: TlsStream<TcpStream>,
    protocols: &Protocols,
    app: Router,
    slot: &ConnectionSlot,
) {
    let service = TrackedService {
        app,
        caller: Arc::clone(&slot.caller),
        activity: Arc::clone(&slot.activity),
        closing: None,
    };
    let mut connection = pin!(
        protocols
            .http2
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut closing = slot.closing.clone();
    let closing_begun = async {
        let closing_begun = closing
            .wait_for(|closing| *closing >= Closing::WithNextAnswer)
            .await;
        if closing_begun.is_ok_and(|closing| *closing < Closing::AfterRequests) {
            // Waits for the first request: a client treats a GOAWAY before it as a
            // failure.
            let mut finish = closing.clone();
            tokio::select! {
                () = slot.activity.first_request() => {}
                _ = finish.wait_for(|closing| *closing >= Closing::AfterRequests) => {}
            }
        }
    };
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closing_begun => {}
    }
    // GOAWAY: the client uses another connection, and requests in flight are answered.
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// The app. Records requests in the connection's activity, and adds their caller.
struct TrackedService {
    app: Router,
    caller: Arc<Caller>,
    activity: Arc<Activity>,
    /// Whether responses have `Connection: close`.
    closing: Option<watch::Receiver<Closing>>,
}

impl hyper::service::Service<Request<Incoming>> for TrackedService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.request();
        request.extensions_mut().insert(Arc::clone(&self.caller));
        let closing = self.closing.clone();
        let answer = self.app.clone().call(request);
        Box::pin(async move {
            let (mut head, body) = answer.await?.into_parts();
            // Only reviews have this code.
            if head.status == StatusCode::OK {
                in_flight.served_ok();
            }
            if closing.is_some_and(|closing| *closing.borrow() >= Closing::WithNextAnswer) {
                let close = HeaderValue::from_static("close");
                head.headers.insert(CONNECTION, close);
            }
            Ok(Response::from_parts(head, in_flight.until_sent(body)))
        })
    }
}
