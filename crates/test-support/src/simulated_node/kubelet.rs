//! The scheduler and the kubelet: what makes processes of pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::{Value, json};

use super::Slow;
use super::api::{Api, Trouble, is_leaving, name, says};
use super::podseal_0_2::Front;
use super::running::{Log, Running};

/// Where pods run: on the first, unless its ports are taken.
const NODES: [&str; 2] = ["node", "other-node"];

/// Nodes with those of their ports that a pod has, until its process has ended.
type Taken = BTreeSet<(String, u64)>;

/// A replica that serves and is ready.
#[derive(Debug, Clone)]
pub struct Replica {
    /// Its pod.
    pub pod: String,
    /// Its process.
    pub pid: u32,
    /// Where it answers reviews.
    pub address: SocketAddr,
    /// The address for probes and metrics.
    pub status_address: SocketAddr,
    /// The token by which the API server knows it.
    pub token_file: PathBuf,
}

pub(super) struct Kubelet {
    api: Api,
    http: reqwest::Client,
    /// By the uid of their pods.
    running: BTreeMap<String, Running>,
    slow: Slow,
    /// What replicas of 0.2.0 answered with 404.
    not_found: Arc<AtomicUsize>,
}

impl Kubelet {
    pub(super) fn new(api: Api, slow: Slow, not_found: Arc<AtomicUsize>) -> Kubelet {
        Kubelet {
            api,
            slow,
            not_found,
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            running: BTreeMap::new(),
        }
    }

    /// Takes every pod a step towards its spec. Deleted pods end.
    pub(super) fn turn(&mut self, pods: &[Value]) -> Result<(), Trouble> {
        self.running.retain(|uid, _| {
            pods.iter()
                .any(|pod| pod["metadata"]["uid"] == uid.as_str())
        });
        let ours = pods.iter().filter(|pod| is_ours(pod));
        // All of them, even if one fails.
        let bound = pods.iter().filter_map(|pod| {
            let node = pod["spec"]["nodeName"].as_str()?;
            Some(host_ports(pod).map(|port| (node.to_owned(), port)))
        });
        let mut taken: Taken = bound.flatten().collect();
        let results: Vec<_> = ours.map(|pod| self.step(pod, &mut taken)).collect();
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
        Some(match port["name"] == "status" {
            true => status_address,
            false => running
                .front
                .as_ref()
                .map_or(address, |front| front.address),
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
                token_file: running.folder.path().join("service-account/token"),
            })
        };
        ready.filter_map(replica).collect()
    }

    pub(super) fn logs(&self) -> Vec<(String, Log)> {
        let log = |running: &Running| (running.pod.clone(), Arc::clone(&running.log));
        self.running.values().map(log).collect()
    }

    fn step(&mut self, pod: &Value, taken: &mut Taken) -> Result<(), Trouble> {
        if pod["spec"]["nodeName"].is_null() {
            return self.bind(pod, taken);
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
                let probe = &pod["spec"]["containers"][0]["readinessProbe"];
                let passes = |address| is_success(&self.http, address, &probe["httpGet"]);
                running.is_ready = running.probe(probe, passes);
                if running.is_ready && running.front.is_none() && is_0_2_0(pod) {
                    running.front = front(&self.api, pod, running, &self.not_found)?;
                    running.is_ready = running.front.is_some();
                }
                let slow = *self.slow.lock().expect("no holder panics");
                running.is_ready &= slow.is_none_or(|(since, time)| {
                    running.started < since || running.started.elapsed() >= time
                });
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

    /// What a scheduler does. A pod waits until a node has its ports.
    fn bind(&self, pod: &Value, taken: &mut Taken) -> Result<(), Trouble> {
        let ports_on = |node: &str| -> Taken {
            let ports = host_ports(pod).map(|port| (node.to_owned(), port));
            ports.collect()
        };
        let mut nodes = NODES.into_iter();
        let free = nodes.find(|node| ports_on(node).is_disjoint(taken));
        let Some(node) = free.filter(|_| !is_leaving(pod)) else {
            return Ok(());
        };
        taken.extend(ports_on(node));
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let path = format!("pods/{}/binding", name(pod));
        self.api.post("/api/v1", &path, &binding)?;
        Ok(())
    }
}

/// The ports of its node that a pod takes.
fn host_ports(pod: &Value) -> impl Iterator<Item = u64> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let ports = containers.filter_map(|container| container["ports"].as_array());
    let ports = ports.flatten();
    ports.filter_map(|port| port["hostPort"].as_u64())
}

/// Whether a pod is one of podseal 0.2.0.
fn is_0_2_0(pod: &Value) -> bool {
    let image = pod["spec"]["containers"][0]["image"].as_str();
    image.is_some_and(|image| image.ends_with("podseal:0.2.0"))
}

/// The stand-in in front of a replica of 0.2.0, once there is a certificate to
/// serve.
fn front(
    api: &Api,
    pod: &Value,
    running: &Running,
    not_found: &Arc<AtomicUsize>,
) -> Result<Option<Front>, Trouble> {
    let args = pod["spec"]["containers"][0]["args"].as_array();
    let mut args = args.into_iter().flatten().filter_map(Value::as_str);
    let secret = args.find_map(|arg| arg.strip_prefix("--tls-secret="));
    let (Some(secret), Some((address, _))) = (secret, running.addresses()) else {
        return Ok(None);
    };
    let secret = api.get("/api/v1", &format!("secrets/{secret}"))?;
    Ok(secret.and_then(|secret| Front::start(address, &secret, not_found)))
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

fn is_success(http: &reqwest::Client, address: SocketAddr, probe: &Value) -> bool {
    let path = probe["path"].as_str().unwrap_or("/");
    let request = http.get(format!("http://{address}{path}"));
    // The timeout starts when the request is sent, and needs the runtime.
    let answer = async { request.timeout(Duration::from_secs(1)).send().await };
    crate::block_on(answer).is_ok_and(|answer| answer.status().is_success())
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
