//! Reads one profile, and rejects it if it has errors.

use super::{Severity, check};
use crate::profile::{Profile, ProfileError, Profiles, Written};

impl Profile {
    /// Reads one profile, which may extend a built-in one.
    pub fn from_yaml(yaml: &str) -> Result<Profile, ProfileError> {
        let written = Written::from_yaml(yaml)?;
        let base = match &written.extends {
            None => None,
            Some(base) => {
                let known = Profiles::built_in();
                let base = known.get(base);
                Some(base.ok_or_else(|| {
                    written.unknown_base(known.iter().map(|profile| profile.name.as_str()))
                })?)
            }
        };
        let profile = written.resolve(base)?;
        let findings = check(&profile);
        match findings
            .iter()
            .find(|finding| finding.severity == Severity::Error)
        {
            None => Ok(profile),
            Some(finding) => {
                let position = written.position(&finding.path);
                Err(ProfileError::at(position, finding.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::BUILT_IN;

    #[test]
    fn users_could_write_every_built_in_profile() {
        for (name, yaml) in BUILT_IN {
            let read = Profile::from_yaml(yaml).unwrap_or_else(|error| panic!("{name}: {error}"));
            let built_in = true;
            let read = Profile { built_in, ..read };
            assert_eq!(Some(&read), Profiles::built_in().get(name));
        }
    }

    #[test]
    fn a_misspelt_field_is_rejected_with_its_place() {
        let yaml =
            "name: x\nsummary: y\ncontainers:\n  build:\n    set:\n      securtyContext: {}\n";
        let error = Profile::from_yaml(yaml).expect_err("refused").to_string();
        assert!(
            error.contains("securtyContext") && error.contains('6'),
            "{error}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_reported_with_its_field_and_place_in_plain_words() {
        for (value, problem) in [
            (
                "runAsUser: \"2000\"",
                "runAsUser: invalid type: string \"2000\", expected a whole number, without quotes",
            ),
            (
                "privileged: yes",
                "privileged: invalid type: string \"yes\", expected true or false",
            ),
            (
                "appArmorProfile: localhost/podman",
                "expected fields, each as key: value",
            ),
            ("runAsUser: {}", "expected a whole number"),
        ] {
            let yaml = format!(
                "name: x\nsummary: y\ncontainers:\n  build:\n    set:\n      securityContext:\n        \
                 {value}\n"
            );
            let error = Profile::from_yaml(&yaml).expect_err(value).to_string();
            let at = "line 7 column ";
            assert!(error.starts_with(at) && error.contains(problem), "{error}");
            assert!(
                error.contains("containers.build.set.securityContext."),
                "{error}"
            );
        }
        let twice = "name: x\nname: y\n";
        let error = Profile::from_yaml(twice).expect_err("twice").to_string();
        assert!(
            error.contains("duplicate") && !error.contains("Policy"),
            "{error}"
        );
    }

    #[test]
    fn a_memory_limit_is_rejected_since_it_could_be_below_the_request() {
        let yaml = "name: x\nsummary: y\ncontainers: {build: {set: {resources: {limits: {memory: 1Gi}}}}}\n";
        let error = Profile::from_yaml(yaml).expect_err("refused").to_string();
        assert!(error.contains("config.toml"), "{error}");
    }

    #[test]
    fn a_home_that_is_rejected_in_a_job_is_rejected_in_a_profile() {
        for path in ["/", "home", "/etc/podman", "/home/podman"] {
            let yaml = format!("name: x\nsummary: y\nhome: {{path: {path}}}\n");
            assert!(Profile::from_yaml(&yaml).is_err(), "{path}");
        }
    }

    #[test]
    fn a_profile_that_contradicts_itself_is_rejected_since_no_pod_could_match_it() {
        for (rules, why) in [
            (
                "{capabilities: {add: [SETUID], drop: [cap_setuid]}}",
                "\"SETUID\" is both in add or allow and in drop",
            ),
            (
                "{capabilities: {add: [ALL], drop: [ALL]}}",
                "is both in add or allow and in drop",
            ),
            (
                "{home: true, set: {env: {HOME: /a}}}",
                "set home.path instead",
            ),
        ] {
            let yaml = format!("name: x\nsummary: y\ncontainers: {{helper: {rules}}}\n");
            let error = Profile::from_yaml(&yaml).expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_error_is_short_however_long_the_file_is() {
        let long = "x".repeat(100_000);
        for yaml in [
            format!("name: x\nsummary: y\n{long}: z\n"),
            format!("name: x\nsummary: y\nhome: [{long}\n"),
            format!(
                "name: x\nsummary: y\ncontainers: {{build: {{set: {{resources: {{limits: {{{long}: 1}}}}}}}}}}\n"
            ),
        ] {
            let error = Profile::from_yaml(&yaml).expect_err("refused").to_string();
            assert!(error.len() < 2100, "{} bytes", error.len());
        }
    }
}
