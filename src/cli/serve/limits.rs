//! The arguments of `podseal serve` that bound what clients may hold.

use std::time::Duration;

use crate::cli::args::time::time;
use crate::server::limits::ConnectionLimits;
use crate::webhook::limits::ReviewLimits;

/// A review of a job pod takes most of this, with what is read from it.
const LEAST_MEMORY: usize = 1 << 20;

/// Bounds. The defaults suit a cluster of any size: an API server keeps a handful
/// of connections, and a review takes well under a millisecond.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
// Its default is the name of the struct, as that of `serve`.
#[group(id = "limits")]
pub(super) struct LimitArgs {
    /// How long serving goes on after SIGTERM, such as 10s, while endpoints that name this replica go away;
    /// every answer then tells its client to connect elsewhere
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    drain: Duration,
    /// How many connections are open at once; over it, one of the address that has the most makes
    /// room
    #[arg(long, value_name = "COUNT", default_value = "512", value_parser = count)]
    max_connections: usize,
    /// After how long a connection is closed in good order, so that clients spread over replicas
    /// that came later; a tenth more or less
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = some_time)]
    max_connection_age: Duration,
    /// How many reviews are decided at once; more are shed with 429, which clients try again
    #[arg(long, value_name = "COUNT", default_value = "256", value_parser = count)]
    max_reviews: usize,
    /// How many bytes are held at once of request bodies and of what answering them takes, such as
    /// 64MiB; more are shed with 429. A review takes a small multiple of its body; that of a job pod
    /// about 700KiB
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = bytes)]
    max_body_memory: usize,
    /// How long a client may take for the TLS handshake, and over HTTP/2 then for its first request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    handshake_timeout: Duration,
    /// How long a request's header may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    header_timeout: Duration,
    /// How long a request's body may take, where the API server waits that long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    body_timeout: Duration,
    /// How long a connection may be idle. API servers close theirs after 90s; closing before them
    /// fails an admission now and then
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = some_time)]
    idle_timeout: Duration,
}

impl LimitArgs {
    /// How long serving goes on after the signal.
    pub(super) fn drain(&self) -> Duration {
        self.drain
    }

    /// The limits of connections that they ask for.
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

    /// The limits of reviews that they ask for.
    pub(super) fn reviews(&self) -> ReviewLimits {
        ReviewLimits {
            body: self.body_timeout,
            memory: self.max_body_memory,
            reviews: self.max_reviews,
            ..ReviewLimits::default()
        }
    }
}

/// A time that is no moment.
fn some_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        time if time < Duration::from_millis(100) => {
            Err("less than 100ms is too short for any client".to_owned())
        }
        time => Ok(time),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err("a count is a number from 1 to 1000000".to_owned()),
    }
}

fn bytes(text: &str) -> Result<usize, String> {
    let expected = "bytes are a number, or one with KiB, MiB or GiB";
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
            Err("less than 1MiB may be too small for a review".to_owned())
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
