//! `--try`: what it creates, on which nodes, and that it leaves nothing. No kubelet runs
//! here, so no pod gets further than Pending; `tests/e2e/doctor.rs` builds.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::controlplane::ADMIN;
use support::wait::await_value;
use support::{run, text};

use super::nodes::{Nodes, add, of, status};
use super::{Site, finding};
use crate::release::Release;

const IMAGE: &str = "registry.example.com/podman/stable";
const PATIENCE: Duration = Duration::from_secs(30);

/// A node that takes pods, as far as its taints say.
fn add_untainted(release: &Release, name: &str) {
    add(release, name, &status("6.18.2", "Wolfi", None));
    // The API server's, until a controller that does not run here takes it off.
    let taint = "node.kubernetes.io/not-ready:NoSchedule-";
    release.kubectl(&["taint", "node", name, taint]);
}

fn command(release: &Release, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command
        .args(["doctor", "-o", "json", "--namespace", &release.jobs])
        .arg("--kubeconfig")
        .arg(release.plane.kubeconfig(ADMIN))
        .args(arguments);
    command
}

/// What the doctor does with these arguments: exit code, report, and standard error.
fn tried(release: &Release, arguments: &[&str]) -> (i32, Value, String) {
    let output = run(command(release, arguments), "");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let code = output.status.code().expect("it exits");
    (code, report, text(&output.stderr))
}

/// The names of the pods of trials.
fn pods(release: &Release) -> String {
    let jobs = release.jobs.as_str();
    release.kubectl(&[
        "get",
        "pods",
        "-n",
        jobs,
        "-l",
        "podseal.io/doctor",
        "-o",
        "name",
    ])
}

#[test]
fn a_pod_that_no_node_started_proves_nothing_and_is_deleted() {
    let release = Site::new("pending");
    let _nodes = Nodes(&release, &["plain"]);
    add_untainted(&release, "plain");
    let (code, report, stderr) = tried(&release, &["--yes", "--try", IMAGE, "--timeout", "2s"]);
    assert_eq!(code, 0, "{report:#}{stderr}");
    let outcome = &report["trials"][0]["outcome"];
    assert_eq!(outcome["is"], "notTried", "{report:#}");
    assert_eq!(outcome["message"], "Pending, after 2 s");
    for profile in ["rootless", "root"] {
        let fitness = of(&report, "plain", profile);
        assert_eq!(fitness["works"], "unknown", "{report:#}");
    }
    assert_eq!(finding(&report, "no-node"), None);
    assert_eq!(pods(&release), "");
}

#[test]
fn an_image_that_nobody_named_is_not_run() {
    let release = Site::new("unnamed-image");
    for arguments in [&["--yes", "--try"][..], &["--try"]] {
        let (code, _, stderr) = tried(&release, arguments);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("--try IMAGE"), "{stderr}");
    }
    assert_eq!(pods(&release), "");
}

#[test]
fn tolerations_are_those_that_the_user_names_and_never_a_pods() {
    let release = Site::new("tolerated");
    let _nodes = Nodes(&release, &["open", "dedicated"]);
    add_untainted(&release, "open");
    add_untainted(&release, "dedicated");
    let taint = "example.com/dedicated=ci:NoSchedule";
    release.kubectl(&["taint", "node", "dedicated", taint]);
    let job = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "strangers", "namespace": release.jobs,
            "labels": {"job.runner.gitlab.com/pod": "strangers"}},
        "spec": {"containers": [{"name": "x", "image": "x", "securityContext": {
                "allowPrivilegeEscalation": false}}],
            "tolerations": [{"operator": "Exists"}]},
    });
    release.plane.apply(ADMIN, &job.to_string());
    let nodes = |report: &Value| {
        let trials = report["trials"].as_array().expect("trials").iter();
        let mut nodes: Vec<_> = trials.map(|trial| trial["node"].clone()).collect();
        nodes.sort_by_key(ToString::to_string);
        nodes
    };
    let own = ["--yes", "--try", IMAGE, "--timeout", "4s"];
    let (_, report, stderr) = tried(&release, &own);
    assert_eq!(nodes(&report), [json!("open")], "{report:#}");
    let hint = format!("dedicated: not tried: it has the taint {taint}");
    assert!(stderr.contains(&hint), "{stderr}");
    // Half of the time for each: together they take no longer.
    let named = [&own[..], &["--toleration", taint]].concat();
    let (_, report, _) = tried(&release, &named);
    assert_eq!(nodes(&report), [json!("dedicated"), json!("open")]);
    assert_eq!(
        report["trials"][0]["outcome"]["message"],
        "Pending, after 2 s"
    );
    release.kubectl(&["delete", "pod", "strangers", "-n", &release.jobs, "--now"]);
}

#[test]
fn a_closed_terminal_ends_a_trial_and_its_pod() {
    let release = Site::new("hangup");
    let _nodes = Nodes(&release, &["plain"]);
    add_untainted(&release, "plain");
    let arguments = ["--yes", "--try", IMAGE, "--timeout", "5m"];
    let doctor = command(&release, &arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("podseal");
    let exists = || (!pods(&release).is_empty()).then_some(());
    await_value("the pod exists", PATIENCE, exists, || pods(&release));
    let killed = Command::new("kill")
        .args(["-HUP", &doctor.id().to_string()])
        .status();
    assert!(killed.expect("kill").success());
    let output = doctor.wait_with_output().expect("it ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let outcome = &report["trials"][0]["outcome"];
    assert_eq!(outcome["message"], "interrupted", "{report:#}");
    assert_eq!(pods(&release), "");
}

#[test]
fn nothing_is_tried_where_podseal_would_not_correct_it() {
    let release = Site::new("audited");
    let _nodes = Nodes(&release, &["plain"]);
    add_untainted(&release, "plain");
    release.label("podseal.io/mode=audit");
    let (code, report, stderr) = tried(&release, &["--yes", "--try", IMAGE]);
    assert_eq!(code, 0, "{report:#}{stderr}");
    assert_eq!(report["trials"], json!([]), "{report:#}");
    assert!(stderr.contains("nothing was tried"), "{stderr}");
}

#[test]
fn a_pod_that_an_earlier_trial_left_is_found_with_the_command_that_deletes_it() {
    let release = Site::new("earlier");
    let left = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "podseal-doctor-1", "namespace": release.jobs,
            "labels": {"job.runner.gitlab.com/pod": "podseal-doctor-1", "podseal.io/doctor": "trial"}},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    });
    release.plane.apply(ADMIN, &left.to_string());
    let (_, report, _) = tried(&release, &[]);
    let found = finding(&report, "trial-left").expect("a warning");
    let fix = found["fix"].as_str().expect("a command");
    let end = format!(" delete pod podseal-doctor-1 --namespace {}", release.jobs);
    assert!(
        fix.starts_with("kubectl ") && fix.ends_with(&end),
        "{found:#}"
    );
    release.kubectl(&[
        "delete",
        "pod",
        "podseal-doctor-1",
        "-n",
        &release.jobs,
        "--now",
    ]);
}
