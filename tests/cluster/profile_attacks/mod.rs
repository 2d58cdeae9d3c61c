//! What was tried against profiles of one's own, their settings, and default
//! rules: files that no sane person writes, and pods that must not come of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use admission::lint::files::{ProfileFile, Remark, read};
use admission::profile::Profiles;
use serde_json::{Value, json};
use support::controlplane::ADMIN;

use crate::PLANE;

mod cost;
mod files;
mod marks;
mod reload;
mod rules;
mod settings;
mod values;

/// A new namespace with these labels.
fn namespace(labels: &Value) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("attacked-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    });
    PLANE.apply(ADMIN, &namespace.to_string());
    name
}

/// The profile `mine` with these rules, read as a folder is.
fn mine(rules: &str) -> Result<(Profiles, Vec<Remark>), Vec<Remark>> {
    read(&[file(
        "mine.yaml",
        &format!("name: mine\nsummary: x\n{rules}\n"),
    )])
}

fn file(name: &str, text: &str) -> ProfileFile {
    let (name, text) = (name.to_owned(), text.to_owned());
    ProfileFile { name, text }
}

/// The review of `pod` that the API server would send.
fn review(pod: &Value, user: &str) -> String {
    let mut review = cases::review::review("u", "ci", pod);
    review["request"]["userInfo"] = json!({"username": user});
    review.to_string()
}

/// A job without security settings, with a service.
fn plain_job() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "job", "labels": {"job.runner.gitlab.com/pod": "job"}},
        "spec": {
            "initContainers": [{"name": "init-permissions", "image": "helper"}],
            "containers": [
                {"name": "build", "image": "podman"},
                {"name": "helper", "image": "helper"},
                {"name": "svc-0", "image": "postgres"},
            ],
        },
    })
}
