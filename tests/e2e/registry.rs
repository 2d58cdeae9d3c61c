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
