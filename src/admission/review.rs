//! The decision.

use json_patch::Patch;

use super::change::Change;
use super::job::Job;
use super::message::Denial;
use super::plan;
use super::policy::{Namespace, Policy};
use super::profile::Profiles;
use super::request::Request;

/// What podseal says to a request, and everything a record of it needs.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// The profile the namespace names, known or not.
    pub profile: Option<&'a str>,
    /// The job the pod runs, if it is a job pod.
    pub job: Option<Job<'a>>,
    /// The answer.
    pub outcome: Outcome<'a>,
}

/// The answer.
#[derive(Debug, Clone)]
pub enum Outcome<'a> {
    /// The pod may pass as it is.
    Allow(Untouched),
    /// The pod may pass with these changes.
    Mutate {
        /// What changes, as sentences.
        changes: Vec<Change<'a>>,
        /// The same for the API server.
        patch: Patch,
    },
    /// The pod may not pass.
    Deny(Denial),
}

/// Why a pod is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untouched {
    /// The request does not create a pod.
    NotACreate,
    /// The namespace has no profile label.
    NotOptedIn,
    /// The pod runs no job.
    NotAJob,
    /// The job runs on Windows, where Podman's needs mean nothing.
    Windows,
    /// The pod is what its profile says already.
    AlreadyRight,
}

impl Untouched {
    /// The reason as a clause.
    pub fn reason(self) -> &'static str {
        match self {
            Untouched::NotACreate => "the request does not create a pod",
            Untouched::NotOptedIn => "the namespace has no label podseal.io/profile",
            Untouched::NotAJob => "the pod is not a GitLab job's",
            Untouched::Windows => "the job runs on Windows, which no profile is for",
            Untouched::AlreadyRight => "the pod is already as the profile says",
        }
    }
}

impl<'a> Decision<'a> {
    /// The decision on a pod whose namespace nobody could tell us about.
    pub fn unavailable(request: &Request<'a>, cause: &str) -> Decision<'a> {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let denial = Denial::namespace_unavailable(namespace, cause, &request.uid);
        Decision {
            profile: None,
            job: request.object.as_ref().and_then(Job::from_pod),
            outcome: Outcome::Deny(denial),
        }
    }
}

/// Decides what becomes of the pod in `request`, given its namespace.
///
/// Pure: the same arguments give the same decision, and the request with its
/// patch applied gives [`Untouched::AlreadyRight`].
pub fn review<'a>(
    request: Request<'a>,
    namespace: &'a Namespace,
    profiles: &'a Profiles,
) -> Decision<'a> {
    let allow = |profile, job, why| Decision {
        profile,
        job,
        outcome: Outcome::Allow(why),
    };
    let creates_pod = request.creates_pod();
    let Some(mut pod) = request.object.filter(|_| creates_pod) else {
        return allow(None, None, Untouched::NotACreate);
    };
    let job = Job::from_pod(&pod);
    let (name, profile) = match Policy::from_namespace(namespace, profiles) {
        Policy::NotOptedIn => return allow(None, job, Untouched::NotOptedIn),
        Policy::Profile(profile) => (profile.name.as_str(), Some(profile)),
        Policy::UnknownProfile(name) => (name, None),
    };
    let Some(job) = job else {
        return allow(Some(name), None, Untouched::NotAJob);
    };
    let decide = |outcome| Decision {
        profile: Some(name),
        job: Some(job),
        outcome,
    };
    let Some(profile) = profile else {
        let denial = Denial::unknown_profile(namespace, name, profiles, &request.uid);
        return decide(Outcome::Deny(denial));
    };
    if pod.is_windows() {
        return decide(Outcome::Allow(Untouched::Windows));
    }
    decide(match plan::correct(&mut pod, profile) {
        Err(refusal) => Outcome::Deny(refusal.into_denial(namespace, name, &request.uid)),
        Ok((changes, _)) if changes.is_empty() => Outcome::Allow(Untouched::AlreadyRight),
        Ok((changes, patch)) => Outcome::Mutate {
            changes,
            patch: Patch(patch),
        },
    })
}

impl<'a> Outcome<'a> {
    /// The outcome in a word, for records.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Allow(_) => "allow",
            Outcome::Mutate { .. } => "mutate",
            Outcome::Deny(_) => "deny",
        }
    }

    /// The changes, if there are any.
    pub fn changes(&self) -> &[Change<'a>] {
        match self {
            Outcome::Mutate { changes, .. } => changes,
            Outcome::Allow(_) | Outcome::Deny(_) => &[],
        }
    }
}
