//! The state in the Secret, and its transitions.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

use super::authority::{Authority, Leaf, MakeError};
use super::certificate::Certificate;

/// The maximum number of CAs in addition to the two in use.
const OTHERS: usize = 6;
/// The maximum number of names of a leaf.
const NAMES: usize = 16;
/// The validity of a CA begins this much before it is created, because clocks differ, by
/// hours if one uses local time as UTC.
const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// The lifetimes of certificates.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// The lifetime of a CA, which is replaced when a third is left.
    pub authority: Duration,
    /// The lifetime of a leaf, which is renewed when a third is left.
    pub leaf: Duration,
    /// The waiting time: how long a CA is trusted before one of its leaves is served, and
    /// how long the previous CA stays trusted afterwards.
    pub overlap: Duration,
}

/// The names and lifetimes of certificates.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) names: Vec<String>,
    pub(super) lifetimes: Lifetimes,
}

/// The state in the Secret, whose leaf is verified to be from the issuer.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Counts the changes of CAs. A Secret with a smaller number is an old copy.
    pub(super) generation: u64,
    /// The issuer of the leaf. If its key is lost, there is a `next`.
    pub(super) issuer: Authority,
    /// The next issuer, which must be trusted before it is used.
    pub(super) next: Option<Authority>,
    /// CAs that stay trusted because replicas may still serve their leaves.
    pub(super) others: Vec<Certificate>,
    pub(super) leaf: Leaf,
    /// Since when both configurations trust all of these.
    pub(super) trusted_since: Option<SystemTime>,
}

impl State {
    /// The first state.
    pub(super) fn create(terms: &Terms, now: SystemTime) -> Result<State, MakeError> {
        let lifetimes = terms.lifetimes;
        let issuer = Authority::create(now - SKEW, now + lifetimes.authority)?;
        Ok(State {
            generation: 1,
            leaf: issuer.issue(&terms.names, now + lifetimes.leaf)?,
            issuer,
            next: None,
            others: Vec::new(),
            trusted_since: None,
        })
    }

    /// All trusted CAs, the issuer first.
    pub(super) fn bundle(&self) -> impl Iterator<Item = &Certificate> {
        let next = self.next.iter().map(|next| &next.certificate);
        std::iter::once(&self.issuer.certificate)
            .chain(next)
            .chain(&self.others)
    }

    /// Whether `authority` is in the bundle.
    pub(super) fn trusts(&self, authority: &CertificateDer<'_>) -> bool {
        self.bundle().any(|trusted| trusted.der == *authority)
    }

    /// Adds these to the bundle.
    pub(super) fn trusting<'a>(mut self, more: impl IntoIterator<Item = &'a Certificate>) -> State {
        for certificate in more {
            if !self.trusts(&certificate.der) && self.others.len() < OTHERS {
                self.others.push(certificate.clone());
                self.generation = self.generation.saturating_add(1);
                self.trusted_since = None;
            }
        }
        self
    }

    /// Renews the leaf from the same CA, which all clients trust already.
    pub(super) fn renewed(&self, terms: &Terms, now: SystemTime) -> Result<State, MakeError> {
        let until = (now + terms.lifetimes.leaf).max(self.spanned(now));
        Ok(State {
            leaf: self.issuer.issue(&self.names(terms), until)?,
            ..self.clone()
        })
    }

    /// Adds the next CA, which is trusted first and used later.
    pub(super) fn introducing(&self, terms: &Terms, now: SystemTime) -> Result<State, MakeError> {
        let dropped = self.next.iter().map(|next| &next.certificate);
        let before = State {
            next: None,
            ..self.clone()
        };
        Ok(State {
            generation: self.generation.saturating_add(1),
            next: Some(self.successor(terms, now)?),
            trusted_since: None,
            ..before.trusting(dropped)
        })
    }

    /// Renews the leaf from the next CA. The previous CA stays trusted.
    pub(super) fn promoted(&self, terms: &Terms, now: SystemTime) -> Result<State, MakeError> {
        let Some(next) = &self.next else {
            return Err(MakeError::Unusable);
        };
        let until = (now + terms.lifetimes.leaf).max(self.spanned(now));
        let promoted = State {
            generation: self.generation.saturating_add(1),
            leaf: next.issue(&self.names(terms), until)?,
            issuer: next.clone(),
            next: None,
            ..self.clone()
        };
        // The previous issuer first, so that it is never dropped from the bundle: replicas
        // still serve its leaf.
        let issuer = &self.issuer.certificate;
        let mut others = vec![issuer.clone()];
        others.extend(self.others.iter().filter(|other| *other != issuer).cloned());
        Ok(State {
            trusted_since: Some(now),
            others,
            ..promoted
        })
    }

    /// Removes the CAs whose leaves no replica serves any more.
    pub(super) fn retired(&self) -> State {
        State {
            generation: self.generation.saturating_add(1),
            others: Vec::new(),
            trusted_since: None,
            ..self.clone()
        }
    }

    /// Sets `trusted_since`.
    pub(super) fn noted(&self, trusted_since: Option<SystemTime>) -> State {
        State {
            trusted_since,
            ..self.clone()
        }
    }

    /// Whether the leaf or its issuer is not valid at `now`, which may be wrong.
    pub(super) fn is_useless_at(&self, now: SystemTime) -> bool {
        !self.leaf.certificate.is_valid_at(now) || !self.issuer.certificate.is_valid_at(now)
    }

    /// A new CA whose validity begins when that of the current one did. So even if this
    /// clock is ahead, clients with a correct clock accept it.
    fn successor(&self, terms: &Terms, now: SystemTime) -> Result<Authority, MakeError> {
        let begin = self.issuer.certificate.not_before.min(now - SKEW);
        let end = (now + terms.lifetimes.authority).max(match self.is_useless_at(now) {
            true => self.issuer.certificate.not_after,
            false => now,
        });
        Authority::create(begin, end)
    }

    /// The earliest expiry of a new leaf. If the current leaf is not valid, this clock may
    /// be wrong, and must not shorten its validity.
    fn spanned(&self, now: SystemTime) -> SystemTime {
        match self.is_useless_at(now) {
            true => self.leaf.certificate.not_after,
            false => now,
        }
    }

    /// The required names, and those of the current leaf: during a rollout, replicas may
    /// have different arguments.
    fn names(&self, terms: &Terms) -> Vec<String> {
        let mut names = terms.names.clone();
        if !self.is_named(terms) {
            let present = self.leaf.certificate.names.iter();
            names.extend(present.filter(|name| !terms.names.contains(name)).cloned());
            names.truncate(NAMES);
        }
        names
    }

    /// Whether the leaf has all required names.
    pub(super) fn is_named(&self, terms: &Terms) -> bool {
        let present = &self.leaf.certificate.names;
        terms.names.iter().all(|name| present.contains(name))
    }
}
