//! Denials that are no fault, webhooks that are not called, and who says so.

use std::time::Duration;

use serde_json::{Value, json};
use support::controlplane::ADMIN;
use support::wait::await_value;

use super::{Site, doctor, errors, finding};

/// How long the API server may take to learn of a policy on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The finding of the dry run.
fn dry_run(report: &Value) -> &Value {
    finding(report, "dry-run").expect("a dry run")
}

/// A quota with its status, which no controller computes here.
fn quota(release: &Site, hard: &Value) {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "compute", "namespace": release.jobs}, "spec": {"hard": hard},
    });
    release.plane.apply(ADMIN, &quota.to_string());
    let status = json!({"status": {"hard": hard, "used": {"requests.cpu": "1"}}});
    let (name, patch) = (["resourcequota", "compute"], status.to_string());
    let in_jobs = ["-n", &release.jobs, "--subresource=status", "--type=merge"];
    release.kubectl(&[&["patch"], &name[..], &in_jobs, &["-p", &patch]].concat());
}

/// A pod like a job's, which nothing runs here.
fn job(release: &Site, name: &str) {
    let resources = json!({"requests": {"cpu": "2"}});
    let containers = ["build", "helper"]
        .map(|name| json!({"name": name, "image": "own/podman", "resources": resources}));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": release.jobs,
            "labels": {"job.runner.gitlab.com/pod": name}},
        "spec": {"restartPolicy": "Never", "containers": containers},
    });
    release.plane.apply(ADMIN, &pod.to_string());
}

#[test]
fn a_quota_of_cpu_is_no_fault_and_a_jobs_own_requests_are_tried() {
    let release = Site::new("compute");
    quota(&release, &json!({"requests.cpu": "10"}));
    let (code, report) = doctor(&release, ADMIN);
    assert_eq!((code, errors(&report)), (0, Vec::new()), "{report:#}");
    let tried = dry_run(&report);
    assert_eq!(tried["severity"], "warning", "{tried:#}");
    let lacks = "must specify requests.cpu";
    let message = tried["quote"]["text"].as_str().expect("a message");
    assert!(message.contains(lacks), "{tried:#}");

    // Also the name of the doctor's own pod is taken.
    job(&release, "podseal-doctor");
    let (code, report) = doctor(&release, ADMIN);
    assert_eq!(
        (code, &dry_run(&report)["severity"]),
        (0, &json!("ok")),
        "{report:#}"
    );
    assert_eq!(finding(&report, "quota-without-default"), None);

    quota(&release, &json!({"requests.cpu": "3"}));
    let (code, report) = doctor(&release, ADMIN);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(
        errors(&report),
        ["quota-of-compute", "dry-run"],
        "{report:#}"
    );
}

#[test]
fn a_policy_that_denies_the_doctors_image_is_named_and_no_fault() {
    let release = Site::new("registry");
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "registries"},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["pods"]}]},
            "validations": [{"expression":
                "object.spec.containers.all(c, !c.image.startsWith('podseal-doctor'))"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "registries"},
        "spec": {"policyName": "registries", "validationActions": ["Deny"], "matchResources":
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": release.jobs}}}},
    });
    release.plane.apply(ADMIN, &policy.to_string());
    release.plane.apply(ADMIN, &binding.to_string());
    let state = || doctor(&release, ADMIN).1;
    let is_denied = |report: &Value| dry_run(report)["severity"] == "warning";
    // The API server learns of a policy after some time.
    let denied = || Some(state()).filter(is_denied);
    let report = await_value("the policy is known", PATIENCE, denied, || {
        format!("{:#}", state())
    });
    let kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding";
    release.kubectl(&["delete", kinds, "registries"]);
    let by = &dry_run(&report)["quote"]["by"];
    assert_eq!(by, "a ValidatingAdmissionPolicy", "{report:#}");
    assert_eq!(errors(&report), Vec::<&str>::new(), "{report:#}");
}

#[test]
fn a_webhook_that_is_called_for_less_is_found_by_its_selectors_and_by_a_dry_run() {
    let release = Site::new("narrowed");
    let name = release.name.clone();
    let patch = |kind: &str, patch: Value| {
        let patch = patch.to_string();
        release.kubectl(&["patch", kind, &name, "--type=json", "-p", &patch]);
    };
    let never = json!({"matchLabels": {"never": "true"}});
    let add = json!([{"op": "add", "path": "/webhooks/0/objectSelector", "value": never}]);
    patch("validatingwebhookconfiguration", add);
    let team = json!({"key": "team", "operator": "In", "values": ["x"]});
    let path = "/webhooks/0/namespaceSelector/matchExpressions/-";
    patch(
        "mutatingwebhookconfiguration",
        json!([{"op": "add", "path": path, "value": team}]),
    );
    let no = json!({"name": "no", "expression": "false"});
    let path = "/webhooks/0/matchConditions/-";
    patch(
        "mutatingwebhookconfiguration",
        json!([{"op": "add", "path": path, "value": no}]),
    );
    let is_noticed = |report: &Value| {
        let errors = errors(report);
        errors.contains(&"validate-not-asked") && errors.contains(&"dry-run")
    };
    let noticed = || Some(doctor(&release, ADMIN).1).filter(is_noticed);
    let report = await_value("the doctor notices", PATIENCE, noticed, || {
        format!("{:#}", doctor(&release, ADMIN).1)
    });
    let selectors = errors(&report);
    let selectors = selectors.iter().filter(|id| **id == "webhook-selector");
    assert_eq!(selectors.count(), 2, "{report:#}");
    let condition = finding(&report, "webhook-conditions").expect("a warning");
    assert_eq!(condition["quote"]["text"], "false", "{condition:#}");
}

#[test]
fn a_guard_without_its_binding_guards_nothing() {
    let release = Site::with("guarded", &["--set=namespaceGuard.enabled=true"]);
    let (_, report) = doctor(&release, ADMIN);
    assert!(finding(&report, "guard").is_some(), "{report:#}");
    let guard = format!("{}-guard", release.name);
    release.kubectl(&["delete", "validatingadmissionpolicybinding", &guard]);
    let (_, report) = doctor(&release, ADMIN);
    let found = finding(&report, "guard-missing").expect("a warning");
    let what = found["what"].as_str().expect("text");
    assert!(what.starts_with("no binding denies"), "{found:#}");
    let fix = found["fix"].as_str().expect("a command");
    let names = format!(
        " upgrade {} charts/podseal --namespace {} ",
        release.name, release.namespace
    );
    assert!(fix.contains(&names), "{fix}");
}
