//! A profile as it is in effect in one namespace.
//!
//! A view of the profile and of the few values that the namespace overrides.
//! Nothing is copied, so there is nothing to cache: building one for a review costs
//! the check of these values.

use std::collections::BTreeMap;

use serde::Serialize;

use super::overrides::Overrides;
use super::security_context::SecurityContext;
use super::{
    Capabilities, ContainerFields, Grants, Medium, PodFields, PodRules, Profile, Rules, Scope,
    Setting, Toleration,
};
use crate::gitlab::role::Role;
use crate::pod::Container;
use crate::pod::field::{Field, Scalar};
use crate::pod::place::List;

/// A profile as it is in effect in one namespace. No rule of the profile can be read
/// from it without the values that the namespace overrides.
#[derive(Debug, Clone, Copy)]
pub struct EffectiveProfile<'a> {
    pub(super) profile: &'a Profile,
    overrides: Overrides<'a>,
    /// Whether a namespace rule names the profile. An older podseal may not know it.
    by_rule: bool,
}

/// A part of an effective profile, such as the rules of a role.
#[derive(Debug)]
pub(crate) struct EffectivePart<'a, T> {
    part: &'a T,
    overrides: Overrides<'a>,
}

pub(crate) type EffectiveRules<'a> = EffectivePart<'a, Rules>;
pub(crate) type EffectiveSecurityContext<'a> = EffectivePart<'a, SecurityContext>;

/// An `emptyDir` that podseal adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EmptyDir<'a> {
    pub(crate) size_limit: Option<&'a str>,
    pub(crate) medium: Option<Medium>,
}

impl<'a> EffectiveProfile<'a> {
    /// The profile without overrides.
    pub fn unchanged(profile: &'a Profile) -> EffectiveProfile<'a> {
        EffectiveProfile {
            profile,
            overrides: Overrides::default(),
            by_rule: false,
        }
    }

    /// The profile with these values overridden.
    ///
    /// # Errors
    /// With the setting whose value cannot be used, and the reason: a clause that
    /// follows the setting's name.
    pub fn new(
        profile: &'a Profile,
        values: impl IntoIterator<Item = (Setting, &'a str)>,
    ) -> Result<EffectiveProfile<'a>, (Setting, String)> {
        Ok(EffectiveProfile {
            overrides: Overrides::new(profile, values)?,
            ..EffectiveProfile::unchanged(profile)
        })
    }

    /// The same profile for a pod whose `build` keeps its user.
    pub(crate) fn for_user(self, kept: Option<i64>) -> EffectiveProfile<'a> {
        let overrides = Overrides {
            run_as_user: kept.or(self.overrides.run_as_user),
            ..self.overrides
        };
        EffectiveProfile { overrides, ..self }
    }

    /// The same profile; `by_rule` where a namespace rule names it.
    pub(crate) fn by_rule(self, by_rule: bool) -> EffectiveProfile<'a> {
        EffectiveProfile { by_rule, ..self }
    }

    pub(crate) fn profile(&self) -> &'a Profile {
        self.profile
    }

    pub(crate) fn name(&self) -> &'a str {
        &self.profile.name
    }

    /// Whether corrected pods are marked with the profile's version: only where it
    /// can change while the version of podseal stays the same.
    pub(crate) fn is_marked(&self) -> bool {
        self.by_rule || !self.profile.is_built_in()
    }

    pub(crate) fn revision(&self) -> u64 {
        self.profile.revision
    }

    /// The overridden values, for the mark.
    pub(crate) fn overrides(&self) -> impl Serialize {
        self.overrides.serializable()
    }

    pub(crate) fn pod(&self) -> EffectivePart<'a, PodRules> {
        self.part(&self.profile.pod)
    }

    /// The rules for a container, and whose they are.
    pub(crate) fn rules(
        &self,
        list: List,
        container: &Container<'_>,
    ) -> (Scope<'a>, EffectiveRules<'a>) {
        let (scope, rules) = self.profile.containers.of(list, container);
        (scope, self.part(rules))
    }

    /// All rules.
    pub(crate) fn all_rules(&self) -> impl Iterator<Item = EffectiveRules<'a>> {
        let all = self.profile.containers.all();
        all.map(|(_, rules)| self.part(rules))
    }

    pub(crate) fn role(&self, role: Role) -> EffectiveRules<'a> {
        self.part(self.profile.containers.role(role))
    }

    fn part<T>(&self, part: &'a T) -> EffectivePart<'a, T> {
        let overrides = self.overrides;
        EffectivePart { part, overrides }
    }

    /// The path of HOME where the job sets none.
    pub(crate) fn home_path(&self) -> &'a str {
        self.overrides.home.unwrap_or(&self.profile.home.path)
    }

    pub(crate) fn empty_dir(&self) -> EmptyDir<'a> {
        let home = &self.profile.home;
        EmptyDir {
            size_limit: self.overrides.home_size.or(home.size_limit.as_deref()),
            medium: home.medium,
        }
    }

    pub(crate) fn is_overridden(&self, setting: Setting) -> bool {
        match setting {
            Setting::RunAsUser => self.overrides.run_as_user.is_some(),
            Setting::Home => self.overrides.home.is_some(),
            Setting::HomeSize => self.overrides.home_size.is_some(),
            Setting::FuseResource => self.overrides.fuse.is_some(),
        }
    }

    /// The name that the profile has for the limit `name`, where the namespace
    /// overrides that name.
    pub fn original_limit(&self, name: &str) -> Option<&'a str> {
        let fuse = self.overrides.fuse.filter(|fuse| fuse.effective == name);
        fuse.map(|fuse| fuse.original)
    }
}

impl<'a, T> EffectivePart<'a, T> {
    fn part<U>(&self, part: &'a U) -> EffectivePart<'a, U> {
        let overrides = self.overrides;
        EffectivePart { part, overrides }
    }

    /// Whether the profile has no rule in this part.
    pub(crate) fn is_empty(&self) -> bool
    where
        T: Default + PartialEq,
    {
        *self.part == T::default()
    }
}

impl<'a> EffectivePart<'a, PodRules> {
    pub(crate) fn set(&self) -> EffectivePart<'a, PodFields> {
        self.part(&self.part.set)
    }

    pub(crate) fn if_unset(&self) -> EffectivePart<'a, PodFields> {
        self.part(&self.part.if_unset)
    }
}

impl<'a> EffectivePart<'a, PodFields> {
    pub(crate) fn annotations(&self) -> &'a BTreeMap<String, String> {
        &self.part.annotations
    }

    pub(crate) fn host_users(&self) -> Option<bool> {
        self.part.host_users
    }

    pub(crate) fn security_context(&self) -> EffectiveSecurityContext<'a> {
        self.part(&self.part.security_context)
    }

    pub(crate) fn runtime_class_name(&self) -> Option<&'a str> {
        self.part.runtime_class_name.as_deref()
    }

    pub(crate) fn node_selector(&self) -> &'a BTreeMap<String, String> {
        &self.part.node_selector
    }

    pub(crate) fn tolerations(&self) -> &'a [Toleration] {
        &self.part.tolerations
    }
}

impl<'a> EffectiveRules<'a> {
    pub(crate) fn set(&self) -> EffectivePart<'a, ContainerFields> {
        self.part(&self.part.set)
    }

    pub(crate) fn if_unset(&self) -> EffectivePart<'a, ContainerFields> {
        self.part(&self.part.if_unset)
    }

    pub(crate) fn capabilities(&self) -> &'a Capabilities {
        &self.part.capabilities
    }

    /// Whether these containers get HOME.
    pub(crate) fn home(&self) -> bool {
        self.part.home
    }

    /// Where these containers get an `emptyDir`.
    pub(crate) fn empty_dirs(&self) -> &'a [String] {
        &self.part.empty_dirs
    }

    pub(crate) fn grants(&self) -> &'a Grants {
        &self.part.grants
    }
}

impl<'a> EffectivePart<'a, ContainerFields> {
    pub(crate) fn security_context(&self) -> EffectiveSecurityContext<'a> {
        self.part(&self.part.security_context)
    }

    pub(crate) fn env(&self) -> &'a BTreeMap<String, String> {
        &self.part.env
    }

    /// Name and quantity of each limit.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let fuse = self.overrides.fuse;
        let limits = self.part.resources.limits.iter();
        limits.map(move |(name, quantity)| match fuse {
            Some(fuse) if fuse.original == name => (fuse.effective, quantity.as_str()),
            _ => (name.as_str(), quantity.as_str()),
        })
    }
}

impl<'a> EffectiveSecurityContext<'a> {
    /// The fields that the profile has a value for.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (Field, Scalar<'a>)> + use<'a> {
        let run_as_user = self.overrides.run_as_user;
        let fields = self.part.fields();
        fields.map(move |(field, value)| match (field, &value, run_as_user) {
            // Root stays root.
            (Field::RunAsUser, Scalar::Int(1..), Some(user)) => (field, Scalar::Int(user)),
            _ => (field, value),
        })
    }

    pub(crate) fn supplemental_groups(&self) -> &'a [i64] {
        &self.part.supplemental_groups
    }

    /// Whether the profile has a value for `field`.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.part.get(field).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Written;
    use super::*;

    const PROFILE: &str = "
name: x
home: {path: /profile, sizeLimit: 1Gi}
pod: {ifUnset: {securityContext: {runAsUser: 5, runAsGroup: 5}}}
containers:
  build:
    set:
      securityContext: {runAsUser: 0}
      resources: {limits: {a.b/fuse: 1, a.b/gpu: 2}}
  helper: {home: true, ifUnset: {securityContext: {runAsUser: 6}}}
";

    fn users(context: &EffectiveSecurityContext<'_>) -> Vec<String> {
        let fields = context.fields();
        fields.map(|(_, value)| value.to_string()).collect()
    }

    #[test]
    fn every_rule_has_the_values_that_the_namespace_overrides() {
        let written = Written::from_yaml(PROFILE).expect("a profile");
        let profile = written.resolve(None).expect("a profile");
        let values = [
            (Setting::RunAsUser, "7"),
            (Setting::Home, "/namespace"),
            (Setting::HomeSize, "2Gi"),
            (Setting::FuseResource, "c.d/fuse"),
        ];
        let original = EffectiveProfile::unchanged(&profile);
        let effective = EffectiveProfile::new(&profile, values).expect("valid values");
        for (profile, pod, helper, home, size, fuse) in [
            (original, ["5", "5"], ["6"], "/profile", "1Gi", "a.b/fuse"),
            (
                effective,
                ["7", "5"],
                ["7"],
                "/namespace",
                "2Gi",
                "c.d/fuse",
            ),
        ] {
            let [build_rules, helper_rules] =
                [Role::Build, Role::Helper].map(|role| profile.role(role));
            assert_eq!(users(&profile.pod().if_unset().security_context()), pod);
            assert_eq!(users(&helper_rules.if_unset().security_context()), helper);
            let build_user = users(&build_rules.set().security_context());
            assert_eq!(build_user, ["0"], "root stays root");
            assert_eq!(profile.home_path(), home);
            assert_eq!(profile.empty_dir().size_limit, Some(size));
            let limits: Vec<_> = build_rules.set().limits().collect();
            assert_eq!(limits, [(fuse, "1"), ("a.b/gpu", "2")]);
        }
        assert_eq!(effective.original_limit("c.d/fuse"), Some("a.b/fuse"));
        assert_eq!(effective.original_limit("a.b/fuse"), None);
        assert_eq!(original.original_limit("a.b/fuse"), None);
        for setting in Setting::ALL {
            assert!(effective.is_overridden(setting) && !original.is_overridden(setting));
        }
    }
}
