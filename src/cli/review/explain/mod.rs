//! `podseal review --explain`: the source of each value and each change. People
//! share this output to get help, so it contains of a pod only what was checked or
//! changed: no variable except those that a profile sets.
//!
//! | file | what it does |
//! |---|---|
//! | [`inputs`] | what an explanation requires |
//! | [`explanation`] | the explanation, and its JSON form |
//! | `values` | the values that apply in the namespace, and their sources |
//! | `changes` | each change, and the rule behind it |
//! | `profile_sources` | which profile sets a field, and its position |
//! | `table` | the explanation as a table |

mod changes;
pub(super) mod explanation;
pub(super) mod inputs;
mod profile_sources;
mod table;
mod values;
