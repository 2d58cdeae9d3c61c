//! Admits and closes connections.
//!
//! The table is locked when a connection opens and closes and by the sweep, never for a
//! request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::timeout;

use super::activity::{Activity, ConnectionState};
use super::eviction::{Candidate, choose_victim};
use super::handshake_failures::HandshakeFailureLog;
use super::limits::ConnectionLimits;
use crate::fairness::caller::Caller;
use crate::fairness::peer::Peer;
use crate::metrics::connections::{CloseReason, ConnectionMetrics, OpenConnection};

/// How often a waiting connection checks for a slot.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// One new connection may wait for so many slots. Only connections of the peer that has
/// the most wait, so a few are enough, and each check looks at all connections.
const SLOTS_PER_WAITING_NEWCOMER: usize = 4;

/// How to close a connection. Later variants are stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closing {
    /// Not at all.
    NotYet,
    /// Ask the client to close it: `Connection: close` in the next response, or GOAWAY
    /// immediately.
    WithNextAnswer,
    /// After the requests in flight.
    AfterRequests,
    /// Immediately.
    Now,
}

/// The open connections.
pub(super) struct Connections {
    limits: ConnectionLimits,
    figures: ConnectionMetrics,
    table: Mutex<ConnectionTable>,
    handshake_failures: HandshakeFailureLog,
    /// Limits the new connections that wait.
    waiting: Arc<Semaphore>,
    /// Notifies one waiting connection of a free slot.
    slot_freed: Notify,
    /// Notifies that no connection is open.
    all_closed: Notify,
}

#[derive(Default)]
struct ConnectionTable {
    next: u64,
    /// How to close new connections, if at all.
    closing: Option<(Closing, CloseReason)>,
    open: HashMap<u64, TableEntry>,
    /// The callers that have connections or reservations: a review can outlive its
    /// connection.
    callers: HashMap<Peer, Weak<Caller>>,
}

struct TableEntry {
    caller: Arc<Caller>,
    activity: Arc<Activity>,
    closing: watch::Sender<Closing>,
    age: Duration,
    end: Option<CloseReason>,
    closing_since: Option<Instant>,
}

/// A slot in the table, which is freed on drop.
pub(super) struct ConnectionSlot {
    connections: Arc<Connections>,
    number: u64,
    open: OpenConnection,
    /// The shares of its peer.
    pub(super) caller: Arc<Caller>,
    /// The activity of this connection.
    pub(super) activity: Arc<Activity>,
    /// How to close it.
    pub(super) closing: watch::Receiver<Closing>,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits, figures: ConnectionMetrics) -> Arc<Connections> {
        let waiting = limits.connections.div_ceil(SLOTS_PER_WAITING_NEWCOMER);
        Arc::new(Connections {
            limits,
            figures,
            table: Mutex::default(),
            handshake_failures: HandshakeFailureLog::default(),
            waiting: Arc::new(Semaphore::new(waiting)),
            slot_freed: Notify::new(),
            all_closed: Notify::new(),
        })
    }

    /// A slot for a new connection from `peer`. If all slots are taken, this evicts
    /// another connection. If none can be evicted, the returned future waits, which does
    /// not block other connections. If too many wait already, there is no slot.
    pub(super) fn admit(
        self: &Arc<Connections>,
        peer: Peer,
    ) -> Option<impl Future<Output = ConnectionSlot> + Send + use<>> {
        let slot = self.try_slot(peer);
        let waiting = match slot {
            Some(_) => None,
            None => match Arc::clone(&self.waiting).try_acquire_owned() {
                Ok(waiting) => Some(waiting),
                Err(_) => {
                    self.figures.opened().closes(CloseReason::Evicted);
                    return None;
                }
            },
        };
        let connections = Arc::clone(self);
        Some(async move {
            let _waiting = waiting;
            match slot {
                Some(slot) => slot,
                None => connections.wait_for_slot(peer).await,
            }
        })
    }

    async fn wait_for_slot(self: &Arc<Connections>, peer: Peer) -> ConnectionSlot {
        loop {
            // Besides a free slot, an idle or a slow connection ends the wait.
            let _ = timeout(RETRY_INTERVAL, self.slot_freed.notified()).await;
            if let Some(slot) = self.try_slot(peer) {
                return slot;
            }
        }
    }

    fn try_slot(self: &Arc<Connections>, peer: Peer) -> Option<ConnectionSlot> {
        let mut table = self.table();
        if table.open.len() >= self.limits.connections {
            let victim = choose_victim(peer, self.limits.connections, &table.candidates())?;
            let mut entry = table.open.remove(&victim).expect("it was just found");
            entry.close(Closing::Now, CloseReason::Evicted);
        }
        let number = table.next;
        table.next += 1;
        let activity = Arc::new(Activity::new());
        let caller = table.caller(peer);
        let (sender, closing) = watch::channel(Closing::NotYet);
        let mut entry = TableEntry {
            caller: Arc::clone(&caller),
            activity: Arc::clone(&activity),
            closing: sender,
            age: with_jitter(self.limits.age, number),
            end: None,
            closing_since: None,
        };
        if let Some((closing, end)) = table.closing {
            entry.close(closing, end);
        }
        table.open.insert(number, entry);
        Some(ConnectionSlot {
            connections: Arc::clone(self),
            number,
            open: self.figures.opened(),
            caller,
            activity,
            closing,
        })
    }

    /// Closes all connections, including new ones, in this way.
    pub(super) fn close_all(&self, closing: Closing, end: CloseReason) {
        let mut table = self.table();
        table.closing = Some((closing, end));
        for entry in table.open.values_mut() {
            entry.close(closing, end);
        }
    }

    /// Returns when no connection is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let all_closed = self.all_closed.notified();
            if self.table().open.is_empty() {
                return;
            }
            all_closed.await;
        }
    }

    /// Closes connections at their limits of time, periodically. Never returns.
    pub(super) async fn sweep(&self) {
        let limits = &self.limits;
        let shortest = [limits.handshake, limits.header, limits.idle, limits.request]
            .into_iter()
            .min()
            .expect("there are four");
        let pause = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_secs(1));
        loop {
            tokio::time::sleep(pause).await;
            let mut table = self.table();
            for entry in table.open.values_mut() {
                let closing_since = entry.closing_since.map(|then| then.elapsed());
                if let Some((closing, end)) =
                    closing_due(&entry.activity, entry.age, closing_since, limits)
                {
                    entry.close(closing, end);
                }
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, ConnectionTable> {
        self.table.lock().expect("no holder panics")
    }
}

impl ConnectionTable {
    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(number, entry): (&u64, &TableEntry)| Candidate {
            number: *number,
            peer: entry.caller.peer,
            has_served: entry.activity.has_served(),
            state: entry.activity.state(),
        };
        self.open.iter().map(candidate).collect()
    }

    /// The caller of all connections of `peer`. It exists while any of its reservations
    /// does, so that a peer does not get a new share with a new connection.
    fn caller(&mut self, peer: Peer) -> Arc<Caller> {
        if let Some(caller) = self.callers.get(&peer).and_then(Weak::upgrade) {
            return caller;
        }
        // The cost is at most proportional to the number of connections since then.
        if self.callers.len() > 2 * self.open.len() {
            self.callers.retain(|_, caller| caller.strong_count() > 0);
        }
        let caller = Arc::new(Caller::new(peer));
        self.callers.insert(peer, Arc::downgrade(&caller));
        caller
    }
}

impl TableEntry {
    fn close(&mut self, closing: Closing, end: CloseReason) {
        let is_stronger = self.closing.send_if_modified(|current| {
            let stronger = closing > *current;
            if stronger {
                *current = closing;
            }
            stronger
        });
        if is_stronger {
            self.end = Some(end);
            self.closing_since.get_or_insert_with(Instant::now);
        }
    }
}

impl ConnectionSlot {
    /// The log of failed handshakes.
    pub(super) fn handshake_failures(&self) -> &HandshakeFailureLog {
        &self.connections.handshake_failures
    }

    /// Records why the connection ends by itself.
    pub(super) fn ends(&mut self, why: CloseReason) {
        self.open.closes(why);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        let entry = table.open.remove(&self.number);
        let is_last = table.open.is_empty();
        drop(table);
        // An evicted connection is no longer in the table, and the new one has its slot.
        if entry.is_some() {
            self.connections.slot_freed.notify_one();
        }
        if let Some(end) = entry.map_or(Some(CloseReason::Evicted), |entry| entry.end) {
            self.open.closes(end);
        }
        if is_last {
            self.connections.all_closed.notify_waiters();
        }
    }
}

/// How a connection must be closed now, if at all. `closing_since` is the time since it
/// began to close.
fn closing_due(
    activity: &Activity,
    age: Duration,
    closing_since: Option<Duration>,
    limits: &ConnectionLimits,
) -> Option<(Closing, CloseReason)> {
    let abort = |why| Some((Closing::Now, why));
    match activity.state() {
        // A handshake has its own timeout, which counts it as failed. This closes those
        // that this timeout cannot end.
        ConnectionState::Handshake(since) if since > limits.handshake * 2 => {
            abort(CloseReason::Handshake)
        }
        ConnectionState::Header(since) if since > limits.header => {
            abort(CloseReason::HeaderTimeout)
        }
        ConnectionState::Request(since) if since > limits.request => abort(CloseReason::Stuck),
        // An HTTP/2 client has received GOAWAY. An HTTP/1.1 client is informed only by its
        // next response.
        _ if activity.is_http2() && closing_since.is_some_and(|since| since > limits.request) => {
            abort(CloseReason::Stuck)
        }
        // The client did not read the last bytes, or did not answer close_notify.
        ConnectionState::Idle(since) | ConnectionState::Unused(since)
            if since > limits.idle + limits.header =>
        {
            abort(CloseReason::Idle)
        }
        ConnectionState::Idle(since) if since > limits.idle => {
            Some((Closing::AfterRequests, CloseReason::Idle))
        }
        // Clients keep unused connections. Over HTTP/1.1 a client cannot be asked to close
        // before it sends a request.
        ConnectionState::Unused(since)
            if activity.is_http2() && since > limits.handshake + limits.header =>
        {
            abort(CloseReason::NoRequest)
        }
        ConnectionState::Unused(since) if activity.is_http2() && since > limits.handshake => {
            Some((Closing::AfterRequests, CloseReason::NoRequest))
        }
        ConnectionState::Unused(since) if since > limits.idle => {
            Some((Closing::AfterRequests, CloseReason::NoRequest))
        }
        _ if activity.age() > age => Some((Closing::WithNextAnswer, CloseReason::Age)),
        _ => None,
    }
}

/// `age` plus or minus a tenth, so that connections that were opened together are not
/// closed together.
fn with_jitter(age: Duration, number: u64) -> Duration {
    let percent = 90 + (number.wrapping_mul(7) % 21);
    age.mul_f64(f64::from(u32::try_from(percent).expect("it is at most 110")) / 100.0)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::metrics::Metrics;
    use crate::server::activity::RequestInFlight;
    use admission::profile::Profiles;

    #[test]
    fn a_client_of_http_2_has_a_while_after_its_farewell_and_one_of_http_1_until_its_next_answer() {
        let limits = ConnectionLimits::default();
        let (age, while_after) = (limits.age, limits.request + Duration::from_secs(1));
        for (is_http2, expected) in [
            (true, Some((Closing::Now, CloseReason::Stuck))),
            (false, None),
        ] {
            let activity = Arc::new(Activity::new());
            activity.handshake_done(is_http2);
            // One stream after another, none of which is old.
            let _request = activity.request();
            assert_eq!(
                closing_due(&activity, age, Some(while_after), &limits),
                expected
            );
            assert_eq!(
                closing_due(&activity, age, Some(limits.request), &limits),
                None
            );
        }
    }

    fn connections(slots: usize) -> Arc<Connections> {
        let limits = ConnectionLimits {
            connections: slots,
            ..ConnectionLimits::default()
        };
        let metrics = Metrics::new(Profiles::built_in(), || None);
        Connections::new(limits, metrics.connections)
    }

    fn peer(host: u8) -> Peer {
        Peer::of([192, 0, 2, host].into())
    }

    /// A connection with a request in flight, after a review was answered.
    fn busy(connections: &Arc<Connections>, host: u8) -> (ConnectionSlot, RequestInFlight) {
        let slot = connections.admit(peer(host)).expect("nothing is waiting");
        let slot = slot.now_or_never().expect("there is a slot");
        slot.activity.handshake_done(false);
        slot.activity.served_ok();
        let request = slot.activity.request();
        (slot, request)
    }

    fn is_open(slot: &ConnectionSlot) -> bool {
        *slot.closing.borrow() < Closing::Now
    }

    #[tokio::test]
    async fn a_peer_that_fills_all_places_with_requests_waits_for_its_next_and_others_do_not() {
        let connections = connections(8);
        let mut flood: Vec<_> = (0..8).map(|_| busy(&connections, 1)).collect();
        // Two may wait, independently.
        let mut waiting = Box::pin(connections.admit(peer(1)).expect("two may wait"));
        assert!(waiting.as_mut().now_or_never().is_none());
        let second = connections.admit(peer(1)).expect("two may wait");
        assert!(connections.admit(peer(1)).is_none(), "a third waits");
        let api_server: Vec<_> = (0..4).map(|_| busy(&connections, 2).0).collect();
        assert!(api_server.iter().all(is_open));
        let slot_freed = flood.iter().filter(|(slot, _)| is_open(slot)).count();
        assert_eq!(slot_freed, 4);
        drop(second);
        // Its own request ends, and its own new connection gets the slot.
        let (slot, request) = flood
            .iter()
            .position(|(slot, _)| is_open(slot))
            .map(|at| flood.remove(at))
            .expect("four are open");
        drop(request);
        let newcomer = waiting.await;
        assert!(!is_open(&slot) && is_open(&newcomer));
        assert!(api_server.iter().all(is_open));
    }

    #[test]
    fn a_peer_has_no_new_share_by_a_new_connection_while_anything_is_held() {
        let connections = connections(8);
        let (slot, _request) = busy(&connections, 1);
        // Like a review in progress.
        let held_by = Arc::clone(&slot.caller);
        drop(slot);
        let (slot, _request) = busy(&connections, 1);
        assert!(Arc::ptr_eq(&held_by, &slot.caller));
        drop(held_by);
        drop(slot);
        for host in 2..=200 {
            busy(&connections, host);
        }
        let known = connections.table().callers.len();
        assert!(known <= 3, "{known} are remembered");
    }

    #[tokio::test]
    async fn who_waits_has_the_place_of_one_that_leaves() {
        let connections = connections(1);
        let (slot, _request) = busy(&connections, 1);
        let waiting = connections.admit(peer(1)).expect("one may wait");
        drop(slot);
        assert!(is_open(&waiting.await));
        connections.all_closed().await;
    }
}
