//! Serves: TLS and connections in [`server`], HTTP in [`http`], the answer in
//! [`response`], the record in [`record`], and the log in [`log`].

pub mod http;
pub mod log;
pub mod record;
pub mod response;
pub mod server;
