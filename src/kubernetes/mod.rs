//! Talks to the API server: what the watch of namespaces and the upkeep of
//! certificates have in common.
//!
//! | file | what it does |
//! |---|---|
//! | `request` | sends a request, and gives its answer to be read as it arrives |
//! | `json_stream` | reads such an answer, and keeps only what is asked for |
//! | `error` | the part of an error that matters, for the log |

pub(crate) mod error;
pub(crate) mod json_stream;
pub(crate) mod request;
