//! A turn of a subject, and the middle of several.

use super::load::Outcome;

/// What one turn of a subject took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// CPU seconds of the process for 1,000 reviews.
    pub(crate) cpu_per_1000: f64,
    /// What came of asking as fast as it answers.
    pub(crate) outcome: Outcome,
    /// Bytes in memory afterwards.
    pub(crate) resident: u64,
}

/// The middle of `values`.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
