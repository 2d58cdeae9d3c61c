//! Failures, with the likely cause and what to do.

use super::certificate::CertificateSummary;

/// Why podseal does not answer as required.
///
/// The message describes what happened, and [`Failure::hint`] the likely cause and what
/// to do. Texts of the server are escaped and bounded when they are read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The host has no address.
    #[error("cannot resolve {host} ({error})")]
    NameNotFound {
        /// The host.
        host: String,
        /// The resolver's error.
        error: String,
    },
    /// Nothing listens there.
    #[error("{0} refuses connections")]
    Refused(String),
    /// There is no response.
    #[error("connections to {0} time out")]
    Silent(String),
    /// There is no route.
    #[error("{address} cannot be reached ({error})")]
    Unreachable {
        /// The address.
        address: String,
        /// The kernel's error.
        error: String,
    },
    /// Connected, but without a TLS handshake.
    #[error("it accepts connections but does not start the TLS handshake")]
    NoHandshake,
    /// The server closes the connection early.
    #[error("the server closes the connection ({0})")]
    BrokeOff(String),
    /// It does not speak TLS.
    #[error("the server does not speak TLS")]
    NotTls,
    /// No trusted CA issued the certificate.
    #[error("its certificate is from an authority that is not in --ca-file: issued by {issuer}")]
    UnknownAuthority {
        /// The issuer that the certificate names.
        issuer: String,
    },
    /// The certificate is for another host.
    #[error("its certificate is not for {host}, but for {names}")]
    WrongName {
        /// The host.
        host: String,
        /// The hosts of the certificate.
        names: String,
    },
    /// The certificate has expired.
    #[error("its certificate expired at {0}")]
    Expired(String),
    /// The certificate is not valid yet.
    #[error("its certificate is valid only from {0} on")]
    NotYetValid(String),
    /// Any other error of the certificate.
    #[error("its certificate cannot be verified: {0}")]
    BadCertificate(String),
    /// It requires a client certificate.
    #[error("it accepts only clients with a certificate")]
    ClientCertificate,
    /// Any other error of the handshake.
    #[error("the TLS handshake fails: {0}")]
    Tls(String),
    /// It does not speak HTTP/1.1.
    #[error("its answer is not HTTP/1.1 ({0})")]
    NotHttp(String),
    /// It accepts the review and does not answer.
    #[error("it accepts the review but does not answer")]
    NoAnswer,
    /// The response is too large.
    #[error("its answer is larger than {} bytes", super::limits::MAX_ANSWER_BYTES)]
    TooLarge,
    /// An HTTP error.
    #[error("it answers HTTP {code}: {text}")]
    Http {
        /// The status code.
        code: u16,
        /// The beginning of the body.
        text: String,
    },
    /// Code 200, without a valid response to the review.
    #[error("its answer is not an AdmissionReview that an API server accepts: {0}")]
    NoReview(String),
    /// A denial with code 429, or HTTP 429.
    #[error("it is too busy: {0}")]
    Busy(String),
    /// A denial with code 503.
    #[error("it answers, but cannot decide: {0}")]
    Unavailable(String),
    /// A denial.
    #[error("it denies a pod that meets every level, with code {code}: {message}")]
    Denied {
        /// The status code.
        code: u16,
        /// The reason, as the pod's creator gets it.
        message: String,
    },
}

impl Failure {
    /// Whether it may be temporary, while podseal starts or is replaced.
    pub fn may_pass(&self) -> bool {
        use Failure::*;
        matches!(
            self,
            NameNotFound { .. }
                | Refused(_)
                | Silent(_)
                | Unreachable { .. }
                | NoHandshake
                | BrokeOff(_)
                | NoAnswer
                | Busy(_)
        )
    }

    /// The reason as one word, for programs.
    pub fn reason(&self) -> &'static str {
        self.known().0
    }

    /// The likely cause, and what to do.
    pub fn hint(&self) -> &'static str {
        self.known().1
    }

    fn known(&self) -> (&'static str, &'static str) {
        match self {
            Failure::NameNotFound { .. } => (
                "NameNotFound",
                "Is it SERVICE.NAMESPACE.svc of podseal's Service (kubectl get service -A)? Only \
                 pods of the cluster can look it up",
            ),
            Failure::Refused(_) => (
                "ConnectionRefused",
                "Either no replica is ready (kubectl get pods in podseal's namespace; \
                 /readyz?verbose on the status port of one says why), or this is not the Service's port",
            ),
            Failure::Silent(_) => (
                "ConnectionTimedOut",
                "Packets are dropped: check the NetworkPolicies of podseal's namespace and of \
                 the client's, and firewalls between nodes",
            ),
            Failure::Unreachable { .. } => (
                "Unreachable",
                "There is no route from here; try it from a pod of the cluster",
            ),
            Failure::NoHandshake => (
                "NoHandshake",
                "Either podseal has no certificate yet (see its log), or something other than \
                 podseal listens there",
            ),
            Failure::BrokeOff(_) => (
                "BrokenOff",
                "Either a replica is shutting down, or a proxy or firewall closes the connection; \
                 podseal logs failed handshakes",
            ),
            Failure::NotTls => (
                "NotTLS",
                "Is it the webhooks' port (by default 443 of the Service, 8443 of the pod), and not \
                 that of /readyz (8080)?",
            ),
            Failure::UnknownAuthority { .. } => (
                "UnknownAuthority",
                "API servers reject it too if the caBundle of both webhook configurations is \
                 this file. Compare it with ca.crt in the Secret of the serving certificate",
            ),
            Failure::WrongName { .. } => (
                "WrongName",
                "The certificate was issued for another Service or namespace: correct its names \
                 (--service-name and --namespace of podseal serve, dnsNames of cert-manager), or \
                 use a name that it has",
            ),
            Failure::Expired(_) => (
                "Expired",
                "Its renewal failed: see podseal's log with --tls-mode self-managed, otherwise \
                 that of cert-manager. Is the clock correct?",
            ),
            Failure::NotYetValid(_) => ("NotYetValid", "Are the clocks of both machines correct?"),
            Failure::BadCertificate(_) => (
                "BadCertificate",
                "API servers reject it too; issue it again, for servers (serverAuth), with \
                 its hosts as subject alternative names",
            ),
            Failure::ClientCertificate => (
                "ClientCertificate",
                "podseal serve runs with --client-ca and accepts only API servers; test it \
                 through one: kubectl create --dry-run=server",
            ),
            Failure::Tls(_) => (
                "TLS",
                "podseal supports TLS 1.3 and 1.2; it logs failed handshakes",
            ),
            Failure::NotHttp(_) | Failure::NoReview(_) | Failure::TooLarge => (
                "NotPodseal",
                "Either something other than podseal answers, or a proxy changes its responses",
            ),
            Failure::NoAnswer => (
                "AnswerTimedOut",
                "podseal waits for its API server, or lacks CPU: check its log and \
                 podseal_request_duration_seconds",
            ),
            Failure::Http { code: 500.., .. } => (
                "HTTPError",
                "podseal never sends this response: it is from a proxy or another server",
            ),
            Failure::Http { .. } => (
                "HTTPError",
                "Is the server podseal, and of this version? podseal serves POST /mutate and \
                 POST /validate",
            ),
            Failure::Busy(_) => (
                "Busy",
                "podseal sheds load (podseal_shed_total); add replicas or CPU",
            ),
            Failure::Unavailable(_) => (
                "NamespaceUnavailable",
                "Does the namespace exist (in the file, if podseal serves with --namespaces)? If \
                 so, podseal cannot get it from the API server: it needs get, list and watch on \
                 namespaces, and a network path to the API server",
            ),
            Failure::Denied { .. } => (
                "Denied",
                "podseal admits this pod whatever the namespace's labels are: is the \
                 server another webhook?",
            ),
        }
    }

    /// The failure of a handshake, with the certificate that was presented.
    pub(super) fn of_handshake(
        error: &std::io::Error,
        host: &str,
        shown: Option<&CertificateSummary>,
    ) -> Failure {
        use rustls::{CertificateError as Bad, Error};
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let certificate = shown.cloned().unwrap_or_default();
        let text_of =
            |error: &dyn std::fmt::Display| admission::text::remark(&error.to_string(), 200);
        match inner {
            Some(Error::InvalidMessage(_)) => Failure::NotTls,
            Some(Error::InvalidCertificate(bad)) => match bad {
                Bad::UnknownIssuer | Bad::BadSignature => Failure::UnknownAuthority {
                    issuer: certificate.issuer,
                },
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Failure::WrongName {
                    host: host.to_owned(),
                    names: certificate.names(),
                },
                Bad::Expired | Bad::ExpiredContext { .. } => {
                    Failure::Expired(certificate.not_after)
                }
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                    Failure::NotYetValid(certificate.not_before)
                }
                bad => Failure::BadCertificate(text_of(bad)),
            },
            Some(error) => Failure::Tls(text_of(error)),
            None => Failure::BrokeOff(text_of(error)),
        }
    }
}
