//! Job pods, generated: what a runner, a job's author, another webhook or an
//! administrator may have put into one.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::job_log::RETRIED;
use crate::pod_containers::{
    always, boolean, confinement, container, ids, just, maybe, object, one_of, rarely, se_linux,
};

/// Job pods that the API server accepts before any correction. Some cannot
/// run, such as one with `runAsNonRoot` and uid 0.
pub fn job_pod() -> impl Strategy<Value = Value> {
    any_pod().prop_map(settled)
}

/// Job pods as [`job_pod`] makes them, and worse: fields that contradict each
/// other, `null` where an object or list is expected, duplicate names, and at every
/// level an unknown field.
pub fn odd_job_pod() -> impl Strategy<Value = Value> {
    let nulls = subsequence(&NULLABLE[..], 0..4);
    let twice = option::weighted(0.2, select(&REPEATABLE[..]));
    (
        any_pod(),
        nulls,
        twice,
        any::<bool>(),
        option::weighted(0.2, one_of(phrases())),
    )
        .prop_map(|(mut pod, nulls, twice, unknown, name)| {
            if let Some((list, item)) = twice {
                append(&mut pod["spec"][list], item_named(item));
            }
            if let Some(name) = name {
                let context = json!({"allowPrivilegeEscalation": false, "privileged": true});
                let service = json!({"name": name, "securityContext": context});
                append(&mut pod["spec"]["containers"], service);
            }
            for path in nulls {
                let (parent, key) = path.rsplit_once('/').expect("a pointer has a slash");
                if let Some(Value::Object(parent)) = pod.pointer_mut(parent) {
                    parent.insert(key.to_owned(), Value::Null);
                }
            }
            if unknown {
                sprinkle(&mut pod);
            }
            pod
        })
}

/// Phrases on which GitLab Runner retries, inside strings that a job's author
/// controls.
pub fn phrases() -> Value {
    json!(RETRIED.map(|phrase| format!("/x{phrase}x")))
}

const APPARMOR_OF_HELPER: &str = "container.apparmor.security.beta.kubernetes.io/helper";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP_OF_BUILD: &str = "container.seccomp.security.alpha.kubernetes.io/build";
const SECCOMP_OF_INIT: &str = "container.seccomp.security.alpha.kubernetes.io/init-permissions";

const NULLABLE: [&str; 17] = [
    "/metadata/annotations",
    "/spec/volumes",
    "/spec/initContainers",
    "/spec/securityContext",
    "/spec/hostUsers",
    "/spec/containers/0/env",
    "/spec/containers/0/env/0/value",
    "/spec/containers/0/volumeMounts",
    "/spec/containers/0/securityContext",
    "/spec/containers/0/securityContext/capabilities",
    "/spec/containers/0/securityContext/capabilities/drop",
    "/spec/containers/0/securityContext/seLinuxOptions",
    "/spec/containers/0/securityContext/privileged",
    "/spec/containers/0/resources",
    "/spec/containers/0/resources/limits",
    "/spec/containers/1/env",
    "/spec/containers/1/volumeMounts",
];

const REPEATABLE: [(&str, &str); 4] = [
    ("initContainers", "build"),
    ("containers", "build"),
    ("containers", "helper"),
    ("volumes", "repo"),
];

fn item_named(name: &str) -> Value {
    json!({"name": name})
}

fn append(list: &mut Value, item: Value) {
    match list {
        Value::Array(list) => list.push(item),
        list => *list = json!([item]),
    }
}

/// Puts an unknown field into every object, but not into maps whose keys are data.
fn sprinkle(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sprinkle),
        Value::Object(fields) => {
            let data = [
                "labels",
                "annotations",
                "nodeSelector",
                "limits",
                "requests",
            ];
            for (key, value) in fields.iter_mut() {
                if !data.contains(&key.as_str()) {
                    sprinkle(value);
                }
            }
            fields.insert(
                "xUnknown".to_owned(),
                json!({"kept": [1, null, {"a~/b": "é"}]}),
            );
        }
        _ => {}
    }
}

/// Takes out of the pod what the API server would refuse it for.
fn settled(mut pod: Value) -> Value {
    let own_ids = pod["spec"]["hostUsers"] == false;
    let spec = pod["spec"].as_object_mut().expect("a spec is generated");
    if own_ids {
        spec.remove("hostNetwork");
    }
    // A field of the container or the pod may differ from such an annotation.
    let mut with_field = Vec::new();
    let context = spec.get("securityContext");
    if context.is_some_and(|context| !context["seccompProfile"].is_null()) {
        with_field.push(SECCOMP_OF_POD.to_owned());
    }
    let mut confined_helper = false;
    let lists = spec
        .iter_mut()
        .filter(|(key, _)| key.ends_with("ontainers"));
    for container in lists.filter_map(|(_, list)| list.as_array_mut()).flatten() {
        confined_helper |= container["name"] == "helper"
            && container["securityContext"]["appArmorProfile"].is_null();
        if let (Some(name), false) = (
            container["name"].as_str(),
            container["securityContext"]["seccompProfile"].is_null(),
        ) {
            with_field.push(format!("{SECCOMP_OF}{name}"));
        }
        let Some(context) = container.get_mut("securityContext") else {
            continue;
        };
        let added = context["capabilities"]["add"].as_array();
        let sys_admin = added.is_some_and(|add| add.contains(&json!("CAP_SYS_ADMIN")));
        if context["privileged"] == true || sys_admin {
            remove(context, "allowPrivilegeEscalation");
        }
        if !own_ids {
            remove(context, "procMount");
        }
    }
    if let Some(annotations) = pod.pointer_mut("/metadata/annotations") {
        with_field.iter().for_each(|key| remove(annotations, key));
    }
    if let (false, Some(annotations)) = (confined_helper, pod.pointer_mut("/metadata/annotations"))
    {
        // Rejected without such a container, and with a field that differs.
        remove(annotations, APPARMOR_OF_HELPER);
    }
    pod
}

fn remove(object: &mut Value, key: &str) {
    if let Value::Object(fields) = object {
        fields.remove(key);
    }
}

fn any_pod() -> BoxedStrategy<Value> {
    object(vec![
        ("apiVersion", just(json!("v1"))),
        ("kind", just(json!("Pod"))),
        ("metadata", always(metadata())),
        ("spec", always(spec())),
    ])
}

fn metadata() -> BoxedStrategy<Value> {
    let labels = json!({
        "job.runner.gitlab.com/pod": "runner-ab3defghi-project-61234567-concurrent-0",
        "manager.runner.gitlab.com/id-short": "Ab3dEfGhI",
        "pod": "runner-ab3defghi-project-61234567-concurrent-0",
        "project.runner.gitlab.com/id": "61234567",
        "project.runner.gitlab.com/name": "",
        "project.runner.gitlab.com/namespace": "platform_images",
    });
    let annotations = object(vec![
        (
            "job.runner.gitlab.com/id",
            maybe(one_of(json!(["9876543210", "", "1\nforged=2"]))),
        ),
        (
            "io.kubernetes.cri-o.Devices",
            rarely(one_of(json!(["/dev/fuse", "/dev/kvm"]))),
        ),
        (
            "openshift.io/required-scc",
            rarely(one_of(json!(["podseal-rootless", "restricted-v2"]))),
        ),
        (
            APPARMOR_OF_HELPER,
            rarely(one_of(json!([
                "unconfined",
                "runtime/default",
                "localhost/podman"
            ]))),
        ),
        (SECCOMP_OF_POD, rarely(older_seccomp())),
        (SECCOMP_OF_BUILD, rarely(older_seccomp())),
        (SECCOMP_OF_INIT, rarely(older_seccomp())),
    ]);
    object(vec![
        (
            "name",
            just(json!(
                "runner-ab3defghi-project-61234567-concurrent-0-abcd2345"
            )),
        ),
        ("namespace", just(json!("gitlab-ci"))),
        ("labels", just(labels)),
        ("annotations", maybe(annotations)),
        ("generateName", rarely(one_of(json!(["runner-"])))),
    ])
}

/// A seccomp profile, as the annotations from before the field have it.
fn older_seccomp() -> impl Strategy<Value = Value> {
    one_of(json!([
        "unconfined",
        "runtime/default",
        "docker/default",
        "localhost/podman"
    ]))
}

fn spec() -> BoxedStrategy<Value> {
    let regular = (
        container("build"),
        option::weighted(0.85, container("helper")),
        containers(&[
            "svc-0",
            "postgres",
            "init-x",
            "helper2",
            "init-permissions-2",
        ]),
    )
        .prop_map(|(build, helper, services)| {
            [build]
                .into_iter()
                .chain(helper)
                .chain(services)
                .collect::<Value>()
        });
    let init = containers(&[
        "init-permissions",
        "init-build-uid-gid-collector",
        "init-steps-bootstrap",
        "istio-init",
    ])
    .prop_map(Value::from);
    let own = option::weighted(
        0.2,
        Just(json!({"name": "podseal-home", "emptyDir": {"medium": "Memory"}})),
    );
    let volumes = own.prop_map(|own| {
        let named = ["repo", "scripts", "logs", "cache"];
        let volumes = named.map(|name| json!({"name": name, "emptyDir": {}}));
        volumes.into_iter().chain(own).collect::<Value>()
    });
    object(vec![
        ("containers", always(regular)),
        ("initContainers", maybe(init)),
        ("volumes", always(volumes)),
        ("securityContext", maybe(pod_security_context())),
        ("hostUsers", rarely(boolean())),
        ("hostNetwork", rarely(boolean())),
        ("restartPolicy", just(json!("Never"))),
        (
            "nodeSelector",
            maybe(Just(json!({"kubernetes.io/os": "linux"}))),
        ),
        (
            "tolerations",
            rarely(Just(
                json!([{"key": "a.test/builds", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}]),
            )),
        ),
        ("terminationGracePeriodSeconds", maybe(Just(json!(0)))),
        (
            "hostAliases",
            maybe(Just(json!([{"ip": "127.0.0.1", "hostnames": ["docker"]}]))),
        ),
    ])
}

fn containers(names: &'static [&'static str]) -> impl Strategy<Value = Vec<Value>> {
    subsequence(names, 0..=2).prop_flat_map(|names| {
        let containers: Vec<_> = names.into_iter().map(container).collect();
        containers
    })
}

fn pod_security_context() -> BoxedStrategy<Value> {
    object(vec![
        ("runAsUser", maybe(ids())),
        ("runAsGroup", rarely(ids())),
        ("runAsNonRoot", rarely(boolean())),
        ("fsGroup", maybe(Just(json!(1000)))),
        ("supplementalGroups", maybe(Just(json!([1, 2])))),
        ("seLinuxOptions", rarely(se_linux())),
        ("seccompProfile", rarely(confinement())),
    ])
}
