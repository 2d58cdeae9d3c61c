//! What one replica knows and remembers; pure, so that tests can run many.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::authority::MakeError;
use super::clock::Moment;
use super::rotation::{SecretAction, Trust, next};
use super::secret::SecretContent;
use super::state::{State, Terms};
use super::webhook_configuration::{ForeignAuthorities, WebhookConfiguration};

/// The mutating and the validating configuration, where they exist.
pub(super) type WebhookConfigurations = [Option<WebhookConfiguration>; 2];

/// What one replica knows and remembers.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) terms: Terms,
    memory: Option<State>,
    sighting: Option<Sighting>,
    strangers: ForeignAuthorities,
    /// The leaf in use, and who issued it.
    served: Option<(CertificateDer<'static>, CertificateDer<'static>)>,
}

/// That everything was trusted everywhere, and since when.
#[derive(Debug)]
struct Sighting {
    what: TrustedBundle,
    since: Duration,
}

/// What a sighting is of. Any change of it begins a new one: an operator may have
/// taken an authority away and put it back between two looks, and an API server
/// may still be about to see the gap.
#[derive(Debug, PartialEq, Eq)]
struct TrustedBundle {
    generation: u64,
    bundle: Vec<CertificateDer<'static>>,
    versions: [Option<(String, i64)>; 2],
}

impl Replica {
    /// One that has just started.
    pub(super) fn new(terms: Terms) -> Replica {
        Replica {
            terms,
            memory: None,
            sighting: None,
            strangers: ForeignAuthorities::default(),
            served: None,
        }
    }

    /// What to do with the Secret, which was read after the configurations.
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

    /// No API server calls because of a configuration that does not exist, so it
    /// trusts whatever it should. It is another version when it appears.
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

    /// Takes `state` as what the Secret holds now.
    pub(super) fn learn(&mut self, state: State) {
        if let Some(before) = &self.memory {
            self.strangers.retire(before, &state);
        }
        self.memory = Some(state);
    }

    /// What the Secret held when last seen whole.
    pub(super) fn memory(&self) -> Option<&State> {
        self.memory.as_ref()
    }

    /// The patches that set the configurations right.
    ///
    /// Only for the Secret that was read after them, or written: an authority
    /// which another replica has added since is then known here, too.
    pub(super) fn corrections(
        &mut self,
        configurations: &WebhookConfigurations,
        steady: Duration,
    ) -> [Option<Value>; 2] {
        let Some(state) = &self.memory else {
            return [None, None];
        };
        self.strangers
            .meet(configurations.iter().flatten(), state, steady);
        let (strangers, overlap) = (&self.strangers, self.terms.lifetimes.overlap);
        configurations.each_ref().map(|configuration| {
            let configuration = configuration.as_ref()?;
            configuration.correction(state, strangers, overlap, steady)
        })
    }

    /// How long until a stranger's waiting time is over.
    pub(super) fn strangers_due(&self, steady: Duration) -> Option<Duration> {
        self.strangers.due(self.terms.lifetimes.overlap, steady)
    }

    /// What to serve the leaf of from now on, if it is another than before.
    ///
    /// The Secret says which one, and that its authority has waited. A look at
    /// the configurations guards against a Secret that someone has made: a
    /// replica that serves what is trusted goes on until the new one is, too.
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

    /// Takes note that the leaf of `state` is served.
    pub(super) fn serves(&mut self, state: &State) {
        let (leaf, issuer) = (&state.leaf.certificate.der, &state.issuer.certificate.der);
        self.served = Some((leaf.clone(), issuer.clone()));
    }
}
