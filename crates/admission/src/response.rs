//! The response to a review, as the API server reads it.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::decision::{Answer, Decision, Outcome};
use crate::request::API_VERSION;
use crate::text::bounded;

/// How many bytes of changes an audit annotation lists.
const ANNOTATION_LIMIT: usize = 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'a str,
    kind: &'a str,
    response: Response<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'a str>,
    /// Empty, and the last: [`with_patch`] writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<&'a str>,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'a str,
    code: u16,
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u32,
}

/// The `AdmissionReview` that answers the review called `uid`.
///
/// A denial is an answer like any other: HTTP 200 with `allowed: false`. To the API
/// server, an HTTP error would be a failed call, and the user would not see the
/// reason.
pub fn encode(uid: &str, decision: &Decision<'_>) -> Vec<u8> {
    let mut response = Response {
        uid,
        allowed: true,
        audit_annotations: audit_annotations(uid, decision),
        warnings: decision.warnings_for_creator(),
        ..Response::default()
    };
    let mut patch = None;
    match decision.answer() {
        Answer::Allow => {}
        Answer::Patch(changes) => {
            response.patch_type = Some("JSONPatch");
            response.patch = Some("");
            patch = Some(json(changes));
        }
        Answer::Deny(denial) => {
            response.allowed = false;
            response.status = Some(Status {
                status: "Failure",
                code: denial.code,
                reason: denial.reason(),
                message: &denial.message,
                details: denial
                    .retry_after_seconds
                    .map(|retry_after_seconds| Details {
                        retry_after_seconds,
                    }),
            });
        }
    }
    let review = Review {
        api_version: API_VERSION,
        kind: "AdmissionReview",
        response,
    };
    match patch {
        None => json(&review),
        Some(patch) => with_patch(json(&review), &patch),
    }
}

/// This review, which ends with an empty string, with `patch` as base64 in its place.
///
/// base64 needs no escapes, and to search most of the response for them would take as long
/// as to encode the patch.
fn with_patch(mut review: Vec<u8>, patch: &[u8]) -> Vec<u8> {
    const END: &[u8] = b"\"}}";
    let text = review
        .strip_suffix(END)
        .expect("the patch is the last field");
    let start = text.len();
    let length = base64::encoded_len(patch.len(), true).expect("it is in memory");
    review.resize(start + length, 0);
    let encoded = STANDARD.encode_slice(patch, &mut review[start..]);
    encoded.expect("it has this length");
    review.extend_from_slice(END);
    review
}

/// The `AdmissionReview` that rejects the review called `uid` because of overload.
pub fn shed(uid: &str, why: &str) -> Vec<u8> {
    let message = format!("podseal is busy: {why}");
    retry_later(uid, 429, "TooManyRequests", &message, 1)
}

/// The seconds after which a client retries that reached a replica with other
/// namespace rules.
///
/// client-go retries ten times, so for 300 seconds: as long as `helm upgrade
/// --wait` waits by default. In an upgrade that succeeds within Helm's default, no
/// client gives up.
pub const OTHER_RULES_RETRY: u32 = 30;

/// The `AdmissionReview` that answers the review called `uid` where the webhook's
/// entry is for the rules `expected` and this replica has `actual`.
pub fn other_rules(uid: &str, expected: &str, actual: Option<&str>) -> Vec<u8> {
    let actual = actual.unwrap_or("none");
    let message = format!(
        "this webhook is for the namespace rules {expected}, and the replica of podseal that was \
         called has {actual}, so it admits no pod; the request is retried while replicas with the \
         new rules roll out; if this persists, ask a cluster administrator to check podseal's \
         rollout"
    );
    retry_later(uid, 503, "ServiceUnavailable", &message, OTHER_RULES_RETRY)
}

/// The `AdmissionReview` that rejects the review called `uid` for now. The API
/// server passes the number of seconds on as `Retry-After`, and client-go, which
/// kubectl, controllers and GitLab Runner use, then retries by itself.
fn retry_later(uid: &str, code: u16, reason: &str, message: &str, seconds: u32) -> Vec<u8> {
    let review = Review {
        api_version: API_VERSION,
        kind: "AdmissionReview",
        response: Response {
            uid,
            allowed: false,
            status: Some(Status {
                status: "Failure",
                code,
                reason,
                message,
                details: Some(Details {
                    retry_after_seconds: seconds,
                }),
            }),
            ..Response::default()
        },
    };
    json(&review)
}

/// The initial capacity, enough for most responses and patches.
const USUAL: usize = 4096;

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut json, value).expect("no map in it has odd keys");
    json
}

/// What the API server's own audit log keeps, under the webhook's name. Its
/// `auditID` is not the review's uid, by which the record is found.
fn audit_annotations(uid: &str, decision: &Decision<'_>) -> BTreeMap<&'static str, String> {
    let mut annotations = BTreeMap::from([
        ("uid", bounded(uid).into_owned()),
        ("decision", decision.outcome.name().to_owned()),
    ]);
    if let Some(policy) = &decision.policy {
        annotations.insert("profile", bounded(policy.name).into_owned());
        annotations.insert("level", policy.level.name().to_owned());
        annotations.insert("mode", policy.mode.name().to_owned());
        if let Some(rule) = policy.rule() {
            annotations.insert("default-rule", rule.to_owned());
        }
        let settings = policy.settings();
        let settings =
            settings.map(|(setting, value)| format!("{}={}", setting.name(), bounded(value)));
        let settings: Vec<_> = settings.collect();
        if !settings.is_empty() {
            annotations.insert("settings", settings.join(","));
        }
    }
    if !decision.changes.is_empty() {
        annotations.insert("changes", sentences(&decision.changes, ANNOTATION_LIMIT));
    }
    if let Outcome::Deny(denial) = &decision.outcome {
        annotations.insert("message", denial.message.clone());
    }
    let families = &decision.violations.families;
    if !families.is_empty() {
        let controls: Vec<_> = families.iter().map(|family| family.name()).collect();
        annotations.insert("violations", controls.join(","));
    }
    annotations
}

/// `changes` as one line of at most about `limit` bytes.
pub fn sentences<T: std::fmt::Display>(changes: &[T], limit: usize) -> String {
    let mut line = String::with_capacity(limit);
    for (index, change) in changes.iter().enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        if line.len() > limit {
            let more = changes.len() - index;
            let _ = write!(line, "{separator}and {more} more");
            break;
        }
        // Writing to a string cannot fail.
        let _ = write!(line, "{separator}{change}");
    }
    line
}
