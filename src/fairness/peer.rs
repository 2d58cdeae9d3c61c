//! Who is at the other end of a connection, as far as sharing goes.

use std::net::{IpAddr, Ipv6Addr};

/// A peer that gets one share of what connections or reviews compete for.
///
/// An IPv4 address is one peer. So is an IPv6 network of 64 bits, since a host
/// may take any address of its network (RFC 4291, 2.5.1: interface identifiers
/// have 64 bits), so that a share for each address would be no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(IpAddr);

impl Peer {
    /// The peer that has this address. An IPv4 address that an IPv6 socket shows
    /// as `::ffff:192.0.2.1` is the IPv4 address.
    pub fn of(address: IpAddr) -> Peer {
        Peer(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::of(address.parse().expect("an address"))
    }

    #[test]
    fn each_ipv4_address_is_a_peer() {
        assert_eq!(peer("192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
    }

    #[test]
    fn an_ipv4_address_is_the_same_peer_on_an_ipv6_socket() {
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("::ffff:192.0.2.1"), peer("::ffff:192.0.2.2"));
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_of_64_bits_are_one_peer() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:0:0:2"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_ne!(peer("::1"), peer("127.0.0.1"));
    }
}
