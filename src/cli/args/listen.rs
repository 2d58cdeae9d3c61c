//! The addresses that a command listens on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;

/// Reads the value of `--listen` and `--status-listen`.
pub(in crate::cli) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let expected = "must be an IP address and a port, such as 0.0.0.0:8443 or [::]:8443; host names are \
                    not resolved";
    text.parse().map_err(|_| expected)
}

/// Listens at the `address` of `flag`.
///
/// The default, `[::]`, means all addresses, IPv4 included. So if the kernel has no
/// IPv6, it means all IPv4 addresses.
pub(in crate::cli) async fn listen(
    address: SocketAddr,
    flag: &str,
) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let everywhere = address.is_ipv6() && address.ip().is_unspecified();
    let listener = match TcpListener::bind(address).await {
        Err(error) if everywhere && may_lack_ipv6(&error) => {
            let instead = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            let listener = TcpListener::bind(instead).await;
            // If a missing IPv6 is not the cause, the first error is more useful.
            let listener = listener.map_err(|_| refused(&error, address, flag))?;
            tracing::info!(flag, %error, %instead, "IPv6 is not available; listening on IPv4 only");
            listener
        }
        bound => bound.map_err(|error| refused(&error, address, flag))?,
    };
    let address = listener.local_addr().context("cannot get the address")?;
    Ok((listener, address))
}

/// The error depends on how IPv6 was disabled, but is never one of these.
fn may_lack_ipv6(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, PermissionDenied};
    !matches!(error.kind(), AddrInUse | PermissionDenied)
}

fn refused(error: &io::Error, address: SocketAddr, flag: &str) -> anyhow::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "; the address is already in use: `ss -ltnp` shows by what",
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: [::] or 0.0.0.0 means all addresses"
        }
        _ => "",
    };
    anyhow!("cannot listen on {flag} {address}: {error}{hint}")
}
