//! The doors: for every control of the Pod Security Standards, each field by
//! which a pod can break it, and what the rejection then says.

use serde_json::{Value, json};

/// A way to break one control, and nothing else if it can be helped.
pub(super) struct Door {
    /// The control as a rejection names it.
    pub(super) control: &'static str,
    /// The field that is told, and the value in it.
    pub(super) told: (&'static str, &'static str),
    /// What the door changes, as a JSON merge patch of a container; of the
    /// whole pod in [`of_the_pod`].
    pub(super) change: Value,
    /// What the pod's spec needs for the API server to take that.
    pub(super) spec: Value,
    /// Other controls that this cannot help breaking.
    pub(super) also: &'static [&'static str],
}

fn door(control: &'static str, field: &'static str, value: &'static str, change: Value) -> Door {
    Door {
        control,
        told: (field, value),
        change,
        spec: json!({}),
        also: &[],
    }
}

/// A door in a container's `securityContext`.
fn context(control: &'static str, field: &'static str, value: &'static str, change: Value) -> Door {
    let change = json!({"securityContext": change});
    door(control, field, value, change)
}

/// Doors of a container that `baseline` closes.
pub(super) fn of_containers_at_baseline() -> Vec<Door> {
    let add = "securityContext.capabilities.add";
    let mut doors = vec![
        Door {
            // The API server takes no privilege beside a promise of none.
            also: &["allowPrivilegeEscalation"],
            ..context(
                "privileged",
                "securityContext.privileged",
                "true",
                json!({"privileged": true, "allowPrivilegeEscalation": null}),
            )
        },
        Door {
            also: &["allowPrivilegeEscalation"],
            ..context(
                "capabilities",
                add,
                "CAP_SYS_ADMIN",
                json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}, "allowPrivilegeEscalation": null}),
            )
        },
        door(
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
        doors.push(context("capabilities", add, name, change));
    }
    for (field, key, value) in [
        ("securityContext.seLinuxOptions.type", "type", "spc_t"),
        ("securityContext.seLinuxOptions.user", "user", "system_u"),
        ("securityContext.seLinuxOptions.role", "role", "system_r"),
    ] {
        let change = json!({"seLinuxOptions": {key: value}});
        doors.push(context("seLinuxOptions", field, value, change));
    }
    doors.extend(probes());
    doors
}

fn probes() -> Vec<Door> {
    let http = json!({"httpGet": {"host": "169.254.169.254", "port": 80}});
    let tcp = json!({"tcpSocket": {"host": "169.254.169.254", "port": 80}});
    let of = |field, change| {
        door(
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

/// Doors of a container that only `restricted` closes.
pub(super) fn of_containers_at_restricted() -> Vec<Door> {
    let escalation = "securityContext.allowPrivilegeEscalation";
    let non_root = "securityContext.runAsNonRoot";
    let drop = "securityContext.capabilities.drop";
    let add = "securityContext.capabilities.add";
    let mut doors = Vec::new();
    let mut push = |control, field, value, change| {
        doors.push(context(control, field, value, change));
    };
    for (told, value) in [("true", json!(true)), ("undefined", json!(null))] {
        let change = json!({"allowPrivilegeEscalation": value});
        push("allowPrivilegeEscalation", escalation, told, change);
    }
    for (told, value) in [("false", json!(false)), ("undefined", json!(null))] {
        push(
            "runAsNonRoot",
            non_root,
            told,
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
    for (told, dropped) in [
        ("undefined", json!(null)),
        ("all", json!(["all"])),
        ("CAP_ALL", json!(["CAP_ALL"])),
        ("KILL,MKNOD", json!(["KILL", "MKNOD"])),
    ] {
        push(
            "capabilities",
            drop,
            told,
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
    doors.push(Door {
        // The API server takes it in a user namespace only, and there baseline
        // allows it: the door of `restricted` alone.
        spec: json!({"hostUsers": false}),
        ..context(
            "procMount",
            "securityContext.procMount",
            "Unmasked",
            json!({"procMount": "Unmasked", "allowPrivilegeEscalation": null}),
        )
    });
    doors.last_mut().expect("it was just put there").also = &["allowPrivilegeEscalation"];
    doors
}

/// Doors of the pod itself that `baseline` closes.
pub(super) fn of_the_pod_at_baseline() -> Vec<Door> {
    let mut doors = vec![
        door(
            "volumes",
            "spec.volumes[v].hostPath.path",
            "/var/run",
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/var/run"}}]}}),
        ),
        door(
            "sysctls",
            "spec.securityContext.sysctls",
            "kernel.msgmax",
            json!({"spec": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}}),
        ),
        door(
            "appArmorProfile",
            "spec.securityContext.appArmorProfile.type",
            "Unconfined",
            json!({"spec": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}}),
        ),
        door(
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
        doors.push(door(
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
        doors.push(door("seLinuxOptions", field, value, change));
    }
    doors
}

/// Doors of the pod itself that only `restricted` closes.
pub(super) fn of_the_pod_at_restricted() -> Vec<Door> {
    let context = |change: Value| json!({"spec": {"securityContext": change}});
    let mut doors = vec![
        door(
            "runAsNonRoot",
            "spec.securityContext.runAsNonRoot",
            "false",
            context(json!({"runAsNonRoot": false})),
        ),
        door(
            "runAsUser",
            "spec.securityContext.runAsUser",
            "0",
            context(json!({"runAsUser": 0})),
        ),
    ];
    for (source, volume) in sources() {
        let change = json!({"spec": {"volumes": [{"name": "v", source: volume}]}});
        doors.push(door("volumes", "spec.volumes[v]", source, change));
    }
    doors
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
