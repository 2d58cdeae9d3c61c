//! Values that differ from every default.

use serde_json::{Value, json};

use crate::renderings::helm::CHART;

/// A certificate authority's certificate, as far as its form goes.
pub(crate) const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// The values that hold where none are given.
pub(crate) fn defaults() -> Value {
    let path = format!("{CHART}/values.yaml");
    let text = std::fs::read_to_string(path).expect("the chart has values");
    serde_saphyr::from_str(&text).expect("they are YAML")
}

/// Every key, with a value that is not its default. Texts that are free, or
/// names, have a word of their own in them that nothing else has.
pub(crate) fn everything() -> Value {
    json!({
        "nameOverride": "another-name",
        "fullnameOverride": "full-name",
        "image": {
            "repository": "registry.test:5000/our/image",
            "tag": "our-tag",
            "digest": format!("sha256:{:064}", 1),
            "pullPolicy": "Always",
        },
        "imagePullSecrets": [{"name": "pull-secret"}],
        "replicas": 3,
        "serve": {
            "requireRunner": false,
            "podEvents": true,
            "drainSeconds": 86_400,
            "logLevel": "debug",
            "auditLog": {
                "volume": {"persistentVolumeClaim": {"claimName": "audit-claim"}},
                "maxSize": 1_000_000,
                "maxBackup": 100_000,
            },
            "maxConnections": 1_000_000,
            "maxReviews": 1_000_000,
            "maxBodyMemory": "80MiB",
            "clientCA": {"configMap": "client-authorities", "key": "authority.pem"},
            "webhookPort": 10_443,
            "statusPort": 10_444,
            "statusAddress": "0.0.0.0",
            "extraArgs": ["--tls-reread-interval=30", "--idle-timeout=5m"],
        },
        "certificates": {
            "mode": "existing-secret",
            "selfManaged": {"caOverlap": "24h"},
            "certManager": {
                "issuerRef": {"name": "issuer", "kind": "ClusterIssuer", "group": "issuers.test"},
                "duration": "1440h30m",
                "renewBefore": "480h",
            },
            "existingSecret": {"name": "serving-certificate", "caBundle": PEM},
        },
        // A ConfigMap would be instead of the files, so it has its default here.
        "profiles": {
            "files": {"profile-name": "name: profile-name\nsummary: profile-note\nextends: rootless\n"},
            "configMap": "",
        },
        "namespaceRules": [
            {
                "name": "first-rule",
                "namespaces": {"prefix": "first-prefix-"},
                "profile": "profile-name",
                "level": "restricted",
                "mode": "audit",
                "runner": "rule-runner",
                "settings": {"run-as-user": 2000, "home": "/rule-home", "home-size": "30Gi", "fuse-resource": "rule.test/fuse"},
            },
            {
                "name": "second-rule",
                "namespaces": {"matchLabels": {"rule.test/key": "rule-value"}},
                "profile": "rootless",
                "settings": {"run-as-user": "3000"},
            },
            {
                "name": "third-rule",
                "namespaces": {"prefix": "third-prefix", "matchLabels": {"other.test/key": "other-value"}},
                "profile": "none",
            },
        ],
        "webhooks": {"timeoutSeconds": 30, "excludedNamespaces": ["left-alone"], "rulesInPath": false},
        "service": {"port": 8443},
        "serviceAccount": {
            "name": "account",
            "annotations": {"account.test/key": "account-note"},
        },
        // On the node's network there is no NetworkPolicy, so it has its default here.
        "hostNetwork": false,
        "dnsPolicy": "Default",
        "resources": {
            "requests": {"cpu": 1, "memory": "1.5Gi"},
            "limits": {"cpu": "1500m", "memory": "2Gi", "ephemeral-storage": "1Gi"},
        },
        "priorityClassName": "system-node-critical",
        "resourceQuota": {"enabled": true},
        "nodeSelector": {"node.test/key": "node-value"},
        "tolerations": [
            {"key": "taint.test/key", "operator": "Equal", "value": "taint-value", "effect": "NoSchedule"},
            {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [
                {"key": "affinity.test/key", "operator": "In", "values": ["affinity-value"]},
            ]}],
        }}},
        "podLabels": {"label.test/key": "label-value"},
        "podAnnotations": {"annotation.test/key": "annotation-note"},
        "podDisruptionBudget": {"enabled": false},
        "networkPolicy": {
            "enabled": true,
            "apiServerCIDRs": ["10.0.0.1/32", "fd00::1/128"],
            "apiServerPorts": [6443, 16_443],
            "webhookFrom": [{"podSelector": {"matchLabels": {"agent.test/key": "agent-value"}}}],
            "metricsFrom": [
                {"namespaceSelector": {"matchLabels": {"peer.test/key": "peer-value"}},
                 "podSelector": {"matchExpressions": [{"key": "pod.test/key", "operator": "Exists"}]}},
                {"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.2.0/24"]}},
            ],
        },
        "metrics": {
            "podMonitor": {
                "enabled": true,
                "labels": {"monitor.test/key": "monitor-value"},
                "interval": "15s",
            },
            "prometheusRule": {"enabled": true, "labels": {"rule.test/key": "rule-value"}, "certificateExpiryDays": 3},
            "dashboard": {
                "enabled": true,
                "labels": {"board.test/key": "board-value"},
                "annotations": {"folder.test/key": "folder-note"},
            },
        },
        "namespaceGuard": {"enabled": true},
        "devicePlugin": {
            "enabled": true,
            "image": {
                "repository": "registry.test:5000/their/plugin",
                "tag": "plugin-tag",
                "digest": format!("sha256:{:064}", 2),
                "pullPolicy": "Never",
            },
            "resourceName": "device.test/our-fuse",
            "namespace": "ci",
            "count": 1,
            "kubeletFolder": "/data/kubelet",
            "priorityClassName": "plugin-priority",
            "seLinuxOptions": {"type": "container_device_plugin_t"},
            "nodeSelector": {"plugin.test/key": "plugin-node"},
            "tolerations": [{"key": "plugin.test/taint", "operator": "Exists"}],
            "resources": {"requests": {"cpu": "11m", "memory": "17Mi"}, "limits": {"memory": "65Mi"}},
        },
        "openshift": {
            "enabled": true,
            "sccName": "our-scc",
            "jobServiceAccounts": [{"namespace": "ci", "name": "job-account"}],
        },
    })
}
