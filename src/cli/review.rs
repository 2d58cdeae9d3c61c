//! `podseal review`: the webhook's answers, without a cluster.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::input::{self, Item};
use super::render::{self, CHANGED, DENIED, QUIET};
use crate::admission::pod::Pod;
use crate::admission::policy::{Namespace, PROFILE};
use crate::admission::profile::Profiles;
use crate::admission::request::Request;
use crate::admission::review::{Decision, Outcome, review};
use crate::admission::text::bounded;
use crate::cluster::file::NamespaceFile;

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
    job: Option<ReviewedJob>,
    allowed: bool,
    code: u16,
    message: Option<String>,
    warnings: Vec<String>,
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
            match source.review(file, &item) {
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
    let name = if file == "-" { "standard input" } else { file };
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

    fn namespace(&self, name: &str) -> anyhow::Result<Arc<Namespace>> {
        match self {
            Source::Profile(profile) => {
                let label = (PROFILE.to_owned(), profile.clone());
                Ok(Arc::new(Namespace::new(name, [label])))
            }
            Source::File(namespaces) => {
                let name = bounded(name);
                namespaces.get(&name).with_context(|| {
                    format!("namespace {name} is not in the file that --namespaces names")
                })
            }
        }
    }

    fn review(&self, file: &str, item: &Item) -> anyhow::Result<Reviewed> {
        let (request, object) = match item {
            Item::Review(review) => {
                #[derive(serde::Deserialize)]
                struct Parts<'a> {
                    #[serde(borrow)]
                    request: Object<'a>,
                }
                #[derive(serde::Deserialize)]
                struct Object<'a> {
                    #[serde(borrow)]
                    object: Option<&'a RawValue>,
                }
                let request = Request::from_review(review.get().as_bytes())?;
                let parts: Parts<'_> = serde_json::from_str(review.get())?;
                (request, parts.request.object)
            }
            Item::Pod(pod) => {
                let parsed: Pod<'_> =
                    serde_json::from_str(pod.get()).context("it is no valid pod")?;
                let namespace = parsed.metadata.namespace.clone();
                let namespace = namespace.filter(|name| !name.is_empty());
                let mut request = Request::create(parsed, "default");
                request.namespace = namespace.or(request.namespace);
                (request, Some(&**pod))
            }
        };
        let name = request.namespace.as_deref().unwrap_or_default().to_owned();
        if name.is_empty() {
            bail!("the AdmissionReview has no request.namespace; podseal reviews pods only");
        }
        let pod = request
            .object
            .as_ref()
            .map(|pod| pod.name())
            .unwrap_or_default()
            .to_owned();
        let namespace = self.namespace(&name)?;
        let decision = review(request, &namespace, Profiles::built_in());
        let before = object.map_or(Ok(Value::Null), |object| serde_json::from_str(object.get()))?;
        Reviewed::new(file, name, pod, before, &decision)
    }
}

impl Reviewed {
    fn new(
        file: &str,
        namespace: String,
        pod: String,
        before: Value,
        decision: &Decision<'_>,
    ) -> anyhow::Result<Reviewed> {
        let mut after = Some(before.clone());
        let mut patched = None;
        let (code, message) = match &decision.outcome {
            Outcome::Allow(why) => (200, Some(why.reason().to_owned())),
            Outcome::Mutate { patch, .. } => {
                if let Some(after) = &mut after {
                    json_patch::patch(after, patch).context("the patch does not fit the pod")?;
                }
                patched = Some(patch.clone());
                (200, None)
            }
            Outcome::Deny(denial) => {
                after = None;
                (denial.code, Some(denial.message.clone()))
            }
        };
        Ok(Reviewed {
            file: file.to_owned(),
            namespace,
            pod,
            profile: decision.profile.map(str::to_owned),
            job: decision.job.as_ref().map(|job| ReviewedJob {
                id: job.id.as_deref().map(str::to_owned),
                project_id: job.project_id.as_deref().map(str::to_owned),
                project: job.project.clone(),
            }),
            allowed: after.is_some(),
            code,
            message,
            warnings: Vec::new(),
            changes: decision
                .outcome
                .changes()
                .iter()
                .map(ToString::to_string)
                .collect(),
            patch: patched,
            object: after,
            before,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let name = format!("{}/{}", bounded(&self.namespace), bounded(&self.pod));
        let message = self.message.as_deref().unwrap_or_default();
        let _ = match &self.object {
            None => writeln!(text, "{DENIED}denied{DENIED:#}     {name}\n  {message}"),
            Some(_) if self.changes.is_empty() => {
                writeln!(text, "{QUIET}unchanged  {name}: {message}{QUIET:#}")
            }
            Some(after) => {
                let profile = self.profile.as_deref().unwrap_or_default();
                let _ = writeln!(
                    text,
                    "{CHANGED}corrected{CHANGED:#}  {name}, by the profile {profile}"
                );
                for change in &self.changes {
                    let _ = writeln!(text, "  {change}");
                }
                writeln!(text, "\n{}", render::diff(&self.before, after, "  "))
            }
        };
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
    unusable: usize,
}

impl Tally {
    fn count(&mut self, reviewed: &Reviewed) {
        match reviewed {
            Reviewed { allowed: false, .. } => self.denied += 1,
            Reviewed { changes, .. } if changes.is_empty() => self.unchanged += 1,
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
            unusable,
        } = self;
        let pods = corrected + unchanged + denied;
        let s = if pods == 1 { "" } else { "s" };
        write!(
            f,
            "{pods} pod{s}: {corrected} corrected, {unchanged} unchanged, {denied} denied"
        )?;
        match unusable {
            0 => Ok(()),
            1 => f.write_str("; 1 input could not be used"),
            n => write!(f, "; {n} inputs could not be used"),
        }
    }
}
