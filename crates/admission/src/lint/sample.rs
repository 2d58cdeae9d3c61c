//! Jobs that stand for all jobs of a profile: a plain one, and one for each image and init
//! container that the profile has rules for.
//!
//! Each of the latter has that container alone, and its profile only the rules for it.
//! Otherwise another pattern could apply to the container, or names could collide.

use std::collections::BTreeMap;

use crate::correct::refusal::Refusal;
use crate::correct::steps;
use crate::pod::place::Place;
use crate::pod::{Container, Pod};
use crate::profile::{ContainerRules, EffectiveProfile, Profile, Rules, Scope};
use crate::standards::{Level, Violation};

/// A job with a service, as the runner creates it, without any security settings.
const JOB: &str = r#"{"metadata": {"name": "job", "labels": {"job.runner.gitlab.com/pod": "job"}},
  "spec": {
    "initContainers": [{"name": "init-permissions", "image": "helper"}],
    "containers": [{"name": "build", "image": "podman"}, {"name": "helper", "image": "helper"},
                   {"name": "svc-0", "image": "postgres"}]}}"#;
/// One with a container that is chosen by its image or name. Native steps have no helper.
const SMALL_JOB: &str = r#"{"metadata": {"name": "job", "labels": {"job.runner.gitlab.com/pod": "job"}},
  "spec": {"containers": [{"name": "build", "image": "podman"}]}}"#;

/// A job before and after its correction.
pub(crate) struct Sample<'p> {
    /// The container that it stands for, unless it is the plain job.
    bound: Option<Scope<'p>>,
    profile: Profile,
    job: Pod<'static>,
}

impl<'p> Sample<'p> {
    /// The plain job.
    pub(crate) fn plain(profile: &'p Profile) -> Sample<'p> {
        let roles_only = ContainerRules {
            images: BTreeMap::new(),
            init_containers: BTreeMap::new(),
            ..profile.containers.clone()
        };
        Sample {
            bound: None,
            profile: Profile {
                containers: roles_only,
                ..profile.clone()
            },
            job: serde_json::from_str(JOB).expect("the job is a pod"),
        }
    }

    /// All of them, the plain job first.
    pub(crate) fn all(profile: &'p Profile) -> Vec<Sample<'p>> {
        let plain = Sample::plain(profile);
        let all = profile.containers.all();
        let bound = all.filter_map(|(scope, rules)| plain.bound_to(scope, rules));
        let bound: Vec<_> = bound.collect();
        std::iter::once(plain).chain(bound).collect()
    }

    /// The sample of a container that is not chosen by its role.
    fn bound_to(&self, scope: Scope<'p>, rules: &Rules) -> Option<Sample<'p>> {
        let mut job: Pod<'static> = serde_json::from_str(SMALL_JOB).expect("the job is a pod");
        let mut profile = self.profile.clone();
        let container = |name: &str, image: String| {
            Box::new(Container {
                name: name.to_owned().into(),
                image: Some(image.into()),
                ..Container::default()
            })
        };
        match scope {
            Scope::Role(_) => return None,
            Scope::Image(pattern) => {
                let images = &mut profile.containers.images;
                images.insert(pattern.to_owned(), rules.clone());
                let service = container("svc-0", pattern.replace('*', "x"));
                job.spec.containers.push(service);
            }
            Scope::InitContainer(name) => {
                let init_containers = &mut profile.containers.init_containers;
                init_containers.insert(name.to_owned(), rules.clone());
                let injected = container(name, "injected".to_owned());
                job.spec.init_containers.push(injected);
            }
        }
        Some(Sample {
            bound: Some(scope),
            profile,
            job,
        })
    }

    /// The container that it stands for, unless it is the plain job.
    pub(crate) fn bound(&self) -> Option<Scope<'p>> {
        self.bound
    }

    /// The profile, with the rules that are for this job.
    pub(crate) fn profile(&self) -> EffectiveProfile<'_> {
        EffectiveProfile::unchanged(&self.profile)
    }

    /// The job as the runner creates it.
    pub(crate) fn before(&self) -> &Pod<'static> {
        &self.job
    }

    /// The job, corrected in a namespace at `level`.
    pub(crate) fn after(&self, level: Level) -> Result<Pod<'_>, Refusal> {
        let mut job: Pod<'_> = self.job.clone();
        steps::correct(&mut job, &self.profile(), level)?;
        Ok(job)
    }

    /// The scope of the rules that apply to the place of a violation. None apply to the pod
    /// itself.
    pub(crate) fn scope(&self, pod: &Pod<'_>, violation: &Violation<'_>) -> Option<Scope<'p>> {
        let Place::Container(at) = violation.place else {
            return None;
        };
        match self.profile.containers.of(at.list, pod.container(at)).0 {
            Scope::Role(role) => Some(Scope::Role(role)),
            Scope::Image(_) | Scope::InitContainer(_) => self.bound,
        }
    }

    /// Whether it stands for the place of a violation.
    pub(crate) fn is_about(&self, pod: &Pod<'_>, violation: &Violation<'_>) -> bool {
        self.bound.is_none() || self.scope(pod, violation) == self.bound
    }
}
