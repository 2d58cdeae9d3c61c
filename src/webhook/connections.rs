//! All connections: who may come, who has to go, and when.
//!
//! The table is locked when a connection comes and goes and by the sweep, never
//! on behalf of a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::activity::{Activity, Doing};
use super::limits::Limits;
use super::refusals::Refusals;
use crate::metrics::connections::{Closed, Connections as Figures, Open};

/// Longer than a review takes that waits for the API server.
const SLOW: Duration = Duration::from_secs(3);

/// How often a newcomer looks for a place, where all serve requests.
const AGAIN: Duration = Duration::from_millis(100);

/// What a connection is told. Later ones are stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// Say with the next answer that it is the last: `Connection: close`, or at
    /// once GOAWAY. The client decides when.
    LastAnswer,
    /// End, once the requests in flight are answered.
    Finish,
    /// End now.
    Abort,
}

/// The open connections.
pub(super) struct Connections {
    limits: Limits,
    figures: Figures,
    table: Mutex<Table>,
    refusals: Refusals,
    left: Notify,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// What each connection is told that comes now.
    order: Option<(Order, Closed)>,
    open: HashMap<u64, Entry>,
}

struct Entry {
    activity: Arc<Activity>,
    order: watch::Sender<Order>,
    age: Duration,
    end: Option<Closed>,
    farewell: Option<Instant>,
}

/// A place in the table; it is free again when this is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    open: Open,
    /// What this connection does.
    pub(super) activity: Arc<Activity>,
    /// What it is told.
    pub(super) order: watch::Receiver<Order>,
}

impl Connections {
    pub(super) fn new(limits: Limits, figures: Figures) -> Arc<Connections> {
        Arc::new(Connections {
            limits,
            figures,
            table: Mutex::default(),
            refusals: Refusals::default(),
            left: Notify::new(),
        })
    }

    /// A place for a connection that was just accepted. Where all are taken, the
    /// least useful connection is ended for it; where all serve requests, this
    /// waits.
    pub(super) async fn place(self: &Arc<Connections>) -> Place {
        loop {
            let left = self.left.notified();
            if let Some(place) = self.try_place() {
                return place;
            }
            // Or until one of them has become slow.
            let _ = timeout(AGAIN, left).await;
        }
    }

    fn try_place(self: &Arc<Connections>) -> Option<Place> {
        let mut table = self.table();
        if table.open.len() >= self.limits.connections {
            let victim = *table
                .open
                .iter()
                .filter_map(|(number, entry)| Some((uselessness(entry.activity.doing())?, number)))
                .max()?
                .1;
            let mut entry = table.open.remove(&victim).expect("it was just found");
            entry.tell(Order::Abort, Closed::Evicted);
        }
        let number = table.next;
        table.next += 1;
        let activity = Arc::new(Activity::begin());
        let (sender, order) = watch::channel(Order::Serve);
        let mut entry = Entry {
            activity: Arc::clone(&activity),
            order: sender,
            age: spread(self.limits.age, number),
            end: None,
            farewell: None,
        };
        if let Some((order, end)) = table.order {
            entry.tell(order, end);
        }
        table.open.insert(number, entry);
        Some(Place {
            connections: Arc::clone(self),
            number,
            open: self.figures.opened(),
            activity,
            order,
        })
    }

    /// Tells every connection, and all that come later.
    pub(super) fn tell(&self, order: Order, end: Closed) {
        let mut table = self.table();
        table.order = Some((order, end));
        for entry in table.open.values_mut() {
            entry.tell(order, end);
        }
    }

    /// Returns when no connection is open.
    pub(super) async fn all_left(&self) {
        loop {
            let left = self.left.notified();
            if self.table().open.is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Ends, from time to time, what has lasted too long. Never returns.
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
                let farewell = entry.farewell.map(|then| then.elapsed());
                if let Some((order, end)) = verdict(&entry.activity, entry.age, farewell, limits) {
                    entry.tell(order, end);
                }
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no holder panics")
    }
}

impl Entry {
    fn tell(&mut self, order: Order, end: Closed) {
        let told = self.order.send_if_modified(|current| {
            let stronger = order > *current;
            if stronger {
                *current = order;
            }
            stronger
        });
        if told {
            self.end = Some(end);
            self.farewell.get_or_insert_with(Instant::now);
        }
    }
}

impl Place {
    /// Where a failed handshake is told.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.connections.refusals
    }

    /// It ends, and not because it was told to.
    pub(super) fn ends(&mut self, why: Closed) {
        self.open.closes(why);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let entry = self.connections.table().open.remove(&self.number);
        // Who made room is out of the table already.
        if let Some(end) = entry.map_or(Some(Closed::Evicted), |entry| entry.end) {
            self.open.closes(end);
        }
        self.connections.left.notify_waiters();
    }
}

/// What has to be told to a connection, if anything. It was told farewell so long
/// ago, if it was.
fn verdict(
    activity: &Activity,
    age: Duration,
    farewell: Option<Duration>,
    limits: &Limits,
) -> Option<(Order, Closed)> {
    let abort = |why| Some((Order::Abort, why));
    match activity.doing() {
        Doing::Handshake(since) if since > limits.handshake => abort(Closed::Handshake),
        Doing::Header(since) if since > limits.header => abort(Closed::HeaderTimeout),
        Doing::Request(since) if since > limits.request => abort(Closed::Stuck),
        // A client of HTTP/2 knows that it is over, and has had its time. One of
        // HTTP/1.1 learns it with its next answer only.
        _ if activity.is_http2() && farewell.is_some_and(|since| since > limits.request) => {
            abort(Closed::Stuck)
        }
        // It did not take its last bytes, or did not answer our farewell.
        Doing::Idle(since) | Doing::Unused(since) if since > limits.idle + limits.header => {
            abort(Closed::Idle)
        }
        Doing::Idle(since) if since > limits.idle => Some((Order::Finish, Closed::Idle)),
        // Clients keep connections that they dialled and did not need; over
        // HTTP/1.1 they cannot be told before they use them.
        Doing::Unused(since) if activity.is_http2() && since > limits.handshake + limits.header => {
            abort(Closed::NoRequest)
        }
        Doing::Unused(since) if activity.is_http2() && since > limits.handshake => {
            Some((Order::Finish, Closed::NoRequest))
        }
        Doing::Unused(since) if since > limits.idle => Some((Order::Finish, Closed::NoRequest)),
        _ if activity.age() > age => Some((Order::LastAnswer, Closed::Age)),
        _ => None,
    }
}

/// How little would be lost with a connection: one that never sent a request
/// before one that did, and of these the one that waits longest. At last one
/// whose request is slower than any review is; never another that serves one.
fn uselessness(doing: Doing) -> Option<(u8, Duration)> {
    match doing {
        Doing::Handshake(since) | Doing::Unused(since) => Some((2, since)),
        Doing::Idle(since) | Doing::Header(since) => Some((1, since)),
        Doing::Request(since) if since > SLOW => Some((0, since)),
        Doing::Request(_) => None,
    }
}

/// `age`, a tenth more or less, so that connections that came together do not
/// go together.
fn spread(age: Duration, number: u64) -> Duration {
    let percent = 90 + (number.wrapping_mul(7) % 21);
    age.mul_f64(f64::from(u32::try_from(percent).expect("it is at most 110")) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_http_2_has_a_while_after_its_farewell_and_one_of_http_1_until_its_next_answer() {
        let limits = Limits::default();
        let (age, while_after) = (limits.age, limits.request + Duration::from_secs(1));
        for (is_http2, told) in [(true, Some((Order::Abort, Closed::Stuck))), (false, None)] {
            let activity = Arc::new(Activity::begin());
            activity.shaken(is_http2);
            // One stream after the other, none of which is old.
            let _request = activity.request();
            assert_eq!(verdict(&activity, age, Some(while_after), &limits), told);
            assert_eq!(verdict(&activity, age, Some(limits.request), &limits), None);
        }
    }

    #[test]
    fn who_asked_for_nothing_makes_room_first_and_who_is_served_never() {
        let time = Duration::from_secs;
        let mut all = [
            Doing::Request(time(2)),
            Doing::Request(time(9)),
            Doing::Idle(time(5)),
            Doing::Header(time(7)),
            Doing::Handshake(time(1)),
            Doing::Unused(time(3)),
        ];
        all.sort_by_key(|doing| std::cmp::Reverse(uselessness(*doing)));
        let served = Doing::Request(time(2));
        assert_eq!(
            all,
            [
                Doing::Unused(time(3)),
                Doing::Handshake(time(1)),
                Doing::Header(time(7)),
                Doing::Idle(time(5)),
                Doing::Request(time(9)),
                served,
            ]
        );
        assert_eq!(uselessness(served), None);
    }
}
