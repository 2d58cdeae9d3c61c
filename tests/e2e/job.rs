//! A job's pod as GitLab Runner makes it, with scripts in place of the runner's that do
//! what its scripts do.
//!
//! | container | does |
//! |---|---|
//! | `init-permissions` | makes the log that both write |
//! | `init-build-uid-gid-collector` | says who the user of `build` is, if the runner sets no umask |
//! | `helper` | exports the job's variables, configures git, clones, and puts the script into the volume |
//! | `build` | waits for the script, and runs it by the shell, with the job's variables |
//! | `build` of native steps | clones and runs the script by itself: there is no `helper` |
//!
//! Source: GitLab Runner 19.4, `executors/kubernetes` and `shells/abstract.go`.

use std::sync::atomic::{AtomicUsize, Ordering};

use cases::fixtures::fixture;
use serde_json::{Value, json};
use support::node::ADDRESS;
use support::text;

use crate::site::{Namespace, RUNNER};

const INIT: &str = "touch /logs/output.log && (chmod 777 /logs/output.log || exit 0)";

/// The file's owner says who `build` runs as.
const COLLECTOR: &str = "touch /builds/.user; echo \"collector: $(stat -c %u:%g /builds/.user)\"";

/// What begins every script.
const SOURCES: &str = r#"
set -e
VARIABLES
if [ ! -e /builds/.user ]; then umask 0000; fi
echo "sources: uid $(id -u), HOME $HOME"
git config --global --add safe.directory "$CI_PROJECT_DIR"
git config --global init.defaultBranch main
mkdir -p "$CI_PROJECT_DIR"
git init --quiet "$CI_PROJECT_DIR"
cd "$CI_PROJECT_DIR"
git remote add origin git://ADDRESS/playground.git
git fetch --quiet --depth 20 origin main
git checkout --quiet --force FETCH_HEAD
if [ -e /builds/.user ]; then chown -R "$(stat -c %u:%g /builds/.user)" /builds; fi
"#;

const HELPER: &str = r#"
finish() { code=$?; echo $code >/logs/helper; exit $code; }
trap finish EXIT
SOURCES
cat >/scripts/job.new <<'SCRIPT'
set -e
VARIABLES
cd "$CI_PROJECT_DIR"
JOB
SCRIPT
chmod 777 /scripts/job.new
mv /scripts/job.new /scripts/job
until [ -e /logs/build ]; do sleep 0.1; done
"#;

const STEPS: &str = r#"
exec 2>&1
SOURCES
JOB
"#;

const BUILD: &str = r#"
until [ -e /scripts/job ]; do
  if [ -e /logs/helper ]; then echo "build: helper failed"; exit 1; fi
  sleep 0.1
done
sh /scripts/job 2>&1
code=$?
echo $code >/logs/build
exit $code
"#;

/// What a job runs where it names no script: it builds the image of `tests/node/config`
/// from a program of its own image.
pub(crate) const BUILDS: &str = "\
cp /bin/busybox .
podman build --tag tried .
echo \"podman build passed as uid $(id -u), HOME $HOME, $(podman info --format \
'{{.Store.GraphDriverName}} in {{.Store.GraphRoot}}')\"";

/// The script of a job that has Buildah and no Podman.
pub(crate) const BUILDAH: &str = "\
cp /bin/busybox .
buildah build --tag tried .
echo \"passed as uid $(id -u), HOME $HOME, $(buildah info --format \
'{{.store.GraphDriverName}} in {{.store.GraphRoot}}')\"";

/// A job that is to be run.
#[derive(Clone)]
pub(crate) struct Job {
    pod: Value,
    image: String,
    script: String,
    variables: Vec<(String, String)>,
}

/// A job that has ended.
pub(crate) struct Ended {
    /// Whether `build` ended with code 0.
    pub(crate) passed: bool,
    /// What `build` printed.
    pub(crate) log: String,
    /// What `helper` printed, or nothing where there is none.
    pub(crate) helper_log: String,
    /// The pod's name.
    pub(crate) name: String,
    /// The pod as it is at the end.
    pub(crate) pod: Value,
}

impl Job {
    /// A job without services, of a runner with a plain config.toml.
    pub(crate) fn new(image: &str) -> Job {
        Job::of("default-with-service", image).edit(|pod| {
            let containers = pod["spec"]["containers"].as_array_mut();
            containers.expect("containers").truncate(2);
        })
    }

    /// A job of `tests/fixtures/pods`.
    pub(crate) fn of(name: &str, image: &str) -> Job {
        let mut pod = fixture(name);
        let containers = pod["spec"]["containers"].as_array_mut();
        for container in containers.expect("containers") {
            if container["name"] == "build" {
                container["image"] = format!("node.test/{image}").into();
            }
        }
        Job {
            pod,
            image: image.to_owned(),
            script: BUILDS.to_owned(),
            variables: Vec::new(),
        }
    }

    /// The same with another script.
    pub(crate) fn script(mut self, script: &str) -> Job {
        self.script = script.to_owned();
        self
    }

    /// The same with a variable that the job sets in `.gitlab-ci.yml`.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Job {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a change of its pod.
    pub(crate) fn edit(mut self, change: impl FnOnce(&mut Value)) -> Job {
        change(&mut self.pod);
        self
    }

    /// The same with a change of one container.
    pub(crate) fn edit_container(self, name: &str, change: impl FnOnce(&mut Value)) -> Job {
        self.edit(|pod| {
            let containers = pod["spec"]["containers"].as_array_mut();
            let mut containers = containers.expect("containers").iter_mut();
            change(
                containers
                    .find(|container| container["name"] == name)
                    .expect("it"),
            );
        })
    }

    /// The pod that the runner creates.
    fn pod(&self, namespace: &str) -> Value {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut pod = self.pod.clone();
        pod["metadata"]["name"] =
            format!("runner-ab3defghi-project-61234567-concurrent-0-{number:08}").into();
        pod["metadata"]["namespace"] = namespace.into();
        pod["spec"]
            .as_object_mut()
            .expect("a spec")
            .remove("imagePullSecrets");
        let project = (
            "CI_PROJECT_DIR".to_owned(),
            "/builds/platform/images/playground".to_owned(),
        );
        let variables: Vec<_> = std::iter::once(&project)
            .chain(&self.variables)
            .map(|(name, value)| format!("export {name}=\"{value}\""))
            .collect();
        let filled = |script: &str| {
            script
                .replace("SOURCES", SOURCES)
                .replace("ADDRESS", ADDRESS)
                .replace("VARIABLES", &variables.join("\n"))
                .replace("JOB\n", &format!("{}\n", self.script))
        };
        let containers = pod["spec"]["containers"].as_array();
        let has_helper = containers
            .expect("containers")
            .iter()
            .any(|container| container["name"] == "helper");
        let script = |name: &str| match name {
            "init-permissions" => Some(INIT.to_owned()),
            "init-build-uid-gid-collector" => Some(COLLECTOR.to_owned()),
            "helper" => Some(filled(HELPER)),
            "build" if has_helper => Some(BUILD.to_owned()),
            "build" => Some(filled(STEPS)),
            "init-steps-bootstrap" => Some("true".to_owned()),
            _ => None,
        };
        for list in ["initContainers", "containers"] {
            let containers = pod["spec"][list].as_array_mut();
            for container in containers.into_iter().flatten() {
                let name = container["name"].as_str().expect("a name").to_owned();
                if let Some(script) = script(&name) {
                    self.fill_in(container, &script);
                }
            }
        }
        pod
    }

    /// Gives one of the runner's own containers its script, and the job's variables.
    fn fill_in(&self, container: &mut Value, script: &str) {
        let mounts = container["volumeMounts"].as_array();
        let folder = |name: &str| -> String {
            let mount = mounts.and_then(|all| all.iter().find(|mount| mount["name"] == *name));
            let path = mount.and_then(|mount| mount["mountPath"].as_str());
            path.expect("a mount").to_owned()
        };
        let script = script
            .replace("/scripts/", &format!("{}/", folder("scripts")))
            .replace("/logs/", &format!("{}/", folder("logs")));
        container["command"] = json!(["sh", "-c", script]);
        match container["name"].as_str() {
            Some("build") => {
                if let Some(env) = container["env"].as_array_mut() {
                    let variables = self.variables.iter();
                    env.extend(
                        variables.map(|(name, value)| json!({"name": name, "value": value})),
                    );
                }
            }
            // It runs the image of `build`.
            Some("init-build-uid-gid-collector") => {
                container["image"] = format!("node.test/{}", self.image).into();
            }
            _ => container["image"] = "node.test/helper:1".into(),
        }
    }

    /// Has the runner create the pod. A denial is the API server's message.
    pub(crate) fn create(&self, namespace: &Namespace<'_>) -> Result<String, String> {
        let pod = self.pod(&namespace.name);
        let output = namespace.site.node.create(Some(RUNNER), &pod);
        if output.status.success() {
            Ok(pod["metadata"]["name"].as_str().expect("a name").to_owned())
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Runs the job to its end.
    pub(crate) fn run(&self, namespace: &Namespace<'_>) -> Ended {
        let name = self.create(namespace);
        let name = name.unwrap_or_else(|denial| panic!("the pod was denied: {denial}"));
        Ended::of(namespace, &name)
    }
}

impl Ended {
    /// Waits for the end of `build`.
    pub(crate) fn of(namespace: &Namespace<'_>, pod: &str) -> Ended {
        let path =
            "jsonpath={.status.containerStatuses[?(@.name==\"build\")].state.terminated.reason}";
        let wait = ["wait", "--timeout=180s", "--for", path, "pod", pod];
        let args = [&["--namespace", namespace.name.as_str()], wait.as_slice()].concat();
        let waited = namespace.site.node.run("kubectl", &args, "");
        assert!(
            waited.status.success(),
            "build did not end: {}\n{}\n{}",
            text(&waited.stderr),
            namespace.kubectl(&["get", "events"]),
            namespace.kubectl(&["get", "pods", "-o", "wide"]),
        );
        let state = namespace.get(&["pod", pod]);
        let containers = state["spec"]["containers"].as_array().expect("containers");
        let log = |name: &str| {
            let is_there = containers.iter().any(|container| container["name"] == name);
            let logs = || namespace.kubectl(&["logs", pod, "--container", name]);
            if is_there { logs() } else { String::new() }
        };
        let statuses = state["status"]["containerStatuses"].as_array();
        let build = statuses.expect("statuses").iter();
        let build = build.clone().find(|status| status["name"] == "build");
        Ended {
            passed: build.expect("build")["state"]["terminated"]["exitCode"] == 0,
            log: log("build"),
            helper_log: log("helper"),
            name: pod.to_owned(),
            pod: state,
        }
    }

    /// The job must have passed, and have printed this.
    #[track_caller]
    pub(crate) fn passes_with(&self, expected: &str) {
        assert!(self.passed && self.log.contains(expected), "{self}");
    }

    /// The job must have failed, with this in one of its logs.
    #[track_caller]
    pub(crate) fn fails_with(&self, expected: &str) {
        let is_said = self.log.contains(expected) || self.helper_log.contains(expected);
        assert!(!self.passed && is_said, "no {expected:?} in\n{self}");
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "passed: {}\nhelper:\n{}\nbuild:\n{}\n{:#}",
            self.passed, self.helper_log, self.log, self.pod["status"]
        )
    }
}
