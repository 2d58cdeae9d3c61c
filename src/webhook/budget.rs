//! What requests share, and may not exceed together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// An amount to take from: bytes of memory, or places. Nobody waits for it, and
/// no lock is taken: who gets nothing is told so.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

/// A part of a budget. It goes back when this is dropped.
#[derive(Debug)]
pub struct Taken<'b> {
    budget: &'b Budget,
    amount: usize,
}

impl Budget {
    /// A budget of this amount.
    pub fn new(amount: usize) -> Budget {
        Budget(AtomicUsize::new(amount))
    }

    /// A part of it, if there is as much.
    pub fn take(&self, amount: usize) -> Option<Taken<'_>> {
        let mut taken = Taken {
            budget: self,
            amount: 0,
        };
        taken.grow_to(amount).then_some(taken)
    }

    /// How much of it nothing has taken.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Taken<'_> {
    /// Takes more, until it is `amount`; or nothing, if there is not as much.
    pub fn grow_to(&mut self, amount: usize) -> bool {
        let more = amount.saturating_sub(self.amount);
        let taken = self
            .budget
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(more)
            })
            .is_ok();
        if taken {
            self.amount += more;
        }
        taken
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.amount, Ordering::Relaxed);
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
        drop(first);
        assert!(budget.take(10).is_some());
    }
}
