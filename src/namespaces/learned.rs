//! What live look-ups found before the watch showed it.
//!
//! | goal | rule |
//! |---|---|
//! | what is known of a name is the newest | an object counts only if it is newer than all that the watch has shown, and than what is kept of its name |
//! | a namespace that left the selection is not answered as it was | that it left is kept too |
//! | the watch has the last word | once the watch is as far as an object, only what the watch showed counts |
//! | a watch that lags makes no object older | an object answers for as long as the watch without a confirmation |
//! | versions that begin again, as after etcd was restored, lock nothing out | what no longer answers gives way to any object |
//! | memory is bounded | of [`MOST`] names at a time |

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::freshness::FRESH_FOR;
use super::version::Version;
use admission::namespace::Namespace;

/// The maximum number of names: some hundred new ones per second, and a watch that lags
/// by as much as is allowed.
const MOST: usize = 4096;

/// What a live look-up found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) namespace: Arc<Namespace>,
    /// `None` if it cannot be compared.
    pub(super) version: Option<Version>,
    /// It is being deleted.
    pub(super) is_terminating: bool,
}

/// Namespaces that are newer than what the watch has shown.
#[derive(Debug, Default)]
pub(super) struct Learned(HashMap<Box<str>, Newer>);

/// An object that is newer than what the watch has shown.
#[derive(Debug, Clone)]
pub(super) struct Newer {
    /// `None` if the selection does not cover it.
    pub(super) namespace: Option<Arc<Namespace>>,
    pub(super) version: Version,
    /// It was so at this time or later.
    pub(super) as_of: Instant,
}

impl Newer {
    fn answers(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.as_of) < FRESH_FOR
    }
}

/// What is known of a name beyond the watch.
#[derive(Debug, PartialEq)]
pub(super) enum Known {
    /// Nothing: the watch knows best.
    Nothing,
    /// This is newer than what the watch has shown.
    Newer(Arc<Namespace>),
    /// The watch is behind: it left the selection, or what was newer is too old by now.
    Outdated,
}

impl Learned {
    /// What is known of `name` at `now`.
    pub(super) fn get(&self, name: &str, now: Instant) -> Known {
        let Some(newer) = self.0.get(name) else {
            return Known::Nothing;
        };
        match &newer.namespace {
            Some(namespace) if newer.answers(now) => Known::Newer(Arc::clone(namespace)),
            _ => Known::Outdated,
        }
    }

    /// Keeps what was found of `name`, unless something newer is known at `now`, which it
    /// returns instead.
    pub(super) fn keep(&mut self, name: &str, found: Newer, now: Instant) -> Result<(), Known> {
        let count = self.0.len();
        match self.0.get_mut(name) {
            Some(known) if known.version > found.version && known.answers(now) => {
                return Err(self.get(name, now));
            }
            Some(known) if known.version == found.version => {
                known.as_of = known.as_of.max(found.as_of);
            }
            Some(known) => *known = found,
            None if count < MOST => {
                self.0.insert(name.into(), found);
            }
            None => {}
        }
        Ok(())
    }

    /// Forgets what no longer answers of `name`, because a look-up just found an object
    /// with a lower version: versions began again.
    pub(super) fn give_way(&mut self, name: &str, now: Instant) {
        if self.0.get(name).is_some_and(|newer| !newer.answers(now)) {
            self.0.remove(name);
        }
    }

    /// Whether anything is known of `name`.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Forgets what the watch knows better, which has shown all up to `version`.
    pub(super) fn forget_until(&mut self, version: Option<Version>) {
        // Without an order nothing is known to be newer.
        self.0
            .retain(|_, newer| version.is_some_and(|version| newer.version > version));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn named(level: &str) -> Arc<Namespace> {
        let level = ("podseal.io/level".to_owned(), level.to_owned());
        Arc::new(Namespace::new("ci", [level], []))
    }

    fn newer(namespace: &Arc<Namespace>, number: u32, as_of: Instant) -> Newer {
        Newer {
            namespace: Some(Arc::clone(namespace)),
            version: version(number),
            as_of,
        }
    }

    fn version(number: u32) -> Version {
        Version::of(&number.to_string()).expect("a number")
    }

    #[test]
    fn the_newest_object_of_a_name_counts_whatever_comes_later() {
        let (mut learned, now) = (Learned::default(), Instant::now());
        let (old, new) = (named("privileged"), named("restricted"));
        assert_eq!(learned.keep("ci", newer(&old, 9, now), now), Ok(()));
        assert_eq!(learned.keep("ci", newer(&new, 10, now), now), Ok(()));
        // As an API server that lags answers, or a look-up that was slow.
        let newest = Known::Newer(Arc::clone(&new));
        assert_eq!(learned.keep("ci", newer(&old, 9, now), now), Err(newest));
        assert_eq!(learned.get("ci", now), Known::Newer(new));
    }

    #[test]
    fn a_namespace_that_left_the_selection_is_known_as_gone() {
        let (mut learned, now) = (Learned::default(), Instant::now());
        let old = named("privileged");
        assert_eq!(learned.keep("ci", newer(&old, 9, now), now), Ok(()));
        let left = Newer {
            namespace: None,
            ..newer(&old, 10, now)
        };
        assert_eq!(learned.keep("ci", left, now), Ok(()));
        assert_eq!(learned.get("ci", now), Known::Outdated);
        let again = learned.keep("ci", newer(&old, 9, now), now);
        assert_eq!(again, Err(Known::Outdated));
    }

    #[test]
    fn the_watch_has_the_last_word_once_it_is_as_far() {
        let (mut learned, now) = (Learned::default(), Instant::now());
        let ci = named("baseline");
        assert_eq!(learned.keep("ci", newer(&ci, 10, now), now), Ok(()));
        learned.forget_until(Some(version(9)));
        assert_eq!(learned.get("ci", now), Known::Newer(Arc::clone(&ci)));
        learned.forget_until(Some(version(10)));
        assert_eq!(learned.get("ci", now), Known::Nothing);
        assert_eq!(learned.keep("ci", newer(&ci, 11, now), now), Ok(()));
        learned.forget_until(None);
        assert_eq!(learned.get("ci", now), Known::Nothing, "without an order");
    }

    #[test]
    fn it_answers_no_longer_than_a_watch_without_a_confirmation() {
        let (mut learned, start) = (Learned::default(), Instant::now());
        let ci = named("baseline");
        assert_eq!(learned.keep("ci", newer(&ci, 10, start), start), Ok(()));
        let (last, late) = (
            start + FRESH_FOR - Duration::from_millis(1),
            start + FRESH_FOR,
        );
        assert_eq!(learned.get("ci", last), Known::Newer(Arc::clone(&ci)));
        assert_eq!(learned.get("ci", late), Known::Outdated);
        // The same object, asked for again.
        assert_eq!(learned.keep("ci", newer(&ci, 10, late), late), Ok(()));
        assert_eq!(learned.get("ci", late), Known::Newer(ci));
    }

    #[test]
    fn after_etcd_was_restored_an_object_with_a_lower_version_counts_soon() {
        let (mut learned, start) = (Learned::default(), Instant::now());
        let (before, restored) = (named("privileged"), named("restricted"));
        assert_eq!(learned.keep("ci", newer(&before, 90, start), start), Ok(()));
        let late = start + FRESH_FOR;
        assert_eq!(learned.keep("ci", newer(&restored, 9, late), late), Ok(()));
        assert_eq!(learned.get("ci", late), Known::Newer(restored));
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let (mut learned, now) = (Learned::default(), Instant::now());
        let (old, new) = (named("baseline"), named("restricted"));
        for number in 0..MOST + 10 {
            let kept = learned.keep(&format!("ci-{number}"), newer(&old, 1, now), now);
            assert_eq!(kept, Ok(()));
        }
        assert_eq!(learned.0.len(), MOST);
        assert_eq!(learned.keep("ci-0", newer(&new, 2, now), now), Ok(()));
        assert_eq!(learned.get("ci-0", now), Known::Newer(new));
    }
}
