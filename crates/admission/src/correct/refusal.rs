//! Why a pod cannot be corrected, as data. `decision::denial` has the sentence.

/// Why a pod and its profile cannot be brought together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is concerned: `pod`, or a container.
    pub place: String,
    /// The field that stands in the way.
    pub field: String,
    /// What is wrong with it, as the rest of a sentence.
    pub problem: String,
    /// What to do about it, as an imperative.
    pub remedy: String,
}
