//! Makes a command of a pod's container.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::api::{Api, Trouble, name};
use super::sandbox::{self, security};
use super::volumes::Volumes;

/// The command of a pod's container.
pub(super) fn command(
    api: &Api,
    pod: &Value,
    volumes: &Volumes,
    folder: &Path,
) -> Result<Command, Trouble> {
    let spec = &pod["spec"];
    let containers = spec["containers"].as_array().expect("containers");
    let [container] = containers.as_slice() else {
        return Err(Trouble::Wrong(format!(
            "pod {}: more than one container",
            name(pod)
        )));
    };
    let hosts: Vec<_> = api.list("/api/v1", "services")?.iter().map(|service| {
        let (name, namespace) = (name(service), &api.namespace);
        format!("{name} {name}.{namespace} {name}.{namespace}.svc {name}.{namespace}.svc.cluster.local")
    }).collect();
    let mut env = vec![
        ("PATH".to_owned(), "/".to_owned()),
        ("HOSTNAME".to_owned(), name(pod).to_owned()),
        ("KUBERNETES_SERVICE_HOST".to_owned(), "127.0.0.1".to_owned()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), api.port.to_string()),
    ];
    for variable in container["env"].as_array().into_iter().flatten() {
        let named = variable["name"].as_str().expect("a name");
        let value = match &variable["valueFrom"]["fieldRef"]["fieldPath"] {
            Value::Null if variable["valueFrom"].is_null() => variable["value"].as_str(),
            path if *path == "metadata.name" => Some(name(pod)),
            path if *path == "metadata.namespace" => Some(api.namespace.as_str()),
            _ => {
                return Err(Trouble::Wrong(format!(
                    "no such variable for this node: {variable}"
                )));
            }
        };
        env.push((named.to_owned(), value.unwrap_or_default().to_owned()));
    }
    let kubeconfig = kubeconfig(api, folder);
    Ok(sandbox::Container {
        folder,
        mounts: &volumes.mounts,
        hosts: &hosts,
        env: &env,
        args: &expanded(arguments(container), &env),
        user: security(spec, container, "runAsUser").as_u64(),
        group: security(spec, container, "runAsGroup").as_u64(),
        is_read_only: container["securityContext"]["readOnlyRootFilesystem"] == true,
        kubeconfig: &kubeconfig,
    }
    .command())
}

/// The container's arguments, after the entrypoint. Replicas share this host's
/// addresses, so each takes free ports.
fn arguments(container: &Value) -> Vec<String> {
    let texts = |field: &str| -> Vec<String> {
        let all = container[field].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    // The first element of a command replaces the entrypoint.
    let given = texts("command").into_iter().skip(1).chain(texts("args"));
    let (mut kept, mut skip) = (Vec::new(), false);
    for arg in given {
        let flags = ["--listen", "--status-listen"];
        let is_apart = flags.contains(&arg.as_str());
        let is_whole = flags
            .iter()
            .any(|flag| arg.starts_with(&format!("{flag}=")));
        if !skip && !is_apart && !is_whole {
            kept.push(arg);
        }
        skip = is_apart;
    }
    if kept.first().is_some_and(|arg| arg == "serve") {
        kept.extend(["--listen=127.0.0.1:0", "--status-listen=127.0.0.1:0"].map(str::to_owned));
    }
    kept
}

/// The arguments with the container's variables, as a kubelet puts them there.
fn expanded(args: Vec<String>, env: &[(String, String)]) -> Vec<String> {
    let expand = |arg: String| {
        env.iter().fold(arg, |arg, (name, value)| {
            arg.replace(&format!("$({name})"), value)
        })
    };
    args.into_iter().map(expand).collect()
}

/// A kubeconfig of the pod's service account.
fn kubeconfig(api: &Api, folder: &Path) -> PathBuf {
    let account = folder.join("service-account");
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "pod",
        "clusters": [{"name": "pod", "cluster": {
            "server": format!("https://127.0.0.1:{}", api.port),
            "certificate-authority": account.join("ca.crt"),
        }}],
        "contexts": [{"name": "pod", "context": {
            "cluster": "pod", "user": "pod", "namespace": api.namespace,
        }}],
        "users": [{"name": "pod", "user": {"tokenFile": account.join("token")}}],
    });
    let path = folder.join("kubeconfig");
    std::fs::write(&path, text.to_string()).expect("the folder can be written");
    path
}
