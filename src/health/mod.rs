//! Health: `/livez`, `/readyz` and `/metrics`, on a separate port.
//!
//! | file | what it does |
//! |---|---|
//! | [`readiness`] | the checks of `/readyz` |
//! | [`readiness_log`] | logs changes of readiness |
//! | [`self_probe`] | checks that the webhook's port answers with the certificate in use |
//! | `handshake` | one handshake of the self-probe |
//! | [`routes`] | what the pages of `podseal serve` show |
//! | `page` | the paths and their responses, also for the device plugin |
//! | [`port`] | the port, and its limits |

mod handshake;
pub(crate) mod page;
pub mod port;
pub mod readiness;
pub mod readiness_log;
pub mod routes;
pub mod self_probe;
