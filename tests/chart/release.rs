//! A release of the chart, in a namespace of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};

use reqwest::Method;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, ControlPlane, await_condition, free_port};
use support::helm::{CHART, helm, helm_prints};
use support::simulated_node::Node;
use support::text;

/// Both kinds of webhook configurations, as the API names them.
pub(crate) const CONFIGURATIONS: [&str; 2] = [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
];

/// One of the control planes that the tests share.
///
/// Three: the tests wait for drains and rollouts more than they compute.
fn plane() -> MutexGuard<'static, ControlPlane> {
    type Plane = LazyLock<Mutex<ControlPlane>>;
    static PLANES: [Plane; 3] =
        [const { LazyLock::new(|| Mutex::new(ControlPlane::start_empty(&[]))) }; 3];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let free = PLANES.iter().find_map(|plane| match plane.try_lock() {
        Ok(plane) => Some(plane),
        // A test that failed has taken its release along.
        Err(TryLockError::Poisoned(plane)) => Some(plane.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    });
    free.unwrap_or_else(|| {
        let plane = PLANES[next % PLANES.len()].lock();
        plane.unwrap_or_else(PoisonError::into_inner)
    })
}

/// A namespace that holds its pods to `restricted`, a node that runs it, and a
/// namespace of jobs that has opted in; then, a release.
pub(crate) struct Release {
    pub(crate) node: Option<Node>,
    /// Also the name of the chart's objects.
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// Where jobs run.
    pub(crate) jobs: String,
    pub(crate) port: String,
    // Last: nobody else has it while something of this release is there.
    pub(crate) plane: MutexGuard<'static, ControlPlane>,
}

impl Release {
    /// One that is not installed yet. Its objects have the name `NAME-podseal`.
    pub(crate) fn new(name: &str) -> Release {
        let plane = plane();
        let release = Release {
            node: Some(Node::start(&plane, &format!("{name}-system"))),
            name: format!("{name}-podseal"),
            namespace: format!("{name}-system"),
            jobs: format!("{name}-jobs"),
            port: format!("service.port={}", free_port()),
            plane,
        };
        let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        release.create_namespace(&release.namespace, &restricted);
        let opted_in = json!({"podseal.io/profile": "rootless"});
        release.create_namespace(&release.jobs, &opted_in);
        release
    }

    /// Installed with these arguments, and serving.
    pub(crate) fn installed(name: &str, args: &[&str]) -> Release {
        let release = Release::new(name);
        release.install(args);
        release.await_corrections();
        release
    }

    pub(crate) fn create_namespace(&self, name: &str, labels: &Value) {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        });
        self.plane.apply(ADMIN, &namespace.to_string());
    }

    /// Installs the chart of the tree, and returns what helm prints.
    pub(crate) fn install(&self, args: &[&str]) -> String {
        self.helm("install", CHART, args)
    }

    pub(crate) fn upgrade(&self, args: &[&str]) {
        self.helm("upgrade", CHART, args);
    }

    /// Installs or upgrades to `chart`, and waits as a user would.
    pub(crate) fn helm(&self, verb: &str, chart: &str, args: &[&str]) -> String {
        self.helm_at_once(verb, chart, &[&["--wait", "--timeout=180s"], args].concat())
    }

    /// The same without waiting.
    pub(crate) fn helm_at_once(&self, verb: &str, chart: &str, args: &[&str]) -> String {
        let name = self.name.as_str();
        let own = ["-n", &self.namespace, "--set", &self.port];
        // Of the drain nothing is to be seen here but its end.
        let drain = ["--set", "serve.drainSeconds=2"];
        let all = [&[verb, name, chart], &own[..], &drain, args].concat();
        helm_prints(&self.plane, &all)
    }

    /// Goes back to a revision.
    pub(crate) fn rollback(&self, revision: &str, args: &[&str]) {
        let wait = ["--wait", "--timeout=180s", "-n", &self.namespace];
        let all = [&["rollback", &self.name, revision], &wait[..], args].concat();
        helm_prints(&self.plane, &all);
    }

    pub(crate) fn uninstall(&self) {
        let args = ["uninstall", &self.name, "-n", &self.namespace];
        helm_prints(&self.plane, &args);
    }

    /// What runs the release's namespace.
    pub(crate) fn node(&self) -> &Node {
        self.node.as_ref().expect("it is there until the end")
    }

    /// Runs kubectl as the administrator, and returns what it prints.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let output = self.plane.kubectl(ADMIN, args, "");
        assert!(
            output.status.success(),
            "kubectl {}: {}",
            args.join(" "),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Waits until a replica of every pod that the Deployment wants is ready.
    pub(crate) fn await_rollout(&self) {
        let deployment = format!("deployment/{}", self.name);
        let args = ["rollout", "status", &deployment, "--timeout=180s", "-n"];
        self.kubectl(&[&args[..], &[self.namespace.as_str()]].concat());
    }

    /// An object, such as `/api/v1/…`, if there is one.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let (code, object) = self.plane.request(ADMIN, Method::GET, path, None);
        assert!(matches!(code, 200 | 404), "{code}: {object:#}");
        (code == 200).then_some(object)
    }

    /// One of the two configurations.
    pub(crate) fn configuration(&self, kind: &str) -> Option<Value> {
        let group = "/apis/admissionregistration.k8s.io/v1";
        self.get(&format!("{group}/{kind}/{}", self.name))
    }

    /// What the API server trusts of each webhook.
    pub(crate) fn ca_bundles(&self) -> Vec<String> {
        let bundles = CONFIGURATIONS.iter().flat_map(|kind| {
            let configuration = self.configuration(kind).expect("it is installed");
            let webhooks = configuration["webhooks"].as_array().cloned();
            webhooks.expect("webhooks")
        });
        bundles
            .map(|webhook| {
                let bundle = webhook["clientConfig"]["caBundle"].as_str();
                bundle.unwrap_or_default().to_owned()
            })
            .collect()
    }

    /// Tries a job's pod in `namespace`.
    pub(crate) fn try_job(&self, namespace: &str) -> Attempt {
        let mut pod = job("default-with-service");
        // Whatever is stored there already.
        pod["metadata"]["name"] = "tried".into();
        Attempt::of(self.plane.try_pod(namespace, &pod))
    }

    /// Waits until jobs are corrected: the API server's own view of webhooks
    /// and of labels is a cache.
    pub(crate) fn await_corrections(&self) {
        self.await_attempt("jobs are corrected", &Attempt::Corrected);
    }

    /// Waits until a job's pod fares like this.
    pub(crate) fn await_attempt(&self, what: &str, wanted: &Attempt) {
        let is_so = || self.try_job(&self.jobs) == *wanted;
        await_condition(what, is_so, || format!("{:?}", self.try_job(&self.jobs)));
    }

    /// Waits until jobs are refused because nobody judges them, and returns
    /// what the API server says.
    pub(crate) fn await_outage(&self) -> String {
        let mut said = String::new();
        let is_refused = || match self.try_job(&self.jobs) {
            Attempt::Refused(message) => {
                said = message;
                said.contains("failed calling webhook")
            }
            _ => false,
        };
        await_condition("jobs are refused", is_refused, String::new);
        said
    }
}

/// Values of the chart, in a file that may be written anew.
pub(crate) struct Values(tempfile::NamedTempFile);

impl Values {
    pub(crate) fn new(values: &Value) -> Values {
        let file = Values(tempfile::NamedTempFile::new().expect("a temporary file"));
        file.write(values);
        file
    }

    pub(crate) fn write(&self, values: &Value) {
        std::fs::write(self.0.path(), values.to_string()).expect("it can be written");
    }

    /// As an argument of helm's.
    pub(crate) fn arg(&self) -> String {
        format!("--values={}", self.0.path().display())
    }
}

impl Drop for Release {
    /// What would meet the next test's release.
    fn drop(&mut self) {
        let uninstall = ["uninstall", &self.name, "-n", &self.namespace];
        helm(
            &self.plane,
            &[&uninstall[..], &["--ignore-not-found"]].concat(),
        );
        let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations,\
                     validatingadmissionpolicies,validatingadmissionpolicybindings,\
                     clusterroles,clusterrolebindings";
        let selector = format!("app.kubernetes.io/instance={}", self.name);
        self.plane
            .kubectl(ADMIN, &["delete", kinds, "-l", &selector], "");
        // Last, and with what went wrong in it.
        drop(self.node.take());
    }
}

/// A job's pod, as the runner sends it to any namespace.
pub(crate) fn job(fixture: &str) -> Value {
    let mut pod = cases::fixture(fixture);
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("namespace");
    pod
}

/// How the creation of a job's pod went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It was created with what the profile gives it.
    Corrected,
    /// It was created as it was sent.
    Untouched,
    /// It was not, by this message.
    Refused(String),
}

impl Attempt {
    pub(crate) fn of((code, answer): (u16, Value)) -> Attempt {
        if code != 201 {
            let message = answer["message"].as_str().unwrap_or_default();
            return Attempt::Refused(format!("{code}: {message}"));
        }
        let containers = answer["spec"]["containers"].as_array().expect("containers");
        let build = containers.iter().find(|one| one["name"] == "build");
        match build.expect("a job")["securityContext"]["runAsUser"].is_u64() {
            true => Attempt::Corrected,
            false => Attempt::Untouched,
        }
    }
}
