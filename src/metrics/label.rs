//! Labels whose values are all known before the first request.
//!
//! A label that a stranger can give a new value to is a way to fill the memory
//! of podseal and of the Prometheus that scrapes it. So every label is an enum,
//! every series exists from the start, and counting is one addition at an index:
//! no lock, no look-up, no allocation. A series that is there from the start
//! also shows its first event in `rate()`, which one that appears with it hides.

use admission::decision::record::Webhook;
use admission::namespace::Mode;
use admission::standards::{Family, Level};

/// A label's name and value.
pub(super) type Pair = (&'static str, &'static str);

/// A label with a closed set of values.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];
    /// The value as it is exposed.
    fn value(self) -> &'static str;
    /// Where the value stands in [`Label::ALL`].
    fn index(self) -> usize;
}

/// One or more labels together.
pub trait Labels: Copy + 'static {
    /// Where this combination stands in [`Labels::all`].
    fn index(self) -> usize;
    /// Every combination, as names and values.
    fn all() -> Vec<Vec<Pair>>;
}

impl<A: Label> Labels for (A,) {
    fn index(self) -> usize {
        self.0.index()
    }

    fn all() -> Vec<Vec<Pair>> {
        by::<A>(vec![Vec::new()])
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    fn index(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }

    fn all() -> Vec<Vec<Pair>> {
        by::<B>(by::<A>(vec![Vec::new()]))
    }
}

impl<A: Label, B: Label, C: Label, D: Label> Labels for (A, B, C, D) {
    fn index(self) -> usize {
        let (front, back) = ((self.0, self.1), (self.2, self.3));
        front.index() * C::ALL.len() * D::ALL.len() + back.index()
    }

    fn all() -> Vec<Vec<Pair>> {
        by::<D>(by::<C>(by::<B>(by::<A>(vec![Vec::new()]))))
    }
}

/// Each of `rows` once for every value of `L`; the last label changes fastest.
fn by<L: Label>(rows: Vec<Vec<Pair>>) -> Vec<Vec<Pair>> {
    let with = |row: &Vec<Pair>, label: &L| {
        let pair = (L::NAME, label.value());
        row.iter().copied().chain([pair]).collect()
    };
    rows.iter()
        .flat_map(|row| L::ALL.iter().map(move |label| with(row, label)))
        .collect()
}

/// Declares a label: an enum, its name, and its values.
macro_rules! label {
    (
        $(#[$about:meta])* $name:ident = $label:literal {
            $( $(#[$what:meta])* $variant:ident = $value:literal, )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $( $(#[$what])* $variant, )+
        }

        impl $crate::metrics::label::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$( $name::$variant, )+];

            fn value(self) -> &'static str {
                match self {
                    $( $name::$variant => $value, )+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
pub(super) use label;

impl Label for Webhook {
    const NAME: &'static str = "webhook";
    const ALL: &'static [Self] = &[Webhook::Mutate, Webhook::Validate];

    fn value(self) -> &'static str {
        match self {
            Webhook::Mutate => "mutate",
            Webhook::Validate => "validate",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Mode {
    const NAME: &'static str = "mode";
    const ALL: &'static [Self] = &Mode::ALL;

    fn value(self) -> &'static str {
        self.name()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Level {
    const NAME: &'static str = "level";
    const ALL: &'static [Self] = &Level::ALL;

    fn value(self) -> &'static str {
        self.name()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for Family {
    const NAME: &'static str = "control";
    const ALL: &'static [Self] = &Family::ALL;

    fn value(self) -> &'static str {
        self.name()
    }

    fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_combination_has_an_index_of_its_own_and_stands_there() {
        fn check<A: Label, B: Label>() {
            let all = <(A, B)>::all();
            let mut seen = BTreeSet::new();
            for a in A::ALL {
                for b in B::ALL {
                    let index = (*a, *b).index();
                    assert_eq!(all[index], [(A::NAME, a.value()), (B::NAME, b.value())]);
                    assert!(seen.insert(index));
                }
            }
            assert_eq!(seen.len(), all.len());
        }
        check::<Webhook, Mode>();
        check::<Mode, Webhook>();
        check::<Family, Level>();
    }

    #[test]
    fn four_labels_are_counted_like_two() {
        let all = <(Webhook, Mode, Level, Family)>::all();
        assert_eq!(all.len(), 2 * 3 * 3 * 15);
        let last = (
            Webhook::Validate,
            Mode::Audit,
            Level::Baseline,
            Family::Sysctls,
        );
        assert_eq!(
            all[last.index()],
            [
                ("webhook", "validate"),
                ("mode", "audit"),
                ("level", "baseline"),
                ("control", "sysctls")
            ]
        );
    }
}
