//! Labels whose values are all known before the first request.
//!
//! If a request could add a value to a label, clients could fill the memory of
//! podseal and of the Prometheus that scrapes it. So every label is an enum, and
//! [`Series`](super::series::Series) creates each combination at the start.
//! `rate()` then sees the first event of a series, which it misses if the series
//! appears with that event.
//!
//! The derives of `prometheus_client` do not fit: they expose the names of
//! variants, cannot list the combinations, and would make the core depend on it.

use std::fmt::Debug;

use admission::cautions::Id as CautionId;
use admission::decision::record::Webhook;
use admission::namespace::Mode;
use admission::standards::{Family, Level};

/// A label's name and value.
pub(super) type Pair = (&'static str, &'static str);

/// The labels of a series: an enum for one label, a pair for more.
pub trait Labels: Debug + Copy + Send + Sync + 'static {
    /// The number of combinations.
    const COUNT: usize;
    /// Every combination, in the order of [`Labels::index`].
    fn all() -> Vec<Self>;
    /// The position in [`Labels::all`].
    fn index(self) -> usize;
    /// The names and values, as they are exposed.
    fn pairs(self) -> Vec<Pair>;
}

impl<A: Labels, B: Labels> Labels for (A, B) {
    const COUNT: usize = A::COUNT * B::COUNT;

    fn all() -> Vec<Self> {
        let with_each = |a| B::all().into_iter().map(move |b| (a, b));
        A::all().into_iter().flat_map(with_each).collect()
    }

    fn index(self) -> usize {
        self.0.index() * B::COUNT + self.1.index()
    }

    fn pairs(self) -> Vec<Pair> {
        [self.0.pairs(), self.1.pairs()].concat()
    }
}

/// Makes an enum a label, by the label's name, all values and how they are
/// exposed; or declares such an enum.
macro_rules! label {
    ($name:ident = $label:literal, $all:expr, $value:expr) => {
        impl $crate::metrics::label::Labels for $name {
            const COUNT: usize = $all.len();

            fn all() -> Vec<Self> {
                $all.to_vec()
            }

            fn index(self) -> usize {
                self as usize
            }

            fn pairs(self) -> Vec<$crate::metrics::label::Pair> {
                let value: fn(Self) -> &'static str = $value;
                vec![($label, value(self))]
            }
        }
    };
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

        $crate::metrics::label::label!($name = $label, [$( $name::$variant ),+], |this| {
            match this {
                $( $name::$variant => $value, )+
            }
        });
    };
}
pub(super) use label;

label!(CautionId = "id", CautionId::ALL, CautionId::name);
label!(Mode = "mode", Mode::ALL, Mode::name);
label!(Level = "level", Level::ALL, Level::name);
label!(Family = "control", Family::ALL, Family::name);
label!(Webhook = "webhook", Webhook::ALL, Webhook::name);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_combination_has_its_own_position_and_values() {
        fn check<L: Labels>(count: usize) {
            let all = L::all();
            let positions: Vec<_> = all.iter().map(|labels| labels.index()).collect();
            assert_eq!(positions, Vec::from_iter(0..count));
            let values: BTreeSet<_> = all.iter().map(|labels| labels.pairs()).collect();
            assert_eq!((values.len(), L::COUNT), (count, count));
        }
        check::<Webhook>(2);
        check::<(Family, Level)>(15 * 3);
        check::<((Webhook, Mode), (Level, Family))>(2 * 3 * 3 * 15);
    }

    #[test]
    fn labels_are_exposed_in_the_order_of_their_types() {
        let labels = (
            (Webhook::Validate, Mode::Audit),
            (Level::Baseline, Family::Sysctls),
        );
        assert_eq!(
            labels.pairs(),
            [
                ("webhook", "validate"),
                ("mode", "audit"),
                ("level", "baseline"),
                ("control", "sysctls")
            ]
        );
    }
}
