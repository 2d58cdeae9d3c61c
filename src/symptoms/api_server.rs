//! What the API server says when it denies a pod itself, or cannot call podseal.

use super::Symptom;

/// Kubernetes denied the pod.
pub const KUBERNETES_DENIED: &[Symptom] = &[
    Symptom {
        id: "pod-security",
        seen: r#"`violates PodSecurity "…"`"#,
        patterns: &["violates PodSecurity"],
        cause: "the namespace's `pod-security.kubernetes.io/enforce` is stricter than the profile",
        fix: "[which values work](comparison.md#the-label-pod-securitykubernetesioenforce)",
    },
    Symptom {
        id: "gke-autopilot",
        seen: "`GKE Warden rejected the request …`, `denied by autogke-disallow-privilege`",
        patterns: &[
            "GKE Warden rejected the request",
            "denied by autogke-disallow-privilege",
        ],
        cause: "Autopilot admits no privileged container, and no device plugin",
        fix: "no `privileged`, `dind-service` or `root-fuse` there: [GKE Autopilot](nodes.md#gke-autopilot)",
    },
    Symptom {
        id: "quota-of-fuse",
        seen: "`exceeded quota: …, requested: requests.github.com/fuse=1`",
        patterns: &["exceeded quota: …requests.github.com/fuse="],
        cause: "a ResourceQuota on the fuse device",
        fix: "raise it, or use another profile",
    },
    Symptom {
        id: "quota",
        seen: "`exceeded quota` or `failed quota: … must specify limits`, otherwise; `maximum … usage per Container is`, `minimum … usage per Container is`",
        patterns: &[
            "exceeded quota",
            "failed quota: … must specify",
            "maximum … usage per ",
            "minimum … usage per ",
        ],
        cause: "the runner's resources; podseal changes no cpu and no memory",
        fix: "`cpu_limit`, `memory_limit` and so on in `config.toml`",
    },
    Symptom {
        id: "runner-may-not-create-pods",
        seen: r#"`is forbidden: User "…" cannot create resource "pods"`"#,
        patterns: &[r#"is forbidden: User "…" cannot create resource "pods""#],
        cause: "the runner may not create pods there",
        fix: "[a Role and RoleBinding](quick-start.md#6-name-the-runner)",
    },
    Symptom {
        id: "security-context-constraints",
        seen: "`unable to validate against any security context constraint`, of a job",
        patterns: &["unable to validate against any security context constraint"],
        cause: "OpenShift, before podseal is called",
        fix: "[`openshift`](profiles.md#openshift)",
    },
];

/// The API server could not ask podseal.
pub const NOT_ASKED: &[Symptom] = &[
    Symptom {
        id: "no-replica-ready",
        seen: r#"`no endpoints available for service "podseal"`, `connect: connection refused`"#,
        patterns: &[
            r#"no endpoints available for service ""#,
            "connect: connection refused",
        ],
        cause: "no replica is ready",
        fix: "[podseal does not start](#podseal-does-not-start): `kubectl describe pods,endpointslices --namespace podseal`",
    },
    Symptom {
        id: "service-missing",
        seen: r#"`service "podseal" not found`"#,
        patterns: &[r#"service "…" not found"#],
        cause: "podseal's namespace or release was deleted before its webhooks",
        fix: "`helm uninstall`, or [break the glass](operations.md#break-glass)",
    },
    Symptom {
        id: "webhook-timeout",
        seen: "`context deadline exceeded`, `i/o timeout`",
        patterns: &["context deadline exceeded", "i/o timeout"],
        cause: "a NetworkPolicy or firewall blocks port 8443 (`serve.webhookPort`); or the replicas have no CPU",
        fix: "where `helm test podseal --namespace podseal` passes, [the network](security.md#the-network) from the control plane is blocked; else see why the replicas are not ready",
    },
    Symptom {
        id: "pods-unreachable",
        seen: "`Address is not allowed` (EKS), `no route to host`, or the row above, though `helm test` passes",
        patterns: &["Address is not allowed", "no route to host"],
        cause: "the control plane cannot reach pods, as on EKS with Calico's network or an overlay",
        fix: "[`hostNetwork`](operations.md#on-the-nodes-network)",
    },
    Symptom {
        id: "ca-bundle",
        seen: "`x509: certificate signed by unknown authority`",
        patterns: &["x509: certificate signed by unknown authority"],
        cause: "`caBundle` is empty or wrong; does a tool reset it?",
        fix: "[compare it with the Secret](#compare-the-authorities)",
    },
    Symptom {
        id: "certificate-name",
        seen: "`x509: certificate is valid for X, not podseal.podseal.svc`",
        patterns: &["x509: certificate is valid for …, not "],
        cause: "another Service's certificate, or another server answers",
        fix: "`service.port`, the Service's selector",
    },
    Symptom {
        id: "certificate-expired",
        seen: "`x509: certificate has expired or is not yet valid`",
        patterns: &["x509: certificate has expired or is not yet valid"],
        cause: "it was not renewed, or a clock is wrong",
        fix: "podseal's log has why; `date` on the nodes",
    },
    Symptom {
        id: "too-many-reviews",
        seen: "code 429",
        patterns: &[],
        cause: "[too many reviews](serving.md#too-much-at-once); clients try again",
        fix: "–",
    },
    Symptom {
        id: "rules-change",
        seen: "code 503, `this webhook is for the namespace rules …`",
        patterns: &["this webhook is for the namespace rules"],
        cause: "[rules change](namespaces-without-labels.md#while-a-rule-changes); clients try again for 300 seconds",
        fix: "if it lasts, see why the replicas are not ready",
    },
];
