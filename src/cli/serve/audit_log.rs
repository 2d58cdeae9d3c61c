//! The arguments of `podseal serve` for the audit log.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::audit_log::file::{RotatedFile, Rotation};
use crate::audit_log::log::{AuditLog, RecordFormat};
use crate::logging::setup::Log;
use crate::logging::writer::LogWriter;

/// `--audit-log-path` for standard output, as in kube-apiserver.
const STDOUT: &str = "-";

/// Where the records of decisions go. The names and their meaning are kube-apiserver's.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Audit log")]
#[group(id = "audit-log")]
pub(super) struct AuditLogArgs {
    /// File for the records of decisions, instead of standard error; - is standard output
    ///
    /// Records are JSON, one on a line. podseal appends to the file, and rotates it. No other
    /// process may write to it.
    #[arg(long, value_name = "FILE")]
    audit_log_path: Option<PathBuf>,
    /// Maximum size of the file in megabytes, before it is rotated; 0 disables rotation
    #[arg(long, value_name = "MEGABYTES", default_value = "100",
          value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    audit_log_maxsize: u32,
    /// Maximum number of old files to keep; 0 keeps all of them
    #[arg(long, value_name = "COUNT", default_value = "10",
          value_parser = clap::value_parser!(u32).range(..=100_000))]
    audit_log_maxbackup: u32,
}

impl AuditLogArgs {
    /// Opens the audit log, which is `log` if there is no other.
    pub(super) fn open(&self, log: &Log) -> anyhow::Result<AuditLog> {
        let Some(path) = &self.audit_log_path else {
            let format = match log.is_json {
                true => RecordFormat::Json,
                false => RecordFormat::Text,
            };
            return Ok(AuditLog::new(log.writer.clone(), format));
        };
        let writer = if path == Path::new(STDOUT) {
            // Without the buffer of `Stdout`, in which a line would count as written.
            let stdout = io::stdout().as_fd().try_clone_to_owned();
            let stdout =
                stdout.context("cannot write to standard output, as --audit-log-path - asks")?;
            LogWriter::start("standard output", File::from(stdout))
        } else {
            let rotation = Rotation {
                max_size: u64::from(self.audit_log_maxsize) << 20,
                max_backups: self.audit_log_maxbackup as usize,
            };
            let shown = path.display();
            let file = RotatedFile::open(path, rotation).with_context(|| {
                format!(
                    "cannot open --audit-log-path {shown}; set a file in a folder that podseal's \
                     user can write to"
                )
            })?;
            LogWriter::start(shown.to_string(), file)
        };
        Ok(AuditLog::new(writer, RecordFormat::Json))
    }
}
