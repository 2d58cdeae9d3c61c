//! A record as it is read: what a record of any release has, and nothing more.

use jiff::Timestamp;
use serde::Deserialize;

use admission::decision::Verdict;
use admission::decision::record::Webhook;
use admission::namespace::Mode;
use admission::text::Text;

/// A decision that was recorded.
#[derive(Deserialize)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    schema: Text<'a>,
    pub(super) time: Timestamp,
    pub(super) webhook: Webhook,
    pub(super) decision: Verdict,
    pub(super) mode: Mode,
    #[serde(default)]
    pub(super) dry_run: bool,
    #[serde(default)]
    pub(super) code: u16,
    #[serde(borrow, default)]
    pub(super) uid: Text<'a>,
    #[serde(borrow, default)]
    pub(super) operation: Text<'a>,
    #[serde(borrow, default)]
    pub(super) subresource: Text<'a>,
    #[serde(borrow, default)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow, default)]
    pub(super) pod: Text<'a>,
    #[serde(borrow, default)]
    pub(super) generate_name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) owner: Text<'a>,
    #[serde(borrow, default)]
    pub(super) user: Text<'a>,
    #[serde(borrow, default)]
    pub(super) job_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) project_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) project: Text<'a>,
    #[serde(borrow, default)]
    pub(super) profile: Text<'a>,
    #[serde(borrow, default)]
    pub(super) level: Text<'a>,
    #[serde(borrow, default)]
    pub(super) message: Text<'a>,
    #[serde(borrow, default)]
    pub(super) warnings: Vec<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) cautions: Vec<Caution<'a>>,
    #[serde(borrow, default)]
    controls: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    violations: Vec<Violation<'a>>,
}

/// What may keep the job from running.
#[derive(Deserialize)]
pub(super) struct Caution<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
}

#[derive(Deserialize)]
struct Violation<'a> {
    #[serde(borrow)]
    control: Text<'a>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It was rejected.
    Rejected,
    /// It was denied, and allowed by the namespace's mode.
    NotEnforced,
    /// Its pod was corrected.
    Corrected,
    /// Its pod would have been corrected, but for the mode.
    NotCorrected,
    /// It was allowed.
    Allowed,
}

impl Outcome {
    /// Every outcome, in the order of their tables.
    pub(super) const ALL: [Outcome; 5] = [
        Outcome::Rejected,
        Outcome::NotEnforced,
        Outcome::Corrected,
        Outcome::NotCorrected,
        Outcome::Allowed,
    ];

    /// The name in the output for programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Outcome::Rejected => "rejected",
            Outcome::NotEnforced => "not_enforced",
            Outcome::Corrected => "corrected",
            Outcome::NotCorrected => "not_corrected",
            Outcome::Allowed => "allowed",
        }
    }

    /// The decision with this outcome.
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Outcome::Rejected | Outcome::NotEnforced => Verdict::Deny,
            Outcome::Corrected | Outcome::NotCorrected => Verdict::Mutate,
            Outcome::Allowed => Verdict::Allow,
        }
    }
}

impl<'a> Record<'a> {
    /// The record that `json` begins with. `None` if it is none, or of a schema that
    /// this release does not know.
    pub(super) fn parse(json: &'a [u8]) -> Option<Record<'a>> {
        let mut json = serde_json::Deserializer::from_slice(json);
        let record = Record::deserialize(&mut json).ok()?;
        (*record.schema == *admission::decision::record::SCHEMA).then_some(record)
    }

    /// What the record says of its request, or `None` if another record says it.
    ///
    /// A request has a record of each webhook. The mutating one has the last word only
    /// if it rejects the pod: then the validating one is not called.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match (self.webhook, self.decision, self.mode) {
            (_, Verdict::Deny, Mode::Enforce) => Some(Outcome::Rejected),
            (Webhook::Validate, Verdict::Deny, _) => Some(Outcome::NotEnforced),
            (Webhook::Validate, Verdict::Allow, _) => Some(Outcome::Allowed),
            (Webhook::Mutate, Verdict::Mutate, Mode::Audit) => Some(Outcome::NotCorrected),
            (Webhook::Mutate, Verdict::Mutate, _) => Some(Outcome::Corrected),
            (Webhook::Mutate, ..) | (Webhook::Validate, Verdict::Mutate, _) => None,
        }
    }

    /// The controls that the pod violates. The oldest records name them in violations only.
    pub(super) fn controls(&self) -> Vec<&str> {
        if let Some(controls) = &self.controls {
            return controls.iter().map(|control| &**control).collect();
        }
        let mut controls: Vec<&str> = Vec::new();
        for violation in &self.violations {
            if !controls.contains(&&*violation.control) {
                controls.push(&violation.control);
            }
        }
        controls
    }

    /// The pod's name, or its prefix.
    pub(super) fn pod(&self) -> &str {
        match self.pod.is_empty() {
            true => &self.generate_name,
            false => &self.pod,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_record_without_a_list_of_controls_is_read() {
        let json = br#"{"schema":"podseal.io/decision/v1","target":"podseal::decision","time":"2026-01-02T03:04:05Z","version":"0.1.0","webhook":"validate","uid":"u","operation":"CREATE","namespace":"ci","pod":"p","user":"admin","groups":[],"group_count":0,"dry_run":false,"mode":"enforce","decision":"deny","code":403,"message":"m","warnings":[],"violations":[{"control":"privileged","container":"a","field":"f","value":"true"},{"control":"privileged","container":"b","field":"f","value":"true"}],"violation_count":2,"changes":[],"change_count":0,"duration_us":1}"#;
        let record = Record::parse(json).expect("a record");
        assert_eq!(record.controls(), ["privileged"]);
        assert_eq!(record.outcome(), Some(Outcome::Rejected));
    }

    #[test]
    fn a_record_of_another_schema_is_none() {
        let v2 = br#"{"schema":"podseal.io/decision/v2","time":"2026-01-02T03:04:05Z","webhook":"validate","decision":"deny","mode":"enforce"}"#;
        assert!(Record::parse(v2).is_none());
        assert!(Record::parse(br#"{"schema":"podseal.io/decision/v1"}"#).is_none());
        assert!(Record::parse(b"{\"schema\":\"podseal.io/decision/v1\",\"time").is_none());
    }
}
