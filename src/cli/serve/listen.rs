//! Where `podseal serve` listens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;

/// Reads the value of `--listen` and `--status-listen`.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let expected = "an address is an IP and a port, such as 0.0.0.0:8443 or [::]:8443; names are \
                not looked up";
    text.parse().map_err(|_| expected)
}

/// Listens at the `address` that `flag` gives.
///
/// `[::]` stands for all there is, IPv4 included, and is the default; so where
/// the kernel has no IPv6, all there is is IPv4.
pub(super) async fn listen(
    address: SocketAddr,
    flag: &str,
) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let everywhere = address.is_ipv6() && address.ip().is_unspecified();
    let listener = match TcpListener::bind(address).await {
        Err(error) if everywhere && may_be_for_want_of_ipv6(&error) => {
            let instead = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            let listener = TcpListener::bind(instead).await;
            // If that is not the cause, the first error says more.
            let listener = listener.map_err(|_| refused(&error, address, flag))?;
            tracing::info!(flag, %error, %instead, "IPv6 is not available; listening on IPv4 only");
            listener
        }
        bound => bound.map_err(|error| refused(&error, address, flag))?,
    };
    let address = listener.local_addr().context("cannot get the address")?;
    Ok((listener, address))
}

/// The kernel says it in more than one way, by how IPv6 was switched off; but
/// never by these.
fn may_be_for_want_of_ipv6(error: &io::Error) -> bool {
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
