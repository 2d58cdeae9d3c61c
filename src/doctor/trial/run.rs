//! Creates the pods of a plan, waits for them, reads what they printed, and deletes them
//! whatever happens.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::observation::Observation;
use super::plan::Plan;
use super::{Outcome, Trial, pod};
use crate::doctor::finding::quote;
use crate::doctor::look::{Cluster, Look, escaped, message};
use crate::doctor::objects::{Event, Pod};
use crate::symptoms::{JOB_LOG, KUBERNETES_DENIED, NOT_ASKED, find};

/// The pause between two looks at a pod.
const PAUSE: Duration = Duration::from_secs(1);
/// How much of a log is read, in bytes.
const LOG: usize = 64 * 1024;

/// Runs the plan until `stop` is cancelled. `progress` is told what happens on a node.
pub async fn run(
    cluster: &Cluster,
    plan: &Plan,
    patience: Duration,
    stop: &CancellationToken,
    mut progress: impl FnMut(&str, &str),
) -> Vec<Trial> {
    let mut trials = Vec::new();
    for node in &plan.nodes {
        if stop.is_cancelled() {
            break;
        }
        let outcome = one(cluster, plan, node, patience, stop, |what| {
            progress(node, what)
        })
        .await;
        let (observation, outcome) = outcome;
        trials.push(Trial {
            node: node.clone(),
            profile: plan.profile.clone(),
            observation,
            outcome,
        });
    }
    trials
}

async fn one(
    cluster: &Cluster,
    plan: &Plan,
    node: &str,
    patience: Duration,
    stop: &CancellationToken,
    mut progress: impl FnMut(&str),
) -> (Option<Observation>, Outcome) {
    let name = format!("podseal-doctor-{}", suffix());
    let pods = format!("/api/v1/namespaces/{}/pods", escaped(&plan.namespace));
    let path = format!("{pods}/{name}");
    let body = pod::pod(&name, node, &plan.image, &plan.tolerations).to_string();
    progress("creating a pod");
    let user = plan.user.as_deref();
    let created = cluster
        .ask::<Pod>("POST", &pods, user, body.into_bytes())
        .await;
    if let Err(error) = created {
        return (None, failed(&message(&error)));
    }
    let ended = tokio::select! {
        ended = ended(cluster, &path, patience, &mut progress) => ended,
        () = stop.cancelled() => Err("interrupted".to_owned()),
    };
    let log = cluster
        .text(&format!("{path}/log?container=build&limitBytes={LOG}"))
        .await;
    let result = match (ended, log) {
        (Ok(()), Look::Seen(log)) => of_log(&log),
        (Ok(()), hidden) => (None, failed(&hidden.hidden().unwrap_or_default())),
        (Err(why), log) => {
            let events = events(cluster, plan, &name).await;
            let log = log.seen().map_or("", |log| log.as_str());
            let all = format!("{events}\n{log}\n{why}");
            (Observation::read(log), failed(&all))
        }
    };
    progress("deleting the pod");
    let delete = br#"{"gracePeriodSeconds": 0}"#.to_vec();
    if let Err(error) = cluster.ask::<Value>("DELETE", &path, None, delete).await {
        progress(&format!(
            "the pod {name} could not be deleted: {}",
            message(&error)
        ));
    }
    result
}

/// Waits until the container `build` ended. An error says why it did not.
async fn ended(
    cluster: &Cluster,
    path: &str,
    patience: Duration,
    progress: &mut impl FnMut(&str),
) -> Result<(), String> {
    let end = Instant::now() + patience;
    let mut last = String::new();
    loop {
        let now = match cluster.get::<Pod>(path).await {
            Look::Seen(pod) => pod,
            Look::Absent => return Err("somebody deleted the pod".to_owned()),
            hidden => return Err(hidden.hidden().unwrap_or_default()),
        };
        let build = now
            .status
            .container_statuses
            .iter()
            .find(|status| status.name == "build");
        if build.is_some_and(|status| status.state.terminated.is_some()) {
            return Ok(());
        }
        let waiting = build.and_then(|status| status.state.waiting.as_ref());
        let because = waiting
            .map(|waiting| waiting.reason.as_str())
            .unwrap_or_default();
        let what = quote(format!("{} {because}", now.status.phase).trim_end());
        if now.status.phase == "Failed" {
            return Err(quote(&format!(
                "{} {}",
                now.status.reason, now.status.message
            )));
        }
        let is_over = matches!(
            because,
            "ErrImagePull"
                | "ImagePullBackOff"
                | "InvalidImageName"
                | "CreateContainerConfigError"
                | "CreateContainerError"
        );
        let message = waiting
            .map(|waiting| waiting.message.as_str())
            .unwrap_or_default();
        if is_over || Instant::now() >= end {
            return Err(format!("{what} {}", quote(message)).trim_end().to_owned());
        }
        if what != last {
            progress(&what);
            last = what;
        }
        sleep(PAUSE).await;
    }
}

/// What the events of a pod say, a line each.
async fn events(cluster: &Cluster, plan: &Plan, name: &str) -> String {
    let selector = escaped(&format!("involvedObject.name={name},type=Warning"));
    let path = format!(
        "/api/v1/namespaces/{}/events?fieldSelector={selector}",
        escaped(&plan.namespace)
    );
    let events: Look<Vec<Event>> = cluster.list(&path).await;
    let events = events.seen().into_iter().flatten();
    let lines: Vec<_> = events
        .map(|event| event.message.replace('\n', " "))
        .collect();
    lines.join("\n")
}

fn of_log(log: &str) -> (Option<Observation>, Outcome) {
    let observation = Observation::read(log);
    match &observation {
        Some(seen) if seen.built => (observation, Outcome::Built),
        _ => (observation, failed(log)),
    }
}

/// The outcome by what a text has: the line with a symptom, or else its last one.
fn failed(text: &str) -> Outcome {
    let tables = [JOB_LOG, KUBERNETES_DENIED, NOT_ASKED];
    let symptom = tables.into_iter().find_map(|table| find(table, text));
    let is_shown =
        |line: &&str| !line.trim().is_empty() && !line.starts_with(super::observation::MARK);
    let mut lines = text.lines().filter(is_shown);
    let line = match symptom {
        Some(symptom) => lines.find(|line| symptom.is_in(line)),
        None => lines.next_back(),
    };
    Outcome::Failed {
        message: quote(line.unwrap_or("it printed nothing")),
        symptom: symptom.map(|symptom| symptom.id),
    }
}

/// Six characters that no other pod has.
fn suffix() -> String {
    let mut bytes = [0; 3];
    // An all-zero name would only meet another one's.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_line_that_troubleshooting_knows_or_the_last_one() {
        let log = "podseal-doctor attr=none\nSTEP 1\nERRO[0] newuidmap: write to uid_map failed: Operation not permitted\nexit 125\npodseal-doctor build=failed\n";
        let (_, outcome) = of_log(log);
        let Outcome::Failed { message, symptom } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(symptom, Some("newuidmap"));
        assert!(message.starts_with("ERRO[0] newuidmap"), "{message}");
        let (_, unknown) = of_log("one\ntwo\n\n");
        let last = Outcome::Failed {
            message: "two".to_owned(),
            symptom: None,
        };
        assert_eq!(unknown, last);
    }
}
