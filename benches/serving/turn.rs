//! A turn of a subject, and the median.

use super::load::Outcome;

/// The measurements of one turn of a subject.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// CPU seconds of the process for 1,000 reviews.
    pub(crate) cpu_per_1000: f64,
    /// The result at saturation.
    pub(crate) outcome: Outcome,
    /// Memory afterwards in bytes.
    pub(crate) resident: u64,
}

/// The median of `values`.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
