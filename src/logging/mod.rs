//! The log.
//!
//! | file | what it does |
//! |---|---|
//! | [`setup`] | starts logging: records unchanged, everything else by `tracing-subscriber` |
//! | [`throttle`] | limits the lines that any client can cause |

pub mod setup;
pub mod throttle;
