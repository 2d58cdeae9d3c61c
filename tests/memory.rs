//! What a review costs: the memory that answering one takes is bounded before it
//! is taken, for any body, and the work grows no faster than the body.
//!
//! The allocator counts the bytes that are in use, of the whole process. So this
//! is a binary of its own, and one of its tests measures at a time.

use std::sync::Mutex;
use std::time::Duration;

use admission::decision::record;
use admission::decision::record::{About, Webhook};
use admission::mutate::{correction_size, mutate};
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::profile::{Profile, Profiles};
use admission::request::Request;
use admission::request::size::Size;
use admission::response;
use admission::text::bounded;
use admission::validate::validate;
use cases::costly;
use cases::costly::{attacks, review};
use peak_alloc::PeakAlloc;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static MEASURING: Mutex<()> = Mutex::new(());

/// When it is, in the records.
const TIME: &str = "2026-11-29T00:00:00Z";

/// What a body may take, by its length: what is charged for any.
const TIMES: usize = 36;
const BESIDE: usize = 7 << 20;

fn namespace(profile: &str, level: &str) -> Namespace {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Namespace::new("ci", [label(PROFILE, profile), label(LEVEL, level)], [])
}

/// Answers `body` as the webhook does, and returns the memory that was reserved for
/// it.
fn answer(webhook: Webhook, body: &[u8], namespace: &Namespace, settings: &Settings<'_>) -> usize {
    let size = Size::of(body);
    let mut room = String::new();
    let request = match Request::of_size(body, size, Some(&mut room)) {
        Ok(request) => request,
        Err(error) => {
            assert!(bounded(&error.to_string()).len() < 400);
            return size.bytes;
        }
    };
    let corrections = correction_size(&request, settings);
    let about = About::of(&request);
    let decision = match webhook {
        Webhook::Mutate => mutate(request, namespace, settings),
        Webhook::Validate => validate(request, namespace, settings),
    };
    let answer = response::encode(about.uid(), &decision);
    let line = record::line(webhook, &about, &decision, TIME, Duration::ZERO);
    assert!(!answer.is_empty() && line.len() < 16 * 1024);
    size.bytes + corrections
}

/// The bytes that answering `body` took at most, and those that it was allowed
/// to.
fn cost(
    webhook: Webhook,
    body: &[u8],
    namespace: &Namespace,
    settings: &Settings<'_>,
) -> (usize, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let allowed = answer(webhook, body, namespace, settings);
    (MEMORY.peak_usage() - before, allowed)
}

fn is_bounded(name: &str, body: &[u8]) {
    let profiles = [
        ("rootless", "baseline"),
        ("openshift", "restricted"),
        ("userns", "restricted"),
    ];
    is_bounded_with(name, body, &Settings::built_in(), &profiles);
}

fn is_bounded_with(name: &str, body: &[u8], settings: &Settings<'_>, profiles: &[(&str, &str)]) {
    for webhook in [Webhook::Mutate, Webhook::Validate] {
        for (profile, level) in profiles {
            let (taken, allowed) = cost(webhook, body, &namespace(profile, level), settings);
            let length = body.len();
            assert!(
                taken <= allowed,
                "{name}, {webhook:?}, {profile} at {level}: {taken} bytes for {length}, allowed \
                 are {allowed}"
            );
            let most = TIMES * length + BESIDE;
            let charged = Size::of(body).bytes;
            assert!(charged <= most, "{name}: {charged} bytes for {length}");
        }
    }
}

/// What is made once for the process is not a review's.
fn warm_up() {
    let body = review("CREATE", "{}", None);
    is_bounded("an empty pod", body.as_bytes());
}

#[test]
fn no_attack_takes_more_memory_than_was_reserved_for_it() {
    let _alone = MEASURING.lock();
    warm_up();
    for scale in [1, 30, 1000] {
        for (name, body) in attacks(scale) {
            is_bounded(&name, body.as_bytes());
        }
    }
}

#[test]
fn millions_of_groups_take_no_more_memory_than_was_reserved_for_them() {
    let _alone = MEASURING.lock();
    warm_up();
    for group in [r#""""#, r#""\n""#, "null"] {
        for count in [3_000, 300_000, 1_200_000] {
            let groups = vec![group; count].join(",");
            let user = format!(r#""userInfo":{{"username":"a","groups":[{groups}]}}"#);
            let plain = r#""userInfo":{"username":"a"}"#;
            let body = review("CREATE", "{}", None).replace(plain, &user);
            assert!(body.contains(&user), "{group}");
            is_bounded(group, body.as_bytes());
            // What finds a large review's namespace takes its parser's buffer alone.
            let before = MEMORY.current_usage();
            MEMORY.reset_peak_usage();
            let request = Request::without_pods(body.as_bytes());
            assert_eq!(request.expect("a review").user_info.groups.count, count);
            let taken = MEMORY.peak_usage() - before;
            assert!(taken <= 4 * body.len(), "{group}: {taken} bytes");
        }
    }
}

/// A custom profile with many rules, and grants.
fn rich_profiles() -> Profiles {
    let env: Vec<_> = (0..150)
        .map(|n| format!("V{n}: {}", "x".repeat(n)))
        .collect();
    let context = "{privileged: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}";
    let rules = format!(
        "{{set: {{securityContext: {context}, env: {{{}}}}}, capabilities: {{drop: [MKNOD]}}, \
         grants: {{baseline: [privileged], restricted: [privileged]}}}}",
        env.join(", ")
    );
    let profile = format!(
        "name: rich\nsummary: says much\npod: {{set: {{hostUsers: false}}}}\n\
         containers: {{build: {rules}, helper: {rules}, init: {rules}}}\n"
    );
    let profile = Profile::from_yaml(&profile).expect("a profile");
    let built_in = Profiles::built_in().iter().cloned();
    built_in.chain([profile]).collect()
}

#[test]
fn a_forged_mark_takes_no_more_memory_than_was_reserved_for_it() {
    let _alone = MEASURING.lock();
    warm_up();
    let profiles = rich_profiles();
    let settings = Settings {
        profiles: &profiles,
        ..Settings::built_in()
    };
    let mark = r#""podseal.io/corrected-as":"rich@00000000""#;
    for scale in [10, 200] {
        for (name, body) in attacks(scale) {
            let marked = match body.contains(r#""annotations":{"#) {
                true => body.replace(r#""annotations":{"#, &format!(r#""annotations":{{{mark},"#)),
                false => body.replace(
                    r#""labels":{"#,
                    &format!(r#""annotations":{{{mark}}},"labels":{{"#),
                ),
            };
            for body in [body, marked] {
                let profiles = [("rich", "baseline"), ("rich", "restricted")];
                is_bounded_with(&name, body.as_bytes(), &settings, &profiles);
            }
        }
    }
}

#[test]
fn no_review_takes_more_memory_than_was_reserved_for_it() {
    let _alone = MEASURING.lock();
    warm_up();
    let mut runner = TestRunner::new(Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    });
    // Pieces of attacks, several in a pod, of all lengths.
    let piece = (0..costly::PIECES, 0..600_usize, 0..200_usize);
    let pod = || vec(piece.clone(), 0..6);
    let strategy = (pod(), proptest::option::of(pod()), any::<bool>());
    let tested = runner.run(&strategy, |(pod, old, is_job)| {
        let pod = costly::pod(&pod, is_job);
        let old = old.map(|old| costly::pod(&old, is_job));
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let body = review(operation, &pod, old.as_deref());
        is_bounded("a generated review", body.as_bytes());
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}

/// The time that this thread was on a processor, which others do not add to.
fn processor_time() -> Duration {
    // The kernel brings the figure up to date when the thread gives way.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    let nanoseconds = stat.split(' ').next().expect("a figure");
    Duration::from_nanos(nanoseconds.parse().expect("a number"))
}

#[test]
fn the_work_of_a_review_grows_no_faster_than_its_body() {
    let _alone = MEASURING.lock();
    warm_up();
    let work = |webhook, body: &str, namespace: &Namespace| {
        let once = || {
            let before = processor_time();
            answer(webhook, body.as_bytes(), namespace, &Settings::built_in());
            processor_time() - before
        };
        (0..3).map(|_| once()).min().expect("three")
    };
    for (small, large) in attacks(50).into_iter().zip(attacks(200)) {
        for (webhook, profile, level) in [
            (Webhook::Mutate, "openshift", "restricted"),
            (Webhook::Validate, "rootless", "restricted"),
        ] {
            let namespace = namespace(profile, level);
            let (name, body) = &large;
            let before = work(webhook, &small.1, &namespace);
            let after = work(webhook, body, &namespace);
            let growth = body.len() as f64 / small.1.len() as f64;
            // What is quadratic grows by the square. A millisecond is for noise.
            let most = before.mul_f64(2.0 * growth) + Duration::from_millis(1);
            assert!(
                after < most,
                "{name}, {webhook:?}: {before:?}, and {after:?} for {growth:.1} times the body"
            );
        }
    }
}
