//! `podseal profiles`: what there is to choose from.

use std::fmt::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::bail;

use crate::admission::profile::{BUILT_IN, Profiles};

pub(super) const LONG_ABOUT: &str = "\
Lists the profiles with a line on when to use which, or prints one as YAML, in the \
format in which profiles are written.";

/// Arguments of `podseal profiles`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  podseal profiles\n  podseal profiles root-fuse")]
pub struct Args {
    /// The profile to print
    name: Option<String>,
}

const NAME: Style = AnsiColor::Cyan.on_default().bold();

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.name {
        Some(name) => print_one(name)?,
        None => list()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_one(name: &str) -> anyhow::Result<()> {
    let built_in = BUILT_IN.into_iter().find(|(built_in, _)| *built_in == name);
    let Some((_, yaml)) = built_in else {
        bail!(
            "there is no profile {name:?}; there are {}",
            Profiles::built_in().names()
        );
    };
    super::write_out(yaml.as_bytes())
}

fn list() -> anyhow::Result<()> {
    let profiles = Profiles::built_in();
    let width = profiles
        .iter()
        .map(|profile| profile.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for profile in profiles.iter() {
        let (name, summary) = (&profile.name, &profile.summary);
        writeln!(text, "{NAME}{name:width$}{NAME:#}  {summary}")?;
    }
    text.push_str(
        "\nThe least privileged comes first. A namespace chooses one by its label:\n  \
         kubectl label namespace NAMESPACE podseal.io/profile=PROFILE\n",
    );
    super::render::print(&text)
}
