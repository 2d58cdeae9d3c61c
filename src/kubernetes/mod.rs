//! Requests to the API server, for the watch of namespaces and the reconciliation of
//! certificates.
//!
//! | file | what it does |
//! |---|---|
//! | `client` | a client whose dead connections do not last |
//! | `request` | sends a request, and returns its response as a stream |
//! | `json_stream` | reads JSON from a stream, and keeps only what is requested |
//! | `error` | the relevant part of an error, for the log |

pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod json_stream;
pub(crate) mod request;
