//! Serves: TLS and connections in [`server`], HTTP in [`http`], the answer in
//! [`response`], the log event in [`record`].

pub mod http;
pub mod record;
pub mod response;
pub mod server;
pub mod tls;
