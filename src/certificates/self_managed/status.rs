//! The status of the reconciliation, for metrics.

use std::sync::Mutex;
use std::time::SystemTime;

use super::state::State;
use crate::metrics::certificates::{Authority, CertificateMetrics, Upkeep};

/// The role of a CA in the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It issued the serving certificate.
    Issuer,
    /// It will be the issuer after its waiting time.
    Next,
    /// It was the issuer, and is trusted until the second waiting time ends.
    Retiring,
}

/// A CA of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// Its role.
    pub role: Role,
    /// When it expires.
    pub not_after: SystemTime,
}

/// The status of the reconciliation.
#[derive(Debug, Default)]
pub struct Status {
    trusted: Mutex<Vec<Trusted>>,
    figures: CertificateMetrics,
}

impl Status {
    /// A status that updates the metrics `figures`.
    pub fn counted(figures: CertificateMetrics) -> Status {
        Status {
            figures,
            ..Status::default()
        }
    }

    /// All CAs of the bundle. None before the Secret is read for the first time.
    pub fn trusted(&self) -> Vec<Trusted> {
        self.trusted.lock().expect("no holder panics").clone()
    }

    /// The count of this event.
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
