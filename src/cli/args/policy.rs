//! The arguments that say what holds for namespaces, besides their labels.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::live_config::current::LiveConfig;
use crate::live_config::digest::RulesDigest;
use crate::live_config::profile_folder::ProfileFolder;
use admission::lint::files::ProfileFile;
use admission::namespace::rules::Defaults;
use admission::profile::Profiles;

/// Profiles, defaults, and what they are trusted with.
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
    pub(in crate::cli) defaults: Option<PathBuf>,
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
        let (defaults, digest) = match &self.defaults {
            None => (Defaults::none(own), None),
            Some(path) => {
                let named = format!("--defaults {}", path.display());
                let (defaults, digest) = defaults_of(path, &named, own)?;
                (defaults, Some(digest))
            }
        };
        if let (Some(problem), Some(path)) = (defaults.problem_with(&profiles), &self.defaults) {
            anyhow::bail!("--defaults {}: {problem}", path.display());
        }
        for warning in defaults.idle() {
            tracing::warn!(warning, "a default rule has no effect");
        }
        let rules = LiveConfig::new(
            profiles,
            defaults,
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
    for remark in remarks {
        tracing::warn!(warning = %remark, "a profile is unlikely to work");
    }
    if files.is_empty() {
        let path = path.display();
        tracing::warn!(%path, "no profile found in --profiles");
    }
    Ok((profiles, LoadedFolder { folder, files }))
}

/// The default rules of a file, which errors call `named`, and which they are.
pub(in crate::cli) fn defaults_of(
    path: &Path,
    named: &str,
    own: Option<&str>,
) -> anyhow::Result<(Defaults, RulesDigest)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {named}"))?;
    let defaults = Defaults::from_yaml(&text, own).with_context(|| named.to_owned())?;
    Ok((defaults, RulesDigest::of(&text)))
}
