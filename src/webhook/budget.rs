//! What requests share, and may not exceed together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An amount to take from: bytes of memory, or places. Nobody waits for it, and
/// no lock is taken: who gets nothing is told so.
#[derive(Debug)]
pub struct Budget(Arc<AtomicUsize>);

/// A part of a budget. It goes back when this is dropped, on whichever thread
/// that is: what was taken for a review is held until nothing of it is left, even
/// if its client has gone meanwhile.
#[derive(Debug)]
pub struct Taken {
    left: Arc<AtomicUsize>,
    amount: usize,
}

impl Budget {
    /// A budget of this amount.
    pub fn new(amount: usize) -> Budget {
        Budget(Arc::new(AtomicUsize::new(amount)))
    }

    /// A part of it, if there is as much.
    pub fn take(&self, amount: usize) -> Option<Taken> {
        let mut taken = Taken {
            left: Arc::clone(&self.0),
            amount: 0,
        };
        taken.grow_to(amount).then_some(taken)
    }

    /// How much of it nothing has taken.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Taken {
    /// How much it is.
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Takes more, until it is `amount`; or nothing, if there is not as much.
    pub fn grow_to(&mut self, amount: usize) -> bool {
        let more = amount.saturating_sub(self.amount);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(more)
            })
            .is_ok();
        if taken {
            self.amount += more;
        }
        taken
    }

    /// Gives back what is more than `amount`.
    pub fn shrink_to(&mut self, amount: usize) {
        let less = self.amount.saturating_sub(amount);
        self.left.fetch_add(less, Ordering::Relaxed);
        self.amount -= less;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.left.fetch_add(self.amount, Ordering::Relaxed);
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
}
