//! A registry with a login: what a job builds is pushed there, and runs on the node.

use serde_json::json;
use support::node::ADDRESS;

use crate::job::Job;
use crate::site::Site;

const SCRIPT: &str = r#"
mkdir -p "$HOME/certs"
printf '%s\n' "$REGISTRY_CA" >"$HOME/certs/ca.crt"
cp /bin/busybox .
podman build --tag IMAGE .
podman push --cert-dir "$HOME/certs" IMAGE && exit 1
printf %s "$REGISTRY_PASSWORD" | podman login --cert-dir "$HOME/certs" --username ci --password-stdin REGISTRY:5000
podman push --cert-dir "$HOME/certs" IMAGE
podman pull --cert-dir "$HOME/certs" IMAGE
echo "pushed with the login in ${REGISTRY_AUTH_FILE:-the default file}"
"#;

#[test]
fn an_image_that_a_job_pushes_with_a_login_runs_on_the_node() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let ca = std::fs::read_to_string(site.node.work("ca.crt")).expect("the node's authority");
    let registry = format!("{ADDRESS}:5000");
    let image = format!("{registry}/team/tried:1");
    let script = SCRIPT
        .replace("IMAGE", &image)
        .replace("REGISTRY:5000", &registry);
    let ended = Job::new("podman-stable:trixie")
        .variable("REGISTRY_CA", &ca)
        .variable("REGISTRY_PASSWORD", "registry-password")
        .script(&script)
        .run(&namespace);
    ended.passes_with("pushed with the login in the default file");
    assert!(
        ended.log.contains("authentication required") || ended.log.contains("unauthorized"),
        "a push without the login is refused: {ended}"
    );

    namespace.kubectl(&[
        "create",
        "secret",
        "docker-registry",
        "registry",
        &format!("--docker-server={registry}"),
        "--docker-username=ci",
        "--docker-password=registry-password",
    ]);
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pulled", "namespace": namespace.name},
        "spec": {
            "restartPolicy": "Never",
            "imagePullSecrets": [{"name": "registry"}],
            "containers": [{"name": "pulled", "image": image}],
        },
    });
    site.node.apply(&pod.to_string());
    namespace.kubectl(&[
        "wait",
        "--for=jsonpath={.status.phase}=Succeeded",
        "--timeout=60s",
        "pod/pulled",
    ]);
    let log = namespace.kubectl(&["logs", "pulled"]);
    assert_eq!(log.trim(), "built by a job");
}

/// The last lines of a script that pushes without a login of its own.
const PUSHES: &str = r#"
mkdir -p "$HOME/certs"
printf '%s\n' "$REGISTRY_CA" >"$HOME/certs/ca.crt"
cp /bin/busybox .
podman build --tag IMAGE .
podman push --cert-dir "$HOME/certs" IMAGE
echo pushed
"#;

/// A job that pushes to the node's registry.
fn pushing(site: &Site, name: &str, before: &str) -> Job {
    let ca = std::fs::read_to_string(site.node.work("ca.crt")).expect("the node's authority");
    let script = PUSHES.replace("IMAGE", &format!("{ADDRESS}:5000/team/{name}:1"));
    Job::new("podman-stable:trixie")
        .variable("REGISTRY_CA", &ca)
        .script(&format!("{before}{script}"))
}

/// docs/registries.md, "A secret that the runner mounts".
#[test]
fn a_login_in_a_secret_is_found_in_home_and_by_a_variable_outside_it() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    namespace.kubectl(&[
        "create",
        "secret",
        "docker-registry",
        "registry-login",
        &format!("--docker-server={ADDRESS}:5000"),
        "--docker-username=ci",
        "--docker-password=registry-password",
    ]);
    let mounted = |path: &str, job: Job| {
        let volume = json!({"name": "login", "secret": {"secretName": "registry-login",
            "items": [{"key": ".dockerconfigjson", "path": "config.json"}]}});
        let mount = json!({"name": "login", "mountPath": path});
        let job = job.edit(|pod| {
            let volumes = pod["spec"]["volumes"].as_array_mut();
            volumes.expect("volumes").push(volume);
        });
        job.edit_container("build", |build| {
            let mounts = build["volumeMounts"].as_array_mut();
            mounts.expect("mounts").push(mount);
        })
    };
    let job = mounted("/my_custom_dir/.docker", pushing(&site, "in-home", ""));
    job.run(&namespace).passes_with("pushed");
    let job = pushing(&site, "by-variable", "");
    let job = job.variable("REGISTRY_AUTH_FILE", "/home/podman/.docker/config.json");
    let job = mounted("/home/podman/.docker", job);
    job.run(&namespace).passes_with("pushed");
}

/// docs/registries.md, "A variable of type File": its value is the path that GitLab has
/// written the file to.
#[test]
fn a_login_in_a_variable_of_type_file_is_found() {
    use base64::Engine;
    let site = Site::shared();
    let auth = base64::engine::general_purpose::STANDARD.encode("ci:registry-password");
    let file = json!({"auths": {format!("{ADDRESS}:5000"): {"auth": auth}}});
    let before = format!("printf %s '{file}' >\"$REGISTRY_AUTH_FILE\"\n");
    let job = pushing(&site, "by-file", &before);
    let job = job.variable("REGISTRY_AUTH_FILE", "/builds/registry-auth");
    job.run(&site.namespace("rootless")).passes_with("pushed");
}
