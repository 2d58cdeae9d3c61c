//! `podseal review`: the webhook's decisions, without a cluster.
//!
//! | file | what it does |
//! |---|---|
//! | `input` | reads pods and reviews from a file |
//! | `result` | a reviewed pod, and its three output formats |
//! | `explain` | the source of each value and each change |

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
use self::input::{Content, InputError, Item};
use self::result::{ReviewFormat, ReviewedPod, Tally, print};
use super::args::namespaces::read_namespaces;
use super::args::policy::{self, LoadedFolder};
use super::output::{self, WARNED};
use crate::live_config::current::LiveConfig;
use crate::namespaces::file::NamespaceFile;
use admission::correct::home;
use admission::correct::kept_user;
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
Show what the webhook would decide about pods in files, without a cluster.

A file contains Pods, Lists of pods, or AdmissionReviews, as JSON or YAML, in one or more \
documents. Of a folder, its .json, .yaml and .yml files are read. Objects of other kinds are \
skipped and counted, also those that make pods, such as Deployments. Use - for standard input. The \
profile comes from the labels of the pod's namespace (--namespaces), from namespace rules \
(--namespace-rules), or from the command line (--profile, --label).";

const USAGE: &str = "podseal review [OPTIONS] \
    <--namespaces FILE|--profile NAME|--label KEY=VALUE|\n       --namespace-rules FILE> FILE...";

const EXAMPLES: &str = "\
Examples:
  # Show what a profile changes in a pod
  podseal review --profile rootless pod.yaml

  # Create the changed pod
  podseal review --profile userns -o yaml pod.yaml | kubectl apply -f -

  # Review the pods in a folder, and in its folders
  podseal review --profile rootless -R manifests

  # Review all pods of a cluster, with the labels of their namespaces
  kubectl get pods -A -o json | podseal review --namespaces <(kubectl get ns -o yaml) -

  # Explain the decision about a pod of the namespace ci
  podseal review --explain --namespaces <(kubectl get ns ci -o yaml) -n ci pod.yaml

  # Explain which namespace rule applies to the namespace ci-job-17
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
    /// Files or folders of pods to review, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Also read the folders in a folder
    #[arg(short = 'R', long)]
    recursive: bool,
    /// File of namespaces, as `kubectl get namespaces -o yaml` or `-o json` prints them
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    namespaces: Option<PathBuf>,
    /// Use this profile for every namespace
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Namespace of the pods, instead of their own; an AdmissionReview keeps its own
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Add this label to every namespace; can be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
    /// Add this annotation to every namespace, such as podseal.io/home=/work; can be repeated
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = parse_pair)]
    annotations: Vec<(String, String)>,
    /// Use this level for every namespace that has a profile
    #[arg(long, value_parser = PossibleValuesParser::new(["privileged", "baseline", "restricted"]))]
    level: Option<String>,
    /// Use this mode for every namespace that has a profile
    #[arg(long, value_parser = PossibleValuesParser::new(["enforce", "warn", "audit"]))]
    mode: Option<String>,
    /// User who creates the pods [default: the runner of the namespace, if it names one]
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// Operation on the pods; an AdmissionReview keeps its own
    #[arg(long, value_parser = PossibleValuesParser::new(["CREATE", "UPDATE"]), default_value = "CREATE")]
    operation: String,
    /// Show the source of each value and each change instead of the changed pod
    ///
    /// Sources are labels, annotations, namespace rules and fields of profiles. The output contains
    /// no variables except those that the profile sets, so that you can share it to ask for help.
    #[arg(long)]
    explain: bool,
    /// Output format: text, the changed pods as YAML, or one JSON object per line
    #[arg(short, long, value_enum, default_value = "text")]
    output: ReviewFormat,
    #[command(flatten)]
    rules: policy::PolicyArgs,
}

/// The source of a pod's namespace.
struct NamespaceSource {
    /// The namespaces of a file; without one, every name is a namespace without labels.
    file: Option<NamespaceFile>,
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    arguments: Arguments,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be KEY=VALUE".to_owned()),
    }
}

/// Runs the command.
pub fn run(args: &ReviewArgs) -> anyhow::Result<ExitCode> {
    if args.explain && args.output == ReviewFormat::Yaml {
        bail!("--explain cannot be used with -o yaml; use -o text or -o json");
    }
    if args.rules.deprecated_flag.is_some() {
        anstream::eprintln!("warning: {}", policy::DEPRECATED_FLAG);
    }
    let (rules, read) = args.rules.rules(None)?;
    let source = NamespaceSource::of(args, &rules)?;
    let mut tally = Tally::default();
    for argument in &args.files {
        let named = match input::files(argument, args.recursive) {
            Ok(named) => named,
            Err(error) => {
                print_error(argument, &error);
                tally.unusable += 1;
                continue;
            }
        };
        for file in &named.irregular {
            let file = output::visible(file);
            anstream::eprintln!("{WARNED}note:{WARNED:#} {file} is skipped: it is no regular file");
        }
        let (unusable, items) = (tally.unusable, tally.items);
        for file in &named.files {
            let content = content(file, argument).unwrap_or_else(|error| {
                print_error(file, &error);
                tally.unusable += 1;
                Content::default()
            });
            for other in &content.others {
                // A typing error in a pod must not keep it from being reviewed unnoticed.
                if other.kind.is_empty() {
                    print_error(file, other);
                    tally.unusable += 1;
                } else {
                    tally.skip(&other.kind);
                }
            }
            for item in content.items {
                tally.items += 1;
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
        if (unusable, items) == (tally.unusable, tally.items) && input::is_folder(argument) {
            print_error(argument, &"no file of the folder contains a pod");
            tally.unusable += 1;
        }
    }
    if let Some(skipped) = tally.skipped() {
        anstream::eprintln!("{WARNED}note:{WARNED:#} {skipped}");
    }
    if args.output == ReviewFormat::Text {
        output::print(&format!("{tally}\n"))?;
    }
    Ok(tally.exit_code())
}

/// What `file` contains. If it was named itself, it has to contain something to review, unless
/// it is an empty list.
fn content(file: &str, argument: &str) -> Result<Content, InputError> {
    let mut content = input::parse(&input::read(file)?)?;
    match file == argument && content.items.is_empty() && !content.others.is_empty() {
        true => Err(InputError::Kind(content.others.remove(0))),
        false => Ok(content),
    }
}

fn print_error(file: &str, error: &dyn std::fmt::Display) {
    let name = if file == "-" {
        "standard input".into()
    } else {
        output::visible(file)
    };
    // A parser quotes lines of the file unescaped.
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
                    "--profile: there is no profile {profile:?}; there are {}",
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
                        "namespace {name} is not in the file of --namespaces; use -n to set another"
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

/// Reviews one item in the API server's order: first the mutating webhook, then the
/// validating one, on the mutated pod.
fn review(
    args: &ReviewArgs,
    (rules, read): (&LiveConfig, Option<&LoadedFolder>),
    source: &NamespaceSource,
    file: &str,
    item: &Item,
) -> anyhow::Result<ReviewedPod> {
    let text = item.review(&args.operation, args.namespace.as_deref())?;
    if let Item::Pod(pod) = item {
        // Separately, so that an error's field is one of the pod.
        input::typed::<Pod<'_>>(pod.get()).context("not a valid pod")?;
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
    let profile = policy.as_ref().and_then(|policy| policy.profile);
    let kept_user = request
        .object
        .as_ref()
        .zip(profile)
        .and_then(|(pod, profile)| kept_user(pod, profile));
    let corrected = mutate(request.clone(), &namespace, &settings);
    let mut after = before.clone();
    if let Answer::Patch(patch) = corrected.answer() {
        json_patch::patch(&mut after, patch).context("the patch does not apply to the pod")?;
    }
    let after_text = after.to_string();
    if !after.is_null() {
        request.object = Some(input::typed(&after_text).context("not a valid pod")?);
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
            kept_user: corrected.job.as_ref().and(kept_user),
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

/// `request.object` of a review, unchanged.
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
