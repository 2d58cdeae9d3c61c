//! A table of every field that a control of the Pod Security Standards reads, some
//! that look like one, and the values to try there.

use serde_json::{Value, json};

/// The fields of `securityContext`. Some exist only on the pod or only on a
/// container, and must have no effect elsewhere.
pub fn context_fields() -> Vec<(&'static str, Value)> {
    let flag = json!([true, false, null]);
    let confinement = json!([null, {}, {"type": null}, {"type": ""}, {"type": "RuntimeDefault"},
        {"type": "Localhost", "localhostProfile": "p"}, {"type": "Unconfined"},
        {"type": "runtimedefault"}, {"type": "runtime/default"}, {"type": "RuntimeDefault "}]);
    vec![
        ("privileged", flag.clone()),
        ("allowPrivilegeEscalation", flag.clone()),
        ("runAsNonRoot", flag.clone()),
        ("runAsUser", json!([0, 1, -1, 65534, null])),
        (
            "procMount",
            json!(["Default", "Unmasked", "default", "", null]),
        ),
        ("capabilities", json!([null, {}])),
        (
            "capabilities/add",
            json!([
                null,
                [],
                [null],
                [""],
                ["NET_BIND_SERVICE"],
                ["SYS_ADMIN"],
                ["NET_RAW"],
                ["ALL"],
                ["CAP_CHOWN"],
                ["chown"],
                ["NET_BIND_SERVICE", "CHOWN"],
                ["CHOWN", "SYS_PTRACE", "SYS_PTRACE"],
                [
                    "AUDIT_WRITE",
                    "CHOWN",
                    "DAC_OVERRIDE",
                    "FOWNER",
                    "FSETID",
                    "KILL",
                    "MKNOD",
                    "NET_BIND_SERVICE",
                    "SETFCAP",
                    "SETGID",
                    "SETPCAP",
                    "SETUID",
                    "SYS_CHROOT"
                ]
            ]),
        ),
        (
            "capabilities/drop",
            json!([
                null,
                [],
                [null],
                ["ALL"],
                ["KILL", "ALL"],
                ["all"],
                ["CAP_ALL"],
                ["KILL"]
            ]),
        ),
        ("seLinuxOptions", json!([null, {}])),
        (
            "seLinuxOptions/type",
            json!([
                null,
                "",
                "container_t",
                "container_init_t",
                "container_kvm_t",
                "container_engine_t",
                "spc_t",
                "container_t ",
                "Container_t"
            ]),
        ),
        ("seLinuxOptions/user", json!([null, "", "system_u"])),
        ("seLinuxOptions/role", json!([null, "", "system_r"])),
        ("seLinuxOptions/level", json!([null, "", "s0:c1,c2"])),
        ("seccompProfile", confinement.clone()),
        ("appArmorProfile", confinement),
        (
            "windowsOptions",
            json!([null, {}, {"gmsaCredentialSpecName": "n"}]),
        ),
        ("windowsOptions/hostProcess", flag),
        ("sysctls", sysctls()),
    ]
}

fn sysctls() -> Value {
    let names = "kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies \
        net.ipv4.ping_group_range net.ipv4.ip_unprivileged_port_start \
        net.ipv4.ip_local_reserved_ports net.ipv4.tcp_keepalive_time net.ipv4.tcp_fin_timeout \
        net.ipv4.tcp_keepalive_intvl net.ipv4.tcp_keepalive_probes net.ipv4.tcp_rmem \
        net.ipv4.tcp_wmem net.ipv4.tcp_slow_start_after_idle net.ipv4.tcp_notsent_lowat \
        kernel.msgmax net.core.somaxconn net/ipv4/tcp_syncookies net.ipv4.tcp_syncookies. \
        NET.IPV4.TCP_RMEM net.ipv4.tcp_mem net.ipv4.tcp_max_syn_backlog net.ipv4.*";
    let mut values = vec![
        json!(null),
        json!([]),
        json!([null]),
        json!([{"name": null}]),
    ];
    values.extend(
        names
            .split_whitespace()
            .map(|name| json!([{"name": name, "value": "0"}])),
    );
    values.push(json!([{"name": "net.ipv4.tcp_rmem"}, {"name": "kernel.sem"}]));
    Value::Array(values)
}

/// The fields of a container other than its `securityContext`.
pub fn container_fields() -> Vec<(&'static str, Value)> {
    vec![
        (
            "ports",
            json!([null, [], [null], [{}], [{"hostPort": null}], [{"hostPort": 0}],
                [{"hostPort": 1}], [{"hostPort": -1}], [{"containerPort": 80}],
                [{"hostPort": 0}, {"containerPort": 80, "hostPort": 65535}],
                [{"hostIP": "1.2.3.4", "containerPort": 80}]]),
        ),
        ("name", json!([null, "", "build", "helper"])),
        ("lifecycle", json!([null, {}, {"stopSignal": "SIGTERM"}])),
    ]
}

/// A probe or a lifecycle hook.
pub fn handlers() -> Value {
    json!([null, {}, {"exec": {"command": ["true"]}}, {"grpc": {"port": 1}},
        {"httpGet": null}, {"httpGet": {}}, {"httpGet": {"port": 80, "host": null}},
        {"httpGet": {"port": "http", "host": ""}}, {"httpGet": {"port": 80, "host": "127.0.0.1"}},
        {"httpGet": {"port": 80, "httpHeaders": [{"name": "Host", "value": "h"}]}},
        {"tcpSocket": null}, {"tcpSocket": {"port": 80}}, {"tcpSocket": {"port": 80, "host": ""}},
        {"tcpSocket": {"port": 80, "host": "10.0.0.1"}},
        {"httpGet": {"host": ""}, "tcpSocket": {"host": " "}}])
}

/// The fields of the pod other than its `securityContext`.
pub fn pod_fields() -> Vec<(&'static str, Value)> {
    let flag = json!([true, false, null]);
    let profile = json!([
        null,
        "",
        "runtime/default",
        "localhost/",
        "localhost/p",
        "localhost",
        "unconfined",
        "RuntimeDefault",
        "runtime/default "
    ]);
    let ignored = json!(["unconfined"]);
    vec![
        ("spec/hostNetwork", flag.clone()),
        ("spec/hostPID", flag.clone()),
        ("spec/hostIPC", flag.clone()),
        ("spec/hostUsers", flag),
        (
            "spec/os",
            json!([null, {}, {"name": null}, {"name": ""}, {"name": "linux"},
                {"name": "windows"}, {"name": "Windows"}]),
        ),
        (
            "spec/nodeSelector",
            json!([{"kubernetes.io/os": "windows"}, null]),
        ),
        ("spec/initContainers", json!([null, [], [null], [{}]])),
        ("spec/containers", json!([null, [], [null], [{}]])),
        ("spec/ephemeralContainers", json!([null, [], [null], [{}]])),
        ("spec/volumes", volumes()),
        ("metadata/annotations", json!([null, {}])),
        (
            "metadata/annotations/container.apparmor.security.beta.kubernetes.io~1init",
            profile.clone(),
        ),
        (
            "metadata/annotations/container.apparmor.security.beta.kubernetes.io~1build",
            profile.clone(),
        ),
        (
            "metadata/annotations/container.apparmor.security.beta.kubernetes.io~1debug",
            profile.clone(),
        ),
        (
            "metadata/annotations/container.apparmor.security.beta.kubernetes.io~1gone",
            profile.clone(),
        ),
        (
            "metadata/annotations/container.apparmor.security.beta.kubernetes.io~1",
            profile,
        ),
        (
            "metadata/annotations/container.apparmor.security.beta.kubernetes.io",
            ignored.clone(),
        ),
        (
            "metadata/annotations/x-container.apparmor.security.beta.kubernetes.io~1build",
            ignored.clone(),
        ),
        (
            "metadata/annotations/seccomp.security.alpha.kubernetes.io~1pod",
            ignored.clone(),
        ),
        (
            "metadata/annotations/container.seccomp.security.alpha.kubernetes.io~1build",
            ignored,
        ),
    ]
}

fn volumes() -> Value {
    let sources = "awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI \
        emptyDir ephemeral fc flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath image \
        iscsi nfs persistentVolumeClaim photonPersistentDisk portworxVolume projected quobyte rbd \
        scaleIO secret storageos vsphereVolume aSourceOfTheFuture";
    let mut values = vec![
        json!(null),
        json!([]),
        json!([null]),
        json!([{"name": "v"}]),
    ];
    for source in sources.split_whitespace() {
        values.push(json!([{"name": "v", source: {}}]));
        values.push(json!([{"name": "v", source: null}]));
        values.push(json!([{"name": "v", "emptyDir": {}}, {"name": "w", source: {}}]));
        // Two at once: refused by the API server, but only later.
        values.push(json!([{"name": "v", "secret": {}, source: {}}]));
        values.push(json!([{"name": "v", "hostPath": {"path": "/"}, source: {}}]));
        values.push(json!([{"name": "v", "nfs": {}, source: {}}]));
    }
    values.push(json!([{"name": "v", "hostPath": {"path": "/var/run", "type": ""}}]));
    values.push(json!([{"name": "v", "hostPath": {"path": null}}]));
    Value::Array(values)
}
