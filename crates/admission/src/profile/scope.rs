//! Which containers of a job the rules of a profile are for.
//!
//! | in a profile, under `containers` | for |
//! |---|---|
//! | `build`, `helper`, `init`, `services` | the containers of a role |
//! | `images` | services whose image matches a pattern, instead of the rules of `services` |
//! | `initContainers` | init containers that are not the runner's, by their name |
//!
//! Nothing goes by the name of a service: it is its alias, which the job's author
//! chooses.

use super::image_pattern;
use super::types::{ContainerRules, Rules};
use crate::gitlab::role::Role;
use crate::pod::Container;
use crate::pod::place::List;

/// Which containers rules are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'p> {
    /// Those of a role.
    Role(Role),
    /// Services whose image matches this pattern.
    Image(&'p str),
    /// Init containers of this name that are not the runner's.
    InitContainer(&'p str),
}

impl<'p> Scope<'p> {
    /// The path of the rules, from the profile's top.
    pub fn path(self) -> Vec<&'p str> {
        match self {
            Scope::Role(role) => vec!["containers", role.key()],
            Scope::Image(pattern) => vec!["containers", "images", pattern],
            Scope::InitContainer(name) => vec!["containers", "initContainers", name],
        }
    }

    /// The role of its containers.
    pub fn role(self) -> Role {
        match self {
            Scope::Role(role) => role,
            Scope::Image(_) | Scope::InitContainer(_) => Role::Services,
        }
    }
}

impl ContainerRules {
    /// All rules, those of roles first.
    pub fn all(&self) -> impl Iterator<Item = (Scope<'_>, &Rules)> {
        let roles = Role::ALL.map(|role| (Scope::Role(role), self.role(role)));
        let images = self.images.iter();
        let images = images.map(|(pattern, rules)| (Scope::Image(pattern), rules));
        let inits = self.init_containers.iter();
        let inits = inits.map(|(name, rules)| (Scope::InitContainer(name), rules));
        roles.into_iter().chain(images).chain(inits)
    }

    /// The rules for a container. Of several patterns that match, the longest applies.
    pub fn of(&self, list: List, container: &Container<'_>) -> (Scope<'_>, &Rules) {
        let role = Role::of(list, &container.name);
        let bound = match (role, list) {
            (Role::Services, List::Regular) => {
                let image = container.image.as_deref().unwrap_or_default();
                let matching = self.images.iter();
                let matching =
                    matching.filter(|(pattern, _)| image_pattern::matches(pattern, image));
                let longest = matching.max_by_key(|(pattern, _)| pattern.len());
                longest.map(|(pattern, rules)| (Scope::Image(pattern), rules))
            }
            (Role::Services, List::Init) => {
                let named = self.init_containers.get_key_value(&*container.name);
                named.map(|(name, rules)| (Scope::InitContainer(name), rules))
            }
            _ => None,
        };
        bound.unwrap_or((Scope::Role(role), self.role(role)))
    }
}
