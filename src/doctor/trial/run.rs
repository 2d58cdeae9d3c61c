//! Creates the pods of a plan, waits for them, reads what they printed, and deletes them
//! whatever happens.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::observation::Observation;
use super::outcome::{NotEnded, State, not_tried, of_events, of_log, state};
use super::plan::Plan;
use super::remove::{self, ask_as_either};
use super::{Left, Outcome, Trial, pod};
use crate::doctor::look::{Cluster, Look, escaped, message};
use crate::doctor::objects::{Event, List, Pod};
use crate::symptoms::{KUBERNETES_DENIED, NOT_ASKED, find};

/// The pause between two looks at a pod.
const PAUSE: Duration = Duration::from_secs(1);
/// How much of a log is read, in bytes.
const LOG: usize = 64 * 1024;

/// Runs the plan until `stop` is cancelled, in at most `patience`, of which each pod has an
/// equal share of what is left. `progress` is told what happens on a node.
pub async fn run(
    cluster: &Cluster,
    plan: &Plan,
    patience: Duration,
    stop: &CancellationToken,
    mut progress: impl FnMut(&str, &str),
) -> Vec<Trial> {
    let end = Instant::now() + patience;
    let mut trials = Vec::new();
    let mut waiting = u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX);
    for node in &plan.nodes {
        if stop.is_cancelled() {
            break;
        }
        let left = end.saturating_duration_since(Instant::now());
        let share = left / waiting.max(1);
        waiting = waiting.saturating_sub(1);
        let attempt = Attempt {
            cluster,
            plan,
            name: format!("podseal-doctor-{}", suffix()),
        };
        let mut progress = |what: &str| progress(node, what);
        let (observation, outcome, left) = match left.is_zero() {
            true => (None, not_tried("no time was left: --timeout"), None),
            false => attempt.run(node, share, stop, &mut progress).await,
        };
        trials.push(Trial {
            node: node.clone(),
            profile: plan.profile.clone(),
            needs: plan.needs.clone(),
            observation,
            outcome,
            left,
        });
    }
    trials
}

/// A pod to be tried.
struct Attempt<'a> {
    cluster: &'a Cluster,
    plan: &'a Plan,
    name: String,
}

impl Attempt<'_> {
    async fn run(
        &self,
        node: &str,
        patience: Duration,
        stop: &CancellationToken,
        progress: &mut impl FnMut(&str),
    ) -> (Option<Observation>, Outcome, Option<Left>) {
        let plan = self.plan;
        let pods = format!("/api/v1/namespaces/{}/pods", escaped(&plan.namespace));
        let image = &plan.image.name;
        let body = pod::pod(&self.name, node, image, &plan.tolerations, patience);
        progress("creating a pod");
        let user = plan.user.as_deref();
        let body = body.to_string().into_bytes();
        let created = self.cluster.ask::<Pod>("POST", &pods, user, body).await;
        let (observation, outcome) = match &created {
            Ok(_) => self.observe(patience, stop, progress).await,
            Err(error) => {
                let message = message(error);
                let symptom = [KUBERNETES_DENIED, NOT_ASKED];
                let symptom = symptom.into_iter().find_map(|table| find(table, &message));
                let symptom = symptom.map(|symptom| symptom.id);
                (None, Outcome::NotTried { message, symptom })
            }
        };
        let is_unknown = created
            .as_ref()
            .err()
            .is_some_and(|error| !is_refusal(error));
        let left = match created.is_ok() || is_unknown {
            true => self.delete(is_unknown, progress).await,
            false => None,
        };
        (observation, outcome, left)
    }

    async fn observe(
        &self,
        patience: Duration,
        stop: &CancellationToken,
        progress: &mut impl FnMut(&str),
    ) -> (Option<Observation>, Outcome) {
        let namespace = escaped(&self.plan.namespace);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{}", self.name);
        let ended = tokio::select! {
            ended = self.ended(&path, patience, progress) => ended,
            () = stop.cancelled() => Err("interrupted".to_owned().into()),
        };
        let log = format!("{path}/log?container=build&limitBytes={LOG}");
        let user = self.plan.user.as_deref();
        let log = match self.cluster.text(&log, None, LOG).await {
            Look::NotAllowed(_) if user.is_some() => self.cluster.text(&log, user, LOG).await,
            log => log,
        };
        match (ended, log) {
            (Ok(end), Look::Seen(log)) => of_log(&log, &end),
            (Ok(_), hidden) => {
                let why = hidden.hidden().unwrap_or_default();
                (None, not_tried(&format!("its log: {why}")))
            }
            (Err(why), log) => {
                let log = log.seen().map_or("", |log| log.as_str());
                let observation = Observation::read(log);
                // The script can be done where its end was not seen.
                if observation
                    .as_ref()
                    .is_some_and(|seen| seen.built.is_some())
                {
                    return of_log(log, &why.why);
                }
                let outcome = match why.is_pull {
                    true => not_tried(&why.why),
                    false => of_events(&self.events().await, &why.why),
                };
                (observation, outcome)
            }
        }
    }

    async fn delete(&self, is_unknown: bool, progress: &mut impl FnMut(&str)) -> Option<Left> {
        progress("deleting the pod");
        let (plan, name) = (self.plan, &self.name);
        let user = plan.user.as_deref();
        let deleted = remove::pod(self.cluster, user, &plan.namespace, name, is_unknown).await;
        let why = deleted.err()?;
        progress(&format!("the pod {name} could not be deleted: {why}"));
        Some(Left {
            namespace: plan.namespace.clone(),
            pod: name.clone(),
            why,
        })
    }

    /// Waits until the container `build` ended, and says how.
    async fn ended(
        &self,
        path: &str,
        patience: Duration,
        progress: &mut impl FnMut(&str),
    ) -> Result<String, NotEnded> {
        let end = Instant::now() + patience;
        let mut last = String::new();
        let user = self.plan.user.as_deref();
        loop {
            let is_late = Instant::now() >= end;
            let what = match ask_as_either::<Pod>(self.cluster, user, "GET", path, b"").await {
                Ok(pod) => match state(&pod) {
                    State::Ended(how) => return Ok(how),
                    State::Never(why) => return Err(why),
                    State::Waits(what) => what,
                },
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    return Err("the pod was deleted".to_owned().into());
                }
                Err(error) if is_refusal(&error) => return Err(message(&error).into()),
                // It may pass.
                Err(error) => message(&error),
            };
            if is_late {
                let seconds = patience.as_secs_f64();
                return Err(format!("{what}, after {seconds:.0} s").into());
            }
            if what != last {
                progress(&what);
                last = what;
            }
            let left = end.saturating_duration_since(Instant::now());
            sleep(PAUSE.min(left)).await;
        }
    }

    /// What the warnings about the pod say, a line each.
    async fn events(&self) -> String {
        let selector = escaped(&format!("involvedObject.name={},type=Warning", self.name));
        let path = format!(
            "/api/v1/namespaces/{}/events?limit=100&fieldSelector={selector}",
            escaped(&self.plan.namespace)
        );
        let user = self.plan.user.as_deref();
        let events = ask_as_either::<List<Event>>(self.cluster, user, "GET", &path, b"").await;
        let events = events.into_iter().flat_map(|list| list.items);
        let lines: Vec<_> = events
            .map(|event| event.message.replace('\n', " "))
            .collect();
        lines.join("\n")
    }
}

/// Whether the API server refused a request, and did nothing.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status)
        if (400..500).contains(&status.code) && !matches!(status.code, 408 | 429))
}

/// Six characters that no other pod has.
fn suffix() -> String {
    let mut bytes = [0; 3];
    // An all-zero name would only meet another one's.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
