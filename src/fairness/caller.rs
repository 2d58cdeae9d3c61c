//! The shares of one peer, over all its connections.
//!
//! A caller gets no more slots than it leaves free: a single caller half of them, two
//! callers a third each, and so on. A caller without a slot gets one if any is free.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::budget::{Budget, Reservation};
use super::peer::Peer;

/// A connected peer and its shares.
#[derive(Debug)]
pub struct Caller {
    /// The peer.
    pub peer: Peer,
    /// Its requests in flight.
    pub requests: CallerShare,
    /// Its reviews that are being decided.
    pub reviews: CallerShare,
    /// The memory of its reviews, in bytes.
    pub memory: Arc<AtomicUsize>,
    /// The memory of its records that wait to be written, in bytes.
    pub records: Arc<AtomicUsize>,
    /// Its positions in the queue for [`large_review_slots`]. Its other large reviews wait
    /// for these positions, so that they do not delay those of other callers.
    pub large_reviews: Arc<Semaphore>,
}

/// The number of large reviews in progress: half of the processors, which leaves the
/// other half for everything else.
pub fn large_review_slots() -> usize {
    let processors = std::thread::available_parallelism();
    processors.map_or(1, |count| count.get().div_ceil(2))
}

impl Caller {
    /// A caller without reservations.
    pub fn new(peer: Peer) -> Caller {
        Caller {
            peer,
            requests: CallerShare::default(),
            reviews: CallerShare::default(),
            memory: Arc::default(),
            records: Arc::default(),
            large_reviews: Arc::new(Semaphore::new(large_review_slots())),
        }
    }
}

/// The number of slots of a caller in a budget.
#[derive(Debug, Default)]
pub struct CallerShare(AtomicUsize);

/// One slot, which is returned on drop.
#[derive(Debug)]
pub struct Permit<'h> {
    share: &'h CallerShare,
    reservation: Option<Reservation>,
}

impl CallerShare {
    /// Acquires a slot, if the caller leaves as many free as it has.
    pub fn acquire<'h>(&'h self, places: &'h Budget) -> Option<Permit<'h>> {
        let held = self.0.fetch_add(1, Ordering::Relaxed);
        // From here on, dropping the permit returns the slot.
        let mut permit = Permit {
            share: self,
            reservation: None,
        };
        if held < places.available() {
            permit.reservation = places.reserve(1);
        }
        permit.reservation.is_some().then_some(permit)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.share.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All the slots that a caller gets.
    fn all<'h>(share: &'h CallerShare, places: &'h Budget) -> Vec<Permit<'h>> {
        std::iter::from_fn(|| share.acquire(places)).collect()
    }

    #[test]
    fn callers_take_no_more_than_they_leave_to_others() {
        let places = Budget::new(120);
        let callers: [CallerShare; 4] = Default::default();
        let first = all(&callers[0], &places);
        let second = all(&callers[1], &places);
        let third = all(&callers[2], &places);
        assert_eq!((first.len(), second.len(), third.len()), (60, 30, 15));
        // Later callers keep their shares after the first returns its slots.
        drop(first);
        let again = all(&callers[0], &places);
        assert_eq!(again.len(), 38);
        assert!(callers[3].acquire(&places).is_some());
        drop((second, third, again));
        assert_eq!(all(&callers[0], &places).len(), 60);
    }

    #[test]
    fn a_single_slot_goes_to_any_caller() {
        let places = Budget::new(1);
        let (first, second) = (CallerShare::default(), CallerShare::default());
        let place = first.acquire(&places).expect("there is one");
        assert!(first.acquire(&places).is_none() && second.acquire(&places).is_none());
        drop(place);
        assert!(second.acquire(&places).is_some());
    }
}
