//! A simulated cluster with replicas: time, an API server's objects, and faults.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::super::authority::Authority;
use super::super::certificate::{Certificate, certificates_in};
use super::super::clock::Moment;
use super::super::replica::{Replica, WebhookConfigurations};
use super::super::rotation::{SecretAction, WriteReason};
use super::super::secret::{ROTATE, SecretContent, SecretData};
use super::super::state::{Lifetimes, State, Terms};
use super::super::webhook_configuration::{WebhookConfiguration, WebhookEntry};
use super::Event;

pub(super) const OVERLAP: Duration = Duration::from_secs(600);
pub(super) const DAY: i64 = 24 * 60 * 60;
/// The `caBundle` of a foreign CA.
static STRANGER: LazyLock<String> = LazyLock::new(|| {
    use base64::Engine;
    let begin = SystemTime::UNIX_EPOCH + BEGIN;
    let made = Authority::create(begin, begin + OVERLAP).expect("an authority");
    base64::engine::general_purpose::STANDARD.encode(made.certificate.pem())
});
/// When the simulation begins.
const BEGIN: Duration = Duration::from_secs(1_800_000_000);
pub(super) const REPLICAS: usize = 3;

pub(super) struct World {
    /// The time since the simulation began.
    now: Duration,
    secret: Option<(u64, SecretData)>,
    versions: u64,
    configurations: [Option<Stored>; 2],
    replicas: Vec<Running>,
    /// The first CA: there were no calls before it.
    first: Option<CertificateDer<'static>>,
    /// Whether another CA has issued a leaf since.
    promoted: bool,
    /// All previous Secrets.
    copies: Vec<SecretData>,
}

/// A configuration of one webhook.
struct Stored {
    uid: u64,
    generation: i64,
    version: u64,
    bundle: String,
    /// What it trusted, and since when; begins when it first trusts the whole bundle.
    history: Vec<(Duration, Vec<CertificateDer<'static>>)>,
}

struct Running {
    replica: Replica,
    /// The error of its time of day.
    off: i64,
    round: Round,
    looked: Duration,
    issuer: Option<CertificateDer<'static>>,
    leaf: Option<CertificateDer<'static>>,
}

enum Round {
    Idle,
    WebhookConfigurations(WebhookConfigurations),
    Secret(WebhookConfigurations, Option<(u64, SecretData)>),
    Patches(WebhookConfigurations, Vec<(usize, Value)>),
}

fn terms() -> Terms {
    Terms {
        names: vec!["podseal.podseal.svc".to_owned()],
        lifetimes: Lifetimes {
            authority: Duration::from_secs(365 * DAY.unsigned_abs()),
            leaf: Duration::from_secs(30 * DAY.unsigned_abs()),
            overlap: OVERLAP,
        },
    }
}

impl Running {
    fn new() -> Running {
        Running {
            replica: Replica::new(terms()),
            off: 0,
            round: Round::Idle,
            looked: Duration::ZERO,
            issuer: None,
            leaf: None,
        }
    }

    fn moment(&self, now: Duration) -> Moment {
        let true_time = SystemTime::UNIX_EPOCH + BEGIN + now;
        let off = Duration::from_secs(self.off.unsigned_abs());
        Moment {
            wall: match self.off < 0 {
                true => true_time - off,
                false => true_time + off,
            },
            steady: now,
        }
    }
}

impl World {
    pub(super) fn new() -> World {
        World {
            now: Duration::ZERO,
            secret: None,
            versions: 0,
            configurations: [None, None],
            replicas: (0..REPLICAS).map(|_| Running::new()).collect(),
            first: None,
            promoted: false,
            copies: Vec::new(),
        }
    }

    fn version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    fn held(secret: Option<&(u64, SecretData)>) -> SecretContent {
        secret.map_or(SecretContent::Absent, |(_, contents)| {
            SecretContent::read(contents)
        })
    }

    fn state(&self) -> Option<State> {
        match World::held(self.secret.as_ref()) {
            SecretContent::Whole { state, .. } => Some(*state),
            _ => None,
        }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match *event {
            Event::Pass(seconds) => self.pass(Duration::from_secs(seconds)),
            Event::Act(which) => self.act(which, None),
            Event::Lose(which, written) => self.act(which, Some(written)),
            // A Secret that no replica remembers cannot be restored.
            Event::Restart(which) if self.is_present() => {
                let off = self.replicas[which].off;
                self.replicas[which] = Running {
                    off,
                    looked: self.now,
                    ..Running::new()
                };
            }
            Event::Jump(which, off) if self.secret.is_some() => self.replicas[which].off = off,
            Event::Rotate => {
                let version = self.version();
                if let Some((at, contents)) = &mut self.secret {
                    *at = version;
                    contents
                        .annotations
                        .insert(ROTATE.to_owned(), String::new());
                }
            }
            Event::Delete if self.is_known_to_all() => self.secret = None,
            Event::Revert(index) if self.is_known_to_all() => {
                let copy = index.get(&self.copies).clone();
                self.secret = Some((self.version(), copy));
            }
            Event::Install(which) if self.configurations[which].is_none() => {
                let version = self.version();
                self.configurations[which] = Some(Stored {
                    uid: version,
                    generation: 1,
                    version,
                    bundle: String::new(),
                    history: Vec::new(),
                });
            }
            Event::Edit(which) => {
                let version = self.version();
                if let Some(stored) = &mut self.configurations[which] {
                    stored.bundle = STRANGER.clone();
                    stored.version = version;
                    stored.generation += 1;
                    // This edit breaks trust, so the history begins again.
                    stored.history.clear();
                }
            }
            Event::Uninstall(which) => self.configurations[which] = None,
            _ => {}
        }
    }

    /// Whether the Secret exists and is not an old copy.
    fn is_present(&self) -> bool {
        let remembered = self
            .replicas
            .iter()
            .filter_map(|running| running.replica.memory());
        let newest = remembered.map(|state| state.generation).max();
        self.state()
            .is_some_and(|state| Some(state.generation) >= newest)
    }

    /// Whether each replica remembers the current Secret.
    fn is_known_to_all(&self) -> bool {
        let Some(state) = self.state() else {
            return false;
        };
        let mut remembered = self.replicas.iter().map(|running| running.replica.memory());
        remembered.all(|memory| memory.is_some_and(|memory| memory.generation == state.generation))
    }

    /// Lets time pass. This assumes that rounds and pauses are much shorter than the
    /// waiting time.
    fn pass(&mut self, time: Duration) {
        for which in 0..REPLICAS {
            if self.now - self.replicas[which].looked > OVERLAP / 4 {
                self.round(which);
            }
        }
        self.now += time;
    }

    /// A whole round, after the rest of the current one.
    fn round(&mut self, which: usize) {
        while !matches!(self.replicas[which].round, Round::Idle) {
            self.act(which, None);
        }
        self.act(which, None);
        while !matches!(self.replicas[which].round, Round::Idle) {
            self.act(which, None);
        }
    }

    fn act(&mut self, which: usize, lost: Option<bool>) {
        let round = std::mem::replace(&mut self.replicas[which].round, Round::Idle);
        self.replicas[which].round = match round {
            Round::Idle => {
                self.replicas[which].looked = self.now;
                Round::WebhookConfigurations(self.configurations.each_ref().map(|stored| {
                    stored.as_ref().map(|stored| WebhookConfiguration {
                        version: (stored.uid.to_string(), stored.generation),
                        resource_version: stored.version.to_string(),
                        webhooks: vec![WebhookEntry::new("w", &stored.bundle)],
                    })
                }))
            }
            Round::WebhookConfigurations(seen) => Round::Secret(seen, self.secret.clone()),
            Round::Secret(seen, secret) => self.decide(which, seen, secret, lost),
            Round::Patches(seen, mut patches) => match patches.pop() {
                Some((at, patch)) => {
                    if lost != Some(false) {
                        let known = self.replicas[which].replica.memory().cloned();
                        self.patch(at, &patch, &known.expect("it corrects by what it knows"));
                    }
                    Round::Patches(seen, patches)
                }
                None => Round::Idle,
            },
        };
    }

    fn decide(
        &mut self,
        which: usize,
        seen: WebhookConfigurations,
        secret: Option<(u64, SecretData)>,
        lost: Option<bool>,
    ) -> Round {
        let now = self.replicas[which].moment(self.now);
        let held = World::held(secret.as_ref());
        let replica = &mut self.replicas[which].replica;
        let step = replica.next(&seen, &held, now);
        match step.expect("certificates can be made") {
            SecretAction::Refuse => unreachable!("nobody else writes here"),
            SecretAction::Wait(_) => {
                if let SecretContent::Whole { state, .. } = held {
                    replica.learn(*state);
                }
            }
            SecretAction::Write(why, state) => {
                let is_current = secret.as_ref().map(|read| read.0)
                    == self.secret.as_ref().map(|present| present.0);
                if !is_current || lost == Some(false) {
                    return Round::Idle;
                }
                let mut contents = state.contents();
                let asked = secret.is_some_and(|(_, old)| old.annotations.contains_key(ROTATE));
                if asked && why != WriteReason::Introduced {
                    contents
                        .annotations
                        .insert(ROTATE.to_owned(), String::new());
                }
                let issuer = &state.issuer.certificate.der;
                self.promoted |= self.first.get_or_insert_with(|| issuer.clone()) != issuer;
                self.copies.push(contents.clone());
                self.secret = Some((self.version(), contents));
                if lost.is_some() {
                    return Round::Idle;
                }
                self.replicas[which].replica.learn(*state);
            }
        }
        let running = &mut self.replicas[which];
        if let Some(state) = running.replica.presented(&seen).cloned() {
            running.leaf = Some(state.leaf.certificate.der.clone());
            running.issuer = Some(state.issuer.certificate.der.clone());
            running.replica.serves(&state);
        }
        let patches = running.replica.corrections(&seen, self.now);
        let patches = patches.into_iter().enumerate();
        let patches = patches.filter_map(|(at, patch)| Some((at, patch?)));
        Round::Patches(seen, patches.collect())
    }

    /// Patches a configuration, if it still has the version of the patch.
    ///
    /// The Secret may have changed since the replica read the one `known` to it.
    fn patch(&mut self, which: usize, patch: &Value, known: &State) {
        let version = self.version();
        let secret = self.state();
        let Some(stored) = &mut self.configurations[which] else {
            return;
        };
        let version_of_patch = patch["metadata"]["resourceVersion"].as_str();
        if version_of_patch != Some(&*stored.version.to_string()) {
            return;
        }
        let before = trusted(&stored.bundle);
        let bundle = &patch["webhooks"][0]["clientConfig"]["caBundle"];
        stored.bundle = bundle.as_str().expect("a patch has a caBundle").to_owned();
        stored.version = version;
        stored.generation += 1;
        let after = trusted(&stored.bundle);
        if before.iter().any(|ca| !after.contains(ca)) {
            let kept = |ca: &Certificate| before.contains(&ca.der) && after.contains(&ca.der);
            assert!(known.bundle().all(kept), "removed before all were added");
        }
        let is_complete = |secret: State| secret.bundle().all(|ca| after.contains(&ca.der));
        if !stored.history.is_empty() || secret.is_some_and(is_complete) {
            stored.history.push((self.now, after));
        }
    }

    /// Checks that what is served was trusted for the whole waiting time, so that an API
    /// server which lags by that time trusts it too.
    pub(super) fn check(&self) {
        for running in &self.replicas {
            let Some(issuer) = &running.issuer else {
                continue;
            };
            if Some(issuer) == self.first.as_ref() && !self.promoted {
                continue;
            }
            for stored in self.configurations.iter().flatten() {
                let since = self.now.saturating_sub(OVERLAP);
                let mut until = Duration::MAX;
                for (from, trusted) in stored.history.iter().rev() {
                    let counts = until > since && *from <= self.now;
                    assert!(
                        !counts || trusted.contains(issuer),
                        "at {:?} a leaf is served that was not trusted at {from:?}",
                        self.now
                    );
                    until = *from;
                }
            }
        }
    }

    /// Runs without further faults, with correct clocks.
    pub(super) fn calm_down(&mut self, check: impl Fn(&World)) {
        for running in &mut self.replicas {
            running.off = 0;
        }
        for _ in 0..40 {
            for which in 0..REPLICAS {
                self.round(which);
                check(self);
            }
            self.now += OVERLAP / 5;
        }
        for which in 0..REPLICAS {
            self.round(which);
        }
    }

    /// Checks the final state.
    pub(super) fn assert_settled(&self) {
        let state = self.state().expect("there is a whole Secret");
        assert!(state.next.is_none(), "an authority still waits");
        assert!(state.others.is_empty(), "an authority still retires");
        let now = SystemTime::UNIX_EPOCH + BEGIN + self.now;
        assert!(!state.is_useless_at(now), "it is valid");
        for running in &self.replicas {
            let leaf = running.leaf.as_ref();
            assert_eq!(
                leaf,
                Some(&state.leaf.certificate.der),
                "all serve the Secret's leaf"
            );
        }
        for stored in self.configurations.iter().flatten() {
            let trusted = trusted(&stored.bundle);
            let wanted: Vec<_> = state.bundle().map(|ca| ca.der.clone()).collect();
            assert_eq!(trusted, wanted, "only the Secret's authority is trusted");
        }
    }
}

fn trusted(bundle: &str) -> Vec<CertificateDer<'static>> {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.decode(bundle);
    certificates_in(&text.expect("it is base64")).0
}
