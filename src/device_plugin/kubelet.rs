//! The kubelet's socket, and the call that registers the plugin there.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use device_plugin_api::v1beta1::RegisterRequest;
use device_plugin_api::v1beta1::registration_client::RegistrationClient;
use device_plugin_api::{KUBELET_SOCKET, VERSION};
use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::resource::ResourceName;
use crate::metrics::device_plugin::RegistrationOutcome;
use admission::text::remark;

/// How long a registration may take. The kubelet first connects to the plugin, for up to
/// ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// The maximum length of the kubelet's message.
const MESSAGE: usize = 400;

/// The kubelet's socket.
#[derive(Debug)]
pub(super) struct KubeletSocket {
    path: PathBuf,
}

/// A socket file. Another kubelet has another one, perhaps with the same inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SocketFile {
    inode: u64,
    made: (i64, i64),
}

/// Why a plugin is not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotRegistered {
    /// Nothing answers at the socket.
    Unreachable(String),
    /// The kubelet does not answer in time.
    TimedOut,
    /// The kubelet refused, with this message.
    Refused(String),
}

impl KubeletSocket {
    /// That of the kubelet whose plugins' sockets are in `folder`.
    pub(super) fn of(folder: &Path) -> KubeletSocket {
        KubeletSocket {
            path: folder.join(KUBELET_SOCKET),
        }
    }

    /// The file that is there now.
    pub(super) fn file(&self) -> Option<SocketFile> {
        let file = std::fs::symlink_metadata(&self.path).ok()?;
        Some(SocketFile {
            inode: file.ino(),
            // A socket's content is never modified, so this is when it was made.
            made: (file.mtime(), file.mtime_nsec()),
        })
    }

    /// Registers the plugin that listens at the socket `endpoint` in the same folder.
    pub(super) async fn register(
        &self,
        resource: &ResourceName,
        endpoint: String,
    ) -> Result<(), NotRegistered> {
        let request = RegisterRequest {
            version: VERSION.to_owned(),
            endpoint,
            resource_name: resource.to_string(),
            options: Some(Default::default()),
        };
        let registered = timeout(PATIENCE, async {
            let stream = UnixStream::connect(&self.path).await?;
            let connection = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (sender, connection) = connection.map_err(io::Error::other)?;
            let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
            // The kubelet's own clients of plugins use the same name.
            let origin = Uri::from_static("http://localhost");
            let mut client = RegistrationClient::with_origin(Channel(sender), origin);
            Ok(client.register(request).await)
        });
        match registered.await {
            Err(_) => Err(NotRegistered::TimedOut),
            Ok(Err(error)) => Err(NotRegistered::unreachable(&error)),
            Ok(Ok(Err(status))) => Err(NotRegistered::from(&status)),
            Ok(Ok(Ok(_))) => Ok(()),
        }
    }
}

impl NotRegistered {
    fn unreachable(error: &io::Error) -> NotRegistered {
        NotRegistered::Unreachable(remark(&error.to_string(), MESSAGE))
    }

    /// The label of the metric.
    pub(super) fn outcome(&self) -> RegistrationOutcome {
        match self {
            NotRegistered::Unreachable(_) => RegistrationOutcome::Unreachable,
            NotRegistered::TimedOut => RegistrationOutcome::TimedOut,
            NotRegistered::Refused(_) => RegistrationOutcome::Refused,
        }
    }
}

impl From<&Status> for NotRegistered {
    fn from(status: &Status) -> NotRegistered {
        let message = remark(status.message(), MESSAGE);
        // The kubelet gives its own errors no code. An error with a source is not from there:
        // the connection ended, or this is no gRPC server.
        match status.source() {
            Some(_) => NotRegistered::Unreachable(message),
            None => NotRegistered::Refused(message),
        }
    }
}

/// What is wrong, and what to do.
impl fmt::Display for NotRegistered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRegistered::Unreachable(error) => write!(
                formatter,
                "the kubelet does not answer at {KUBELET_SOCKET} ({error}); waiting until it does"
            ),
            NotRegistered::TimedOut => write!(
                formatter,
                "the kubelet did not answer within {PATIENCE:?}; if this persists, see the kubelet's log"
            ),
            // The kubelet's texts (1.37, pkg/kubelet/cm/devicemanager/plugin/v1beta1).
            NotRegistered::Refused(message) if message.contains("API version") => write!(
                formatter,
                "the kubelet refused the plugin: {message}; this podseal has the device plugin API \
                 {VERSION} alone: install a podseal that was released for this version of Kubernetes"
            ),
            NotRegistered::Refused(message) if message.contains("failed to dial") => write!(
                formatter,
                "the kubelet refused the plugin: {message}; the folder of --kubelet-dir must be the one \
                 that this kubelet has its plugins' sockets in, which is device-plugins below its --root-dir"
            ),
            NotRegistered::Refused(message) => {
                write!(
                    formatter,
                    "the kubelet refused the plugin: {message}; see the kubelet's log"
                )
            }
        }
    }
}

/// hyper's connection, as tonic calls it.
struct Channel(SendRequest<tonic::body::Body>);

impl tower_service::Service<http::Request<tonic::body::Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
