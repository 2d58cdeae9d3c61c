//! The sentences of a denial of a pod that violates the namespace's level, or differs
//! from what its profile sets.

use super::denial::{Clause, Denial, audit_id, listed, listed_within};
use crate::correct::change::Change;
use crate::correct::marker::CORRECTED_AS;
use crate::gitlab::role::Role;
use crate::namespace::label::Source;
use crate::namespace::policy::Policy;
use crate::namespace::{LEVEL, Label, Namespace, PROFILE};
use crate::pod::place::{List, Place};
use crate::profile::grants::Violations;
use crate::request::impossible::Impossible;
use crate::standards::{Family, Level};
use crate::text::{quoted, unquoted};

/// How many bytes of violations and of changes a denial lists, if it lists both.
const LISTED_OF_TWO: usize = 300;
/// How many bytes of violations, if they only illustrate the reason before them.
const LISTED_AFTER_REASON: usize = 200;

/// A container with an image that it did not have before, or that was not there.
pub(crate) struct NewImage {
    pub(crate) place: Place,
    /// The beginning of its name, as much as messages show.
    pub(crate) container: String,
}

/// Who adds init containers to the pods of others, by their names, and how a job's pod is
/// left out (the annotations and labels of each one's own documentation).
const INJECTORS: [(&[&str], &str); 4] = [
    (
        &["istio-init", "istio-validation", "istio-proxy"],
        "leave out Istio's sidecar by sidecar.istio.io/inject = \"false\" in pod_labels of the \
         runner's config.toml",
    ),
    (
        &["linkerd-init", "linkerd-network-validator", "linkerd-proxy"],
        "leave out Linkerd's proxy by linkerd.io/inject = \"disabled\" in pod_annotations of the \
         runner's config.toml",
    ),
    (
        &["vault-agent-init"],
        "leave out Vault's agent by vault.hashicorp.com/agent-inject = \"false\" in \
         pod_annotations of the runner's config.toml",
    ),
    (
        &["consul-connect-inject-init"],
        "leave out Consul's proxy by consul.hashicorp.com/connect-inject = \"false\" in \
         pod_annotations of the runner's config.toml",
    ),
];

/// What helps against the first violation of a job's pod: by who put the container there,
/// as far as one can tell, and then by what it is.
fn remedy(violations: &Violations) -> &'static str {
    let Some(first) = violations.listed.first() else {
        return DEFAULT_REMEDY;
    };
    // Neither a job nor [[runners.kubernetes.services]] adds init containers.
    let is_added = matches!(first.place, Place::Container(at)
        if at.list == List::Init && Role::of(at.list, &first.container) == Role::Services);
    if is_added {
        let names = |(names, _): &&(&[&str], &str)| names.contains(&&*first.container);
        let injector = INJECTORS.iter().find(names);
        return injector.map_or(
            "remove that init container, which pod_spec in the runner's config.toml or another \
             admission webhook adds",
            |(_, remedy)| remedy,
        );
    }
    match first.control.family() {
        Family::Volumes => "remove that volume from the runner's config.toml",
        Family::AppArmorProfile | Family::SeccompProfile => {
            "remove it from the runner's config.toml, or use a Localhost profile"
        }
        _ => DEFAULT_REMEDY,
    }
}

const DEFAULT_REMEDY: &str = "change the job's services or the runner's config.toml";

/// Denials of pods that violate the namespace's level or differ from their profile.
pub(crate) struct Rejection<'r, 'a> {
    pub(crate) namespace: &'r Namespace,
    pub(crate) policy: &'r Policy<'a>,
    pub(crate) uid: &'r str,
}

impl Rejection<'_, '_> {
    /// The denial of a pod that violates the namespace's level.
    pub(crate) fn of_violations(&self, violations: &Violations, is_job: bool) -> Denial {
        let required = self.required_level();
        let ignored = match violations.user_namespace_ignored {
            true => {
                "; hostUsers: false does not relax this, since podseal is configured for nodes \
                 that may ignore it"
            }
            false => "",
        };
        let audit = audit_id(self.uid);
        // The violations come last here: no change of the job or its runner helps.
        let ignores_user_namespaces = violations.user_namespace_ignored;
        let forbidden = self.forbidden_by_profile(ignores_user_namespaces);
        if let Some(set) = forbidden.filter(|_| is_job) {
            let correct = match self.policy.level_is_invalid {
                true => "correct the label podseal.io/level, or ",
                false => "",
            };
            return Denial::forbidden(format!(
                "the profile sets securityContext.{set} on build, so no job with it can meet the \
                 level: {required}{ignored}; to fix this, {correct}ask a cluster administrator for \
                 another profile or level; the violations are: {listed}{audit}",
                listed = listed_within(
                    LISTED_AFTER_REASON,
                    violations.listed.iter().map(Clause),
                    violations.count
                ),
            ));
        }
        let listed = listed(violations.listed.iter().map(Clause), violations.count);
        let granted = match is_job {
            true => ", beyond what its profile grants",
            false => "",
        };
        let remedy = match is_job {
            _ if self.policy.level_is_invalid => "correct the label podseal.io/level",
            true => remedy(violations),
            false => "change the pod",
        };
        Denial::forbidden(format!(
            "{listed}; {required}{granted}{ignored}; to fix this, {remedy}, or ask a cluster \
             administrator for another profile or level{audit}",
        ))
    }

    /// What the profile sets although the level forbids it and the profile does not
    /// grant it.
    fn forbidden_by_profile(&self, ignores_user_namespaces: bool) -> Option<String> {
        match self.policy.level {
            Level::Restricted => {
                let profile = self.policy.profile?;
                profile.forbidden_at_restricted(ignores_user_namespaces)
            }
            Level::Baseline | Level::Privileged => None,
        }
    }

    /// The denial of a job's pod with the mark of another version of its profile,
    /// which needs a grant and lacks limits that come with it.
    pub(crate) fn of_ungranted(&self, violations: &Violations, lacking: &[Change<'_>]) -> Denial {
        Denial::forbidden(format!(
            "{listed}; namespace {namespace} has {origin}, which grants this only together with what \
             it sets, and the pod, which its annotation {CORRECTED_AS} says was corrected by \
             another version of the profile, lacks {lacking}; to fix this, retry the job once all \
             replicas of podseal have the new version, or ask a cluster administrator who wrote \
             that annotation{audit}",
            listed = listed_within(
                LISTED_OF_TWO,
                violations.listed.iter().map(Clause),
                violations.count
            ),
            namespace = quoted(&self.namespace.name),
            origin = self.policy.origin(),
            lacking = listed_within(LISTED_OF_TWO, lacking.iter(), lacking.len()),
            audit = audit_id(self.uid),
        ))
    }

    /// The denial of an update that puts an image or a container into a pod that
    /// violates the namespace's level.
    pub(crate) fn of_new_image(&self, new: &NewImage, violations: &Violations) -> Denial {
        let NewImage { place, container } = new;
        let (container, listed) = (
            quoted(container),
            listed(violations.listed.iter().map(Clause), violations.count),
        );
        let required = self.required_level();
        Denial::forbidden(format!(
            "{place} {container}, image: a new image or container is not allowed in a pod that \
             violates its level, since it could use what the pod has ({listed}); {required}; to fix \
             this, create another pod with that image, such as by retrying the job, or ask a \
             cluster administrator for another profile or level{audit}",
            audit = audit_id(self.uid),
        ))
    }

    /// The denial of a pod that Kubernetes rejects, or that has more than
    /// podseal reads.
    pub(crate) fn of_impossible(&self, impossible: &Impossible) -> Denial {
        Denial::forbidden(format!(
            "{impossible}; {required}, which podseal does not check for such a pod; to fix this, \
             {remedy}{audit}",
            required = self.required_level(),
            remedy = impossible.remedy(),
            audit = audit_id(self.uid),
        ))
    }

    /// The level that the namespace requires, and by which labels.
    fn required_level(&self) -> String {
        let by = match self.policy.source_of_label(Label::Level) {
            Source::Label if self.policy.level_is_invalid => format!("label {LEVEL} is invalid"),
            Source::Label => format!("label {LEVEL}"),
            Source::Rule(rule) => format!("namespace rule {}", unquoted(rule)),
            _ => format!("label {LEVEL} is not set"),
        };
        let profile = match self.policy.source_of_label(Label::Profile) {
            Source::Rule(rule) => format!(
                "profile {} from the namespace rule {}",
                quoted(self.policy.name),
                unquoted(rule)
            ),
            _ => format!("{PROFILE}: {}", quoted(self.policy.name)),
        };
        format!(
            "namespace {namespace} requires every pod to meet {level} ({by}; {profile})",
            namespace = quoted(&self.namespace.name),
            level = self.policy.level.name(),
        )
    }

    /// The denial of a job's pod that does not match its profile.
    pub(crate) fn of_undone(&self, undone: &[Change<'_>]) -> Denial {
        Denial::forbidden(format!(
            "the pod lacks what its profile sets: {undone}; namespace {namespace} has {origin}, \
             and either something changed the pod after podseal, or podseal's mutating webhook was \
             not called; to fix this, ask a cluster administrator which admission webhook, policy \
             or feature gate changed the pod, and whether podseal's mutating webhook is \
             registered{audit}",
            undone = listed(undone.iter(), undone.len()),
            namespace = quoted(&self.namespace.name),
            origin = self.policy.origin(),
            audit = audit_id(self.uid),
        ))
    }
}
