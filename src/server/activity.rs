//! The state of a connection, observed from outside of its protocol.
//!
//! hyper does not report whether a connection waits for a header, has received a part
//! of one, or serves a request. This derives the state from the bytes received and from
//! the requests that begin and end.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Never, as a time in milliseconds.
const NEVER: u64 = u64::MAX;

/// The activity of one connection. Numbers are milliseconds since it was accepted.
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    is_handshake_done: AtomicBool,
    /// Whether it speaks HTTP/2.
    is_http2: AtomicBool,
    /// Whether it had a response with code 200, as reviews have.
    has_served: AtomicBool,
    /// When it began to wait for its next request.
    waiting: AtomicU64,
    /// When the first byte of the next request arrived.
    header: AtomicU64,
    /// When each request in flight began, the oldest first. The requests of one
    /// connection, the sweep and the search for a connection to evict take this lock,
    /// so it is practically never contended.
    in_flight: Mutex<Vec<Instant>>,
    /// Whether it had a request.
    had_request: AtomicBool,
    first_request_began: Notify,
}

/// The state of a connection, and for how long it has had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// In the handshake.
    Handshake(Duration),
    /// No request yet.
    Unused(Duration),
    /// Between requests.
    Idle(Duration),
    /// A part of a header has arrived.
    Header(Duration),
    /// Serves requests, the oldest of them for this time.
    Request(Duration),
}

impl Activity {
    pub(super) fn new() -> Activity {
        Activity {
            accepted: Instant::now(),
            is_handshake_done: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            has_served: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            header: AtomicU64::new(NEVER),
            in_flight: Mutex::default(),
            had_request: AtomicBool::new(false),
            first_request_began: Notify::new(),
        }
    }

    /// The time since the connection was accepted.
    pub(super) fn age(&self) -> Duration {
        self.accepted.elapsed()
    }

    /// Whether it speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// Whether it had a response with code 200, as reviews have.
    pub(super) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// Records a response with code 200.
    pub(super) fn served_ok(&self) {
        self.has_served.store(true, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> ConnectionState {
        let now = self.now();
        let since = |then: &AtomicU64| {
            Duration::from_millis(now.saturating_sub(then.load(Ordering::Relaxed)))
        };
        if let Some(began) = self.in_flight().first() {
            ConnectionState::Request(began.elapsed())
        } else if !self.is_handshake_done.load(Ordering::Relaxed) {
            ConnectionState::Handshake(since(&self.waiting))
        } else if self.header.load(Ordering::Relaxed) != NEVER {
            ConnectionState::Header(since(&self.header))
        } else if !self.had_request.load(Ordering::Relaxed) {
            ConnectionState::Unused(since(&self.waiting))
        } else {
            ConnectionState::Idle(since(&self.waiting))
        }
    }

    /// Records the end of the handshake.
    pub(super) fn handshake_done(&self, is_http2: bool) {
        self.waiting.store(self.now(), Ordering::Relaxed);
        self.is_http2.store(is_http2, Ordering::Relaxed);
        self.is_handshake_done.store(true, Ordering::Relaxed);
    }

    /// Records that a request begins. It ends when the returned value is dropped, which
    /// belongs in the body of its response.
    pub(super) fn request(self: &Arc<Activity>) -> RequestInFlight {
        let mut in_flight = self.in_flight();
        let began = Instant::now();
        in_flight.push(began);
        drop(in_flight);
        if !self.had_request.swap(true, Ordering::Relaxed) {
            self.first_request_began.notify_one();
        }
        self.header.store(NEVER, Ordering::Relaxed);
        RequestInFlight {
            activity: Arc::clone(self),
            began,
        }
    }

    /// Waits for the first request.
    pub(super) async fn first_request(&self) {
        if !self.had_request.load(Ordering::Relaxed) {
            self.first_request_began.notified().await;
        }
    }

    fn received(&self) {
        let is_waiting = self.header.load(Ordering::Relaxed) == NEVER;
        if is_waiting && self.in_flight().is_empty() {
            self.header.store(self.now(), Ordering::Relaxed);
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.in_flight.lock().expect("no holder panics")
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct RequestInFlight {
    activity: Arc<Activity>,
    began: Instant,
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        let activity = &self.activity;
        activity.waiting.store(activity.now(), Ordering::Relaxed);
        let mut in_flight = activity.in_flight();
        // If two began at the same time, it does not matter which one is removed.
        if let Some(own) = in_flight.iter().position(|began| *began == self.began) {
            in_flight.remove(own);
        }
    }
}

/// The body of a response. Its request is in flight until this is dropped.
pub(super) struct TrackedBody {
    body: Body,
    _request: RequestInFlight,
}

impl RequestInFlight {
    /// Records that its response has code 200.
    pub(super) fn served_ok(&self) {
        self.activity.served_ok();
    }

    pub(super) fn until_sent(self, body: Body) -> Body {
        Body::new(TrackedBody {
            body,
            _request: self,
        })
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A stream that records when it receives bytes. For HTTP/1.1 only: there, bytes between
/// requests are the next header, whereas HTTP/2 also has other frames.
pub(super) struct ObservedStream<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> ObservedStream<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> ObservedStream<S> {
        ObservedStream { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ObservedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ObservedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
