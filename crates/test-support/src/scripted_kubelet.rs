//! A kubelet's end of the device plugin API, which answers by a script: it does with a
//! plugin what the real one does, and what the real one does too rarely to wait for.

use std::collections::VecDeque;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use device_plugin_api::KUBELET_SOCKET;
use device_plugin_api::v1beta1::device_plugin_client::DevicePluginClient;
use device_plugin_api::v1beta1::registration_server::{Registration, RegistrationServer};
use device_plugin_api::v1beta1::{Device, Empty, RegisterRequest};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

use crate::wait::await_condition;

/// What becomes of a registration.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The kubelet connects to the plugin and watches its devices.
    Accept,
    /// The same, but it is so slow that it answers only after this time.
    AcceptAfter(Duration),
    /// It answers, but does not watch the devices.
    AcceptWithoutWatch,
    /// It refuses, with this message.
    Refuse(String),
}

/// A kubelet, until it is dropped. Its socket stays, as that of a killed one does.
pub struct ScriptedKubelet {
    state: Arc<Script>,
    _serving: AbortOnDropHandle<()>,
}

struct Script {
    folder: PathBuf,
    answers: Mutex<VecDeque<Answer>>,
    registrations: Mutex<Vec<RegisterRequest>>,
    plugins: Mutex<Vec<Plugin>>,
}

/// A plugin that the kubelet is connected to.
struct Plugin {
    endpoint: String,
    client: DevicePluginClient<Channel>,
    devices: Arc<Mutex<Watched>>,
    _watch: Option<AbortOnDropHandle<()>>,
}

/// The lists of devices that a plugin has sent.
#[derive(Default)]
struct Watched {
    lists: Vec<Vec<Device>>,
    has_ended: bool,
}

impl ScriptedKubelet {
    /// Starts as the real one does: it removes all sockets of the folder, and makes its own.
    /// It accepts every plugin.
    pub fn start(folder: &Path) -> ScriptedKubelet {
        ScriptedKubelet::answering(folder, [])
    }

    /// The same, with answers to the first registrations.
    pub fn answering(folder: &Path, answers: impl IntoIterator<Item = Answer>) -> ScriptedKubelet {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_socket() {
                std::fs::remove_file(entry.path()).expect("a socket");
            }
        }
        let state = Arc::new(Script {
            folder: folder.to_owned(),
            answers: Mutex::new(answers.into_iter().collect()),
            registrations: Mutex::default(),
            plugins: Mutex::default(),
        });
        // A plugin that finds the socket finds somebody who listens.
        let begun = folder.join("kubelet-begun.sock");
        let listener = crate::block_on(async { UnixListener::bind(&begun) });
        let listener = listener.expect("a socket");
        std::fs::rename(begun, folder.join(KUBELET_SOCKET)).expect("the folder can be written");
        let served = crate::spawn(serve(listener, Arc::clone(&state)));
        ScriptedKubelet {
            state,
            _serving: AbortOnDropHandle::new(served),
        }
    }

    /// The registrations so far.
    pub fn registrations(&self) -> Vec<RegisterRequest> {
        lock(&self.state.registrations).clone()
    }

    /// Waits until there were so many registrations.
    pub fn await_registrations(&self, count: usize) {
        let reached = || self.registrations().len() >= count;
        await_condition("registrations", reached, || {
            format!("{:?}", self.registrations())
        });
    }

    /// Waits until the plugin that registered last has sent a list of so many devices, all
    /// of this health.
    pub fn await_devices(&self, count: usize, health: &str) {
        let is_so = || {
            let devices = self.devices().unwrap_or_default();
            devices.len() == count && devices.iter().all(|device| device.health == health)
        };
        await_condition("devices", is_so, || format!("{:?}", self.devices()));
    }

    /// The devices of the plugin that registered last, as it last listed them.
    pub fn devices(&self) -> Option<Vec<Device>> {
        let plugins = lock(&self.state.plugins);
        let watched = lock(&plugins.last()?.devices);
        watched.lists.last().cloned().filter(|_| !watched.has_ended)
    }

    /// How many lists of devices that plugin has sent.
    pub fn lists(&self) -> usize {
        let plugins = lock(&self.state.plugins);
        plugins
            .last()
            .map_or(0, |plugin| lock(&plugin.devices).lists.len())
    }

    /// Ends the stream of devices, as a kubelet does that drops a plugin.
    pub fn drop_plugin(&self) {
        lock(&self.state.plugins).clear();
    }

    /// Calls the plugin that registered last.
    pub fn plugin(&self) -> DevicePluginClient<Channel> {
        let plugins = lock(&self.state.plugins);
        plugins.last().expect("a plugin").client.clone()
    }
}

async fn serve(listener: UnixListener, state: Arc<Script>) {
    let service = TowerToHyperService::new(RegistrationServer::from_arc(state));
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service.clone());
        connections.spawn(connection);
    }
}

#[tonic::async_trait]
impl Registration for Script {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<Empty>, Status> {
        let request = request.into_inner();
        lock(&self.registrations).push(request.clone());
        let answer = lock(&self.answers).pop_front().unwrap_or(Answer::Accept);
        match &answer {
            Answer::Refuse(message) => return Err(Status::unknown(message.clone())),
            Answer::AcceptAfter(time) => {
                // The real one goes on when its client no longer waits.
                let (folder, endpoint) = (self.folder.clone(), request.endpoint.clone());
                let connected = connect(&folder, endpoint, true).await?;
                lock(&self.plugins).push(connected);
                tokio::time::sleep(*time).await;
                return Ok(Response::new(Empty {}));
            }
            Answer::Accept | Answer::AcceptWithoutWatch => {}
        }
        // The texts of the real one (1.37, pkg/kubelet/cm/devicemanager).
        if lock(&self.plugins)
            .iter()
            .any(|known| known.endpoint == request.endpoint)
        {
            let path = self.folder.join(&request.endpoint);
            let message = format!("device plugin already connected: {}", path.display());
            return Err(Status::unknown(message));
        }
        let is_watched = !matches!(answer, Answer::AcceptWithoutWatch);
        let plugin = connect(&self.folder, request.endpoint, is_watched).await?;
        lock(&self.plugins).push(plugin);
        Ok(Response::new(Empty {}))
    }
}

/// Connects to a plugin, as the kubelet does before it answers.
async fn connect(folder: &Path, endpoint: String, is_watched: bool) -> Result<Plugin, Status> {
    let dialled = |error: String| Status::unknown(format!("failed to dial device plugin: {error}"));
    let channel = Channel::to(&folder.join(&endpoint)).await;
    let channel = channel.map_err(|error| dialled(error.to_string()))?;
    let mut client = DevicePluginClient::new(channel);
    client.get_device_plugin_options(Empty {}).await?;
    let devices = Arc::<Mutex<Watched>>::default();
    let watch = is_watched.then(|| {
        let watch = watch(client.clone(), Arc::clone(&devices));
        AbortOnDropHandle::new(tokio::spawn(watch))
    });
    Ok(Plugin {
        endpoint,
        client,
        devices,
        _watch: watch,
    })
}

async fn watch(mut client: DevicePluginClient<Channel>, devices: Arc<Mutex<Watched>>) {
    if let Ok(stream) = client.list_and_watch(Empty {}).await {
        let mut stream = stream.into_inner();
        while let Ok(Some(list)) = stream.message().await {
            lock(&devices).lists.push(list.devices);
        }
    }
    lock(&devices).has_ended = true;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics with it")
}

/// An HTTP/2 connection to a socket, as tonic's clients use it.
#[derive(Clone)]
pub struct Channel {
    sender: SendRequest<tonic::body::Body>,
    _connection: Arc<AbortOnDropHandle<()>>,
}

impl Channel {
    /// Connects to the socket at `path`.
    pub async fn to(path: &Path) -> std::io::Result<Channel> {
        let stream = UnixStream::connect(path).await?;
        let connection = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = connection.map_err(std::io::Error::other)?;
        let connection = tokio::spawn(async {
            let _ = connection.await;
        });
        Ok(Channel {
            sender,
            _connection: Arc::new(AbortOnDropHandle::new(connection)),
        })
    }
}

impl tower_service::Service<http::Request<tonic::body::Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        // As the kubelet's client names it.
        let path = request.uri().path_and_query().expect("a path").as_str();
        let uri = format!("http://localhost{path}").parse().expect("a URI");
        *request.uri_mut() = uri;
        Box::pin(self.sender.send_request(request))
    }
}
