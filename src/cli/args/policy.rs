//! The arguments that say what holds for namespaces, besides their labels.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::live_config::current::LiveConfig;
use crate::live_config::digest::RulesDigest;
use crate::live_config::profile_folder::{ProfileFolder, log_warnings};
use admission::lint::files::ProfileFile;
use admission::namespace::rules::NamespaceRules;
use admission::profile::Profiles;

/// What there is to say of a command with `--defaults`.
pub(in crate::cli) const DEPRECATED_FLAG: &str =
    "--defaults is deprecated; its name is --namespace-rules now";

/// Profiles, namespace rules, and what they are trusted with.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Policy")]
#[group(skip)]
pub(in crate::cli) struct PolicyArgs {
    /// A folder of profiles of your own, a YAML file each (`podseal profiles root-fuse` prints one
    /// to start from), beside the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) profiles: Option<PathBuf>,
    /// What holds for namespaces that have no label podseal.io/profile: a YAML file of rules, of
    /// which the first that matches counts; read once
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) namespace_rules: Option<PathBuf>,
    /// The old name of --namespace-rules
    #[arg(
        long = "defaults",
        value_name = "FILE",
        hide = true,
        conflicts_with = "namespace_rules"
    )]
    pub(in crate::cli) deprecated_flag: Option<PathBuf>,
    /// Deny jobs that are known by their labels alone where their profile grants more than the
    /// baseline, until the namespace names its runner in the annotation podseal.io/runner; with
    /// =false anyone who can create pods there gets what the profile grants
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        hide_possible_values = true,
        action = clap::ArgAction::Set
    )]
    pub(in crate::cli) require_runner: bool,
    /// Hold a pod with a user namespace of its own (hostUsers: false) to what every other pod is
    /// held to: for clusters with kubelets before 1.30, which run it without one
    #[arg(long)]
    pub(in crate::cli) ignore_user_namespaces: bool,
}

/// Profiles as they were read from a folder.
pub(in crate::cli) struct LoadedFolder {
    /// The folder.
    pub(in crate::cli) folder: ProfileFolder,
    /// The files they were read from.
    pub(in crate::cli) files: Vec<ProfileFile>,
}

impl PolicyArgs {
    /// What they say, for a podseal that runs in the namespace `own`.
    pub(in crate::cli) fn rules(
        &self,
        own: Option<&str>,
    ) -> anyhow::Result<(LiveConfig, Option<LoadedFolder>)> {
        let (profiles, read) = match &self.profiles {
            None => (Profiles::built_in().clone(), None),
            Some(path) => {
                let (profiles, read) = profiles_of(path)?;
                (profiles, Some(read))
            }
        };
        if self.deprecated_flag.is_some() {
            tracing::warn!("{DEPRECATED_FLAG}");
        }
        let file = self
            .namespace_rules
            .as_ref()
            .or(self.deprecated_flag.as_ref());
        let (namespace_rules, digest) = match file {
            None => (NamespaceRules::none(own), None),
            Some(path) => {
                let named = format!("--namespace-rules {}", path.display());
                let (rules, digest) = namespace_rules_of(path, &named, own)?;
                (rules, Some(digest))
            }
        };
        if let (Some(problem), Some(path)) = (namespace_rules.problem_with(&profiles), file) {
            anyhow::bail!("--namespace-rules {}: {problem}", path.display());
        }
        for warning in namespace_rules.idle() {
            tracing::warn!(warning, "a namespace rule has no effect");
        }
        let rules = LiveConfig::new(
            profiles,
            namespace_rules,
            digest,
            self.require_runner,
            self.ignore_user_namespaces,
        );
        Ok((rules, read))
    }
}

pub(in crate::cli) fn profiles_of(path: &Path) -> anyhow::Result<(Profiles, LoadedFolder)> {
    let folder = ProfileFolder::new(path);
    let read = folder.files().and_then(|files| {
        let (profiles, remarks) = ProfileFolder::parse(&files)?;
        Ok((files, profiles, remarks))
    });
    let (files, profiles, remarks) = read.map_err(|error| anyhow!("--profiles: {error}"))?;
    log_warnings(remarks);
    if files.is_empty() {
        let path = path.display();
        tracing::warn!(%path, "no profile found in --profiles");
    }
    Ok((profiles, LoadedFolder { folder, files }))
}

/// The namespace rules of a file, which errors call `named`, and which they are.
pub(in crate::cli) fn namespace_rules_of(
    path: &Path,
    named: &str,
    own: Option<&str>,
) -> anyhow::Result<(NamespaceRules, RulesDigest)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {named}"))?;
    let rules = NamespaceRules::from_yaml(&text, own).with_context(|| named.to_owned())?;
    Ok((rules, RulesDigest::of(&text)))
}
