//! The state of one replica. It is pure, so that tests can simulate many.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::authority::MakeError;
use super::clock::Moment;
use super::rotation::{SecretAction, Trust, next};
use super::secret::SecretContent;
use super::state::{State, Terms};
use super::webhook_configuration::{ForeignAuthorities, WebhookConfiguration};

/// The mutating and the validating configuration, if they exist.
pub(super) type WebhookConfigurations = [Option<WebhookConfiguration>; 2];

/// The state of one replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) terms: Terms,
    memory: Option<State>,
    sighting: Option<Sighting>,
    foreign: ForeignAuthorities,
    /// The leaf in use, and its issuer.
    served: Option<(CertificateDer<'static>, CertificateDer<'static>)>,
}

/// Since when both configurations trust the whole bundle.
#[derive(Debug)]
struct Sighting {
    what: TrustedBundle,
    since: Duration,
}

/// The objects of a sighting. Any change of them begins a new one: an operator may have
/// removed and restored a CA in between, and an API server may see that later.
#[derive(Debug, PartialEq, Eq)]
struct TrustedBundle {
    generation: u64,
    bundle: Vec<CertificateDer<'static>>,
    versions: [Option<(String, i64)>; 2],
}

impl Replica {
    /// A replica that has just started.
    pub(super) fn new(terms: Terms) -> Replica {
        Replica {
            terms,
            memory: None,
            sighting: None,
            foreign: ForeignAuthorities::default(),
            served: None,
        }
    }

    /// The next action on the Secret, which was read after the configurations.
    pub(super) fn next(
        &mut self,
        configurations: &WebhookConfigurations,
        held: &SecretContent,
        now: Moment,
    ) -> Result<SecretAction, MakeError> {
        let trust = match held {
            SecretContent::Whole { state, .. } => self.look(configurations, state, now.steady),
            _ => Trust::Lacking,
        };
        next(held, self.memory.as_ref(), trust, &self.terms, now)
    }

    /// Updates the sighting. A configuration that does not exist counts as trusting
    /// everything, because no API server uses it. It has a new version when it is created.
    fn look(
        &mut self,
        configurations: &WebhookConfigurations,
        state: &State,
        steady: Duration,
    ) -> Trust {
        let mut existing = configurations.iter().flatten();
        if !existing.all(|configuration| configuration.trusts_all_of(state)) {
            self.sighting = None;
            return Trust::Lacking;
        }
        let version = |of: &Option<WebhookConfiguration>| of.as_ref().map(|of| of.version.clone());
        let [mutating, validating] = configurations;
        let what = TrustedBundle {
            generation: state.generation,
            bundle: state.bundle().map(|ca| ca.der.clone()).collect(),
            versions: [version(mutating), version(validating)],
        };
        let since = match &self.sighting {
            Some(sighting) if sighting.what == what => sighting.since,
            _ => steady,
        };
        self.sighting = Some(Sighting { what, since });
        Trust::For(steady.saturating_sub(since))
    }

    /// Records `state` as the content of the Secret.
    pub(super) fn learn(&mut self, state: State) {
        if let Some(before) = &self.memory {
            self.foreign.retire(before, &state);
        }
        self.memory = Some(state);
    }

    /// The last valid content of the Secret.
    pub(super) fn memory(&self) -> Option<&State> {
        self.memory.as_ref()
    }

    /// The patches that correct the configurations.
    ///
    /// The Secret must have been read or written after them, so that CAs which another
    /// replica added in between are known.
    pub(super) fn corrections(
        &mut self,
        configurations: &WebhookConfigurations,
        steady: Duration,
    ) -> [Option<Value>; 2] {
        let Some(state) = &self.memory else {
            return [None, None];
        };
        self.foreign
            .observe(configurations.iter().flatten(), state, steady);
        let (foreign, overlap) = (&self.foreign, self.terms.lifetimes.overlap);
        configurations.each_ref().map(|configuration| {
            let configuration = configuration.as_ref()?;
            configuration.correction(state, foreign, overlap, steady)
        })
    }

    /// When the waiting time of a foreign CA ends.
    pub(super) fn foreign_due(&self, steady: Duration) -> Option<Duration> {
        self.foreign.due(self.terms.lifetimes.overlap, steady)
    }

    /// The state whose leaf to serve, if it is a new one.
    ///
    /// The Secret determines the leaf, and that the waiting time of its CA has passed.
    /// The configurations are also checked, in case the Secret was manipulated: a trusted
    /// certificate stays in use until the new one is trusted too.
    pub(super) fn presented(&self, configurations: &WebhookConfigurations) -> Option<&State> {
        let state = self.memory.as_ref()?;
        let (leaf, issuer) = (&state.leaf.certificate.der, &state.issuer.certificate.der);
        let trusted = |ca: &CertificateDer<'_>| {
            let mut existing = configurations.iter().flatten();
            existing.all(|configuration| configuration.trusts(ca))
        };
        let is_due = match &self.served {
            None => true,
            Some((served, _)) if served == leaf => false,
            Some((_, of)) => of == issuer || trusted(issuer) || !trusted(of),
        };
        is_due.then_some(state)
    }

    /// Records that the leaf of `state` is in use.
    pub(super) fn serves(&mut self, state: &State) {
        let (leaf, issuer) = (&state.leaf.certificate.der, &state.issuer.certificate.der);
        self.served = Some((leaf.clone(), issuer.clone()));
    }
}
