//! Connections: how many, how they end, and why handshakes fail.

use std::io;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::label::label;
use super::series::{Counters, registered};

label! {
    /// Why a connection ended.
    CloseReason = "reason" {
        /// The client closed it, or the network did.
        Peer = "peer",
        /// It reached the maximum age.
        Age = "age",
        /// No request arrived for too long.
        Idle = "idle",
        /// The handshake failed or took too long.
        Handshake = "handshake",
        /// No first request arrived in time.
        NoRequest = "no_request",
        /// The headers of a request did not arrive in time.
        HeaderTimeout = "header_timeout",
        /// The limit of connections was reached.
        Evicted = "evicted",
        /// podseal is shutting down.
        Drain = "drain",
        /// A request took too long, or the client read the response too slowly.
        Stuck = "stuck",
    }
}

label! {
    /// Why a TLS handshake failed.
    HandshakeFailure = "reason" {
        /// It did not finish in time.
        Timeout = "timeout",
        /// The client did not send TLS.
        NotTls = "not_tls",
        /// No version, cipher suite, key exchange or protocol in common.
        Incompatible = "incompatible",
        /// The client sent no certificate, or one that no trusted CA issued.
        ClientCertificate = "client_certificate",
        /// The client sent an alert; most often, it does not trust podseal's
        /// certificate.
        PeerAlert = "peer_alert",
        /// The connection was closed or reset.
        Io = "io",
        /// Anything else.
        Other = "other",
    }
}

/// The metrics of connections.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    open: Gauge,
    opened: Counter,
    closed: Counters<CloseReason>,
    handshake_failures: Counters<HandshakeFailure>,
}

/// An open connection. Dropping it counts it as closed.
#[derive(Debug)]
pub struct OpenConnection {
    connections: ConnectionMetrics,
    reason: CloseReason,
}

impl HandshakeFailure {
    /// The reason in an error of the TLS acceptor.
    pub fn of(error: &io::Error) -> HandshakeFailure {
        use rustls::Error;
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(Error::AlertReceived(_)) => HandshakeFailure::PeerAlert,
            Some(Error::InvalidMessage(_) | Error::PeerSentOversizedRecord) => {
                HandshakeFailure::NotTls
            }
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => {
                HandshakeFailure::Incompatible
            }
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => {
                HandshakeFailure::ClientCertificate
            }
            Some(_) => HandshakeFailure::Other,
            None if error.kind() == io::ErrorKind::TimedOut => HandshakeFailure::Timeout,
            None => HandshakeFailure::Io,
        }
    }
}

impl ConnectionMetrics {
    pub(super) fn register(registry: &mut Registry) -> ConnectionMetrics {
        ConnectionMetrics {
            open: registered(
                registry,
                "open_connections",
                "Open connections to the webhook port",
            ),
            opened: registered(
                registry,
                "connections",
                "Connections accepted on the webhook port",
            ),
            closed: registered(
                registry,
                "connections_closed",
                "Connections to the webhook port that ended, by reason",
            ),
            handshake_failures: registered(
                registry,
                "tls_handshake_failures",
                "TLS handshakes that failed, by reason",
            ),
        }
    }

    /// Counts an accepted connection, which is open until the result is dropped.
    pub fn opened(&self) -> OpenConnection {
        self.open.inc();
        self.opened.inc();
        OpenConnection {
            connections: self.clone(),
            reason: CloseReason::Peer,
        }
    }

    /// Counts a handshake that failed.
    pub fn handshake_failed(&self, why: HandshakeFailure) {
        self.handshake_failures.of(why).inc();
    }
}

impl OpenConnection {
    /// Sets the reason for which the connection ends. Without one, the peer
    /// closed it.
    pub fn closes(&mut self, why: CloseReason) {
        self.reason = why;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.open.dec();
        self.connections.closed.of(self.reason).inc();
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

    use super::*;

    #[test]
    fn a_dropped_connection_is_counted_as_closed_with_its_reason() {
        let connections = ConnectionMetrics::register(&mut Registry::default());
        let (peer, mut aged) = (connections.opened(), connections.opened());
        assert_eq!((connections.open.get(), connections.opened.get()), (2, 2));
        aged.closes(CloseReason::Age);
        drop((peer, aged));
        assert_eq!((connections.open.get(), connections.opened.get()), (0, 2));
        let closed = |why| connections.closed.of(why).get();
        assert_eq!(
            (
                closed(CloseReason::Peer),
                closed(CloseReason::Age),
                closed(CloseReason::Drain)
            ),
            (1, 1, 0)
        );
    }

    #[test]
    fn the_error_of_rustls_decides_the_reason_of_a_failed_handshake() {
        let tls = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let cases = [
            (
                tls(Error::AlertReceived(AlertDescription::UnknownCA)),
                HandshakeFailure::PeerAlert,
            ),
            (
                tls(InvalidMessage::InvalidContentType.into()),
                HandshakeFailure::NotTls,
            ),
            (
                tls(PeerIncompatible::NoCipherSuitesInCommon.into()),
                HandshakeFailure::Incompatible,
            ),
            (
                tls(Error::NoCertificatesPresented),
                HandshakeFailure::ClientCertificate,
            ),
            (
                tls(CertificateError::UnknownIssuer.into()),
                HandshakeFailure::ClientCertificate,
            ),
            (tls(Error::DecryptError), HandshakeFailure::Other),
            (io::ErrorKind::UnexpectedEof.into(), HandshakeFailure::Io),
            (
                io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
                HandshakeFailure::Timeout,
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(HandshakeFailure::of(&error), expected, "{error}");
        }
    }
}
