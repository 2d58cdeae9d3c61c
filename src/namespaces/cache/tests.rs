use std::pin::pin;
use std::task::Poll;

use futures::poll;

use super::*;
use crate::namespaces::freshness::FRESH_FOR;

fn namespace(name: &str, profile: &str) -> Namespace {
    let profile = ("podseal.io/profile".to_owned(), profile.to_owned());
    Namespace::new(name, [profile], [])
}

fn cache_of(namespace: Namespace, as_of: Instant) -> Cache {
    let cache = Cache::default();
    let name = namespace.name.as_str().into();
    let namespaces = NamespacesByName::from([(name, Arc::new(namespace))]);
    cache.replace(namespaces, Version::of("10"), as_of);
    cache
}

#[test]
fn answers_nothing_before_the_first_list() {
    let (cache, now) = (Cache::default(), Instant::now());
    cache.insert(namespace("ci", "rootless"), None);
    cache.confirm(now);
    assert_eq!(cache.get("ci", now), None);
    assert!(!cache.synced() && !cache.is_fresh(now));
}

#[test]
fn answers_only_within_the_bound_since_the_last_proof() {
    let start = Instant::now();
    let cache = cache_of(namespace("ci", "rootless"), start);
    let last = start + FRESH_FOR - Duration::from_millis(1);
    assert!(cache.get("ci", last).is_some());
    assert_eq!(cache.get("ci", start + FRESH_FOR), None);
    assert_eq!(cache.age(start + FRESH_FOR), Some(FRESH_FOR));
    cache.confirm(start + FRESH_FOR);
    assert!(cache.get("ci", start + FRESH_FOR).is_some());
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_proof_of_the_past_makes_nothing_younger_or_older() {
    let start = Instant::now();
    let cache = cache_of(namespace("ci", "rootless"), start + FRESH_FOR);
    cache.confirm(start);
    assert_eq!(cache.age(start + FRESH_FOR), Some(Duration::ZERO));
}

#[test]
fn a_broken_watch_is_not_trusted_again_before_the_next_list() {
    let start = Instant::now();
    let cache = cache_of(namespace("ci", "rootless"), start);
    cache.mark_stale();
    cache.confirm(start);
    assert_eq!(cache.get("ci", start), None);
    assert!(cache.synced(), "what was synced once stays so");
    cache.replace(NamespacesByName::new(), None, start);
    assert!(cache.is_fresh(start));
    assert_eq!(cache.get("ci", start), None, "it is gone meanwhile");
}

#[test]
fn changes_are_seen_one_by_one() {
    let start = Instant::now();
    let cache = cache_of(namespace("ci", "rootless"), start);
    cache.insert(namespace("ci", "userns"), Version::of("11"));
    let found = cache.get("ci", start).expect("it is there");
    assert_eq!(found.labels["podseal.io/profile"], "userns");
    cache.remove("ci", Version::of("12"));
    assert_eq!(cache.get("ci", start), None);
}

fn found(level: &str, version: &str) -> Found {
    let level = ("podseal.io/level".to_owned(), level.to_owned());
    Found {
        namespace: Arc::new(Namespace::new("ci", [level], [])),
        version: Version::of(version),
        is_terminating: false,
    }
}

/// Of a look-up that was just sent, for a namespace that the selection covers.
fn learn(cache: &Cache, level: &str, version: &str) -> Learning {
    cache.learn(&found(level, version), true, Instant::now())
}

fn level(cache: &Cache, now: Instant) -> Option<String> {
    Some(cache.get("ci", now)?.labels["podseal.io/level"].clone())
}

fn with_level(level: &str) -> Namespace {
    Arc::unwrap_or_clone(found(level, "").namespace)
}

#[test]
fn what_was_looked_up_answers_until_the_watch_is_as_far() {
    let now = Instant::now();
    let cache = cache_of(namespace("other", "rootless"), now);
    assert_eq!(learn(&cache, "restricted", "12"), Learning::Newest);
    assert_eq!(level(&cache, now).as_deref(), Some("restricted"));
    // Of the namespace that had this name before, by a watch that lags.
    cache.insert(with_level("privileged"), Version::of("11"));
    assert_eq!(level(&cache, now).as_deref(), Some("restricted"));
    cache.remove("ci", Version::of("11"));
    assert_eq!(level(&cache, now).as_deref(), Some("restricted"));
    cache.insert(with_level("baseline"), Version::of("13"));
    assert_eq!(level(&cache, now).as_deref(), Some("baseline"));
}

#[test]
fn what_the_watch_did_not_show_at_its_version_is_gone() {
    let now = Instant::now();
    let cache = cache_of(namespace("other", "rootless"), now);
    learn(&cache, "restricted", "12");
    cache.reach(Version::of("12"));
    assert_eq!(level(&cache, now), None);
    // A look-up that was on its way for long brings back nothing.
    assert_eq!(learn(&cache, "restricted", "12"), Learning::Outdated);
    assert_eq!(level(&cache, now), None);
    learn(&cache, "restricted", "13");
    cache.replace(NamespacesByName::new(), Version::of("13"), now);
    assert_eq!(level(&cache, now), None);
}

#[test]
fn an_older_answer_than_the_watch_gave_is_replaced_by_that() {
    let now = Instant::now();
    let cache = cache_of(with_level("restricted"), now);
    let newest = Arc::new(with_level("restricted"));
    assert_eq!(
        learn(&cache, "privileged", "9"),
        Learning::Superseded(newest)
    );
    cache.mark_stale();
    assert_eq!(
        learn(&cache, "privileged", "9"),
        Learning::Newest,
        "it may be"
    );
}

#[test]
fn a_namespace_that_was_found_to_have_left_the_selection_is_not_answered_as_it_was() {
    let now = Instant::now();
    let cache = cache_of(with_level("privileged"), now);
    let left = found("privileged", "12");
    assert_eq!(cache.learn(&left, false, now), Learning::Newest);
    assert_eq!(level(&cache, now), None);
    // The watch lags, and so does another API server.
    cache.insert(with_level("privileged"), Version::of("11"));
    assert_eq!(level(&cache, now), None);
    assert_eq!(learn(&cache, "privileged", "11"), Learning::Outdated);
    assert_eq!(level(&cache, now), None);
    cache.insert(with_level("baseline"), Version::of("13"));
    assert_eq!(level(&cache, now).as_deref(), Some("baseline"));
}

#[test]
fn nothing_is_kept_that_the_watch_would_not_confirm_or_correct() {
    let now = Instant::now();
    let cache = cache_of(namespace("other", "rootless"), now);
    for (found, is_covered) in [
        (found("baseline", ""), true),
        (found("baseline", "12"), false),
    ] {
        assert_eq!(cache.learn(&found, is_covered, now), Learning::Newest);
        assert_eq!(level(&cache, now), None);
        assert!(!cache.read().learned.knows("ci"));
    }
}

#[test]
fn what_was_looked_up_too_long_ago_answers_nothing_nor_does_what_is_older() {
    let start = Instant::now();
    let cache = cache_of(with_level("privileged"), start);
    learn(&cache, "restricted", "12");
    let late = Instant::now() + FRESH_FOR;
    cache.confirm(late);
    assert_eq!(level(&cache, late), None, "the watch is known to lag");
    cache.reach(Version::of("12"));
    assert_eq!(level(&cache, late).as_deref(), Some("privileged"));
}

#[tokio::test]
async fn a_review_that_waits_is_shown_nothing_older_than_what_is_known() {
    let start = Instant::now();
    let cache = cache_of(namespace("other", "rootless"), start);
    // Too old to answer, and yet newer than what the watch shows next.
    let long_ago = start
        .checked_sub(FRESH_FOR)
        .expect("the machine runs for longer");
    cache.learn(&found("restricted", "12"), true, long_ago);
    let mut waits = pin!(cache.await_shown("ci", SHOWN_WITHIN));
    assert!(poll!(&mut waits).is_pending());
    cache.insert(with_level("privileged"), Version::of("11"));
    assert!(poll!(&mut waits).is_pending());
    cache.insert(with_level("restricted"), Version::of("12"));
    let restricted = Arc::new(with_level("restricted"));
    assert_eq!(poll!(waits), Poll::Ready(Some(restricted)));
}

#[tokio::test]
async fn a_review_waits_for_what_the_watch_or_a_look_up_shows_next() {
    let now = Instant::now();
    let cache = cache_of(namespace("other", "rootless"), now);
    let mut waits = pin!(cache.await_shown("ci", SHOWN_WITHIN));
    assert!(poll!(&mut waits).is_pending());
    cache.insert(with_level("baseline"), Version::of("11"));
    let Poll::Ready(Some(shown)) = poll!(waits) else {
        panic!("it was shown");
    };
    assert_eq!(shown.labels["podseal.io/level"], "baseline");
    cache.remove("ci", Version::of("12"));
    let mut waits = pin!(cache.await_shown("ci", SHOWN_WITHIN));
    assert!(poll!(&mut waits).is_pending());
    learn(&cache, "restricted", "13");
    let Poll::Ready(Some(shown)) = poll!(waits) else {
        panic!("it was looked up");
    };
    assert_eq!(shown.labels["podseal.io/level"], "restricted");
}

#[tokio::test]
async fn a_review_does_not_wait_for_a_watch_that_does_not_work() {
    let cache = Cache::default();
    let waits = pin!(cache.await_shown("ci", SHOWN_WITHIN));
    assert_eq!(poll!(waits), Poll::Ready(None), "nothing is listed yet");
    let cache = cache_of(namespace("other", "rootless"), Instant::now());
    let mut waits = pin!(cache.await_shown("ci", SHOWN_WITHIN));
    assert!(poll!(&mut waits).is_pending());
    cache.mark_stale();
    assert_eq!(poll!(waits), Poll::Ready(None), "it failed meanwhile");
    let waits = pin!(cache.await_shown("ci", SHOWN_WITHIN));
    assert_eq!(poll!(waits), Poll::Ready(None), "it failed");
}

#[test]
fn after_etcd_was_restored_a_name_is_answered_once_what_was_known_is_old() {
    let now = Instant::now();
    let before = now
        .checked_sub(FRESH_FOR)
        .expect("the machine runs for longer");
    let cache = cache_of(namespace("ci", "rootless"), now);
    let known = cache.learn(&found("privileged", "90"), true, before);
    assert_eq!(known, Learning::Newest);
    // Versions began again, and the watch is as far as 20.
    cache.reach(Version::of("20"));
    assert_eq!(cache.get("ci", now), None);
    let shown = Arc::new(namespace("ci", "rootless"));
    assert_eq!(
        learn(&cache, "baseline", "19"),
        Learning::Superseded(Arc::clone(&shown))
    );
    assert_eq!(cache.get("ci", now), Some(shown));
}
