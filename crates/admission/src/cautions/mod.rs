//! What may keep a job from running although its pod is accepted.
//!
//! [`crate::correct`] makes a pod that the API server accepts and the kubelet starts.
//! Whether `podman build` then passes depends on more, and most of that stands in the
//! pod. Each rule looks for one reason against it. None of them is certain on every
//! node, so a caution is a warning, and a denial only in a strict namespace.

mod confinement;
mod environment;
mod runner;
mod volumes;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use crate::gitlab::role::{BUILD, HELPER, Role};
use crate::pod::effective::effective;
use crate::pod::field::{Field, Scalar};
use crate::pod::place::{ContainerRef, List, Place};
use crate::pod::{Container, Pod, Volume};
use crate::profile::EffectiveProfile;
use crate::profile::home_path::normalised;
use crate::text::quoted;

/// A reason why a job may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caution {
    /// The rule.
    pub id: Id,
    /// What it is about, if that is something that a profile can set.
    pub about: Option<About>,
    /// Where it is: a container and a field, or the pod; empty where it is the job.
    pub place: String,
    /// What follows from it, and what to do, in a sentence without a full stop.
    pub problem: String,
}

/// What a profile can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A field of `securityContext`, of the containers of a role or of the pod.
    Field(Role, Field),
    /// The capabilities of `build`.
    Capabilities,
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.problem),
            place => write!(f, "{place}: {}", self.problem),
        }
    }
}

/// A rule: the caution that applies to a job's pod, if any.
type Rule = fn(&Job<'_, '_>) -> Option<Found>;

macro_rules! rules {
    ($( $variant:ident = $name:literal by $rule:path; )+) => {
        /// A rule. Its name is in records and metrics, and stays the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "docs/cautions.md explains each")]
        pub enum Id {
            $( $variant, )+
        }

        impl Id {
            /// Every rule, in the order of what a job needs first.
            pub const ALL: [Id; [$( Id::$variant ),+].len()] = [$( Id::$variant ),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $( Id::$variant => $name, )+
                }
            }

            fn rule(self) -> Rule {
                match self {
                    $( Id::$variant => $rule, )+
                }
            }
        }
    };
}

rules! {
    HelperAsRoot = "helper-as-root" by confinement::helper_as_root;
    VolumeInUserNamespace = "volume-in-user-namespace" by volumes::in_user_namespace;
    RuntimeClass = "runtime-class" by confinement::runtime_class;
    CloneWithoutHelper = "clone-without-helper" by runner::lacks_helper;
    OwnerOfFiles = "owner-of-files" by runner::changes_owner_to_foreign_group;
    VolumeOwner = "volume-owner" by volumes::owner;
    SeccompDefault = "seccomp-default" by confinement::seccomp;
    ApparmorDefault = "apparmor-default" by confinement::app_armor;
    NoEscalation = "no-escalation" by confinement::escalation;
    IdsNotMapped = "ids-not-mapped" by confinement::capabilities;
    GroupOfUser = "group-of-user" by confinement::group_of_user;
    Isolation = "isolation" by environment::isolation;
    ReadOnlyRoot = "read-only-root" by confinement::read_only_root;
    HomeBehindOverlay = "home-behind-overlay" by runner::hides_home;
    HomeParents = "home-parents" by volumes::parents_in_home;
    StorageConf = "storage-conf" by volumes::storage_conf;
    UnusedStore = "unused-store" by volumes::unused_store;
    OldHome = "old-home" by volumes::old_home;
    HomeInCheckout = "home-in-checkout" by environment::home_in_checkout;
    SecretMode = "secret-mode" by volumes::secret_mode;
    RuntimeDirectory = "runtime-directory" by environment::directories;
    EphemeralStorage = "ephemeral-storage" by environment::ephemeral_storage;
}

/// What may keep the job of `pod` from running, as `profile` has corrected it. Nothing
/// if the profile changes nothing: then Podman is not what it is for.
pub fn cautions(pod: &Pod<'_>, profile: &EffectiveProfile<'_>) -> Vec<Caution> {
    let Some(job) = Job::of(pod, profile) else {
        return Vec::new();
    };
    let found = Id::ALL.into_iter().filter_map(|id| {
        let Found {
            about,
            place,
            problem,
        } = id.rule()(&job)?;
        Some(Caution {
            id,
            about,
            place,
            problem,
        })
    });
    found.collect()
}

/// What `build` cannot do with its profile, and which profile can. It fits a line of 80
/// columns.
pub(crate) fn cannot(pod: &Pod<'_>, profile: &EffectiveProfile<'_>) -> Option<&'static str> {
    let job = Job::of(pod, profile)?;
    let proc = job.effective(job.build, Field::ProcMount);
    let is_unmasked = matches!(proc, Some(Scalar::Text(kind)) if &*kind == "Unmasked");
    (!job.is_privileged() && !is_unmasked)
        .then_some("podman run (mount proc to proc), since /proc is masked; userns can")
}

/// What a rule finds.
struct Found {
    about: Option<About>,
    place: String,
    problem: String,
}

impl Found {
    /// A caution about what only a pod has.
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Option<Found> {
        let (about, place, problem) = (None, place.into(), problem.into());
        Some(Found {
            about,
            place,
            problem,
        })
    }
}

/// A job's pod, as the rules see it.
struct Job<'p, 'a> {
    pod: &'p Pod<'a>,
    profile: &'p EffectiveProfile<'a>,
    build: ContainerRef,
    helper: Option<ContainerRef>,
    /// The pod's volumes by their names.
    volumes: HashMap<&'p str, &'p Volume<'a>>,
}

impl<'p, 'a> Job<'p, 'a> {
    fn of(pod: &'p Pod<'a>, profile: &'p EffectiveProfile<'a>) -> Option<Job<'p, 'a>> {
        let at = |name: &str| {
            let mut containers = pod.spec.containers.iter();
            let index = containers.position(|container| &*container.name == name)?;
            let list = List::Regular;
            Some(ContainerRef { list, index })
        };
        let is_empty = |role| profile.role(role).is_empty();
        if Role::ALL.into_iter().all(is_empty) && profile.pod().is_empty() {
            return None;
        }
        Some(Job {
            pod,
            profile,
            build: at(BUILD)?,
            helper: at(HELPER),
            // The first of a name applies.
            volumes: pod
                .spec
                .volumes
                .iter()
                .flatten()
                .rev()
                .map(|volume| (&*volume.name, volume))
                .collect(),
        })
    }

    fn build(&self) -> &'p Container<'a> {
        self.pod.container(self.build)
    }

    /// The effective value of a field.
    fn effective(&self, at: ContainerRef, field: Field) -> Option<Scalar<'a>> {
        effective(self.pod, Place::Container(at), field)
    }

    /// The user that a container runs as, as far as the pod says.
    fn user(&self, at: ContainerRef) -> Option<i64> {
        self.effective(at, Field::RunAsUser)?.int()
    }

    /// Whether a container does not run as root.
    fn is_non_root(&self, at: ContainerRef) -> bool {
        let must_not = || self.effective(at, Field::RunAsNonRoot) == Some(Scalar::Bool(true));
        self.user(at).map_or_else(must_not, |user| user > 0)
    }

    fn is_privileged(&self) -> bool {
        self.effective(self.build, Field::Privileged) == Some(Scalar::Bool(true))
    }

    fn has_own_user_namespace(&self) -> bool {
        self.pod.spec.host_users == Some(false)
    }

    /// A caution about a field of `build`'s `securityContext`. Where the profile sets it,
    /// nobody else can change it.
    fn in_build(
        &self,
        field: Field,
        problem: &str,
        in_profile: &str,
        in_runner: &str,
    ) -> Option<Found> {
        let remedy = match self.is_set_by_profile(field) {
            true => in_profile,
            false => in_runner,
        };
        Some(Found {
            about: Some(About::Field(Role::Build, field)),
            place: format!("container \"build\", securityContext.{}", field.key().1),
            problem: format!("{problem}; {remedy}"),
        })
    }

    fn is_set_by_profile(&self, field: Field) -> bool {
        let (build, pod) = (self.profile.role(Role::Build), self.profile.pod());
        let own = [build.set(), build.if_unset()].map(|fields| fields.security_context());
        let inherited = [pod.set(), pod.if_unset()].map(|fields| fields.security_context());
        own.iter()
            .chain(&inherited)
            .any(|context| context.has(field))
    }

    /// The path that a variable of `build` has, normalized; none that no system has.
    fn path(&self, name: &str) -> Option<Cow<'p, str>> {
        const LONGEST: usize = 4096;
        let value = self.variable(name)?;
        (value.len() <= LONGEST).then(|| normalised(value))
    }

    /// The literal value of a variable of `build`.
    fn variable(&self, name: &str) -> Option<&'p str> {
        let (_, var) = self.build().env(name)?;
        var.value.as_deref()
    }
}

/// `container "NAME"`, or `init container "NAME"`.
fn named(pod: &Pod<'_>, at: ContainerRef) -> String {
    let place = Place::Container(at);
    format!("{place} {}", quoted(&pod.container(at).name))
}
