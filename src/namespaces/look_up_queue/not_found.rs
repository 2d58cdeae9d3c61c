//! The names that peers recently asked for and that do not exist.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::fairness::peer::Peer;

/// The maximum number of names per peer.
const NAMES: usize = 128;
/// The maximum number of peers.
const PEERS: usize = 128;

/// The names that peers recently asked for and that do not exist.
#[derive(Debug, Default)]
pub(super) struct NotFound {
    /// The most recent name is last.
    names: HashMap<Peer, VecDeque<Arc<str>>>,
    /// The peer with the most recent name is last.
    peers: VecDeque<Peer>,
}

impl NotFound {
    pub(super) fn has(&self, peer: Peer, name: &str) -> bool {
        let names = self.names.get(&peer);
        names.is_some_and(|names| names.iter().any(|known| **known == *name))
    }

    pub(super) fn add(&mut self, peer: Peer, name: &Arc<str>) {
        self.remove(peer, name);
        self.peers.retain(|known| *known != peer);
        self.peers.push_back(peer);
        if self.peers.len() > PEERS
            && let Some(oldest) = self.peers.pop_front()
        {
            self.names.remove(&oldest);
        }
        let names = self.names.entry(peer).or_default();
        names.push_back(Arc::clone(name));
        if names.len() > NAMES {
            names.pop_front();
        }
    }

    pub(super) fn remove(&mut self, peer: Peer, name: &str) {
        if let Some(names) = self.names.get_mut(&peer) {
            names.retain(|known| **known != *name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut not_found = NotFound::default();
        for number in 0..1000_u16 {
            let [high, low] = number.to_be_bytes();
            let peer = Peer::of([10, 0, high, low].into());
            for name in 0..NAMES + 10 {
                not_found.add(peer, &format!("n-{name}").into());
            }
        }
        assert_eq!(
            (not_found.names.len(), not_found.peers.len()),
            (PEERS, PEERS)
        );
        let longest = not_found.names.values().map(VecDeque::len).max();
        assert_eq!(longest, Some(NAMES));
        let last = Peer::of([10, 0, 3, 231].into());
        assert!(not_found.has(last, "n-137") && !not_found.has(last, "n-1"));
    }
}
