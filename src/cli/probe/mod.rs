//! `podseal probe`: checks whether a podseal answers at a URL.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::args::namespace::namespace;
use super::args::output_format::OutputFormat;
use super::args::time::time;
use super::output::{self, CHANGED, DENIED, QUIET};
use crate::probe::certificate::CertificateSummary;
use crate::probe::config::ProbeConfig;
use crate::probe::failure::Failure;
use crate::probe::report::{Report, Step};
use crate::probe::retry::probe;
use crate::probe::target::Target;
use crate::probe::trust::Authorities;

pub(super) const LONG_ABOUT: &str = "\
Check that a running podseal answers as an API server requires.

The probe resolves the host, connects, verifies the certificate with --ca-file and the host name, \
and sends a review of a harmless pod in --namespace to both webhooks, as a dry run. It creates \
nothing. It retries until --timeout while podseal cannot be reached, for example because it is starting.

Use the caBundle of the two webhook configurations as --ca-file: an API server rejects the \
certificates that the probe rejects with it. The probe does not read these configurations.

podseal logs the probe as a record with pod podseal-probe, user podseal:probe and dry_run true.";

const EXAMPLES: &str = "\
Examples:
  # Probe from a pod of the cluster
  podseal probe https://podseal.podseal.svc --ca-file /etc/podseal/ca/ca.crt

  # Try once, with the labels of the namespace ci, and print JSON
  podseal probe https://podseal.podseal.svc --ca-file ca.crt --namespace ci --timeout 0s -o json

Exit code: 0 when podseal answers as required, 1 when it does not, 2 when an argument cannot be
used.";

/// The maximum size of `--ca-file`.
const LARGEST: u64 = 1 << 20;

/// Arguments of `podseal probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ProbeArgs {
    // Not a doc comment: rustdoc requires URLs there to be links.
    #[arg(
        value_name = "URL",
        help = "URL of podseal: https://SERVICE.NAMESPACE.svc, with the port if it is not 443"
    )]
    url: Target,
    /// PEM file with the CAs to verify podseal's certificate with
    #[arg(long, value_name = "FILE")]
    ca_file: PathBuf,
    /// Namespace of the reviewed pod
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = namespace)]
    namespace: String,
    /// Time to retry until there is an answer, such as 30s or 2m; 0s tries once
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    timeout: Duration,
    /// Output format: text or one JSON object
    #[arg(short, long, value_enum, default_value = "text")]
    output: OutputFormat,
}

/// Runs the command.
pub fn run(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let in_file = || format!("--ca-file {}", args.ca_file.display());
    let text = bounded(&args.ca_file).with_context(|| format!("cannot read {}", in_file()))?;
    let text = text.with_context(|| {
        let file = in_file();
        format!("{file} is larger than 1 MiB; a caBundle is a few certificates")
    })?;
    let authorities = Authorities::from_pem(&text).with_context(in_file)?;
    let url = format!("https://{}", args.url);
    let config = ProbeConfig {
        target: args.url,
        authorities,
        namespace: args.namespace,
        timeout: args.timeout,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut progress = Progress::default();
    let report = runtime.block_on(probe(&config, |failure, left| progress.show(failure, left)));
    // Does not wait for a resolver that does not answer.
    runtime.shutdown_background();
    match args.output {
        OutputFormat::Text => output::print(&text_of(&url, &report))?,
        OutputFormat::Json => {
            let mut line = serde_json::to_vec(&ProbeOutput::new(url, config.namespace, &report))?;
            line.push(b'\n');
            output::write_out(&line)?;
        }
    }
    Ok(ExitCode::from(u8::from(report.failure.is_some())))
}

/// The content of a file; none if it is larger than etcd would accept for a
/// `caBundle`. Reading stops there, since a device may have no end.
fn bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let mut file = File::open(path)?.take(LARGEST + 1);
    file.read_to_end(&mut content)?;
    let fits = u64::try_from(content.len()).is_ok_and(|length| length <= LARGEST);
    Ok(fits.then_some(content))
}

/// The output while the probe retries: each new failure, and a line every few seconds.
#[derive(Default)]
struct Progress {
    last_shown: Option<(&'static str, Duration)>,
}

impl Progress {
    const EVERY: Duration = Duration::from_secs(5);

    fn show(&mut self, failure: &Failure, left: Duration) {
        let is_due = self.last_shown.is_none_or(|(reason, at)| {
            reason != failure.reason() || at.saturating_sub(left) >= Progress::EVERY
        });
        if is_due {
            self.last_shown = Some((failure.reason(), left));
            let seconds = left.as_secs();
            anstream::eprintln!("{QUIET}waiting{QUIET:#}    {failure}; trying for {seconds}s more");
        }
    }
}

fn text_of(url: &str, report: &Report) -> String {
    let mut text = String::new();
    for step in &report.steps {
        let (word, took) = (step.stage.word(), milliseconds(step.took));
        if let Some(detail) = &step.detail {
            let _ = writeln!(
                text,
                "{CHANGED}ok{CHANGED:#}      {word:9}  {detail} {QUIET}({took} ms){QUIET:#}"
            );
        }
    }
    let Some(failure) = &report.failure else {
        let _ = writeln!(text, "podseal at {url} answers as an API server requires");
        return text;
    };
    let word = report.steps.last().map_or("", |step| step.stage.word());
    let tries = match report.attempts {
        1 => String::new(),
        tries => format!("; tried {tries} times in {}s", report.took.as_secs()),
    };
    let _ = writeln!(text, "{DENIED}failed{DENIED:#}  {word:9}  {failure}{tries}");
    let _ = writeln!(text, "{:19}{}", "", failure.hint());
    let _ = writeln!(text, "nothing at {url} answers as an API server requires");
    text
}

fn milliseconds(time: Duration) -> f64 {
    // A tenth is enough for people.
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The output of `-o json`. Its names are an interface, described in
/// `docs/probe.md`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProbeOutput<'r> {
    url: String,
    namespace: String,
    ok: bool,
    reason: Option<&'static str>,
    message: Option<String>,
    cure: Option<&'static str>,
    certificate: Option<&'r CertificateSummary>,
    steps: Vec<StepOutput<'r>>,
    attempts: u32,
    duration_ms: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepOutput<'r> {
    step: &'static str,
    ok: bool,
    detail: Option<&'r str>,
    duration_ms: f64,
}

impl ProbeOutput<'_> {
    fn new(url: String, namespace: String, report: &Report) -> ProbeOutput<'_> {
        let failure = report.failure.as_ref();
        ProbeOutput {
            url,
            namespace,
            ok: failure.is_none(),
            reason: failure.map(Failure::reason),
            message: failure.map(ToString::to_string),
            cure: failure.map(Failure::hint),
            certificate: report.certificate.as_ref(),
            steps: report.steps.iter().map(StepOutput::from).collect(),
            attempts: report.attempts,
            duration_ms: milliseconds(report.took),
        }
    }
}

impl<'r> From<&'r Step> for StepOutput<'r> {
    fn from(step: &'r Step) -> StepOutput<'r> {
        StepOutput {
            step: step.stage.word(),
            ok: step.detail.is_some(),
            detail: step.detail.as_deref(),
            duration_ms: milliseconds(step.took),
        }
    }
}
