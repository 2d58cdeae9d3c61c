//! What needs no process but the podseal command, run on files.

mod api_server_refusals;
mod cautions;
mod cli;
mod cli_policy;
mod custom_profiles;
mod explain;
mod home_denied;
mod home_rule;
mod hostile_pods;
mod laws;
mod pod_security;
mod pod_shapes;
mod policy;
mod profile_check;
mod profiles_offline;
mod public_reports;
mod review_folders;
mod sentences;
mod settings;
mod variables;
