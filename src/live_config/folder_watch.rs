//! Watches the folders of files.
//!
//! The kubelet updates a volume by replacing a symlink, `..data`; the files themselves
//! never change, and a watch of a file sees the first replacement at most. So this
//! watches folders, and their parents, since a folder can be replaced as a whole. The
//! periodic reread handles the rest, such as a symlink to another folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// Files are read after this time without a change, because the files of a pair are
/// written one after the other.
const QUIET: Duration = Duration::from_millis(50);
/// The longest wait while changes continue.
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
    /// The folders of `files`, watched after the first [`FolderWatch::renew`].
    pub(crate) fn of<'f>(files: impl Iterator<Item = &'f Path>) -> FolderWatch {
        let folder = |file: &Path| {
            // Fails only without a current folder, which a relative path requires.
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

    /// Watches the folders at the current paths.
    ///
    /// Call this each time before the files are read: a watch follows an inode, and
    /// neither the path nor the inode number shows whether it is still the same one.
    /// Later changes are reported; earlier ones are read.
    ///
    /// A node has a limited number of inotify instances, which all pods share. Without
    /// one, the periodic reread remains, and the next call tries again.
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
            // Fails if it was not watched.
            let _ = watcher.unwatch(folder);
            let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
            result = result.and(watched);
        }
        result
    }
}

/// Whether `event` may change the content of a file.
fn is_relevant(event: &notify::Result<Event>, folders: &BTreeSet<PathBuf>) -> bool {
    let Ok(event) = event else {
        // An error means that events were lost.
        return true;
    };
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        // Mostly podseal's own reads.
        EventKind::Access(_) => return false,
        _ => {}
    }
    let is_watched = |path: &PathBuf| folders.iter().any(|folder| path.starts_with(folder));
    event.need_rescan() || event.paths.iter().any(is_watched)
}

/// Waits up to `most` for a change, and then until changes stop.
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
