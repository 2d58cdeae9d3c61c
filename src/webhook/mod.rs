//! Answers reviews over HTTP. What happens to a request, in its order:
//!
//! | file | what it does |
//! |---|---|
//! | [`review`] | the routes, and the way of a review |
//! | [`body`] | reads it, within bounds; sheds what is too much |
//! | `audit_log` | writes the record of the decision |

mod audit_log;
pub mod body;
pub mod review;
