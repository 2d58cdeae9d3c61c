//! The chart's NetworkPolicy, enforced: who may connect to podseal, and to whom podseal
//! may, by trying. kube-network-policies decides each connection between pods, and
//! those from pods to the node; what the node sends itself passes, as everywhere.

use std::time::Duration;

use serde_json::{Value, json};
use support::node::ADDRESS;
use support::text;

use crate::job::Job;
use crate::site::{Namespace, Site};

/// The API server's address as pods know it.
const API_SERVICE: &str = "10.96.0.1";

/// Where a connection comes from: the command that runs another one there.
struct Source<'s> {
    site: &'s Site,
    name: String,
    enter: Vec<String>,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Connects,
    /// No reply: the policy drops it.
    TimesOut,
}

use Outcome::{Connects, TimesOut};

impl<'s> Source<'s> {
    fn new(site: &'s Site, name: &str, enter: &[&str]) -> Source<'s> {
        Source {
            site,
            name: name.to_owned(),
            enter: enter.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    fn node(site: &'s Site) -> Source<'s> {
        Source::new(site, "the node", &["env"])
    }

    fn run(&self, command: &[&str]) -> std::process::Output {
        let enter: Vec<_> = self.enter.iter().map(String::as_str).collect();
        let args = [&enter[1..], command].concat();
        self.site.node.run(enter[0], &args, "")
    }

    fn connect(&self, address: &str, port: u16) -> Outcome {
        let connect = format!("</dev/tcp/{address}/{port}");
        let output = self.run(&["timeout", "2", "bash", "-c", &connect]);
        match output.status.code() {
            Some(0) => Connects,
            Some(124) => TimesOut,
            // A refusal would say nothing of the policy: something has to listen.
            code => panic!(
                "{} to {address}:{port}: {code:?} {}",
                self.name,
                text(&output.stderr)
            ),
        }
    }

    /// Waits until a connection ends so: a changed policy takes a moment.
    #[track_caller]
    fn expect(&self, address: &str, port: u16, expected: Outcome) {
        self.site.node.await_value(
            &format!("{} to {address}:{port}: {expected:?}", self.name),
            Duration::from_secs(20),
            || {
                // One that times out by a busy machine would say nothing.
                let outcome = self.connect(address, port);
                let is_certain = outcome == Connects || self.connect(address, port) == outcome;
                (outcome == expected && is_certain).then_some(())
            },
            || self.site.node.component_log("network-policies"),
        );
    }
}

/// A pod that serves ports 443 and 8000, and has a shell.
struct Client {
    namespace: String,
    name: String,
    address: String,
}

impl Client {
    fn new(namespace: &Namespace<'_>, name: &str, labels: &Value) -> Client {
        Client::in_namespace(namespace.site, &namespace.name, name, labels)
    }

    fn in_namespace(site: &Site, namespace: &str, name: &str, labels: &Value) -> Client {
        let serve = "busybox httpd -f -p 443 & exec busybox httpd -f -p 8000";
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "client",
                    "image": "node.test/helper:1",
                    "command": ["sh", "-c", serve],
                    "readinessProbe": {"tcpSocket": {"port": 443}, "periodSeconds": 1},
                }],
            },
        });
        site.node.apply(&pod.to_string());
        let pod = format!("pod/{name}");
        let condition = ["wait", "--for=condition=Ready", "--timeout=60s", &pod];
        site.node
            .kubectl(&[&condition[..], &["--namespace", namespace]].concat());
        let pod = site.node.get(&["--namespace", namespace, &pod]);
        Client {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            address: string(&pod["status"]["podIP"]),
        }
    }

    fn source<'s>(&self, site: &'s Site) -> Source<'s> {
        let name = format!("{}/{}", self.namespace, self.name);
        let exec = ["kubectl", "exec", "--namespace", &self.namespace];
        Source::new(site, &name, &[&exec[..], &[&self.name, "--"]].concat())
    }
}

/// One of podseal's pods.
struct Replica {
    address: String,
    /// A process of its, as the node sees it: the image has no shell.
    pid: String,
}

impl Replica {
    fn ready(site: &Site) -> Replica {
        let pods = webhook_pods(site);
        let pod = pods.iter().find(|pod| is_ready(pod)).expect("one is ready");
        let id = string(&pod["status"]["containerStatuses"][0]["containerID"]);
        let id = id.strip_prefix("containerd://").expect("containerd's id");
        let list = ["--address", "/run/containerd.sock", "--namespace", "k8s.io"];
        let tasks = [&list[..], &["tasks", "list"]].concat();
        let tasks = site.node.prints("ctr", &tasks);
        let mut tasks = tasks.lines().map(|line| line.split_whitespace());
        let pid = tasks.find_map(|mut task| (task.next()? == id).then(|| task.next())?);
        Replica {
            address: string(&pod["status"]["podIP"]),
            pid: pid.expect("its container has a process").to_owned(),
        }
    }

    fn source<'s>(&self, site: &'s Site) -> Source<'s> {
        let enter = ["nsenter", "--target", &self.pid, "--net"];
        Source::new(site, "podseal", &enter)
    }
}

fn string(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn webhook_pods(site: &Site) -> Vec<Value> {
    let label = "--selector=app.kubernetes.io/component=webhook";
    let list = site.node.get(&["pods", "--namespace=podseal", label]);
    list["items"].as_array().expect("a list").clone()
}

fn is_ready(pod: &Value) -> bool {
    let status = &pod["status"]["containerStatuses"][0];
    pod["metadata"]["deletionTimestamp"].is_null() && status["ready"] == true
}

fn service_address(site: &Site) -> String {
    let service = site.node.get(&["service/podseal", "--namespace=podseal"]);
    string(&service["spec"]["clusterIP"])
}

/// The release with other values of the policy, until this is dropped.
struct Values<'s>(&'s Site);

impl<'s> Values<'s> {
    fn set(site: &'s Site, policy: &Value) -> Values<'s> {
        let values = Values(site);
        let set = format!("networkPolicy={policy}");
        site.node.prints(
            "helm",
            &[
                "upgrade",
                "podseal",
                "charts/podseal",
                "--namespace=podseal",
                "--reuse-values",
                "--wait",
                "--set-json",
                &set,
            ],
        );
        values
    }
}

impl Drop for Values<'_> {
    fn drop(&mut self) {
        let rollback = ["rollback", "podseal", "--namespace=podseal", "--wait"];
        let output = self.0.node.run("helm", &rollback, "");
        assert!(
            output.status.success() || std::thread::panicking(),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn by_default_any_pod_can_call_the_webhook_and_only_the_node_can_read_the_metrics() {
    let site = Site::shared();
    let namespace = site.unlabelled();
    let client = Client::new(&namespace, "client", &json!({}));
    let client = client.source(&site);
    let replica = Replica::ready(&site);
    client.expect(&replica.address, 8443, Connects);
    client.expect(&service_address(&site), 443, Connects);
    client.expect(&replica.address, 8080, TimesOut);
    Source::node(&site).expect(&replica.address, 8080, Connects);
}

#[test]
fn by_default_podseal_can_connect_to_the_ports_of_the_api_server_and_no_others() {
    let site = Site::shared();
    let namespace = site.unlabelled();
    let client = Client::new(&namespace, "client", &json!({}));
    let podseal = Replica::ready(&site).source(&site);
    podseal.expect(API_SERVICE, 443, Connects);
    podseal.expect(ADDRESS, 6443, Connects);
    podseal.expect(&client.address, 443, Connects);

    let anyone = Client::new(&namespace, "anyone", &json!({}));
    let anyone = anyone.source(&site);
    let (dns, kubelet, registry) = (53, 10250, 5000);
    for (address, port) in [
        (ADDRESS, dns),
        (ADDRESS, kubelet),
        (ADDRESS, registry),
        (&client.address, 8000),
    ] {
        anyone.expect(address, port, Connects);
        podseal.expect(address, port, TimesOut);
    }
}

#[test]
fn only_api_server_cidrs_and_webhook_from_can_call_the_webhook_and_jobs_are_corrected() {
    let site = Site::alone();
    let (agents, others) = (site.unlabelled(), site.unlabelled());
    let agent_labels = json!({"app": "konnectivity-agent"});
    let test_labels = json!({
        "app.kubernetes.io/name": "podseal",
        "app.kubernetes.io/instance": "podseal",
        "app.kubernetes.io/component": "test",
    });
    let api_server = Client::new(&others, "api-server", &json!({}));
    let agent = Client::new(&agents, "agent", &agent_labels);
    let refused = [
        Client::new(&agents, "other-pod-of-the-namespace", &json!({})),
        Client::new(&others, "other-namespace", &agent_labels),
        Client::new(&others, "test-of-other-namespace", &test_labels),
    ];
    let values = Values::set(
        &site,
        &json!({
            "apiServerCIDRs": [format!("{ADDRESS}/32"), format!("{}/32", api_server.address)],
            "webhookFrom": [{
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": agents.name}},
                "podSelector": {"matchLabels": agent_labels},
            }],
        }),
    );
    let replica = Replica::ready(&site);
    for client in &refused {
        let client = client.source(&site);
        client.expect(&replica.address, 8443, TimesOut);
    }
    for client in [&api_server, &agent] {
        let client = client.source(&site);
        client.expect(&replica.address, 8443, Connects);
        client.expect(&service_address(&site), 443, Connects);
    }
    site.node
        .prints("helm", &["test", "podseal", "--namespace=podseal"]);
    // The API server calls from the node.
    let job = Job::new("podman-stable:trixie").run(&site.namespace("rootless"));
    job.passes_with("podman build passed as uid 1000");

    let podseal = replica.source(&site);
    podseal.expect(&agent.address, 443, TimesOut);
    podseal.expect(&api_server.address, 443, Connects);
    podseal.expect(API_SERVICE, 443, Connects);
    // Probes have passed for longer than it takes to fail three.
    assert!(webhook_pods(&site).iter().all(is_ready));

    drop(values);
    for client in &refused {
        client
            .source(&site)
            .expect(&replica.address, 8443, Connects);
    }
    podseal.expect(&agent.address, 443, Connects);
}

#[test]
fn metrics_from_lets_prometheus_read_the_metrics_and_no_other_pod() {
    let site = Site::alone();
    let (monitoring, others) = (site.unlabelled(), site.unlabelled());
    let prometheus = Client::new(&monitoring, "prometheus", &json!({})).source(&site);
    let other = Client::new(&others, "other", &json!({})).source(&site);
    let neighbor = Client::in_namespace(&site, "podseal", "neighbor", &json!({}));
    let replica = Replica::ready(&site);
    prometheus.expect(&replica.address, 8080, TimesOut);
    let selector =
        json!({"matchLabels": {"kubernetes.io/metadata.name": monitoring.name.as_str()}});
    let _values = Values::set(
        &site,
        &json!({"metricsFrom": [{"namespaceSelector": selector}]}),
    );
    prometheus.expect(&replica.address, 8080, Connects);
    let url = format!("http://{}:8080/metrics", replica.address);
    let metrics = prometheus.run(&["curl", "--silent", "--show-error", &url]);
    assert!(text(&metrics.stdout).contains("podseal_"), "{metrics:?}");
    other.expect(&replica.address, 8080, TimesOut);
    let neighbor_source = neighbor.source(&site);
    neighbor_source.expect(&replica.address, 8080, TimesOut);
    site.node
        .kubectl(&["delete", "pod", "neighbor", "--namespace=podseal"]);
}

#[test]
fn a_replica_is_never_ready_if_the_policy_names_other_ports_than_the_api_servers() {
    let site = Site::alone();
    let values = Values::set(&site, &json!({"apiServerPorts": [16443]}));
    let names = |pods: &[Value]| -> Vec<_> {
        let names = pods.iter().map(|pod| string(&pod["metadata"]["name"]));
        names.collect()
    };
    let old = names(&webhook_pods(&site));
    let delete = ["delete", "--namespace=podseal", "--wait=false", "pod"];
    site.node.kubectl(&[&delete[..], &[&old[0]]].concat());
    let new = || {
        let mut names = names(&webhook_pods(&site)).into_iter();
        names.find(|name| !old.contains(name))
    };
    let log = |pod: &str| {
        let logs = ["logs", "--namespace=podseal", pod];
        text(&site.node.run("kubectl", &logs, "").stdout)
    };
    let pod = site.node.await_value(
        "a replica that says that it cannot reach the API server",
        Duration::from_secs(60),
        || new().filter(|pod| log(pod).contains("certificate reconciliation failed")),
        || new().map_or_else(String::new, |pod| log(&pod)),
    );
    let is_not_ready = || {
        let pods = webhook_pods(&site);
        let mut ready = pods.iter().filter(|pod| is_ready(pod));
        assert!(ready.all(|ready| ready["metadata"]["name"] != *pod));
    };
    is_not_ready();
    // The other one serves on: its connections are older than the policy.
    let job = Job::new("podman-stable:trixie").run(&site.namespace("rootless"));
    job.passes_with("podman build passed as uid 1000");
    is_not_ready();

    drop(values);
    let rollout = ["rollout", "status", "deployment/podseal", "--timeout=2m"];
    site.node
        .kubectl(&[&rollout[..], &["--namespace=podseal"]].concat());
}

#[test]
fn nothing_is_restricted_if_the_policy_is_not_enabled() {
    let site = Site::alone();
    let namespace = site.unlabelled();
    let client = Client::new(&namespace, "client", &json!({}));
    let replica = Replica::ready(&site);
    let connections = [
        (client.source(&site), replica.address.as_str(), 8080),
        (replica.source(&site), client.address.as_str(), 8000),
        (replica.source(&site), ADDRESS, 53),
    ];
    for (source, address, port) in &connections {
        source.expect(address, *port, TimesOut);
    }
    let _values = Values::set(&site, &json!({"enabled": false}));
    for (source, address, port) in &connections {
        source.expect(address, *port, Connects);
    }
}
