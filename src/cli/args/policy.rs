//! The arguments for profiles and namespace rules.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::live_config::current::LiveConfig;
use crate::live_config::digest::RulesDigest;
use crate::live_config::profile_folder::{ProfileFolder, log_warnings};
use admission::lint::files::ProfileFile;
use admission::namespace::rules::NamespaceRules;
use admission::profile::Profiles;

/// The warning about `--defaults`.
pub(in crate::cli) const DEPRECATED_FLAG: &str =
    "--defaults is deprecated; use --namespace-rules instead";

/// Profiles, namespace rules, and which pods to trust.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Policy")]
#[group(skip)]
pub(in crate::cli) struct PolicyArgs {
    /// Folder of your own profiles, one YAML file each, in addition to the built-in ones
    ///
    /// `podseal profiles root-fuse` prints a profile to start from.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) profiles: Option<PathBuf>,
    /// YAML file of rules for namespaces without the label podseal.io/profile
    ///
    /// The first rule that matches a namespace applies. The file is read once, at startup.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) namespace_rules: Option<PathBuf>,
    /// Deprecated name of --namespace-rules
    #[arg(
        long = "defaults",
        value_name = "FILE",
        hide = true,
        conflicts_with = "namespace_rules"
    )]
    pub(in crate::cli) deprecated_flag: Option<PathBuf>,
    /// Deny jobs if their profile grants more than baseline and no runner is named
    ///
    /// Without a runner, podseal recognizes jobs only by pod labels, which anyone can set. Name the
    /// runner's user in the namespace's annotation podseal.io/runner, or in `runner` of a namespace
    /// rule. With =false, anyone who can create pods in the namespace gets what the profile grants.
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
    /// Apply the same checks to pods with hostUsers: false as to other pods
    ///
    /// Set this for clusters with kubelets before 1.30, which run such pods without a user namespace.
    #[arg(long)]
    pub(in crate::cli) ignore_user_namespaces: bool,
}

/// A folder of profiles, and the files that were read from it.
pub(in crate::cli) struct LoadedFolder {
    pub(in crate::cli) folder: ProfileFolder,
    pub(in crate::cli) files: Vec<ProfileFile>,
}

impl PolicyArgs {
    /// The configuration they set, for a podseal that runs in the namespace `own`.
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
        tracing::warn!(%path, "the folder of --profiles has no profile");
    }
    Ok((profiles, LoadedFolder { folder, files }))
}

/// The namespace rules of a file, and their digest. Errors call the file `named`.
pub(in crate::cli) fn namespace_rules_of(
    path: &Path,
    named: &str,
    own: Option<&str>,
) -> anyhow::Result<(NamespaceRules, RulesDigest)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {named}"))?;
    let rules = NamespaceRules::from_yaml(&text, own).with_context(|| named.to_owned())?;
    Ok((rules, RulesDigest::of(&text)))
}
