//! The bounds within which podseal serves.

use std::time::Duration;

/// What clients may hold, and for how long. Every one is an argument of
/// `podseal serve` or fixed for a reason told here.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many connections are open at once. An API server keeps a handful.
    /// Over it, one of them makes room, as `eviction` says.
    pub connections: usize,
    /// How long a client may take for the TLS handshake, and then, over HTTP/2,
    /// for its first request.
    pub handshake: Duration,
    /// How long a header may take from its first byte on.
    pub header: Duration,
    /// How long a body may take, where the request's own `timeout` is longer.
    pub body: Duration,
    /// How long a connection may be without a request. API servers close idle
    /// connections themselves after 90 s (client-go's transport). Whoever closes
    /// first loses the race with a request on its way, and Go does not send a
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
    /// How many requests are in flight at once, those included whose bodies are
    /// still to come: each takes some memory that no body is counted for.
    pub requests: usize,
    /// How many bytes of bodies are held at once.
    pub memory: usize,
    /// How many reviews are decided at once.
    pub reviews: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 512,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            request: Duration::from_secs(30),
            age: Duration::from_secs(600),
            drain: Duration::from_secs(10),
            finish: Duration::from_secs(10),
            requests: 4096,
            memory: 64 * 1024 * 1024,
            reviews: 256,
        }
    }
}

impl Limits {
    /// How many reviews may wait for a live look-up of their namespace: half of
    /// those that are decided at once, so that however many wait, there is room for
    /// those whose namespace is known.
    pub fn look_ups_waiting(&self) -> usize {
        (self.reviews / 2).max(1)
    }
}
