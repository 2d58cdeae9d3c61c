//! The namespaces that opted in, or that a rule is for: what they say.

use super::command::Command;
use super::creation::Creation;
use super::facts::{Facts, JobNamespace, Runner};
use super::finding::{Area, Finding, Severity, quote};
use super::job;
use super::limits;
use super::look::Look;
use super::node_kind::version;
use super::nodes::{NodeTable, relabel};
use super::policy::Source;
use admission::namespace::policy::{Policy, Settings};
use admission::namespace::{Mode, NEVER_CALLED, Namespace, PROFILE, is_clusters_own, unknown_keys};
use admission::pod::Pod;
use admission::request::is_namespace;
use admission::standards::{Level, violations};
use admission::text::spelling::nearest;

/// The label that Pod Security Admission enforces a level by.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// The label for the version of its rules.
const ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";

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
            if facts.jobs.is_empty() && facts.left_out == 0 {
                findings.push(none(facts, table));
            }
        }
        Look::Absent => findings.push(
            Finding::new(
                Area::Namespaces,
                Severity::Error,
                "namespace-missing",
                format!(
                    "namespace {}",
                    quote(facts.only.as_deref().unwrap_or_default())
                ),
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
    if let Source::Hidden(why) = &facts.source {
        let what = format!("podseal's own profiles, rules and settings: {why}");
        findings.push(
            Finding::new(Area::Namespaces, Severity::Unknown, "policy-hidden", "namespaces", what)
                .why("namespaces without the label that a rule is for are not shown; the others are judged by what is built in")
                .page("docs/doctor.md#permissions"),
        );
    }
    if facts.left_out > 0 {
        let what = format!("{} more that opted in were not looked at", facts.left_out);
        findings.push(
            Finding::new(
                Area::Namespaces,
                Severity::Unknown,
                "namespaces-left-out",
                "namespaces",
                what,
            )
            .fix("podseal doctor --namespace NAMESPACE"),
        );
    }
    for job in &facts.jobs {
        findings.extend(of_namespace(job, facts, &settings, table));
    }
    findings
}

/// No namespace opted in.
fn none(facts: &Facts, table: &NodeTable) -> Finding {
    let profile = table.candidates().first().copied().unwrap_or("PROFILE");
    if let (Some(name), false) = (&facts.only, matches!(facts.source, Source::Hidden(_))) {
        return not_one(name, facts, profile);
    }
    let mut what = format!("none has the label {PROFILE}");
    if !matches!(facts.source, Source::Hidden(_)) {
        what += ", and no rule is for one";
    }
    let (area, severity) = (Area::Namespaces, Severity::Warning);
    let found = Finding::new(area, severity, "no-namespace", "namespaces", what);
    found
        .why("podseal changes nothing and checks nothing")
        .fix(relabel(facts.only.as_deref().unwrap_or_default(), profile))
        .page("docs/quick-start.md#3-label-a-namespace")
}

/// The only namespace that was asked for did not opt in.
fn not_one(name: &str, facts: &Facts, profile: &str) -> Finding {
    let is_own = facts.release.as_ref();
    let is_own = is_own.is_some_and(|release| release.namespace == *name);
    if is_own || is_clusters_own(name) {
        let what = "podseal is never asked about it, whatever its labels";
        return found(Severity::Ok, "no-namespace", name, what);
    }
    let what = format!("it has no label {PROFILE}, and no rule is for it");
    found(Severity::Warning, "no-namespace", name, what)
        .why("podseal changes nothing and checks nothing here")
        .fix(relabel(name, profile))
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
            .fix(edit(&metadata.name))
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
        let fix = "kubectl label namespace NAMESPACE podseal.io/profile-";
        let finding = found(Severity::Warning, "never-called", name, what);
        return vec![finding.fix(Command::new(fix, &[("NAMESPACE", name)]))];
    };
    let mut findings: Vec<_> = policy
        .warnings
        .iter()
        .map(|warning| {
            found(Severity::Warning, "namespace-keys", name, warning)
                .fix(edit(name))
                .page("docs/policy.md")
        })
        .collect();
    if policy.profile.is_none() {
        findings.push(unknown_profile(name, &policy, facts, settings));
        return findings;
    }
    findings.extend(runner(job, &policy, facts, settings));
    findings.extend(pod_security(job, &policy, facts, settings));
    let limits = limits::findings(job, settings);
    let never_fits = limits
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    findings.extend(limits);
    if table.excludes(policy.name) {
        let image = if table.is_tried {
            " with this image"
        } else {
            ""
        };
        let what = format!("its profile {} works on no node{image}", quote(policy.name));
        let finding = found(Severity::Error, "no-node", name, what)
            .why("the table of nodes says why")
            .page("docs/which-profile.md");
        let lacks_device = table.lacks_device(policy.name);
        findings.push(match table.candidates().first() {
            _ if lacks_device => finding
                .advice("install the device plugin, as said of the nodes, or use another profile"),
            Some(profile) => finding.fix(relabel(name, profile)),
            None => finding,
        });
    }
    let creation = Creation {
        facts,
        job,
        policy: &policy,
        never_fits,
    };
    findings.extend(creation.findings());
    findings
}

fn edit(namespace: &str) -> Command {
    let template = "kubectl edit namespace NAMESPACE";
    Command::new(template, &[("NAMESPACE", namespace)])
}

fn unknown_profile(
    name: &str,
    policy: &Policy<'_>,
    facts: &Facts,
    settings: &Settings<'_>,
) -> Finding {
    let profile = quote(policy.name);
    if let Source::Hidden(why) = &facts.source {
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
        .fix(relabel(name, "PROFILE"))
        .page("docs/which-profile.md")
}

/// Who creates the pods of jobs.
fn runner(
    job: &JobNamespace,
    policy: &Policy<'_>,
    facts: &Facts,
    settings: &Settings<'_>,
) -> Vec<Finding> {
    let name = &job.namespace.name;
    let annotate = |namespace: &str, account: &str| {
        let template = "kubectl annotate namespace JOBS --overwrite podseal.io/runner=system:serviceaccount:RUNNER-NAMESPACE:ACCOUNT";
        let names = [
            ("JOBS", name.as_str()),
            ("RUNNER-NAMESPACE", namespace),
            ("ACCOUNT", account),
        ];
        Command::new(template, &names)
    };
    if policy.runners().is_none() {
        let what = "no runner is named";
        let is_hidden = matches!(facts.source, Source::Hidden(_));
        let denied = policy.trusts_labels() && settings.require_runner && !is_hidden;
        let finding = match denied {
            true => found(Severity::Error, "runner-missing", name, what)
                .why("its profile grants more than the baseline, so podseal denies jobs until their creator is named"),
            false => found(Severity::Warning, "runner-missing", name, what)
                .why("anyone who can create pods gets what a job gets, by a label"),
        };
        return vec![
            finding
                .fix(annotate("", ""))
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
                // The annotation may have anything.
                _ if !is_namespace(namespace) => annotate("", ""),
                Some(near) => annotate(namespace, near),
                None => {
                    let template = "kubectl get serviceaccounts --namespace NAMESPACE";
                    Command::new(template, &[("NAMESPACE", namespace)])
                }
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
fn pod_security(
    job: &JobNamespace,
    policy: &Policy<'_>,
    facts: &Facts,
    settings: &Settings<'_>,
) -> Option<Finding> {
    // Nothing is corrected there, and what the runner itself sets is not known.
    if policy.mode == Mode::Audit {
        return None;
    }
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
    let mut stricter = Level::ALL.iter().rev();
    let met = stricter.find(|level| violations(&pod, **level).is_empty());
    let is_relaxed = corrected["spec"]["hostUsers"] == false;
    let met = met.filter(|_| !is_relaxed || relaxes_user_namespaces(job, facts));
    let template =
        "kubectl label namespace NAMESPACE --overwrite pod-security.kubernetes.io/enforce=LEVEL";
    let names = [
        ("NAMESPACE", job.namespace.name.as_str()),
        ("LEVEL", met.map_or("privileged", |level| level.name())),
    ];
    let finding = found(Severity::Error, "pod-security", &job.namespace.name, what)
        .why("Kubernetes itself denies each job's pod, after podseal")
        .fix(Command::new(template, &names))
        .page("docs/comparison.md#the-label-pod-securitykubernetesioenforce");
    Some(finding)
}

/// Whether Pod Security Admission allows more to a pod with a user namespace, as it does at
/// the versions from 1.35.
fn relaxes_user_namespaces(job: &JobNamespace, facts: &Facts) -> bool {
    let pinned = job.object.metadata.labels.get(ENFORCE_VERSION);
    let is_latest = pinned.is_none_or(|pinned| pinned == "latest");
    let server = facts.version.seen();
    let server = server.and_then(|server| version(server.git_version.trim_start_matches('v')));
    is_latest && server.is_some_and(|server| server >= (1, 35))
}
