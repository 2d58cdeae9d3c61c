//! `--try`: asks, and shows the progress.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use crate::cli::args::time::time;
use crate::cli::output::{DENIED, HEADING, QUIET, visible};
use crate::cli::signals::Signals;
use crate::doctor::facts::Facts;
use crate::doctor::look::{Cluster, Look};
use crate::doctor::objects::Toleration;
use crate::doctor::toleration;
use crate::doctor::trial::plan::{Plan, PlanError};
use crate::doctor::trial::{Trial, remove, run};

/// Arguments of `--try`.
#[derive(Debug, clap::Args)]
pub(super) struct TrialArgs {
    /// Run a pod like a job's on one node of each kind, with this image
    ///
    /// It reads what the kernel allows and builds an image of two lines. podseal corrects it like a
    /// job's pod, by the profile of the namespace. It is deleted afterwards. At a terminal, IMAGE may
    /// be left out: the doctor then asks whether to take that of the newest pod of a job, which anyone
    /// who can create pods may have created.
    #[arg(long = "try", value_name = "IMAGE", num_args = 0..=1)]
    image: Option<Option<String>>,
    /// Do not ask before --try creates pods; takes its IMAGE
    #[arg(long, requires = "image")]
    yes: bool,
    /// Time that --try may take in all, such as 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    timeout: Duration,
    /// Taint of nodes that your jobs tolerate (repeatable): `KEY[=VALUE][:EFFECT]`
    ///
    /// The table counts these nodes, and --try runs on them. Without it, --try runs on nodes without
    /// taints.
    #[arg(long, value_name = "TAINT", value_parser = toleration::parse)]
    pub(super) toleration: Vec<Toleration>,
}

impl TrialArgs {
    /// Requires an image where the user cannot be asked for consent.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let is_unnamed = matches!(self.image, Some(None));
        if is_unnamed && (self.yes || !std::io::stdin().is_terminal()) {
            bail!(
                "--try takes an image here: --try IMAGE. A pod's is only used if you agree to it at a terminal"
            );
        }
        Ok(())
    }
}

/// Tries a pod on one node of each kind, if the user agrees.
pub(super) async fn trials(
    cluster: &Cluster,
    facts: &mut Facts,
    args: &TrialArgs,
) -> anyhow::Result<Vec<Trial>> {
    let Some(image) = &args.image else {
        return Ok(Vec::new());
    };
    let plan = match Plan::of(facts, image.as_deref()) {
        // The report has the reason, and what to do.
        Err(error @ PlanError::NotCorrected(_)) => {
            anstream::eprintln!("--try: {error}");
            return Ok(Vec::new());
        }
        plan => plan?,
    };
    for (node, why) in &plan.left_out {
        anstream::eprintln!(
            "{QUIET}{}: not tried: {}{QUIET:#}",
            visible(node),
            visible(why)
        );
    }
    if plan.nodes.is_empty() {
        anstream::eprintln!("--try: there is no node to try");
        return Ok(Vec::new());
    }
    if !args.yes {
        delete_earlier(cluster, facts, &plan).await?;
    }
    let what = description(&plan, args);
    if !args.yes && !agreed(&what)? {
        bail!("nothing was created");
    }
    let progress = |node: &str, what: &str| {
        anstream::eprintln!("{QUIET}{}: {}{QUIET:#}", visible(node), visible(what));
    };
    let signals = Signals::listen().and_then(Signals::and_hang_up);
    let mut signals = signals.context("cannot handle signals")?;
    let stop = CancellationToken::new();
    let run = run::run(cluster, &plan, args.timeout, &stop, progress);
    let mut run = std::pin::pin!(run);
    tokio::select! {
        trials = run.as_mut() => Ok(trials),
        _ = signals.next() => {
            // The pod that runs is deleted first.
            stop.cancel();
            Ok(run.await)
        }
    }
}

/// Offers to delete what an earlier trial left. With `--yes` they stay, since another doctor
/// may run.
async fn delete_earlier(cluster: &Cluster, facts: &mut Facts, plan: &Plan) -> anyhow::Result<()> {
    if plan.earlier.is_empty() || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let namespace = visible(&plan.namespace);
    let names: Vec<_> = plan.earlier.iter().map(|name| visible(name)).collect();
    let names = names.join(", ");
    let what = format!("delete in namespace {namespace} what an earlier --try left: {names}");
    if !agreed(&what)? {
        return Ok(());
    }
    let user = plan.user.as_deref();
    for name in &plan.earlier {
        match remove::pod(cluster, user, &plan.namespace, name, false).await {
            Ok(()) => forget(facts, name),
            Err(why) => anstream::eprintln!("{}: {}", visible(name), visible(&why)),
        }
    }
    Ok(())
}

/// Takes a pod that was deleted out of what was read.
fn forget(facts: &mut Facts, name: &str) {
    for job in &mut facts.jobs {
        if let Look::Seen(pods) = &mut job.pods {
            pods.retain(|pod| pod.metadata.name != name);
        }
    }
}

/// What is about to happen, with what one should look at.
fn description(plan: &Plan, args: &TrialArgs) -> String {
    let pods = match plan.nodes.len() {
        1 => "a pod".to_owned(),
        count => format!("{count} pods, one after the other,"),
    };
    let strong = |text: &str| format!("{HEADING}{}{HEADING:#}", visible(text));
    let profile = match plan.needs.privileged {
        true => format!("{DENIED}{}, privileged{DENIED:#}", visible(&plan.profile)),
        false => strong(&plan.profile),
    };
    let whose = match &plan.image.of_pod {
        None => String::new(),
        Some((pod, created)) => format!(
            "\n         of the pod {} of {}; Kubernetes does not tell who created it",
            visible(pod),
            visible(created),
        ),
    };
    let tolerations = args.toleration.iter().map(toleration::named);
    let tolerations: Vec<_> = tolerations.collect();
    let tolerated = match tolerations.is_empty() {
        true => "no taint".to_owned(),
        false => tolerations.join(", "),
    };
    format!(
        "--try creates {pods} in namespace {} as {}, and deletes them:\n\
         image    {}{whose}\n\
         profile  {profile}\n\
         nodes    {}\n\
         tolerate {tolerated}\n",
        strong(&plan.namespace),
        visible(plan.user.as_deref().unwrap_or("you")),
        strong(&plan.image.name),
        visible(&plan.nodes.join(", ")),
    )
}

/// Asks on the terminal.
fn agreed(what: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{}to agree, add --yes", anstream::adapter::strip_str(what));
    }
    let mut out = anstream::stderr();
    write!(out, "{}Continue? [y/N] ", end(what)).context("cannot ask")?;
    out.flush().context("cannot ask")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// With an end, so that a question can follow.
fn end(what: &str) -> String {
    match what.ends_with('\n') {
        true => what.to_owned(),
        false => format!("{what}. "),
    }
}
