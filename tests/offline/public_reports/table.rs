//! podseal's answer to each report. A row is the one thing in a job's pod that a report is
//! about.

use admission::decision::Outcome;
use admission::lint::files::{self, ProfileFile};
use admission::mutate::mutate;
use admission::namespace::policy::Settings;
use admission::namespace::{Namespace, PROFILE};
use admission::request::Request;
use admission::validate::validate;
use cases::answer::patched;
use cases::fixture;
use cases::review::review_of;
use cases::security_pods;
use cases::view::{self, View};
use serde_json::Value;

/// A value at a JSON Pointer.
type Edit = (&'static str, &'static str);

enum Answer {
    /// The job's pod is corrected, and then has these.
    Corrected(&'static [Has]),
    /// The job runs, and its author can know why it fails.
    Cautioned(&'static str),
    /// It is denied, and this is in the reason.
    Denied(&'static str),
}
use Answer::{Cautioned, Corrected, Denied};

enum Has {
    /// A container, a variable, and its value or none.
    Env(&'static str, &'static str, Option<&'static str>),
    /// A container, and a path at which a volume is mounted.
    Volume(&'static str, &'static str),
    /// A container, and its user.
    User(&'static str, i64),
    /// A container, a field of its `securityContext`, and the value, as JSON.
    Security(&'static str, &'static str, &'static str),
    /// An annotation of the pod.
    Annotation(&'static str, &'static str),
}
use Has::{Annotation, Env, Security, User, Volume};

/// The report, the profile, what the pod has, and the answer. `build` is container 0,
/// `helper` container 1, a service container 2.
// One report a line, so that it reads as the table it is.
#[rustfmt::skip]
const REPORTS: &[(&str, &str, &[Edit], Answer)] = &[
    ("podman 29630: storage.conf of the image", "rootless", &[], Corrected(&[Env("build", "CONTAINERS_STORAGE_CONF", Some("/dev/null")), Env("build", "STORAGE_DRIVER", Some("overlay"))])),
    ("podman 19827: the same as root", "root", &[], Corrected(&[Env("build", "STORAGE_OPTS", Some("")), Volume("build", "/var/lib/containers")])),
    ("buildah 5332: its additional stores", "rootless", &[], Corrected(&[Env("build", "CONTAINERS_STORAGE_CONF", Some("/dev/null"))])),
    ("buildah 1783: overlay's options with vfs", "rootless", &[("/spec/containers/0/env", r#"[{"name": "STORAGE_DRIVER", "value": "vfs"}]"#)], Corrected(&[Env("build", "STORAGE_DRIVER", Some("vfs")), Env("build", "STORAGE_OPTS", None)])),
    ("buildah 6910, 6892: an overlay at /var/tmp", "root", &[], Corrected(&[Volume("build", "/var/tmp")])),
    ("buildah 6276: a storage.conf of the administrator's", "rootless", &[("/spec/volumes", r#"[{"name": "v", "configMap": {"name": "c"}}]"#), ("/spec/containers/0/volumeMounts", r#"[{"name": "v", "mountPath": "/home/build/.config/containers"}]"#)], Cautioned("storage-conf")),
    ("buildah 5292, 5899: a claim for layers", "rootless", &[("/spec/volumes", r#"[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]"#), ("/spec/containers/0/volumeMounts", r#"[{"name": "v", "mountPath": "/var/lib/containers/storage"}]"#)], Cautioned("unused-store")),
    ("podman 11951, 16331: isolation by a runtime", "root", &[("/spec/containers/0/env", r#"[{"name": "BUILDAH_ISOLATION", "value": "oci"}]"#)], Cautioned("isolation")),
    ("GitLab: a login in the image's home", "rootless", &[("/spec/volumes", r#"[{"name": "v", "secret": {"secretName": "s"}}]"#), ("/spec/containers/0/volumeMounts", r#"[{"name": "v", "mountPath": "/home/podman/.docker"}]"#)], Cautioned("old-home")),
    ("GitLab: a login in podseal's HOME", "rootless", &[("/spec/volumes", r#"[{"name": "v", "secret": {"secretName": "s"}}]"#), ("/spec/containers/0/volumeMounts", r#"[{"name": "v", "mountPath": "/my_custom_dir/.docker"}]"#)], Corrected(&[Volume("build", "/my_custom_dir"), Volume("build", "/my_custom_dir/.docker")])),
    ("gitlab-runner 3970: HOME in the checkout", "rootless", &[("/spec/containers/0/env", r#"[{"name": "CI_PROJECT_DIR", "value": "/builds/a/b"}, {"name": "HOME", "value": "/builds/a/b"}]"#)], Corrected(&[Env("build", "HOME", Some("/builds/a/b")), Env("helper", "GIT_CONFIG_GLOBAL", Some("/podseal-git/config"))])),
    ("gitlab-runner 38451: a user of the job's", "own-user", &[("/spec/containers/0/securityContext", r#"{"runAsUser": 1001}"#)], Corrected(&[User("build", 1001), User("helper", 1001)])),
    ("gitlab-runner 27107, 28735: builds on a claim", "rootless", &[("/spec/volumes/0", r#"{"name": "repo", "persistentVolumeClaim": {"claimName": "c"}}"#)], Cautioned("volume-owner")),
    ("the same, with an fsGroup of the profile", "own-user", &[("/spec/volumes/0", r#"{"name": "repo", "persistentVolumeClaim": {"claimName": "c"}}"#)], Corrected(&[User("build", 1000)])),
    ("soperator 1510, ceph-csi 5440: NFS in a user namespace", "userns", &[("/spec/volumes/0", r#"{"name": "repo", "nfs": {"server": "s", "path": "/"}}"#)], Cautioned("volume-in-user-namespace")),
    ("buildah 4538, podman 15785: seccomp of the runtime", "userns", &[("/spec/securityContext", r#"{"seccompProfile": {"type": "RuntimeDefault"}}"#)], Cautioned("seccomp-default")),
    ("consul-k8s 347, rundeck 149: runAsNonRoot and a helper that is root", "root-fuse", &[("/spec/securityContext", r#"{"runAsNonRoot": true}"#)], Corrected(&[Security("helper", "runAsNonRoot", "false"), Security("init-permissions", "runAsNonRoot", "false")])),
    ("actions-runner-controller 4234, shadow 304: another group", "rootless", &[("/spec/securityContext", r#"{"runAsGroup": 123}"#)], Cautioned("group-of-user")),
    ("buildah 6455, 2099: gVisor", "rootless", &[("/spec/runtimeClassName", r#""gvisor""#)], Cautioned("runtime-class")),
    ("buildah 4920: AppArmor Unconfined", "rootless", &[("/spec/containers/0/securityContext", r#"{"appArmorProfile": {"type": "Unconfined"}}"#)], Denied("remove it from the runner's config.toml, or use a Localhost profile")),
    ("bootc-image-builder 884: the node's Docker", "privileged", &[("/spec/volumes/0", r#"{"name": "repo", "hostPath": {"path": "/var/run/docker.sock"}}"#)], Denied("remove that volume from the runner's config.toml")),
    ("cri-o 9606: a device of the job's own", "openshift", &[("/metadata/annotations/io.kubernetes.cri-o.Devices", r#""/dev/net/tun""#)], Corrected(&[Annotation("io.kubernetes.cri-o.Devices", "/dev/net/tun,/dev/fuse")])),
    ("gitlab 368580, operator 246: another SCC was first", "openshift", &[("/metadata/annotations/openshift.io~1scc", r#""restricted-v2""#)], Denied("add \"openshift.io/required-scc\" = \"podseal-rootless\" to [runners.kubernetes.pod_annotations]")),
    ("gitlab-runner 2986: a privileged init container", "privileged", &[("/spec/initContainers", r#"[{"name": "init-binfmt", "securityContext": {"privileged": true}}]"#)], Denied("remove that init container, which pod_spec")),
    ("istio 53150: a mesh", "rootless", &[("/spec/initContainers", r#"[{"name": "istio-init", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]"#)], Denied("leave out Istio's sidecar")),
    ("the same, granted", "rootless-istio", &[("/spec/initContainers", r#"[{"name": "istio-init", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]"#)], Corrected(&[User("build", 1000)])),
    ("gitlab-runner 27494, 27368: a privileged service", "dind-service", &[("/spec/containers/2/image", r#""postgres:17""#), ("/spec/containers/2/securityContext", r#"{"privileged": true}"#)], Denied("change the job's services")),
    ("the same, which the profile names", "dind-service", &[("/spec/containers/2/image", r#""docker:28-dind""#), ("/spec/containers/2/securityContext", r#"{"privileged": true}"#)], Corrected(&[Security("svc-0", "privileged", "true")])),
];

/// A profile of a reader's own: docs/own-profiles.md.
const OWN: &str = "
name: own-user
extends: rootless
summary: the user that the job has, on volumes that it can write to
keepUser: true
pod: {set: {securityContext: {fsGroup: 1000}}}
";

fn profiles() -> Vec<ProfileFile> {
    let example = |name: &str| {
        let path = format!(
            "{}/examples/profiles/{name}.yaml",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(path).expect("an example");
        let name = format!("{name}.yaml");
        ProfileFile { name, text }
    };
    let own = ProfileFile {
        name: "own-user.yaml".to_owned(),
        text: OWN.to_owned(),
    };
    vec![own, example("istio"), example("dind-service")]
}

#[test]
fn each_public_report_has_the_right_answer() {
    let (profiles, _) = files::read(&profiles()).expect("profiles");
    let settings = Settings {
        profiles: &profiles,
        ..Settings::built_in()
    };
    for (report, profile, edits, answer) in REPORTS {
        let mut pod = fixture("default-with-service");
        for (path, value) in *edits {
            let value = serde_json::from_str(value).expect("JSON");
            security_pods::set(&mut pod, &((*path).to_owned(), value));
        }
        let namespace = Namespace::new(
            "gitlab-ci",
            [(PROFILE.to_owned(), (*profile).to_owned())],
            [],
        );
        let review = |pod: &Value| review_of(pod).to_string();
        let body = review(&pod);
        let request = Request::from_review(body.as_bytes()).expect("a review");
        let decision = mutate(request, &namespace, &settings);
        let cautions = decision.cautions.iter().map(|found| found.id.name());
        let cautions: Vec<_> = cautions.collect();
        let (after, mut denial) = match &decision.outcome {
            Outcome::Deny(denial) => (pod, Some(denial.message.clone())),
            Outcome::Mutate(patch) => (patched(&pod, patch), None),
            Outcome::Allow(_) => panic!("{report}: it is left as it is"),
        };
        if denial.is_none() {
            let body = review(&after);
            let request = Request::from_review(body.as_bytes()).expect("a review");
            if let Outcome::Deny(judged) = validate(request, &namespace, &settings).outcome {
                denial = Some(judged.message);
            }
        }
        match (answer, denial) {
            (Denied(reason), Some(denial)) => {
                assert!(denial.contains(reason), "{report}: {denial}")
            }
            (Cautioned(id), None) => assert!(cautions.contains(id), "{report}: {cautions:?}"),
            (Corrected(all), None) => {
                assert_eq!(cautions, [""; 0], "{report}");
                all.iter().for_each(|has| check(report, has, &after));
            }
            (_, denial) => panic!("{report}: {denial:?}"),
        }
    }
}

fn check(report: &str, has: &Has, after: &Value) {
    let pod = View(after.clone());
    match has {
        Env(container, name, value) => {
            assert_eq!(pod.env(container, name).as_deref(), *value, "{report}");
        }
        Volume(container, path) => {
            let container = view::container(after, container);
            assert!(view::volume_at(container, path).is_some(), "{report}");
        }
        User(container, user) => assert_eq!(pod.uid(container), Some(*user), "{report}"),
        Security(container, field, value) => {
            assert_eq!(
                pod.security(container, field).to_string(),
                *value,
                "{report}"
            );
        }
        Annotation(key, value) => {
            assert_eq!(after["metadata"]["annotations"][*key], *value, "{report}");
        }
    }
}
