//! A finding: what, where, why it matters, and what mends it.

use std::borrow::Cow;

use serde::Serialize;

use crate::symptoms::{Symptom, plain};
use admission::text::remark;

/// The longest text of the cluster that a finding quotes.
const QUOTED: usize = 400;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// podseal itself, and what calls it.
    Installation,
    /// A namespace.
    Namespaces,
    /// The nodes.
    Nodes,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It works, and may surprise.
    Warning,
    /// It is wrong: jobs fail, or the policy is not enforced.
    Error,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A name for programs, which never changes.
    pub id: &'static str,
    /// What it is about.
    pub area: Area,
    /// How it is.
    pub severity: Severity,
    /// Where: an object, such as `namespace ci`.
    pub place: String,
    /// What was found.
    pub what: String,
    /// Why it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Cow<'static, str>>,
    /// What mends it: a command where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// The page to read on, a path of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Cow<'static, str>>,
}

impl Finding {
    /// One that only says how it is.
    pub fn new(
        area: Area,
        severity: Severity,
        id: &'static str,
        place: impl Into<String>,
        what: impl Into<String>,
    ) -> Finding {
        Finding {
            id,
            area,
            severity,
            place: place.into(),
            what: what.into(),
            why: None,
            fix: None,
            page: None,
        }
    }

    /// Why it matters.
    pub fn why(self, why: impl Into<Cow<'static, str>>) -> Finding {
        Finding {
            why: Some(why.into()),
            ..self
        }
    }

    /// What mends it.
    pub fn fix(self, fix: impl Into<String>) -> Finding {
        Finding {
            fix: Some(fix.into()),
            ..self
        }
    }

    /// The page to read on.
    pub fn page(self, page: impl Into<Cow<'static, str>>) -> Finding {
        Finding {
            page: Some(page.into()),
            ..self
        }
    }

    /// With the cause, fix and page of a symptom.
    pub fn symptom(self, symptom: &Symptom) -> Finding {
        self.why(plain(symptom.cause))
            .fix(plain(symptom.fix))
            .page(symptom.page())
    }
}

/// A text of the cluster: escaped, and not too long.
pub fn quote(text: &str) -> String {
    remark(text, QUOTED)
}
