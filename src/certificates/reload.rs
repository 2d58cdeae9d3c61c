//! Rereads the files when they change, and periodically.
//!
//! Files that cannot be used affect only the log and a metric: the certificate in use
//! stays. The files of a pair are written one after the other, so they do not match for
//! a moment; they are read a few times before an error is logged.

use std::time::{Duration, SystemTime};

use super::files::{CertificateFileError, CertificateFiles, ReadInto, timestamp};
use super::serving::Serving;
use crate::live_config::folder_watch::{FolderWatch, settled};
use crate::metrics::certificates::{CertificateMetrics, Material};

/// The pauses before retries. After the last one, the error is logged.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// Keeps the certificate and client CAs up to date with their files.
pub struct CertificateReload {
    files: Vec<ReloadedFiles>,
    serving: Serving,
    figures: CertificateMetrics,
    clock: fn() -> SystemTime,
}

struct ReloadedFiles {
    files: CertificateFiles,
    /// The last logged error, until the files are valid again.
    problem: Option<String>,
}

/// Whether an error is logged, or retried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Left,
    Over,
}

impl CertificateReload {
    /// Reads `files` for the first time and uses them.
    ///
    /// # Errors
    /// When some cannot be used: podseal cannot serve without them.
    pub fn start(
        mut files: Vec<CertificateFiles>,
        serving: Serving,
        figures: CertificateMetrics,
        clock: fn() -> SystemTime,
    ) -> Result<CertificateReload, CertificateFileError> {
        for files in &mut files {
            files.read(ReadInto {
                serving: &serving,
                figures: &figures,
                now: clock(),
            })?;
        }
        let renewed = |files| ReloadedFiles {
            files,
            problem: None,
        };
        Ok(CertificateReload {
            files: files.into_iter().map(renewed).collect(),
            serving,
            figures,
            clock,
        })
    }

    /// Rereads the files when their folders change, and after each `period`.
    pub async fn follow(mut self, period: Duration) {
        let paths = self.files.iter().flat_map(|renewed| renewed.files.paths());
        let mut folders = FolderWatch::of(paths);
        let mut changes = folders.changes();
        loop {
            for pause in PAUSES.map(Some).into_iter().chain([None]) {
                let patience = match pause {
                    Some(_) => Patience::Left,
                    None => Patience::Over,
                };
                changes.mark_unchanged();
                // Blocking: a network volume may hang.
                let read = tokio::task::spawn_blocking(move || {
                    folders.renew();
                    let all_used = self.read(patience);
                    (self, folders, all_used)
                });
                let all_used;
                (self, folders, all_used) = read.await.expect("reading files does not panic");
                match pause {
                    Some(pause) if !all_used => tokio::time::sleep(pause).await,
                    _ => break,
                }
            }
            settled(&mut changes, period).await;
        }
    }

    /// Reads all files, and returns whether they could be used.
    fn read(&mut self, patience: Patience) -> bool {
        let to = ReadInto {
            serving: &self.serving,
            figures: &self.figures,
            now: (self.clock)(),
        };
        let mut all_used = true;
        for renewed in &mut self.files {
            all_used &= renewed.read(to, patience);
        }
        all_used
    }
}

impl ReloadedFiles {
    fn read(&mut self, to: ReadInto<'_>, patience: Patience) -> bool {
        let material = self.files.material;
        match self.files.read(to) {
            Ok(is_new) => {
                if is_new {
                    to.figures.reloaded(material);
                    log_use(material, to.serving);
                }
                if self.problem.take().is_some() {
                    to.figures.in_order(material);
                    tracing::info!("the certificate files are valid again");
                }
                true
            }
            Err(error) => {
                let problem = error.to_string();
                let is_known = self.problem.as_ref() == Some(&problem);
                if patience == Patience::Over && !is_known {
                    to.figures.reload_failed(material);
                    tracing::error!(
                        problem,
                        "certificate reload failed; keeping the previous files' content"
                    );
                    self.problem = Some(problem);
                }
                // An error that was logged already requires no retries.
                is_known
            }
        }
    }
}

fn log_use(material: Material, serving: &Serving) {
    match (material, &*serving.current().borrow()) {
        (Material::Serving, Some(served)) => {
            let not_after = timestamp(served.identity.not_after());
            tracing::info!(%not_after, "reloaded the serving certificate");
        }
        _ => tracing::info!("reloaded the client CAs"),
    }
}
