//! Logs handshakes that fail because one side rejects the other's certificate.
//! Operators must see these, although any client can cause them.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::logging::throttle::LogThrottle;
use crate::metrics::connections::HandshakeFailure;
use admission::text::remark;

/// The maximum length of a logged error, parts of which a client controls.
const SHOWN: usize = 256;

/// Logs failed handshakes, as warnings if an operator must fix them. Each kind has its
/// own throttle.
#[derive(Debug, Default)]
pub(super) struct HandshakeFailureLog {
    ours: LogThrottle,
    theirs: LogThrottle,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Endpoints {
    peer: Option<SocketAddr>,
    own: Option<SocketAddr>,
}

impl Endpoints {
    pub(super) fn of(stream: &TcpStream) -> Endpoints {
        Endpoints {
            peer: stream.peer_addr().ok(),
            own: stream.local_addr().ok(),
        }
    }

    fn are_same_host(self) -> bool {
        matches!((self.peer, self.own), (Some(peer), Some(own)) if peer.ip() == own.ip())
    }
}

impl HandshakeFailureLog {
    pub(super) fn log(&self, failure: HandshakeFailure, ends: Endpoints, error: &io::Error) {
        let (pace, problem) = match failure {
            HandshakeFailure::PeerAlert => (
                &self.ours,
                "a client rejected the serving certificate; check the caBundle of the webhook \
                 configurations",
            ),
            // The self-probe presents no certificate.
            HandshakeFailure::ClientCertificate
                if shows_no_certificate(error) && ends.are_same_host() =>
            {
                return debug(error);
            }
            HandshakeFailure::ClientCertificate => (
                &self.theirs,
                "a client presented no certificate issued by --client-ca",
            ),
            _ => return debug(error),
        };
        let Some(suppressed) = pace.pass() else {
            return debug(error);
        };
        let peer = ends.peer.map(|peer| peer.to_string());
        let error = remark(&error.to_string(), SHOWN);
        tracing::warn!(peer, error, suppressed, "{problem}");
    }
}

fn debug(error: &io::Error) {
    let error = remark(&error.to_string(), SHOWN);
    tracing::debug!(error, "a TLS handshake failed");
}

fn shows_no_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::NoCertificatesPresented))
}
