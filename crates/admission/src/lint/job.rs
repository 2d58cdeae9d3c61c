//! What happens to a job that sets nothing itself.

use super::{Findings, exposure};
use crate::gitlab::role::Role;
use crate::pod::place::{ContainerRef, Place};
use crate::profile::grants::Violations;
use crate::profile::{EffectiveProfile, Profile, Scope};
use crate::standards::Level;

impl Findings {
    pub(crate) fn job(&mut self, profile: &Profile) {
        let pod = match exposure::job_of(profile, Level::Baseline) {
            Ok(pod) => pod,
            Err(refusal) => {
                let (place, field, problem) = (refusal.place, refusal.field, refusal.problem);
                self.error(
                    &["containers"],
                    format!("no job can use it: {place}: {field}: {problem}"),
                );
                return;
            }
        };
        for (scope, family) in exposure::idle_grants(profile) {
            // The names of images and init containers are not in an outline's path.
            let path: Vec<_> = match scope {
                Scope::Role(role) => vec!["containers", role.key(), "grants", "baseline"],
                Scope::Image(_) => vec!["containers", "images"],
                Scope::InitContainer(_) => vec!["containers", "initContainers"],
            };
            self.warning(
                &path,
                format!(
                    "{} admits the value that the profile sets, and it sets none for {}",
                    family.name(),
                    exposure::named(scope)
                ),
            );
        }
        let effective = EffectiveProfile::unchanged(profile);
        let violations = Violations::of(&pod, Level::Baseline, Some(&effective));
        let Some(first) = violations.listed.first() else {
            return;
        };
        let role = match first.place {
            Place::Pod => None,
            Place::Container(ContainerRef { list, .. }) => Some(Role::of(list, &first.container)),
        };
        let path = role.map_or(vec!["pod"], |role| vec!["containers", role.key()]);
        self.warning(
            &path,
            format!(
                "{}: {} exceeds the level baseline, the default of a namespace, so \
                 every job is denied there; grant {} under grants.baseline, or use it at level \
                 privileged",
                first.field,
                first.value.text(),
                first.control.family().name(),
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Severity, check};
    use crate::profile::Profile;

    #[test]
    fn what_the_default_level_forbids_is_warned_of_unless_it_is_granted() {
        let profile = |grants: &str| {
            let yaml = format!(
                "name: x\nsummary: y\ncontainers: {{build: {{home: true, set: {{securityContext: \
                 {{appArmorProfile: {{type: Unconfined}}}}}}{grants}}}}}\n"
            );
            check(&Profile::from_yaml(&yaml).expect("a profile"))
        };
        assert_eq!(profile(", grants: {baseline: [appArmorProfile]}"), []);
        let found = profile("");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Warning);
        let finding = found[0].to_string();
        assert!(
            finding.contains("grant appArmorProfile under grants.baseline"),
            "{finding}"
        );
    }

    #[test]
    fn a_grant_that_admits_nothing_is_warned_of() {
        let yaml = "name: x\nsummary: y\nextends: none\ncontainers: {build: {grants: {baseline: \
                    [privileged]}}, services: {grants: {baseline: [privileged]}}}\n";
        let found = check(&Profile::from_yaml(yaml).expect("a profile"));
        assert_eq!(found.len(), 1, "{found:?}");
        let finding = found[0].to_string();
        assert!(
            finding.starts_with("containers.build.grants.baseline: privileged"),
            "{finding}"
        );
    }

    #[test]
    fn a_value_with_which_every_job_would_be_denied_is_an_error() {
        let yaml = "name: x\nsummary: y\npod: {set: {hostUsers: false, securityContext: \
                    {runAsUser: 70000}}}\n";
        assert!(Profile::from_yaml(yaml).is_err());
    }
}
