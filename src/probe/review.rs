//! The review, and the check of its response.

use std::fmt::Write;

use rustls::crypto::SecureRandom;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::failure::Failure;
use admission::request::API_VERSION;
use admission::text::remark;

/// The pod's name, which appears in the records.
pub(super) const POD: &str = "podseal-probe";
/// The user of the review. A webhook does not verify it.
pub(super) const USER: &str = "podseal:probe";

/// The maximum length of a server's text.
const SHOWN: usize = 400;

/// The review of a pod that every level allows: it meets `restricted`, is not a job's,
/// and is a dry run.
pub(super) struct TestReview {
    pub(super) uid: String,
    pub(super) body: String,
}

impl TestReview {
    /// A review in `namespace`, with a random uid.
    pub(super) fn new(namespace: &str, random: &dyn SecureRandom) -> TestReview {
        let mut bytes = [0; 16];
        random
            .fill(&mut bytes)
            .expect("the kernel gives random bytes");
        let uid = uuid(bytes);
        let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
        let resource = json!({"group": "", "version": "v1", "resource": "pods"});
        let body = json!({
            "kind": "AdmissionReview",
            "apiVersion": API_VERSION,
            "request": {
                "uid": uid,
                "kind": kind,
                "resource": resource,
                "requestKind": kind,
                "requestResource": resource,
                "name": POD,
                "namespace": namespace,
                "operation": "CREATE",
                "userInfo": {"username": USER, "groups": ["system:authenticated"]},
                "object": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": POD, "namespace": namespace},
                    "spec": {
                        "securityContext": {
                            "runAsNonRoot": true,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [{
                            "name": "probe",
                            "image": "podseal-probe",
                            "securityContext": {
                                "allowPrivilegeEscalation": false,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }],
                    },
                },
                "oldObject": null,
                "dryRun": true,
                "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
            },
        });
        let body = body.to_string();
        TestReview { uid, body }
    }

    /// Checks that `answer`, with code 200, is the response to this review and allows it.
    pub(super) fn check(&self, answer: &[u8]) -> Result<(), Failure> {
        let review: Review = serde_json::from_slice(answer)
            .map_err(|error| Failure::NoReview(remark(&error.to_string(), SHOWN)))?;
        let found = |what: &str, found: &str, wanted: &str| {
            Failure::NoReview(format!(
                "its {what} is {}, not {wanted}",
                match found {
                    "" => "absent".to_owned(),
                    found => remark(found, 64),
                }
            ))
        };
        if review.kind != "AdmissionReview" {
            return Err(found("kind", &review.kind, "AdmissionReview"));
        }
        if review.api_version != API_VERSION {
            return Err(found("apiVersion", &review.api_version, API_VERSION));
        }
        let Some(response) = review.response else {
            return Err(found("response", "", "present"));
        };
        if response.uid != self.uid {
            return Err(found("response.uid", &response.uid, "that of the review"));
        }
        // This pod requires no patch. Besides, API servers reject patches of validating
        // webhooks and of unknown types.
        if response.patch.is_some() || response.patch_type.is_some() {
            let what = "it has a patch or a patch type, for a pod that requires no patch";
            return Err(Failure::NoReview(what.to_owned()));
        }
        if response.allowed {
            return Ok(());
        }
        let status = response.status.unwrap_or_default();
        let message = remark(&status.message, SHOWN);
        Err(match status.code {
            429 => Failure::Busy(message),
            503 => Failure::Unavailable(message),
            // Without a code, the API server uses 403.
            0 => Failure::Denied { code: 403, message },
            code => Failure::Denied { code, message },
        })
    }
}

/// The body of a response without code 200, as one line.
pub(super) fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    remark(text.trim(), SHOWN)
}

/// A UUID of version 4 (RFC 9562), like Kubernetes' uids.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut uuid = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            uuid.push('-');
        }
        let _ = write!(uuid, "{byte:02x}");
    }
    uuid
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    response: Option<Response>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    allowed: bool,
    /// Only its presence matters.
    patch: Option<IgnoredAny>,
    patch_type: Option<IgnoredAny>,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use admission::decision::Answer;
    use admission::mutate::mutate;
    use admission::namespace::policy::Settings;
    use admission::namespace::{LEVEL, MODE, Namespace, PROFILE};
    use admission::request::Request;
    use admission::validate::validate;

    fn question() -> TestReview {
        TestReview::new(
            "ci",
            crate::certificates::identity::provider().secure_random,
        )
    }

    #[test]
    fn every_level_and_profile_known_or_not_lets_the_pod_pass_as_it_is() {
        let settings = Settings {
            require_runner: true,
            ..Settings::built_in()
        };
        let profiles = settings.profiles.iter().map(|profile| &*profile.name);
        for profile in profiles.chain(["unknown"]) {
            for level in ["privileged", "baseline", "restricted", "unknown"] {
                let labels = [(PROFILE, profile), (LEVEL, level), (MODE, "unknown")];
                let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
                let namespace = Namespace::new("ci", labels, []);
                let question = question();
                let request = || Request::from_review(question.body.as_bytes()).expect("a review");
                assert_eq!(request().dry_run, Some(true));
                for decision in [
                    mutate(request(), &namespace, &settings),
                    validate(request(), &namespace, &settings),
                ] {
                    let answer = decision.answer();
                    assert!(matches!(answer, Answer::Allow), "{level}: {decision:?}");
                }
            }
        }
    }

    #[test]
    fn a_uid_is_a_uuid_and_another_each_time() {
        let uid = uuid([0xff; 16]);
        assert_eq!(uid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_ne!(question().uid, question().uid);
    }
}
