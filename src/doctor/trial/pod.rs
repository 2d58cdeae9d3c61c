//! The pod of a trial: shaped as a job's, without any privilege of its own.

use std::time::Duration;

use serde_json::{Value, json};

use super::observation::MARK;
use crate::doctor::{JOB_LABEL, TRIAL_LABEL};

/// How much longer than the doctor waits a pod may take, in seconds, where the doctor itself
/// is gone.
const GRACE: u64 = 60;

/// Reads what the kernel allows, and builds an image of two lines. sh, since an image need
/// have no more; what it prints is read by [`super::observation`].
fn script() -> String {
    let say = |key: &str, value: &str| format!("echo '{MARK}{key}='\"{value}\"\n");
    let file = |path: &str| format!("$(cat {path} 2>/dev/null || echo none)");
    let sysctl = |name: &str| file(&format!("/proc/sys/{name}"));
    [
        say("attr", "$(tr -d '\\0' </proc/self/attr/current 2>/dev/null || echo none)"),
        say("seccomp", "$(sed -n 's/^Seccomp:[^0-9]*//p' /proc/self/status)"),
        say("max_user_namespaces", &sysctl("user/max_user_namespaces")),
        say("apparmor_restrict", &sysctl("kernel/apparmor_restrict_unprivileged_userns")),
        say("userns_clone", &sysctl("kernel/unprivileged_userns_clone")),
        "m=$(command -v newuidmap)\n".to_owned(),
        "if [ -z \"$m\" ]; then m=none; elif [ -u \"$m\" ]; then m=setuid\n".to_owned(),
        "elif command -v getcap >/dev/null && [ -z \"$(getcap \"$m\")\" ]; then m=bare; else m=plain; fi\n".to_owned(),
        say("newuidmap", "$m"),
        say("subuid", "$(grep -qE \"^($(id -nu 1000 2>/dev/null || echo 1000)|1000):\" /etc/subuid 2>/dev/null && echo some || echo none)"),
        say("proc", "$(grep -q ' /proc/' /proc/self/mounts && echo masked || echo whole)"),
        "cd \"${HOME:-/tmp}\" && d=$(mktemp -d) && cd \"$d\" || exit 1\n".to_owned(),
        "printf 'FROM scratch\\nCOPY Containerfile /\\n' >Containerfile\n".to_owned(),
        "if command -v podman >/dev/null; then b='podman build'; elif command -v buildah >/dev/null; then b='buildah build'; else echo 'the image has neither podman nor buildah'; exit 1; fi\n".to_owned(),
        format!("if $b --tag podseal-doctor . 2>&1; then echo '{MARK}build=ok'; else echo '{MARK}build=failed'; exit 1; fi\n"),
    ]
    .concat()
}

/// The pod called `name` for the node `node`, with the image of the user's jobs.
pub(super) fn pod(
    name: &str,
    node: &str,
    image: &str,
    tolerations: &Value,
    patience: Duration,
) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {JOB_LABEL: name, TRIAL_LABEL: "trial"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": patience.as_secs() + GRACE,
            "automountServiceAccountToken": false,
            // By the scheduler, as jobs are: it knows of devices and taints.
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [
                    {"key": "metadata.name", "operator": "In", "values": [node]},
                ]}],
            }}},
            "tolerations": tolerations,
            "containers": [
                {"name": "build", "image": image, "command": ["sh", "-c", script()]},
                {"name": "helper", "image": image, "command": ["true"]},
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::doctor::trial::observation::Observation;

    /// What the script prints where Podman ends with `code`.
    fn log_of(code: u8) -> (String, bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let podman = folder.path().join("podman");
        std::fs::write(
            &podman,
            format!("#!/bin/sh\ncat Containerfile\nexit {code}\n"),
        )
        .expect("the folder can be written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(podman, executable).expect("a mode");
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let output = Command::new("sh")
            .args(["-c", &script()])
            .env("PATH", path)
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .output()
            .expect("sh");
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        (log, output.status.success())
    }

    #[test]
    fn the_script_is_one_of_sh_and_tells_whether_podman_built() {
        let (log, succeeds) = log_of(0);
        assert!(
            log.contains("\nFROM scratch\nCOPY Containerfile /\n"),
            "{log}"
        );
        let read = Observation::read(&log).unwrap_or_else(|| panic!("{log}"));
        assert!(read.built == Some(true) && succeeds, "{log}");
        let (log, succeeds) = log_of(125);
        let read = Observation::read(&log).unwrap_or_else(|| panic!("{log}"));
        assert!(read.built == Some(false) && !succeeds, "{log}");
    }
}
