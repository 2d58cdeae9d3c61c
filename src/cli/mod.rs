//! The commands, and what they print. Each has a folder.
//!
//! | folder or file | what it does |
//! |---|---|
//! | [`serve`], [`review`], [`probe`], [`profiles`], [`rules`] | a command each |
//! | `args` | arguments that several commands share |
//! | [`output`] | what they print, and their exit codes |

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod args;
pub mod output;
pub mod probe;
pub mod profiles;
pub mod review;
pub mod rules;
pub mod serve;

use self::output::{ERROR, UNUSABLE, write_out};

const LONG_ABOUT: &str = "\
Makes Podman work inside GitLab Runner job pods on Kubernetes.

podseal is an admission webhook. A namespace says which profile its job pods get:

    kubectl label namespace ci podseal.io/profile=rootless

and each job pod created there is given the securityContext, the HOME and the \
device that `podman build` needs. Every pod there, a job's or not, is held to the \
Pod Security Standards, with what the profile grants to a job; what may not pass \
is rejected with a reason. `podseal review` gives the same answers without a cluster.";

const EXAMPLES: &str = "\
Examples:
  podseal profiles                       which profiles there are, and when to use which
  podseal review --profile rootless pod.yaml
                                         what would change in this pod
  podseal serve --help                   how to run the webhook
  podseal probe --help                   whether it answers as an API server requires";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "podseal",
    version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("PODSEAL_COMMIT"), ")"),
    about = "Makes Podman work inside GitLab Runner job pods on Kubernetes",
    long_about = LONG_ABOUT,
    after_help = EXAMPLES,
    max_term_width = 100,
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the admission webhook over TLS
    #[command(long_about = serve::LONG_ABOUT)]
    Serve(Box<serve::ServeArgs>),
    /// Show what the webhook would answer for pods in files
    #[command(long_about = review::LONG_ABOUT)]
    Review(review::ReviewArgs),
    /// Ask a podseal as an API server would, and tell whether it answers
    #[command(long_about = probe::LONG_ABOUT)]
    Probe(probe::ProbeArgs),
    /// List the profiles, or print one as YAML
    #[command(long_about = profiles::LONG_ABOUT)]
    Profiles(profiles::ProfilesArgs),
    /// Check namespace rules, and print the paths to register for them
    #[command(long_about = rules::LONG_ABOUT)]
    Rules(rules::RulesArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  source <(podseal completions bash)")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Prints the completion script for `shell`.
pub fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "podseal", &mut script);
    write_out(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Turns a command's end into an exit code, and prints an error to stderr.
pub fn report(ended: anyhow::Result<ExitCode>) -> ExitCode {
    match ended {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{ERROR}error:{ERROR:#} {error:#}");
            ExitCode::from(UNUSABLE)
        }
    }
}

/// A reader that has seen enough (`podseal … | head`) is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
