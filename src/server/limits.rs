//! The limits of connections.

use std::time::Duration;

/// The limits of connections. Each is an argument of `podseal serve`, or fixed for the
/// reason given here.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// The maximum number of open connections; an API server has a few. Above it, one is
    /// evicted: see `eviction`.
    pub connections: usize,
    /// The timeout of the TLS handshake, and of the first request of an HTTP/2 connection.
    pub handshake: Duration,
    /// The timeout of a header, from its first byte.
    pub header: Duration,
    /// The timeout of an idle connection. API servers close theirs after 90 s (client-go's
    /// transport). If podseal closed first, a request could arrive just then and fail,
    /// because Go does not retry a POST.
    pub idle: Duration,
    /// The timeout of a request, including sending its response. Kubernetes waits at most
    /// 30 s for a webhook.
    pub request: Duration,
    /// The age at which a connection is closed gracefully, plus or minus a tenth, so that
    /// clients spread over new replicas.
    pub age: Duration,
    /// How long to serve after the signal to stop, while this replica is removed from the
    /// Service's endpoints.
    pub drain: Duration,
    /// The timeout of requests in flight after that.
    pub finish: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            connections: 512,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            request: Duration::from_secs(30),
            age: Duration::from_secs(600),
            drain: Duration::from_secs(10),
            finish: Duration::from_secs(10),
        }
    }
}
