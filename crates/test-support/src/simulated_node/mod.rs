//! A node without a container runtime, for one namespace: a scheduler, a kubelet, and the
//! controllers of Deployments and endpoints. It stands for two where pods need the same
//! port of a node.
//!
//! ```text
//!  Deployment ──deployments.rs──▶ Pod ──kubelet.rs──▶ the real podseal
//!                                                          ▲
//!  Service ────services.rs──▶ a balancer on this host ─────┘
//! ```
//!
//! What runs depends only on the live objects: arguments, environment, service
//! account, volumes, probes. A machine forces these differences on it:
//!
//! - The binary under test stands in for every image; for that of podseal 0.2.0 with a
//!   server in front that knows no more paths than 0.2.0, see `podseal_0_2.rs`.
//! - Processes share this host's addresses, so podseal listens on free ports,
//!   and each Service becomes `ExternalName: localhost`; its port leads to a
//!   balancer here. Install with a free port as the Service's.
//! - A Deployment owns its pods itself: there are no ReplicaSets.
//! - Only [`Node::log`] reads a pod's log.
//!
//! A pod's process has a root filesystem of its own, see `sandbox.rs`.

mod api;
mod container;
mod deployments;
mod kubelet;
mod podseal_0_2;
mod running;
mod sandbox;
mod services;
mod volumes;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::{Api, Trouble};
use kubelet::Kubelet;

use crate::controlplane::ControlPlane;

pub use kubelet::Replica;
use services::Services;

/// How often it looks at the objects.
const TURN: Duration = Duration::from_millis(150);

/// Runs a namespace until it is dropped.
pub struct Node {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    slow: Slow,
    not_found: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Since when pods that start are not ready for how long, as on nodes that pull an
/// image slowly.
type Slow = Arc<Mutex<Option<(Instant, Duration)>>>;

/// What tests may know.
#[derive(Default)]
struct Seen {
    error: Option<String>,
    replicas: Vec<Replica>,
    logs: Vec<(String, running::Log)>,
}

impl Node {
    /// Starts to run `namespace`, which need not exist yet.
    pub fn start(plane: &ControlPlane, namespace: &str) -> Node {
        let api = Api::new(plane, namespace);
        let (stop, seen) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Seen>>::default());
        let (slow, not_found) = (Slow::default(), Arc::default());
        let cluster = Cluster {
            kubelet: Kubelet::new(api.clone(), Arc::clone(&slow), Arc::clone(&not_found)),
            services: Services::new(api.clone()),
            api,
            seen: Arc::clone(&seen),
        };
        let ends = Arc::clone(&stop);
        let thread = std::thread::spawn(move || cluster.run(&ends));
        Node {
            stop,
            seen,
            slow,
            not_found,
            thread: Some(thread),
        }
    }

    /// Pods that start from now on are not ready before `time` is over.
    pub fn delay_readiness(&self, time: Duration) {
        let mut slow = self.slow.lock().expect("no holder panics");
        *slow = Some((Instant::now(), time));
    }

    /// How many requests replicas of 0.2.0 have answered with 404.
    pub fn not_found(&self) -> usize {
        self.not_found.load(Ordering::Relaxed)
    }

    /// Panics with the first thing that went wrong, if any did.
    pub fn check(&self) {
        let is_over = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        assert!(!is_over, "the node has panicked");
        if let Some(error) = self.take_error() {
            panic!("the node: {error}");
        }
    }

    /// The first thing that went wrong, which the test then has expected.
    pub fn take_error(&self) -> Option<String> {
        self.seen().error.take()
    }

    /// The replicas of Deployments that serve and are ready.
    pub fn replicas(&self) -> Vec<Replica> {
        self.seen().replicas.clone()
    }

    /// Whether processes have a root filesystem of their own: not where the
    /// machine permits no mount namespaces.
    pub fn isolates() -> bool {
        sandbox::isolates()
    }

    /// What a pod's process has logged, while the pod is there and afterwards.
    pub fn log(&self, pod: &str) -> Vec<String> {
        let log = self
            .seen()
            .logs
            .iter()
            .find(|(name, _)| name == pod)
            .cloned();
        let (_, log) = log.unwrap_or_else(|| panic!("a pod {pod} has run here"));
        log.lock().expect("its reader does not panic").clone()
    }

    /// What the processes of all pods have logged, of those that are gone as well.
    pub fn logs(&self) -> Vec<String> {
        let logs: Vec<_> = self
            .seen()
            .logs
            .iter()
            .map(|(_, log)| log.clone())
            .collect();
        let lines = |log: &running::Log| log.lock().expect("its reader does not panic").clone();
        logs.iter().flat_map(lines).collect()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder panics")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is joined here alone");
        thread.thread().unpark();
        let error = match thread.join() {
            Ok(()) => self.take_error(),
            Err(panic) => Some(format!("panicked: {:?}", panic.downcast_ref::<String>())),
        };
        match error {
            Some(error) if std::thread::panicking() => eprintln!("the node: {error}"),
            Some(error) => panic!("the node: {error}"),
            None => (),
        }
    }
}

/// Everything that looks at the namespace.
struct Cluster {
    api: Api,
    kubelet: Kubelet,
    services: Services,
    seen: Arc<Mutex<Seen>>,
}

impl Cluster {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if let Err(Trouble::Wrong(error)) = self.turn() {
                let mut seen = self.seen.lock().expect("no holder panics");
                seen.error.get_or_insert(error);
            }
            std::thread::park_timeout(TURN);
        }
    }

    /// Runs everything once. An error in one part does not stop the others.
    fn turn(&mut self) -> Result<(), Trouble> {
        let deployments = self.api.list("/apis/apps/v1", "deployments")?;
        let pods = self.api.list("/api/v1", "pods")?;
        let results = [
            deployments::reconcile(&self.api, &deployments, &pods),
            // Before the kubelet ends any: a pod drains from then on.
            self.services.turn(&pods, &self.kubelet),
            self.kubelet.turn(&pods),
        ];
        let mut seen = self.seen.lock().expect("no holder panics");
        seen.replicas = self.kubelet.replicas();
        for (pod, log) in self.kubelet.logs() {
            if !seen.logs.iter().any(|(name, _)| *name == pod) {
                seen.logs.push((pod, log));
            }
        }
        results.into_iter().collect()
    }
}
