//! An amount of memory or slots that all requests share.
//!
//! A reservation grows while a body arrives and shrinks when it is parsed, and a
//! caller's share depends on what is free. `tokio::sync::Semaphore` does not support
//! that. For slots it would work, but it locks a shared mutex whenever a permit is
//! returned, which is twice for every review.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An amount to reserve from: bytes of memory, or slots. It is lock-free and never
/// waits: a reservation succeeds or fails immediately.
#[derive(Debug)]
pub struct Budget(Arc<AtomicUsize>);

/// The only reservation of a caller may be this many times what it leaves free. That
/// is more than several reservations may be together, because most callers have one
/// review at a time. The rest is enough for the small reviews of others.
const ONLY_PART: usize = 7;

/// The maximum size of a caller's only reservation in a budget of `amount`.
pub fn max_single_reservation(amount: usize) -> usize {
    amount / (ONLY_PART + 1) * ONLY_PART
}

/// A part of a budget, which is returned on drop, on any thread. So the memory of a
/// review stays reserved until it is freed, even if its client disconnects.
#[derive(Debug)]
pub struct Reservation {
    available: Arc<AtomicUsize>,
    amount: usize,
    /// The total of the caller, including this, if callers have shares.
    by_caller: Option<Arc<AtomicUsize>>,
}

impl Budget {
    /// A budget of this amount.
    pub fn new(amount: usize) -> Budget {
        Budget(Arc::new(AtomicUsize::new(amount)))
    }

    /// Reserves `amount`, if it is available.
    pub fn reserve(&self, amount: usize) -> Option<Reservation> {
        let mut reservation = Reservation {
            available: Arc::clone(&self.0),
            amount: 0,
            by_caller: None,
        };
        reservation.grow_to(amount).then_some(reservation)
    }

    /// An empty reservation for the caller with the total `by_caller`. It can grow while
    /// the caller leaves as much free as it has; or a seventh of that, if it is the
    /// caller's only reservation.
    pub fn reserve_for_caller(&self, by_caller: &Arc<AtomicUsize>) -> Reservation {
        Reservation {
            available: Arc::clone(&self.0),
            amount: 0,
            by_caller: Some(Arc::clone(by_caller)),
        }
    }

    /// The amount that is not reserved.
    pub fn available(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// The reserved amount.
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Grows to `amount`; or not at all, if that is not available.
    pub fn grow_to(&mut self, amount: usize) -> bool {
        let more = amount.saturating_sub(self.amount);
        if more == 0 {
            return true;
        }
        let is_taken = self.is_within_caller_share(more)
            && self
                .available
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(more)
                })
                .is_ok();
        if is_taken {
            self.amount += more;
        } else {
            self.return_to_caller(more);
        }
        is_taken
    }

    /// Adds `more` to the caller's total, and returns whether its share allows that.
    fn is_within_caller_share(&self, more: usize) -> bool {
        let Some(by_caller) = &self.by_caller else {
            return true;
        };
        let held = by_caller.fetch_add(more, Ordering::Relaxed);
        let left = self.available.load(Ordering::Relaxed);
        let times = if held == self.amount { ONLY_PART } else { 1 };
        held + more <= times.saturating_mul(left.saturating_sub(more))
    }

    fn return_to_caller(&self, less: usize) {
        if let Some(by_caller) = &self.by_caller {
            by_caller.fetch_sub(less, Ordering::Relaxed);
        }
    }

    /// Shrinks to `amount`.
    pub fn shrink_to(&mut self, amount: usize) {
        let less = self.amount.saturating_sub(amount);
        self.available.fetch_add(less, Ordering::Relaxed);
        self.return_to_caller(less);
        self.amount -= less;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_there_is_and_takes_it_back() {
        let budget = Budget::new(10);
        let mut first = budget.reserve(4).expect("there are ten");
        assert!(budget.reserve(7).is_none());
        let second = budget.reserve(6).expect("six are left");
        assert!(!first.grow_to(5));
        drop(second);
        assert!(first.grow_to(10) && budget.reserve(1).is_none());
        first.shrink_to(3);
        assert!(budget.reserve(8).is_none() && budget.reserve(7).is_some());
        drop(first);
        assert!(budget.reserve(10).is_some());
    }

    #[test]
    fn a_caller_leaves_as_much_free_as_it_takes_or_a_seventh_of_that_if_it_takes_once() {
        let budget = Budget::new(100);
        let [attacker, api_server] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let part = |caller, amount| {
            let mut part = budget.reserve_for_caller(caller);
            part.grow_to(amount).then_some(part)
        };
        assert!(part(&attacker, 88).is_none());
        let only = part(&attacker, 87).expect("it is the only one");
        assert!(part(&attacker, 1).is_none());
        assert!(
            part(&api_server, 11).is_some(),
            "others have theirs of the rest"
        );
        drop(only);
        let many: Vec<_> = std::iter::from_fn(|| part(&attacker, 10)).collect();
        assert_eq!(many.len(), 5);
        let mut own = part(&api_server, 10).expect("half is left for others");
        assert!(
            !own.grow_to(44) && own.grow_to(43),
            "there is no more for it"
        );
        assert!(part(&attacker, 1).is_none() && part(&api_server, 1).is_none());
        drop((many, own));
        for caller in [attacker, api_server] {
            assert_eq!(caller.load(Ordering::Relaxed), 0);
        }
        assert_eq!(budget.available(), 100);
    }
}
