//! Rereads the profiles when their folder changes, and periodically.
//!
//! A file that cannot be used affects only the log, a metric and `/readyz?verbose`: the
//! last valid set stays in use as a whole. Without that, all jobs of a namespace with a
//! missing profile would be denied.

use std::time::Duration;

use super::current::LiveConfig;
use super::folder_watch::{FolderWatch, settled};
use super::profile_folder::{ProfileFolder, ProfileFolderError, log_warnings};
use crate::metrics::profiles::ProfileMetrics;
use admission::lint::files::ProfileFile;

/// When to retry after a failed read: the files may be partly written.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(900),
];

/// Keeps the profiles up to date with their folder.
pub struct ProfileReload {
    folder: ProfileFolder,
    rules: LiveConfig,
    figures: ProfileMetrics,
    /// The files of the profiles in use.
    used: Vec<ProfileFile>,
}

impl ProfileReload {
    /// A reload of `folder`, whose `used` files are the source of the profiles in `rules`.
    pub fn new(
        folder: ProfileFolder,
        used: Vec<ProfileFile>,
        rules: LiveConfig,
        figures: ProfileMetrics,
    ) -> ProfileReload {
        ProfileReload {
            folder,
            rules,
            figures,
            used,
        }
    }

    /// Rereads the files when the folder changes, and after each `period`.
    pub async fn follow(mut self, period: Duration) {
        let inside = self.folder.path().join("profile.yaml");
        let mut folders = FolderWatch::of([inside.as_path()].into_iter());
        let mut changes = folders.changes();
        loop {
            for pause in PAUSES.map(Some).into_iter().chain([None]) {
                changes.mark_unchanged();
                // Blocking: a network volume may hang.
                let read = tokio::task::spawn_blocking(move || {
                    folders.renew();
                    let in_order = self.read(pause.is_none());
                    (self, folders, in_order)
                });
                let in_order;
                (self, folders, in_order) = read.await.expect("reading profiles does not panic");
                match pause {
                    Some(pause) if !in_order => tokio::time::sleep(pause).await,
                    _ => break,
                }
            }
            settled(&mut changes, period).await;
        }
    }

    /// Returns whether the files can be used. If not, the `last` attempt logs that.
    fn read(&mut self, last: bool) -> bool {
        let files = self.folder.files();
        if files.as_ref().is_ok_and(|files| *files == self.used) {
            if self.rules.problem().is_some() {
                tracing::info!("the profile files match the profiles in use again");
                self.rules.in_order();
                self.figures.in_order();
            }
            return true;
        }
        let read = files.and_then(|files| {
            let (profiles, remarks) = ProfileFolder::parse(&files)?;
            match self.rules.namespace_rules().problem_with(&profiles) {
                Some(problem) => Err(ProfileFolderError::Missing(problem)),
                None => Ok((files, profiles, remarks)),
            }
        });
        match read {
            Ok((files, profiles, remarks)) => {
                log_warnings(remarks);
                let names = profiles.names();
                tracing::info!(profiles = names, "reloaded the profiles");
                self.used = files;
                self.rules.replace(profiles);
                let profiles = self.rules.profiles();
                let names = profiles.iter().map(|profile| profile.name.as_str());
                self.figures.reloaded(names);
                true
            }
            Err(error) => {
                let problem = error.first();
                let is_known = self.rules.problem().as_deref() == Some(&problem);
                if last && !is_known {
                    self.rules.broken(problem);
                    for remark in error.remarks() {
                        let problem = remark.to_string();
                        tracing::error!(problem, "reload failed; keeping the previous profiles");
                    }
                    self.figures.reload_failed();
                }
                is_known
            }
        }
    }
}
