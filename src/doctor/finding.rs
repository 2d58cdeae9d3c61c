//! A finding: what, where, why it matters, and how to fix it.

use std::borrow::Cow;

use serde::Serialize;

use super::command::Command;
use crate::symptoms::{Symptom, plain};
use admission::text::remark;

/// The longest text of the cluster that a finding quotes.
const QUOTED: usize = 400;
/// The fix of a symptom that ends by itself.
const NOTHING: &str = "–";

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
    /// A text of the cluster about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// The command that fixes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Command>,
    /// What to do, where no command does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Cow<'static, str>>,
    /// The page to read on, a path of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Cow<'static, str>>,
}

/// A text of the cluster. Its author may be anyone, so a reader is shown whose words it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quote {
    /// Who says it.
    pub by: String,
    /// The words: escaped, and not too long.
    pub text: String,
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
            quote: None,
            fix: None,
            advice: None,
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

    /// What `by` says of it.
    pub fn quote(self, by: &str, text: &str) -> Finding {
        Finding {
            quote: Some(Quote {
                by: quote(by),
                text: quote(text),
            }),
            ..self
        }
    }

    /// The command that fixes it.
    pub fn fix(self, fix: impl Into<Command>) -> Finding {
        Finding {
            fix: Some(fix.into()),
            ..self
        }
    }

    /// What to do.
    pub fn advice(self, advice: impl Into<Cow<'static, str>>) -> Finding {
        Finding {
            advice: Some(advice.into()),
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
        let found = self.why(plain(symptom.cause)).page(symptom.page());
        match symptom.fix {
            NOTHING => found,
            fix => found.advice(plain(fix)),
        }
    }
}

/// A text of the cluster: escaped, and not too long.
pub fn quote(text: &str) -> String {
    remark(text, QUOTED)
}
