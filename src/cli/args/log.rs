//! The arguments for the log.

use std::io::IsTerminal;

use crate::logging::setup::{self, Log};

/// What the log contains, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Log")]
#[group(skip)]
pub(in crate::cli) struct LogArgs {
    /// Log format; auto selects text on a terminal, otherwise JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "auto")]
    log_format: LogFormat,
    /// Minimum severity of the events to log; serve logs decisions at every level
    #[arg(long, value_name = "LEVEL", default_value = "info",
          value_parser = clap::builder::PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"]))]
    log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Auto,
    Json,
    Text,
}

impl LogArgs {
    /// Starts logging to standard error, until the log is dropped.
    pub(in crate::cli) fn start(&self) -> Log {
        let level = self.log_level.parse();
        let is_json = match self.log_format {
            LogFormat::Auto => !std::io::stderr().is_terminal(),
            LogFormat::Json => true,
            LogFormat::Text => false,
        };
        setup::start(is_json, level.expect("clap lets only these levels through"))
    }
}
