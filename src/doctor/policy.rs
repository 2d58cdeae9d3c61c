//! The profiles and namespace rules that the cluster's podseal serves.

use admission::lint::files::{self, ProfileFile};
use admission::namespace::policy::Settings;
use admission::namespace::rules::NamespaceRules;
use admission::profile::Profiles;

use super::facts::Release;
use super::look::{Cluster, Look, escaped};
use super::objects::{Data, PodSpec};

/// Where they come from.
#[derive(Debug)]
pub enum Source {
    /// Only built-in profiles, and no rules.
    BuiltIn,
    /// These.
    Served(Box<Served>),
    /// A ConfigMap has them, which could not be read or used; and why.
    Hidden(String),
}

/// Profiles, rules, and settings.
#[derive(Debug)]
pub struct Served {
    profiles: Profiles,
    rules: NamespaceRules,
    require_runner: bool,
    ignore_user_namespaces: bool,
}

impl Served {
    /// These.
    pub fn new(
        profiles: Profiles,
        rules: NamespaceRules,
        require_runner: bool,
        ignore_user_namespaces: bool,
    ) -> Served {
        Served {
            profiles,
            rules,
            require_runner,
            ignore_user_namespaces,
        }
    }

    /// As the core takes them.
    pub fn settings(&self) -> Settings<'_> {
        Settings {
            profiles: &self.profiles,
            namespace_rules: &self.rules,
            require_runner: self.require_runner,
            ignore_user_namespaces: self.ignore_user_namespaces,
        }
    }
}

static BUILT_IN: std::sync::LazyLock<Served> = std::sync::LazyLock::new(|| {
    let rules = NamespaceRules::none(None);
    Served::new(Profiles::built_in().clone(), rules, true, false)
});

impl Source {
    /// What is served; the built-in profiles, where that is hidden.
    pub fn served(&self) -> &Served {
        match self {
            Source::Served(served) => served,
            Source::BuiltIn | Source::Hidden(_) => &BUILT_IN,
        }
    }

    /// What a release of the chart serves.
    pub(super) async fn of_release(cluster: &Cluster, release: &Release) -> Source {
        let Some(deployment) = release.deployment.seen() else {
            return match release.deployment.hidden() {
                Some(why) => Source::Hidden(why),
                None => Source::BuiltIn,
            };
        };
        let pod = &deployment.spec.template.spec;
        let args: Vec<_> = pod.containers.iter().flat_map(|c| &c.args).collect();
        let profiles = config_map(cluster, release, pod, "profiles").await;
        let rules = config_map(cluster, release, pod, "defaults").await;
        match (profiles, rules) {
            (Err(why), _) | (_, Err(why)) => Source::Hidden(why),
            (Ok(profiles), Ok(rules)) => {
                let require = !args.iter().any(|arg| *arg == "--require-runner=false");
                let ignore = args.iter().any(|arg| *arg == "--ignore-user-namespaces");
                let own = Some(release.namespace.as_str());
                match served(profiles, rules, own) {
                    Ok((profiles, rules)) => {
                        let served = Served::new(profiles, rules, require, ignore);
                        Source::Served(Box::new(served))
                    }
                    Err(why) => Source::Hidden(why),
                }
            }
        }
    }
}

/// The data of the ConfigMap that the volume `volume` is of; none without such a volume.
async fn config_map(
    cluster: &Cluster,
    release: &Release,
    pod: &PodSpec,
    volume: &str,
) -> Result<Option<Data>, String> {
    let volume = pod.volumes.iter().find(|own| own.name == volume);
    let Some(name) = volume.and_then(|volume| volume.config_map.as_ref()) else {
        return Ok(None);
    };
    let (namespace, name) = (escaped(&release.namespace), escaped(&name.name));
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
    match cluster.get(&path).await {
        Look::Seen(data) => Ok(Some(data)),
        hidden => Err(hidden
            .hidden()
            .unwrap_or_else(|| format!("the ConfigMap {name} does not exist"))),
    }
}

fn served(
    profiles: Option<Data>,
    rules: Option<Data>,
    own: Option<&str>,
) -> Result<(Profiles, NamespaceRules), String> {
    let files = profiles.into_iter().flat_map(|data| data.data);
    let is_yaml = |name: &str| name.ends_with(".yaml") || name.ends_with(".yml");
    let files = files.filter(|(name, _)| is_yaml(name));
    let files: Vec<_> = files
        .map(|(name, text)| ProfileFile { name, text })
        .collect();
    let (profiles, _) = files::read(&files).map_err(|remarks| {
        let first = remarks.first().map(ToString::to_string);
        first.unwrap_or_default()
    })?;
    let rules = match rules.iter().flat_map(|data| data.data.values()).next() {
        Some(text) => NamespaceRules::from_yaml(text, own).map_err(|error| error.to_string())?,
        None => NamespaceRules::none(own),
    };
    Ok((profiles, rules))
}
