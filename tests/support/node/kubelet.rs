//! The scheduler and the kubelet: what makes processes of pods.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{Api, Trouble, is_leaving, name, says};
use super::sandbox::{self, security};
use super::volumes::Volumes;
use crate::support::tether::Tethered;

/// How soon a container that has ended is started again, and how often that
/// is nobody's fault.
const BACK_OFF: Duration = Duration::from_secs(1);
const RESTARTS: u64 = 2;

/// What a process wrote, line by line.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// A replica that serves and is ready.
#[derive(Debug, Clone)]
pub struct Replica {
    /// Its pod.
    pub pod: String,
    /// Its process.
    pub pid: u32,
    /// Where it answers reviews.
    pub address: SocketAddr,
    /// Where it answers probes, and tells its metrics.
    pub status_address: SocketAddr,
}

pub(super) struct Kubelet {
    api: Api,
    http: reqwest::Client,
    /// By the uid of their pods.
    running: BTreeMap<String, Running>,
}

/// The one container of a pod.
struct Running {
    pod: String,
    volumes: Volumes,
    process: Tethered,
    log: Log,
    /// How long the log was when the process started.
    before: usize,
    started: Instant,
    restarts: u64,
    told_to_stop: Option<Instant>,
    is_ready: bool,
    // Last, since the process uses it.
    folder: tempfile::TempDir,
}

impl Kubelet {
    pub(super) fn new(api: Api) -> Kubelet {
        Kubelet {
            api,
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            running: BTreeMap::new(),
        }
    }

    /// Takes every pod a step towards what it says. Those that are gone end.
    pub(super) fn turn(&mut self, pods: &[Value]) -> Result<(), Trouble> {
        self.running.retain(|uid, _| {
            pods.iter()
                .any(|pod| pod["metadata"]["uid"] == uid.as_str())
        });
        let ours = pods.iter().filter(|pod| is_ours(pod));
        // All of them, whatever happens to one.
        let results: Vec<_> = ours.map(|pod| self.step(pod)).collect();
        results.into_iter().collect()
    }

    /// Where a pod serves what a Service calls `target`, a name or a number.
    pub(super) fn address(&self, pod: &Value, target: &Value) -> Option<SocketAddr> {
        let running = self.running.get(uid(pod))?;
        let (address, status_address) = running.addresses()?;
        let ports = pod["spec"]["containers"][0]["ports"].as_array()?;
        let port = ports
            .iter()
            .find(|port| port["name"] == *target || port["containerPort"] == *target)?;
        Some(match port["containerPort"] == 8080 {
            true => status_address,
            false => address,
        })
    }

    pub(super) fn replicas(&self) -> Vec<Replica> {
        let ready = self.running.values().filter(|running| running.is_ready);
        let replica = |running: &Running| {
            let (address, status_address) = running.addresses()?;
            Some(Replica {
                pod: running.pod.clone(),
                pid: running.process.pid,
                address,
                status_address,
            })
        };
        ready.filter_map(replica).collect()
    }

    pub(super) fn logs(&self) -> Vec<(String, Log)> {
        let log = |running: &Running| (running.pod.clone(), Arc::clone(&running.log));
        self.running.values().map(log).collect()
    }

    fn step(&mut self, pod: &Value) -> Result<(), Trouble> {
        if pod["spec"]["nodeName"].is_null() {
            return self.bind(pod);
        }
        let is_leaving = is_leaving(pod);
        let Some(running) = self.running.get_mut(uid(pod)) else {
            if is_leaving {
                return self.api.delete_pod(pod, true);
            }
            let is_over = ["Succeeded", "Failed"]
                .iter()
                .any(|phase| pod["status"]["phase"] == **phase);
            if !is_over && let Some(running) = Running::start(&self.api, pod)? {
                self.running.insert(uid(pod).to_owned(), running);
            }
            return Ok(());
        };
        let ended = running.process.has_ended();
        if is_leaving {
            running.is_ready = false;
            return match ended {
                Some(_) => self.api.delete_pod(pod, true),
                None => {
                    running.stop(pod);
                    Ok(())
                }
            };
        }
        running.volumes.refresh(&self.api)?;
        let mut status = match ended {
            Some(code) if pod["spec"]["restartPolicy"] == "Never" => over(code),
            Some(code) => {
                running.is_ready = false;
                running.restart(&self.api, pod, code)?;
                status(false)
            }
            None => {
                let probe = &pod["spec"]["containers"][0]["readinessProbe"]["httpGet"];
                running.is_ready = match running.addresses() {
                    Some((_, address)) => is_success(&self.http, address, probe),
                    None => probe.is_null(),
                };
                status(running.is_ready)
            }
        };
        let container = &pod["spec"]["containers"][0];
        for (field, value) in [
            ("name", container["name"].clone()),
            ("image", container["image"].clone()),
            ("imageID", "podseal".into()),
            ("restartCount", running.restarts.into()),
        ] {
            status["containerStatuses"][0][field] = value;
        }
        if says(&pod["status"], &status) {
            return Ok(());
        }
        let object = format!("pods/{}/status", name(pod));
        self.api
            .patch("/api/v1", &object, &json!({"status": status}))
    }

    /// What a scheduler does, with one node.
    fn bind(&self, pod: &Value) -> Result<(), Trouble> {
        if is_leaving(pod) {
            return Ok(());
        }
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "node"},
        });
        let path = format!("pods/{}/binding", name(pod));
        self.api.post("/api/v1", &path, &binding)?;
        Ok(())
    }
}

impl Running {
    fn start(api: &Api, pod: &Value) -> Result<Option<Running>, Trouble> {
        let folder = tempfile::Builder::new().prefix("podseal-pod-").tempdir();
        let folder = folder.expect("a temporary folder");
        let Some(volumes) = Volumes::of(api, pod, folder.path())? else {
            return Ok(None);
        };
        let command = command(api, pod, &volumes, folder.path())?;
        let (process, stderr) = Tethered::piped(&command);
        let log = Log::default();
        follow(stderr, &log);
        Ok(Some(Running {
            pod: name(pod).to_owned(),
            volumes,
            process,
            log,
            before: 0,
            started: Instant::now(),
            restarts: 0,
            told_to_stop: None,
            is_ready: false,
            folder,
        }))
    }

    fn restart(&mut self, api: &Api, pod: &Value, code: Option<i32>) -> Result<(), Trouble> {
        if self.started.elapsed() < BACK_OFF {
            return Ok(());
        }
        let command = command(api, pod, &self.volumes, self.folder.path())?;
        let last = {
            let log = self.log.lock().expect("its reader does not panic");
            self.before = log.len();
            log.last().cloned().unwrap_or_default()
        };
        let (process, stderr) = Tethered::piped(&command);
        follow(stderr, &self.log);
        self.process = process;
        self.started = Instant::now();
        self.restarts += 1;
        match self.restarts > RESTARTS {
            true => Err(Trouble::Wrong(format!(
                "pod {}: ends again and again, with {code:?}: {last}",
                self.pod
            ))),
            false => Ok(()),
        }
    }

    fn stop(&mut self, pod: &Value) {
        let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64();
        let grace = Duration::from_secs(grace.unwrap_or(30));
        let signal = match self.told_to_stop {
            None => "-TERM",
            Some(since) if since.elapsed() > grace => "-KILL",
            Some(_) => return,
        };
        self.told_to_stop.get_or_insert_with(Instant::now);
        // It may end in this moment by itself, which is what is wanted.
        let mut kill = Command::new("kill");
        kill.arg(signal).arg(self.process.pid.to_string());
        let _ = kill.stderr(Stdio::null()).status();
    }

    /// Where the process serves, once it has told.
    fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let log = self.log.lock().expect("its reader does not panic");
        let events = log[self.before..]
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let serving = events
            .filter(|event| event["message"] == "serving")
            .next_back()?;
        let address = |field: &str| serving[field].as_str()?.parse().ok();
        Some((address("address")?, address("status_address")?))
    }
}

/// Pods that a Deployment owns, and those of `helm test`.
fn is_ours(pod: &Value) -> bool {
    let metadata = &pod["metadata"];
    let hook = metadata["annotations"]["helm.sh/hook"].as_str();
    metadata["ownerReferences"][0]["kind"] == "Deployment"
        || hook.is_some_and(|hook| hook.split(',').any(|kind| kind.trim() == "test"))
}

fn uid(pod: &Value) -> &str {
    pod["metadata"]["uid"].as_str().expect("it has a uid")
}

fn follow(stderr: ChildStderr, log: &Log) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            log.lock().expect("no holder panics").push(line);
        }
    });
}

/// The command of a pod's container.
fn command(
    api: &Api,
    pod: &Value,
    volumes: &Volumes,
    folder: &std::path::Path,
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
        args: &arguments(container),
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
    // The first word of a command takes the entrypoint's place.
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

/// A kubeconfig of the pod's service account.
fn kubeconfig(api: &Api, folder: &std::path::Path) -> std::path::PathBuf {
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

fn is_success(http: &reqwest::Client, address: SocketAddr, probe: &Value) -> bool {
    let path = probe["path"].as_str().unwrap_or("/");
    let request = http.get(format!("http://{address}{path}"));
    // The timeout begins, and wants the runtime, where the request is sent.
    let answer = async { request.timeout(Duration::from_secs(1)).send().await };
    crate::support::block_on(answer).is_ok_and(|answer| answer.status().is_success())
}

/// The status of a pod that runs.
fn status(is_ready: bool) -> Value {
    let word = if is_ready { "True" } else { "False" };
    json!({
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Initialized", "status": "True"},
            {"type": "ContainersReady", "status": word},
            {"type": "Ready", "status": word},
        ],
        "containerStatuses": [{"ready": is_ready, "started": true, "state": {"running": {}}}],
    })
}

/// The status of a pod that has run.
fn over(code: Option<i32>) -> Value {
    let code = code.unwrap_or(137);
    json!({
        "phase": if code == 0 { "Succeeded" } else { "Failed" },
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Initialized", "status": "True"},
            {"type": "ContainersReady", "status": "False"},
            {"type": "Ready", "status": "False"},
        ],
        "containerStatuses": [{
            "ready": false,
            "started": false,
            "state": {"terminated": {
                "exitCode": code,
                "reason": if code == 0 { "Completed" } else { "Error" },
            }},
        }],
    })
}
