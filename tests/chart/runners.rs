//! Where jobs would be denied because nothing names their runner, helm says so
//! before it applies anything.

use serde_json::{Value, json};
use support::controlplane::{ADMIN, await_condition};
use support::helm::{CHART, helm, helm_prints};
use support::text;

use crate::release::{Attempt, Release};

const FROM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/charts/released/podseal-0.2.0.tgz"
);
const REFUSED: &str = "serve.requireRunner: defaults to true, and jobs would be denied for: ";
const RUNNER: &str = "system:serviceaccount:gitlab:gitlab-runner";

/// Namespaces of a test. They opt out at its end: the control plane is shared, and
/// no other release could be installed beside them.
struct Labelled<'r> {
    release: &'r Release,
    names: Vec<String>,
}

impl<'r> Labelled<'r> {
    fn new(release: &'r Release) -> Labelled<'r> {
        Labelled {
            release,
            names: Vec::new(),
        }
    }

    /// One more, with these labels and annotations of podseal's.
    fn add(&mut self, name: &str, labels: &Value, annotations: &Value) {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
        });
        self.names.push(name.to_owned());
        self.release.plane.apply(ADMIN, &namespace.to_string());
    }
}

impl Drop for Labelled<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            let args = ["label", "namespace", name, "podseal.io/profile-"];
            self.release.plane.kubectl(ADMIN, &args, "");
        }
    }
}

impl Release {
    /// Runs helm as [`Release::helm`] does, without waiting.
    fn try_helm(&self, verb: &str, args: &[&str]) -> Result<String, String> {
        let own = ["-n", &self.namespace, "--set", &self.port];
        let drain = ["--set", "serve.drainSeconds=2"];
        let all = [&[verb, &self.name, CHART], &own[..], &drain, args].concat();
        let output = helm(&self.plane, &all);
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    /// What helm says where it refuses for want of a runner.
    fn is_refused_by_helm(&self, verb: &str, args: &[&str]) -> String {
        let told = self.try_helm(verb, args);
        let told = told.expect_err("nothing names the runner");
        assert!(told.contains(REFUSED), "{told}");
        told
    }

    /// The revisions that helm has of the release.
    fn revisions(&self) -> usize {
        let args = ["history", &self.name, "-n", &self.namespace, "-o", "json"];
        let history = helm_prints(&self.plane, &args);
        let history: Value = serde_json::from_str(&history).expect("JSON");
        history.as_array().expect("revisions").len()
    }

    /// The argument by which replicas require a runner, or do not.
    fn requirement(&self) -> Option<String> {
        let path = format!(
            "/apis/apps/v1/namespaces/{}/deployments/{}",
            self.namespace, self.name
        );
        let deployment = self.get(&path).expect("the Deployment");
        let args = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array();
        let mut args = args.expect("arguments").iter().filter_map(Value::as_str);
        args.find(|arg| arg.starts_with("--require-runner"))
            .map(str::to_owned)
    }

    fn await_job(&self, namespace: &str, what: &str, is_so: impl Fn(&Attempt) -> bool) {
        let last = || format!("{:?}", self.try_job(namespace));
        await_condition(what, || is_so(&self.try_job(namespace)), last);
    }
}

#[test]
fn an_install_is_refused_until_the_runners_of_namespaces_that_grant_are_named() {
    let release = Release::new("unnamed");
    let mut all = Labelled::new(&release);
    let privileged = json!({"podseal.io/profile": "privileged"});
    let with_level =
        |level: &str| json!({"podseal.io/profile": "privileged", "podseal.io/level": level});
    let none = json!({});
    for number in 0..6 {
        all.add(&format!("unnamed-{number}"), &privileged, &none);
    }
    all.add("unnamed-6", &with_level("baseline"), &none);
    // Nobody is denied anything in these.
    all.add(
        "others-rootless",
        &json!({"podseal.io/profile": "rootless"}),
        &none,
    );
    all.add("others-restricted", &with_level("restricted"), &none);
    all.add("others-free", &with_level("privileged"), &none);
    all.add("others-misspelt", &with_level("basline"), &none);
    all.add(
        "others-named",
        &privileged,
        &json!({"podseal.io/runner": RUNNER}),
    );
    all.add("others-excluded", &privileged, &none);
    all.add("kube-others", &privileged, &none);
    let args = ["--set=webhooks.excludedNamespaces={others-excluded}"];
    for verb in [&["install"][..], &["install", "--dry-run=server"]] {
        let told = release.is_refused_by_helm(verb[0], &[&verb[1..], &args].concat());
        let listed =
            "unnamed-0, unnamed-1, unnamed-2, unnamed-3, unnamed-4 and 2 more (namespaces)";
        assert!(told.contains(listed), "{told}");
        assert!(
            told.contains("kubectl annotate namespace NAME podseal.io/runner="),
            "{told}"
        );
        assert!(!told.contains("others"), "{told}");
    }
    let releases = helm_prints(&release.plane, &["list", "-q", "-n", &release.namespace]);
    assert_eq!(releases.trim(), "", "nothing is applied");
    assert_eq!(release.configuration("mutatingwebhookconfigurations"), None);
    // Who cannot list namespaces, or knows better, sets the value.
    for value in ["true", "false"] {
        let set = format!("--set=serve.requireRunner={value}");
        let rendered = release.try_helm("install", &[&set, "--dry-run=server"]);
        assert!(rendered.is_ok(), "{rendered:?}");
    }
    let off = ["--set=webhooks.enabled=false", "--dry-run=server"];
    let rendered = release.try_helm("install", &off);
    assert!(rendered.is_ok(), "as in an emergency: {rendered:?}");
    for number in 0..7 {
        let name = format!("unnamed-{number}");
        let runner = format!("podseal.io/runner={RUNNER}");
        release.kubectl(&["annotate", "namespace", &name, &runner]);
    }
    release.install(&args);
    release.await_corrections();
    assert_eq!(release.requirement().as_deref(), Some("--require-runner"));
    let granted = |attempt: &Attempt| *attempt == Attempt::Corrected;
    release.await_job("unnamed-0", "its job is corrected", granted);
    // Who names none from now on has jobs denied by a sentence.
    release.kubectl(&["annotate", "namespace", "unnamed-0", "podseal.io/runner-"]);
    let denied = |attempt: &Attempt| match attempt {
        Attempt::Refused(said) => said.contains("does not name the user that creates its job pods"),
        _ => false,
    };
    release.await_job("unnamed-0", "its job is denied", denied);
    release.node().check();
}

#[test]
fn an_upgrade_from_0_2_0_is_refused_until_runners_are_named_or_the_value_is_set() {
    let release = Release::new("from02");
    release.helm("install", FROM, &[]);
    release.await_corrections();
    let mut all = Labelled::new(&release);
    let open = "from02-open";
    all.add(
        open,
        &json!({"podseal.io/profile": "privileged"}),
        &json!({}),
    );
    let reset = "--reset-then-reuse-values";
    let granted = |attempt: &Attempt| *attempt == Attempt::Corrected;

    for args in [
        &[reset][..],
        &[reset, "--dry-run=server"],
        &["--reset-values"],
    ] {
        let told = release.is_refused_by_helm("upgrade", args);
        assert!(
            told.contains(&format!("jobs would be denied for: {open} (namespaces)")),
            "{told}"
        );
    }
    assert_eq!(release.revisions(), 1, "nothing is applied");
    assert_eq!(
        release.requirement(),
        None,
        "the Deployment of 0.2.0 goes on"
    );
    assert_eq!(release.try_job(&release.jobs), Attempt::Corrected);

    // Helm takes 0.2.0's default for a value that was set: the notes say so.
    let notes = release.helm("upgrade", CHART, &["--reuse-values"]);
    assert!(
        notes.contains("WARNING  serve.requireRunner=false"),
        "{notes}"
    );
    assert_eq!(
        release.requirement().as_deref(),
        Some("--require-runner=false")
    );
    release.is_refused_by_helm("upgrade", &[reset]);

    // Set to false it stays as it was; set to true, jobs are denied.
    release.helm(
        "upgrade",
        CHART,
        &[reset, "--set=serve.requireRunner=false"],
    );
    assert_eq!(
        release.requirement().as_deref(),
        Some("--require-runner=false")
    );
    release.await_job(open, "whoever creates a job gets the grants", granted);
    release.helm("upgrade", CHART, &[reset, "--set=serve.requireRunner=true"]);
    let denied = |attempt: &Attempt| match attempt {
        Attempt::Refused(said) => said.contains("does not name the user that creates its job pods"),
        _ => false,
    };
    release.await_job(open, "its job is denied", denied);
    let args = [reset, "--set=serve.requireRunner=null"];
    release.is_refused_by_helm("upgrade", &args);

    // A rule likewise.
    let runner = format!("podseal.io/runner={RUNNER}");
    release.kubectl(&["annotate", "namespace", open, &runner]);
    let rule =
        json!({"name": "jobs", "namespaces": {"prefix": "ci-job-"}, "profile": "privileged"});
    let rules = format!("--set-json=namespaceRules=[{rule}]");
    let told = release.is_refused_by_helm("upgrade", &[&args[..], &[&rules]].concat());
    assert!(
        told.contains("jobs would be denied for: jobs (namespace rules)"),
        "{told}"
    );
    let mut named = rule;
    named["runner"] = RUNNER.into();
    let rules = format!("--set-json=namespaceRules=[{named}]");
    release.helm("upgrade", CHART, &[&args[..], &[&rules]].concat());
    assert_eq!(release.requirement().as_deref(), Some("--require-runner"));
    release.await_job(open, "its job is corrected", granted);
    release.node().check();
}

#[test]
fn profiles_of_a_config_map_are_known_where_the_cluster_has_it() {
    let release = Release::new("configmap");
    let mut all = Labelled::new(&release);
    for profile in ["wide", "narrow"] {
        let labels = json!({"podseal.io/profile": profile});
        all.add(&format!("configmap-{profile}"), &labels, &json!({}));
    }
    let args = ["--set=profiles.configMap=ours", "--dry-run=server"];
    let rendered = release.try_helm("install", &args);
    assert!(rendered.is_ok(), "it is not there yet: {rendered:?}");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
    "metadata": {"name": "ours", "namespace": release.namespace},
    "data": {
        "wide.yaml": "name: wide\nextends: narrow\n\
                      containers: {services: {grants: {baseline: [privileged]}}}\n",
        "narrow.yaml": "name: narrow\nextends: rootless\n",
    }});
    release.plane.apply(ADMIN, &map.to_string());
    let told = release.is_refused_by_helm("install", &args);
    assert!(
        told.contains("jobs would be denied for: configmap-wide (namespaces)"),
        "{told}"
    );
}
