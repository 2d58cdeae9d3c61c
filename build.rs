//! Adds the commit to `podseal --version`.
//!
//! Without git, for example in a container build, set `PODSEAL_COMMIT`; without either,
//! the version contains `commit unknown`. A commit has 12 digits.

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
    println!("cargo::rustc-env=PODSEAL_COMMIT={}", abbreviated(&commit));
}

fn abbreviated(commit: &str) -> &str {
    let is_whole = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_whole { &commit[..12] } else { commit }
}

fn git_commit() -> Option<String> {
    let out = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()?;
    let commit = String::from_utf8(out.stdout).ok()?.trim().to_owned();
    (out.status.success() && !commit.is_empty()).then_some(commit)
}
