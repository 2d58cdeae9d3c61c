//! An amount that requests share, and may not exceed together.
//!
//! A reservation grows while a body arrives and shrinks when it is parsed, and a
//! caller's share depends on what is free. `tokio::sync::Semaphore` has no such
//! thing; and for plain places, where it could serve, it locks a mutex that all
//! threads share whenever a permit is returned, that is twice for every review.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An amount to reserve from: bytes of memory, or places. It takes no lock, and
/// nothing waits for it: a reservation succeeds or fails at once.
#[derive(Debug)]
pub struct Budget(Arc<AtomicUsize>);

/// How many times what it leaves free the only part of a caller may be. A caller
/// needs a whole review more often than much, so this is more than its several
/// parts may be; yet what is left is enough for the small reviews of others.
const ONLY_PART: usize = 7;

/// The most that a single part of a budget of `amount` can be for one caller.
pub fn max_single_reservation(amount: usize) -> usize {
    amount / (ONLY_PART + 1) * ONLY_PART
}

/// A part of a budget. It goes back when this is dropped, on whichever thread
/// that is: what was taken for a review is held until nothing of it is left, even
/// if its client has gone meanwhile.
#[derive(Debug)]
pub struct Reservation {
    available: Arc<AtomicUsize>,
    amount: usize,
    /// What one caller has taken, this included, where callers have shares.
    by_caller: Option<Arc<AtomicUsize>>,
}

impl Budget {
    /// A budget of this amount.
    pub fn new(amount: usize) -> Budget {
        Budget(Arc::new(AtomicUsize::new(amount)))
    }

    /// A part of it, if there is as much.
    pub fn reserve(&self, amount: usize) -> Option<Reservation> {
        let mut reservation = Reservation {
            available: Arc::clone(&self.0),
            amount: 0,
            by_caller: None,
        };
        reservation.grow_to(amount).then_some(reservation)
    }

    /// A part of it that is empty yet. It grows while the caller, who holds
    /// `by_caller` in all, leaves as much free as it has; the only part that a
    /// caller has, while it leaves a seventh as much.
    pub fn reserve_for_caller(&self, by_caller: &Arc<AtomicUsize>) -> Reservation {
        Reservation {
            available: Arc::clone(&self.0),
            amount: 0,
            by_caller: Some(Arc::clone(by_caller)),
        }
    }

    /// How much of it nothing has taken.
    pub fn available(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// How much it is.
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Takes more, until it is `amount`; or nothing, if there is not as much.
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
            self.give_back_to_caller(more);
        }
        is_taken
    }

    /// Counts `more` for the caller, and says whether it may have that.
    fn is_within_caller_share(&self, more: usize) -> bool {
        let Some(by_caller) = &self.by_caller else {
            return true;
        };
        let held = by_caller.fetch_add(more, Ordering::Relaxed);
        let left = self.available.load(Ordering::Relaxed);
        let times = if held == self.amount { ONLY_PART } else { 1 };
        held + more <= times.saturating_mul(left.saturating_sub(more))
    }

    fn give_back_to_caller(&self, less: usize) {
        if let Some(by_caller) = &self.by_caller {
            by_caller.fetch_sub(less, Ordering::Relaxed);
        }
    }

    /// Gives back what is more than `amount`.
    pub fn shrink_to(&mut self, amount: usize) {
        let less = self.amount.saturating_sub(amount);
        self.available.fetch_add(less, Ordering::Relaxed);
        self.give_back_to_caller(less);
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
