//! Few rows in which every two choices meet.

use std::collections::{BTreeSet, HashSet};

/// One choice, as the number of its factor and its own.
type Choice = (usize, usize);

/// Rows of choices, one of each factor, in which every two choices that can meet
/// do. Greedy, which is a few rows above the least.
pub(crate) fn pairwise(factors: &[usize]) -> Vec<Vec<usize>> {
    let choices = |factor: usize| (0..factors[factor]).map(move |choice| (factor, choice));
    let all: Vec<Choice> = (0..factors.len()).flat_map(choices).collect();
    let pairs = |a: &Choice| {
        all.iter()
            .filter(move |b| a.0 < b.0)
            .map(|b| (*a, *b))
            .collect::<Vec<_>>()
    };
    let mut open: BTreeSet<(Choice, Choice)> = all.iter().flat_map(pairs).collect();
    // The defaults are a row of their own.
    let mut rows = vec![vec![0; factors.len()]];
    loop {
        let last = rows.last().expect("there is one");
        let row: Vec<Choice> = last.iter().copied().enumerate().collect();
        open.retain(|(a, b)| !(row.contains(a) && row.contains(b)));
        let Some(&(a, b)) = open.first() else { break };
        let mut row = vec![a, b];
        for factor in 0..factors.len() {
            if row.iter().any(|taken| taken.0 == factor) {
                continue;
            }
            let gain = |choice: &Choice| {
                let met = row
                    .iter()
                    .filter(|other| open.contains(&(**other.min(&choice), **other.max(&choice))));
                met.count()
            };
            // The last of the best: a choice that is no default, where it may be.
            row.push(
                choices(factor)
                    .max_by_key(gain)
                    .expect("a factor has choices"),
            );
        }
        row.sort_unstable();
        rows.push(row.into_iter().map(|(_, choice)| choice).collect());
    }
    rows
}

#[test]
fn every_two_choices_meet_in_a_row() {
    let sizes = [5, 4, 3, 2, 2];
    let rows = pairwise(&sizes);
    assert!(rows.len() <= 26, "{}", rows.len());
    for a in 0..sizes.len() {
        for b in a + 1..sizes.len() {
            let met: HashSet<_> = rows.iter().map(|row| (row[a], row[b])).collect();
            assert_eq!(met.len(), sizes[a] * sizes[b]);
        }
    }
}
