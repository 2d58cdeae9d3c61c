//! `podseal review`: the webhook's answers, without a cluster.
//!
//! | file | what it does |
//! |---|---|
//! | `input` | what a file holds |
//! | `result` | a reviewed pod, and the three ways of printing it |
//! | `explain` | where each value came from, and which rule asked for each change |

mod explain;
pub mod input;
mod result;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use serde_json::Value;

use self::explain::explanation::Explanation;
use self::explain::inputs::{Arguments, Inputs};
use self::input::Item;
use self::result::{ReviewFormat, ReviewedPod, Tally, print};
use super::args::namespaces::read_namespaces;
use super::args::policy::{self, LoadedFolder};
use super::output;
use crate::live_config::current::LiveConfig;
use crate::namespaces::file::NamespaceFile;
use admission::correct::home;
use admission::decision::{Answer, Outcome};
use admission::mutate::mutate;
use admission::namespace::policy::Policy;
use admission::namespace::unknown_keys;
use admission::namespace::{LEVEL, MODE, NEVER_CALLED, Namespace, PROFILE, is_clusters_own};
use admission::pod::Pod;
use admission::request::Request;
use admission::text::bounded;
use admission::validate::validate;

pub(super) const LONG_ABOUT: &str = "\
Shows what the webhook would answer for pods in files, without a cluster.

A file holds a Pod, an AdmissionReview, or a List of pods, as JSON or YAML, in one \
or more documents; - is standard input. Which profile applies comes from the labels \
of the pod's namespace (--namespaces), from namespace rules (--namespace-rules), or is said \
outright (--profile, --label).";

const USAGE: &str = "podseal review [OPTIONS] \
    <--namespaces FILE|--profile NAME|--label KEY=VALUE|\n       --namespace-rules FILE> FILE...";

const EXAMPLES: &str = "\
Examples:
  podseal review --profile rootless pod.yaml
  podseal review --profile userns -o yaml pod.yaml | kubectl apply -f -
  kubectl get pods -A -o json | podseal review --namespaces <(kubectl get ns -o yaml) -
  podseal review --explain --namespaces <(kubectl get ns ci -o yaml) -n ci pod.yaml
  podseal review --explain --namespace-rules rules.yaml -n ci-job-17 pod.yaml

Exit code: 0 when every pod is allowed, 1 when one is denied, 2 when an input cannot be used.";

/// Arguments of `podseal review`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = USAGE,
    group = clap::ArgGroup::new("source")
        .required(true)
        .multiple(true)
        .args(["namespaces", "profile", "labels", "namespace_rules", "deprecated_flag"]),
)]
pub struct ReviewArgs {
    /// Pods to review; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Namespaces with their labels, as `kubectl get ns -o yaml` prints them
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    namespaces: Option<PathBuf>,
    /// Review as if every namespace had this profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Review pods as if they were of this namespace; an AdmissionReview says its own
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Review as if every namespace had this label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
    /// Review as if every namespace had this annotation, such as podseal.io/home=/work; may be
    /// repeated
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = parse_pair)]
    annotations: Vec<(String, String)>,
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
    rules: policy::PolicyArgs,
    /// Say where each value came from (label, annotation, namespace rule, profile) and which rule asked
    /// for each change, in place of the pod: fit to be pasted where you ask for help
    #[arg(long)]
    explain: bool,
    /// What to print: text for people, the patched pods, or a JSON object a line
    #[arg(short, long, value_enum, default_value = "text")]
    output: ReviewFormat,
}

/// Where the namespace of a pod comes from.
struct NamespaceSource {
    /// Those of a file; else all there are, without labels.
    file: Option<NamespaceFile>,
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    arguments: Arguments,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it is not KEY=VALUE".to_owned()),
    }
}

/// Runs the command.
pub fn run(args: &ReviewArgs) -> anyhow::Result<ExitCode> {
    if args.explain && args.output == ReviewFormat::Yaml {
        bail!("--explain: YAML output cannot contain it; remove -o yaml, or use -o json");
    }
    if args.rules.deprecated_flag.is_some() {
        anstream::eprintln!("warning: {}", policy::DEPRECATED_FLAG);
    }
    let (rules, read) = args.rules.rules(None)?;
    let source = NamespaceSource::of(args, &rules)?;
    let mut tally = Tally::default();
    for file in &args.files {
        let items = input::read(file).and_then(|text| input::parse(&text));
        let items = match items {
            Ok(items) => items,
            Err(error) => {
                print_error(file, &error);
                tally.unusable += 1;
                continue;
            }
        };
        for item in items {
            match review(args, (&rules, read.as_ref()), &source, file, &item) {
                Ok(reviewed) => {
                    tally.count(&reviewed);
                    print(&reviewed, args.output)?;
                }
                Err(error) => {
                    print_error(file, &format!("{error:#}"));
                    tally.unusable += 1;
                }
            }
        }
    }
    if args.output == ReviewFormat::Text {
        output::print(&format!("{tally}\n"))?;
    }
    Ok(tally.exit_code())
}

fn print_error(file: &str, error: &dyn std::fmt::Display) {
    let name = if file == "-" {
        "standard input".into()
    } else {
        output::visible(file)
    };
    // A parser shows the lines it could not read, as they are.
    let error = error.to_string();
    let error: Vec<_> = error.lines().map(output::visible).collect();
    let error = error.join("\n");
    anstream::eprintln!("{}error:{:#} {name}: {error}", output::ERROR, output::ERROR);
}

impl NamespaceSource {
    fn of(args: &ReviewArgs, rules: &LiveConfig) -> anyhow::Result<NamespaceSource> {
        let mut arguments = Arguments::new();
        let mut labels = args.labels.clone();
        arguments.extend(labels.iter().map(|(key, _)| (key.clone(), "--label")));
        if let Some(profile) = &args.profile {
            let profiles = rules.profiles();
            if profiles.get(profile).is_none() {
                bail!(
                    "--profile: there is no {profile:?}; there are {}",
                    profiles.names()
                );
            }
            labels.push((PROFILE.to_owned(), profile.clone()));
            arguments.insert(PROFILE.to_owned(), "--profile");
        }
        let annotations = args.annotations.clone();
        let said = annotations
            .iter()
            .map(|(key, _)| (key.clone(), "--annotation"));
        arguments.extend(said);
        for (key, value, argument) in [
            (LEVEL, &args.level, "--level"),
            (MODE, &args.mode, "--mode"),
        ] {
            if value.is_some() {
                arguments.insert(key.to_owned(), argument);
            }
        }
        let namespace_rules = rules.namespace_rules();
        let file = args.namespaces.as_ref();
        let file = file.map(|path| read_namespaces(path, namespace_rules));
        Ok(NamespaceSource {
            file: file.transpose()?,
            labels,
            annotations,
            arguments,
        })
    }

    fn namespace(
        &self,
        name: &str,
        args: &ReviewArgs,
        rules: &LiveConfig,
    ) -> anyhow::Result<Namespace> {
        let namespace = match &self.file {
            None => Namespace::new(name, [], []),
            Some(namespaces) => {
                let namespace = namespaces.get(name).with_context(|| {
                    let name = bounded(name);
                    format!(
                        "namespace {name} is not in the file that --namespaces names; -n says \
                         another"
                    )
                })?;
                Namespace::clone(&namespace)
            }
        };
        let own = |pairs: &BTreeMap<String, String>| pairs.clone().into_iter();
        let mut namespace = Namespace::keeping(
            name,
            own(&namespace.labels).chain(self.labels.clone()),
            own(&namespace.annotations).chain(self.annotations.clone()),
            &rules.namespace_rules().label_keys(),
        );
        for (label, value) in [(LEVEL, &args.level), (MODE, &args.mode)] {
            let has_policy =
                namespace.opts_in() || rules.namespace_rules().rule_for(&namespace).is_some();
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
    args: &ReviewArgs,
    (rules, read): (&LiveConfig, Option<&LoadedFolder>),
    source: &NamespaceSource,
    file: &str,
    item: &Item,
) -> anyhow::Result<ReviewedPod> {
    let text = item.review(&args.operation, args.namespace.as_deref())?;
    if let Item::Pod(pod) = item {
        // By itself, so that the place of an error is a place in the pod.
        serde_json::from_str::<Pod<'_>>(pod.get()).context("it is no valid pod")?;
    }
    let mut request = Request::from_review(text.as_bytes())?;
    let name = request.namespace.as_deref().unwrap_or_default().to_owned();
    if name.is_empty() {
        bail!("the AdmissionReview has no request.namespace; podseal reviews only pods");
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
    let (operation, user) = (request.operation.to_string(), request.user().to_owned());

    let jobs_home = request.object.as_ref().and_then(home::of_job);
    let corrected = mutate(request.clone(), &namespace, &settings);
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
        _ => Some(validate(request, &namespace, &settings)),
    };
    let mut reviewed =
        ReviewedPod::new(file, name, pod, before, after, &corrected, judged.as_ref());
    reviewed.assume(settings.require_runner);
    if args.explain {
        let asking = Inputs {
            namespace: &namespace,
            settings: &settings,
            read,
            arguments: &source.arguments,
            operation: &operation,
            user: &user,
            jobs_home: corrected.job.as_ref().and(jobs_home.as_deref()),
        };
        reviewed.explain(Explanation::of(&corrected, &asking));
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
        let unread = unknown_keys::warnings(&namespace, settings.namespace_rules);
        reviewed.warnings.extend(unread);
    }
    Ok(reviewed)
}

/// `request.object` of a review, as it stands.
fn object_of(review: &str) -> anyhow::Result<Value> {
    #[derive(serde::Deserialize)]
    struct PodInReview {
        request: ReviewedRequest,
    }
    #[derive(serde::Deserialize)]
    struct ReviewedRequest {
        #[serde(default)]
        object: Value,
    }
    Ok(serde_json::from_str::<PodInReview>(review)?.request.object)
}
