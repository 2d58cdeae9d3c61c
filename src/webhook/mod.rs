//! Serves. What happens to a request, in its order:
//!
//! | file | what it does |
//! |---|---|
//! | [`server`] | accepts connections, and brings all to an orderly end |
//! | `connections` | which connections may stay, and for how long |
//! | `eviction` | which of them ends for a newcomer when all places are taken |
//! | `connection` | one of them: TLS, HTTP/1.1 or HTTP/2 |
//! | `activity` | what it is doing meanwhile |
//! | `refusals` | tells the log of certificates that were refused in a handshake |
//! | [`limits`] | the bounds of all that |
//! | [`peer`] | who shares a bound with whom |
//! | [`http`] | the routes, and the way of a review |
//! | [`body`] | reads it, within bounds; sheds what is too much |
//! | [`budget`] | what requests share, and may not exceed together |
//! | [`caller`] | how much of it the connections of one peer may take |
//! | `audit_log`, [`log`] | the record of the decision, and the log |

mod activity;
mod audit_log;
pub mod body;
pub mod budget;
pub mod caller;
mod connection;
mod connections;
mod eviction;
pub mod http;
pub mod limits;
pub mod log;
pub mod peer;
mod refusals;
pub mod server;
