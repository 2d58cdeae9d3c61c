//! Health: `/livez`, `/readyz` and `/metrics`, on a separate port.
//!
//! | file | what it does |
//! |---|---|
//! | [`readiness`] | the checks of `/readyz` |
//! | [`readiness_log`] | logs changes of readiness |
//! | [`self_probe`] | checks that the webhook's port answers with the certificate in use |
//! | `handshake` | one handshake of the self-probe |
//! | [`routes`] | the paths and their responses |
//! | [`port`] | the port, and its limits |

mod handshake;
pub mod port;
pub mod readiness;
pub mod readiness_log;
pub mod routes;
pub mod self_probe;
