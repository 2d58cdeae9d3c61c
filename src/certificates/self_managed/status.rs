//! What the upkeep of the certificates reports, for metrics.

use std::sync::Mutex;
use std::time::SystemTime;

use super::state::State;
use crate::metrics::certificates::{Authority, CertificateMetrics, Upkeep};

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

/// What the upkeep has done so far.
#[derive(Debug, Default)]
pub struct Status {
    trusted: Mutex<Vec<Trusted>>,
    figures: CertificateMetrics,
}

impl Status {
    /// One that counts into `figures`.
    pub fn counted(figures: CertificateMetrics) -> Status {
        Status {
            figures,
            ..Status::default()
        }
    }

    /// Every authority of the bundle. None before the Secret was first read.
    pub fn trusted(&self) -> Vec<Trusted> {
        self.trusted.lock().expect("no holder panics").clone()
    }

    /// How often this was done.
    pub fn count(&self, what: Upkeep) -> u64 {
        self.figures.upkeep_count(what)
    }

    pub(super) fn did(&self, what: Upkeep) {
        self.figures.count_upkeep(what);
    }

    pub(super) fn show(&self, state: &State) {
        let issuer = std::iter::once((Role::Issuer, &state.issuer.certificate));
        let next = state
            .next
            .iter()
            .map(|next| (Role::Next, &next.certificate));
        let others = state.others.iter().map(|other| (Role::Retiring, other));
        let trusted: Vec<_> = issuer
            .chain(next)
            .chain(others)
            .map(|(role, certificate)| Trusted {
                role,
                not_after: certificate.not_after,
            })
            .collect();
        for (role, authority) in [
            (Role::Issuer, Authority::Current),
            (Role::Next, Authority::Next),
            (Role::Retiring, Authority::Previous),
        ] {
            let of_role = trusted.iter().filter(|one| one.role == role);
            let first = of_role.map(|one| one.not_after).min();
            self.figures.authority_expires(authority, first);
        }
        *self.trusted.lock().expect("no holder panics") = trusted;
    }
}
