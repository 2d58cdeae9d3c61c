//! All profiles that a namespace can name.

use super::types::{ContainerFields, Profile, Rules};
use crate::text::spelling::nearest;

/// How many names a message lists.
const LISTED: usize = 12;

/// The profiles a namespace can name.
#[derive(Debug, Clone)]
pub struct Profiles {
    all: Vec<Profile>,
    /// See [`Profiles::correction`].
    correction: usize,
}

/// Bytes of memory for a change: its sentence, and its operation as a value, as JSON,
/// as base64 and in the response.
const CHANGE: usize = 2048;
/// How many copies of a string of the profile are among them.
const COPIES: usize = 8;

impl FromIterator<Profile> for Profiles {
    fn from_iter<I: IntoIterator<Item = Profile>>(profiles: I) -> Self {
        let all: Vec<_> = profiles.into_iter().collect();
        let correction = all.iter().map(correction).max().unwrap_or_default();
        Profiles { all, correction }
    }
}

/// How many changes to a container are not fields of its role's rules: its
/// capabilities, HOME and the image store with their mounts, what the level restricted
/// requires, and the user of the collector.
const OTHER_CHANGES: usize = 18;

/// The bytes of memory that `profile` needs at most to correct a container.
fn correction(profile: &Profile) -> usize {
    let of_pairs = |(key, value): (&String, &String)| CHANGE + COPIES * (key.len() + value.len());
    let of_fields = |fields: &ContainerFields| {
        let pairs = fields.env.iter().chain(&fields.resources.limits);
        fields.security_context.fields().count() * CHANGE + pairs.map(of_pairs).sum::<usize>()
    };
    let of_rules = |rules: &Rules| {
        let of_volume = |path: &String| 2 * CHANGE + 2 * COPIES * path.len();
        let volumes = rules.empty_dirs.iter().map(of_volume).sum::<usize>();
        of_fields(&rules.set) + of_fields(&rules.if_unset) + volumes
    };
    let of_pod = [&profile.pod.set, &profile.pod.if_unset].map(|fields| {
        let pairs = fields.annotations.iter().chain(&fields.node_selector);
        let class = fields.runtime_class_name.as_ref();
        let texts = class.into_iter().map(String::len);
        let tolerations = fields.tolerations.iter();
        let texts = texts.chain(tolerations.map(|toleration| toleration.to_string().len()));
        let groups = fields.security_context.supplemental_groups.len();
        let fields = fields.security_context.fields().count() + groups;
        fields * CHANGE
            + pairs.map(of_pairs).sum::<usize>()
            + texts.map(|text| CHANGE + COPIES * text).sum::<usize>()
    });
    let of_container = profile
        .containers
        .all()
        .map(|(_, rules)| of_rules(rules))
        .max();
    OTHER_CHANGES * CHANGE + of_container.unwrap_or_default() + of_pod.iter().sum::<usize>()
}

impl Profiles {
    /// The bytes of memory that correcting a container needs at most.
    pub fn correction(&self) -> usize {
        self.correction
    }

    /// The profile called `name`.
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.iter().find(|profile| profile.name == name)
    }

    /// All of them, the least privileged first.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.all.iter()
    }

    /// Their names, for a message about the unknown `name`: the nearest first, and at
    /// most `LISTED`.
    pub fn names_near(&self, name: &str) -> String {
        let all = || self.iter().map(|profile| profile.name.as_str());
        let nearest = nearest(name, all());
        let others = all().filter(|other| Some(*other) != nearest);
        let names: Vec<_> = nearest.into_iter().chain(others).take(LISTED).collect();
        let names = names.join(", ");
        match self.all.len().checked_sub(LISTED) {
            Some(more @ 1..) => format!("{names} and {more} more"),
            _ => names,
        }
    }

    /// Their names, for a message: `userns, rootless, …`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.iter().map(|profile| profile.name.as_str()).collect();
        names.join(", ")
    }
}
