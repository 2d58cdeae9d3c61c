//! What a user may not read is shown as such.

use serde_json::json;
use support::controlplane::{ADMIN, DEBUGGER, PODSEAL};

use super::{Site, doctor, doctor_prints, errors, finding};

#[test]
fn a_user_without_permissions_gets_no_error_and_no_guess() {
    let release = Site::new("blind");
    let (code, report) = doctor(&release, DEBUGGER);
    assert_eq!((code, errors(&report)), (0, Vec::new()), "{report:#}");
    for id in ["webhooks-hidden", "namespaces-hidden", "nodes-hidden"] {
        let found = finding(&report, id).unwrap_or_else(|| panic!("{id}: {report:#}"));
        assert_eq!(found["severity"], "unknown");
        let what = found["what"].as_str().expect("text");
        assert!(what.starts_with("not allowed to look: "), "{what}");
    }
    let (_, table) = doctor_prints(&release, DEBUGGER, &[]);
    assert!(table.contains("not allowed to look"), "{table}");
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
    assert!(
        what.contains("not allowed to") && what.contains("cannot impersonate"),
        "{what}"
    );
    assert_eq!(tried["severity"], "unknown");
    let certificate = finding(&report, "certificate-hidden").expect("hidden");
    assert_eq!(certificate["severity"], "unknown");
}
