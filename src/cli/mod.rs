//! The commands and their output. Each command has a folder.
//!
//! | folder or file | what it does |
//! |---|---|
//! | [`serve`], [`device_plugin`], [`review`], [`audit`], [`doctor`], [`probe`], [`profiles`], [`rules`] | one command each |
//! | `args` | arguments that several commands share |
//! | [`output`] | colours, YAML, diffs and exit codes |
//! | `signals` | SIGTERM and SIGINT |

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod args;
pub mod audit;
pub mod device_plugin;
pub mod doctor;
pub mod output;
pub mod probe;
pub mod profiles;
pub mod review;
pub mod rules;
pub mod serve;
mod signals;

use self::output::{ERROR, UNUSABLE, write_out};

const LONG_ABOUT: &str = "\
Makes Podman work inside GitLab Runner job pods on Kubernetes.

podseal is an admission webhook. Label a namespace with a profile:

    kubectl label namespace ci podseal.io/profile=rootless

podseal then sets the securityContext, HOME and device that `podman build` needs in each job pod \
created there. It enforces the Pod Security Standards for every pod of the namespace, except for \
what the profile grants to jobs, and denies other pods with a reason. `podseal review` shows the \
same decisions without a cluster.";

const EXAMPLES: &str = "\
Examples:
  # List the profiles, and when to use each
  podseal profiles

  # Show what would change in a pod
  podseal review --profile rootless pod.yaml

  # Show what was rejected, whose it was, and by which control
  kubectl logs -n podseal -l app.kubernetes.io/component=webhook --tail=-1 | podseal audit

  # Find what is wrong with the installation, and which profiles work on the nodes
  podseal doctor

  # Check that a running webhook answers as an API server requires
  podseal probe https://podseal.podseal.svc --ca-file ca.crt";

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
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The command to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the admission webhook over TLS
    #[command(long_about = serve::LONG_ABOUT)]
    Serve(Box<serve::ServeArgs>),
    /// Offer a node's /dev/fuse to its containers
    #[command(long_about = device_plugin::LONG_ABOUT)]
    DevicePlugin(device_plugin::DevicePluginArgs),
    /// Show what the webhook would decide about pods in files
    #[command(long_about = review::LONG_ABOUT)]
    Review(review::ReviewArgs),
    /// Summarize the records of decisions in podseal's log
    #[command(long_about = audit::LONG_ABOUT)]
    Audit(audit::AuditArgs),
    /// Find what is wrong with the installation, and which profiles work on the nodes
    #[command(long_about = doctor::LONG_ABOUT)]
    Doctor(doctor::DoctorArgs),
    /// Check that a running webhook answers as an API server requires
    #[command(long_about = probe::LONG_ABOUT)]
    Probe(probe::ProbeArgs),
    /// List the profiles, or print one as YAML
    #[command(long_about = profiles::LONG_ABOUT)]
    Profiles(profiles::ProfilesArgs),
    /// Check a file of namespace rules, and print its webhook paths
    #[command(long_about = rules::LONG_ABOUT)]
    Rules(rules::RulesArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  # Load completions into the current shell\n  source <(podseal completions bash)"
    )]
    Completions {
        /// Shell to print the script for
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

/// Returns a command's exit code, and prints its error to standard error.
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

/// A reader that closes the pipe early (`podseal … | head`) is not a failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
