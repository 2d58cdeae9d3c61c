//! A replica: podseal's own task, with a clock that can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use podseal::certificates::self_managed::clock::Moment;
use podseal::certificates::self_managed::status::Status;
use podseal::certificates::self_managed::{Names, Settings, keep};
use podseal::certificates::serving::{Current, Serving};
use podseal::metrics::certificates::Upkeep;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use support::block_on;
use support::controlplane::{PODSEAL, await_condition};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::PLANE;
use crate::certificates::site::Site;

/// A running replica. It ends with this value.
pub(crate) struct Replica {
    pub(crate) current: Current,
    pub(crate) status: Arc<Status>,
    /// How far its time of day is off, in seconds.
    off: Arc<AtomicI64>,
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Replica {
    /// Starts one whose time of day is this many seconds off.
    pub(crate) fn start(site: &Site, seconds: i64) -> Replica {
        let names = Names {
            namespace: site.namespace.clone(),
            secret: "podseal-tls".to_owned(),
            service: "podseal".to_owned(),
            mutating: site.configuration.clone(),
            validating: site.configuration.clone(),
        };
        let off = Arc::new(AtomicI64::new(seconds));
        let (start, offset) = (Instant::now(), Arc::clone(&off));
        let mut settings = Settings::new(names, site.overlap);
        settings.clock = Arc::new(move || {
            let off = offset.load(Ordering::SeqCst);
            let by = Duration::from_secs(off.unsigned_abs());
            Moment {
                wall: match off < 0 {
                    true => SystemTime::now() - by,
                    false => SystemTime::now() + by,
                },
                steady: start.elapsed(),
            }
        });
        let (serving, status) = (Serving::default(), Arc::new(Status::default()));
        let (current, stop) = (serving.current(), CancellationToken::new());
        let (shown, token) = (Arc::clone(&status), stop.clone());
        let client = block_on(client());
        let runtime = block_on(async { tokio::runtime::Handle::current() });
        let task = runtime.spawn(async {
            let kept = keep(client, settings, serving, shown, token).await;
            kept.expect("the names are DNS names");
        });
        Replica {
            current,
            status,
            off,
            stop: stop.drop_guard(),
            task,
        }
    }

    /// Sets its time of day this many seconds off.
    pub(crate) fn jump(&self, seconds: i64) {
        self.off.store(seconds, Ordering::SeqCst);
    }

    /// Ends it, and waits for its end.
    pub(crate) fn end(self) {
        drop(self.stop);
        block_on(self.task).expect("it does not panic");
    }

    /// The leaf it serves, if it does.
    pub(crate) fn served(&self) -> Option<CertificateDer<'static>> {
        let current = self.current.borrow();
        current
            .as_ref()
            .map(|served| served.identity.leaf().clone())
    }

    /// Waits for its first leaf.
    pub(crate) fn await_leaf(&self) -> CertificateDer<'static> {
        self.await_that("it serves something", |_| true)
    }

    /// Waits until it serves a leaf that `wanted` selects.
    pub(crate) fn await_that(
        &self,
        what: &str,
        wanted: impl Fn(&CertificateDer<'static>) -> bool,
    ) -> CertificateDer<'static> {
        let mut found = None;
        let is_so = || {
            found = self.served().filter(&wanted);
            found.is_some()
        };
        await_condition(what, is_so, || format!("{:?}", self.status));
        found.expect("it was awaited")
    }

    pub(crate) fn await_failures(&self, count: u64) {
        let is_so = || self.status.count(Upkeep::Failure) >= count;
        await_condition("its rounds fail", is_so, || format!("{:?}", self.status));
    }
}

/// The API server as podseal's own service account meets it.
async fn client() -> kube::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let file = kube::config::Kubeconfig::read_from(PLANE.kubeconfig(PODSEAL));
    let file = file.expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await;
    kube::Client::try_from(config.expect("a configuration")).expect("a client")
}

/// A TLS handshake in memory with a client that trusts `trusted`.
pub(crate) fn shake_hands(
    config: &Arc<ServerConfig>,
    trusted: Vec<CertificateDer<'static>>,
    name: String,
) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name).expect("a DNS name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("a client");
    let mut server = ServerConnection::new(Arc::clone(config)).expect("a server");
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("memory can be written");
        let mut to_server = bytes.as_slice();
        while !to_server.is_empty() {
            server.read_tls(&mut to_server).expect("memory can be read");
            server
                .process_new_packets()
                .map_err(|error| error.to_string())?;
        }
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).expect("memory can be written");
        let mut to_client = bytes.as_slice();
        while !to_client.is_empty() {
            client.read_tls(&mut to_client).expect("memory can be read");
            client
                .process_new_packets()
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
