//! The real `helm`, against a control plane of the tests.

use std::process::{Command, Output};

use crate::controlplane::{ADMIN, ControlPlane};

/// The chart of the repository.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/podseal");

/// Runs helm as the administrator. Its folders are the control plane's, so that
/// runs do not meet, and what the person at this machine has set up is not read.
pub fn helm(plane: &ControlPlane, args: &[&str]) -> Output {
    let mut command = Command::new(plane.program("helm"));
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("HELM_") {
            command.env_remove(key);
        }
    }
    let home = plane.folder().join("helm");
    command
        .env("HOME", &home)
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data"))
        .env("KUBECONFIG", plane.kubeconfig(ADMIN))
        .args(args);
    crate::run(command, "")
}

/// What helm prints, where it succeeds.
pub fn helm_prints(plane: &ControlPlane, args: &[&str]) -> String {
    crate::printed(&format!("helm {}", args.join(" ")), &helm(plane, args))
}
