//! The HOME rule.
//!
//! A job whose user has no passwd entry gets `HOME=/`, and fails with `could not
//! lock config file //.gitconfig`. The rule sets a writable HOME for `build` and
//! `helper`: the path that `build` already has, or the profile's, with an
//! `emptyDir` mounted there.
//!
//! The job's author can choose that path (a CI variable called `HOME` ends up in
//! `build`'s `env`), and the API server accepts any string. So it is checked here.
//!
//! The runner's scripts export that variable in `helper` as well, so `helper` cannot
//! have another HOME. Where its directory does not exist while `helper` clones, git gets
//! its configuration file elsewhere. A HOME outside the checkout, but in the same
//! `emptyDir`, gets a volume of its own, since no container creates that directory.

use std::borrow::Cow;

use super::change::By;
use super::editor::Corrector;
use super::refusal::Refusal;
use super::volumes::{Mount, Needs, mount};
use crate::gitlab::role::{BUILD, HELPER, Role};
use crate::pod::place::{ContainerRef, Place};
use crate::pod::{Container, Pod};
use crate::profile::home_path::{HomePath, is_at_or_under, normalised};
use crate::profile::{EffectiveProfile, Scope};
use crate::text::{Text, quoted};

/// Name of the volume mounted at HOME, unless the pod already uses it.
pub const VOLUME: &str = "podseal-home";

/// The variable that names git's file for `git config --global` (git 2.32, "git-config").
pub const GIT_CONFIG: &str = "GIT_CONFIG_GLOBAL";
/// Where it is if it cannot be in HOME.
pub const GIT_CONFIG_FILE: &str = "/podseal-git/config";
const GIT_FOLDER: &str = "/podseal-git";
/// Name of the volume that it is on then, unless the pod already uses it.
pub const GIT_VOLUME: &str = "podseal-git";

/// Applies the rule to every container whose rules have `home: true`.
pub(crate) fn set_home<'a>(
    corrector: &mut Corrector<'a, '_>,
    profile: &EffectiveProfile<'a>,
) -> Result<(), Refusal> {
    let mut targets: Vec<_> = targets(corrector.pod(), profile).collect();
    if targets.is_empty() {
        return Ok(());
    }
    let build = build(corrector.pod());
    let own = build.map_or(Ok(None), home_of)?;
    let own_is_set = own.is_some();
    let (value, path) = match own {
        Some((_, HomePath::OfPodmanImage)) => {
            // The image has it, and the helper's image has not.
            targets.retain(|&(scope, _)| scope.role() == Role::Helper);
            move_git_config(corrector, &targets, profile, |_| By::JobsHome);
            return Ok(());
        }
        Some((value, HomePath::Mountable(path))) => (value, path),
        None => {
            let path = profile.home_path();
            (path.into(), path.trim_end_matches('/').to_owned())
        }
    };
    let by = |scope| match own_is_set {
        true => By::JobsHome,
        false => By::Home(scope),
    };
    let is_jobs = *value != *profile.home_path();
    let checkout = checkout(corrector.pod());
    let checkout = checkout.as_deref();
    let is_in_checkout = checkout.is_some_and(|checkout| is_at_or_under(&path, checkout));
    // The clone makes the checkout and the directories that it is in, and no others.
    let is_beside_checkout =
        checkout.is_some_and(|checkout| !is_in_checkout && !is_at_or_under(checkout, &path));
    let needs = match is_beside_checkout {
        true => Needs::ItsOwn,
        false => Needs::Any,
    };
    // Native steps have the job's variables from elsewhere: the job may have another HOME.
    let mut is_made_later = !is_jobs && !has_helper(corrector.pod());
    for &(_, at) in &targets {
        let container = corrector.pod().container(at);
        let mut devices = container.volume_devices.iter();
        if let Some(device) =
            devices.find(|device| is_at_or_under(&normalised(&device.device_path), &path))
        {
            let why = "which is a raw block device";
            return Err(unusable(
                container,
                &path,
                &device.device_path,
                why,
                is_jobs,
            ));
        }
        if let Some(mount) = Mount::of(container, &path) {
            if let Some(why) = mount.unwritable(corrector.pod(), container) {
                return Err(unusable(container, &path, mount.mounted, why, is_jobs));
            }
            is_made_later |= mount.contains(&path)
                && (is_in_checkout
                    || needs == Needs::Any && mount.is_empty_dir(corrector.pod(), container));
        }
    }
    for &(scope, at) in &targets {
        corrector.by(by(Some(scope)));
        corrector.set_env(at, "HOME", value.clone());
    }
    let containers: Vec<_> = targets
        .iter()
        .map(|&(scope, at)| (at, by(Some(scope))))
        .collect();
    mount(
        corrector,
        &containers,
        by(None),
        (&path, needs),
        VOLUME,
        profile,
    );
    if is_made_later {
        targets.retain(|(scope, _)| matches!(scope.role(), Role::Build | Role::Helper));
        move_git_config(corrector, &targets, profile, by);
    }
    Ok(())
}

type Target<'a> = (Scope<'a>, ContainerRef);

fn targets<'s, 'a>(
    pod: &'s Pod<'_>,
    profile: &'s EffectiveProfile<'a>,
) -> impl Iterator<Item = Target<'a>> + 's {
    pod.containers().filter_map(|(place, container)| {
        let Place::Container(at) = place else {
            return None;
        };
        let (scope, rules) = profile.rules(at.list, container);
        rules.home().then_some((scope, at))
    })
}

fn build<'p, 'a>(pod: &'p Pod<'a>) -> Option<&'p Container<'a>> {
    let mut containers = pod.spec.containers.iter();
    containers
        .find(|container| &*container.name == BUILD)
        .map(|container| &**container)
}

fn has_helper(pod: &Pod<'_>) -> bool {
    let mut containers = pod.spec.containers.iter();
    containers.any(|container| &*container.name == HELPER)
}

/// The HOME that `build` already has, as written and as a path.
fn home_of<'a>(build: &Container<'a>) -> Result<Option<(Text<'a>, HomePath)>, Refusal> {
    let Some((_, var)) = build.env("HOME") else {
        return Ok(None);
    };
    let refuse = |problem: String| Refusal {
        place: format!("container {}", quoted(BUILD)),
        field: "env HOME".to_owned(),
        problem,
        remedy: "set the job variable HOME to another path, such as /my_custom_dir, or remove it"
            .to_owned(),
    };
    if var.value_from.is_some() {
        let problem = "comes from valueFrom, so podseal cannot know where to mount a volume for it";
        return Err(refuse(problem.to_owned()));
    }
    let value = var.value.clone().unwrap_or_default();
    match HomePath::parse(&value) {
        Ok(path) => Ok(Some((value, path))),
        Err(refusal) => Err(refuse(format!("{} {refusal}", quoted(&value)))),
    }
}

/// The HOME that the job itself sets, if podseal uses it instead of the profile's.
pub fn of_job(pod: &Pod<'_>) -> Option<String> {
    match home_of(build(pod)?) {
        Ok(Some((value, HomePath::Mountable(_)))) => Some(value.to_string()),
        _ => None,
    }
}

/// The refusal of a HOME by what is mounted. Only what the job itself sets is the job's
/// to change.
fn unusable(
    container: &Container<'_>,
    path: &str,
    mounted: &str,
    why: &str,
    is_jobs: bool,
) -> Refusal {
    let remedy = match is_jobs {
        true => "set the job variable HOME to a path outside it",
        false => {
            "mount that volume elsewhere in the runner's config.toml, or ask a cluster \
             administrator for another HOME (podseal.io/home)"
        }
    };
    Refusal {
        place: format!("container {}", quoted(&container.name)),
        field: "env HOME".to_owned(),
        problem: match is_at_or_under(&normalised(mounted), path) {
            true if normalised(mounted) != path => {
                format!("{} contains {}, {why}", quoted(path), quoted(mounted))
            }
            _ => format!("{} is in {}, {why}", quoted(path), quoted(mounted)),
        },
        remedy: remedy.to_owned(),
    }
}

/// The directory that the job is cloned into, if `build` has the variable for it.
fn checkout<'p>(pod: &'p Pod<'_>) -> Option<Cow<'p, str>> {
    let (_, project) = build(pod)?.env("CI_PROJECT_DIR")?;
    project.value.as_deref().map(normalised)
}

/// Gives git a configuration file outside HOME, in a volume of its own. A job that names
/// a file keeps it.
fn move_git_config<'a>(
    corrector: &mut Corrector<'a, '_>,
    targets: &[Target<'a>],
    profile: &EffectiveProfile<'a>,
    by: impl Fn(Option<Scope<'a>>) -> By<'a>,
) {
    let own = build(corrector.pod()).and_then(|build| build.env(GIT_CONFIG));
    if own.is_some_and(|(_, var)| var.value.as_deref() != Some(GIT_CONFIG_FILE)) {
        return;
    }
    // The profile, or the runner's administrator.
    let has_another = |at: ContainerRef, pod: &Pod<'a>| {
        let container = pod.container(at);
        let (_, rules) = profile.rules(at.list, container);
        let of_profile = [rules.set(), rules.if_unset()];
        let own = container.env(GIT_CONFIG);
        own.is_some_and(|(_, var)| var.value.as_deref() != Some(GIT_CONFIG_FILE))
            || of_profile
                .iter()
                .any(|fields| fields.env().contains_key(GIT_CONFIG))
    };
    for &(scope, at) in targets {
        if has_another(at, corrector.pod()) {
            continue;
        }
        corrector.by(by(Some(scope)));
        corrector.set_env(at, GIT_CONFIG, GIT_CONFIG_FILE.into());
    }
    let containers = targets.iter().map(|&(scope, at)| (at, by(Some(scope))));
    let containers: Vec<_> = containers.collect();
    mount(
        corrector,
        &containers,
        by(None),
        (GIT_FOLDER, Needs::Any),
        GIT_VOLUME,
        profile,
    );
}
