//! `podseal rules`: the webhook paths to register for a file of namespace rules.

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::policy;
use super::output;
use admission::profile::Profiles;

pub(super) const LONG_ABOUT: &str = "\
Check a file of namespace rules as `podseal serve --namespace-rules` does, and print the two \
webhook paths for it. Use these paths in the entries for namespace rules of the webhook \
configurations. The chart does this itself.

The paths contain a digest of the file. Only a replica that loaded the same file, byte for byte, \
decides reviews on these paths. Any other replica denies them with code 503, and clients retry. So \
a replica that has not loaded a new rule yet admits no pod without it. On /mutate and /validate, \
each replica decides with the rules that it loaded.";

const EXAMPLES: &str = "\
Examples:
  # Check rules, and print their paths
  podseal rules rules.yaml

  # Check rules that name your own profiles
  podseal rules rules.yaml --profiles profiles

Exit code: 0 on success, 2 when the rules cannot be used.";

/// Arguments of `podseal rules`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RulesArgs {
    /// File of namespace rules, as for `podseal serve --namespace-rules`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder of your own profiles, which the rules may name
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
