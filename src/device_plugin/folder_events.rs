//! Reports that files of a folder come and go, by inotify.
//!
//! By itself and not by `notify`: that crate also watches for files that are opened and
//! written, and in a node's `/dev` every process does so, with `/dev/null` for example. On
//! an almost idle machine, 20 seconds had 180 such events, and none that matters here.

use std::io;
use std::path::{Path, PathBuf};

use futures::{FutureExt, StreamExt};
use inotify::{EventStream, Inotify, WatchMask};

/// Reports changes of a folder.
pub(super) struct FolderEvents {
    folder: PathBuf,
    events: Option<EventStream<[u8; 4096]>>,
}

impl FolderEvents {
    /// Those of `folder`, from now on.
    ///
    /// A node has a limited number of inotify instances, which all pods of a user share.
    /// Without one, nothing is reported, and the caller's periodic look remains.
    pub(super) fn of(folder: &Path) -> FolderEvents {
        let events = watch(folder);
        if let Err(error) = &events {
            tracing::warn!(
                %error,
                folder = %folder.display(),
                "cannot watch the folder; looking at it at intervals instead"
            );
        }
        FolderEvents {
            folder: folder.to_owned(),
            events: events.ok(),
        }
    }

    /// Waits for a change. Several at once are reported once.
    pub(super) async fn changed(&mut self) {
        let Some(events) = &mut self.events else {
            return std::future::pending().await;
        };
        let first = events.next().await;
        while let Some(Some(Ok(_))) = events.next().now_or_never() {}
        if let Some(Err(error)) = first {
            tracing::warn!(
                %error,
                folder = %self.folder.display(),
                "can no longer watch the folder; looking at it at intervals instead"
            );
            self.events = None;
        }
    }
}

fn watch(folder: &Path) -> io::Result<EventStream<[u8; 4096]>> {
    let inotify = Inotify::init()?;
    // ATTRIB for a file that becomes readable.
    let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE | WatchMask::ATTRIB;
    inotify.watches().add(folder, mask | WatchMask::ONLYDIR)?;
    inotify.into_event_stream([0; 4096])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn files_that_come_and_go_are_reported_and_files_that_are_used_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, "").expect("a file");
        let mut events = FolderEvents::of(folder.path());
        let patience = Duration::from_secs(60);
        std::fs::write(&new, "").expect("a file");
        timeout(patience, events.changed())
            .await
            .expect("a new file");
        std::fs::rename(&new, &old).expect("a file");
        timeout(patience, events.changed()).await.expect("it moved");
        std::fs::read(&old).expect("a file");
        std::fs::write(&old, "text").expect("a file");
        let used = timeout(Duration::from_millis(200), events.changed()).await;
        assert!(used.is_err(), "it is the same file");
        std::fs::remove_file(&old).expect("a file");
        timeout(patience, events.changed()).await.expect("no file");
    }
}
