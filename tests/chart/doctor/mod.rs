//! `podseal doctor` on a real API server, with the chart installed and faults made.

mod denials;
mod faults;
mod least_privilege;
mod nodes;
mod trial;

use std::process::Command;

use serde_json::{Value, json};
use support::controlplane::ADMIN;
use support::{run, text};

use crate::release::Release;

/// The user name of the runner that the tests' namespaces name.
const RUNNER: &str = "system:serviceaccount:gitlab:gitlab-runner";

/// What the doctor reports to `user`, and its exit code.
fn doctor(release: &Release, user: &str) -> (i32, Value) {
    let (code, stdout) = doctor_prints(release, user, &["-o", "json"]);
    (code, serde_json::from_str(&stdout).expect("JSON"))
}

/// What it prints for the namespace of jobs.
fn doctor_prints(release: &Release, user: &str, arguments: &[&str]) -> (i32, String) {
    let (code, stdout, stderr) = doctor_ends(release, user, arguments);
    assert!(code != 2, "{stderr}");
    (code, stdout)
}

/// Its exit code, and what it prints to standard output and standard error.
fn doctor_ends(release: &Release, user: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command
        .arg("doctor")
        .args(["--namespace", &release.jobs, "--kubeconfig"])
        .arg(release.plane.kubeconfig(user))
        .args(arguments);
    let output = run(command, "");
    let code = output.status.code().expect("it exits");
    (code, text(&output.stdout), text(&output.stderr))
}

/// The finding with this id.
fn finding<'r>(report: &'r Value, id: &str) -> Option<&'r Value> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["id"] == id)
}

/// The ids of the findings that are wrong.
fn errors(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("findings").iter();
    let errors = findings.filter(|finding| finding["severity"] == "error");
    errors
        .filter_map(|finding| finding["id"].as_str())
        .collect()
}

/// A release that is installed, whose namespace of jobs names a runner that exists.
struct Site(Release);

impl std::ops::Deref for Site {
    type Target = Release;
    fn deref(&self) -> &Release {
        &self.0
    }
}

impl Drop for Site {
    /// Helm would refuse the next release for a namespace without a runner.
    fn drop(&mut self) {
        let args = ["label", "namespace", &self.jobs, "podseal.io/profile-"];
        self.plane.kubectl(ADMIN, &args, "");
    }
}

impl Site {
    fn new(name: &str) -> Site {
        Site::with(name, &[])
    }

    /// The same, installed with these arguments.
    fn with(name: &str, args: &[&str]) -> Site {
        let release = Release::installed(name, args);
        let account = json!([
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gitlab"}},
            {"apiVersion": "v1", "kind": "ServiceAccount",
             "metadata": {"name": "gitlab-runner", "namespace": "gitlab"}},
        ]);
        for object in account.as_array().expect("objects") {
            release.plane.apply(ADMIN, &object.to_string());
        }
        let site = Site(release);
        site.annotate(&format!("podseal.io/runner={RUNNER}"));
        site
    }

    fn annotate(&self, pair: &str) {
        self.kubectl(&["annotate", "namespace", &self.jobs, "--overwrite", pair]);
    }

    fn label(&self, pair: &str) {
        self.kubectl(&["label", "namespace", &self.jobs, "--overwrite", pair]);
    }
}

#[test]
fn an_installation_without_a_fault_has_none_and_the_dry_run_says_that_jobs_are_corrected() {
    let release = Site::new("healthy");
    let (code, report) = doctor(&release, ADMIN);
    assert_eq!((code, errors(&report)), (0, Vec::new()), "{report:#}");
    let tried = finding(&report, "dry-run").expect("a dry run")["what"].clone();
    assert_eq!(
        tried,
        format!(
            "rootless; a job's pod as {RUNNER} is corrected by podseal and accepted, and a \
             privileged one of no job is denied by it (dry run)"
        )
    );
    for id in ["api-server-version", "webhooks", "replicas", "certificate"] {
        let found = finding(&report, id).unwrap_or_else(|| panic!("{id}: {report:#}"));
        assert_eq!(found["severity"], "ok", "{found:#}");
    }
    // The chart has it switched off by default.
    let guard = finding(&report, "guard-missing").expect("a warning");
    assert_eq!(guard["severity"], "warning");
    let (_, table) = doctor_prints(&release, ADMIN, &[]);
    assert!(table.contains("\n0 errors, "), "{table}");
    let long = table.lines().filter(|line| !line.contains("fix: "));
    for line in long {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!table.contains('\u{1b}'), "{table:?}");
}
