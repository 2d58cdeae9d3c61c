//! What `--check` prints as a profile's cost, against the API server's own Pod
//! Security admission.

use admission::decision::Outcome;
use admission::lint::exposure::beyond;
use admission::lint::files::read;
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{LEVEL, Namespace, PROFILE};
use admission::request::Request;
use cases::profiles;
use serde_json::json;

use crate::PLANE;
use crate::profile_attacks::{file, namespace, plain_job, review};

/// Times as many profiles as `profiles` writes at once.
const ROUNDS: usize = 4;

#[test]
fn a_profile_has_an_exposure_exactly_when_pod_security_rejects_its_job() {
    let baseline = namespace(&json!({"pod-security.kubernetes.io/enforce": "baseline"}));
    let (mut free, mut costly) = (0, 0);
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in profiles::write(folder.path()) {
            let text = std::fs::read_to_string(folder.path().join(format!("{name}.yaml")));
            let text = text.expect("it was written");
            let (known, _) = read(&[file("x.yaml", &text)]).expect("the check accepts it");
            let profile = known.get(&name).expect("it is there");
            let settings = Settings {
                profiles: &known,
                ..Settings::built_in()
            };
            let labels = [(PROFILE, &*name), (LEVEL, "privileged")];
            let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let policy = Namespace::new("ci", labels, []);
            let mut pod = plain_job();
            let body = review(&pod, "runner");
            let request = Request::from_review(body.as_bytes()).expect("a review");
            match mutate(request, &policy, &settings).outcome {
                Outcome::Mutate(patch) => json_patch::patch(&mut pod, &patch).expect("it fits"),
                Outcome::Allow(_) => {}
                Outcome::Deny(denial) => {
                    panic!("no job can use it: {}\n{text}", denial.message)
                }
            }
            let says = beyond(profile)
                .values()
                .any(|cost| !cost.baseline.is_empty());
            let (code, answer) = PLANE.try_pod(&baseline, &pod);
            assert_eq!(code, if says { 403 } else { 201 }, "{answer:#}\n{text}");
            if says { costly += 1 } else { free += 1 }
        }
    }
    assert!(free > 0 && costly > 10, "{free} free, {costly} costly");
}
