//! The audit log: the records of decisions, on standard error or in a file.
//!
//! | file | what it does |
//! |---|---|
//! | [`log`] | queues a record, and tells when it was written |
//! | [`mod@file`] | the file of `--audit-log-path`, and its rotation |
//! | [`text`] | a record as a line of text, for a terminal |

pub mod file;
pub mod log;
pub mod text;
