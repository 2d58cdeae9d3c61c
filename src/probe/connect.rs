//! Connects to one of a host's addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use super::limits::{MIN_STAGE_TIMEOUT, STAGE_TIMEOUT};

/// The minimum timeout of an address, as in Go's `net.Dialer`, which API servers use.
const SHARE: Duration = Duration::from_secs(2);

/// The minimum timeout of connecting, so that the last attempt tries all addresses.
pub(super) fn min_timeout(addresses: usize) -> Duration {
    let others = u32::try_from(addresses.saturating_sub(1)).unwrap_or(u32::MAX);
    STAGE_TIMEOUT.min(MIN_STAGE_TIMEOUT.saturating_add(SHARE.saturating_mul(others)))
}

/// Connects to the first of `addresses` that accepts, within `time`, and returns its
/// address.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    time: Duration,
) -> Result<(TcpStream, String), Failure> {
    let (stream, address) = first(addresses, time, TcpStream::connect).await?;
    // Otherwise a second write would wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    Ok((stream, address.to_string()))
}

/// Tries one address after another, each for its share of the time, so that one that
/// drops packets does not use up the time of the others.
async fn first<S, F>(
    addresses: &[SocketAddr],
    time: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(S, SocketAddr), Failure>
where
    F: Future<Output = io::Result<S>>,
{
    let end = Instant::now() + time;
    let mut failures = Vec::new();
    for (index, &address) in addresses.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let share = share(left, addresses.len() - index);
        let connected = timeout(share, connect(address)).await;
        match connected.unwrap_or_else(|late| Err(late.into())) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => failures.push((address, error)),
        }
    }
    Err(failure_of(&failures).unwrap_or_else(|| Failure::Silent(addresses_text(addresses))))
}

/// The share of one of so many `addresses` in the time `left`.
fn share(left: Duration, addresses: usize) -> Duration {
    let addresses = u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    (left / addresses).max(SHARE).min(left)
}

/// The failure of the first address, which API servers report, with all addresses that
/// fail in the same way.
fn failure_of(failures: &[(SocketAddr, io::Error)]) -> Option<Failure> {
    let (_, error) = failures.first()?;
    let alike: Vec<_> = failures
        .iter()
        .filter(|(_, other)| other.kind() == error.kind())
        .map(|(address, _)| *address)
        .collect();
    let address = addresses_text(&alike);
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused(address),
        io::ErrorKind::TimedOut => Failure::Silent(address),
        _ => Failure::Unreachable {
            address,
            error: error.to_string(),
        },
    })
}

/// Addresses as text.
pub(super) fn addresses_text(addresses: &[SocketAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn addresses(many: u8) -> Vec<SocketAddr> {
        let at = |host| SocketAddr::from(([10, 0, 0, host], 443));
        (1..=many).map(at).collect()
    }

    /// Connects by `connect` to `many`: which it was, or what went wrong.
    fn connected(
        many: u8,
        time: Duration,
        connect: impl AsyncFn(u8) -> io::Result<()>,
    ) -> Result<SocketAddr, Failure> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().expect("a runtime");
        let connect = &connect;
        let dial = |address: SocketAddr| async move {
            match address.ip() {
                std::net::IpAddr::V4(ip) => connect(ip.octets()[3]).await,
                ip => panic!("{ip}"),
            }
        };
        let first = runtime.block_on(first(&addresses(many), time, dial));
        first.map(|((), address)| address)
    }

    #[test]
    fn an_address_gets_its_share_of_what_is_left_and_two_seconds_at_least() {
        for (left, addresses, expected) in [
            (10, 1, 10),
            (10, 2, 5),
            (9, 3, 3),
            (10, 16, 2),
            (3, 2, 2),
            (1, 2, 1),
        ] {
            let share = share(left * SECOND, addresses);
            assert_eq!(share, expected * SECOND, "{left} {addresses}");
        }
        assert_eq!(min_timeout(1), MIN_STAGE_TIMEOUT);
        assert_eq!(min_timeout(2), MIN_STAGE_TIMEOUT + SHARE);
        assert_eq!(min_timeout(16), STAGE_TIMEOUT);
    }

    #[test]
    fn an_address_that_swallows_everything_leaves_time_for_the_next() {
        let connected = connected(3, min_timeout(3), async |host| match host {
            1 => std::future::pending().await,
            2 => Ok(()),
            host => panic!("{host} was asked after one that serves"),
        });
        assert_eq!(connected, Ok(addresses(2)[1]));
    }

    #[test]
    fn the_failure_is_that_of_the_first_and_of_all_that_fail_alike() {
        let failure = connected(3, STAGE_TIMEOUT, async |host| {
            Err(match host {
                2 => io::ErrorKind::HostUnreachable.into(),
                _ => io::ErrorKind::ConnectionRefused.into(),
            })
        });
        let alike = "10.0.0.1:443 or 10.0.0.3:443".to_owned();
        assert_eq!(failure, Err(Failure::Refused(alike)));
        // Another kind of failure does not hide it.
        let failure = connected(2, min_timeout(2), async |host| match host {
            1 => std::future::pending().await,
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        });
        assert_eq!(failure, Err(Failure::Silent("10.0.0.1:443".to_owned())));
    }
}
