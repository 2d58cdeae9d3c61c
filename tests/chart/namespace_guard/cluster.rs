//! A cluster with the guard, and the people who write namespaces there.

use std::process::Output;
use std::sync::LazyLock;

use serde_json::{Value, json};
use support::controlplane::{ADMIN, ControlPlane, await_condition};
use support::{chart, text};

use crate::PLANE;

/// mallory: every verb of namespaces by its name, and everything inside `owned`.
/// alice: the same, and seal on everything. bob: the same, and seal on `bobs`.
/// operator: every verb of namespaces by `*`.
const PEOPLE: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: namespace-editor}
rules:
- apiGroups: [""]
  resources: [namespaces, namespaces/status, namespaces/finalize]
  verbs: [create, get, list, watch, update, patch, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: namespace-editors}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: namespace-editor}
subjects:
- {kind: User, name: mallory}
- {kind: User, name: alice}
- {kind: User, name: bob}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: sealers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podseal-sealer}
subjects: [{kind: User, name: alice}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: sealer-of-bobs}
rules:
- {apiGroups: [""], resources: [namespaces], resourceNames: [bobs, bobs-new], verbs: [seal]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: sealer-of-bobs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sealer-of-bobs}
subjects: [{kind: User, name: bob}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: operator}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: operator}
subjects: [{kind: User, name: operator}]
---
apiVersion: v1
kind: Namespace
metadata: {name: owned}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: owner, namespace: owned}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: owner, namespace: owned}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: owner}
subjects: [{kind: User, name: mallory}]
"#;

pub(crate) struct Guarded(pub(crate) &'static ControlPlane);

/// A cluster with the guard, once it is in force.
pub(crate) fn guarded() -> &'static Guarded {
    static GUARDED: LazyLock<Guarded> = LazyLock::new(|| {
        let plane = &*PLANE;
        let rule = r#"namespaceRules=[{"name": "team", "profile": "rootless",
            "namespaces": {"matchLabels": {"podseal.io/team": "payments"}}}]"#;
        let guard = chart::rendered("namespaceguard", &["namespaceGuard.enabled=true", rule]);
        let guard = guard.expect("the guard renders");
        plane.apply(ADMIN, &chart::manifests(&guard));
        plane.apply(ADMIN, PEOPLE);
        let guarded = Guarded(plane);
        let probe = json!({"podseal.io/profile": "rootless"});
        let mut said = String::new();
        await_condition(
            "the guard is in force",
            || {
                let args = ["create", "--dry-run=server", "-f", "-"];
                let output = guarded.kubectl("mallory", &args, &namespace("probe", &probe));
                said = text(&output.stderr);
                said.contains("ValidatingAdmissionPolicy")
            },
            || "no namespace was refused".to_owned(),
        );
        guarded
    });
    &GUARDED
}

impl Guarded {
    pub(crate) fn kubectl(&self, user: &str, args: &[&str], input: &str) -> Output {
        let mut all = vec!["--as", user, "--as-group", "system:authenticated"];
        all.extend(args);
        self.0.kubectl(ADMIN, &all, input)
    }

    /// `user` may do this.
    pub(crate) fn allows(&self, user: &str, args: &[&str], input: &str) {
        let output = self.kubectl(user, args, input);
        let told = text(&output.stderr);
        assert!(output.status.success(), "{user} {args:?}: {told}");
    }

    /// `user` may not, and is told which key is in the way.
    pub(crate) fn refuses(&self, user: &str, args: &[&str], input: &str, key: &str) {
        let output = self.kubectl(user, args, input);
        let told = text(&output.stderr);
        assert!(!output.status.success(), "{user} {args:?} was allowed");
        let sentence = format!(
            "'podseal-guard' with binding 'podseal-guard' denied request: only users with the \
             verb seal on this namespace can set, change or remove its {key}; request that verb, \
             or a binding to the ClusterRole podseal-sealer"
        );
        assert!(told.contains(&sentence), "{user} {args:?}: {told}");
    }

    /// A namespace of these labels and this runner, made by the admin.
    pub(crate) fn sealed(&self, name: &str) {
        let labels = json!({"podseal.io/profile": "rootless", "podseal.io/level": "baseline"});
        let mut namespace: Value =
            serde_json::from_str(&namespace(name, &labels)).expect("it is JSON");
        namespace["metadata"]["annotations"] = json!({"podseal.io/runner": "system:a"});
        self.0.apply(ADMIN, &namespace.to_string());
    }

    pub(crate) fn metadata(&self, name: &str) -> Value {
        let path = format!("/api/v1/namespaces/{name}");
        let (code, namespace) = self.0.request(ADMIN, reqwest::Method::GET, &path, None);
        assert_eq!(code, 200, "{namespace}");
        namespace["metadata"].clone()
    }
}

pub(crate) fn namespace(name: &str, labels: &Value) -> String {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        .to_string()
}
