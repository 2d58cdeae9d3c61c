//! From an installation to a job that builds, by nothing but the commands that
//! `podseal doctor` prints.

use std::time::Duration;

use serde_json::{Value, json};
use support::wait::await_value;

use crate::doctor::of;
use crate::fuse_device::await_no_plugin;
use crate::job::{Ended, Job};
use crate::site::{Namespace, Site};

const PATIENCE: Duration = Duration::from_secs(120);
const IMAGE: &str = "podman-stable:trixie";

impl Namespace<'_> {
    /// What is wrong, and has a command of its own.
    fn faults(&self) -> (i32, Vec<(String, String)>) {
        let (code, report) = self.site.doctor(&self.name, &[]);
        let findings = report["findings"].as_array().expect("findings");
        let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or("").to_owned();
        let faults = findings
            .iter()
            .filter(|finding| ["error", "warning"].contains(&text(finding, "severity").as_str()))
            .map(|finding| (text(finding, "id"), text(finding, "fix")))
            // The first is found by its cause too, the second offers another profile, and the
            // third is a matter of choice.
            .filter(|(id, fix)| {
                !["dry-run", "no-node", "guard-missing"].contains(&id.as_str()) && !fix.is_empty()
            })
            .collect();
        (code, faults)
    }
}

/// What is to be put back after the device plugin, which the doctor has one install.
struct WithoutPlugin<'s>(&'s Site);

impl Drop for WithoutPlugin<'_> {
    fn drop(&mut self) {
        let upgrade = ["upgrade", "podseal", "charts/podseal"];
        let off = ["--namespace=podseal", "--reset-then-reuse-values", "--wait"];
        let off = [&off[..], &["--set=devicePlugin.enabled=false"]].concat();
        self.0.node.run("helm", &[&upgrade[..], &off].concat(), "");
    }
}

#[test]
fn its_commands_lead_from_four_traps_to_a_job_that_builds() {
    let site = Site::alone();
    site.create_runner();
    await_no_plugin(&site.node);
    let misspelt = [("runner", "system:serviceaccount:gitlab:gitlab-runer")];
    let namespace = site.namespace_with(&[("profile", "root-fuse")], &misspelt);
    let name = &namespace.name;
    let level = "pod-security.kubernetes.io/enforce=restricted";
    site.node.kubectl(&["label", "namespace", name, level]);
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "devices", "namespace": name},
        "spec": {"hard": {"requests.github.com/fuse": "0"}}});
    site.node.apply(&quota.to_string());
    let path = "jsonpath={.status.hard}";
    let status = || namespace.kubectl(&["get", "resourcequota", "devices", "-o", path]);
    let is_counted = || status().contains("fuse").then_some(());
    await_value("the quota is counted", PATIENCE, is_counted, status);

    let _plugin = WithoutPlugin(&site);
    let mut mended = Vec::new();
    let ends_without_an_error = || {
        let (code, faults) = namespace.faults();
        match faults.into_iter().next() {
            None if code == 0 => Some(()),
            Some((id, fix)) if !mended.contains(&id) => {
                site.node.prints("bash", &["-c", &fix]);
                mended.push(id);
                None
            }
            // The kubelet may not know the device yet, or a quota not be counted again.
            _ => None,
        }
    };
    let now = || format!("{:#?}", namespace.faults());
    await_value("no error is left", PATIENCE, ends_without_an_error, now);
    let traps = [
        "runner-unknown",
        "pod-security",
        "quota-of-fuse",
        "fuse-missing",
    ];
    assert_eq!(mended, traps);

    let (code, report) = namespace.tried(IMAGE);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(of(&report, "root-fuse")["works"], "yes", "{report:#}");
    let ended = Job::new(IMAGE).run(&namespace);
    ended.passes_with("podman build passed as uid 0");
}

/// A kubelet with `seccompDefault`, until this is dropped.
struct SeccompDefault<'s>(&'s Site);

impl SeccompDefault<'_> {
    fn on(site: &Site) -> SeccompDefault<'_> {
        let turned_on = SeccompDefault(site);
        turned_on.restart("sed -i '$a seccompDefault: true' /work/kubelet.yaml");
        turned_on
    }

    fn restart(&self, change: &str) {
        let node = &self.0.node;
        node.stop_component("kubelet", "TERM");
        node.prints("bash", &["-c", change]);
        node.start_component("kubelet");
        let healthy = ["get", "--raw", "/api/v1/nodes/node/proxy/healthz"];
        let answers = || {
            let output = node.run("kubectl", &healthy, "");
            output.status.success().then_some(())
        };
        await_value("the kubelet answers", PATIENCE, answers, || {
            node.component_log("kubelet")
        });
    }
}

impl Drop for SeccompDefault<'_> {
    fn drop(&mut self) {
        self.restart("sed -i '/^seccompDefault/d' /work/kubelet.yaml");
    }
}

#[test]
fn a_kubelet_with_seccomp_default_is_seen_and_so_is_that_jobs_fail_there() {
    let site = Site::alone();
    let namespace = site.namespace("rootless");
    let _on = SeccompDefault::on(&site);
    let (code, report) = site.doctor(&namespace.name, &[]);
    assert_eq!(code, 1, "{report:#}");
    for profile in ["rootless", "root", "userns"] {
        let answer = of(&report, profile);
        assert_eq!(answer["works"], "no", "{report:#}");
        let reason = "the kubelet's seccompDefault is on";
        assert_eq!(answer["reason"], reason, "{report:#}");
    }
    assert_ne!(of(&report, "privileged")["works"], "no", "{report:#}");
    Job::new(IMAGE)
        .run(&namespace)
        .fails_with("cannot clone: Operation not permitted");

    // As one sees it who may not ask the kubelet.
    let (code, report) = namespace.tried(IMAGE);
    assert_eq!(code, 1, "{report:#}");
    let outcome = &report["trials"][0]["outcome"];
    assert_eq!(outcome["symptom"], "user-namespaces-denied", "{report:#}");
}

/// What AppArmor's default profile does to Podman, on a machine whose kernel lacks AppArmor:
/// mounts end with EACCES.
const LIKE_APPARMOR: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mount", "move_mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}"#;

const CONFINED: &str = "\
name: confined
extends: rootless
summary: as on a node whose default profile denies mounts
containers:
  build:
    set:
      securityContext:
        seccompProfile: {type: Localhost, localhostProfile: like-apparmor.json}
";

#[test]
fn mounts_that_are_denied_as_by_apparmor_are_told_with_their_cause() {
    let site = Site::alone();
    let node = &site.node;
    let folder = "/var/lib/kubelet/seccomp";
    let write = format!("mkdir -p {folder} && cat >{folder}/like-apparmor.json");
    let output = node.run("bash", &["-c", &write], LIKE_APPARMOR);
    assert!(output.status.success(), "{output:?}");
    std::fs::write(node.work("confined.yaml"), CONFINED).expect("it can be written");
    let values = ["--set-file=profiles.files.confined=/work/confined.yaml"];
    let _upgraded = site.upgraded(&values);

    let namespace = site.namespace("confined");
    let is_served = || {
        let (_, report) = site.doctor(&namespace.name, &[]);
        let findings = report["findings"].as_array()?;
        let tried = findings.iter().find(|finding| finding["id"] == "dry-run")?;
        (tried["severity"] == "ok").then_some(())
    };
    await_value("all replicas have the profile", PATIENCE, is_served, || {
        format!("{:#}", site.doctor(&namespace.name, &[]).1)
    });
    let (code, report) = namespace.tried(IMAGE);
    assert_eq!(code, 1, "{report:#}");
    let outcome = &report["trials"][0]["outcome"];
    assert_eq!(outcome["symptom"], "mount-denied", "{report:#}");
    let reason = of(&report, "confined")["reason"].as_str().unwrap_or("");
    assert!(reason.contains("AppArmor"), "{report:#}");
    let pod = Job::new(IMAGE).create(&namespace).expect("it is created");
    Ended::of(&namespace, &pod).fails_with("permission denied");
}
