//! Answers a large review without delaying small ones.

#![allow(
    clippy::result_large_err,
    reason = "both variants are the response, which is moved once"
)]

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::response::Response;
use futures::poll;
use tokio::sync::OwnedSemaphorePermit;

use super::audit_log::{Decided, HeldBack};
use super::body::{self, BufferedBody};
use super::incoming::Incoming;
use super::load_shedding::Overload;
use super::review::ReviewHandler;
use crate::fairness::caller::Caller;
use admission::request::Request;
use admission::request::size::Size;
use admission::text::bounded;

/// The memory to scan a large review, as a multiple of its body: the parser's buffer.
const PARSER_FACTOR: usize = 4;

/// A slot for a large review in progress.
struct LargeReviewSlot {
    _of_caller: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Answers a large review without blocking a worker thread of the runtime, which then
/// answers probes and other reviews. Few large reviews are in progress at a time; the
/// others wait for a slot. A review has no slot while it waits for its namespace.
pub(super) async fn answer_large(
    this: &Arc<ReviewHandler>,
    incoming: &Incoming,
    mut body: BufferedBody,
) -> Result<(Response, HeldBack), Response> {
    let Incoming {
        webhook,
        ref caller,
        deadline,
        ..
    } = *incoming;
    // Logged first, so that it is in the log whatever happens next.
    if let Some(suppressed) = this.large_throttle.pass() {
        let (uid, bytes) = (body::uid(&body.bytes), body.bytes.len());
        let uid = uid.as_deref().map(bounded).unwrap_or_default();
        tracing::info!(?webhook, %uid, bytes, suppressed, "reading a large review");
    }
    let least = Size::of_bytes(PARSER_FACTOR * body.bytes.len());
    let Some(_place) = caller.reviews.acquire(&this.reviews) else {
        return Err(this
            .load_shedding
            .shed(Overload::Concurrency, body::uid(&body.bytes)));
    };
    let start = Instant::now();
    // In line it holds only its body. Where there is no memory for more now, it is shed
    // before it stands in line, or the bodies behind it could have it shed at its turn.
    this.reserve_memory(&mut body, least)?;
    body.memory.shrink_to(body.bytes.capacity());
    let slot = this.large_review_slot(caller, &body, deadline).await?;
    this.reserve_memory(&mut body, least)?;
    // The task outlives its connection, and counts for the caller until it ends.
    let held_by = Arc::clone(caller);
    let looked = tokio::task::spawn_blocking(move || {
        let _held_by = held_by;
        let size = Size::of(&body.bytes);
        let namespace = Request::without_pods(&body.bytes)
            .map(|request| request.namespace.as_deref().map(str::to_owned))
            .map_err(|error| bounded(&error.to_string()).into_owned());
        body.memory.shrink_to(body.bytes.capacity());
        (body, size, namespace, slot)
    });
    let (mut body, size, name, slot) = looked.await.expect("counting does not panic");
    let name = name.map_err(|error| this.bad_requests.no_review(&error))?;
    let name = this.named(name)?;
    this.check_size(&body, size)?;
    let mut namespace = pin!(this.namespace(&name, incoming));
    let (namespace, slot) = match poll!(&mut namespace) {
        Poll::Ready(namespace) => (namespace, slot),
        Poll::Pending => {
            drop(slot);
            let namespace = namespace.await;
            let slot = this.large_review_slot(caller, &body, deadline).await?;
            (namespace, slot)
        }
    };
    this.reserve_memory(&mut body, size)?;
    let this = Arc::clone(this);
    let incoming = incoming.clone();
    let decided = tokio::task::spawn_blocking(move || {
        let BufferedBody { bytes, memory } = body;
        let mut room = String::new();
        let request = this.read(&bytes, size, &mut room);
        let decided =
            request.and_then(|request| this.decide(&incoming, request, &namespace, start, memory));
        drop(bytes);
        let answered = decided.map(Decided::response);
        // After the memory, which the next review with this slot requires immediately.
        drop(slot);
        answered
    });
    decided.await.expect("a decision does not panic")
}

impl ReviewHandler {
    /// Waits for a slot for a large review. A caller has at most as many positions in the
    /// queue as there are slots, so that its reviews do not delay those of other callers.
    async fn large_review_slot(
        &self,
        caller: &Caller,
        body: &BufferedBody,
        deadline: Instant,
    ) -> Result<LargeReviewSlot, Response> {
        let queued = async {
            let of_caller = Arc::clone(&caller.large_reviews).acquire_owned().await;
            let of_all = Arc::clone(&self.large_review_slots).acquire_owned().await;
            LargeReviewSlot {
                _of_caller: of_caller.expect("it is never closed"),
                _of_all: of_all.expect("it is never closed"),
            }
        };
        let slot = tokio::time::timeout_at(deadline.into(), queued).await;
        slot.map_err(|_| {
            self.load_shedding
                .shed(Overload::Concurrency, body::uid(&body.bytes))
        })
    }
}
