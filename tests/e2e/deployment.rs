//! podseal as its users have it: what the chart's Deployment does on a kubelet.
//!
//! Each test has a release of its own, in a namespace that enforces a level, mostly
//! restricted. It registers no webhooks, so that no job of another test notices it.

use std::time::{Duration, Instant};

use cases::costly;
use cases::fixtures::fixture;
use cases::review::{as_sent, review};
use serde_json::{Value, json};
use support::node::Node;
use support::text;
use support::wait::await_value;

use crate::job::Job;
use crate::replicas::{SELECTOR, await_replicas, replicas};
use crate::site::{RUNNER, Site};

/// A release of the chart.
pub(crate) struct Release<'s> {
    pub(crate) node: &'s Node,
    /// Also the name of its namespace.
    pub(crate) name: &'static str,
}

impl Release<'_> {
    /// One with default values, which helm has waited for.
    fn install<'s>(site: &'s Site, name: &'static str) -> Release<'s> {
        Release::install_with(site, name, "restricted", &[])
    }

    /// One with these values, in a namespace that enforces this level.
    pub(crate) fn install_with<'s>(
        site: &'s Site,
        name: &'static str,
        level: &str,
        values: &[&str],
    ) -> Release<'s> {
        let node = &site.node;
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"pod-security.kubernetes.io/enforce": level},
            },
        });
        node.apply(&namespace.to_string());
        let release = Release { node, name };
        let install = [
            "install",
            name,
            "charts/podseal",
            "--set=webhooks.enabled=false",
            "--wait",
            "--timeout=2m",
        ];
        release.helm(&[&install, values].concat());
        release
    }

    pub(crate) fn helm(&self, args: &[&str]) -> String {
        let namespace = ["--namespace", self.name];
        self.node.prints("helm", &[args, &namespace].concat())
    }

    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let namespace = ["--namespace", self.name];
        self.node.kubectl(&[&namespace, args].concat())
    }

    fn get(&self, args: &[&str]) -> Value {
        self.node.get(&[args, &["--namespace", self.name]].concat())
    }

    /// Has helm test it, from a pod, through the Service.
    fn test(&self) {
        let printed = self.helm(&["test", self.name, "--timeout=60s"]);
        assert!(printed.contains("Phase:          Succeeded"), "{printed}");
    }

    /// The lines that its replicas have logged.
    fn log(&self) -> Vec<Value> {
        log(&self.kubectl(&["logs", "--selector", SELECTOR, "--tail=-1"]))
    }

    /// Its warning events of this kind of object, as reason and message, without
    /// [`is_of_busy_kubelet`].
    pub(crate) fn warnings(&self, kind: &str) -> Vec<String> {
        let fields = format!("type=Warning,involvedObject.kind={kind}");
        let events = self.get(&["events", "--field-selector", &fields]);
        let events = events["items"].as_array().expect("a list").iter();
        events
            .filter(|event| !is_of_busy_kubelet(event))
            .map(|event| format!("{}: {}", event["reason"], event["message"]))
            .collect()
    }

    /// Asks the API server to evict a pod, as `kubectl drain` does.
    pub(crate) fn evict(&self, pod: &str) -> Result<String, String> {
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.name},
        });
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", self.name);
        let args = ["create", "--raw", &path, "--filename=-"];
        let output = self.node.run("kubectl", &args, &eviction.to_string());
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let namespace = ["--namespace", self.name];
        let uninstall = [&["uninstall", self.name][..], &namespace].concat();
        self.node.run("helm", &uninstall, "");
        let delete = ["delete", "namespace", "--wait=false", self.name];
        self.node.run("kubectl", &delete, "");
    }
}

/// Whether a warning event is about the volume of the pod's token, which every pod has: the
/// kubelet reads its ConfigMap within a second, or emits this and tries again (1.37,
/// `pkg/kubelet/util/manager/watch_based_manager.go`).
fn is_of_busy_kubelet(event: &Value) -> bool {
    let message = event["message"].as_str().unwrap_or_default();
    event["reason"] == "FailedMount"
        && message.starts_with("MountVolume.SetUp failed for volume \"kube-api-access-")
        && message.ends_with("failed to sync configmap cache: timed out waiting for the condition")
}

/// Log lines, each of which is a JSON object.
fn log(printed: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    printed.lines().map(parse).collect()
}

#[test]
fn two_replicas_start_where_restricted_is_enforced_without_a_warning_event() {
    // A replica that starts slowly on a busy machine fails its first probe.
    let site = Site::undisturbed();
    let release = Release::install(&site, "restricted");
    let replicas = replicas(release.node, release.name);
    let are_ready = replicas.iter().all(|r| r.ready && r.restarts == 0);
    assert!(replicas.len() == 2 && are_ready, "{replicas:?}");
    for kind in ["Deployment", "ReplicaSet", "Pod"] {
        assert_eq!(release.warnings(kind), Vec::<String>::new(), "{kind}");
    }
    // The level is enforced there indeed.
    let run = [
        "run",
        "plain",
        "--image=node.test/pause:1",
        "--namespace=restricted",
    ];
    let plain = text(&site.node.run("kubectl", &run, "").stderr);
    assert!(
        plain.contains("violates PodSecurity \"restricted:latest\""),
        "{plain}"
    );
}

#[test]
fn helm_test_calls_podseal_by_the_name_of_its_service() {
    let site = Site::shared();
    let release = Release::install(&site, "tested");
    release.test();
    let is_probe = |record: &&Value| record["user"] == "podseal:probe";
    let records = release.log();
    let decisions: Vec<_> = records.iter().filter(is_probe).collect();
    assert_eq!(decisions.len(), 2, "one of each webhook: {decisions:#?}");
    let pods = release.kubectl(&["get", "pods", "--output=name"]);
    assert!(!pods.contains("probe"), "{pods}");
}

#[test]
fn kubectl_logs_shows_the_start_of_each_replica_and_the_record_of_a_job() {
    let site = Site::shared();
    let namespace = site.namespace("rootless");
    let job = Job::new("podman-stable:trixie")
        .script("true")
        .run(&namespace);
    job.passes_with("");
    let logs = [
        "logs",
        "--namespace=podseal",
        "--tail=-1",
        "--selector",
        SELECTOR,
    ];
    let lines = log(&site.node.kubectl(&logs));
    let starts = lines.iter().filter(|line| line["message"] == "ready");
    assert!(starts.count() >= 2, "{lines:#?}");
    let of_job = |line: &&Value| line["namespace"] == namespace.name.as_str();
    for (webhook, decision) in [("mutate", "mutate"), ("validate", "allow")] {
        let mut records = lines.iter().filter(of_job);
        let record = records.find(|record| record["webhook"] == webhook);
        let record = record.unwrap_or_else(|| panic!("no record of {webhook}"));
        assert_eq!(record["decision"], decision, "{record:#}");
        assert_eq!(record["pod"], job.pod["metadata"]["name"], "{record:#}");
        assert_eq!(record["user"], RUNNER, "{record:#}");
    }
}

#[test]
fn a_replica_that_hangs_gets_no_requests_and_is_restarted() {
    let site = Site::shared();
    let release = Release::install(&site, "hanging");
    let [hanging, other] = &replicas(release.node, release.name)[..] else {
        panic!("two replicas");
    };
    let now = || replicas(release.node, release.name);
    let find = |pod: &str| now().into_iter().find(|replica| replica.pod == pod);
    let start = Instant::now();
    hanging.signal(release.node, "STOP");
    let unready = || {
        find(&hanging.pod)
            .filter(|replica| !replica.ready)
            .map(drop)
    };
    let events = || release.kubectl(&["get", "events"]);
    let patience = Duration::from_secs(30);
    await_value("it is not ready", patience, unready, events);
    eprintln!("not ready after {:.1?}", start.elapsed());
    release.test();
    let restarted = || {
        let replica = find(&hanging.pod)?;
        (replica.ready && replica.restarts == 1).then_some(())
    };
    let patience = Duration::from_secs(120);
    await_value("it is restarted", patience, restarted, events);
    let took = start.elapsed();
    eprintln!("restarted after {took:.1?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    let other = find(&other.pod).expect("it is still there");
    assert_eq!(other.restarts, 0, "{other:?}");
}

#[test]
fn a_flood_of_large_reviews_stays_within_the_memory_limit() {
    const REVIEWS: usize = 400;
    const AT_A_TIME: usize = 20;
    let site = Site::shared();
    let jobs = site.namespace("rootless");
    let release = Release::install(&site, "flooded");
    // As long as the API server lets an object be.
    let mut pod = fixture("default-with-service");
    pod["spec"]["containers"][0]["args"] = json!(vec!["x".repeat(100); 29_000]);
    let large = as_sent(&review("large", &jobs.name, &pod));
    // Few bytes that say much.
    let names: Vec<_> = (0..20_000)
        .map(|n| format!(r#""CAPABILITY_NUMBER_{n}""#))
        .collect();
    let context = format!(r#"{{"capabilities":{{"add":[{}]}}}}"#, names.join(","));
    let container = format!(
        r#"{{"name":"{}","securityContext":{context}}}"#,
        "n".repeat(30_000)
    );
    let pod = format!(r#"{{"metadata":{{"name":"x"}},"spec":{{"containers":[{container}]}}}}"#);
    let costly = costly::review("CREATE", &pod, None);
    let costly = costly.replace(
        r#""namespace":"ci""#,
        &format!(r#""namespace":"{}""#, jobs.name),
    );
    for (n, body) in [large, costly].iter().enumerate() {
        std::fs::write(site.node.work(&format!("review-{n}")), body).expect("written");
    }
    let service = release.get(&["service", "flooded-podseal"]);
    let address = service["spec"]["clusterIP"].as_str().expect("an address");
    let send = format!(
        "curl --silent --show-error --insecure --max-time 60 --output /work/answer-$1 \
           --header 'content-type: application/json' --data-binary @/work/review-$(($1 % 2)) \
           'https://{address}/validate?timeout=30s'"
    );
    let flood = format!("seq {REVIEWS} | xargs -P {AT_A_TIME} -n 1 sh -c \"$0\" send");
    let start = Instant::now();
    site.node.prints("sh", &["-c", &flood, &send]);
    let took = start.elapsed();
    let (mut decided, mut shed) = ([0, 0], 0);
    for n in 1..=REVIEWS {
        let answer = std::fs::read_to_string(site.node.work(&format!("answer-{n}")));
        let answer = answer.expect("an answer");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["response"]["allowed"], false, "{answer:#}");
        match &answer["response"]["status"]["code"] {
            code if *code == 429 => shed += 1,
            code if *code == 403 => decided[n % 2] += 1,
            code => panic!("{code}: {answer:#}"),
        }
    }
    let after = replicas(release.node, release.name);
    let peaks: Vec<_> = after
        .iter()
        .map(|replica| replica.peak_memory(release.node))
        .collect();
    eprintln!(
        "{REVIEWS} reviews in {took:.1?}: {decided:?} were decided, {shed} shed; at most {:?} MiB",
        peaks.iter().map(|peak| peak >> 20).collect::<Vec<_>>()
    );
    assert!(decided.iter().all(|&decided| decided > REVIEWS / 10));
    for (replica, peak) in after.iter().zip(&peaks) {
        assert!(replica.ready && replica.restarts == 0, "{after:?}");
        assert_eq!(replica.memory_limit(release.node), 256 << 20);
        assert!(*peak < 256 << 20, "{peaks:?}");
    }
}

#[test]
fn of_two_replicas_only_one_can_be_evicted_at_a_time() {
    let site = Site::shared();
    let release = Release::install(&site, "evicted");
    let [first, second] = &replicas(release.node, release.name)[..] else {
        panic!("two replicas");
    };
    // The controller takes a moment to count what may be evicted.
    await_value(
        "the first is evicted",
        Duration::from_secs(30),
        || release.evict(&first.pod).ok(),
        || release.kubectl(&["get", "poddisruptionbudgets"]),
    );
    let refusal = release.evict(&second.pod).expect_err("the second is not");
    assert!(
        refusal.contains("violate the pod's disruption budget"),
        "{refusal}"
    );
    // A drain goes on once the first has been replaced.
    let evicted = || release.evict(&second.pod).ok().map(drop);
    let pods = || release.kubectl(&["get", "pods"]);
    await_value(
        "the second is evicted",
        Duration::from_secs(60),
        evicted,
        pods,
    );
    await_replicas(release.node, release.name);
}
