//! What a user may not read is shown as such.

use serde_json::{Value, json};
use support::controlplane::{ADMIN, DEBUGGER, PODSEAL};

use super::{Site, doctor, doctor_ends, errors, finding};

#[test]
fn a_user_without_permissions_gets_no_guess_and_no_success() {
    let release = Site::new("blind");
    let (code, stdout, stderr) = doctor_ends(&release, DEBUGGER, &["-o", "json"]);
    let report: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, errors(&report)), (2, Vec::new()), "{report:#}");
    assert!(stderr.contains("hidden from you"), "{stderr}");
    let ids = [
        "webhooks-hidden",
        "namespaces-hidden",
        "nodes-hidden",
        "mutating-policies-hidden",
        "policy-hidden",
    ];
    for id in ids {
        let found = finding(&report, id).unwrap_or_else(|| panic!("{id}: {report:#}"));
        assert_eq!(found["severity"], "unknown");
        let what = found["what"].as_str().expect("text");
        assert!(what.contains("not allowed to look: "), "{what}");
    }
}

#[test]
fn a_token_that_is_not_accepted_ends_with_2() {
    let release = Site::new("expired");
    let (code, stdout, stderr) = doctor_ends(&release, "nobody", &[]);
    assert_eq!((code, &*stdout), (2, ""), "{stderr}");
    assert!(stderr.contains("credentials are not accepted"), "{stderr}");
}

#[test]
fn without_the_webhooks_a_profile_that_is_not_built_in_is_no_error() {
    let release = Site::new("own");
    release.label("podseal.io/profile=our-own");
    let role = json!([
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
         "metadata": {"name": "doctor-own"},
         "rules": [{"apiGroups": [""], "resources": ["namespaces", "nodes"], "verbs": ["get", "list"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
         "metadata": {"name": "doctor-own"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "doctor-own"},
         "subjects": [{"kind": "User", "name": "system:serviceaccount:podseal:podseal"}]},
    ]);
    for object in role.as_array().expect("objects") {
        release.plane.apply(ADMIN, &object.to_string());
    }
    let (code, report) = doctor(&release, PODSEAL);
    release.kubectl(&["delete", "clusterrole,clusterrolebinding", "doctor-own"]);
    assert_eq!((code, errors(&report)), (0, Vec::new()), "{report:#}");
    assert!(finding(&report, "profile-hidden").is_some(), "{report:#}");
}

#[test]
fn without_impersonation_the_runners_pod_is_not_tried_and_the_doctor_says_so() {
    let release = Site::new("nobody");
    // PODSEAL is a user like any other here.
    let roles = json!([
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
         "metadata": {"name": "doctor-test"},
         "rules": [
            {"apiGroups": [""], "resources": ["namespaces", "nodes", "pods", "events", "resourcequotas",
                "limitranges", "serviceaccounts"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
         "metadata": {"name": "doctor-test"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "doctor-test"},
         "subjects": [{"kind": "User", "name": "system:serviceaccount:podseal:podseal"}]},
    ]);
    for object in roles.as_array().expect("objects") {
        release.plane.apply(ADMIN, &object.to_string());
    }
    let (code, report) = doctor(&release, PODSEAL);
    release.kubectl(&["delete", "clusterrole,clusterrolebinding", "doctor-test"]);
    assert_eq!((code, errors(&report)), (0, Vec::new()), "{report:#}");
    let tried = finding(&report, "dry-run").expect("a dry run");
    let what = tried["what"].as_str().expect("text");
    assert!(what.contains("as you, who are not its runner"), "{what}");
    let why = tried["quote"]["text"].as_str().expect("a message");
    assert!(why.contains("cannot impersonate"), "{why}");
    assert_eq!(tried["severity"], "unknown");
    let certificate = finding(&report, "certificate-hidden").expect("hidden");
    assert_eq!(certificate["severity"], "unknown");
}
