//! The certificate in use, and how it is replaced.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;

use super::identity::{Identity, provider};

/// The identity in use, with its TLS configuration.
#[derive(Debug)]
pub struct Served {
    /// The identity.
    pub identity: Identity,
    /// TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1.
    pub config: Arc<ServerConfig>,
}

/// The identity in use; none before a source presents the first one. A new one applies
/// to new handshakes; existing connections are not affected.
pub type Current = watch::Receiver<Option<Arc<Served>>>;

/// The sender of [`Current`].
#[derive(Debug, Clone)]
pub struct Serving {
    parts: Arc<Mutex<ServingParts>>,
    current: watch::Sender<Option<Arc<Served>>>,
}

#[derive(Debug, Default)]
struct ServingParts {
    identity: Option<Identity>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// CAs that cannot verify client certificates.
#[derive(Debug, thiserror::Error)]
#[error("it cannot verify client certificates: {0}")]
pub struct NoAuthority(#[from] rustls::client::VerifierBuilderError);

impl Default for Serving {
    fn default() -> Serving {
        Serving {
            parts: Arc::default(),
            current: watch::Sender::new(None),
        }
    }
}

impl Serving {
    /// The identity in use, and later ones.
    pub fn current(&self) -> Current {
        self.current.subscribe()
    }

    /// Returns a function for the expiry of the certificate in use, if there is one.
    pub fn expiry(&self) -> impl Fn() -> Option<SystemTime> + Send + Sync + use<> {
        let current = self.current();
        move || {
            let served = current.borrow().clone();
            served.map(|served| served.identity.not_after())
        }
    }

    /// Serves `identity` from the next handshake on.
    pub fn present(&self, identity: Identity) {
        self.change(|parts| parts.identity = Some(identity));
    }

    /// Requires, from the next handshake on, that clients have a certificate from one of
    /// `authorities`.
    ///
    /// # Errors
    /// When there is no CA among them.
    pub fn require_clients_of(&self, authorities: RootCertStore) -> Result<(), NoAuthority> {
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(authorities),
            Arc::new(provider()),
        );
        let clients = verifier.build()?;
        self.change(|parts| parts.clients = Some(clients));
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut ServingParts)) {
        let mut parts = self.parts.lock().expect("no holder panics");
        change(&mut parts);
        if let Some(identity) = &parts.identity {
            let config = server_config(identity, parts.clients.as_ref());
            self.current.send_replace(Some(Arc::new(Served {
                identity: identity.clone(),
                config: Arc::new(config),
            })));
        }
    }
}

fn server_config(
    identity: &Identity,
    clients: Option<&Arc<dyn ClientCertVerifier>>,
) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has both versions");
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
        None => builder.with_no_client_auth(),
    };
    let mut config =
        builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // An API server does not resume sessions: Go's client does so only with a cache
    // (`tls.Config.ClientSessionCache`), and client-go sets none.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}
