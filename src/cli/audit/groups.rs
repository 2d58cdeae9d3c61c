//! Requests by what they have in common, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;

use jiff::Timestamp;

/// How many groups are kept.
const MOST: usize = 4096;

/// Counts of requests by `K`, each with a detail `D`.
pub(super) struct Groups<K, D> {
    kept: HashMap<K, Group<D>>,
    /// The requests of groups that were given up.
    others: u64,
}

/// The requests that have a key in common.
pub(super) struct Group<D> {
    pub(super) requests: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) detail: D,
}

impl<K, D> Default for Groups<K, D> {
    fn default() -> Self {
        Groups {
            kept: HashMap::new(),
            others: 0,
        }
    }
}

impl<K: Eq + Hash + Ord + Clone, D: Default> Groups<K, D> {
    /// Counts a request at `time`, and returns its group, and whether it is the latest
    /// of the group.
    pub(super) fn count(&mut self, key: K, time: Timestamp) -> (&mut D, bool) {
        if self.kept.len() >= MOST && !self.kept.contains_key(&key) {
            self.give_up_half();
        }
        let group = self.kept.entry(key).or_insert_with(|| Group {
            requests: 0,
            first: time,
            last: time,
            detail: D::default(),
        });
        group.requests += 1;
        group.first = group.first.min(time);
        let is_latest = time >= group.last;
        group.last = group.last.max(time);
        (&mut group.detail, is_latest)
    }

    /// Gives up the smaller half. A group that is large in the end was among the larger
    /// ones long before, so its count lacks little.
    fn give_up_half(&mut self) {
        let mut sizes: Vec<_> = self
            .kept
            .iter()
            .map(|(key, group)| (group.requests, group.last, key))
            .collect();
        let (_, (requests, last, key), _) = sizes.select_nth_unstable(MOST / 2);
        let smallest = (*requests, *last, key.clone());
        let smallest = (smallest.0, smallest.1, &smallest.2);
        let mut given_up = 0;
        self.kept.retain(|key, group| {
            let is_kept = (group.requests, group.last, key) >= smallest;
            given_up += if is_kept { 0 } else { group.requests };
            is_kept
        });
        self.others += given_up;
    }

    /// The `most` largest groups, the largest first, and how many requests are in no
    /// group of these.
    pub(super) fn largest(&self, most: usize) -> (Vec<(&K, &Group<D>)>, u64) {
        let mut groups: Vec<_> = self.kept.iter().collect();
        groups.sort_unstable_by(|(a, one), (b, other)| {
            let size = |group: &Group<D>| (group.requests, group.last);
            size(other).cmp(&size(one)).then_with(|| a.cmp(b))
        });
        let rest = groups.iter().skip(most).map(|(_, group)| group.requests);
        let others = self.others + rest.sum::<u64>();
        groups.truncate(most);
        (groups, others)
    }

    /// Whether groups were given up. Those that are kept may then lack requests.
    pub(super) fn is_incomplete(&self) -> bool {
        self.others > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_group_is_kept_among_any_number_of_small_ones() {
        let mut groups: Groups<String, ()> = Groups::default();
        let second = |n: i64| Timestamp::from_second(n).expect("a time");
        let total = 100_000;
        for n in 0..total {
            // The large group begins late, after thousands of others.
            let key = match n > 20_000 && n % 4 == 0 {
                true => "large".to_owned(),
                false => n.to_string(),
            };
            groups.count(key, second(n));
        }
        let (largest, others) = groups.largest(MOST);
        assert!(largest.len() <= MOST);
        let (key, group) = largest[0];
        assert_eq!((key.as_str(), group.requests), ("large", 19_999));
        let kept: u64 = largest.iter().map(|(_, group)| group.requests).sum();
        assert_eq!(kept + others, total as u64, "none is lost");
        let (largest, others) = groups.largest(1);
        assert_eq!((largest.len(), others), (1, total as u64 - 19_999));
    }
}
