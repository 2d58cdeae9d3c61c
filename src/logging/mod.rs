//! The log.
//!
//! | file | what it does |
//! |---|---|
//! | [`setup`] | starts logging by `tracing-subscriber` |
//! | [`writer`] | writes lines from a thread of its own, so that nobody waits for their reader |
//! | [`writer_state`] | whether it can write, and what it counts |
//! | [`throttle`] | limits the lines that any client can cause |

pub mod setup;
pub mod throttle;
pub mod writer;
pub mod writer_state;
