//! The plugin's own socket, in the kubelet's folder.
//!
//! A registration has a socket with a name of its own. For the kubelet, a plugin is a
//! resource and a path (1.37, `pkg/kubelet/cm/devicemanager`): it refuses a second one at
//! the same path, and if it learns late that the first has ended, it drops both.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use device_plugin_api::v1beta1::device_plugin_server::DevicePluginServer;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::service::PluginService;
use crate::logging::throttle::LogThrottle;

/// The maximum number of connections. The kubelet has one, and only root can connect.
const CONNECTIONS: usize = 16;
/// The pause after a failed accept, which is usually "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket, whose file is removed with it.
#[derive(Debug)]
pub(super) struct PluginSocket {
    path: PathBuf,
    inode: Option<u64>,
    watching: watch::Receiver<usize>,
    _serving: AbortOnDropHandle<()>,
}

impl PluginSocket {
    /// Listens in `folder`, and serves `service` there.
    pub(super) fn listen(folder: &Path, service: &PluginService) -> io::Result<PluginSocket> {
        let service = service.at_new_socket();
        let number = RandomState::new().hash_one(0) >> 32;
        let path = folder.join(format!("podseal-{number:08x}.sock"));
        let listener = UnixListener::bind(&path)?;
        Ok(PluginSocket {
            // None where a kubelet that starts has just removed it.
            inode: inode(&path),
            path,
            watching: service.watching(),
            _serving: AbortOnDropHandle::new(tokio::spawn(serve(listener, service))),
        })
    }

    /// The file name of the socket.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Whether the file is still there. The kubelet removes all sockets when it starts.
    pub(super) fn is_there(&self) -> bool {
        self.inode.is_some() && inode(&self.path) == self.inode
    }

    /// How many streams of devices are open at this socket.
    pub(super) fn watching(&self) -> watch::Receiver<usize> {
        self.watching.clone()
    }
}

impl Drop for PluginSocket {
    fn drop(&mut self) {
        if self.is_there() {
            // It may be gone this very moment.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::symlink_metadata(path).ok().map(|file| file.ino())
}

/// Removes the sockets that a killed plugin has left in `folder`.
pub(super) fn remove_left_over(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name
            .strip_prefix("podseal-")
            .and_then(|rest| rest.strip_suffix(".sock"));
        let is_ours = number.is_some_and(|number| u32::from_str_radix(number, 16).is_ok())
            && std::fs::symlink_metadata(&path).is_ok_and(|file| file.file_type().is_socket());
        if is_ours && is_deserted(&path) && std::fs::remove_file(&path).is_ok() {
            tracing::info!(socket = %name, "removed the socket of a plugin that was killed");
        }
    }
    Ok(())
}

/// Whether nothing listens there. Another plugin, for another resource, may.
fn is_deserted(path: &Path) -> bool {
    let connected = std::os::unix::net::UnixStream::connect(path);
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Serves until the task is aborted, which also ends the connections.
async fn serve(listener: UnixListener, service: PluginService) {
    let service = TowerToHyperService::new(DevicePluginServer::new(service));
    let failures = LogThrottle::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        let problem = match accepted {
            Ok((stream, _)) if connections.len() < CONNECTIONS => {
                let connection = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service.clone());
                // How a connection ends does not matter: the kubelet's is watched by its stream.
                connections.spawn(async {
                    let _ = connection.await;
                });
                continue;
            }
            Ok(_) => "too many connections".to_owned(),
            Err(error) => error.to_string(),
        };
        if let Some(suppressed) = failures.pass() {
            tracing::warn!(
                error = problem,
                suppressed,
                "cannot accept a connection to the plugin's socket"
            );
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_sockets_of_plugins_that_were_killed_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        // std's listener leaves its file, as a killed process does.
        let bind = |name| UnixListener::bind(path(name)).expect("a socket");
        drop(bind("podseal-0123abcd.sock"));
        drop(bind("another.sock"));
        drop(bind("podseal-x.sock"));
        let _alive = bind("podseal-00000000.sock");
        std::fs::write(path("podseal-11111111.sock"), "").expect("a file");
        remove_left_over(folder.path()).expect("a folder");
        let entries = std::fs::read_dir(folder.path()).expect("a folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort_unstable();
        let kept = [
            "another.sock",
            "podseal-00000000.sock",
            "podseal-11111111.sock",
            "podseal-x.sock",
        ];
        assert_eq!(names, kept);
    }
}
