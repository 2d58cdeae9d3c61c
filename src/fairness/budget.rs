//! What requests share, and may not exceed together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An amount to take from: bytes of memory, or places. Nobody waits for it, and
/// no lock is taken: who gets nothing is told so.
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
    left: Arc<AtomicUsize>,
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
    pub fn take(&self, amount: usize) -> Option<Reservation> {
        let mut taken = Reservation {
            left: Arc::clone(&self.0),
            amount: 0,
            by_caller: None,
        };
        taken.grow_to(amount).then_some(taken)
    }

    /// A part of it that is empty yet. It grows while the caller, who holds
    /// `by_caller` in all, leaves as much free as it has; the only part that a
    /// caller has, while it leaves a seventh as much.
    pub fn share(&self, by_caller: &Arc<AtomicUsize>) -> Reservation {
        Reservation {
            left: Arc::clone(&self.0),
            amount: 0,
            by_caller: Some(Arc::clone(by_caller)),
        }
    }

    /// How much of it nothing has taken.
    pub fn left(&self) -> usize {
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
        let is_taken = self.is_within_caller_share(more)
            && self
                .left
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
        let left = self.left.load(Ordering::Relaxed);
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
        self.left.fetch_add(less, Ordering::Relaxed);
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
        let mut first = budget.take(4).expect("there are ten");
        assert!(budget.take(7).is_none());
        let second = budget.take(6).expect("six are left");
        assert!(!first.grow_to(5));
        drop(second);
        assert!(first.grow_to(10) && budget.take(1).is_none());
        first.shrink_to(3);
        assert!(budget.take(8).is_none() && budget.take(7).is_some());
        drop(first);
        assert!(budget.take(10).is_some());
    }

    #[test]
    fn a_caller_leaves_as_much_free_as_it_takes_or_a_seventh_of_that_if_it_takes_once() {
        let budget = Budget::new(100);
        let [attacker, api_server] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let part = |caller, amount| {
            let mut part = budget.share(caller);
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
        assert_eq!(budget.left(), 100);
    }
}
