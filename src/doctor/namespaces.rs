//! The namespaces that opted in, or that a rule is for: what they say, and whether a job's
//! pod gets through.

use super::dry_run::Answer;
use super::facts::{Facts, JobNamespace, Runner};
use super::finding::{Area, Finding, Severity, quote};
use super::job;
use super::look::Look;
use super::nodes::NodeTable;
use crate::symptoms::{KUBERNETES_DENIED, NOT_ASKED, find};
use admission::namespace::policy::{Policy, Settings};
use admission::namespace::{
    NEVER_CALLED, Namespace, PROFILE, RUNNER, is_clusters_own, unknown_keys,
};
use admission::pod::Pod;
use admission::request::is_namespace;
use admission::standards::{Level, violations};
use admission::text::spelling::nearest;

/// The label that Pod Security Admission enforces a level by.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

fn found(
    severity: Severity,
    id: &'static str,
    namespace: &str,
    what: impl Into<String>,
) -> Finding {
    let place = format!("namespace {}", quote(namespace));
    Finding::new(Area::Namespaces, severity, id, place, what)
}

/// What is to be said of them.
pub(super) fn findings(facts: &Facts, table: &NodeTable) -> Vec<Finding> {
    let settings = facts.source.served().settings();
    let mut findings = Vec::new();
    match &facts.namespaces {
        Look::Seen(namespaces) => {
            for object in namespaces {
                findings.extend(not_opted_in(object, facts, &settings));
            }
            if facts.jobs.is_empty() {
                findings.push(none(facts, table));
            }
        }
        Look::Absent => findings.push(
            Finding::new(
                Area::Namespaces,
                Severity::Error,
                "namespace-missing",
                "namespace",
                "it does not exist",
            )
            .fix("kubectl get namespaces"),
        ),
        hidden => findings.push(
            Finding::new(
                Area::Namespaces,
                Severity::Unknown,
                "namespaces-hidden",
                "namespaces",
                hidden.hidden().unwrap_or_default(),
            )
            .page("docs/doctor.md#permissions"),
        ),
    }
    for job in &facts.jobs {
        findings.extend(of_namespace(job, facts, &settings, table));
    }
    findings
}

/// No namespace opted in.
fn none(facts: &Facts, table: &NodeTable) -> Finding {
    let profile = table.candidates().first().copied().unwrap_or("PROFILE");
    let found = Finding::new(
        Area::Namespaces,
        Severity::Warning,
        "no-namespace",
        "namespaces",
        format!("none has the label {PROFILE}, and no rule is for one"),
    );
    let name = facts
        .namespaces
        .seen()
        .filter(|namespaces| namespaces.len() == 1);
    let name = name.map_or("NAMESPACE", |namespaces| &namespaces[0].metadata.name);
    found
        .why("podseal changes nothing and checks nothing")
        .fix(format!(
            "kubectl label namespace {name} {PROFILE}={profile}"
        ))
        .page("docs/quick-start.md#3-label-a-namespace")
}

/// Keys of podseal's on a namespace that did not opt in: most likely a typing error.
fn not_opted_in(
    object: &super::objects::Named,
    facts: &Facts,
    settings: &Settings<'_>,
) -> Vec<Finding> {
    let metadata = &object.metadata;
    if facts
        .jobs
        .iter()
        .any(|job| job.object.metadata.name == metadata.name)
    {
        return Vec::new();
    }
    let (labels, annotations) = (metadata.labels.clone(), metadata.annotations.clone());
    let namespace = Namespace::new(metadata.name.clone(), labels, annotations);
    let warnings = unknown_keys::warnings(&namespace, settings.namespace_rules);
    let warnings = warnings.into_iter().map(|warning| {
        found(Severity::Warning, "unknown-key", &metadata.name, warning)
            .why("the namespace did not opt in, so podseal is not asked")
            .fix(format!("kubectl edit namespace {}", quote(&metadata.name)))
            .page("docs/policy.md")
    });
    warnings.collect()
}

fn of_namespace(
    job: &JobNamespace,
    facts: &Facts,
    settings: &Settings<'_>,
    table: &NodeTable,
) -> Vec<Finding> {
    let name = &job.namespace.name;
    let Some(policy) = Policy::from_namespace(&job.namespace, settings) else {
        let what = match is_clusters_own(name) {
            true => NEVER_CALLED,
            false => "podseal's own namespace, which it ignores whatever its labels",
        };
        let finding = found(Severity::Warning, "never-called", name, what).fix(format!(
            "kubectl label namespace {} {PROFILE}-",
            quote(name)
        ));
        return vec![finding];
    };
    let mut findings: Vec<_> = policy
        .warnings
        .iter()
        .map(|warning| {
            found(Severity::Warning, "namespace-keys", name, warning)
                .fix(format!("kubectl edit namespace {}", quote(name)))
                .page("docs/policy.md")
        })
        .collect();
    if policy.profile.is_none() {
        findings.push(unknown_profile(name, &policy, facts, settings));
        return findings;
    }
    findings.extend(runner(job, &policy, settings));
    findings.extend(pod_security(job, settings));
    findings.extend(quotas(job, settings));
    if table.excludes(policy.name) {
        let profiles = table.candidates();
        let fix = profiles.first().map(|profile| {
            format!(
                "kubectl label namespace {} --overwrite {PROFILE}={profile}",
                quote(name)
            )
        });
        let finding = found(
            Severity::Error,
            "no-node",
            name,
            format!("its profile {} works on no node", quote(policy.name)),
        )
        .why("the table of nodes says why")
        .page("docs/which-profile.md");
        findings.push(match fix {
            Some(fix) => finding.fix(fix),
            None => finding,
        });
    }
    findings.push(dry_run(job, &policy, settings));
    findings
}

fn unknown_profile(
    name: &str,
    policy: &Policy<'_>,
    facts: &Facts,
    settings: &Settings<'_>,
) -> Finding {
    let profile = quote(policy.name);
    if let super::policy::Source::Hidden(why) = &facts.source {
        let what = format!(
            "profile {profile} is not built in, and podseal's own profiles could not be read: {why}"
        );
        return found(Severity::Unknown, "profile-hidden", name, what)
            .page("docs/doctor.md#permissions");
    }
    let what = format!(
        "there is no profile {profile}, only {}",
        settings.profiles.names_near(policy.name)
    );
    found(Severity::Error, "unknown-profile", name, what)
        .why("every pod of a job is denied")
        .fix(format!(
            "kubectl label namespace {} --overwrite {PROFILE}=PROFILE",
            quote(name)
        ))
        .page("docs/which-profile.md")
}

/// Who creates the pods of jobs.
fn runner(job: &JobNamespace, policy: &Policy<'_>, settings: &Settings<'_>) -> Vec<Finding> {
    let name = &job.namespace.name;
    let annotate = |user: &str| {
        format!(
            "kubectl annotate namespace {} --overwrite {RUNNER}={user}",
            quote(name)
        )
    };
    if policy.runners().is_none() {
        let what = "no runner is named";
        let denied = policy.trusts_labels() && settings.require_runner;
        let finding = match denied {
            true => found(Severity::Error, "runner-missing", name, what)
                .why("its profile grants more than the baseline, so podseal denies jobs until their creator is named"),
            false => found(Severity::Warning, "runner-missing", name, what)
                .why("anyone who can create pods gets what a job gets, by a label"),
        };
        let fix = annotate("system:serviceaccount:RUNNER-NAMESPACE:ACCOUNT");
        return vec![
            finding
                .fix(fix)
                .page("docs/quick-start.md#6-name-the-runner"),
        ];
    }
    let Some(Runner {
        namespace,
        name: account,
        account: look,
        others,
    }) = &job.runner
    else {
        return Vec::new();
    };
    let user = format!(
        "system:serviceaccount:{}:{}",
        quote(namespace),
        quote(account)
    );
    match look {
        Look::Seen(_) => Vec::new(),
        Look::Absent => {
            let names = others.seen().into_iter().flatten();
            let names: Vec<_> = names.map(|other| other.metadata.name.as_str()).collect();
            let near = nearest(account, names.iter().copied());
            let what = format!("its runner {user} does not exist");
            let finding = found(Severity::Error, "runner-unknown", name, what)
                .why("podseal takes no pod for a job's, and changes none")
                .page("docs/quick-start.md#6-name-the-runner");
            let fix = match near {
                // The annotation may have anything, and a reader pastes the command.
                _ if !is_namespace(namespace) => {
                    annotate("system:serviceaccount:RUNNER-NAMESPACE:ACCOUNT")
                }
                Some(near) => annotate(&format!(
                    "system:serviceaccount:{}:{}",
                    quote(namespace),
                    quote(near)
                )),
                None => format!(
                    "kubectl get serviceaccounts --namespace {}",
                    quote(namespace)
                ),
            };
            vec![finding.fix(fix)]
        }
        hidden => vec![
            found(
                Severity::Unknown,
                "runner-hidden",
                name,
                format!("runner {user}: {}", hidden.hidden().unwrap_or_default()),
            )
            .page("docs/doctor.md#permissions"),
        ],
    }
}

/// The corrected pod against the level that Pod Security Admission enforces.
fn pod_security(job: &JobNamespace, settings: &Settings<'_>) -> Option<Finding> {
    let enforced = job.object.metadata.labels.get(ENFORCE)?;
    let level = Level::from_name(enforced)?;
    let corrected = job::corrected(&job.namespace, settings).ok()?;
    let text = corrected.to_string();
    let pod: Pod<'_> = serde_json::from_str(&text).ok()?;
    let violated: Vec<_> = violations(&pod, level);
    let mut controls: Vec<_> = violated
        .iter()
        .map(|violation| violation.control.name())
        .collect();
    controls.dedup();
    if controls.is_empty() {
        return None;
    }
    let what = format!(
        "{ENFORCE} is {level}, which a corrected job violates: {}",
        controls.join(", "),
        level = level.name()
    );
    let finding = found(Severity::Error, "pod-security", &job.namespace.name, what)
        .why("Kubernetes itself denies each job's pod, after podseal")
        .fix(format!(
            "kubectl label namespace {} --overwrite {ENFORCE}=privileged",
            quote(&job.namespace.name)
        ))
        .page("docs/comparison.md#the-label-pod-securitykubernetesioenforce");
    Some(finding)
}

/// What a corrected job requests against the quotas.
fn quotas(job: &JobNamespace, settings: &Settings<'_>) -> Vec<Finding> {
    let name = &job.namespace.name;
    if let Some(hidden) = job.quotas.hidden() {
        return vec![
            found(
                Severity::Unknown,
                "quotas-hidden",
                name,
                format!("ResourceQuotas: {hidden}"),
            )
            .page("docs/doctor.md#permissions"),
        ];
    }
    let Ok(corrected) = job::corrected(&job.namespace, settings) else {
        return Vec::new();
    };
    let needs = super::needs::Needs::of_pod(&corrected);
    let has_default = |resource: &str| {
        let ranges = job.limits.seen().into_iter().flatten();
        let mut ranges = ranges.flat_map(|range| &range.spec.limits);
        let (kind, resource) = resource.split_once('.').unwrap_or(("requests", resource));
        ranges.any(|range| {
            let limit = range.default.contains_key(resource);
            match kind {
                "limits" => limit,
                _ => limit || range.default_request.contains_key(resource),
            }
        })
    };
    let mut findings = Vec::new();
    for quota in job.quotas.seen().into_iter().flatten() {
        let place = quote(&quota.metadata.name);
        for (resource, hard) in &quota.status.hard {
            let device = needs
                .resources
                .iter()
                .find(|name| *resource == format!("requests.{name}"));
            let used = quota.status.used.get(resource);
            let is_full = hard == "0" || used == Some(hard) && resource != "cpu";
            let what = format!(
                "ResourceQuota {place}: {} of {} {} used",
                quote(used.map_or("0", |used| used)),
                quote(hard),
                quote(resource)
            );
            if device.is_some() && is_full {
                findings.push(
                    found(Severity::Error, "quota-of-fuse", name, what)
                        .why("each job requests one, so Kubernetes denies its pod")
                        .fix(raise(&quote(name), &place, &quote(resource), hard))
                        .page("docs/troubleshooting.md#kubernetes-denied-the-pod"),
                );
            } else if matches!(resource.as_str(), "pods" | "count/pods") && is_full {
                findings.push(
                    found(Severity::Warning, "quota-of-pods", name, what)
                        .why("no further job starts until one ends")
                        .page("docs/troubleshooting.md#kubernetes-denied-the-pod"),
                );
            } else if is_of_compute(resource) && !has_default(resource) {
                let what = format!(
                    "ResourceQuota {place} is for {}, and no LimitRange has a default",
                    quote(resource)
                );
                findings.push(
                    found(Severity::Warning, "quota-without-default", name, what)
                        .why("Kubernetes denies a job's pod whose containers have none; podseal sets none")
                        .fix("in config.toml, cpu_request, memory_limit and so on, also those of helper_ and service_; or a LimitRange")
                        .page("docs/troubleshooting.md#kubernetes-denied-the-pod"),
                );
            }
        }
    }
    findings
}

/// The command that lets a quota have so many more devices as a node offers by default.
fn raise(namespace: &str, quota: &str, resource: &str, hard: &str) -> String {
    let more = hard.parse::<u32>().unwrap_or(0).saturating_add(64);
    format!(
        "kubectl patch resourcequota {quota} --namespace {namespace} --type merge --patch '{{\"spec\":{{\"hard\":{{\"{resource}\":\"{more}\"}}}}}}'"
    )
}

/// Whether a quota on this makes Kubernetes deny pods without a value (Kubernetes, "Resource
/// Quotas", v1.37).
fn is_of_compute(resource: &str) -> bool {
    let resource = resource
        .split_once('.')
        .map_or(resource, |(kind, resource)| match kind {
            "limits" | "requests" => resource,
            _ => kind,
        });
    matches!(resource, "cpu" | "memory" | "ephemeral-storage")
}

/// What became of a job's pod.
fn dry_run(job: &JobNamespace, policy: &Policy<'_>, settings: &Settings<'_>) -> Finding {
    let name = &job.namespace.name;
    let run = &job.dry_run;
    let by = match &run.user {
        Some(user) => format!("as {}", quote(user)),
        None => "as you".to_owned(),
    };
    let profile = quote(policy.name);
    match &run.answer {
        Answer::Corrected => {
            let what = format!("{profile}; a job's pod {by} is corrected and accepted (dry run)");
            found(Severity::Ok, "dry-run", name, what)
        }
        Answer::Unchanged => unchanged(job, policy, settings, &by),
        Answer::Denied(message) => {
            let what = format!("a job's pod {by} is denied (dry run): {message}");
            if run.user.is_none() && message.contains(" cannot create resource \"pods\" ") {
                return found(Severity::Unknown, "dry-run", name, what)
                    .why("you are not allowed to create pods here, which a dry run takes")
                    .page("docs/doctor.md#permissions");
            }
            let symptom = find(NOT_ASKED, message).or_else(|| find(KUBERNETES_DENIED, message));
            let finding = found(Severity::Error, "dry-run", name, what);
            match symptom {
                Some(symptom) => finding.symptom(symptom),
                None if message.contains("failed calling webhook") => finding
                    .why("the API server cannot reach a webhook, so no job starts")
                    .page("docs/troubleshooting.md#podseal-was-not-asked"),
                None => finding
                    .why("so is each job")
                    .page("docs/troubleshooting.md#podseal-denied-the-pod"),
            }
        }
    }
}

/// The pod was accepted as it is.
fn unchanged(
    job: &JobNamespace,
    policy: &Policy<'_>,
    settings: &Settings<'_>,
    by: &str,
) -> Finding {
    let name = &job.namespace.name;
    let profile = quote(policy.name);
    if job::corrected(&job.namespace, settings).is_ok_and(|pod| pod == job::pod()) {
        let what =
            format!("{profile}, which changes nothing; a job's pod {by} is accepted (dry run)");
        return found(Severity::Ok, "dry-run", name, what);
    }
    if policy.mode == admission::namespace::Mode::Audit {
        let what =
            format!("{profile} in the mode audit: a job's pod {by} is accepted as it is (dry run)");
        return found(Severity::Ok, "dry-run", name, what).page("docs/policy.md");
    }
    if let Some(why) = &job.dry_run.not_the_runner {
        let what = format!(
            "{profile}; a job's pod of somebody else is accepted as it is (dry run); its runner's was not tried, which you are not allowed to: {why}"
        );
        return found(Severity::Unknown, "dry-run", name, what).page("docs/doctor.md#permissions");
    }
    let what = format!("{profile}, and a job's pod {by} is accepted as it is (dry run)");
    found(Severity::Error, "dry-run", name, what)
        .why("the API server does not ask podseal here, so jobs are neither corrected nor checked")
        .fix("kubectl get mutatingwebhookconfiguration podseal -o yaml")
        .page("docs/troubleshooting.md#the-job-is-not-corrected")
}
