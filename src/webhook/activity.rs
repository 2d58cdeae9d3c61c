//! What a connection is doing, as seen from outside of its protocol.
//!
//! hyper does not say whether a connection waits for a header, has half of one,
//! or serves a request. The bytes that pass and the requests that begin and end
//! do.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Never, as a time in milliseconds.
const NEVER: u64 = u64::MAX;

/// The doings of one connection. Times are milliseconds since it was accepted.
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    /// When it began to wait for a request.
    waiting: AtomicU64,
    /// When the first byte of the next request came.
    header: AtomicU64,
    /// When the last request began.
    request: AtomicU64,
    in_flight: AtomicU32,
    served: AtomicU64,
}

/// What a connection does now, and for how long it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// The handshake, or the wait for its first request.
    Beginning(Duration),
    /// Waits for its next request.
    Idle(Duration),
    /// Has sent a part of a header.
    Header(Duration),
    /// Serves requests; since the last one began.
    Request(Duration),
}

impl Activity {
    pub(super) fn begin() -> Activity {
        Activity {
            accepted: Instant::now(),
            waiting: AtomicU64::new(0),
            header: AtomicU64::new(NEVER),
            request: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            served: AtomicU64::new(0),
        }
    }

    /// How long ago the connection was accepted.
    pub(super) fn age(&self) -> Duration {
        self.accepted.elapsed()
    }

    pub(super) fn doing(&self) -> Doing {
        let now = self.now();
        let since = |then: &AtomicU64| {
            Duration::from_millis(now.saturating_sub(then.load(Ordering::Relaxed)))
        };
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            Doing::Request(since(&self.request))
        } else if self.served.load(Ordering::Relaxed) == 0 {
            Doing::Beginning(since(&self.waiting))
        } else if self.header.load(Ordering::Relaxed) != NEVER {
            Doing::Header(since(&self.header))
        } else {
            Doing::Idle(since(&self.waiting))
        }
    }

    /// The handshake is done; the first request may come.
    pub(super) fn shaken(&self) {
        self.waiting.store(self.now(), Ordering::Relaxed);
    }

    /// A request begins. It ends with the value returned, which goes into the
    /// body of its answer.
    pub(super) fn request(self: &Arc<Activity>) -> InFlight {
        self.request.store(self.now(), Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.header.store(NEVER, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    fn received(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0
            && self.header.load(Ordering::Relaxed) == NEVER
        {
            self.header.store(self.now(), Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.served.fetch_add(1, Ordering::Relaxed);
        activity.waiting.store(activity.now(), Ordering::Relaxed);
        activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, with the request that is in flight until it is gone.
pub(super) struct Answer {
    body: Body,
    _request: InFlight,
}

impl InFlight {
    pub(super) fn until_sent(self, body: Body) -> Body {
        Body::new(Answer {
            body,
            _request: self,
        })
    }
}

impl HttpBody for Answer {
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

/// A stream that tells of the bytes it receives. For HTTP/1.1, where bytes
/// between requests are the next header; HTTP/2 has frames of its own there.
pub(super) struct Observed<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Observed<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Observed<S> {
        Observed { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
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
