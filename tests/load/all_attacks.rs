//! Every attack that is known, at once, on a replica with the chart's values:
//! jobs are decided meanwhile, and memory stays below half of the chart's limit.
//!
//! Each attacker has an address of its own; jobs come from 127.0.0.1.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cases::costly;
use cases::review::{as_sent, job_review, review};
use serde_json::{Value, json};
use support::controlplane::await_condition;
use support::podseal::Podseal;
use support::scripted::{Body, Reply, Request, Scripted, namespace};
use support::wire::{Wire, post, post_headers};
use support::{block_on, spawn};
use tokio::task::JoinHandle;

/// What an attacker who can edit namespaces puts into each: as much as etcd
/// accepts.
const IN_ETCD: usize = 1_250_000;
const LARGE_NAMESPACES: usize = 20;

/// How many jobs are created while everything else runs.
const JOBS: usize = 40;
/// How often client-go tries a request that is shed.
const TRIES: usize = 10;

/// The container that the chart runs, by its default values.
fn container_of_chart() -> Value {
    let manifest = std::fs::read_to_string("deploy/podseal.yaml").expect("the rendered chart");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&manifest).expect("YAML");
    let is_deployment = |document: &&Value| document["kind"] == "Deployment";
    let deployment = documents.iter().find(is_deployment).expect("a Deployment");
    deployment["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Starts podseal with the bounds and the environment of this container.
fn start_as(container: &Value, complete: impl FnOnce(&mut Command)) -> Podseal {
    let arguments = container["args"].as_array().expect("arguments");
    let bounds: Vec<_> = arguments
        .iter()
        .filter_map(Value::as_str)
        .filter(|argument| argument.starts_with("--max-"))
        .collect();
    assert!(bounds.len() >= 3, "{bounds:?}");
    let variables = container["env"].as_array().expect("an environment");
    Podseal::start(|command| {
        command.args(bounds);
        for variable in variables {
            let name = variable["name"].as_str().expect("a name");
            // Others name a field of the pod.
            if let Some(value) = variable["value"].as_str() {
                command.env(name, value);
            }
        }
        complete(command);
    })
}

/// The container's limit of memory, in bytes.
fn memory_limit(container: &Value) -> u64 {
    let limit = container["resources"]["limits"]["memory"].as_str();
    let mebibytes = limit.and_then(|limit| limit.strip_suffix("Mi"));
    let mebibytes: u64 = mebibytes.expect("Mi").parse().expect("a number");
    mebibytes << 20
}

/// Writes a namespace of megabytes, all of them before its labels.
fn write_large(body: &mut Body<'_>, name: &str) -> io::Result<()> {
    let head = format!(
        r#"{{"metadata":{{"name":"{name}","resourceVersion":"1","ownerReferences":[{{"name":""#
    );
    body.write(head.as_bytes())?;
    let part = r"\u003c".repeat(IN_ETCD / 50);
    for _ in 0..50 {
        body.write(part.as_bytes())?;
    }
    body.write(br#""}],"labels":{"podseal.io/profile":"rootless"}}}"#)
}

/// An API server with large namespaces, whose events come without a pause, and with
/// none of those that an attacker requests.
fn api_server() -> Scripted {
    Scripted::start(|request| match request {
        Request::List(_) | Request::Page(_) => Reply::Body(Box::new(|body| {
            body.write(br#"{"metadata":{"resourceVersion":"1"},"items":["#)?;
            for number in 0..LARGE_NAMESPACES {
                write_large(body, &format!("large-{number}"))?;
                body.write(b",")?;
            }
            body.write(namespace("ci", "rootless", "1").to_string().as_bytes())?;
            body.write(b"]}")
        })),
        Request::Watch(_) => Reply::Body(Box::new(|body| {
            let end = Instant::now() + body.timeout.expect("podseal sets a timeout");
            while Instant::now() < end {
                body.write(br#"{"type":"MODIFIED","object":"#)?;
                write_large(body, "large-0")?;
                body.write(b"}\n")?;
                // Which bounds the load.
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        })),
        Request::Get(name) if name == "ci" || name.starts_with("job-") => {
            Reply::Json(200, namespace(name, "rootless", "1"))
        }
        Request::Get(_) => Reply::Json(
            404,
            json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound",
                "message": "x"}),
        ),
    })
}

/// What one connection of an attacker does until it ends; then it comes again.
#[derive(Clone, Copy)]
enum Attack {
    /// Has small reviews answered, and always one in flight.
    Small,
    /// Holds streams of HTTP/2 without their bodies.
    Streams,
    /// Sends reviews that cost as much as they can.
    Costly,
    /// Holds large bodies without their last byte.
    Held,
    /// Asks for namespaces that are not there.
    LookUps,
}

impl Attack {
    const ALL: [(Attack, usize); 5] = [
        (Attack::Small, 530),
        (Attack::Streams, 130),
        (Attack::Costly, 16),
        (Attack::Held, 24),
        (Attack::LookUps, 96),
    ];

    fn address(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + self as u8))
    }

    async fn carry_out(
        self,
        podseal: &Podseal,
        costly: &[String],
        done: &AtomicUsize,
    ) -> io::Result<()> {
        let from = self.address();
        let small = json!({"metadata": {"name": "x"}, "spec": {"containers": []}});
        let count = || done.fetch_add(1, Ordering::Relaxed);
        if let Attack::Streams = self {
            let mut wire = Wire::http2_from(from, podseal).await?;
            for stream in (1..64).step_by(2) {
                wire.send(&post_headers(stream, 4)).await?;
            }
            count();
            for _ in 0..32 {
                wire.await_frame(1).await?;
            }
            return Ok(());
        }
        let mut wire = Wire::connect_from(from, podseal, b"http/1.1").await?;
        match self {
            Attack::Small => {
                let request = post("/mutate", &as_sent(&review("u", "ci", &small)));
                let (most, last) = request.split_at(request.len() - 1);
                loop {
                    wire.send(most).await?;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    wire.send(last).await?;
                    wire.answer().await?;
                    count();
                }
            }
            Attack::Costly => loop {
                let review = &costly[count() % costly.len()];
                wire.post("/validate", review).await?;
            },
            Attack::Held => {
                let request = post("/validate", &costly[0]);
                wire.send(&request[..request.len() - 1]).await?;
                count();
                wire.answer().await.map(|_| ())
            }
            Attack::LookUps => loop {
                let name = format!("none-{}", count());
                wire.post("/mutate", &as_sent(&review("u", &name, &small)))
                    .await?;
            },
            Attack::Streams => unreachable!("it has returned"),
        }
    }
}

/// The largest of the reviews that are known to cost much, close to the longest
/// body, the longest first.
fn costly_reviews() -> Vec<String> {
    let mut reviews: Vec<_> = costly::attacks(2000)
        .into_iter()
        .map(|(_, review)| review)
        .collect();
    reviews.retain(|review| (100_000..7 << 20).contains(&review.len()));
    reviews.sort_by_key(|review| std::cmp::Reverse(review.len()));
    reviews
}

/// The attackers, until this is dropped.
struct Attackers {
    tasks: Vec<JoinHandle<()>>,
    /// What each attack has done so often.
    done: Vec<Arc<AtomicUsize>>,
}

impl Attackers {
    fn start(podseal: &Arc<Podseal>) -> Attackers {
        let costly = Arc::new(costly_reviews());
        let (mut tasks, mut done) = (Vec::new(), Vec::new());
        for (attack, connections) in Attack::ALL {
            let counter = Arc::<AtomicUsize>::default();
            done.push(Arc::clone(&counter));
            for _ in 0..connections {
                let (podseal, costly) = (Arc::clone(podseal), Arc::clone(&costly));
                let counter = Arc::clone(&counter);
                tasks.push(spawn(async move {
                    loop {
                        let _ = attack.carry_out(&podseal, &costly, &counter).await;
                        // Which bounds the load.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }));
            }
        }
        Attackers { tasks, done }
    }

    fn counts(&self) -> Vec<usize> {
        self.done
            .iter()
            .map(|done| done.load(Ordering::Relaxed))
            .collect()
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        // They hold the process that they attack.
        for task in std::mem::take(&mut self.tasks) {
            let _ = block_on(task);
        }
    }
}

/// Asks about a job as client-go does: on a kept connection, again where podseal
/// confirms it. Returns the number of requests.
async fn ask(podseal: &Podseal, wire: &mut Option<Wire>, namespace: &str) -> usize {
    let review = job_review("u", namespace);
    for tries in 1..=TRIES {
        let connection = match wire.take() {
            Some(connection) => connection,
            None => Wire::http1(podseal).await,
        };
        let connection = wire.insert(connection);
        let answer = connection.post("/mutate?timeout=10s", &review).await;
        let answer = answer.expect("a connection of the API server's is kept");
        assert!([200, 429].contains(&answer.code), "{}", answer.code);
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if body["response"]["patchType"] == "JSONPatch" {
            return tries;
        }
        let after = &body["response"]["status"]["details"]["retryAfterSeconds"];
        let is_last = answer.is_last();
        assert!(
            answer.code == 429 || after.is_u64(),
            "not to be tried again: {body:#}"
        );
        if is_last {
            *wire = None;
        }
        tokio::time::sleep(Duration::from_secs(after.as_u64().unwrap_or(1))).await;
    }
    panic!("no answer in {TRIES} tries");
}

#[test]
fn under_all_attacks_at_once_jobs_are_decided_within_half_of_the_charts_memory() {
    let _machine = crate::alone();
    let container = container_of_chart();
    let limit = memory_limit(&container);
    let server = api_server();
    let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(kubeconfig.path(), server.kubeconfig()).expect("a kubeconfig");
    let rules = tempfile::NamedTempFile::new().expect("a file");
    let text = "rules: [{name: jobs, namespaces: {prefix: job-}, profile: rootless}]";
    std::fs::write(rules.path(), text).expect("a file of rules");
    let podseal = Arc::new(start_as(&container, |command| {
        command.env("KUBECONFIG", kubeconfig.path());
        command.arg("--namespace-rules").arg(rules.path());
    }));
    await_condition(
        "it is ready",
        || podseal.status("/readyz").0 == 200,
        String::new,
    );
    let before = podseal.process.peak_resident_bytes();
    let attackers = Attackers::start(&podseal);
    let are_at_work = || attackers.counts().iter().all(|count| *count > 20);
    await_condition("all attacks go on", are_at_work, || {
        format!("{:?}", attackers.counts())
    });
    let tries = block_on(async {
        let labelled = async {
            let (mut wire, mut tries) = (None, Vec::new());
            for _ in 0..JOBS {
                tries.push(ask(&podseal, &mut wire, "ci").await);
            }
            tries
        };
        let by_rule = async {
            let (mut wire, mut tries) = (None, Vec::new());
            for number in 0..JOBS {
                tries.push(ask(&podseal, &mut wire, &format!("job-{number}")).await);
            }
            tries
        };
        let (labelled, by_rule) = tokio::join!(labelled, by_rule);
        [labelled, by_rule].concat()
    });
    let again = tries.iter().filter(|tries| **tries > 1).count();
    let counts = attackers.counts();
    drop(attackers);
    let peak = podseal.process.peak_resident_bytes();
    println!(
        "{JOBS} and {JOBS} jobs decided, {again} of them asked again; the attacks went on {counts:?} times; \
         at most {} MiB were resident, {} before the attacks, of a limit of {}",
        peak >> 20,
        before >> 20,
        limit >> 20
    );
    assert!(peak < limit / 2, "{peak} bytes of {limit}");
}
