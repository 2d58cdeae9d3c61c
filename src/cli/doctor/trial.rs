//! `--try`: asks, and shows the progress.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};

use tokio_util::sync::CancellationToken;

use crate::cli::output::{QUIET, visible};
use crate::cli::signals::Signals;
use crate::doctor::facts::Facts;
use crate::doctor::look::Cluster;
use crate::doctor::trial::plan::Plan;
use crate::doctor::trial::{Trial, run};

/// Tries a pod on one node of each kind, if the user agrees.
pub(super) async fn trials(
    cluster: &Cluster,
    facts: &Facts,
    image: Option<&str>,
    yes: bool,
    patience: Duration,
) -> anyhow::Result<Vec<Trial>> {
    let plan = Plan::of(facts, image)?;
    for (node, taint) in &plan.kept_away {
        let node = visible(node);
        anstream::eprintln!(
            "{QUIET}{node}: not tried, since jobs do not tolerate its taint {taint}{QUIET:#}"
        );
    }
    if plan.nodes.is_empty() {
        bail!(
            "jobs of namespace {} get to no node",
            visible(&plan.namespace)
        );
    }
    let what = description(&plan);
    if !yes && !agreed(&what)? {
        bail!("nothing was created");
    }
    let progress = |node: &str, what: &str| {
        anstream::eprintln!("{QUIET}{}: {}{QUIET:#}", visible(node), visible(what));
    };
    let mut signals = Signals::listen().context("cannot handle signals")?;
    let stop = CancellationToken::new();
    let run = run::run(cluster, &plan, patience, &stop, progress);
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

fn description(plan: &Plan) -> String {
    let pods = match plan.nodes.len() {
        1 => "a pod".to_owned(),
        count => format!("{count} pods, one after the other,"),
    };
    let user = plan.user.as_deref().unwrap_or("you");
    let text = format!(
        "--try creates {pods} in namespace {namespace} as {user}, so that podseal corrects them by \
         the profile {profile}, runs the image {image} on {nodes}, and deletes them",
        namespace = plan.namespace,
        profile = plan.profile,
        image = plan.image,
        nodes = plan.nodes.join(", "),
    );
    visible(&text).into_owned()
}

/// Asks on the terminal.
fn agreed(what: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{what}; to agree, add --yes");
    }
    let mut out = std::io::stderr();
    write!(out, "{what}. Continue? [y/N] ").context("cannot ask")?;
    out.flush().context("cannot ask")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
