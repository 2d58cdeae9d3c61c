//! `podseal review`: the webhook's answers, without a cluster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use serde_json::Value;

use super::explained::Explained;
use super::input::{self, Item};
use super::render;
use super::reviewed::{Format, Reviewed, Tally, print};
use super::rules;
use crate::admission::judge::judge;
use crate::admission::pod::Pod;
use crate::admission::policy::{
    LEVEL, MODE, NEVER_CALLED, Namespace, PROFILE, Policy, is_clusters_own,
};
use crate::admission::request::Request;
use crate::admission::review::{Answer, Outcome, correct};
use crate::admission::text::bounded;
use crate::cluster::file::NamespaceFile;
use crate::rules::current::Rules;

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
    #[command(flatten)]
    rules: rules::Args,
    /// Say where each value came from (label, annotation, default rule, profile) and which rule asked
    /// for each change
    #[arg(long)]
    explain: bool,
    /// What to print: text for people, the patched pods, or a JSON object a line
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// Where the namespace of a pod comes from.
enum Source {
    File(NamespaceFile),
    Profile(String),
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (rules, _) = args.rules.rules(None)?;
    let source = Source::of(args, &rules)?;
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
            match review(args, &rules, &source, file, &item) {
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
    fn of(args: &Args, rules: &Rules) -> anyhow::Result<Source> {
        if let Some(profile) = &args.profile {
            let profiles = rules.profiles();
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
        Ok(Source::File(super::serve::namespaces_from_file(
            path,
            rules.defaults(),
        )?))
    }

    fn namespace(&self, name: &str, args: &Args, rules: &Rules) -> anyhow::Result<Namespace> {
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
            let has_policy = namespace.opts_in() || rules.defaults().rule_for(&namespace).is_some();
            if let Some(value) = value.as_ref().filter(|_| has_policy) {
                Arc::make_mut(&mut namespace.labels).insert(label.to_owned(), value.clone());
            }
        }
        Ok(namespace)
    }
}

/// Reviews one item as the API server would have it reviewed: corrected first,
/// and then, as it is in the end, judged.
fn review(
    args: &Args,
    rules: &Rules,
    source: &Source,
    file: &str,
    item: &Item,
) -> anyhow::Result<Reviewed> {
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
    let namespace = source.namespace(&name, args, rules)?;
    let profiles = rules.profiles();
    let settings = rules.settings(&profiles);
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
    if args.explain {
        reviewed.explain = Some(Explained::of(&corrected, &settings));
    }
    let ineffective = [LEVEL, MODE]
        .into_iter()
        .filter(|label| namespace.labels.contains_key(*label));
    if namespace.opts_in() && is_clusters_own(&namespace.name) {
        reviewed.warnings.push(NEVER_CALLED.to_owned());
    } else if policy.is_none() {
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
