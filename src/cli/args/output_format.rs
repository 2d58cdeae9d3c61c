//! Text for people, or JSON for programs.

/// The format of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum OutputFormat {
    Text,
    Json,
}
