//! All connections: who may come, who has to go, and when.
//!
//! The table is locked when a connection comes and goes and by the sweep, never
//! on behalf of a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::activity::{Activity, Doing};
use super::limits::Limits;
use super::refusals::Refusals;
use crate::metrics::connections::{Closed, Connections as Figures, Open};

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
            left.await;
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
                if let Some((order, end)) = verdict(&entry.activity, entry.age, limits) {
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
        }
    }
}

impl Place {
    /// Where a failed handshake is told.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.connections.refusals
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

/// What has to be told to a connection, if anything.
fn verdict(activity: &Activity, age: Duration, limits: &Limits) -> Option<(Order, Closed)> {
    match activity.doing() {
        Doing::Beginning(since) if since > limits.handshake => {
            Some((Order::Abort, Closed::NoRequest))
        }
        Doing::Header(since) if since > limits.header => {
            Some((Order::Abort, Closed::HeaderTimeout))
        }
        Doing::Request(since) if since > limits.request => Some((Order::Abort, Closed::Stuck)),
        // It did not take its last bytes, or did not answer our farewell.
        Doing::Idle(since) if since > limits.idle + limits.header => {
            Some((Order::Abort, Closed::Idle))
        }
        Doing::Idle(since) if since > limits.idle => Some((Order::Finish, Closed::Idle)),
        _ if activity.age() > age => Some((Order::LastAnswer, Closed::Age)),
        _ => None,
    }
}

/// How little would be lost with a connection: one that never sent a request
/// before one that did, and of these the one that waits longest. None for one
/// that serves a request.
fn uselessness(doing: Doing) -> Option<(bool, Duration)> {
    match doing {
        Doing::Beginning(since) => Some((true, since)),
        Doing::Idle(since) | Doing::Header(since) => Some((false, since)),
        Doing::Request(_) => None,
    }
}

/// `age`, a tenth more or less, so that connections that came together do not
/// go together.
fn spread(age: Duration, number: u64) -> Duration {
    let percent = 90 + (number.wrapping_mul(7) % 21);
    age.mul_f64(f64::from(u32::try_from(percent).expect("it is at most 110")) / 100.0)
}
