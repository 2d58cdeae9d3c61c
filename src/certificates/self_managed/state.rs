//! What the Secret holds, and how that may change.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

use super::authority::{Authority, Leaf, MakeError};
use super::certificate::Certificate;

/// How many authorities are carried along besides the two in use.
const OTHERS: usize = 6;
/// How many names a leaf has at most.
const NAMES: usize = 16;
/// Clocks differ, by hours where one takes local time for UTC. An authority
/// begins that much before it is made.
const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// How long what is valid.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// An authority. It is replaced with a third of it left.
    pub authority: Duration,
    /// A leaf. It is renewed with a third of it left.
    pub leaf: Duration,
    /// How long an authority is trusted before a leaf of it is served, and how
    /// long the one before it stays trusted then.
    pub overlap: Duration,
}

/// What certificates are made by.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) names: Vec<String>,
    pub(super) lifetimes: Lifetimes,
}

/// What the Secret holds, proven to fit together: the leaf is the issuer's.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Counts the changes of authorities. A Secret with a smaller one is an old
    /// copy.
    pub(super) generation: u64,
    /// Issued the leaf. Where its key is lost, `next` is there.
    pub(super) issuer: Authority,
    /// Trusted already, to issue the leaves to come.
    pub(super) next: Option<Authority>,
    /// Still trusted, since a replica may still serve a leaf of theirs.
    pub(super) others: Vec<Certificate>,
    pub(super) leaf: Leaf,
    /// Since when both configurations have been seen to trust all of these.
    pub(super) trusted_since: Option<SystemTime>,
}

impl State {
    /// The first one.
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

    /// Every authority that is to be trusted, the issuer first.
    pub(super) fn bundle(&self) -> impl Iterator<Item = &Certificate> {
        let next = self.next.iter().map(|next| &next.certificate);
        std::iter::once(&self.issuer.certificate)
            .chain(next)
            .chain(&self.others)
    }

    /// Whether `authority` is among those to be trusted.
    pub(super) fn trusts(&self, authority: &CertificateDer<'_>) -> bool {
        self.bundle().any(|trusted| trusted.der == *authority)
    }

    /// With these to be trusted as well.
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

    /// With a new leaf of the same authority, which every client trusts already.
    pub(super) fn renewed(&self, terms: &Terms, now: SystemTime) -> Result<State, MakeError> {
        let until = (now + terms.lifetimes.leaf).max(self.spanned(now));
        Ok(State {
            leaf: self.issuer.issue(&self.names(terms), until)?,
            ..self.clone()
        })
    }

    /// With an authority to be trusted from now on, and used later.
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

    /// With a leaf of the next authority. The one before it stays trusted.
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
        // Whatever else there is: this one is served until all have the new leaf.
        let issuer = &self.issuer.certificate;
        let mut others = vec![issuer.clone()];
        others.extend(self.others.iter().filter(|other| *other != issuer).cloned());
        Ok(State {
            trusted_since: Some(now),
            others,
            ..promoted
        })
    }

    /// Without those no replica serves a leaf of any more.
    pub(super) fn retired(&self) -> State {
        State {
            generation: self.generation.saturating_add(1),
            others: Vec::new(),
            trusted_since: None,
            ..self.clone()
        }
    }

    /// With `trusted_since` noted.
    pub(super) fn noted(&self, trusted_since: Option<SystemTime>) -> State {
        State {
            trusted_since,
            ..self.clone()
        }
    }

    /// Whether what is served is worth nothing, as far as `now` can be believed.
    pub(super) fn is_useless_at(&self, now: SystemTime) -> bool {
        !self.leaf.certificate.is_valid_at(now) || !self.issuer.certificate.is_valid_at(now)
    }

    /// An authority whose time begins when the present one's did. Nothing is
    /// lost by that, and if this clock is ahead, clients whose clock is right
    /// take the new one all the same.
    fn successor(&self, terms: &Terms, now: SystemTime) -> Result<Authority, MakeError> {
        let begin = self.issuer.certificate.not_before.min(now - SKEW);
        let end = (now + terms.lifetimes.authority).max(match self.is_useless_at(now) {
            true => self.issuer.certificate.not_after,
            false => now,
        });
        Authority::create(begin, end)
    }

    /// The least time a leaf has to last: where the present one looks useless,
    /// this clock may be the wrong one, and then it must not shorten anything.
    fn spanned(&self, now: SystemTime) -> SystemTime {
        match self.is_useless_at(now) {
            true => self.leaf.certificate.not_after,
            false => now,
        }
    }

    /// The names wanted, and those of the present leaf: while replicas with
    /// other arguments are about, each finds its own.
    fn names(&self, terms: &Terms) -> Vec<String> {
        let mut names = terms.names.clone();
        if !self.is_named(terms) {
            let present = self.leaf.certificate.names.iter();
            names.extend(present.filter(|name| !terms.names.contains(name)).cloned());
            names.truncate(NAMES);
        }
        names
    }

    /// Whether the leaf has all names it is wanted for.
    pub(super) fn is_named(&self, terms: &Terms) -> bool {
        let present = &self.leaf.certificate.names;
        terms.names.iter().all(|name| present.contains(name))
    }
}
