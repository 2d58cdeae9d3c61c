//! `podseal doctor`: what is wrong with an installation, and which profile works.
//!
//! | file | what it does |
//! |---|---|
//! | `trial` | `--try`: asks, and shows the progress |
//! | `table`, `node_table` | the report as text |

mod node_table;
mod table;
mod trial;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Serialize;

use super::args::namespace::namespace;
use super::args::output_format::OutputFormat;
use super::output::{self, QUIET};
use crate::doctor::command::ClusterFlags;
use crate::doctor::facts::{Facts, Scope};
use crate::doctor::finding::Severity;
use crate::doctor::look::{Cluster, Look};
use crate::doctor::report::Report;

pub(super) const LONG_ABOUT: &str = "\
Find what is wrong with podseal's installation and its namespaces, and which profiles work on your \
nodes.

The doctor reads the cluster of your kubeconfig and changes nothing, unless you --try. In each namespace that opted \
in, it asks the API server to create a job's pod as a dry run, as the namespace's runner if you \
are allowed to impersonate it. What you are not allowed to read is shown as such.";

const EXAMPLES: &str = "\
Examples:
  # Look at the cluster of the current context
  podseal doctor

  # Look at one namespace of another cluster
  podseal doctor --context production --namespace ci

  # Build an image on one node of each kind, as a job of the namespace ci would
  podseal doctor --namespace ci --try registry.example.com/podman/stable

  # Fail a script if something is wrong
  podseal doctor -o json > report.json

Exit code: 0 when nothing is wrong, 1 when something is, 2 when the cluster cannot be reached, your
credentials are not accepted or let you see nothing, or an argument cannot be used.";

/// Arguments of `podseal doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// Look only at this namespace of jobs
    #[arg(short, long, value_name = "NAME", value_parser = namespace)]
    namespace: Option<String>,
    /// Context of the kubeconfig to use [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Kubeconfig file [default: KUBECONFIG, else ~/.kube/config, else the pod's service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    trial: trial::TrialArgs,
    /// Output format: a table or one JSON object
    #[arg(short, long, value_enum, default_value = "text")]
    output: OutputFormat,
}

/// Runs the command.
pub fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let report = runtime.block_on(examine(&args));
    runtime.shutdown_background();
    let (report, blind) = report?;
    match args.output {
        OutputFormat::Text => output::print(&table::text(&report))?,
        OutputFormat::Json => {
            let mut line = serde_json::to_vec(&DoctorOutput::new(&report))?;
            line.push(b'\n');
            output::write_out(&line)?;
        }
    }
    if blind {
        let hint = "namespaces, nodes and podseal's webhooks are hidden from you, so nothing is known; see docs/doctor.md#permissions";
        return Err(anyhow!("{hint}"));
    }
    Ok(ExitCode::from(u8::from(
        report.severity() == Severity::Error,
    )))
}

/// Whether nothing that matters could be looked at.
fn is_blind(facts: &Facts) -> bool {
    let hidden = [
        facts.namespaces.hidden(),
        facts.nodes.hidden(),
        facts.mutating.hidden(),
        facts.validating.hidden(),
    ];
    hidden.iter().all(Option::is_some)
}

/// The report, and whether it is blind.
async fn examine(args: &DoctorArgs) -> anyhow::Result<(Report, bool)> {
    args.trial.check()?;
    // kube uses the process's default provider. An error means that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = config(args).await?;
    let address = config.cluster_url.clone();
    if std::io::stderr().is_terminal() {
        anstream::eprintln!("{QUIET}looking at {address}{QUIET:#}");
    }
    let client = kube::Client::try_from(config).context("cannot use the kubeconfig")?;
    let cluster = Cluster::new(client);
    let scope = Scope {
        namespace: args.namespace.clone(),
        tolerations: args.trial.toleration.clone(),
    };
    let mut facts = Facts::read(&cluster, &scope).await;
    if let Look::Failed(why) = &facts.version {
        return Err(anyhow!("cannot use the API server at {address}: {why}"));
    }
    let trials = trial::trials(&cluster, &mut facts, &args.trial).await?;
    let flags = ClusterFlags {
        context: args.context.clone(),
        kubeconfig: args
            .kubeconfig
            .as_ref()
            .map(|path| path.display().to_string()),
    };
    let report = Report::of(&facts, trials).with(&flags);
    Ok((report, is_blind(&facts)))
}

async fn config(args: &DoctorArgs) -> anyhow::Result<kube::Config> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    // Later lines of an error quote the file, which contains a token.
    let first_line = |error: String| error.lines().next().unwrap_or_default().to_owned();
    let config = match &args.kubeconfig {
        Some(path) => {
            let named = format!("--kubeconfig {}", path.display());
            let kubeconfig = Kubeconfig::read_from(path)
                .map_err(|error| anyhow!("{named}: {}", first_line(error.to_string())))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &options).await
        }
        None => kube::Config::from_kubeconfig(&options).await,
    };
    match config {
        Ok(config) => Ok(config),
        Err(error) if args.kubeconfig.is_none() && args.context.is_none() => {
            let in_cluster = kube::Config::incluster();
            in_cluster.map_err(|_| {
                let error = first_line(error.to_string());
                anyhow!("no cluster to look at: set KUBECONFIG or --kubeconfig ({error})")
            })
        }
        Err(error) => Err(anyhow!("kubeconfig: {}", first_line(error.to_string()))),
    }
}

/// The output of `-o json`. Its names are an interface, described in `docs/doctor.md`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DoctorOutput<'r> {
    severity: Severity,
    errors: usize,
    warnings: usize,
    unknown: usize,
    #[serde(flatten)]
    report: &'r Report,
}

impl DoctorOutput<'_> {
    fn new(report: &Report) -> DoctorOutput<'_> {
        DoctorOutput {
            severity: report.severity(),
            errors: report.count(Severity::Error),
            warnings: report.count(Severity::Warning),
            unknown: report.count(Severity::Unknown),
            report,
        }
    }
}
