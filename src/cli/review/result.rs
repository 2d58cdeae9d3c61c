//! A reviewed pod, and its three output formats.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::explain::explanation::Explanation;
use crate::cli::output::{self, CHANGED, DENIED, QUIET, WARNED};
use admission::decision::record::{Cautioned, Violated};
use admission::decision::{Allowed, Answer, Decision, Outcome};
use admission::namespace::policy::Policy;
use admission::text::bounded;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ReviewFormat {
    Text,
    Yaml,
    Json,
}

/// One reviewed pod, and the output of `-o json`. Its names are an interface,
/// described in `docs/review.md`.
#[derive(Serialize)]
pub(super) struct ReviewedPod {
    file: String,
    namespace: String,
    pod: String,
    profile: Option<String>,
    level: Option<&'static str>,
    mode: Option<&'static str>,
    /// Whether it was reviewed as if podseal served with `--require-runner`.
    #[serde(rename = "requireRunner")]
    require_runner: bool,
    /// Whether `require_runner` matters here: the profile grants more than the
    /// baseline, and no runner is named.
    #[serde(skip)]
    trusts_labels: bool,
    job: Option<ReviewedJob>,
    allowed: bool,
    decision: &'static str,
    code: u16,
    message: Option<String>,
    pub(super) warnings: Vec<String>,
    cautions: Vec<Cautioned>,
    /// What `build` cannot do with its profile.
    cannot: Option<&'static str>,
    violations: Vec<Violated>,
    changes: Vec<String>,
    patch: Option<json_patch::Patch>,
    /// Omitted with an explanation, which people share: a pod contains its job's
    /// variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Option<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
    #[serde(skip)]
    before: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewedJob {
    id: Option<String>,
    project_id: Option<String>,
    project: Option<String>,
}

/// Why a pod is unchanged, and that the validating webhook allows it, if it does.
fn also_judged(reason: &str, judged: Option<&Decision<'_>>) -> String {
    match judged.map(|judged| &judged.outcome) {
        Some(Outcome::Allow(why @ Allowed::Complies)) => {
            format!("{reason}, and {}", why.reason(None))
        }
        _ => reason.to_owned(),
    }
}

impl ReviewedPod {
    pub(super) fn new(
        file: &str,
        namespace: String,
        pod: String,
        before: Value,
        after: Value,
        corrected: &Decision<'_>,
        judged: Option<&Decision<'_>>,
    ) -> ReviewedPod {
        let denied = |decision: &&Decision<'_>| matches!(decision.outcome, Outcome::Deny(_));
        // The more informative decision: a denial, otherwise the correction, if any.
        let has_more = |judged: &&Decision<'_>| {
            denied(judged) || corrected.outcome == Outcome::Allow(Allowed::NotAPod)
        };
        let decisive = judged.filter(has_more).unwrap_or(corrected);
        let judged_or = judged.unwrap_or(corrected);
        let allowed = ![decisive, corrected]
            .iter()
            .any(|d| matches!(d.answer(), Answer::Deny(_)));
        let policy = corrected.policy.as_ref();
        let (code, message) = match &decisive.outcome {
            Outcome::Allow(why) => (200, Some(also_judged(&why.reason(policy), judged))),
            Outcome::Mutate(_) => (200, None),
            Outcome::Deny(denial) => (denial.code, Some(denial.message.clone())),
        };
        let patch = match corrected.answer() {
            Answer::Patch(patch) if allowed => Some(patch.clone()),
            _ => None,
        };
        // Also what only the second webhook sees.
        let cautions = match corrected.cautions.is_empty() {
            true => &judged_or.cautions,
            false => &corrected.cautions,
        };
        let mut warnings = decisive.warnings_for_creator();
        warnings.extend(decisive.warnings().map(str::to_owned));
        let is_caution = |warning: &String| decisive.is_caution(warning);
        warnings.retain(|warning| !is_caution(warning));
        let mut seen = std::collections::HashSet::new();
        warnings.retain(|warning| seen.insert(warning.clone()));
        ReviewedPod {
            file: file.to_owned(),
            namespace,
            pod,
            profile: policy.map(|policy| policy.name.to_owned()),
            level: policy.map(|policy| policy.level.name()),
            mode: policy.map(|policy| policy.mode.name()),
            require_runner: false,
            trusts_labels: policy.is_some_and(Policy::trusts_labels),
            job: corrected.job.as_ref().map(|job| ReviewedJob {
                id: job.id.as_deref().map(str::to_owned),
                project_id: job.project_id.as_deref().map(str::to_owned),
                project: job.project.clone(),
            }),
            allowed,
            decision: decisive.outcome.name(),
            code,
            message,
            warnings,
            cautions: cautions.iter().map(Cautioned::whole).collect(),
            cannot: corrected.cannot.filter(|_| allowed),
            violations: judged_or
                .violations
                .listed
                .iter()
                .map(Violated::from)
                .collect(),
            changes: corrected.changes.iter().map(ToString::to_string).collect(),
            patch,
            object: Some(allowed.then_some(after)),
            explain: None,
            before,
        }
    }

    /// Sets whether it was reviewed with `--require-runner`.
    pub(super) fn assume(&mut self, require_runner: bool) {
        self.require_runner = require_runner;
    }

    /// The assumption about `podseal serve`, if the decision depends on it.
    fn assumption(&self) -> Option<&'static str> {
        self.trusts_labels.then_some(if self.require_runner {
            "--require-runner (the default of serve): jobs require a named runner"
        } else {
            "--require-runner=false: anyone who creates pods gets the grants"
        })
    }

    /// Adds `explanation` and removes the pod.
    pub(super) fn explain(&mut self, explanation: Explanation) {
        self.explain = Some(explanation);
        self.object = None;
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let name = format!("{}/{}", bounded(&self.namespace), bounded(&self.pod));
        let message = self.message.as_deref().unwrap_or_default();
        let profile = self.profile.as_deref().map(bounded).unwrap_or_default();
        let mode = self.mode.unwrap_or_default();
        let _ = match self.allowed {
            false => writeln!(text, "{DENIED}denied{DENIED:#}     {name}\n  {message}"),
            true if self.decision == "deny" => {
                writeln!(
                    text,
                    "{WARNED}admitted{WARNED:#}   {name}, because the mode is {mode}; enforce would deny it:\n  {message}"
                )
            }
            true if self.changes.is_empty() => {
                writeln!(text, "{QUIET}unchanged  {name}: {message}{QUIET:#}")
            }
            true if self.patch.is_none() => {
                writeln!(
                    text,
                    "{WARNED}unchanged{WARNED:#}  {name}, because the mode is {mode}; enforce would correct it by the profile {profile}:"
                )
            }
            true => writeln!(
                text,
                "{CHANGED}corrected{CHANGED:#}  {name}, by the profile {profile}"
            ),
        };
        match &self.explain {
            Some(explanation) => text.push_str(&explanation.text(&self.violations)),
            None if self.allowed => {
                for change in &self.changes {
                    let _ = writeln!(text, "  {change}");
                }
            }
            None => {}
        }
        for Cautioned { id, text: caution } in &self.cautions {
            let _ = writeln!(
                text,
                "  {WARNED}caution:{WARNED:#} {caution} {QUIET}[{id}]{QUIET:#}"
            );
        }
        if let (Some(cannot), Some(_)) = (self.cannot, &self.explain) {
            let _ = writeln!(text, "  {QUIET}cannot:{QUIET:#} {cannot}");
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  {WARNED}warning:{WARNED:#} {warning}");
        }
        if let Some(assumption) = self.assumption() {
            let _ = writeln!(text, "  {QUIET}assumed:{QUIET:#} {assumption}");
        }
        if let (Some(Some(after)), Some(_)) = (&self.object, &self.patch) {
            let _ = writeln!(text, "\n{}", output::diff(&self.before, after, "  "));
        }
        text
    }
}

pub(super) fn print(reviewed: &ReviewedPod, format: ReviewFormat) -> anyhow::Result<()> {
    match (format, reviewed.object.iter().flatten().next()) {
        (ReviewFormat::Text, _) => output::print(&reviewed.text()),
        (ReviewFormat::Json, _) => {
            let mut line = serde_json::to_vec(reviewed)?;
            line.push(b'\n');
            output::write_out(&line)
        }
        // A deletion has no pod to apply.
        (ReviewFormat::Yaml, Some(Value::Null)) => Ok(()),
        (ReviewFormat::Yaml, Some(object)) => {
            output::write_out(format!("---\n{}", output::yaml(object)).as_bytes())
        }
        (ReviewFormat::Yaml, None) => {
            let name = format!(
                "{}/{}",
                bounded(&reviewed.namespace),
                bounded(&reviewed.pod)
            );
            let message = reviewed.message.as_deref().unwrap_or_default();
            anstream::eprintln!("{DENIED}denied{DENIED:#} {name}: {message}");
            Ok(())
        }
    }
}

/// How many kinds of skipped objects are named.
const KINDS: usize = 10;

#[derive(Default)]
pub(super) struct Tally {
    corrected: usize,
    unchanged: usize,
    denied: usize,
    not_enforced: usize,
    pub(super) unusable: usize,
    /// What was to be reviewed, whether it could be or not.
    pub(super) items: usize,
    /// Objects of other kinds, by kind.
    others: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts an object of another kind.
    pub(super) fn skip(&mut self, kind: &str) {
        *self.others.entry(bounded(kind).into_owned()).or_default() += 1;
    }

    /// What was not reviewed, if there was anything.
    pub(super) fn skipped(&self) -> Option<String> {
        let kinds = self.others.iter().take(KINDS);
        let mut kinds: Vec<_> = kinds
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        if self.others.len() > KINDS {
            kinds.push(format!("and {} more kinds", self.others.len() - KINDS));
        }
        (!kinds.is_empty()).then(|| {
            let kinds = kinds.join(", ");
            format!("not reviewed: {kinds}; podseal reviews pods, and no templates of pods")
        })
    }

    pub(super) fn count(&mut self, reviewed: &ReviewedPod) {
        match reviewed {
            ReviewedPod { allowed: false, .. } => self.denied += 1,
            ReviewedPod {
                decision: "deny", ..
            } => self.not_enforced += 1,
            ReviewedPod { patch: None, .. } => self.unchanged += 1,
            _ => self.corrected += 1,
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Tally { unusable: 1.., .. } => ExitCode::from(output::UNUSABLE),
            Tally { denied: 1.., .. } => ExitCode::from(1),
            _ => ExitCode::SUCCESS,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally {
            corrected,
            unchanged,
            denied,
            not_enforced,
            unusable,
            ..
        } = self;
        let pods = corrected + unchanged + denied + not_enforced;
        let s = if pods == 1 { "" } else { "s" };
        write!(
            f,
            "{pods} pod{s}: {corrected} corrected, {unchanged} unchanged, {denied} denied"
        )?;
        if *not_enforced > 0 {
            write!(f, ", {not_enforced} that the mode enforce would deny")?;
        }
        match unusable {
            0 => Ok(()),
            1 => f.write_str("; 1 input could not be used"),
            n => write!(f, "; {n} inputs could not be used"),
        }
    }
}
