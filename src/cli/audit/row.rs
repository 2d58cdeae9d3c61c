//! A listed request as a row: of CSV, as JSON, or as a line of text.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;

use super::record::{Outcome, Record};
use super::summary::Who;
use crate::cli::output::{CHANGED, DENIED, QUIET, WARNED};
use admission::text::remark;

/// The longest name in a record.
const NAME: usize = 280;
/// The longest message of a record.
const WHOLE_MESSAGE: usize = 2560;
/// How many controls or cautions a row has at most. A record has fewer.
const LISTED: usize = 32;
/// How much of a message a line shows.
const MESSAGE: usize = 120;

/// A listed request. The fields are those of a record.
#[derive(Serialize)]
pub(super) struct Row {
    time: String,
    outcome: &'static str,
    namespace: String,
    project: String,
    project_id: String,
    job_id: String,
    owner: String,
    user: String,
    pod: String,
    operation: String,
    subresource: String,
    webhook: &'static str,
    profile: String,
    level: String,
    mode: &'static str,
    code: u16,
    controls: Vec<String>,
    cautions: Vec<String>,
    message: String,
    uid: String,
}

/// The first line of CSV.
pub(super) const CSV_HEADER: &str = "time,outcome,namespace,project,project_id,job_id,owner,user,\
    pod,operation,subresource,webhook,profile,level,mode,code,controls,cautions,message,uid\n";

impl Row {
    pub(super) fn new(record: &Record<'_>, outcome: Outcome) -> Row {
        let text = |text: &str| remark(text, NAME);
        let controls = record.controls().into_iter().take(LISTED);
        let cautions = record.cautions.iter().take(LISTED);
        Row {
            time: record.time.to_string(),
            outcome: outcome.name(),
            namespace: text(&record.namespace),
            project: text(&record.project),
            project_id: text(&record.project_id),
            job_id: text(&record.job_id),
            owner: text(&record.owner),
            user: text(&record.user),
            pod: text(record.pod()),
            operation: text(&record.operation),
            subresource: text(&record.subresource),
            webhook: record.webhook.name(),
            profile: text(&record.profile),
            level: text(&record.level),
            mode: record.mode.name(),
            code: record.code,
            controls: controls.map(text).collect(),
            cautions: cautions.map(|caution| text(&caution.id)).collect(),
            message: remark(&record.message, WHOLE_MESSAGE),
            uid: text(&record.uid),
        }
    }

    /// The row as a line of CSV (RFC 4180).
    pub(super) fn csv(&self) -> String {
        let code = self.code.to_string();
        let (controls, cautions) = (self.controls.join(" "), self.cautions.join(" "));
        let fields = [
            &*self.time,
            self.outcome,
            &self.namespace,
            &self.project,
            &self.project_id,
            &self.job_id,
            &self.owner,
            &self.user,
            &self.pod,
            &self.operation,
            &self.subresource,
            self.webhook,
            &self.profile,
            &self.level,
            self.mode,
            &code,
            &controls,
            &cautions,
            &self.message,
            &self.uid,
        ];
        fields.map(csv_field).join(",") + "\n"
    }
}

/// A request as a line of text.
pub(super) fn line(record: &Record<'_>, outcome: Outcome) -> String {
    let style = match outcome {
        Outcome::Rejected => DENIED,
        Outcome::NotEnforced | Outcome::NotCorrected => WARNED,
        Outcome::Corrected => CHANGED,
        Outcome::Allowed => QUIET,
    };
    let name = outcome.name().replace('_', " ");
    let who = Who::of(record);
    let (namespace, pod) = (remark(&record.namespace, 63), remark(record.pod(), 63));
    let mut line = format!(
        "{:.0}  {style}{name}{style:#}  {namespace}/{pod} of {}: ",
        record.time,
        who.name()
    );
    for control in record.controls().iter().take(LISTED) {
        let _ = write!(line, "{} ", remark(control, 63));
    }
    let message = remark(&record.message, MESSAGE);
    let _ = writeln!(line, "{QUIET}{message}{QUIET:#}");
    line
}

/// A field of CSV. A spreadsheet takes some first characters for a formula's; an
/// apostrophe makes them text.
fn csv_field(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !is_formula && !text.contains([',', '"', '\n', '\r']) {
        return Cow::Borrowed(text);
    }
    let guard = if is_formula { "'" } else { "" };
    Cow::Owned(format!("\"{guard}{}\"", text.replace('"', "\"\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_csv_is_one_field_and_no_formula() {
        for (text, field) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("@SUM", "\"'@SUM\""),
            ("-1", "\"'-1\""),
            ("+1", "\"'+1\""),
        ] {
            assert_eq!(csv_field(text), field);
        }
    }
}
