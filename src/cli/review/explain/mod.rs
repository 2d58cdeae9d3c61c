//! `podseal review --explain`: where each value came from, and which rule asked
//! for each change. It is what support asks people to paste, so nothing of a pod
//! is in it but what was judged or changed: no variable that no profile sets.
//!
//! | file | what it does |
//! |---|---|
//! | [`inputs`] | what an explanation is made of |
//! | [`explanation`] | the explanation, as `-o json` prints it |
//! | `values` | what holds in the namespace, and who says so |
//! | `changes` | what changed, and which rule asked for it |
//! | `profile_sources` | where the profiles say what they say |
//! | `table` | the explanation as a table |

mod changes;
pub(super) mod explanation;
pub(super) mod inputs;
mod profile_sources;
mod table;
mod values;
