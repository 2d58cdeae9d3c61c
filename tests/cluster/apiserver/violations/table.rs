//! The violations: for every control of the Pod Security Standards, each field by
//! which a pod can violate it, and what the rejection reports.

use serde_json::{Value, json};

/// A violation of one control, and of no other if possible.
pub(super) struct Violation {
    /// The control as a rejection names it.
    pub(super) control: &'static str,
    /// The field that is reported, and the value in it.
    pub(super) reported: (&'static str, &'static str),
    /// What the violation changes, as a JSON merge patch of a container; of the
    /// whole pod in [`of_the_pod`].
    pub(super) change: Value,
    /// What the pod's spec needs for the API server to accept the change.
    pub(super) spec: Value,
    /// Other controls that the change also violates.
    pub(super) also: &'static [&'static str],
}

fn violation(
    control: &'static str,
    field: &'static str,
    value: &'static str,
    change: Value,
) -> Violation {
    Violation {
        control,
        reported: (field, value),
        change,
        spec: json!({}),
        also: &[],
    }
}

/// A violation in a container's `securityContext`.
fn context(
    control: &'static str,
    field: &'static str,
    value: &'static str,
    change: Value,
) -> Violation {
    let change = json!({"securityContext": change});
    violation(control, field, value, change)
}

/// Violations in a container at `baseline`.
pub(super) fn of_containers_at_baseline() -> Vec<Violation> {
    let add = "securityContext.capabilities.add";
    let mut violations = vec![
        Violation {
            // The API server rejects privileged together with no
            // escalation.
            also: &["allowPrivilegeEscalation"],
            ..context(
                "privileged",
                "securityContext.privileged",
                "true",
                json!({"privileged": true, "allowPrivilegeEscalation": null}),
            )
        },
        Violation {
            also: &["allowPrivilegeEscalation"],
            ..context(
                "capabilities",
                add,
                "CAP_SYS_ADMIN",
                json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}, "allowPrivilegeEscalation": null}),
            )
        },
        violation(
            "hostPorts",
            "ports.hostPort",
            "8080",
            json!({"ports": [{"containerPort": 80, "hostPort": 8080}]}),
        ),
        context(
            "appArmorProfile",
            "securityContext.appArmorProfile.type",
            "Unconfined",
            json!({"appArmorProfile": {"type": "Unconfined"}}),
        ),
        context(
            "seccompProfile",
            "securityContext.seccompProfile.type",
            "Unconfined",
            json!({"seccompProfile": {"type": "Unconfined"}}),
        ),
    ];
    for name in ["SYS_ADMIN", "sys_admin", "cap_net_raw", "NET_RAW", "ALL"] {
        let change = json!({"capabilities": {"add": [name]}});
        violations.push(context("capabilities", add, name, change));
    }
    for (field, key, value) in [
        ("securityContext.seLinuxOptions.type", "type", "spc_t"),
        ("securityContext.seLinuxOptions.user", "user", "system_u"),
        ("securityContext.seLinuxOptions.role", "role", "system_r"),
    ] {
        let change = json!({"seLinuxOptions": {key: value}});
        violations.push(context("seLinuxOptions", field, value, change));
    }
    violations.extend(probes());
    violations
}

fn probes() -> Vec<Violation> {
    let http = json!({"httpGet": {"host": "169.254.169.254", "port": 80}});
    let tcp = json!({"tcpSocket": {"host": "169.254.169.254", "port": 80}});
    let of = |field, change| {
        violation(
            "hostProbesAndHostLifecycle",
            field,
            "169.254.169.254",
            change,
        )
    };
    let mut startup = tcp.clone();
    startup["failureThreshold"] = json!(3);
    vec![
        of("livenessProbe.httpGet.host", json!({"livenessProbe": http})),
        of(
            "livenessProbe.tcpSocket.host",
            json!({"livenessProbe": tcp}),
        ),
        of(
            "readinessProbe.httpGet.host",
            json!({"readinessProbe": http}),
        ),
        of(
            "startupProbe.tcpSocket.host",
            json!({"startupProbe": startup}),
        ),
        of(
            "lifecycle.postStart.httpGet.host",
            json!({"lifecycle": {"postStart": http}}),
        ),
        of(
            "lifecycle.preStop.httpGet.host",
            json!({"lifecycle": {"preStop": http}}),
        ),
        of(
            "lifecycle.postStart.tcpSocket.host",
            json!({"lifecycle": {"postStart": tcp}}),
        ),
        of(
            "lifecycle.preStop.tcpSocket.host",
            json!({"lifecycle": {"preStop": tcp}}),
        ),
    ]
}

/// Violations in a container only at `restricted`.
pub(super) fn of_containers_at_restricted() -> Vec<Violation> {
    let escalation = "securityContext.allowPrivilegeEscalation";
    let non_root = "securityContext.runAsNonRoot";
    let drop = "securityContext.capabilities.drop";
    let add = "securityContext.capabilities.add";
    let mut violations = Vec::new();
    let mut push = |control, field, value, change| {
        violations.push(context(control, field, value, change));
    };
    for (reported, value) in [("true", json!(true)), ("undefined", json!(null))] {
        let change = json!({"allowPrivilegeEscalation": value});
        push("allowPrivilegeEscalation", escalation, reported, change);
    }
    for (reported, value) in [("false", json!(false)), ("undefined", json!(null))] {
        push(
            "runAsNonRoot",
            non_root,
            reported,
            json!({"runAsNonRoot": value}),
        );
    }
    push(
        "runAsUser",
        "securityContext.runAsUser",
        "0",
        json!({"runAsUser": 0}),
    );
    let seccomp = "securityContext.seccompProfile.type";
    push(
        "seccompProfile",
        seccomp,
        "undefined",
        json!({"seccompProfile": null}),
    );
    for (reported, dropped) in [
        ("undefined", json!(null)),
        ("all", json!(["all"])),
        ("CAP_ALL", json!(["CAP_ALL"])),
        ("KILL,MKNOD", json!(["KILL", "MKNOD"])),
    ] {
        push(
            "capabilities",
            drop,
            reported,
            json!({"capabilities": {"drop": dropped}}),
        );
    }
    for name in ["CHOWN", "CAP_NET_BIND_SERVICE", "net_bind_service"] {
        push(
            "capabilities",
            add,
            name,
            json!({"capabilities": {"add": [name]}}),
        );
    }
    violations.push(Violation {
        // The API server accepts it only in a user namespace, where
        // baseline allows it: a violation of `restricted` alone.
        spec: json!({"hostUsers": false}),
        ..context(
            "procMount",
            "securityContext.procMount",
            "Unmasked",
            json!({"procMount": "Unmasked", "allowPrivilegeEscalation": null}),
        )
    });
    violations.last_mut().expect("it was just put there").also = &["allowPrivilegeEscalation"];
    violations
}

/// Violations of the pod itself at `baseline`.
pub(super) fn of_the_pod_at_baseline() -> Vec<Violation> {
    let mut violations = vec![
        violation(
            "volumes",
            "spec.volumes[v].hostPath.path",
            "/var/run",
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/var/run"}}]}}),
        ),
        violation(
            "sysctls",
            "spec.securityContext.sysctls",
            "kernel.msgmax",
            json!({"spec": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}}),
        ),
        violation(
            "appArmorProfile",
            "spec.securityContext.appArmorProfile.type",
            "Unconfined",
            json!({"spec": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}}),
        ),
        violation(
            "seccompProfile",
            "spec.securityContext.seccompProfile.type",
            "Unconfined",
            json!({"spec": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}}),
        ),
    ];
    for (field, key) in [
        ("spec.hostNetwork", "hostNetwork"),
        ("spec.hostPID", "hostPID"),
        ("spec.hostIPC", "hostIPC"),
    ] {
        violations.push(violation(
            "hostNamespaces",
            field,
            "true",
            json!({"spec": {key: true}}),
        ));
    }
    for (field, key, value) in [
        ("spec.securityContext.seLinuxOptions.type", "type", "spc_t"),
        (
            "spec.securityContext.seLinuxOptions.user",
            "user",
            "system_u",
        ),
        (
            "spec.securityContext.seLinuxOptions.role",
            "role",
            "system_r",
        ),
    ] {
        let change = json!({"spec": {"securityContext": {"seLinuxOptions": {key: value}}}});
        violations.push(violation("seLinuxOptions", field, value, change));
    }
    violations
}

/// Violations of the pod itself only at `restricted`.
pub(super) fn of_the_pod_at_restricted() -> Vec<Violation> {
    let context = |change: Value| json!({"spec": {"securityContext": change}});
    let mut violations = vec![
        violation(
            "runAsNonRoot",
            "spec.securityContext.runAsNonRoot",
            "false",
            context(json!({"runAsNonRoot": false})),
        ),
        violation(
            "runAsUser",
            "spec.securityContext.runAsUser",
            "0",
            context(json!({"runAsUser": 0})),
        ),
    ];
    for (source, volume) in sources() {
        let change = json!({"spec": {"volumes": [{"name": "v", source: volume}]}});
        violations.push(violation("volumes", "spec.volumes[v]", source, change));
    }
    violations
}

fn sources() -> Vec<(&'static str, Value)> {
    vec![
        ("awsElasticBlockStore", json!({"volumeID": "v"})),
        (
            "azureDisk",
            json!({"diskName": "d", "diskURI": "https://b.blob.core.windows.net/vhds/d.vhd"}),
        ),
        ("azureFile", json!({"secretName": "s", "shareName": "s"})),
        ("cephfs", json!({"monitors": ["m"]})),
        ("cinder", json!({"volumeID": "v"})),
        ("fc", json!({"targetWWNs": ["w"], "lun": 1})),
        ("flexVolume", json!({"driver": "vendor/driver"})),
        ("flocker", json!({"datasetName": "d"})),
        ("gcePersistentDisk", json!({"pdName": "p"})),
        ("gitRepo", json!({"repository": "r"})),
        ("glusterfs", json!({"endpoints": "e", "path": "p"})),
        (
            "iscsi",
            json!({"targetPortal": "1.2.3.4", "iqn": "iqn.2001-04.com.example:storage", "lun": 0}),
        ),
        ("nfs", json!({"server": "s", "path": "/"})),
        ("photonPersistentDisk", json!({"pdID": "p"})),
        ("portworxVolume", json!({"volumeID": "p"})),
        ("quobyte", json!({"registry": "r:1", "volume": "v"})),
        ("rbd", json!({"monitors": ["m"], "image": "i"})),
        (
            "scaleIO",
            json!({"gateway": "g", "system": "s", "secretRef": {"name": "n"}, "volumeName": "v"}),
        ),
        ("storageos", json!({"volumeName": "v"})),
        ("vsphereVolume", json!({"volumePath": "v"})),
    ]
}
