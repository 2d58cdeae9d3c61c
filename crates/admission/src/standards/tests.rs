//! What a violation shows, and the effect of a level that is lowered for one
//! container. `tests/offline/pod_security.rs` tests which values are violations.

use super::*;
use crate::pod::Pod;
use crate::pod::place::{ContainerRef, List, Place};

const BUILD: Place = Place::Container(ContainerRef {
    list: List::Regular,
    index: 0,
});

fn pod(json: &str) -> Pod<'_> {
    serde_json::from_str(json).expect("a pod")
}

fn lines_of(violations: &[Violation<'_>]) -> Vec<String> {
    let line = |v: &Violation<'_>| {
        let (id, container, value) = (v.control.id(), &*v.container, v.value.text());
        format!("{id} {container} {} {value}", v.field)
    };
    violations.iter().map(line).collect()
}

#[test]
fn privileged_forbids_nothing() {
    let pod =
        pod(r#"{"spec":{"hostPID":true,"containers":[{"securityContext":{"privileged":true}}]}}"#);
    assert_eq!(violations(&pod, Level::Privileged), []);
}

#[test]
fn violations_come_control_by_control_and_then_in_the_order_of_the_pod() {
    let pod = pod(r#"{"spec":{
        "ephemeralContainers":[{"name":"e","securityContext":{"privileged":true}}],
        "containers":[{"name":"b","ports":[{"hostPort":1},{"hostPort":2}],"securityContext":{"privileged":true}}],
        "initContainers":[{"name":"i","securityContext":{"privileged":true}}],
        "hostNetwork":true}}"#);
    let found = violations(&pod, Level::Baseline);
    let places: Vec<_> = found
        .iter()
        .map(|v| (v.control.id(), &*v.container))
        .collect();
    assert_eq!(
        places,
        [
            ("hostNamespaces", ""),
            ("privileged", "i"),
            ("privileged", "b"),
            ("privileged", "e"),
            ("hostPorts", "b"),
            ("hostPorts", "b"),
        ]
    );
}

#[test]
fn a_container_lowered_to_baseline_must_meet_the_baseline_control() {
    let pod = pod(r#"{"spec":{"containers":[
        {"name":"build","securityContext":{"capabilities":{"add":["SETUID","SYS_ADMIN"]}}},
        {"name":"helper","securityContext":{"capabilities":{"add":["SETUID"]}}}]}}"#);
    let found = violations_with(&pod, |family, place| match (family, place) {
        (Family::Capabilities, BUILD) => Level::Baseline,
        (Family::Capabilities, _) => Level::Restricted,
        _ => Level::Privileged,
    });
    assert_eq!(
        lines_of(&found),
        [
            "capabilities_baseline build securityContext.capabilities.add SYS_ADMIN",
            "capabilities_restricted helper securityContext.capabilities.drop undefined",
            "capabilities_restricted helper securityContext.capabilities.add SETUID",
        ]
    );
}

#[test]
fn a_control_without_a_baseline_one_is_met_where_it_is_lowered() {
    let pod = pod(r#"{"spec":{"containers":[{"name":"build"},{"name":"helper"}]}}"#);
    let found = violations_with(&pod, |family, place| match (family, place) {
        (Family::AllowPrivilegeEscalation, BUILD) => Level::Restricted.lowered(),
        (Family::AllowPrivilegeEscalation, _) => Level::Restricted,
        _ => Level::Privileged,
    });
    assert_eq!(found.len(), 1);
    assert_eq!(&*found[0].container, "helper");
}

/// One pod that violates every control, each violation as control, container, field
/// and value.
#[test]
fn a_violation_has_the_container_the_field_and_the_value() {
    let pod = pod(r#"{
        "metadata":{"annotations":{"container.apparmor.security.beta.kubernetes.io/b":"unconfined"}},
        "spec":{"hostIPC":true,"volumes":[{"name":"v","hostPath":{"path":"/"}},{"name":"n","nfs":{}}],
            "securityContext":{"runAsUser":0,"runAsNonRoot":false,"seccompProfile":{"type":"Unconfined"},
                "appArmorProfile":{"type":"Unconfined"},"seLinuxOptions":{"user":"u"},
                "windowsOptions":{"hostProcess":true},"sysctls":[{"name":"kernel.msgmax"}]},
            "containers":[{"name":"b","ports":[{"hostPort":80}],
                "livenessProbe":{"httpGet":{"host":"h"}},"lifecycle":{"preStop":{"tcpSocket":{"host":"t"}}},
                "securityContext":{"privileged":true,"allowPrivilegeEscalation":true,"procMount":"Unmasked",
                    "capabilities":{"add":["NET_RAW","CHOWN"],"drop":["KILL","MKNOD"]},
                    "seLinuxOptions":{"type":"spc_t","role":"r"}}}]}}"#);
    let baseline = "\
        windowsHostProcess  spec.securityContext.windowsOptions.hostProcess true
        hostNamespaces  spec.hostIPC true
        privileged b securityContext.privileged true
        capabilities_baseline b securityContext.capabilities.add NET_RAW
        hostPathVolumes  spec.volumes[v].hostPath.path /
        hostPorts b ports.hostPort 80
        hostProbesAndHostLifecycle b livenessProbe.httpGet.host h
        hostProbesAndHostLifecycle b lifecycle.preStop.tcpSocket.host t
        appArmorProfile  spec.securityContext.appArmorProfile.type Unconfined
        appArmorProfile b metadata.annotations[container.apparmor.security.beta.kubernetes.io/b] unconfined
        seLinuxOptions  spec.securityContext.seLinuxOptions.user u
        seLinuxOptions b securityContext.seLinuxOptions.type spc_t
        seLinuxOptions b securityContext.seLinuxOptions.role r
        procMount b securityContext.procMount Unmasked
        seccompProfile_baseline  spec.securityContext.seccompProfile.type Unconfined
        sysctls  spec.securityContext.sysctls kernel.msgmax";
    assert_eq!(
        lines_of(&violations(&pod, Level::Baseline)),
        lines(baseline)
    );

    let restricted = "\
        restrictedVolumes  spec.volumes[v].hostPath.path /
        restrictedVolumes  spec.volumes[n] nfs
        allowPrivilegeEscalation b securityContext.allowPrivilegeEscalation true
        runAsNonRoot  spec.securityContext.runAsNonRoot false
        runAsNonRoot b securityContext.runAsNonRoot undefined
        runAsUser  spec.securityContext.runAsUser 0
        procMount_restricted b securityContext.procMount Unmasked
        seccompProfile_restricted  spec.securityContext.seccompProfile.type Unconfined
        seccompProfile_restricted b securityContext.seccompProfile.type undefined
        capabilities_restricted b securityContext.capabilities.drop KILL,MKNOD
        capabilities_restricted b securityContext.capabilities.add NET_RAW
        capabilities_restricted b securityContext.capabilities.add CHOWN";
    let mut found = violations(&pod, Level::Restricted);
    found.retain(|violation| violation.control.level() == Level::Restricted);
    assert_eq!(lines_of(&found), lines(restricted));
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_start).collect()
}
