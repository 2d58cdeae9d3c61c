//! Reads a profile, and refuses one that no pod could ever meet.

use super::super::grants;
use super::super::home_path::HomePath;
use super::super::job::Role;
use super::super::text::quoted;
use super::Profile;

/// How many bytes of a YAML error are told: it quotes the file, however long
/// its lines are.
const TOLD: usize = 2000;

fn beginning(error: &str) -> &str {
    &error[..error.floor_char_boundary(TOLD)]
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not YAML, or not a profile.
    #[error("not a profile: {}", beginning(&.0.to_string()))]
    Yaml(#[from] serde_saphyr::Error),
    /// Names a limit that is no extended resource.
    #[error(
        "resources.limits: {} is not an extended resource (a qualified name such as \
         github.com/fuse, outside kubernetes.io); leave cpu and memory to the runner's config.toml",
        quoted(.0)
    )]
    NotExtended(String),
    /// Asks for a capability and for its absence.
    #[error("capabilities: {} is in both add and drop", quoted(.0))]
    AddedAndDropped(String),
    /// Says HOME twice, in two ways.
    #[error("env HOME: beside home: true; say home.path instead")]
    HomeInEnv,
    /// Grants at baseline what no profile can set, so no value could be admitted.
    #[error("grants.baseline: {0} is nothing a profile sets, so there is no value to admit")]
    Unsettable(&'static str),
    /// `home.path` is one the HOME rule itself would refuse.
    #[error("home.path: {0}")]
    Home(String),
}

impl Profile {
    /// Reads one profile.
    pub fn from_yaml(yaml: &str) -> Result<Profile, ProfileError> {
        let profile: Profile = serde_saphyr::from_str(yaml)?;
        for role in Role::ALL {
            let rules = profile.containers.role(role);
            for fields in [&rules.set, &rules.default] {
                let mut names = fields.resources.limits.keys();
                if let Some(name) = names.find(|name| !is_extended_resource(name)) {
                    return Err(ProfileError::NotExtended(name.clone()));
                }
            }
            // Either of these two would be corrected once more at every look.
            if let Some(name) = rules.capabilities.in_both() {
                return Err(ProfileError::AddedAndDropped(name.to_owned()));
            }
            if rules.home && rules.set.env.contains_key("HOME") {
                return Err(ProfileError::HomeInEnv);
            }
        }
        let granted = Role::ALL.map(|role| &profile.containers.role(role).grants.baseline);
        if let Some(family) = granted
            .into_iter()
            .flatten()
            .find(|f| !grants::is_settable(**f))
        {
            return Err(ProfileError::Unsettable(family.name()));
        }
        match HomePath::parse(&profile.home.path) {
            Ok(HomePath::Mountable(_)) => Ok(profile),
            Ok(HomePath::OfPodmanImage) => Err(ProfileError::Home(
                "is inside /home/podman, where a volume would hide the image's own configuration"
                    .to_owned(),
            )),
            Err(refusal) => Err(ProfileError::Home(refusal.to_string())),
        }
    }
}

/// Whether `name` is an extended resource (Kubernetes, "Resource Management for
/// Pods and Containers", v1.37): qualified, and outside `kubernetes.io`.
fn is_extended_resource(name: &str) -> bool {
    match name.split_once('/') {
        Some((domain, rest)) => {
            !rest.is_empty() && domain != "kubernetes.io" && !domain.ends_with(".kubernetes.io")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_refused_with_its_place() {
        let yaml =
            "name: x\nsummary: y\ncontainers:\n  build:\n    set:\n      securtyContext: {}\n";
        let error = Profile::from_yaml(yaml).expect_err("refused").to_string();
        assert!(
            error.contains("securtyContext") && error.contains('6'),
            "{error}"
        );
    }

    #[test]
    fn a_limit_on_memory_is_refused_since_it_could_fall_below_the_request() {
        let yaml = "name: x\nsummary: y\ncontainers: {build: {set: {resources: {limits: {memory: 1Gi}}}}}\n";
        let error = Profile::from_yaml(yaml).expect_err("refused").to_string();
        assert!(error.contains("config.toml"), "{error}");
    }

    #[test]
    fn a_home_that_the_rule_would_refuse_in_a_job_is_refused_in_a_profile() {
        for path in ["/", "home", "/etc/podman", "/home/podman"] {
            let yaml = format!("name: x\nsummary: y\nhome: {{path: {path}}}\n");
            assert!(Profile::from_yaml(&yaml).is_err(), "{path}");
        }
    }

    #[test]
    fn a_profile_that_contradicts_itself_is_refused_since_no_pod_would_ever_be_right() {
        for (rules, why) in [
            (
                "{capabilities: {add: [SETUID], drop: [cap_setuid]}}",
                "\"SETUID\" is in both add and drop",
            ),
            (
                "{capabilities: {add: [ALL], drop: [ALL]}}",
                "is in both add and drop",
            ),
            (
                "{home: true, set: {env: {HOME: /a}}}",
                "say home.path instead",
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
