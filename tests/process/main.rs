//! What needs a running podseal, and neither a control plane nor an idle machine.

mod agreement;
mod audit;
mod audit_log;
mod certificate_files;
mod cli_probe;
mod device_plugin;
mod limits;
mod no_ipv6;
mod record_writing;
mod rules;
mod serve;
mod short_lived_namespaces;
mod shutdown;
mod status;
