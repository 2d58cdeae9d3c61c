//! The tokens and the audit policy of the API server, and the roles that tests apply.

pub(super) const TOKENS: &str = "\
admin,admin,1,\"system:masters\"
runner,system:serviceaccount:gitlab:gitlab-runner,2,\"system:serviceaccounts,system:authenticated\"
podseal,system:serviceaccount:podseal:podseal,3,\"system:serviceaccounts,system:authenticated\"
debugger,debugger,4,\"system:authenticated\"
";

pub(super) const DEBUGGER_MAY_ATTACH: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: debugger}
rules:
- {apiGroups: [""], resources: [pods/ephemeralcontainers], verbs: [update, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: debugger}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: debugger}
subjects: [{kind: User, name: debugger}]
"#;

/// What podseal needs in every mode, where no chart is installed.
pub(super) const READS_NAMESPACES: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: podseal}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: podseal}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: podseal}
subjects: [{kind: User, name: "system:serviceaccount:podseal:podseal"}]
"#;

/// What `--tls-mode self-managed` needs in addition, in the namespace NAMESPACE,
/// for the configurations CONFIGURATION. A name cannot be given for `create`.
pub(super) const SELF_MANAGED: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: podseal, namespace: NAMESPACE}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [create]}
- {apiGroups: [""], resources: [secrets], resourceNames: [podseal-tls], verbs: [get, list, watch, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: podseal, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: podseal}
subjects: [{kind: User, name: "system:serviceaccount:podseal:podseal"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: CONFIGURATION-certificates}
rules:
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations, validatingwebhookconfigurations]
  resourceNames: [CONFIGURATION]
  verbs: [get, list, watch, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: CONFIGURATION-certificates}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: CONFIGURATION-certificates}
subjects: [{kind: User, name: "system:serviceaccount:podseal:podseal"}]
"#;

/// What the API server writes into its audit log: pods, and podseal's requests for
/// namespaces; no bodies.
pub(super) const AUDIT: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources: [{group: "", resources: [pods, pods/ephemeralcontainers, pods/resize]}]
- level: Metadata
  users: ["system:serviceaccount:podseal:podseal"]
  resources: [{group: "", resources: [namespaces]}]
- level: None
"#;
