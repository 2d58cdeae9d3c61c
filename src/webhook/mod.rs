//! Answers reviews over HTTP. In the order of a request:
//!
//! | file | what it does |
//! |---|---|
//! | [`routes`] | the paths of both webhooks |
//! | [`body`] | reads a request's body, with limits of size, time and memory |
//! | `incoming` | a review besides its body |
//! | [`review`] | gets the namespace, decides, and responds |
//! | `large_review` | the same for large reviews, which must not delay others |
//! | `other_rules` | rejects reviews that require other namespace rules |
//! | `load_shedding` | rejects requests with 429 when podseal is busy |
//! | `bad_request` | rejects requests that are not a review with 4xx |
//! | `json_response` | responses from encoded JSON |
//! | `audit_log` | writes the record of the decision |
//! | [`limits`] | the limits of reviews |

mod audit_log;
mod bad_request;
pub mod body;
mod incoming;
mod json_response;
mod large_review;
pub mod limits;
mod load_shedding;
mod other_rules;
pub mod review;
pub mod routes;
