//! What is true for every job pod and every built-in profile.
//!
//! A failure that proptest finds becomes an example test next to the code that is
//! fixed, so no seeds are kept.

use admission::decision::Allowed;
use admission::profile::Profiles;
use cases::answer::{Answer, answer_at, answer_for, answer_to, patched};
use cases::anything::{any_json, replace, size};
use cases::fixture;
use cases::job_log::unfit;
use cases::pods::{job_pod, odd_job_pod, phrases};
use cases::refusals::refusals;
use cases::review::{UID, review_of};
use cases::survival::without_profile_fields;
use cases::view::container_mut;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn either_pod() -> impl Strategy<Value = Value> {
    prop_oneof![job_pod(), odd_job_pod()]
}

fn profile() -> impl Strategy<Value = &'static str> {
    let names: Vec<_> = Profiles::built_in()
        .iter()
        .map(|profile| profile.name.as_str())
        .collect();
    select(names)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_patch_applies_and_a_patched_pod_needs_no_further_patch(pod in either_pod()) {
        for profile in Profiles::built_in().iter() {
            if let Answer::Patch(patch) = answer_for(&pod, &profile.name) {
                let after = patched(&pod, &patch);
                let again = answer_for(&after, &profile.name);
                let right = Answer::Untouched(Allowed::AlreadyRight);
                prop_assert_eq!(again, right, "{}, {}", profile.name, after);
            }
        }
    }

    #[test]
    fn the_same_pod_gets_the_same_answer(pod in either_pod(), profile in profile()) {
        prop_assert_eq!(answer_for(&pod, profile), answer_for(&pod, profile));
    }

    #[test]
    fn fields_that_a_profile_does_not_set_are_kept(pod in either_pod()) {
        for profile in Profiles::built_in().iter() {
            if let Answer::Patch(patch) = answer_for(&pod, &profile.name) {
                let name = &profile.name;
                let (before, after) = without_profile_fields(&pod, &patched(&pod, &patch), name);
                prop_assert_eq!(before, after, "{}, {}", name, pod);
            }
        }
    }

    #[test]
    fn a_correction_never_makes_a_pod_that_is_rejected_or_cannot_run(pod in job_pod()) {
        for profile in Profiles::built_in().iter() {
            if let Answer::Patch(patch) = answer_for(&pod, &profile.name) {
                let after = patched(&pod, &patch);
                let (had, has) = (refusals(&pod), refusals(&after));
                // A pod that could not run before may stay so.
                let new: Vec<_> = has.iter().filter(|problem| !had.contains(problem)).collect();
                prop_assert!(new.is_empty(), "{}: {:?}, {}", profile.name, new, pod);
            }
        }
    }

    #[test]
    fn a_correction_to_restricted_never_makes_a_pod_that_is_rejected_or_cannot_run(pod in job_pod()) {
        for profile in Profiles::built_in().iter() {
            let answer = |pod: &Value| answer_at(pod, &profile.name, "restricted");
            if let Answer::Patch(patch) = answer(&pod) {
                let after = patched(&pod, &patch);
                let (had, has) = (refusals(&pod), refusals(&after));
                let new: Vec<_> = has.iter().filter(|problem| !had.contains(problem)).collect();
                prop_assert!(new.is_empty(), "{}: {:?}, {}", profile.name, new, pod);
                let right = Answer::Untouched(Allowed::AlreadyRight);
                prop_assert_eq!(answer(&after), right, "{}, {}", profile.name, after);
            }
        }
    }

    #[test]
    fn a_denial_is_one_bounded_line_that_no_author_can_turn_into_a_retry(pod in either_pod()) {
        for profile in Profiles::built_in().iter() {
            if let Answer::Denial(message) = answer_for(&pod, &profile.name) {
                is_fit_for_a_job_log(&message)?;
            }
        }
    }

    #[test]
    fn a_denial_for_an_unknown_profile_is_fit_for_a_job_log_too(
        pod in job_pod(),
        label in prop_oneof![pods_label(), ".{0,300}"],
    ) {
        if let Answer::Denial(message) =
            answer_to(review_of(&pod).to_string().as_bytes(), &label).expect("a review")
        {
            is_fit_for_a_job_log(&message)?;
        }
    }

    #[test]
    fn a_review_with_anything_anywhere_is_answered_or_rejected_without_a_panic(
        pod in odd_job_pod(),
        places in prop::collection::vec((any::<Index>(), any_json()), 1..4),
        profile in profile(),
    ) {
        let mut review = review_of(&pod);
        for (place, value) in places {
            let steps = place.index(size(&review));
            replace(&mut review, steps, &value);
        }
        if let Ok(Answer::Patch(patch)) = answer_to(review.to_string().as_bytes(), profile) {
            // Whatever it was, what is answered fits it.
            patched(&review["request"]["object"], &patch);
        }
    }

    #[test]
    fn arbitrary_bytes_are_rejected_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(answer_to(&bytes, "rootless").is_err());
    }

    #[test]
    fn a_damaged_review_is_answered_or_rejected_without_a_panic(
        pod in odd_job_pod(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        length in any::<Index>(),
    ) {
        let mut bytes = review_of(&pod).to_string().into_bytes();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = answer_to(&bytes, "userns");
        let _ = answer_to(&bytes[..length.index(bytes.len())], "userns");
    }
}

#[test]
fn a_list_in_place_of_an_object_is_rejected() {
    let mut pod = fixture("default-with-service");
    container_mut(&mut pod, "build")["securityContext"] = json!([true, false]);
    let answer = answer_to(review_of(&pod).to_string().as_bytes(), "rootless");
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn a_label_that_is_null_is_read_as_the_api_server_reads_it() {
    let mut pod = fixture("default-with-service");
    pod["metadata"]["labels"]["team"] = Value::Null;
    let answer = answer_to(review_of(&pod).to_string().as_bytes(), "rootless");
    assert!(matches!(answer, Ok(Answer::Patch(_))), "{answer:?}");
}

#[test]
fn the_generated_pods_are_accepted_by_the_api_server_and_mostly_corrected() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut corrected, mut denied) = (0, 0);
    for _ in 0..200 {
        let tree = job_pod().new_tree(&mut runner).expect("a pod can be made");
        let pod = tree.current();
        let cannot_run =
            |problem: &String| problem.contains("uid 0") || problem.contains("no place");
        assert!(refusals(&pod).iter().all(cannot_run), "{pod}");
        match answer_for(&pod, "rootless") {
            Answer::Patch(_) => corrected += 1,
            Answer::Denial(_) => denied += 1,
            Answer::Untouched(_) => {}
        }
    }
    assert!(
        corrected > 80 && denied > 20,
        "{corrected} corrected, {denied} denied"
    );
}

fn pods_label() -> impl Strategy<Value = String> {
    let phrases = phrases();
    let texts = phrases.as_array().expect("phrases are a list").iter();
    select(
        texts
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )
}

fn is_fit_for_a_job_log(message: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(unfit(message), None, "{}", message);
    prop_assert!(message.len() < 2000, "{} bytes: {}", message.len(), message);
    prop_assert!(message.contains(UID), "no audit id: {}", message);
    Ok(())
}
