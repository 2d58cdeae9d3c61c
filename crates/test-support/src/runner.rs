//! The service account that GitLab Runner creates job pods as.

/// Its user name.
pub const USER: &str = "system:serviceaccount:gitlab:gitlab-runner";

/// What it may do. Events are for `print_pod_warning_events` and `FF_PRINT_POD_EVENTS`
/// (GitLab Runner, "Configure runner API permissions").
pub const RBAC: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: runner}
rules:
- {apiGroups: [""], resources: [pods], verbs: [create, get, list, delete]}
- {apiGroups: [""], resources: [events], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: runner}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: runner}
subjects: [{kind: User, name: "system:serviceaccount:gitlab:gitlab-runner"}]
"#;
