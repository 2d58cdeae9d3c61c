//! Answers reviews over HTTP. What happens to a request, in its order:
//!
//! | file | what it does |
//! |---|---|
//! | [`routes`] | the paths of the two webhooks |
//! | [`body`] | reads a request's body, within bounds of size, time and memory |
//! | [`review`] | answers a review: finds its namespace, decides, answers |
//! | `load_shedding` | answers with 429 what is too much |
//! | `bad_request` | answers with 4xx what is no review |
//! | `json_response` | an answer that is JSON already |
//! | `audit_log` | writes the record of the decision |
//! | [`limits`] | the bounds of all that |

mod audit_log;
mod bad_request;
pub mod body;
mod json_response;
pub mod limits;
mod load_shedding;
pub mod review;
pub mod routes;
