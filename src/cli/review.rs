//! `podseal review`: the webhook's answers, without a cluster.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use serde::Serialize;
use serde_json::Value;

use super::input::{self, Item};
use super::render::{self, CHANGED, DENIED, QUIET, WARNED};
use crate::admission::judge::judge;
use crate::admission::pod::Pod;
use crate::admission::policy::{LEVEL, MODE, Namespace, PROFILE, Policy, Settings};
use crate::admission::profile::Profiles;
use crate::admission::request::Request;
use crate::admission::review::{Allowed, Answer, Decision, Outcome, correct};
use crate::admission::text::bounded;
use crate::cluster::file::NamespaceFile;
use crate::webhook::record::Violated;

pub(super) const LONG_ABOUT: &str = "\
Shows what the webhook would answer for pods in files, without a cluster.

A file holds a Pod, an AdmissionReview, or a List of pods, as JSON or YAML, in one \
or more documents; - is standard input. Which profile applies comes from the labels \
of the pod's namespace (--namespaces), or is said outright (--profile).";

const EXAMPLES: &str = "\
Examples:
  podseal review --profile rootless pod.yaml
  podseal review --profile userns -o yaml pod.yaml | kubectl apply -f -
  kubectl get pods -A -o json | podseal review --namespaces <(kubectl get ns -o yaml) -

Exit code: 0 when every pod is allowed, 1 when one is denied, 2 when an input cannot be used.";

/// Arguments of `podseal review`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    group = clap::ArgGroup::new("source").required(true).args(["namespaces", "profile"]),
)]
pub struct Args {
    /// Pods to review; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Namespaces with their labels, as `kubectl get ns -o yaml` prints them
    #[arg(long, value_name = "FILE")]
    namespaces: Option<PathBuf>,
    /// Review as if every namespace had this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Review as if every namespace with a profile had this level
    #[arg(long, value_parser = PossibleValuesParser::new(["privileged", "baseline", "restricted"]))]
    level: Option<String>,
    /// Review as if every namespace with a profile had this mode
    #[arg(long, value_parser = PossibleValuesParser::new(["enforce", "warn", "audit"]))]
    mode: Option<String>,
    /// Who creates the pods; by default whom the namespace names in podseal.io/runner
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// What is done to the pods; an AdmissionReview says so itself
    #[arg(long, value_parser = PossibleValuesParser::new(["CREATE", "UPDATE"]), default_value = "CREATE")]
    operation: String,
    /// Deny jobs that are known by their labels alone where their profile grants more than the
    /// baseline
    #[arg(long)]
    require_runner: bool,
    /// What to print: text for people, the patched pods, or a JSON object a line
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Yaml,
    Json,
}

/// Where the namespace of a pod comes from.
enum Source {
    File(NamespaceFile),
    Profile(String),
}

/// One reviewed pod, as `-o json` prints it. These names are an interface:
/// `docs/review.md` describes them.
#[derive(Serialize)]
struct Reviewed {
    file: String,
    namespace: String,
    pod: String,
    profile: Option<String>,
    level: Option<&'static str>,
    mode: Option<&'static str>,
    job: Option<ReviewedJob>,
    allowed: bool,
    decision: &'static str,
    code: u16,
    message: Option<String>,
    warnings: Vec<String>,
    violations: Vec<Violated>,
    changes: Vec<String>,
    patch: Option<json_patch::Patch>,
    object: Option<Value>,
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

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let source = Source::of(args)?;
    let mut tally = Tally::default();
    for file in &args.files {
        let items = input::read(file).and_then(|text| input::parse(&text));
        let items = match items {
            Ok(items) => items,
            Err(error) => {
                complain(file, &error);
                tally.unusable += 1;
                continue;
            }
        };
        for item in items {
            match review(args, &source, file, &item) {
                Ok(reviewed) => {
                    tally.count(&reviewed);
                    print(&reviewed, args.output)?;
                }
                Err(error) => {
                    complain(file, &format!("{error:#}"));
                    tally.unusable += 1;
                }
            }
        }
    }
    if args.output == Format::Text {
        render::print(&format!("{tally}\n"))?;
    }
    Ok(tally.exit_code())
}

fn complain(file: &str, error: &dyn std::fmt::Display) {
    let name = if file == "-" {
        "standard input".into()
    } else {
        render::visible(file)
    };
    // A parser shows the lines it could not read, as they are.
    let error = error.to_string();
    let error: Vec<_> = error.lines().map(render::visible).collect();
    let error = error.join("\n");
    anstream::eprintln!("{}error:{:#} {name}: {error}", super::ERROR, super::ERROR);
}

impl Source {
    fn of(args: &Args) -> anyhow::Result<Source> {
        if let Some(profile) = &args.profile {
            let profiles = Profiles::built_in();
            if profiles.get(profile).is_none() {
                bail!(
                    "--profile: there is no {profile:?}; there are {}",
                    profiles.names()
                );
            }
            return Ok(Source::Profile(profile.clone()));
        }
        let Some(path) = &args.namespaces else {
            bail!("say where the profile comes from: --namespaces FILE or --profile NAME");
        };
        Ok(Source::File(super::serve::namespaces_from_file(path)?))
    }

    fn namespace(&self, name: &str, args: &Args) -> anyhow::Result<Namespace> {
        let mut namespace = match self {
            Source::Profile(profile) => {
                Namespace::new(name, [(PROFILE.to_owned(), profile.clone())], [])
            }
            Source::File(namespaces) => {
                let namespace = namespaces.get(name).with_context(|| {
                    let name = bounded(name);
                    format!("namespace {name} is not in the file that --namespaces names")
                })?;
                Namespace::clone(&namespace)
            }
        };
        for (label, value) in [(LEVEL, &args.level), (MODE, &args.mode)] {
            if let Some(value) = value.as_ref().filter(|_| namespace.opts_in()) {
                namespace.labels.insert(label.to_owned(), value.clone());
            }
        }
        Ok(namespace)
    }
}

/// Reviews one item as the API server would have it reviewed: corrected first,
/// and then, as it is in the end, judged.
fn review(args: &Args, source: &Source, file: &str, item: &Item) -> anyhow::Result<Reviewed> {
    let text = item.review(&args.operation)?;
    if let Item::Pod(pod) = item {
        // By itself, so that the place of an error is a place in the pod.
        serde_json::from_str::<Pod<'_>>(pod.get()).context("it is no valid pod")?;
    }
    let mut request = Request::from_review(text.as_bytes())?;
    let name = request.namespace.as_deref().unwrap_or_default().to_owned();
    if name.is_empty() {
        bail!("the AdmissionReview has no request.namespace; podseal reviews pods only");
    }
    let namespace = source.namespace(&name, args)?;
    let settings = Settings {
        require_runner: args.require_runner,
        ..Settings::built_in()
    };
    let policy = Policy::from_namespace(&namespace, &settings);
    if let Some(user) = args.user.as_deref() {
        request.user_info.username = Some(user.into());
    } else if item.is_pod() {
        let runner = policy.as_ref().and_then(Policy::runner);
        request.user_info.username = runner.map(Into::into);
    }
    let pod = request
        .object
        .as_ref()
        .map(|pod| pod.name())
        .unwrap_or_default()
        .to_owned();
    let before: Value = object_of(&text)?;

    let corrected = correct(request.clone(), &namespace, &settings);
    let mut after = before.clone();
    if let Answer::Patch(patch) = corrected.answer() {
        json_patch::patch(&mut after, patch).context("the patch does not fit the pod")?;
    }
    let after_text = after.to_string();
    if !after.is_null() {
        request.object = Some(serde_json::from_str(&after_text).context("it is no valid pod")?);
    }
    let judged = match &corrected.outcome {
        Outcome::Deny(_) => None,
        _ => Some(judge(request, &namespace, &settings)),
    };
    let mut reviewed = Reviewed::new(file, name, pod, before, after, &corrected, judged.as_ref());
    let ineffective = [LEVEL, MODE]
        .into_iter()
        .filter(|label| namespace.labels.contains_key(*label));
    if !namespace.opts_in() {
        reviewed.warnings.extend(
            ineffective.map(|label| format!("label {label} has no effect without {PROFILE}")),
        );
    }
    Ok(reviewed)
}

/// `request.object` of a review, as it stands.
fn object_of(review: &str) -> anyhow::Result<Value> {
    #[derive(serde::Deserialize)]
    struct Review {
        request: Parts,
    }
    #[derive(serde::Deserialize)]
    struct Parts {
        #[serde(default)]
        object: Value,
    }
    Ok(serde_json::from_str::<Review>(review)?.request.object)
}

/// Why a pod is left as it is; and, where it was judged, that it passed.
fn also_judged(reason: &str, judged: Option<&Decision<'_>>) -> String {
    match judged.map(|judged| &judged.outcome) {
        Some(Outcome::Allow(why @ Allowed::Complies)) => format!("{reason}, and {}", why.reason()),
        _ => reason.to_owned(),
    }
}

impl Reviewed {
    fn new(
        file: &str,
        namespace: String,
        pod: String,
        before: Value,
        after: Value,
        corrected: &Decision<'_>,
        judged: Option<&Decision<'_>>,
    ) -> Reviewed {
        let denied = |decision: &&Decision<'_>| matches!(decision.outcome, Outcome::Deny(_));
        // The one that says more: a denial, else the correction, unless there
        // was none to make.
        let has_more = |judged: &&Decision<'_>| {
            denied(judged) || corrected.outcome == Outcome::Allow(Allowed::NotAPod)
        };
        let telling = judged.filter(has_more).unwrap_or(corrected);
        let judged_or = judged.unwrap_or(corrected);
        let allowed = ![telling, corrected]
            .iter()
            .any(|d| matches!(d.answer(), Answer::Deny(_)));
        let (code, message) = match &telling.outcome {
            Outcome::Allow(why) => (200, Some(also_judged(why.reason(), judged))),
            Outcome::Mutate(_) => (200, None),
            Outcome::Deny(denial) => (denial.code, Some(denial.message.clone())),
        };
        let patch = match corrected.answer() {
            Answer::Patch(patch) if allowed => Some(patch.clone()),
            _ => None,
        };
        let mut warnings = telling.told();
        warnings.extend(telling.warnings.iter().cloned());
        let mut seen = std::collections::HashSet::new();
        warnings.retain(|warning| seen.insert(warning.clone()));
        let policy = corrected.policy.as_ref();
        Reviewed {
            file: file.to_owned(),
            namespace,
            pod,
            profile: policy.map(|policy| policy.name.to_owned()),
            level: policy.map(|policy| policy.level.name()),
            mode: policy.map(|policy| policy.mode.name()),
            job: corrected.job.as_ref().map(|job| ReviewedJob {
                id: job.id.as_deref().map(str::to_owned),
                project_id: job.project_id.as_deref().map(str::to_owned),
                project: job.project.clone(),
            }),
            allowed,
            decision: telling.outcome.word(),
            code,
            message,
            warnings,
            violations: judged_or
                .violations
                .told
                .iter()
                .map(Violated::from)
                .collect(),
            changes: corrected.changes.iter().map(ToString::to_string).collect(),
            patch,
            object: allowed.then_some(after),
            before,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let name = format!("{}/{}", bounded(&self.namespace), bounded(&self.pod));
        let message = self.message.as_deref().unwrap_or_default();
        let profile = self.profile.as_deref().map(bounded).unwrap_or_default();
        let mode = self.mode.unwrap_or_default();
        let _ = match &self.object {
            None => writeln!(text, "{DENIED}denied{DENIED:#}     {name}\n  {message}"),
            Some(_) if self.decision == "deny" => {
                writeln!(
                    text,
                    "{WARNED}admitted{WARNED:#}   {name}, since the mode is {mode}; enforce would deny it:\n  {message}"
                )
            }
            Some(_) if self.changes.is_empty() => {
                writeln!(text, "{QUIET}unchanged  {name}: {message}{QUIET:#}")
            }
            Some(_) if self.patch.is_none() => {
                writeln!(
                    text,
                    "{WARNED}unchanged{WARNED:#}  {name}, since the mode is {mode}; else corrected by the profile {profile}:"
                )
            }
            Some(_) => writeln!(
                text,
                "{CHANGED}corrected{CHANGED:#}  {name}, by the profile {profile}"
            ),
        };
        if self.object.is_some() {
            for change in &self.changes {
                let _ = writeln!(text, "  {change}");
            }
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  {WARNED}warning:{WARNED:#} {warning}");
        }
        if let (Some(after), Some(_)) = (&self.object, &self.patch) {
            let _ = writeln!(text, "\n{}", render::diff(&self.before, after, "  "));
        }
        text
    }
}

fn print(reviewed: &Reviewed, format: Format) -> anyhow::Result<()> {
    match (format, &reviewed.object) {
        (Format::Text, _) => render::print(&reviewed.text()),
        (Format::Json, _) => {
            let mut line = serde_json::to_vec(reviewed)?;
            line.push(b'\n');
            super::write_out(&line)
        }
        // A deletion has no pod to apply.
        (Format::Yaml, Some(Value::Null)) => Ok(()),
        (Format::Yaml, Some(object)) => {
            super::write_out(format!("---\n{}", render::yaml(object)).as_bytes())
        }
        (Format::Yaml, None) => {
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

#[derive(Default)]
struct Tally {
    corrected: usize,
    unchanged: usize,
    denied: usize,
    spared: usize,
    unusable: usize,
}

impl Tally {
    fn count(&mut self, reviewed: &Reviewed) {
        match reviewed {
            Reviewed { allowed: false, .. } => self.denied += 1,
            Reviewed {
                decision: "deny", ..
            } => self.spared += 1,
            Reviewed { patch: None, .. } => self.unchanged += 1,
            _ => self.corrected += 1,
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Tally { unusable: 1.., .. } => ExitCode::from(super::UNUSABLE),
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
            spared,
            unusable,
        } = self;
        let pods = corrected + unchanged + denied + spared;
        let s = if pods == 1 { "" } else { "s" };
        write!(
            f,
            "{pods} pod{s}: {corrected} corrected, {unchanged} unchanged, {denied} denied"
        )?;
        if *spared > 0 {
            write!(f, ", {spared} that the mode enforce would deny")?;
        }
        match unusable {
            0 => Ok(()),
            1 => f.write_str("; 1 input could not be used"),
            n => write!(f, "; {n} inputs could not be used"),
        }
    }
}
