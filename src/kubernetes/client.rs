//! Clients whose dead connections do not last.

use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};

/// A client whose connections close after `patience` without data, even if idle.
/// Otherwise the pool would return dead connections for a minute and a half, one
/// request after another.
pub(crate) fn client(mut config: kube::Config, patience: Duration) -> kube::Result<kube::Client> {
    config.connect_timeout = Some(patience);
    config.read_timeout = Some(patience);
    config.write_timeout = Some(patience);
    config.reset_reader_on_write = true;
    // The client of the review retries, and the watch has its own backoff.
    config.default_retry = false;
    kube::Client::try_from(config)
}

/// A client of this configuration opens a connection for each request: no other request
/// can have used it, and the network cannot have lost it since.
pub(crate) fn unpooled(mut config: kube::Config) -> kube::Config {
    let close = (CONNECTION, HeaderValue::from_static("close"));
    config.headers.push(close);
    config
}
