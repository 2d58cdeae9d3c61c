//! Why a pod cannot be corrected, as data. `decision::denial` has the sentence.

/// Why a profile cannot be applied to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The place: `pod`, or a container.
    pub place: String,
    /// The field that prevents it.
    pub field: String,
    /// What is wrong with it, as the rest of a sentence.
    pub problem: String,
    /// What to do about it, as an imperative.
    pub remedy: String,
}
