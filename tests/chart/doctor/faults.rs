//! Faults, each found with what mends it.

use serde_json::{Value, json};
use support::controlplane::ADMIN;

use super::{Site, doctor, errors, finding};

/// The finding, which must be the only one that is wrong.
fn only(release: &Site, id: &str) -> Value {
    let (code, report) = doctor(release, ADMIN);
    assert_eq!(code, 1, "{report:#}");
    assert!(errors(&report).contains(&id), "{id}: {report:#}");
    finding(&report, id).expect("it is there").clone()
}

fn text(finding: &Value, field: &str) -> String {
    finding[field].as_str().unwrap_or_default().to_owned()
}

/// The text of the cluster that it quotes.
fn quote(finding: &Value) -> String {
    text(&finding["quote"], "text")
}

/// The command that mends it, without the cluster that it is for.
fn command(release: &Site, finding: &Value) -> String {
    let kubeconfig = release.plane.kubeconfig(ADMIN);
    let flag = format!(" --kubeconfig {}", kubeconfig.display());
    let fix = text(finding, "fix");
    assert!(fix.contains(&flag), "{finding:#}");
    fix.replace(&flag, "")
}

#[test]
fn a_runner_that_does_not_exist_is_found_with_the_one_that_was_meant() {
    let release = Site::new("misspelt");
    release.annotate("podseal.io/runner=system:serviceaccount:gitlab:gitlab-runer");
    let found = only(&release, "runner-unknown");
    assert!(
        text(&found, "what").contains("gitlab-runer does not exist"),
        "{found:#}"
    );
    assert_eq!(
        command(&release, &found),
        format!(
            "kubectl annotate namespace {} --overwrite \
             podseal.io/runner=system:serviceaccount:gitlab:gitlab-runner",
            release.jobs
        )
    );
}

#[test]
fn pod_security_at_restricted_is_found_by_the_labels_and_by_the_dry_run() {
    let release = Site::new("confined");
    release.label("pod-security.kubernetes.io/enforce=restricted");
    let found = only(&release, "pod-security");
    assert!(
        text(&found, "what").contains("Privilege Escalation"),
        "{found:#}"
    );
    // The strictest level that it meets.
    let fix = command(&release, &found);
    assert!(fix.ends_with("/enforce=baseline"), "{fix}");
    let tried = only(&release, "dry-run");
    assert!(quote(&tried).contains("violates PodSecurity"), "{tried:#}");
    assert!(
        text(&tried, "page").starts_with("docs/comparison.md#"),
        "{tried:#}"
    );
}

#[test]
fn a_quota_without_fuse_is_found_by_the_quota_and_by_the_dry_run() {
    let release = Site::new("quota");
    release.label("podseal.io/profile=root-fuse");
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "devices", "namespace": release.jobs},
        "spec": {"hard": {"requests.github.com/fuse": "0"}},
    });
    release.plane.apply(ADMIN, &quota.to_string());
    // The controller that computes the status does not run here.
    let status = json!({"status": {
        "hard": {"requests.github.com/fuse": "0"}, "used": {"requests.github.com/fuse": "0"},
    }});
    release.kubectl(&[
        "patch",
        "resourcequota",
        "devices",
        "-n",
        &release.jobs,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status.to_string(),
    ]);
    let found = only(&release, "quota-of-fuse");
    assert!(
        text(&found, "what").contains("0 of 0 requests.github.com/fuse used"),
        "{found:#}"
    );
    let tried = only(&release, "dry-run");
    assert!(quote(&tried).contains("exceeded quota"), "{tried:#}");
    assert!(
        text(&tried, "why").contains("ResourceQuota on the fuse device"),
        "{tried:#}"
    );
}

#[test]
fn a_namespace_that_is_only_audited_or_did_not_opt_in_is_told_by_its_name() {
    let release = Site::new("audited");
    release.label("podseal.io/mode=audit");
    let (_, report) = doctor(&release, ADMIN);
    let found = finding(&report, "dry-run").expect("it is there");
    assert_eq!(found["severity"], "warning", "{found:#}");
    let name = &release.jobs;
    let expected = format!("kubectl label namespace {name} podseal.io/mode-");
    assert_eq!(command(&release, found), expected);

    release.label("podseal.io/mode-");
    release.label("podseal.io/profile-");
    let (_, report) = doctor(&release, ADMIN);
    let found = finding(&report, "no-namespace").expect("it is there");
    assert_eq!(found["place"], format!("namespace {name}"), "{found:#}");
}

#[test]
fn a_mistyped_label_and_an_unknown_profile_are_found_with_what_was_meant() {
    let release = Site::new("typos");
    release.label("podseal.io/levle=restricted");
    let (_, report) = doctor(&release, ADMIN);
    let found = finding(&report, "namespace-keys").expect("a warning");
    assert!(
        text(found, "what").contains("did you mean podseal.io/level?"),
        "{found:#}"
    );
    release.label("podseal.io/profile=rotless");
    let found = only(&release, "unknown-profile");
    assert!(
        text(&found, "what").contains("only rootless, "),
        "{found:#}"
    );
}

#[test]
fn an_unnamed_runner_is_wrong_where_jobs_are_denied_for_it() {
    let release = Site::new("unnamed");
    release.annotate("podseal.io/runner-");
    let (code, report) = doctor(&release, ADMIN);
    let found = finding(&report, "runner-missing").expect("a warning");
    assert_eq!(
        (code, &found["severity"]),
        (0, &json!("warning")),
        "{report:#}"
    );
    release.label("podseal.io/profile=privileged");
    let found = only(&release, "runner-missing");
    assert!(text(&found, "why").contains("denies jobs"), "{found:#}");
}

#[test]
fn webhooks_that_were_changed_and_replicas_that_are_gone_are_found() {
    let release = Site::new("broken");
    let name = release.name.clone();
    let ignore = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]);
    let patch = |kind: &str, patch: &Value| {
        release.kubectl(&[
            "patch",
            kind,
            &name,
            "--type=json",
            "-p",
            &patch.to_string(),
        ]);
    };
    patch("validatingwebhookconfiguration", &ignore);
    let found = only(&release, "failure-policy");
    assert!(
        text(&found, "place").contains("ValidatingWebhookConfiguration"),
        "{found:#}"
    );
    let fail = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"}]);
    patch("validatingwebhookconfiguration", &fail);
    let deployment = format!("deployment/{name}");
    release.kubectl(&[
        "scale",
        &deployment,
        "--replicas=0",
        "-n",
        &release.namespace,
    ]);
    release.await_outage();
    let found = only(&release, "dry-run");
    assert!(
        quote(&found).contains("failed calling webhook"),
        "{found:#}"
    );
    assert!(
        text(&found, "page").starts_with("docs/troubleshooting.md#podseal-"),
        "{found:#}"
    );
    only(&release, "no-replica-ready");
    release.uninstall();
    only(&release, "webhook-missing");
}

#[test]
fn an_event_of_a_job_is_read_by_the_table_of_troubleshooting() {
    let release = Site::new("events");
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": "waits", "namespace": release.jobs},
        "involvedObject": {"kind": "Pod", "name": "runner-1", "namespace": release.jobs},
        "type": "Warning", "reason": "FailedScheduling",
        "message": "0/3 nodes are available: 3 Insufficient github.com/fuse.\u{1b}[31m",
    });
    release.plane.apply(ADMIN, &event.to_string());
    let (code, report) = doctor(&release, ADMIN);
    let found = finding(&report, "no-fuse-slot").expect("a warning");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(text(found, "what"), "pod runner-1 failed or waits");
    assert_eq!(found["quote"]["by"], "the event FailedScheduling");
    assert!(quote(found).starts_with("0/3 nodes"), "{found:#}");
    assert!(!quote(found).contains('\u{1b}'), "{found:#}");
    assert_eq!(text(found, "page"), "docs/nodes.md#the-device-plugin");
}

#[test]
fn a_command_that_mends_never_has_what_a_stranger_wrote() {
    let release = Site::new("hostile");
    release.annotate("podseal.io/runner=system:serviceaccount:x;reboot:y");
    let found = only(&release, "runner-unknown");
    let fix = command(&release, &found);
    assert!(
        fix.ends_with("system:serviceaccount:RUNNER-NAMESPACE:ACCOUNT"),
        "{found:#}"
    );
}

#[test]
fn what_changes_pods_besides_podseal_is_listed_in_its_order() {
    let release = Site::new("others");
    let configuration = |name: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "injector.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "failurePolicy": "Ignore",
                "clientConfig": {"service": {"name": "injector", "namespace": "mesh"}},
                // No pod is of it.
                "objectSelector": {"matchLabels": {"nobody": "has-it"}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }],
        })
    };
    for name in ["a-mesh", "z-mesh"] {
        release.plane.apply(ADMIN, &configuration(name).to_string());
    }
    let (code, report) = doctor(&release, ADMIN);
    let delete = ["delete", "mutatingwebhookconfiguration", "a-mesh", "z-mesh"];
    release.kubectl(&delete);
    let found = finding(&report, "other-webhooks").expect("it is there");
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(found["what"], "before podseal a-mesh; after it z-mesh");
}
