//! Reads and writes the Secret's keys and annotations.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::authority::{Authority, Key, Leaf, MakeError};
use super::certificate::{Certificate, certificates_in};
use super::state::{State, Terms};

/// A generation that no Secret reaches by itself. It must be manipulated or damaged, and
/// incrementing it further could overflow.
const MOST_GENERATIONS: u64 = 1 << 60;
/// Counts the changes of CAs, and marks the Secret as podseal's own.
pub(super) const GENERATION: &str = "podseal.io/ca-generation";
/// Since when both webhook configurations trust the whole bundle.
pub(super) const TRUSTED_SINCE: &str = "podseal.io/ca-trusted-since";
/// Requests a new CA. The replica that creates it removes the annotation.
pub(super) const ROTATE: &str = "podseal.io/rotate-ca";

const LEAF: &str = "tls.crt";
const LEAF_KEY: &str = "tls.key";
const BUNDLE: &str = "ca.crt";
const ISSUER_KEY: &str = "ca.key";
const NEXT_KEY: &str = "next-ca.key";
/// podseal's keys in the Secret.
pub(super) const KEYS: [&str; 5] = [LEAF, LEAF_KEY, BUNDLE, ISSUER_KEY, NEXT_KEY];
/// The maximum number of CAs in a bundle.
const BUNDLE_SIZE: usize = 8;

/// The relevant parts of a Secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct SecretData {
    pub(super) data: BTreeMap<String, Vec<u8>>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// The content of a Secret.
#[derive(Debug, Clone)]
pub(super) enum SecretContent {
    /// There is no Secret, or an empty one.
    Absent,
    /// It was not created by podseal.
    Foreign,
    /// podseal's, but damaged.
    Damaged(Box<DamagedSecret>),
    /// podseal's, and valid.
    Whole {
        /// Its state.
        state: Box<State>,
        /// Whether an operator requests a new CA.
        rotate: bool,
    },
}

/// The readable parts of a damaged Secret.
#[derive(Debug, Clone)]
pub(super) struct DamagedSecret {
    /// The damage.
    pub(super) damage: &'static str,
    pub(super) generation: u64,
    /// The readable CAs, with their keys.
    authorities: Vec<Authority>,
    /// The leaf and the index of its issuer, if they can stay in use.
    leaf: Option<(Leaf, usize)>,
}

impl SecretContent {
    /// Reads a Secret.
    pub(super) fn read(contents: &SecretData) -> SecretContent {
        let generation = contents.annotations.get(GENERATION);
        let is_empty = contents.data.values().all(Vec::is_empty);
        if generation.is_none() && !contents.data.contains_key(ISSUER_KEY) {
            // An empty Secret was created for podseal to fill.
            return if is_empty {
                SecretContent::Absent
            } else {
                SecretContent::Foreign
            };
        }
        let generation: Option<u64> = generation
            .and_then(|text| text.parse().ok())
            .filter(|generation| *generation < MOST_GENERATIONS);
        let get = |key: &str| contents.data.get(key).map_or(&[][..], Vec::as_slice);
        let (bundle, mut whole) = certificates_in(get(BUNDLE));
        let read: Vec<_> = bundle.iter().filter_map(Certificate::from_der).collect();
        whole &= read.len() == bundle.len() && read.len() <= BUNDLE_SIZE;
        whole &= read.iter().all(|certificate| certificate.is_authority);
        let keys = [ISSUER_KEY, NEXT_KEY].map(|key| Key::from_pem(get(key)));
        let mut authorities: Vec<_> = read
            .into_iter()
            .filter(|certificate| certificate.is_authority)
            .take(BUNDLE_SIZE)
            .map(|certificate| Authority {
                key: keys
                    .iter()
                    .flatten()
                    .find(|key| key.is_of(&certificate))
                    .cloned(),
                certificate,
            })
            .collect();
        let leaf = leaf(get(LEAF), get(LEAF_KEY)).and_then(|leaf| {
            let issued =
                |authority: &Authority| leaf.certificate.is_issued_by(&authority.certificate);
            let place = authorities.iter().position(issued)?;
            Some((leaf, place))
        });
        let damage = match (&leaf, generation) {
            (None, _) => "the serving certificate, its key and its issuer do not match",
            (_, None) => {
                "the annotation podseal.io/ca-generation is not a number that can be incremented"
            }
            _ if !whole => "ca.crt contains something other than a few CA certificates",
            // If another CA has its key, it becomes the next one.
            _ if authorities.iter().all(|authority| authority.key.is_none()) => {
                "the key of the certificate authority is missing or does not match"
            }
            (Some((leaf, issuer)), Some(generation)) => {
                let issuer = authorities.remove(*issuer);
                let next = authorities
                    .iter()
                    .position(|authority| authority.key.is_some());
                let next = next.map(|next| authorities.remove(next));
                let others = authorities.into_iter().map(|other| other.certificate);
                let state = State {
                    generation,
                    issuer,
                    next,
                    others: others.collect(),
                    leaf: leaf.clone(),
                    trusted_since: trusted_since(contents),
                };
                return SecretContent::Whole {
                    state: Box::new(state),
                    rotate: contents.annotations.contains_key(ROTATE),
                };
            }
        };
        SecretContent::Damaged(Box::new(DamagedSecret {
            damage,
            generation: generation.unwrap_or(0),
            authorities,
            leaf,
        }))
    }
}

impl DamagedSecret {
    /// The readable CAs.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.authorities
            .iter()
            .map(|authority| &authority.certificate)
    }

    /// Repairs it. All readable CAs stay trusted.
    ///
    /// A usable leaf stays. Otherwise a CA whose key is readable issues one, or else a
    /// new CA.
    pub(super) fn repaired(&self, terms: &Terms, now: SystemTime) -> Result<State, MakeError> {
        let state = |issuer: Authority, leaf: Leaf| State {
            generation: self.generation.saturating_add(1),
            issuer,
            next: None,
            others: Vec::new(),
            leaf,
            trusted_since: None,
        };
        let usable = |authority: &&Authority| authority.is_usable_at(now);
        let repaired = match &self.leaf {
            Some((leaf, issuer)) => {
                let kept = state(self.authorities[*issuer].clone(), leaf.clone());
                if kept.issuer.key.is_some() {
                    kept
                } else {
                    kept.introducing(terms, now)?
                }
            }
            None => match self.authorities.iter().find(usable) {
                Some(issuer) => {
                    let leaf = issuer.issue(&terms.names, now + terms.lifetimes.leaf)?;
                    state(issuer.clone(), leaf)
                }
                None => State {
                    generation: self.generation.saturating_add(1),
                    ..State::create(terms, now)?
                },
            },
        };
        Ok(repaired.trusting(self.certificates()))
    }
}

impl State {
    /// The data of the Secret for this state.
    pub(super) fn contents(&self) -> SecretData {
        let bundle: String = self.bundle().map(Certificate::pem).collect();
        let mut data = BTreeMap::from([
            (LEAF.to_owned(), self.leaf.certificate.pem().into_bytes()),
            (LEAF_KEY.to_owned(), self.leaf.key.pem().into_bytes()),
            (BUNDLE.to_owned(), bundle.into_bytes()),
        ]);
        let next = self.next.as_ref().and_then(|next| next.key.as_ref());
        for (name, key) in [(ISSUER_KEY, self.issuer.key.as_ref()), (NEXT_KEY, next)] {
            if let Some(key) = key {
                data.insert(name.to_owned(), key.pem().into_bytes());
            }
        }
        let mut annotations =
            BTreeMap::from([(GENERATION.to_owned(), self.generation.to_string())]);
        let since = self.trusted_since.map(Timestamp::try_from);
        if let Some(Ok(since)) = since {
            annotations.insert(TRUSTED_SINCE.to_owned(), format!("{since:.0}"));
        }
        SecretData { data, annotations }
    }
}

fn leaf(certificate: &[u8], key: &[u8]) -> Option<Leaf> {
    let (chain, _) = certificates_in(certificate);
    let certificate = Certificate::from_der(chain.first()?)?;
    let key = Key::from_pem(key).filter(|key| key.is_of(&certificate))?;
    Some(Leaf { certificate, key })
}

/// If this cannot be parsed, the waiting time begins again.
fn trusted_since(contents: &SecretData) -> Option<SystemTime> {
    let noted: Timestamp = contents.annotations.get(TRUSTED_SINCE)?.parse().ok()?;
    let since_1970 = u64::try_from(noted.as_second()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970))
}
