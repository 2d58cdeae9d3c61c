//! `podseal rules`: what to register for a file of namespace rules.

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::policy;
use super::output;
use admission::profile::Profiles;

pub(super) const LONG_ABOUT: &str = "\
Checks a file of namespace rules as `podseal serve --namespace-rules` does, and prints the two paths \
that an entry for them in the webhook configurations has. The chart registers these by itself.

Only a replica that holds exactly this file decides by such a path, byte for byte; any other \
denies the review with code 503 and has the client come back. So no pod passes a replica that \
does not know a new rule yet. The plain paths /mutate and /validate stay as they are: each \
replica decides there by the rules that it holds.";

const EXAMPLES: &str = "\
Examples:
  podseal rules rules.yaml
  podseal rules rules.yaml --profiles profiles

Exit code: 0; 2 when a rule cannot be used.";

/// Arguments of `podseal rules`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RulesArgs {
    /// The file of rules, as --namespace-rules of `podseal serve` has it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A folder of profiles of your own, which the rules may name
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    let profiles = match &args.profiles {
        None => Profiles::built_in().clone(),
        Some(path) => policy::profiles_of(path)?.0,
    };
    let named = args.file.display().to_string();
    let (rules, digest) = policy::namespace_rules_of(&args.file, &named, None)?;
    if let Some(problem) = rules.problem_with(&profiles) {
        anyhow::bail!("{named}: {problem}");
    }
    for warning in rules.idle() {
        anstream::eprintln!("warning: {warning}");
    }
    output::write_out(format!("/mutate/{digest}\n/validate/{digest}\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
