//! Puts the commit into `podseal --version`.
//!
//! A source tree without git (a container build context, a release archive)
//! names it with `PODSEAL_COMMIT`; without either the version says so.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=PODSEAL_COMMIT");
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/refs/heads");
    let commit = std::env::var("PODSEAL_COMMIT")
        .ok()
        .filter(|commit| !commit.is_empty())
        .or_else(git_commit)
        .unwrap_or_else(|| "commit unknown".to_owned());
    println!("cargo::rustc-env=PODSEAL_COMMIT={commit}");
}

fn git_commit() -> Option<String> {
    let out = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()?;
    let commit = String::from_utf8(out.stdout).ok()?.trim().to_owned();
    (out.status.success() && !commit.is_empty()).then_some(commit)
}
