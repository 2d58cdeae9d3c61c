//! The chart's NetworkPolicy, enforced: who may connect to podseal, and to whom podseal
//! may, by trying. kube-network-policies decides each connection between pods, and
//! those from pods to the node; what the node sends itself passes, as everywhere.

use std::time::Duration;

use serde_json::{Value, json};
use support::node::ADDRESS;
use support::text;
use support::wait::await_value;

use self::connection::{Client, Connects, Source, TimesOut};
use crate::job::Job;
use crate::replicas::{Replica, await_replicas, replicas};
use crate::site::{Site, Upgraded};

mod connection;

/// The API server's address as pods know it.
const API_SERVICE: &str = "10.96.0.1";

fn a_replica(site: &Site) -> Replica {
    let mut replicas = await_replicas(&site.node, "podseal");
    replicas.remove(0)
}

fn service_address(site: &Site) -> String {
    let service = site.node.get(&["service/podseal", "--namespace=podseal"]);
    let address = service["spec"]["clusterIP"].as_str();
    address.expect("an address").to_owned()
}

/// The release with other values of the policy, until this is dropped.
fn with_policy<'s>(site: &'s Site, policy: &Value) -> Upgraded<'s> {
    site.upgraded(&["--set-json", &format!("networkPolicy={policy}")])
}

#[test]
fn by_default_any_pod_can_call_the_webhook_and_only_the_node_can_read_the_metrics() {
    let site = Site::shared();
    let namespace = site.unlabelled();
    let client = Client::new(&namespace, "client", &json!({}));
    let client = client.source(&site);
    let replica = a_replica(&site);
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
    let podseal = Source::replica(&site, &a_replica(&site));
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
    let values = with_policy(
        &site,
        &json!({
            "apiServerCIDRs": [format!("{ADDRESS}/32"), format!("{}/32", api_server.address)],
            "webhookFrom": [{
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": agents.name}},
                "podSelector": {"matchLabels": agent_labels},
            }],
        }),
    );
    let replica = a_replica(&site);
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

    let podseal = Source::replica(&site, &replica);
    podseal.expect(&agent.address, 443, TimesOut);
    podseal.expect(&api_server.address, 443, Connects);
    podseal.expect(API_SERVICE, 443, Connects);
    // Probes have passed for longer than it takes to fail three.
    let ready = replicas(&site.node, "podseal");
    assert!(ready.iter().all(|replica| replica.ready), "{ready:?}");

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
    let replica = a_replica(&site);
    prometheus.expect(&replica.address, 8080, TimesOut);
    let selector =
        json!({"matchLabels": {"kubernetes.io/metadata.name": monitoring.name.as_str()}});
    let _values = with_policy(
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
    let values = with_policy(&site, &json!({"apiServerPorts": [16443]}));
    let old = await_replicas(&site.node, "podseal");
    let delete = ["delete", "--namespace=podseal", "--wait=false", "pod"];
    site.node.kubectl(&[&delete[..], &[&old[0].pod]].concat());
    let is_old = |pod: &str| old.iter().any(|replica| replica.pod == pod);
    let new = || {
        let mut pods = replicas(&site.node, "podseal").into_iter();
        pods.find(|replica| !is_old(&replica.pod))
            .map(|replica| replica.pod)
    };
    let log = |pod: &str| {
        let logs = ["logs", "--namespace=podseal", pod];
        text(&site.node.run("kubectl", &logs, "").stdout)
    };
    let pod = await_value(
        "a replica that says that it cannot reach the API server",
        Duration::from_secs(60),
        || new().filter(|pod| log(pod).contains("certificate reconciliation failed")),
        || new().map_or_else(String::new, |pod| log(&pod)),
    );
    let is_not_ready = || {
        let now = replicas(&site.node, "podseal");
        let replica = now.iter().find(|replica| replica.pod == pod);
        assert!(!replica.expect("it is there").ready, "{now:?}");
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
    let replica = a_replica(&site);
    let connections = [
        (client.source(&site), replica.address.as_str(), 8080),
        (
            Source::replica(&site, &replica),
            client.address.as_str(),
            8000,
        ),
        (Source::replica(&site, &replica), ADDRESS, 53),
    ];
    for (source, address, port) in &connections {
        source.expect(address, *port, TimesOut);
    }
    let _values = with_policy(&site, &json!({"enabled": false}));
    for (source, address, port) in &connections {
        source.expect(address, *port, Connects);
    }
}
