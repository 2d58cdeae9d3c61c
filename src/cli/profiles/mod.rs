//! `podseal profiles`: lists, prints and checks profiles.

mod check;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail};

use super::args::output_format::OutputFormat;
use super::output::{self, visible};
use crate::live_config::profile_folder::ProfileFolder;
use admission::lint::files::ProfileFile;
use admission::profile::{BUILT_IN, Profiles, Written};

pub(super) const LONG_ABOUT: &str = "\
List the profiles and when to use each, or print one as YAML. With --check, check your own profiles.";

/// Arguments of `podseal profiles`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ProfilesArgs {
    /// Name of the profile to print
    name: Option<String>,
    /// Folder of your own profiles, in addition to the built-in ones
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
    /// Check the profiles of a folder
    ///
    /// Shows errors and warnings, and what each profile sets and grants beyond the Pod Security
    /// Standards.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "profiles"])]
    check: Option<PathBuf>,
    /// Print the JSON Schema of profiles, for editors
    ///
    /// Save it as profile.schema.json in the folder of your profiles.
    #[arg(long, conflicts_with_all = ["name", "profiles", "check"])]
    schema: bool,
    /// Output format of --check: text or one JSON object
    #[arg(short, long, value_enum, default_value = "text", requires = "check")]
    output: OutputFormat,
}

const SCHEMA: &str = include_str!("../../../docs/profile.schema.json");

const EXAMPLES: &str = "\
Examples:
  # List the profiles
  podseal profiles

  # Start your own profile from a built-in one; then change its name
  podseal profiles root-fuse > profiles/mine.yaml

  # Check your own profiles
  podseal profiles --check profiles

  # Let editors check and complete your profiles
  podseal profiles --schema > profiles/profile.schema.json

Exit code: 0 on success, 1 when --check finds a profile that cannot be used, 2 when an input cannot
be read.";

const NAME: Style = AnsiColor::Cyan.on_default().bold();

/// Runs the command.
pub fn run(args: &ProfilesArgs) -> anyhow::Result<ExitCode> {
    if args.schema {
        output::write_out(SCHEMA.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &args.check {
        return check::check(path, args.output == OutputFormat::Json);
    }
    let (profiles, files) = match &args.profiles {
        None => (Profiles::built_in().clone(), Vec::new()),
        Some(path) => {
            let files = ProfileFolder::new(path).files().context("--profiles")?;
            let (profiles, _) = ProfileFolder::parse(&files).context("--profiles")?;
            (profiles, files)
        }
    };
    match &args.name {
        Some(name) => print_one(name, &profiles, &files)?,
        None => list(&profiles)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_one(name: &str, profiles: &Profiles, files: &[ProfileFile]) -> anyhow::Result<()> {
    let built_in = BUILT_IN.into_iter().find(|(built_in, _)| *built_in == name);
    let is_named =
        |file: &&ProfileFile| Written::from_yaml(&file.text).is_ok_and(|p| p.name == name);
    let custom = || files.iter().find(is_named).map(|file| file.text.as_str());
    let Some(yaml) = built_in.map(|(_, yaml)| yaml).or_else(custom) else {
        bail!(
            "there is no profile {name:?}; there are {}",
            profiles.names_near(name)
        );
    };
    output::write_out(yaml.as_bytes())
}

fn list(profiles: &Profiles) -> anyhow::Result<()> {
    let width = profiles
        .iter()
        .map(|profile| profile.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for profile in profiles.iter() {
        let (name, summary) = (&profile.name, visible(&profile.summary));
        writeln!(text, "{NAME}{name:width$}{NAME:#}  {summary}")?;
    }
    text.push_str(
        "\nThe least privileged profile is first. To choose a profile, label the namespace:\n  \
         kubectl label namespace NAMESPACE podseal.io/profile=PROFILE\n\n\
         On nodes with AppArmor (such as Ubuntu, Debian and GKE) or a default seccomp profile, Podman \
         fails\nwith every profile except privileged until you change that for job containers.\n\
         docs/nodes.md explains how to check your nodes, and what to change.\n",
    );
    output::print(&text)
}
