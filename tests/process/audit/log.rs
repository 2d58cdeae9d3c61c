//! A log with records of every outcome.

use std::sync::LazyLock;

use cases::answer::corrected;
use serde_json::{Value, json};

use crate::audit_log::records::{job, record_of, review_in, with_home, with_violations};

/// A user's name that a spreadsheet would run.
pub(super) const HOSTILE_USER: &str = "=cmd|' /C calc'!A0";

static LOG: LazyLock<String> = LazyLock::new(|| {
    let mut cautioned = job();
    cautioned["spec"]["securityContext"] = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    let mut dry_run = review_in("enforce", &corrected(&with_violations(), "rootless"));
    dry_run["request"]["dryRun"] = true.into();
    let of = |webhook: &str, namespace: &str, pod: &Value| {
        record_of(webhook, review_in(namespace, pod)).1
    };
    let lines = [
        r#"{"level":"INFO","message":"serving","target":"podseal"}"#.to_owned(),
        of("mutate", "enforce", &job()),
        of("validate", "enforce", &corrected(&job(), "rootless")),
        of("mutate", "enforce", &with_violations()),
        of(
            "validate",
            "enforce",
            &corrected(&with_violations(), "rootless"),
        ),
        of("mutate", "enforce", &with_home("/etc")),
        of("mutate", "audit", &with_violations()),
        of("validate", "audit", &with_violations()),
        of("mutate", "audit", &with_home("/etc")),
        of("validate", "audit", &with_home("/etc")),
        record_of("validate", dry_run).1,
        of("validate", "enforce", &corrected(&cautioned, "rootless")),
    ];
    lines.map(|line| line + "\n").concat()
});

/// The log of six requests, with a line that is no record.
pub(super) fn log() -> String {
    LOG.clone()
}

/// The record of a rejected pod, or of one that `namespace`'s mode allowed.
pub(super) fn audited(namespace: &str) -> String {
    let pod = corrected(&with_violations(), "rootless");
    record_of("validate", review_in(namespace, &pod)).1
}
