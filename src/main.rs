//! The `podseal` command.

use std::process::ExitCode;

use clap::Parser;
use podseal::cli::{self, Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => cli::report(cli::serve::run(*args)),
        Command::DevicePlugin(args) => cli::report(cli::device_plugin::run(args)),
        Command::Review(args) => cli::report(cli::review::run(&args)),
        Command::Audit(args) => cli::report(cli::audit::run(args)),
        Command::Doctor(args) => cli::report(cli::doctor::run(args)),
        Command::Probe(args) => cli::report(cli::probe::run(args)),
        Command::Profiles(args) => cli::report(cli::profiles::run(&args)),
        Command::Rules(args) => cli::report(cli::rules::run(&args)),
        Command::Completions { shell } => cli::report(cli::completions(shell)),
    }
}
