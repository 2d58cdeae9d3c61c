//! Renewal: the files are read again when they change, and from time to time.
//!
//! Files that cannot be used change nothing but the log and a metric: the
//! certificate in use is served on. A pair is written one file after the other,
//! so that it is wrong for a moment each time; it is read again a few times
//! before anything is logged.

use std::time::{Duration, SystemTime};

use super::files::{CertificateFileError, CertificateFiles, ReadInto, timestamp};
use super::serving::Serving;
use crate::live_config::folder_watch::{FolderWatch, settled};
use crate::metrics::certificates::{CertificateMetrics, Material};

/// The pauses before files that cannot be used are read again; after the last,
/// the error is logged.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// Keeps what is served as the files are.
pub struct CertificateReload {
    files: Vec<ReloadedFiles>,
    serving: Serving,
    figures: CertificateMetrics,
    clock: fn() -> SystemTime,
}

struct ReloadedFiles {
    files: CertificateFiles,
    /// What was last said to be wrong, until it is not.
    problem: Option<String>,
}

/// Whether files that cannot be used are reported, or read once more first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Left,
    Over,
}

impl CertificateReload {
    /// Reads `files` for the first time and serves what they hold.
    ///
    /// # Errors
    /// When some cannot be used: podseal has nothing else to serve yet.
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

    /// Reads them again whenever their folders change, and after each `period`.
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
                // Not on a worker: a volume may be a network's, and hang.
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

    /// Whether all files could be used.
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
                // An error that was logged needs no pauses at every re-read.
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
        _ => tracing::info!("reloaded the client authorities"),
    }
}
