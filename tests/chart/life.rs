//! From installing to uninstalling, with jobs that come all the time.

use serde_json::Value;
use support::controlplane::{ADMIN, await_condition};
use support::text;

use crate::release::{Attempt, CONFIGURATIONS, Release, job};

/// The two ways in which helm sends objects, and what somebody mixes who
/// upgrades helm itself.
const SERVER_SIDE: &str = "--server-side=true";
const CLIENT_SIDE: &str = "--server-side=false";

/// A life in which no job notices what is done to the release.
fn lives(name: &str, install: &str, upgrade: &str) {
    let release = Release::installed(name, &[install]);
    let bundles = release.ca_bundles();
    assert!(bundles.iter().all(|bundle| !bundle.is_empty()));
    let unchanged = || {
        assert_eq!(release.ca_bundles(), bundles, "the caBundle has changed");
        assert_eq!(release.await_serving(), 2);
    };
    let first = release.pods();
    let fared = release.under_traffic(|| release.upgrade(&[upgrade]));
    fared.is_flawless("upgrade to the same");
    unchanged();
    assert_eq!(release.pods(), first, "replicas were replaced for nothing");
    let changes = [
        "--set=serve.logLevel=debug",
        "--set=podAnnotations.a=b",
        upgrade,
    ];
    let fared = release.under_traffic(|| release.upgrade(&changes));
    fared.is_flawless("upgrade with other values");
    unchanged();
    let second = release.pods();
    assert!(
        first.iter().all(|pod| !second.contains(pod)),
        "nothing was replaced"
    );
    let fared = release.under_traffic(|| release.rollback("1", &[upgrade]));
    fared.is_flawless("rollback");
    unchanged();
    assert!(
        second.iter().all(|pod| !release.pods().contains(pod)),
        "nothing was replaced"
    );
    let fared = release.under_traffic(|| {
        release.uninstall();
        release.await_attempt("jobs pass as they are", &Attempt::Untouched);
    });
    assert!(fared.refused.is_empty(), "uninstall: {:#?}", fared.refused);
    release.node().check();
}

impl Release {
    /// Waits until there are only replicas that serve, and returns how many.
    fn await_serving(&self) -> usize {
        let serving = || self.node().replicas().len();
        let is_so = || serving() == self.pods().len();
        await_condition("old replicas are gone", is_so, String::new);
        serving()
    }

    /// The names of podseal's pods.
    pub(crate) fn pods(&self) -> Vec<String> {
        let args = ["get", "pods", "-o", "name", "-n", &self.namespace];
        self.kubectl(&args).lines().map(str::to_owned).collect()
    }

    /// What is left of the release, of any kind.
    fn left(&self) -> Vec<String> {
        let kinds = self.kubectl(&["api-resources", "--verbs=list,get", "-o", "name"]);
        let kinds: Vec<_> = kinds.lines().collect();
        // Under a name of ours or with our label, wherever.
        let args = [
            "get",
            &kinds.join(","),
            "-A",
            "-o",
            "custom-columns=\
            K:.kind,NS:.metadata.namespace,N:.metadata.name,L:.metadata.labels",
            "--no-headers",
        ];
        let ours = |line: &&str| line.contains(&self.name);
        let output = self.plane.kubectl(ADMIN, &args, "");
        let all = text(&output.stdout);
        assert!(
            all.contains("kube-system"),
            "nothing was listed: {}",
            text(&output.stderr)
        );
        all.lines().filter(ours).map(str::to_owned).collect()
    }
}

#[test]
fn no_job_notices_an_upgrade_a_rollback_or_that_podseal_goes() {
    lives("life", SERVER_SIDE, SERVER_SIDE);
}

#[test]
fn nor_where_helm_merges_objects_itself() {
    lives("merged", CLIENT_SIDE, CLIENT_SIDE);
}

#[test]
fn nor_where_a_later_helm_sends_them_otherwise() {
    lives("mixed", CLIENT_SIDE, SERVER_SIDE);
}

#[test]
fn jobs_are_refused_only_until_the_installation_says_it_is_done() {
    let release = Release::new("install");
    let fared = release.under_traffic(|| {
        release.install(&[]);
        // From here on there is no excuse.
        let fared = release.under_traffic(|| ());
        fared.is_flawless("after the installation");
    });
    for refusal in &fared.refused {
        assert!(refusal.contains("failed calling webhook"), "{refusal}");
    }
    println!("{} jobs came too early", fared.refused.len());
}

#[test]
fn from_installing_to_pods_that_are_created_freely_again() {
    let release = Release::new("path");
    let privileged = job("privileged-with-service");
    let try_privileged = || Attempt::of(release.plane.try_pod(&release.jobs, &privileged));
    // Before, nothing is known of podseal.
    assert_eq!(release.try_job(&release.jobs), Attempt::Untouched);
    assert_eq!(try_privileged(), Attempt::Untouched);
    assert_eq!(release.left(), Vec::<String>::new());

    release.install(&[]);
    release.await_corrections();
    let created = release
        .plane
        .create_pod(&release.jobs, &job("default-with-service"));
    assert_eq!(Attempt::of(created), Attempt::Corrected);
    let Attempt::Refused(message) = try_privileged() else {
        panic!("a privileged job passes");
    };
    let ours = "admission webhook \"validate.podseal.io\" denied the request: ";
    assert!(message.contains(ours), "{message}");
    assert!(message.contains("privileged"), "{message}");
    assert!(!release.left().is_empty());

    release.upgrade(&["--set=replicas=1"]);
    assert_eq!(release.try_job(&release.jobs), Attempt::Corrected);

    release.uninstall();
    release.await_attempt("jobs pass as they are", &Attempt::Untouched);
    assert_eq!(try_privileged(), Attempt::Untouched);
    let is_over = || release.left().is_empty();
    await_condition("nothing is left", is_over, || release.left().join("\n"));
    release.node().check();
}

#[test]
fn the_chart_says_nothing_of_what_podseal_writes() {
    let release = Release::new("silent");
    let args = ["template", &release.name, support::helm::CHART];
    let manifests = support::helm::helm_prints(&release.plane, &args);
    let objects = manifests.split("---\n").filter_map(|one| {
        let object: Option<Value> = serde_saphyr::from_str(one).ok();
        object.filter(Value::is_object)
    });
    let objects: Vec<_> = objects.collect();
    for one in &objects {
        // As a field; the comments may speak of it.
        assert!(!one.to_string().contains("caBundle\":"), "{one:#}");
    }
    let secrets: Vec<_> = objects
        .iter()
        .filter(|one| one["kind"] == "Secret")
        .collect();
    assert_eq!(secrets.len(), 1, "the Secret is the chart's");
    assert!(secrets[0]["data"].is_null() && secrets[0]["stringData"].is_null());
    // What podseal writes is still there when everything else was sent again.
    release.install(&[]);
    let path = format!(
        "/api/v1/namespaces/{}/secrets/{}-tls",
        release.namespace, release.name
    );
    let data = || release.get(&path).expect("the Secret is there")["data"].clone();
    let before = data();
    assert!(before["tls.crt"].is_string(), "{before}");
    release.upgrade(&[]);
    release.rollback("1", &[]);
    assert_eq!(data(), before);
}

#[test]
fn switched_off_webhooks_hold_up_nobody_and_come_back() {
    let release = Release::installed("switch", &[]);
    release.upgrade(&["--set=webhooks.enabled=false"]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.configuration(kind), None);
    }
    release.await_attempt("jobs pass as they are", &Attempt::Untouched);
    release.upgrade(&["--set=webhooks.enabled=true"]);
    release.await_corrections();
    assert!(release.ca_bundles().iter().all(|bundle| !bundle.is_empty()));
}
