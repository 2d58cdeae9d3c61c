//! Jobs of late that failed or wait, with the cause that troubleshooting has for what is
//! seen of them.

use std::collections::BTreeMap;

use super::facts::{Facts, JobNamespace};
use super::finding::{Area, Finding, Severity, quote};
use super::objects::{ContainerStatus, Pod};
use crate::symptoms::{JOB_LOG, KUBERNETES_DENIED, NOT_ASKED, Symptom, find};

/// What is to be said of them, by namespace and symptom.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    facts.jobs.iter().flat_map(of_namespace).collect()
}

/// A symptom, how many objects have it, and what one of them says.
struct Seen {
    symptom: &'static Symptom,
    count: usize,
    object: String,
    message: String,
}

fn of_namespace(job: &JobNamespace) -> Vec<Finding> {
    let place = format!("namespace {}", quote(&job.namespace.name));
    let mut seen: BTreeMap<&'static str, Seen> = BTreeMap::new();
    let mut add = |object: String, message: &str| {
        let tables = [JOB_LOG, KUBERNETES_DENIED, NOT_ASKED];
        let Some(symptom) = tables.into_iter().find_map(|table| find(table, message)) else {
            return;
        };
        let seen = seen.entry(symptom.id).or_insert_with(|| Seen {
            symptom,
            count: 0,
            object,
            message: quote(message),
        });
        seen.count += 1;
    };
    for event in job.events.seen().into_iter().flatten() {
        let about = &event.involved_object;
        let object = format!("{} {}", about.kind.to_lowercase(), quote(&about.name));
        add(object, &event.message);
    }
    for pod in job.pods.seen().into_iter().flatten() {
        for message in messages(pod) {
            add(format!("pod {}", quote(&pod.metadata.name)), message);
        }
    }
    let of = |severity, id, what: String| {
        Finding::new(Area::Namespaces, severity, id, place.clone(), what)
    };
    let mut findings: Vec<_> = seen
        .into_values()
        .map(|seen| {
            let more = match seen.count {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let what = format!("{}{more}: {}", seen.object, seen.message);
            of(Severity::Warning, seen.symptom.id, what).symptom(seen.symptom)
        })
        .collect();
    let hidden = [("pods", job.pods.hidden()), ("events", job.events.hidden())];
    for (what, hidden) in hidden {
        if let Some(hidden) = hidden {
            let what = format!("{what} of jobs: {hidden}");
            let finding = of(Severity::Unknown, "jobs-hidden", what);
            findings.push(finding.page("docs/doctor.md#permissions"));
        }
    }
    findings
}

/// What a pod says of why it waits or failed.
fn messages(pod: &Pod) -> impl Iterator<Item = &str> {
    let status = &pod.status;
    let containers = status.init_container_statuses.iter();
    let containers = containers
        .chain(&status.container_statuses)
        .flat_map(of_container);
    let own = (status.phase == "Failed").then_some(status.message.as_str());
    own.into_iter().chain(containers)
}

fn of_container(status: &ContainerStatus) -> impl Iterator<Item = &str> {
    let waiting = status
        .state
        .waiting
        .as_ref()
        .map(|waiting| waiting.message.as_str());
    let ended = status
        .state
        .terminated
        .as_ref()
        .map(|ended| ended.message.as_str());
    waiting.into_iter().chain(ended)
}
