//! An API server, and replicas that it reaches through a Service, each behind a network
//! of its own to the API server.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, RwLock};
use std::time::Duration;

use cases::review::{as_sent, review};
use rustls::DEFAULT_VERSIONS;
use serde_json::Value;
use support::balancer::Balancer;
use support::block_on;
use support::chart::rules_file;
use support::controlplane::{ControlPlane, PODSEAL, await_condition};
use support::podseal::Podseal;
use support::proxy::Proxy;
use support::tls::{self, Authority, Issued};
use support::volume::Volume;

use super::timeline::{Intervals, Span, Users};

/// The rule, whose profile is reloaded.
const RULES: &str =
    r#"namespaceRules=[{"name":"jobs","namespaces":{"prefix":"ci-job-"},"profile":"soak"}]"#;
const PROFILES: &str = r#"profiles={"files":{"soak":"name: soak"}}"#;
/// The first of them stays to the end.
const REPLICAS: usize = 3;
const NAMES: [&str; 3] = ["podseal.podseal.svc", "localhost", "127.0.0.1"];
/// Half of the chart's limit of memory.
const MEMORY: u64 = 64 << 20;

pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    /// When the API server was away.
    pub(crate) away: Intervals,
    /// When a replica was being killed.
    pub(crate) killed: Intervals,
    pub(crate) users: Users,
    /// Held for writing while the API server is away.
    gate: RwLock<()>,
    /// Held while a replica starts.
    starting: Mutex<()>,
    balancer: Balancer,
    authority: Authority,
    issued: Mutex<Issued>,
    folder: tempfile::TempDir,
    certificate: Mutex<Volume>,
    profile: Mutex<Volume>,
    replicas: Mutex<Vec<Replica>>,
    started: AtomicUsize,
}

pub(crate) struct Replica {
    pub(crate) podseal: Podseal,
    client: reqwest::Client,
    /// The path of the webhook for namespace rules.
    rules: String,
    /// Between it and the API server.
    pub(crate) network: Proxy,
}

/// The profile, with this user.
fn profile(user: i64) -> String {
    format!(
        "name: soak\nsummary: of changing users\nextends: rootless\n\
         containers: {{build: {{set: {{securityContext: {{runAsUser: {user}}}}}}}}}\n"
    )
}

impl Cluster {
    pub(crate) fn start() -> Cluster {
        let plane = ControlPlane::start();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = Authority::new("podseal");
        let issued = authority.issue_as(&NAMES, 1975, 4096);
        let users = Users::default();
        users.next(2000);
        let in_folder = |name: &str| folder.path().join(name);
        let certificate = Volume::new(in_folder("tls"), &issued.files());
        let profile = Volume::new(in_folder("profiles"), &[("soak.yaml", &profile(2000))]);
        let rules = rules_file(&[RULES, PROFILES]);
        std::fs::write(in_folder("rules.yaml"), rules).expect("the folder can be written");
        let balancer = Balancer::start();
        plane.register(&[RULES, PROFILES], &authority.pem, balancer.port);
        let cluster = Cluster {
            plane,
            away: Intervals::noticed_after(Duration::ZERO),
            // The API server may just have taken the connection for another review.
            killed: Intervals::noticed_after(Duration::from_secs(1)),
            users,
            gate: RwLock::default(),
            starting: Mutex::default(),
            balancer,
            authority,
            issued: Mutex::new(issued),
            folder,
            certificate: Mutex::new(certificate),
            profile: Mutex::new(profile),
            replicas: Mutex::default(),
            started: AtomicUsize::default(),
        };
        for _ in 0..REPLICAS {
            cluster.add_replica();
        }
        cluster
    }

    /// A replica that is ready gets its share of the connections.
    pub(crate) fn add_replica(&self) {
        let _starting = self.starting.lock().expect("no holder panics");
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let network = Proxy::start(self.plane.apiserver_port());
        let path = |name: &str| self.folder.path().join(name);
        let ca = self.authority.pem.clone();
        let podseal = Podseal::with_certificate(&path("tls"), ca, |command| {
            command.env(
                "KUBECONFIG",
                self.plane.kubeconfig_by(PODSEAL, network.port),
            );
            command.arg("--namespace-rules").arg(path("rules.yaml"));
            command.arg("--profiles").arg(path("profiles"));
            command
                .arg("--audit-log-path")
                .arg(path(&format!("records-{number}")));
            // Rotated often, and everything is kept.
            command.args(["--audit-log-maxsize", "1", "--audit-log-maxbackup", "0"]);
            command.args(["--drain", "1s"]);
        });
        let is_ready = || podseal.status("/readyz").0 == 200;
        await_condition("a replica is ready", is_ready, || {
            podseal.status("/readyz?verbose").1
        });
        self.balancer.add(podseal.address());
        let event = podseal.await_event(|event| event["rules"].is_string());
        let digest = event["rules"].as_str().expect("a digest");
        self.replicas().push(Replica {
            client: podseal.client().http1_only().build().expect("a client"),
            rules: format!("/mutate/{digest}"),
            podseal,
            network,
        });
    }

    /// Takes a replica out of the Service, the oldest but for the one that stays.
    pub(crate) fn take_replica(&self) -> Podseal {
        let replica = self.replicas().remove(1);
        self.balancer.remove(replica.podseal.address());
        replica.check_memory();
        replica.podseal
    }

    /// What each replica answers for a job in this namespace, called as the API server does
    /// for namespaces with podseal's label, or for those of rules.
    pub(crate) fn profiles(&self, namespace: &str, has_label: bool) -> Vec<(Span, String)> {
        let pod = cases::fixture("default-with-service");
        let review = as_sent(&review("again", namespace, &pod));
        let ask = |replica: &Replica| {
            let path = if has_label { "/mutate" } else { &replica.rules };
            let url = format!("{}{path}", replica.podseal.url);
            let request = replica.client.post(url).body(review.clone());
            let answer = async {
                let answer = request.send().await.expect("a replica that lives answers");
                answer.bytes().await.expect("a whole answer")
            };
            let (span, answer) = Span::of(|| block_on(answer));
            let answer: Value = serde_json::from_slice(&answer).expect("JSON");
            let profile = &answer["response"]["auditAnnotations"]["profile"];
            let profile = profile.as_str().map(str::to_owned);
            (span, profile.unwrap_or_else(|| answer.to_string()))
        };
        self.replicas().iter().map(ask).collect()
    }

    pub(crate) fn replicas(&self) -> MutexGuard<'_, Vec<Replica>> {
        self.replicas.lock().expect("no holder panics")
    }

    /// Serves a new certificate of the same CA.
    pub(crate) fn rotate_certificate(&self) {
        let mut issued = self.issued.lock().expect("no holder panics");
        *issued = self.authority.issue_as(&NAMES, 1975, 4096);
        let mut volume = self.certificate.lock().expect("no holder panics");
        volume.swap(&issued.files());
    }

    /// Gives the profile this user.
    pub(crate) fn change_profile(&self, user: i64) {
        self.users.next(user);
        let mut volume = self.profile.lock().expect("no holder panics");
        volume.swap(&[("soak.yaml", &profile(user))]);
    }

    /// Makes the profile's file one that podseal cannot use, for some time.
    pub(crate) fn break_profile(&self, time: Duration) {
        // Replicas keep the profile that they have, but none can start without one.
        let _starting = self.starting.lock().expect("no holder panics");
        let mut volume = self.profile.lock().expect("no holder panics");
        let good = volume.read("soak.yaml");
        volume.swap(&[("soak.yaml", "name: [")]);
        // The fault lasts as long.
        std::thread::sleep(time);
        volume.swap(&[("soak.yaml", &good)]);
    }

    /// Ends the API server as a crash does, and starts it again.
    pub(crate) fn restart_apiserver(&self) {
        self.away.note(|| {
            let _closed = self.gate.write().expect("no holder panics");
            self.plane.stop_apiserver();
            self.plane.start_apiserver();
        });
    }

    /// Waits until the API server is there.
    pub(crate) fn await_apiserver(&self) {
        drop(self.gate.read().expect("no holder panics"));
    }

    /// Fails if a replica does not serve what was issued last.
    pub(crate) fn check_current(&self) {
        let client = tls::client(&self.authority.pem, DEFAULT_VERSIONS, None);
        let issued = self.issued.lock().expect("no holder panics").leaf();
        for replica in self.replicas().iter() {
            let served = || tls::served(&replica.podseal.url, &client) == issued;
            await_condition("the last certificate is served", served, String::new);
        }
    }

    /// Stops all replicas, and returns what all that ever ran have recorded.
    pub(crate) fn records(&self) -> String {
        for mut replica in self.replicas().drain(..) {
            replica.podseal.process.signal("TERM");
            assert_eq!(replica.podseal.process.end(), Some(0));
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.display().to_string().contains("/records-"))
            .collect();
        files.sort();
        let read = |path: PathBuf| std::fs::read_to_string(path).expect("records");
        // Who is killed may leave half a line.
        let texts: Vec<_> = files.into_iter().map(read).collect();
        texts.join("\n")
    }
}

impl Replica {
    pub(crate) fn check_memory(&self) {
        let memory = self.podseal.process.peak_resident_bytes();
        assert!(memory < MEMORY, "a replica has {memory} bytes");
    }
}
