//! The programs to measure, from environment variables.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::identity::Identity;

/// The program to measure. `make bench` sets the release binary: the one that cargo builds
/// with a benchmark has features of test crates.
pub(crate) fn binary() -> PathBuf {
    program("BENCH_PODSEAL").unwrap_or_else(|| env!("CARGO_BIN_EXE_podseal").into())
}

/// The program to compare with.
pub(crate) fn baseline() -> Option<PathBuf> {
    program("BENCH_BASELINE")
}

fn program(variable: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).filter(|path| !path.is_empty());
    named.map(PathBuf::from)
}

/// `podseal serve` on a free port, with a JSON log.
pub(crate) fn podseal(binary: &Path, identity: &Identity) -> Command {
    let mut command = Command::new(binary);
    command.args(["serve", "--log-format", "json"]);
    command.args(["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0"]);
    command.arg("--tls-cert-file").arg(identity.certificate());
    command.arg("--tls-private-key-file").arg(identity.key());
    command
}
