//! What happens to a job that sets nothing itself.

use super::sample::Sample;
use super::{Findings, exposure};
use crate::profile::grants::for_each_not_granted;
use crate::profile::{Profile, Scope};
use crate::standards::Level;

impl Findings {
    pub(crate) fn job(&mut self, profile: &Profile) {
        let samples = Sample::all(profile);
        if samples.iter().any(|sample| !self.can_use(sample)) {
            return;
        }
        for (scope, family) in exposure::idle_grants(profile, &samples) {
            let mut path = path_of(Some(scope));
            if matches!(scope, Scope::Role(_)) {
                path.extend(["grants", "baseline"]);
            }
            self.warning(
                &path,
                format!(
                    "{} admits the value that the profile sets, and it sets none for {}",
                    family.name(),
                    exposure::named(scope)
                ),
            );
        }
        for sample in &samples {
            self.is_at_baseline(sample);
        }
    }

    /// Whether the profile can be applied to the job.
    fn can_use(&mut self, sample: &Sample<'_>) -> bool {
        let Err(refusal) = sample.after(Level::Baseline) else {
            return true;
        };
        let (place, field, problem) = (refusal.place, refusal.field, refusal.problem);
        let job = sample.bound().map_or_else(
            || "no job".to_owned(),
            |scope| format!("no job with {}", exposure::named(scope)),
        );
        let path = sample
            .bound()
            .map_or(vec!["containers"], |scope| path_of(Some(scope)));
        self.error(
            &path,
            format!("{job} can use it: {place}: {field}: {problem}"),
        );
        false
    }

    /// Whether the level of most namespaces admits the job.
    fn is_at_baseline(&mut self, sample: &Sample<'_>) {
        // What cannot be applied has an error.
        let Ok(pod) = sample.after(Level::Baseline) else {
            return;
        };
        let mut first = None;
        for_each_not_granted(
            &pod,
            Level::Baseline,
            Some(&sample.profile()),
            |violation| {
                if sample.is_about(&pod, &violation) {
                    first.get_or_insert(violation);
                }
            },
        );
        let Some(first) = first else {
            return;
        };
        let jobs = sample.bound().map_or_else(
            || "every job".to_owned(),
            |scope| format!("every job with {}", exposure::named(scope)),
        );
        self.warning(
            &path_of(sample.scope(&pod, &first)),
            format!(
                "{}: {} exceeds the level baseline, the default of a namespace, so \
                 {jobs} is denied there; grant {} under grants.baseline, or use it at level \
                 privileged",
                first.field,
                first.value.text(),
                first.control.family().name(),
            ),
        );
    }
}

/// The path of the rules, or of the pod's. The names of images and init containers are not
/// in an outline's path.
fn path_of(scope: Option<Scope<'_>>) -> Vec<&'static str> {
    match scope {
        None => vec!["pod"],
        Some(Scope::Role(role)) => vec!["containers", role.key()],
        Some(Scope::Image(_)) => vec!["containers", "images"],
        Some(Scope::InitContainer(_)) => vec!["containers", "initContainers"],
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
