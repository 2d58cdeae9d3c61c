//! The unit of fairness: an IPv4 address or an IPv6 network.

use std::net::{IpAddr, Ipv6Addr};

/// A peer, which gets one share.
///
/// An IPv4 address is one peer, and so is an IPv6 network of 64 bits: a host can use any
/// address of its network (RFC 4291, 2.5.1: interface identifiers have 64 bits), so
/// shares for single addresses would not limit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer(IpAddr);

impl Peer {
    /// The peer of this address. `::ffff:192.0.2.1`, from an IPv6 socket, is the IPv4
    /// address.
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
