//! Jobs of late that failed or wait, with the cause that troubleshooting has for what is
//! seen of them.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, JobNamespace, is_podseals};
use super::finding::{Area, Finding, Severity, quote};
use super::look::SOME;
use super::objects::{ContainerStatus, Ended, Event, Pod};
use super::trial::is_of_trial;
use crate::symptoms::{JOB_LOG, NOT_ASKED, Symptom, find};
use admission::decision::pod_event;

/// What GitLab Runner begins the names of its pods with.
const RUNNERS_POD: &str = "runner-";

/// What is to be said of them, by namespace and symptom.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    facts.jobs.iter().flat_map(of_namespace).collect()
}

/// What is wrong with a job.
#[derive(Clone, Copy)]
enum Fault {
    Symptom(&'static Symptom),
    /// podseal denied a pod of a controller.
    Denied,
    /// podseal could not be called, for a reason that troubleshooting does not have.
    NotAsked,
    /// podseal says that the job may not run.
    MayNotRun,
}

impl Fault {
    fn id(self) -> &'static str {
        match self {
            Fault::Symptom(symptom) => symptom.id,
            Fault::Denied => "podseal-denied",
            Fault::NotAsked => "podseal-not-asked",
            Fault::MayNotRun => "may-not-run",
        }
    }

    fn explain(self, finding: Finding) -> Finding {
        match self {
            Fault::Symptom(symptom) => finding.symptom(symptom),
            Fault::Denied => finding
                .why("podseal denied it")
                .page("docs/troubleshooting.md#podseal-denied-the-pod"),
            Fault::NotAsked => finding
                .why("the API server could not call podseal")
                .page("docs/troubleshooting.md#podseal-was-not-asked"),
            Fault::MayNotRun => finding.why("podseal warned of it").page("docs/cautions.md"),
        }
    }
}

/// A text about an object: a message of an event, a pod or a container.
struct Sign<'r> {
    fault: Fault,
    object: String,
    /// Whose words these are.
    by: String,
    text: &'r str,
}

fn of_namespace(job: &JobNamespace) -> Vec<Finding> {
    let events = job.events.seen().map_or(&[][..], Vec::as_slice);
    let pods: Vec<_> = job.pods.seen().into_iter().flatten().collect();
    let of_jobs = || pods.iter().filter(|pod| !is_of_trial(pod));
    let phases = of_jobs().map(|pod| (pod.metadata.name.as_str(), pod.status.phase.as_str()));
    let phases: BTreeMap<_, _> = phases.collect();
    let signs = events.iter().filter_map(|event| of_event(event, &phases));
    let mut seen: BTreeMap<&'static str, (Sign<'_>, BTreeSet<String>)> = BTreeMap::new();
    for sign in signs.chain(of_jobs().flat_map(|pod| of_pod(pod))) {
        let object = sign.object.clone();
        let (_, objects) = seen
            .entry(sign.fault.id())
            .or_insert_with(|| (sign, BTreeSet::new()));
        objects.insert(object);
    }
    let place = format!("namespace {}", quote(&job.namespace.name));
    let of = |severity, id, what: String| {
        Finding::new(Area::Namespaces, severity, id, place.clone(), what)
    };
    let mut findings: Vec<_> = seen
        .into_values()
        .map(|(sign, objects)| {
            let what = match objects.len() {
                1 => format!("{} failed or waits", sign.object),
                count => format!("{} and {} more failed or wait", sign.object, count - 1),
            };
            let finding = of(Severity::Warning, sign.fault.id(), what);
            sign.fault.explain(finding.quote(&sign.by, sign.text))
        })
        .collect();
    let lists = [
        ("pods", job.pods.hidden(), pods.len()),
        ("events", job.events.hidden(), events.len()),
    ];
    for (what, hidden, count) in lists {
        let hidden = hidden.or_else(|| (count >= SOME).then(|| format!("only {count} were read")));
        if let Some(hidden) = hidden {
            let finding = of(
                Severity::Unknown,
                "jobs-hidden",
                format!("{what} of jobs: {hidden}"),
            );
            findings.push(finding.page("docs/doctor.md#permissions"));
        }
    }
    findings
}

/// What an event tells: of a job's pod, or of a controller that cannot create pods for podseal.
fn of_event<'r>(event: &'r Event, phases: &BTreeMap<&str, &str>) -> Option<Sign<'r>> {
    let about = &event.involved_object;
    let text = event.message.as_str();
    let fault = if about.kind == "Pod" {
        let is_a_jobs =
            about.name.starts_with(RUNNERS_POD) || phases.contains_key(about.name.as_str());
        let phase = phases.get(about.name.as_str()).copied().unwrap_or_default();
        match event.reason.as_str() {
            _ if !is_a_jobs => return None,
            // It waited, and does no longer.
            "FailedScheduling" if !matches!(phase, "" | "Pending") => return None,
            _ if phase == "Succeeded" => return None,
            // Of a program in the pod, which may say anything.
            "Unhealthy" => return None,
            pod_event::REASON => Fault::MayNotRun,
            _ => Fault::Symptom(find(JOB_LOG, text)?),
        }
    } else if event.reason == "FailedCreate" {
        let (_, name) = text.split_once("webhook \"")?;
        let (name, rest) = name.split_once('"')?;
        match is_podseals(name) {
            true if rest.starts_with(" denied the request") => Fault::Denied,
            true => find(NOT_ASKED, text).map_or(Fault::NotAsked, Fault::Symptom),
            false => return None,
        }
    } else {
        return None;
    };
    Some(Sign {
        fault,
        object: format!(
            "{} {}",
            quote(&about.kind).to_lowercase(),
            quote(&about.name)
        ),
        by: format!("the event {}", quote(&event.reason)),
        text,
    })
}

/// What a pod says of why it waits or failed.
fn of_pod(pod: &Pod) -> Vec<Sign<'_>> {
    let mut signs = Vec::new();
    let mut add = |by: String, text| {
        if let Some(symptom) = find(JOB_LOG, text) {
            let object = format!("pod {}", quote(&pod.metadata.name));
            signs.push(Sign {
                fault: Fault::Symptom(symptom),
                object,
                by,
                text,
            });
        }
    };
    let status = &pod.status;
    if status.phase == "Failed" {
        add("the pod's status".to_owned(), &status.message);
    }
    let containers = status.init_container_statuses.iter();
    for container in containers.chain(&status.container_statuses) {
        let ContainerStatus { name, state, .. } = container;
        let of = format!("the status of the container {}", quote(name));
        if let Some(waiting) = &state.waiting {
            add(of.clone(), &waiting.reason);
            add(of.clone(), &waiting.message);
        }
        if let Some(ended) = &state.terminated {
            add(of.clone(), &ended.reason);
            if ended.exit_code == 0 {
                continue;
            }
            if is_of_the_job(ended) {
                add(
                    format!("the job itself, in the container {}", quote(name)),
                    &ended.message,
                );
            } else {
                add(of, &ended.message);
            }
        }
    }
    signs
}

/// Whether the message of a container that ended is what it wrote itself: one that ran has a
/// reason of these two (kubelet v1.37).
fn is_of_the_job(ended: &Ended) -> bool {
    matches!(
        ended.reason.as_str(),
        "" | "Completed" | "Error" | "OOMKilled"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(kind: &str, name: &str, reason: &str, message: &str) -> Option<&'static str> {
        let event = json!({"involvedObject": {"kind": kind, "name": name},
            "reason": reason, "message": message});
        let event: Event = serde_json::from_value(event).expect("an event");
        let phases = [
            ("listed", "Pending"),
            ("done", "Succeeded"),
            ("runs", "Running"),
        ];
        let sign = of_event(&event, &BTreeMap::from(phases));
        sign.map(|sign| sign.fault.id())
    }

    fn pod(status: Value) -> Vec<(&'static str, String)> {
        let pod = json!({"metadata": {"name": "runner-1"}, "status": status});
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        let signs = of_pod(&pod).into_iter();
        signs.map(|sign| (sign.fault.id(), sign.by)).collect()
    }

    #[test]
    fn a_pod_that_waited_and_does_no_longer_is_no_fault() {
        let waits = "0/1 nodes are available: 1 Insufficient github.com/fuse.";
        for (name, expected) in [
            ("listed", Some("no-fuse-slot")),
            ("runs", None),
            ("done", None),
        ] {
            assert_eq!(
                event("Pod", name, "FailedScheduling", waits),
                expected,
                "{name}"
            );
        }
        let pull = "Failed to pull image";
        assert_eq!(event("Pod", "done", "Failed", pull), None);
    }

    #[test]
    fn an_event_is_read_by_what_it_is_of() {
        let refused = "Readiness probe failed: dial tcp 10.0.0.7:8080: connect: connection refused";
        assert_eq!(event("Pod", "runner-1", "Unhealthy", refused), None);
        let pull =
            r#"Failed to pull image "x": tls: x509: certificate signed by unknown authority"#;
        assert_eq!(event("Pod", "runner-1", "Failed", pull), Some("image-pull"));
        assert_eq!(event("Pod", "listed", "Failed", pull), Some("image-pull"));
        assert_eq!(event("Pod", "web-1", "Failed", pull), None);
        let login = r#"Failed to pull image "x": unauthorized: authentication required"#;
        assert_eq!(
            event("Pod", "runner-1", "Failed", login),
            Some("image-pull")
        );
        assert_eq!(
            event("Pod", "runner-1", pod_event::REASON, "no HOME"),
            Some("may-not-run")
        );
    }

    #[test]
    fn only_an_event_that_names_podseals_webhook_says_that_it_was_not_asked() {
        let of = |webhook: &str, rest: &str| {
            let message = format!(r#"Error creating: admission webhook "{webhook}" {rest}"#);
            event("ReplicaSet", "web", "FailedCreate", &message)
        };
        let late = "failed: context deadline exceeded";
        assert_eq!(of("validate.podseal.io", late), Some("webhook-timeout"));
        assert_eq!(
            of("validate.podseal.io", "failed: EOF"),
            Some("podseal-not-asked")
        );
        assert_eq!(
            of("validate.podseal.io", "denied the request: x"),
            Some("podseal-denied")
        );
        assert_eq!(of("validate.kyverno.svc", late), None);
    }

    #[test]
    fn what_a_job_wrote_is_read_only_if_it_failed_and_is_shown_as_its_own() {
        let ended = |code: u8, message: &str| {
            let ended = json!({"exitCode": code, "reason": "Error", "message": message});
            pod(json!({"containerStatuses": [{"name": "build", "state": {"terminated": ended}}]}))
        };
        let forged = r#"failed calling webhook "validate.podseal.io": service "podseal" not found"#;
        assert_eq!(ended(1, forged), []);
        let denied = "cannot clone: Operation not permitted";
        let by = "the job itself, in the container build".to_owned();
        assert_eq!(ended(1, denied), [("user-namespaces-denied", by)]);
        assert_eq!(ended(0, denied), []);
    }

    #[test]
    fn a_pod_that_was_evicted_or_ran_out_of_memory_is_found() {
        let killed = json!({"exitCode": 137, "reason": "OOMKilled"});
        let found = pod(json!({
            "phase": "Failed", "reason": "Evicted",
            "message": "The node was low on resource: ephemeral-storage.",
            "containerStatuses": [{"name": "build", "state": {"terminated": killed}}],
        }));
        let ids: Vec<_> = found.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, ["evicted", "out-of-memory"]);
    }
}
