//! The arguments of `podseal serve` that limit connections, requests and memory.

use std::time::Duration;

use crate::cli::args::time::time;
use crate::server::limits::ConnectionLimits;
use crate::webhook::limits::ReviewLimits;

/// Deciding a review of a job pod takes nearly this much memory.
const LEAST_MEMORY: usize = 1 << 20;

/// Limits. The defaults suit clusters of any size: an API server keeps a handful
/// of connections, and a review takes well under a millisecond.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
// The default is the name of the struct, which `serve` has too.
#[group(id = "limits")]
pub(super) struct LimitArgs {
    /// Time to continue serving after SIGTERM, such as 10s
    ///
    /// This gives clients time to notice that the replica left the Service. Each response tells its
    /// client to reconnect.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    drain: Duration,
    /// Maximum number of open connections
    ///
    /// Above it, podseal closes a connection of the client address that has the most.
    #[arg(long, value_name = "COUNT", default_value = "512", value_parser = count)]
    max_connections: usize,
    /// Time after which a connection is closed gracefully, plus or minus a tenth
    ///
    /// Clients then reconnect, and spread over new replicas.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = some_time)]
    max_connection_age: Duration,
    /// Maximum number of reviews in progress; more are rejected with code 429, and clients retry
    #[arg(long, value_name = "COUNT", default_value = "256", value_parser = count)]
    max_reviews: usize,
    /// Maximum memory for request bodies and for deciding them, such as 64MiB
    ///
    /// Above it, reviews are rejected with code 429, and clients retry. A review takes a small
    /// multiple of its body; the review of a job pod takes about 700KiB. Units: KiB, MiB, GiB, or
    /// none for bytes.
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = bytes)]
    max_body_memory: usize,
    /// Timeout of the TLS handshake, and of the first request of an HTTP/2 connection
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    handshake_timeout: Duration,
    /// Timeout of reading a request's header
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    header_timeout: Duration,
    /// Timeout of reading a request's body, or the API server's own timeout if that is shorter
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    body_timeout: Duration,
    /// Time after which an idle connection is closed
    ///
    /// API servers close idle connections after 90s. A shorter time here makes admission requests
    /// fail occasionally.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = some_time)]
    idle_timeout: Duration,
}

impl LimitArgs {
    /// How long to serve after the signal.
    pub(super) fn drain(&self) -> Duration {
        self.drain
    }

    /// The limits of connections.
    pub(super) fn connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections: self.max_connections,
            handshake: self.handshake_timeout,
            header: self.header_timeout,
            idle: self.idle_timeout,
            age: self.max_connection_age,
            drain: self.drain,
            ..ConnectionLimits::default()
        }
    }

    /// The limits of reviews.
    pub(super) fn reviews(&self) -> ReviewLimits {
        ReviewLimits {
            body: self.body_timeout,
            memory: self.max_body_memory,
            reviews: self.max_reviews,
            ..ReviewLimits::default()
        }
    }
}

/// A time of at least 100ms.
fn some_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        time if time < Duration::from_millis(100) => Err("the minimum is 100ms".to_owned()),
        time => Ok(time),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err("must be a number from 1 to 1000000".to_owned()),
    }
}

fn bytes(text: &str) -> Result<usize, String> {
    let expected = "must be a number of bytes, or a number with KiB, MiB or GiB, such as 64MiB";
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: usize = match &text[digits.len()..] {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(expected.to_owned()),
    };
    let number: usize = digits.parse().map_err(|_| expected)?;
    match number.checked_mul(unit).ok_or(expected)? {
        bytes if bytes < LEAST_MEMORY => {
            Err("the minimum is 1MiB, which a review may require".to_owned())
        }
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_counts_and_bytes_with_their_units() {
        assert_eq!(bytes("7MiB"), Ok(7 << 20));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        for wrong in ["7MB", "MiB", "-1", "64", "0", "99999999999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        assert!(some_time("0s").is_err() && some_time("1s").is_ok());
        assert!(count("0").is_err() && count("1") == Ok(1));
    }
}
