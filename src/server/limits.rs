//! The bounds of connections.

use std::time::Duration;

/// How many connections clients may have, and for how long. Each is an argument of
/// `podseal serve`, or fixed for a reason given here.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// How many connections are open at once. An API server keeps a handful.
    /// Over it, one of them is evicted, as `eviction` says.
    pub connections: usize,
    /// How long a client may take for the TLS handshake, and then, over HTTP/2,
    /// for its first request.
    pub handshake: Duration,
    /// How long a header may take from its first byte on.
    pub header: Duration,
    /// How long a connection may be without a request. API servers close idle
    /// connections themselves after 90 s (client-go's transport). The side
    /// that closes first loses the race with a request on its way, and Go does not send a
    /// POST twice; so podseal waits longer.
    pub idle: Duration,
    /// How long a request may take, with the reading of its answer. Kubernetes
    /// waits at most 30 s for a webhook.
    pub request: Duration,
    /// After how long a connection is closed in good order, so that clients
    /// spread over replicas that came later. Each takes a tenth more or less.
    pub age: Duration,
    /// How long serving goes on after the signal to stop, while endpoints that
    /// still name this replica go away.
    pub drain: Duration,
    /// How long requests in flight get to finish after that.
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
