//! What the upkeep of the certificates tells about itself, for metrics.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::state::State;

/// What an authority of the bundle is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It has issued the serving certificate.
    Issuer,
    /// It is going to, once its waiting time is over.
    Next,
    /// It has, and is trusted until its second waiting time is over.
    Retiring,
}

/// An authority that the configurations are to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// What it is there for.
    pub role: Role,
    /// When it expires.
    pub not_after: SystemTime,
}

/// Figures of the upkeep, from now on.
#[derive(Debug, Default)]
pub struct Status {
    trusted: Mutex<Vec<Trusted>>,
    rounds: AtomicU64,
    failures: AtomicU64,
    repairs: AtomicU64,
    corrections: AtomicU64,
}

impl Status {
    /// Every authority of the bundle. None before the Secret was first read.
    pub fn trusted(&self) -> Vec<Trusted> {
        self.trusted.lock().expect("no holder panics").clone()
    }

    /// How often the Secret and the configurations were read, and found right or
    /// set right.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// How often the Secret or a configuration could not be read or written.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often this replica has put the Secret right.
    pub fn repairs(&self) -> u64 {
        self.repairs.load(Ordering::Relaxed)
    }

    /// How often this replica has changed a configuration.
    pub fn corrections(&self) -> u64 {
        self.corrections.load(Ordering::Relaxed)
    }

    pub(super) fn succeeded(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn repaired(&self) {
        self.repairs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn corrected(&self) {
        self.corrections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn show(&self, state: &State) {
        let issuer = std::iter::once((Role::Issuer, &state.issuer.certificate));
        let next = state
            .next
            .iter()
            .map(|next| (Role::Next, &next.certificate));
        let others = state.others.iter().map(|other| (Role::Retiring, other));
        let trusted = issuer
            .chain(next)
            .chain(others)
            .map(|(role, certificate)| Trusted {
                role,
                not_after: certificate.not_after,
            });
        *self.trusted.lock().expect("no holder panics") = trusted.collect();
    }
}
