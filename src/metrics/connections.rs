//! Connections: how many, how they end, and why handshakes fail.

use std::io;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::label::label;
use super::series::Counters;

label! {
    /// Why a connection ended.
    CloseReason = "reason" {
        /// The client closed it, or the network did.
        Peer = "peer",
        /// It was as old as a connection may get.
        Age = "age",
        /// No request came for long.
        Idle = "idle",
        /// Its handshake failed, or was not done in time.
        Handshake = "handshake",
        /// No first request arrived in time.
        NoRequest = "no_request",
        /// The header of a request did not arrive in time.
        HeaderTimeout = "header_timeout",
        /// Its place was needed for another, or there was none for it.
        Evicted = "evicted",
        /// podseal stops.
        Drain = "drain",
        /// A request, or the reading of its answer, took too long.
        Stuck = "stuck",
    }
}

label! {
    /// Why a TLS handshake failed.
    HandshakeFailure = "reason" {
        /// It did not finish in time.
        Timeout = "timeout",
        /// What came was not TLS.
        NotTls = "not_tls",
        /// No version, cipher suite, key exchange or protocol in common.
        Incompatible = "incompatible",
        /// The client showed no certificate, or one of no trusted authority.
        ClientCertificate = "client_certificate",
        /// The client broke off with an alert: most often, it does not trust
        /// our certificate.
        PeerAlert = "peer_alert",
        /// The connection ended or broke.
        Io = "io",
        /// Anything else.
        Other = "other",
    }
}

/// The figures of connections.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    open: Gauge,
    opened: Counter,
    closed: Counters<(CloseReason,)>,
    handshake_failures: Counters<(HandshakeFailure,)>,
}

/// An open connection, until it is dropped.
#[derive(Debug)]
pub struct OpenConnection {
    connections: ConnectionMetrics,
    reason: CloseReason,
}

impl HandshakeFailure {
    /// What `error`, of an acceptor, says.
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
        let connections = ConnectionMetrics {
            open: Gauge::default(),
            opened: Counter::default(),
            closed: Counters::default(),
            handshake_failures: Counters::default(),
        };
        registry.register(
            "open_connections",
            "Connections to the webhooks' port that are open",
            connections.open.clone(),
        );
        registry.register(
            "connections",
            "Connections to the webhooks' port that were accepted",
            connections.opened.clone(),
        );
        registry.register(
            "connections_closed",
            "Connections to the webhooks' port that ended, by reason",
            connections.closed.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed, by reason",
            connections.handshake_failures.clone(),
        );
        connections
    }

    /// A connection was accepted; it is open until what this returns is dropped.
    pub fn opened(&self) -> OpenConnection {
        self.open.inc();
        self.opened.inc();
        OpenConnection {
            connections: self.clone(),
            reason: CloseReason::Peer,
        }
    }

    /// A handshake failed.
    pub fn handshake_failed(&self, why: HandshakeFailure) {
        self.handshake_failures.count((why,));
    }
}

impl OpenConnection {
    /// The connection ends, or is about to, and this is why. By default
    /// the peer ended it.
    pub fn closes(&mut self, why: CloseReason) {
        self.reason = why;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.open.dec();
        self.connections.closed.count((self.reason,));
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

    use super::*;

    #[test]
    fn a_connection_is_open_until_it_is_dropped_and_then_counted_with_its_reason() {
        let connections = ConnectionMetrics::register(&mut Registry::default());
        let (peer, mut aged) = (connections.opened(), connections.opened());
        assert_eq!((connections.open.get(), connections.opened.get()), (2, 2));
        aged.closes(CloseReason::Age);
        drop((peer, aged));
        assert_eq!((connections.open.get(), connections.opened.get()), (0, 2));
        let closed = |why| connections.closed.get((why,));
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
    fn a_failed_handshake_is_told_by_what_rustls_says() {
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
