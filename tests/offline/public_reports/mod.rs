//! What people report of Podman in job pods, one pod for each kind of report, and what
//! podseal makes of it. A new report is a line in the table, or a test of its own.

mod table;

use admission::namespace::PROFILE;
use cases::answer::{Answer, answer_for, corrected, denial};
use cases::fixture;
use cases::view::{container, container_mut};
use serde_json::{Value, json};

use crate::policy::fate;

fn job() -> Value {
    fixture("default-with-service")
}

fn env<'p>(pod: &'p Value, name: &str, var: &str) -> Option<&'p str> {
    let vars = container(pod, name)["env"].as_array()?;
    vars.iter().find(|entry| entry["name"] == var)?["value"].as_str()
}

/// podman#29630, podman#19827: Podman 6 reads the system's storage.conf for every user.
#[test]
fn the_configuration_of_the_image_does_not_apply() {
    for profile in ["rootless", "userns", "root", "privileged", "openshift"] {
        let pod = corrected(&job(), profile);
        for (var, value) in [
            ("CONTAINERS_STORAGE_CONF", "/dev/null"),
            ("STORAGE_DRIVER", "overlay"),
            ("STORAGE_OPTS", ""),
            ("BUILDAH_ISOLATION", "chroot"),
        ] {
            assert_eq!(env(&pod, "build", var), Some(value), "{profile}");
            assert_eq!(env(&pod, "helper", var), None, "{profile}");
        }
    }
}

/// A variable that the job sets, and those of the profile that would override it.
#[test]
fn a_job_keeps_its_own_configuration() {
    const ALL: [&str; 4] = [
        "CONTAINERS_STORAGE_CONF",
        "STORAGE_DRIVER",
        "STORAGE_OPTS",
        "BUILDAH_ISOLATION",
    ];
    for (own, set) in [
        ("CONTAINERS_STORAGE_CONF", &["BUILDAH_ISOLATION"][..]),
        (
            "STORAGE_DRIVER",
            &["CONTAINERS_STORAGE_CONF", "BUILDAH_ISOLATION"],
        ),
        (
            "STORAGE_OPTS",
            &[
                "CONTAINERS_STORAGE_CONF",
                "STORAGE_DRIVER",
                "BUILDAH_ISOLATION",
            ],
        ),
        (
            "BUILDAH_ISOLATION",
            &["CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "STORAGE_OPTS"],
        ),
    ] {
        let mut pod = job();
        container_mut(&mut pod, "build")["env"] = json!([{"name": own, "value": "its own"}]);
        let pod = corrected(&pod, "rootless");
        assert_eq!(env(&pod, "build", own), Some("its own"));
        let is_added = |var: &&str| *var != own && env(&pod, "build", var).is_some();
        let added: Vec<_> = ALL.into_iter().filter(is_added).collect();
        assert_eq!(added, set, "{own}");
    }
}

/// consul-k8s#347, rundeck#149.
#[test]
fn containers_of_the_runner_start_as_root_although_the_pod_must_not() {
    let mut pod = job();
    pod["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    for profile in ["root", "root-fuse"] {
        let pod = corrected(&pod, profile);
        for name in ["build", "helper", "init-permissions"] {
            let context = &container(&pod, name)["securityContext"];
            assert_eq!(context["runAsNonRoot"], false, "{profile}, {name}");
        }
    }
}

/// Each device is compared with each.
#[test]
fn more_devices_than_a_job_has_are_denied_at_once() {
    for (count, is_denied) in [(63, false), (64, true), (20_000, true)] {
        let devices: Vec<_> = (0..count).map(|n| format!("/dev/{n}")).collect();
        let mut pod = job();
        pod["metadata"]["annotations"] = json!({"devices.crio.io": devices.join(",")});
        let message = "there are more than podseal's limit of 64 devices";
        match answer_for(&pod, "openshift") {
            Answer::Denial(why) => assert!(is_denied && why.contains(message), "{why}"),
            _ => assert!(!is_denied, "{count}"),
        }
    }
}

/// cri-o#9606. CRI-O reads the newer annotation if there are both.
#[test]
fn devices_are_added_to_those_that_the_runner_asks_for() {
    let [newer, older] = ["devices.crio.io", "io.kubernetes.cri-o.Devices"];
    for (was, is) in [
        (json!({}), ["/dev/fuse", "/dev/fuse"]),
        (
            json!({older: "/dev/net/tun"}),
            ["/dev/net/tun,/dev/fuse"; 2],
        ),
        (
            json!({newer: "/dev/net/tun"}),
            ["/dev/net/tun,/dev/fuse"; 2],
        ),
        (
            json!({newer: "/dev/a", older: "/dev/fuse:/dev/fuse:rw"}),
            ["/dev/a,/dev/fuse:/dev/fuse:rw"; 2],
        ),
        (
            json!({newer: "/dev/fuse,/dev/fuse", older: ","}),
            ["/dev/fuse"; 2],
        ),
    ] {
        let mut pod = job();
        pod["metadata"]["annotations"] = was.clone();
        let pod = corrected(&pod, "openshift");
        let annotations = &pod["metadata"]["annotations"];
        assert_eq!([&annotations[newer], &annotations[older]], is, "{was}");
        assert_eq!(corrected(&pod, "openshift"), pod);
    }
}

/// gitlab#368580, operator#246.
#[test]
fn a_pod_that_openshift_admitted_by_another_scc_is_denied_with_the_line_to_write() {
    let mut pod = job();
    pod["metadata"]["annotations"]["openshift.io/scc"] = "restricted-v2".into();
    let message = denial(&pod, "openshift");
    for part in [
        "pod, metadata.annotations openshift.io/scc: OpenShift has admitted the pod by the SCC \
         \"restricted-v2\"",
        "add \"openshift.io/required-scc\" = \"podseal-rootless\" to \
         [runners.kubernetes.pod_annotations]",
    ] {
        assert!(message.contains(part), "{message}");
    }
    pod["metadata"]["annotations"]["openshift.io/scc"] = "podseal-rootless".into();
    corrected(&pod, "openshift");
    pod["metadata"]["annotations"]["openshift.io/scc"] = "restricted-v2".into();
    corrected(&pod, "rootless");
}

/// gitlab-runner#2986: an administrator's init container, by `pod_spec`.
#[test]
fn an_init_container_of_others_keeps_its_privilege_and_is_judged() {
    let mut pod = job();
    let added = json!({"name": "init-binfmt", "image": "binfmt",
        "securityContext": {"privileged": true}});
    pod["spec"]["initContainers"] = json!([added]);
    for profile in ["rootless", "privileged"] {
        assert_eq!(*container(&corrected(&pod, profile), "init-binfmt"), added);
        let message = fate(&pod, &[(PROFILE, profile)]).message.expect("a denial");
        for part in [
            "init container \"init-binfmt\", securityContext.privileged: true is forbidden",
            "remove that init container, which pod_spec in the runner's config.toml or another \
             admission webhook adds",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}

/// istio#53150.
#[test]
fn a_meshs_init_container_is_denied_with_how_to_leave_it_out() {
    for (name, part) in [
        (
            "istio-init",
            "leave out Istio's sidecar by sidecar.istio.io/inject = \"false\" in pod_labels",
        ),
        ("linkerd-init", "leave out Linkerd's proxy"),
        ("vault-agent-init", "leave out Vault's agent"),
        ("consul-connect-inject-init", "leave out Consul's proxy"),
        ("mesh-init", "remove that init container"),
    ] {
        let mut pod = job();
        pod["spec"]["initContainers"] = json!([{"name": name,
            "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]);
        let message = fate(&pod, &[(PROFILE, "rootless")])
            .message
            .expect("a denial");
        assert!(message.contains(part), "{name}: {message}");
    }
}
