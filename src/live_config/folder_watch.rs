//! The watch of the folders that files are in.
//!
//! A Secret volume changes by renaming a symlink, `..data`, over another, and
//! the files themselves never change: a watch of a file sees the first such swap
//! at most. So folders are watched; and their parents, since a folder can be
//! replaced as a whole. For more than that (a symlink to a folder
//! elsewhere) there is the periodic re-read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// The files of a pair are written one after the other: nothing is read until
/// nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(50);
/// Changes that go on are not waited for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Watched folders.
#[derive(Debug)]
pub(crate) struct FolderWatch {
    folders: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    changed: watch::Sender<()>,
    has_warned: bool,
}

impl FolderWatch {
    /// The folders of `files`; watched from the first [`FolderWatch::renew`] on.
    pub(crate) fn of<'f>(files: impl Iterator<Item = &'f Path>) -> FolderWatch {
        let folder = |file: &Path| {
            // Fails where there is no current folder, and no relative path then.
            let file = std::path::absolute(file).unwrap_or(file.to_owned());
            file.parent().map(Path::to_owned)
        };
        FolderWatch {
            folders: files.filter_map(folder).collect(),
            watcher: None,
            changed: watch::Sender::new(()),
            has_warned: false,
        }
    }

    /// Reports changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Watches the folders that the paths mean now.
    ///
    /// Each time again, and before the files are read: a watch is of an inode, and
    /// neither the path nor the inode's number says whether it is still the same.
    /// What changes after this is reported; what changed before is read.
    ///
    /// A node has few inotify instances, and all pods share them. Without one
    /// the periodic re-read remains, and the next call tries again.
    pub(crate) fn renew(&mut self) {
        if let Err(error) = self.try_renew()
            && !std::mem::replace(&mut self.has_warned, true)
        {
            tracing::warn!(
                %error,
                folders = ?self.folders,
                "cannot watch folders; rereading their files at intervals instead"
            );
        }
    }

    fn try_renew(&mut self) -> notify::Result<()> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            None => {
                let (folders, changed) = (self.folders.clone(), self.changed.clone());
                let report_event = move |event: notify::Result<Event>| {
                    if is_relevant(&event, &folders) {
                        changed.send_replace(());
                    }
                };
                self.watcher
                    .insert(notify::recommended_watcher(report_event)?)
            }
        };
        let parents = self.folders.iter().filter_map(|folder| folder.parent());
        let all: BTreeSet<_> = self
            .folders
            .iter()
            .map(PathBuf::as_path)
            .chain(parents)
            .collect();
        let mut result = Ok(());
        for folder in all {
            // Fails where it was not watched.
            let _ = watcher.unwatch(folder);
            let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
            result = result.and(watched);
        }
        result
    }
}

/// Whether `event` may mean that a file reads differently.
fn is_relevant(event: &notify::Result<Event>, folders: &BTreeSet<PathBuf>) -> bool {
    let Ok(event) = event else {
        // Something was missed.
        return true;
    };
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        // Our own reading, above all.
        EventKind::Access(_) => return false,
        _ => {}
    }
    let is_watched = |path: &PathBuf| folders.iter().any(|folder| path.starts_with(folder));
    event.need_rescan() || event.paths.iter().any(is_watched)
}

/// Waits for a change, and until it is over; no longer than `most`.
pub(crate) async fn settled(changes: &mut watch::Receiver<()>, most: Duration) {
    if timeout(most, changes.changed()).await.is_err() {
        return;
    }
    let end = Instant::now() + LONGEST_WAIT;
    while timeout_at(end.min(Instant::now() + QUIET), changes.changed())
        .await
        .is_ok()
    {}
}
