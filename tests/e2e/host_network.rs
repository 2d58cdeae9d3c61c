//! podseal on its node's network, for clusters whose control plane cannot reach pods. The
//! node is the only one, so there is room for one replica.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::node::{ADDRESS, Node};
use support::text;
use support::wait::await_value;

use crate::deployment::Release;
use crate::job::Job;
use crate::replicas::{Replica, replicas};
use crate::site::{Namespace, Site};

const WEBHOOK_PORT: u16 = 10_443;
const STATUS_PORT: u16 = 10_444;
/// How long a rollout may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const VALUES: &[&str] = &[
    "--set=hostNetwork=true",
    "--set=replicas=1",
    "--set=serve.webhookPort=10443",
    "--set=serve.statusPort=10444",
];

/// The only replica in a namespace.
fn the_replica(node: &Node, namespace: &str) -> Replica {
    let mut replicas = replicas(node, namespace);
    assert_eq!(replicas.len(), 1, "{replicas:?}");
    replicas.remove(0)
}

/// What `curl` prints on the node, or how it fails.
fn get(node: &Node, address: &str, path: &str) -> Result<String, String> {
    let url = format!("http://{address}:{STATUS_PORT}{path}");
    let output = node.run("curl", &["--silent", "--show-error", "--fail", &url], "");
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

/// Tries to create a privileged pod, and returns why it was not.
fn denial(namespace: &Namespace<'_>) -> String {
    let run = [
        "run",
        "shell",
        "--namespace",
        &namespace.name,
        "--image=node.test/pause:1",
        "--privileged",
        "--dry-run=server",
    ];
    let output = namespace.site.node.run("kubectl", &run, "");
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr)
}

const DENIED: &str = "admission webhook \"validate.podseal.io\" denied the request";
const NOT_ASKED: &str = "failed calling webhook \"validate.podseal.io\"";

#[test]
fn the_api_server_asks_podseal_at_its_nodes_port_before_and_after_a_rollout() {
    let site = Site::alone();
    let namespace = site.namespace("rootless");
    let on_pods_network = replicas(&site.node, "podseal");
    assert!(on_pods_network.iter().all(|r| r.address != ADDRESS));
    let upgraded = site.upgraded(VALUES);

    let before = the_replica(&site.node, "podseal");
    assert!(before.ready && before.address == ADDRESS, "{before:?}");
    let endpoints = || {
        site.node.kubectl(&[
            "get",
            "endpointslices",
            "--namespace=podseal",
            "--selector=kubernetes.io/service-name=podseal",
            "--output=jsonpath={.items[*].endpoints[*].addresses[*]}:{.items[*].ports[*].port}",
        ])
    };
    // Those on the pods' network drain first.
    let expected = format!("{ADDRESS}:{WEBHOOK_PORT}");
    let is_so = || (endpoints() == expected).then_some(());
    await_value(
        "its only endpoint is the node's",
        PATIENCE,
        is_so,
        endpoints,
    );
    let corrects_and_denies = || {
        let job = Job::new("podman-stable:trixie").run(&namespace);
        job.passes_with("podman build passed as uid 1000");
        let denial = denial(&namespace);
        assert!(denial.contains(DENIED), "{denial}");
        assert!(denial.contains("privileged"), "{denial}");
    };
    corrects_and_denies();
    // From the network of pods, through the Service.
    site.node
        .prints("helm", &["test", "podseal", "--namespace=podseal"]);

    let outage = outage_during(&namespace, || {
        let deployment = ["deployment/podseal", "--namespace=podseal"];
        let restart = [&["rollout", "restart"][..], &deployment].concat();
        site.node.kubectl(&restart);
        let status = [&["rollout", "status", "--timeout=2m"][..], &deployment].concat();
        site.node.kubectl(&status);
    });
    eprintln!("the only replica was replaced; nobody was asked for {outage:.1?}");
    assert!(outage < Duration::from_secs(60), "{outage:?}");
    let after = the_replica(&site.node, "podseal");
    assert!(after.ready && after.restarts == 0, "{after:?}");
    assert_eq!(after.address, ADDRESS);
    assert_ne!(after.pod, before.pod);
    corrects_and_denies();

    // And back to the pods' network, with two replicas on this node.
    drop(upgraded);
    let back = replicas(&site.node, "podseal");
    assert!(back.len() == 2 && back.iter().all(|r| r.ready), "{back:?}");
    let denial = denial(&namespace);
    assert!(denial.contains(DENIED), "{denial}");
}

/// For how long in a row nobody could be asked during `change`. A pod must never be
/// admitted meanwhile.
fn outage_during(namespace: &Namespace<'_>, change: impl FnOnce()) -> Duration {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let tries = scope.spawn(|| {
            let (mut longest, mut since) = (Duration::ZERO, None::<Instant>);
            while !over.load(Ordering::Relaxed) {
                let now = Instant::now();
                let denial = denial(namespace);
                match denial.contains(DENIED) {
                    true => since = None,
                    false => {
                        assert!(denial.contains(NOT_ASKED), "{denial}");
                        let since = since.get_or_insert(now);
                        longest = longest.max(since.elapsed());
                    }
                }
            }
            longest
        });
        change();
        over.store(true, Ordering::Relaxed);
        tries.join().expect("no pod was admitted")
    })
}

#[test]
fn the_kubelet_probes_it_at_an_address_that_only_the_node_can_reach() {
    // A replica that starts slowly on a busy machine fails its first probe.
    let site = Site::undisturbed();
    let release = Release::install_with(&site, "on-node", "privileged", VALUES);
    let node = release.node;
    let replica = the_replica(node, release.name);
    assert!(replica.ready && replica.address == ADDRESS, "{replica:?}");
    let probes = || node.kubectl(&["get", "--raw", "/api/v1/nodes/node/proxy/metrics/probes"]);
    let count = |kind: &str, result: &str| {
        let probes = probes();
        let mut lines = probes.lines().filter(|line| {
            let is = |label: &str| line.contains(label);
            is("prober_probe_total{")
                && is(&format!("pod=\"{}\"", replica.pod))
                && is(&format!("probe_type=\"{kind}\""))
                && is(&format!("result=\"{result}\""))
        });
        lines.next().map(str::to_owned)
    };
    for kind in ["Readiness", "Liveness"] {
        let passed = || count(kind, "successful").map(drop);
        await_value(kind, Duration::from_secs(40), passed, probes);
        assert_eq!(count(kind, "failed"), None);
    }
    assert_eq!(release.warnings("Pod"), Vec::<String>::new());

    assert_eq!(get(node, "127.0.0.1", "/readyz").as_deref(), Ok("ok"));
    let refused = get(node, ADDRESS, "/readyz").expect_err("it listens on 127.0.0.1 only");
    assert!(refused.contains("Failed to connect"), "{refused}");
    upgrade(&release, &["--set=serve.statusAddress=::", "--wait"]);
    let metrics = get(node, ADDRESS, "/metrics").expect("Prometheus can scrape it");
    assert!(metrics.contains("podseal_requests_total"), "{metrics}");
}

#[test]
fn of_two_replicas_on_one_node_the_second_waits_for_its_ports_and_the_first_cannot_be_evicted() {
    let site = Site::shared();
    let ports = [
        "--set=serve.webhookPort=10453",
        "--set=serve.statusPort=10454",
    ];
    let values = [&VALUES[..2], &ports].concat();
    let release = Release::install_with(&site, "too-many", "privileged", &values);
    let first = the_replica(release.node, release.name);
    upgrade(&release, &["--set=replicas=2"]);
    let warning = await_value(
        "the second waits",
        Duration::from_secs(60),
        || {
            let mut warnings = release.warnings("Pod").into_iter();
            warnings.find(|warning| warning.contains("FailedScheduling"))
        },
        || release.kubectl(&["get", "events"]),
    );
    let said = "1 node(s) didn't have free ports for the requested pod ports";
    assert!(warning.contains(said), "{warning}");
    // The controller takes a moment to count what may be evicted.
    let budget = || {
        let allowed = "--output=jsonpath={.items[*].status.disruptionsAllowed}";
        release.kubectl(&["get", "poddisruptionbudgets", allowed])
    };
    let is_spent = || (budget() == "0").then_some(());
    let patience = Duration::from_secs(30);
    await_value("none may be evicted", patience, is_spent, budget);
    let refusal = release.evict(&first.pod).expect_err("it is the only one");
    assert!(refusal.contains("disruption budget"), "{refusal}");
    let now = replicas(release.node, release.name);
    let first = now.iter().find(|replica| replica.pod == first.pod);
    assert!(first.expect("it is there").ready, "{now:?}");
}

fn upgrade(release: &Release<'_>, values: &[&str]) {
    let upgrade = ["upgrade", release.name, "charts/podseal", "--reuse-values"];
    release.helm(&[&upgrade, values].concat());
}
