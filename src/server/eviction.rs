//! Selects the connection to evict for a new one when all slots are taken.
//!
//! Half of the slots are for connections that had a review, as all connections of an API
//! server have, and half for the others. Each kind may use the free slots of the other.
//! When a new connection requires a slot, the kind that uses more than its half loses
//! one: of the peer with the most connections of this kind, the least useful connection.
//! The new connection counts too.
//!
//! So this peer exceeds its share, which is half of the slots divided by the number of
//! peers with connections of this kind: no peer loses a connection within its share.
//! And unless every peer has just one, it keeps at least as many as the new
//! connection's peer then has. Both are true regardless of activity: a peer cannot keep
//! slots from others by always having requests in flight.
//!
//! | peer of the new connection | evicted |
//! |---|---|
//! | another peer | any connection, even with requests in flight |
//! | the same peer | a connection without a request or with a slow one; otherwise the new connection waits |
//!
//! A search looks at every connection once. It is necessary only when all slots are
//! taken, for each new connection.

use std::collections::HashMap;
use std::time::Duration;

use super::activity::ConnectionState;
use crate::fairness::peer::Peer;

/// Longer than a review that waits for the API server.
const SLOW_REQUEST: Duration = Duration::from_secs(3);

/// An open connection, with what the choice depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its number.
    pub(super) number: u64,
    /// Its peer.
    pub(super) peer: Peer,
    /// Whether it had a review.
    pub(super) has_served: bool,
    /// Its state.
    pub(super) state: ConnectionState,
}

/// The number of the connection to evict for a new one from the peer `newcomer`, if
/// `open` takes all `slots`. If none, the new connection waits.
pub(super) fn choose_victim(newcomer: Peer, slots: usize, open: &[Candidate]) -> Option<u64> {
    let with_review = open.iter().filter(|candidate| candidate.has_served);
    // With the new connection there is one more than slots, so one kind exceeds its
    // half.
    let evicts_reviewed = with_review.count() > slots / 2;
    let of_kind = || {
        open.iter()
            .filter(move |candidate| candidate.has_served == evicts_reviewed)
    };
    let mut connections: HashMap<Peer, usize> = HashMap::new();
    if !evicts_reviewed {
        connections.insert(newcomer, 1);
    }
    for candidate in of_kind() {
        *connections.entry(candidate.peer).or_default() += 1;
    }
    // Of peers with equal numbers, the newcomer's own loses one.
    let victim = of_kind().max_by_key(|candidate| {
        let is_own = candidate.peer == newcomer;
        let priority = eviction_priority(candidate.state);
        (connections[&candidate.peer], is_own, priority)
    })?;
    let may_end = victim.peer != newcomer || !is_served(victim.state);
    may_end.then_some(victim.number)
}

/// How dispensable a connection is. The most dispensable ones never had a request, then
/// those that are idle, then those with a request slower than any review, and last those
/// that serve a request; of each, the one that has been so for longest.
fn eviction_priority(state: ConnectionState) -> (u8, Duration) {
    match state {
        ConnectionState::Handshake(since) | ConnectionState::Unused(since) => (3, since),
        ConnectionState::Idle(since) | ConnectionState::Header(since) => (2, since),
        ConnectionState::Request(since) if !is_served(state) => (1, since),
        ConnectionState::Request(since) => (0, since),
    }
}

/// Whether a request is in flight that may be a review.
fn is_served(state: ConnectionState) -> bool {
    matches!(state, ConnectionState::Request(since) if since <= SLOW_REQUEST)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn peer(host: u8) -> Peer {
        Peer::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const API_SERVER: u8 = 1;
    const OTHER: u8 = 2;
    const THIRD: u8 = 3;

    const IDLE: ConnectionState = ConnectionState::Idle(Duration::from_secs(60));
    const SERVED: ConnectionState = ConnectionState::Request(Duration::from_secs(1));
    const STUCK: ConnectionState = ConnectionState::Request(Duration::from_secs(9));
    const UNUSED: ConnectionState = ConnectionState::Unused(Duration::from_secs(1));
    const HANDSHAKE: ConnectionState = ConnectionState::Handshake(Duration::ZERO);

    /// So many connections of a peer that all do the same, after a review or not.
    type Group = (u8, usize, bool, ConnectionState);

    fn candidates(groups: &[Group]) -> Vec<Candidate> {
        let all = groups.iter().flat_map(|(host, count, has_served, state)| {
            std::iter::repeat_n((peer(*host), *has_served, *state), *count)
        });
        let numbered = (0..).zip(all);
        let candidate = |(number, (peer, has_served, state))| Candidate {
            number,
            peer,
            has_served,
            state,
        };
        numbered.map(candidate).collect()
    }

    /// The group of `groups`, which fill the slots, that loses a connection to a
    /// newcomer of `host`.
    fn loser(host: u8, groups: &[Group]) -> Option<usize> {
        let open = candidates(groups);
        let number = choose_victim(peer(host), open.len(), &open)?;
        let mut end = 0;
        groups.iter().position(|(_, count, ..)| {
            end += count;
            number < end as u64
        })
    }

    #[test]
    fn who_pays_for_a_newcomer_is_as_in_this_table() {
        let api_server = (API_SERVER, 4, true, IDLE);
        let table: &[(&str, u8, &[Group], Option<usize>)] = &[
            (
                "requests in flight keep no slot from another peer",
                API_SERVER,
                &[api_server, (OTHER, 508, true, SERVED)],
                Some(1),
            ),
            (
                "and gain none for their own",
                OTHER,
                &[api_server, (OTHER, 508, true, SERVED)],
                None,
            ),
            (
                "a peer gives its own for its own, if one serves no request",
                OTHER,
                &[
                    api_server,
                    (OTHER, 507, true, SERVED),
                    (OTHER, 1, true, IDLE),
                ],
                Some(2),
            ),
            (
                "or has one that is slow",
                OTHER,
                &[
                    api_server,
                    (OTHER, 507, true, SERVED),
                    (OTHER, 1, true, STUCK),
                ],
                Some(2),
            ),
            (
                "the newcomer of a third peer spares the one with few",
                THIRD,
                &[api_server, (OTHER, 508, true, SERVED)],
                Some(1),
            ),
            (
                "requests that are never answered count as no review",
                OTHER,
                &[api_server, (OTHER, 508, false, STUCK)],
                Some(1),
            ),
            (
                "from one address, those without a review pay once they are slow",
                API_SERVER,
                &[api_server, (API_SERVER, 508, false, STUCK)],
                Some(1),
            ),
            (
                "and wait where all serve requests",
                API_SERVER,
                &[api_server, (API_SERVER, 508, false, SERVED)],
                None,
            ),
            (
                "those in their handshake keep half of the slots",
                OTHER,
                &[(API_SERVER, 1, false, HANDSHAKE), (OTHER, 511, true, IDLE)],
                Some(1),
            ),
            (
                "of each kind the peer with the most of this kind pays",
                THIRD,
                &[
                    (API_SERVER, 30, true, IDLE),
                    (API_SERVER, 9, false, UNUSED),
                    (OTHER, 20, true, IDLE),
                    (OTHER, 12, false, SERVED),
                    (THIRD, 11, false, UNUSED),
                ],
                // 50 of 82 had a review.
                Some(0),
            ),
            (
                "the newcomer's own peer pays where another has as many",
                OTHER,
                &[(API_SERVER, 6, false, UNUSED), (OTHER, 5, false, HANDSHAKE)],
                Some(1),
            ),
            (
                "where every peer has one, the one that waits longest goes",
                THIRD,
                &[(API_SERVER, 1, false, HANDSHAKE), (OTHER, 1, false, UNUSED)],
                Some(1),
            ),
            (
                "an only slot changes hands once it has served",
                OTHER,
                &[(API_SERVER, 1, true, IDLE)],
                Some(0),
            ),
        ];
        for (what, newcomer, groups, expected) in table {
            assert_eq!(loser(*newcomer, groups), *expected, "{what}");
        }
    }

    #[test]
    fn a_connection_that_asked_for_nothing_ends_first_and_one_that_is_served_last() {
        let mut all = [
            ConnectionState::Request(seconds(2)),
            ConnectionState::Request(seconds(9)),
            ConnectionState::Idle(seconds(5)),
            ConnectionState::Header(seconds(7)),
            ConnectionState::Handshake(seconds(1)),
            ConnectionState::Unused(seconds(3)),
        ];
        all.sort_by_key(|state| std::cmp::Reverse(eviction_priority(*state)));
        assert_eq!(
            all,
            [
                ConnectionState::Unused(seconds(3)),
                ConnectionState::Handshake(seconds(1)),
                ConnectionState::Header(seconds(7)),
                ConnectionState::Idle(seconds(5)),
                ConnectionState::Request(seconds(9)),
                ConnectionState::Request(seconds(2)),
            ]
        );
    }

    fn state() -> impl Strategy<Value = ConnectionState> {
        (0..5_u8, 0..9_u64).prop_map(|(kind, since)| {
            let since = seconds(since);
            match kind {
                0 => ConnectionState::Handshake(since),
                1 => ConnectionState::Unused(since),
                2 => ConnectionState::Idle(since),
                3 => ConnectionState::Header(since),
                _ => ConnectionState::Request(since),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The guarantees of the module documentation.
        #[test]
        fn the_peer_that_pays_has_more_than_its_share_and_is_left_with_no_fewer(
            newcomer in 0..6_u8,
            open in prop::collection::vec((0..6_u8, any::<bool>(), state()), 1..40),
        ) {
            let slots = open.len();
            let groups: Vec<Group> = open
                .into_iter()
                .map(|(host, has_served, state)| (host, 1, has_served, state))
                .collect();
            let open = candidates(&groups);
            let with_review = open.iter().filter(|one| one.has_served).count();
            let pays = with_review > slots / 2;
            let count = |host| {
                let of_host = open.iter().filter(|one| one.peer == peer(host));
                let own = usize::from(!pays && host == newcomer);
                of_host.filter(|one| one.has_served == pays).count() + own
            };
            let counts: Vec<_> = (0..6).map(count).collect();
            let most = *counts.iter().max().expect("there are six");
            let peers = counts.iter().filter(|count| **count > 0).count();
            prop_assert!(2 * most * peers > slots, "some peer has more than its share");
            match choose_victim(peer(newcomer), slots, &open) {
                Some(number) => {
                    let victim = &open[usize::try_from(number).expect("it is small")];
                    let host = (0..6).find(|host| peer(*host) == victim.peer);
                    let host = host.expect("it is one of six");
                    prop_assert_eq!(victim.has_served, pays);
                    prop_assert_eq!(counts[usize::from(host)], most);
                    let newcomers = counts[usize::from(newcomer)];
                    prop_assert!(host == newcomer || most > newcomers || most == 1);
                    prop_assert!(host != newcomer || !is_served(victim.state));
                }
                None => {
                    prop_assert_eq!(counts[usize::from(newcomer)], most);
                    let mut own = open.iter().filter(|one| {
                        one.peer == peer(newcomer) && one.has_served == pays
                    });
                    prop_assert!(own.all(|one| is_served(one.state)));
                }
            }
        }

        /// A peer within its share of each kind loses no connection, and always gets a slot
        /// immediately, whatever three others do.
        #[test]
        fn a_peer_within_its_share_is_never_touched_and_never_waits(
            events in prop::collection::vec((0..4_u8, 0..3_u8, any::<prop::sample::Index>(), state()), 1..400),
        ) {
            const PLACES: usize = 32;
            const SHARE: usize = PLACES / 2 / 4;
            let mut open: Vec<Candidate> = Vec::new();
            let held = |open: &[Candidate], has_served| {
                let own = open.iter().filter(|one| one.peer == peer(0));
                own.filter(|one| one.has_served == has_served).count()
            };
            for (number, (host, what, index, state)) in (0..).zip(events) {
                let is_own = host == 0;
                match what {
                    // A new connection.
                    0 if !is_own || held(&open, false) < SHARE => {
                        if open.len() == PLACES {
                            let victim = choose_victim(peer(host), PLACES, &open);
                            prop_assert!(victim.is_some() || !is_own, "it would wait");
                            let Some(victim) = victim else { continue };
                            let at = open.iter().position(|one| one.number == victim);
                            let gone = open.remove(at.expect("it is open"));
                            prop_assert_ne!(gone.peer, peer(0));
                        }
                        open.push(Candidate { number, peer: peer(host), has_served: false, state });
                    }
                    // A review is answered, or the state changes.
                    1 if !open.is_empty() => {
                        let has_room = held(&open, true) < SHARE;
                        let one = index.get(&open).number;
                        let one = open.iter_mut().find(|other| other.number == one);
                        let one = one.expect("it is open");
                        one.has_served |= one.peer != peer(0) || has_room;
                        one.state = state;
                    }
                    // Sometimes a connection closes by itself.
                    2 if number % 8 == 0 && !open.is_empty() => {
                        open.remove(index.index(open.len()));
                    }
                    _ => {}
                }
            }
        }
    }
}
