//! `make demo`: the real webhook and real job pods, without a cluster.
//!
//! [`story`] has the pods, and [`server`] runs `podseal serve` and acts as the API
//! server. This file sends the pods and prints the results.

mod server;
mod story;

use std::fmt::Write;
use std::process::ExitCode;

use anstyle::Style;
use anyhow::{Context, bail};
use podseal::cli::output::{self, CHANGED, DENIED, QUIET};
use serde_json::{Value, json};

use server::{Answer, Server};
use story::{End, STORY, Step, label, namespaces};

const NEXT: &str =
    "  target/debug/podseal review --profile userns tests/fixtures/pods/privileged-nonroot.json
                                 step 2 as a command, with a diff
  target/debug/podseal profiles
                                 the profiles, and when to use each
  make test                      the tests, against a real API server; needs Go
  README.md                      how it works, and what it requires
";

const BOLD: Style = Style::new().bold();
const WIDTH: usize = 96;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    podseal::cli::report(demo().await.map(|()| ExitCode::SUCCESS))
}

async fn demo() -> anyhow::Result<()> {
    let mut server = Server::start(&namespaces()).await?;
    introduce(&server.address)?;
    for (index, step) in STORY.iter().enumerate() {
        let told = tell(&mut server, step, index + 1).await;
        told.with_context(|| format!("step {}", index + 1))?;
    }
    server.stop().await?;
    output::print(&format!(
        "podseal received SIGTERM and shut down gracefully.\n\n{BOLD}Next steps{BOLD:#}\n{NEXT}"
    ))
}

fn introduce(address: &str) -> anyhow::Result<()> {
    let told = format!(
        "`podseal serve` listens on {address} with a temporary certificate. The demo sends the job \
         pods that GitLab Runner 19.4 creates, as the API server would. Below each decision is the \
         record that podseal logs for it; in the record, … replaces text that is shown above it."
    );
    output::print(&format!(
        "{BOLD}podseal decides on {} job pods{BOLD:#}\n{}\n",
        STORY.len(),
        wrapped(&told, "  ")
    ))
}

async fn tell(server: &mut Server, step: &Step, number: usize) -> anyhow::Result<()> {
    let pod = step.pod()?;
    let (answer, logged) = server.create(&pod, step.namespace).await?;
    let record: Value = serde_json::from_str(&logged)?;
    let mut text = String::new();
    writeln!(text, "{BOLD}{number}. {}{BOLD:#}", step.title)?;
    text.push_str(&wrapped(step.job, "   "));
    writeln!(
        text,
        "   Namespace {}, {}.\n",
        step.namespace,
        label(step.namespace)
    )?;

    let mut told_above = None;
    match (step.ends, &answer) {
        (End::Corrected { diff }, Answer::Created(after)) if *after != pod => {
            let changes = record["changes"].as_array();
            let changes = changes.context("the record of a correction has no changes")?;
            told_above = Some(record["changes"].to_string());
            writeln!(text, "   {CHANGED}corrected{CHANGED:#}")?;
            for change in changes {
                writeln!(text, "   {}", change.as_str().unwrap_or_default())?;
            }
            let (had, has) = (privileged(&pod), privileged(after));
            if had != has {
                writeln!(
                    text,
                    "\n   privileged before: {had}\n   privileged now:    {has}"
                )?;
            }
            if diff {
                write!(text, "\n{}", output::diff(&pod, after, "   "))?;
            }
        }
        (End::Denied, Answer::Denied { webhook, message }) => {
            told_above = Some(json!(message).to_string());
            writeln!(text, "   {DENIED}denied{DENIED:#}; the job log shows")?;
            let line = job_log(webhook, message);
            write!(text, "{DENIED}{}{DENIED:#}", wrapped(&line, "   "))?;
        }
        (End::Untouched, Answer::Created(after)) if *after == pod => {
            let why = record["message"].as_str().unwrap_or_default();
            writeln!(text, "   {QUIET}unchanged{QUIET:#}: {why}")?;
        }
        _ => bail!("unexpected decision; podseal logged: {logged}"),
    }

    let record = match told_above {
        Some(told) => logged.replace(&told, "\"…\""),
        None => logged,
    };
    write!(text, "\n{QUIET}{}{QUIET:#}", wrapped(&record, "   "))?;
    output::print(&format!("{text}\n"))
}

/// The names of the privileged containers.
fn privileged(pod: &Value) -> String {
    let containers = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    let names: Vec<_> = containers
        .into_iter()
        .flatten()
        .flatten()
        .filter(|container| container["securityContext"]["privileged"] == true)
        .filter_map(|container| container["name"].as_str())
        .collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// A denial as GitLab Runner prints it.
fn job_log(webhook: &str, message: &str) -> String {
    format!(
        "ERROR: Job failed (system failure): prepare environment: setting up build pod: admission \
         webhook \"{webhook}.podseal.io\" denied the request: {message}. Check \
         https://docs.gitlab.com/runner/shells/#shell-profile-loading for more information"
    )
}

/// `text` wrapped at `WIDTH`, after spaces and commas.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = indent.to_owned();
    let mut width = indent.len();
    for word in text.split_inclusive([' ', ',']) {
        let length = word.trim_end().chars().count();
        if width + length > WIDTH {
            lines.truncate(lines.trim_end().len());
            lines.push('\n');
            lines.push_str(indent);
            width = indent.len();
        }
        lines.push_str(word);
        width += word.chars().count();
    }
    lines.push('\n');
    lines
}
