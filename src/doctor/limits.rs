//! What a job's pod requests, against the namespace's ResourceQuotas and LimitRanges.

use std::collections::BTreeMap;

use super::command::Command;
use super::facts::JobNamespace;
use super::finding::{Area, Finding, Severity, quote};
use super::job;
use super::needs::Needs;
use super::objects::{Container, Map, Pod, Range, ResourceQuota};
use super::quantity::quantity;
use admission::namespace::policy::Settings;

const PAGE: &str = "docs/troubleshooting.md#kubernetes-denied-the-pod";

fn found(severity: Severity, id: &'static str, job: &JobNamespace, what: String) -> Finding {
    let place = format!("namespace {}", quote(&job.namespace.name));
    Finding::new(Area::Namespaces, severity, id, place, what).page(PAGE)
}

/// What a job's pod requests, as a quota names it.
struct Requested {
    /// Of the newest job, such as `requests.cpu`; none where none is known.
    compute: BTreeMap<String, f64>,
    /// Extended resources that the profile adds, such as `github.com/fuse`.
    devices: Vec<String>,
}

impl Requested {
    /// How much a job requests of what a quota calls `resource`.
    fn of(&self, resource: &str) -> Option<f64> {
        if matches!(resource, "pods" | "count/pods") || self.is_device(resource) {
            return Some(1.0);
        }
        let long = match resource {
            "cpu" | "memory" | "ephemeral-storage" => format!("requests.{resource}"),
            _ => resource.to_owned(),
        };
        self.compute.get(&long).copied()
    }

    fn is_device(&self, resource: &str) -> bool {
        let device = resource.strip_prefix("requests.");
        device.is_some_and(|device| self.devices.iter().any(|own| own == device))
    }
}

/// What is to be said of them.
pub(super) fn findings(job: &JobNamespace, settings: &Settings<'_>) -> Vec<Finding> {
    let corrected = job::corrected(&job.namespace, settings);
    let requested = Requested {
        compute: job.newest().map(of_pod).unwrap_or_default(),
        devices: corrected.map_or_else(|_| Vec::new(), |pod| Needs::of_pod(&pod).resources),
    };
    let mut findings = Vec::new();
    let hidden = [
        ("quotas-hidden", "ResourceQuotas", job.quotas.hidden()),
        ("limits-hidden", "LimitRanges", job.limits.hidden()),
    ];
    for (id, kind, hidden) in hidden {
        if let Some(hidden) = hidden {
            let what = format!("{kind}: {hidden}");
            let finding = found(Severity::Unknown, id, job, what);
            findings.push(finding.page("docs/doctor.md#permissions"));
        }
    }
    for quota in job.quotas.seen().into_iter().flatten() {
        for (resource, hard) in &quota.status.hard {
            findings.extend(of_quota(job, &requested, quota, resource, hard));
        }
    }
    for limits in job.limits.seen().into_iter().flatten() {
        for range in &limits.spec.limits {
            findings.extend(of_range(job, &requested, &limits.metadata.name, range));
        }
    }
    findings
}

/// The resources of all containers of a pod. Init containers run before the others, so only
/// the largest of them counts (Kubernetes, "Init Containers", v1.37).
fn of_pod(pod: &Pod) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for container in &pod.spec.containers {
        for (resource, amount) in of_container(container) {
            *all.entry(resource).or_default() += amount;
        }
    }
    for container in &pod.spec.init_containers {
        for (resource, amount) in of_container(container) {
            let own: &mut f64 = all.entry(resource).or_default();
            *own = own.max(amount);
        }
    }
    all
}

fn of_container(container: &Container) -> impl Iterator<Item = (String, f64)> {
    let resources = &container.resources;
    let kinds = [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ];
    kinds.into_iter().flat_map(|(kind, map)| {
        let amounts = map.iter();
        amounts.filter_map(move |(resource, text)| {
            Some((format!("{kind}.{resource}"), quantity(text)?))
        })
    })
}

fn of_quota(
    job: &JobNamespace,
    requested: &Requested,
    quota: &ResourceQuota,
    resource: &str,
    hard: &str,
) -> Option<Finding> {
    let name = quote(&quota.metadata.name);
    let Some(one) = requested.of(resource) else {
        return without_default(job, &name, resource);
    };
    let allowed = quantity(hard)?;
    let used = quota.status.used.get(resource).map_or("0", String::as_str);
    let is_used = quantity(used).unwrap_or_default();
    let severity = if one > allowed && is_for_all(quota) {
        Severity::Error
    } else if is_used + one > allowed {
        Severity::Warning
    } else {
        return None;
    };
    let id = match resource {
        "pods" | "count/pods" => "quota-of-pods",
        _ if requested.is_device(resource) => "quota-of-fuse",
        _ => "quota-of-compute",
    };
    let mut what = format!(
        "ResourceQuota {name}: {} of {} {} used",
        quote(used),
        quote(hard),
        quote(resource)
    );
    if id == "quota-of-compute" {
        what += ", and the newest job has more than is left";
    }
    let finding = found(severity, id, job, what).why(match severity {
        Severity::Error => "each job's pod exceeds it, so Kubernetes denies it",
        _ => "no further job starts until others end",
    });
    Some(match id {
        "quota-of-compute" => finding,
        _ => finding.fix(raise(job, quota, resource, allowed)),
    })
}

/// Whether a quota is for all pods of its namespace.
fn is_for_all(quota: &ResourceQuota) -> bool {
    quota.spec.scopes.is_empty() && quota.spec.scope_selector.is_none()
}

/// The command that lets a quota have so many more as a node offers devices by default.
fn raise(job: &JobNamespace, quota: &ResourceQuota, resource: &str, allowed: f64) -> Command {
    let more = format!("{}", allowed.clamp(0.0, 1e6) + 64.0);
    let template = "kubectl patch resourcequota QUOTA --namespace NAMESPACE --type merge --patch '{\"spec\":{\"hard\":{\"RESOURCE\":\"COUNT\"}}}'";
    let names = [
        ("QUOTA", quota.metadata.name.as_str()),
        ("NAMESPACE", &job.namespace.name),
        ("RESOURCE", resource),
        ("COUNT", &more),
    ];
    Command::new(template, &names)
}

/// A quota of what no container of a job is known to have.
fn without_default(job: &JobNamespace, quota: &str, resource: &str) -> Option<Finding> {
    let (kind, compute) = compute_of(resource)?;
    // None of them is known, so it may have a default.
    let mut ranges = job
        .limits
        .seen()?
        .iter()
        .flat_map(|range| &range.spec.limits);
    let has_default = ranges.any(|range| {
        let limit = range.default.contains_key(compute);
        match kind {
            "limits" => limit,
            _ => limit || range.default_request.contains_key(compute),
        }
    });
    if has_default {
        return None;
    }
    let what = format!(
        "ResourceQuota {quota} is for {}, and no LimitRange has a default",
        quote(resource)
    );
    let finding = found(Severity::Warning, "quota-without-default", job, what)
        .why("Kubernetes denies a job's pod whose containers have none; podseal sets none")
        .advice("in config.toml, cpu_request, memory_limit and so on, also those of helper_ and service_; or a LimitRange");
    Some(finding)
}

/// `requests` or `limits`, and the resource, where Kubernetes denies pods without a value for
/// the quota (Kubernetes, "Resource Quotas", v1.37).
fn compute_of(resource: &str) -> Option<(&'static str, &str)> {
    let (kind, resource) = match resource.split_once('.') {
        Some(("limits", resource)) => ("limits", resource),
        Some(("requests", resource)) => ("requests", resource),
        _ => ("requests", resource),
    };
    matches!(resource, "cpu" | "memory" | "ephemeral-storage").then_some((kind, resource))
}

/// The newest job against a range, as if it were created now.
fn of_range(
    job: &JobNamespace,
    requested: &Requested,
    name: &str,
    range: &Range,
) -> Option<Finding> {
    let pod = job.newest();
    let mut amounts: Vec<(String, BTreeMap<String, f64>)> = match range.r#type.as_str() {
        "Container" => pod
            .into_iter()
            .flat_map(|pod| &pod.spec.containers)
            .map(|own| {
                (
                    format!("container {}", quote(&own.name)),
                    of_container(own).collect(),
                )
            })
            .collect(),
        "Pod" => vec![("pod".to_owned(), requested.compute.clone())],
        _ => return None,
    };
    // By the profile, whatever the newest job has.
    let devices = requested.devices.iter();
    let devices = devices.map(|device| (format!("limits.{device}"), 1.0));
    amounts.push(("profile".to_owned(), devices.collect()));
    let outside = |kind: &'static str, map: &Map, bound: &'static str| {
        let mut bounds = map.iter();
        bounds.find_map(|(resource, text)| {
            let end = quantity(text)?;
            let is_outside = |own: f64| if bound == "max" { own > end } else { own < end };
            let (owner, own) = amounts.iter().find_map(|(owner, amounts)| {
                let own = amounts.get(&format!("{kind}.{resource}"))?;
                is_outside(*own).then_some((owner, own))
            })?;
            Some(format!(
                "LimitRange {}: {bound} {} is {}, and a job's {owner} has {kind} of {own}",
                quote(name),
                quote(resource),
                quote(text),
            ))
        })
    };
    let what =
        outside("limits", &range.max, "max").or_else(|| outside("requests", &range.min, "min"))?;
    let finding = found(Severity::Error, "limit-range", job, what)
        .why("Kubernetes denies each job's pod like it")
        .advice("change the range; or cpu_limit, memory_request and so on in config.toml");
    Some(finding)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::dry_run::{Answer, DryRun, Validated};
    use super::super::look::Look;
    use super::super::objects::Named;
    use super::*;
    use admission::namespace::{Namespace, PROFILE};

    fn list<T: serde::de::DeserializeOwned>(objects: Value) -> Look<Vec<T>> {
        Look::Seen(serde_json::from_value(objects).expect("objects"))
    }

    /// The findings in a namespace of `root-fuse`, whose newest job has `resources`.
    fn of(resources: &Value, quotas: Value, limits: Value) -> Vec<(Severity, &'static str)> {
        let label = (PROFILE.to_owned(), "root-fuse".to_owned());
        let job = json!([{"spec": {"containers": [{"name": "build", "resources": resources}]}}]);
        let job = JobNamespace {
            namespace: Namespace::new("ci", [label], []),
            object: Named::default(),
            runner: None,
            quotas: list(quotas),
            limits: list(limits),
            pods: list(job),
            events: Look::Absent,
            dry_run: DryRun {
                user: None,
                not_the_runner: None,
                answer: Answer::Corrected,
            },
            validated: Validated::NotTried,
        };
        let findings = findings(&job, &Settings::built_in()).into_iter();
        findings
            .map(|finding| (finding.severity, finding.id))
            .collect()
    }

    fn quota(resource: &str, hard: &str, used: &str) -> Value {
        json!([{"status": {"hard": {resource: hard}, "used": {resource: used}}}])
    }

    #[test]
    fn a_job_is_compared_with_what_a_quota_has_left() {
        let job = json!({"requests": {"cpu": "1500m"}, "limits": {"memory": "2Gi"}});
        let of = |resource, hard, used| of(&job, quota(resource, hard, used), json!([]));
        let of_compute = |severity| vec![(severity, "quota-of-compute")];
        assert_eq!(of("requests.cpu", "10", "1"), []);
        assert_eq!(of("cpu", "2", "1"), of_compute(Severity::Warning));
        assert_eq!(of("limits.memory", "1Gi", "0"), of_compute(Severity::Error));
        let fuse = "requests.github.com/fuse";
        assert_eq!(of(fuse, "3", "5"), [(Severity::Warning, "quota-of-fuse")]);
        assert_eq!(of(fuse, "0", "0"), [(Severity::Error, "quota-of-fuse")]);
        assert_eq!(of("pods", "5", "4"), []);
        let lacks = [(Severity::Warning, "quota-without-default")];
        assert_eq!(of("requests.memory", "1Gi", "0"), lacks);
    }

    #[test]
    fn a_quota_of_some_pods_may_not_be_for_jobs() {
        let mut quota = quota("pods", "0", "0");
        quota[0]["spec"]["scopes"] = json!(["BestEffort"]);
        assert_eq!(
            of(&json!({}), quota, json!([])),
            [(Severity::Warning, "quota-of-pods")]
        );
    }

    #[test]
    fn a_job_is_compared_with_a_range() {
        let job = json!({"requests": {"cpu": "100m"}, "limits": {"ephemeral-storage": "1Gi"}});
        let of = |range: Value| of(&job, json!([]), json!([{"spec": {"limits": [range]}}]));
        let outside = [(Severity::Error, "limit-range")];
        let max =
            |resource: &str, most: &str| json!({"type": "Container", "max": {resource: most}});
        assert_eq!(of(max("ephemeral-storage", "100Mi")), outside);
        assert_eq!(of(max("ephemeral-storage", "2Gi")), []);
        assert_eq!(of(max("github.com/fuse", "0")), outside);
        assert_eq!(of(json!({"type": "Pod", "min": {"cpu": "200m"}})), outside);
        assert_eq!(
            of(json!({"type": "PersistentVolumeClaim", "min": {"cpu": "200m"}})),
            []
        );
    }
}
