//! How much is measured.

/// The amount of measurement.
pub(crate) struct Effort {
    /// Reviews in a turn.
    pub(crate) reviews: u64,
    /// Turns per subject.
    pub(crate) turns: usize,
    /// Seconds at a quarter of saturation.
    pub(crate) seconds_at_a_quarter: f64,
    /// Namespaces in the cache.
    pub(crate) namespaces: usize,
    /// Reviews for the measurement of memory.
    pub(crate) reviews_in_memory: u64,
    /// Starts of podseal.
    pub(crate) starts: usize,
    /// Pods created of each kind.
    pub(crate) pods: usize,
}

pub(crate) const FULL: Effort = Effort {
    reviews: 20_000,
    turns: 5,
    seconds_at_a_quarter: 5.0,
    namespaces: 10_000,
    reviews_in_memory: 200_000,
    starts: 15,
    pods: 500,
};

pub(crate) const QUICK: Effort = Effort {
    reviews: 2_000,
    turns: 1,
    seconds_at_a_quarter: 1.0,
    namespaces: 200,
    reviews_in_memory: 8_000,
    starts: 3,
    pods: 50,
};

pub(crate) fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}
