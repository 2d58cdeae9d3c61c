//! Custom profiles and namespace rules, as `podseal serve` loads them from files,
//! and reloads them when they change.

mod paths;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use support::controlplane::await_condition;
use support::podseal::Podseal;
use support::{block_on, text};

const NAMESPACES: &str = "
{kind: Namespace, metadata: {name: ci, labels: {podseal.io/profile: mine}}}
---
{kind: Namespace, metadata: {name: changed, labels: {podseal.io/profile: mine},
  annotations: {podseal.io/run-as-user: '2000', podseal.io/home: /work/home}}}
---
{kind: Namespace, metadata: {name: wrong, labels: {podseal.io/profile: mine},
  annotations: {podseal.io/run-as-user: '0'}}}
---
{kind: Namespace, metadata: {name: ci-job-17}}
---
{kind: Namespace, metadata: {name: kube-ci-job}}
";

const RULES: &str = "
rules:
- name: jobs
  namespaces: {prefix: ci-job-}
  profile: mine
  settings: {run-as-user: '1500'}
- name: late
  namespaces: {prefix: ci-}
  profile: none
";

fn profile(uid: u32) -> String {
    format!(
        "name: mine\nsummary: ours\nextends: rootless\n\
         containers: {{build: {{set: {{securityContext: {{runAsUser: {uid}}}}}}}}}\n"
    )
}

/// Puts `text` in place as a ConfigMap's volume does: by a symlink to another
/// folder, renamed over the old one.
fn swap(folder: &Path, version: &str, text: &str) {
    let data = folder.join(format!("..{version}"));
    std::fs::create_dir(&data).expect("the folder can be made");
    std::fs::write(data.join("mine.yaml"), text).expect("the file can be written");
    let new = folder.join("..new");
    symlink(format!("..{version}"), &new).expect("a link");
    std::fs::rename(new, folder.join("..data")).expect("the link can be renamed");
    let file = folder.join("mine.yaml");
    if !file.exists() {
        symlink("..data/mine.yaml", file).expect("a link");
    }
}

fn review(namespace: &str) -> Value {
    let mut pod = cases::fixture("default-with-service");
    pod["metadata"]["namespace"] = namespace.into();
    cases::review::review("u", namespace, &pod)
}

struct Serving {
    podseal: Podseal,
    client: reqwest::Client,
}

impl Serving {
    fn start(profiles: &Path, arguments: &[&str]) -> Serving {
        let profiles = profiles.display().to_string();
        let arguments = [&["--profiles", &profiles], arguments].concat();
        let podseal = Podseal::with_namespaces(NAMESPACES, &arguments);
        let client = podseal.client().build().expect("a client");
        Serving { podseal, client }
    }

    /// What `/mutate` answers for a job in `namespace`.
    fn mutate(&self, namespace: &str) -> Value {
        let (_, answer) = self.post("/mutate", namespace);
        serde_json::from_str::<Value>(&answer).expect("JSON")["response"].clone()
    }

    /// The code and the text with which a path answers a job in `namespace`.
    fn post(&self, path: &str, namespace: &str) -> (u16, String) {
        let url = format!("{}{path}", self.podseal.url);
        let request = self.client.post(url).body(review(namespace).to_string());
        block_on(async {
            let response = request.send().await.expect("an answer");
            let code = response.status().as_u16();
            (code, response.text().await.expect("a text"))
        })
    }

    /// The user that `build` gets in `namespace`, if the pod is corrected.
    fn uid(&self, namespace: &str) -> Option<i64> {
        self.after(namespace)?
            .pointer("/securityContext/runAsUser")?
            .as_i64()
    }

    /// `build` as the patch leaves it.
    fn after(&self, namespace: &str) -> Option<Value> {
        use base64::Engine;
        let answer = self.mutate(namespace);
        let patch = answer["patch"].as_str()?;
        let patch = base64::engine::general_purpose::STANDARD.decode(patch);
        let patch: json_patch::Patch =
            serde_json::from_slice(&patch.expect("base64")).expect("a patch");
        let mut pod = review(namespace)["request"]["object"].clone();
        json_patch::patch(&mut pod, &patch).expect("it fits");
        let containers = pod["spec"]["containers"].as_array().expect("containers");
        containers.iter().find(|c| c["name"] == "build").cloned()
    }

    fn await_uid(&self, uid: i64) {
        let is_so = || self.uid("ci") == Some(uid);
        await_condition("the new profile decides", is_so, || {
            format!("{:?}", self.uid("ci"))
        });
    }
}

#[test]
fn profiles_are_reloaded_as_their_volume_changes_and_no_review_is_dropped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    swap(folder.path(), "1", &profile(1001));
    let serving = Serving::start(folder.path(), &[]);
    assert_eq!(serving.uid("ci"), Some(1001));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut reviews = 0;
            while !stop.load(Ordering::Relaxed) {
                assert!(serving.uid("ci").is_some(), "every job is corrected");
                reviews += 1;
            }
            reviews
        });
        for version in 2..12 {
            let uid = 1000 + version;
            swap(folder.path(), &version.to_string(), &profile(uid));
            serving.await_uid(uid.into());
        }
        stop.store(true, Ordering::Relaxed);
        assert!(load.join().expect("no review fails") > 10);
    });
    let reloads = "podseal_profiles_reloads_total{result=\"success\"}";
    assert_eq!(serving.podseal.metric(reloads), Some(10.0));
}

#[test]
fn the_old_name_of_if_unset_is_read_and_logged_as_deprecated_when_profiles_are_reloaded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    swap(folder.path(), "1", &profile(1001));
    let serving = Serving::start(folder.path(), &[]);
    let old = "pod:\n  default: {hostUsers: true}\n";
    swap(folder.path(), "2", &format!("{}{old}", profile(1002)));
    serving.await_uid(1002);
    let reported = serving
        .podseal
        .await_event(|event| event["message"] == "a profile has a deprecated field or name");
    let warning = reported["warning"].as_str().expect("a warning");
    let expected = "pod.default: is deprecated; its name is ifUnset now";
    assert!(warning.contains(expected), "{warning}");
}

#[test]
fn a_broken_file_keeps_the_last_good_set_and_is_logged_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    swap(folder.path(), "1", &profile(1001));
    let serving = Serving::start(folder.path(), &[]);
    let failing = "podseal_profiles_reload_failing";
    assert_eq!(serving.podseal.metric(failing), Some(0.0));
    let broken = "name: mine\nsummary: ours\ncontainers:\n  biuld: {}\n";
    swap(folder.path(), "2", broken);
    serving.podseal.await_metric(failing, 1.0);
    assert_eq!(serving.uid("ci"), Some(1001), "the last good set decides");
    let place = "mine.yaml:4:3: did you mean `build`? unknown field `biuld`";
    let reported = serving
        .podseal
        .await_event(|event| event["message"] == "reload failed; keeping the previous profiles");
    let problem = reported["problem"].as_str().expect("a problem");
    assert!(problem.contains(place), "{problem}");
    let (code, page) = serving.podseal.status("/readyz?verbose");
    assert_eq!(code, 200, "it serves: {page}");
    assert!(
        page.contains("[!]profiles") && page.contains(place),
        "{page}"
    );
    swap(folder.path(), "3", &profile(1003));
    serving.await_uid(1003);
    let is_well = || serving.podseal.metric(failing) == Some(0.0);
    await_condition("the metric falls", is_well, String::new);
    let (_, page) = serving.podseal.status("/readyz?verbose");
    assert!(!page.contains("[!]"), "{page}");
}

#[test]
fn a_namespace_changes_what_the_profile_allows_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    swap(folder.path(), "1", &profile(1001));
    let serving = Serving::start(folder.path(), &[]);
    let build = serving.after("changed").expect("it is corrected");
    assert_eq!(build["securityContext"]["runAsUser"], 2000);
    let env = build["env"].as_array().expect("env");
    let home = env.iter().find(|var| var["name"] == "HOME").expect("HOME");
    assert_eq!(home["value"], "/work/home");
    let answer = serving.mutate("wrong");
    assert_eq!(answer["allowed"], false);
    let message = answer["status"]["message"].as_str().expect("a message");
    let expected = "namespace \"wrong\" has the label podseal.io/profile: \"mine\", and the \
                    annotation podseal.io/run-as-user cannot be applied: \"0\" is not a user ID \
                    from 1 to 65535; to fix this, ask a cluster administrator to correct or remove \
                    that";
    assert!(message.starts_with(expected), "{message}");
    swap(folder.path(), "2", &(profile(1001) + "settings: [home]\n"));
    let refused = || serving.mutate("changed")["allowed"] == false;
    await_condition(
        "the profile lets it change HOME alone",
        refused,
        String::new,
    );
}

#[test]
fn a_rule_applies_to_namespaces_without_a_label_but_never_to_the_clusters_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    swap(folder.path(), "1", &profile(1001));
    let rules = folder.path().join("rules.txt");
    std::fs::write(&rules, RULES).expect("the file can be written");
    let serving = Serving::start(
        folder.path(),
        &[
            "--namespace-rules",
            text(rules.as_os_str().as_encoded_bytes()).as_ref(),
        ],
    );
    assert_eq!(
        serving.uid("ci-job-17"),
        Some(1500),
        "the first that matches"
    );
    assert_eq!(serving.uid("kube-ci-job"), None);
    assert_eq!(
        serving.uid("ci"),
        Some(1001),
        "a namespace with the label gets nothing from rules"
    );
}

#[test]
fn the_old_flag_for_namespace_rules_is_read_and_logged_as_deprecated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    swap(folder.path(), "1", &profile(1001));
    let rules = folder.path().join("rules");
    std::fs::write(&rules, RULES).expect("the file can be written");
    let rules = rules.display().to_string();
    let serving = Serving::start(folder.path(), &["--defaults", &rules]);
    assert_eq!(serving.uid("ci-job-17"), Some(1500), "the rule applies");
    serving.podseal.await_event(|event| {
        event["message"] == "--defaults is deprecated; use --namespace-rules instead"
    });
}

#[test]
fn a_profile_that_a_rule_names_cannot_be_removed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    swap(folder.path(), "1", &profile(1001));
    let rules = folder.path().join("rules.txt");
    std::fs::write(&rules, RULES).expect("the file can be written");
    let rules = rules.display().to_string();
    let serving = Serving::start(folder.path(), &["--namespace-rules", &rules]);
    swap(
        folder.path(),
        "2",
        "name: other\nsummary: ours\nextends: none\n",
    );
    let failing = "podseal_profiles_reload_failing";
    serving.podseal.await_metric(failing, 1.0);
    let (_, page) = serving.podseal.status("/readyz?verbose");
    let reported = "profiles reload failed; keeping the previous profiles: namespace rule \"jobs\" names the profile \"mine\"";
    assert!(page.contains(reported), "{page}");
    assert_eq!(serving.uid("ci-job-17"), Some(1500));
    assert_eq!(serving.uid("ci"), Some(1001));
}

#[test]
fn a_folder_that_cannot_be_used_at_the_start_ends_podseal_with_every_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("the file can be written");
    };
    write("a.yaml", "name: a\nsummary: x\nextends: rootles\n");
    write("b.yaml", "name: rootless\nsummary: x\n");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["profiles", "--check"]).arg(folder.path());
    let output = support::run(command, "");
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains(
            "a.yaml:3:1: extends: there is no profile \"rootles\"; did you mean rootless?"
        ),
        "{stdout}"
    );
    assert!(
        stdout.contains("b.yaml:1:1: name: \"rootless\" is already used by podseal itself"),
        "{stdout}"
    );
}

#[test]
fn a_rule_with_which_every_job_is_denied_ends_podseal_at_the_start() {
    for (rule, why) in [
        (
            "profile: rootles",
            "namespace rule \"jobs\" names the profile \"rootles\", and there are only rootless,",
        ),
        (
            "profile: rootless, settings: {run-as-user: '0'}",
            "namespace rule \"jobs\": settings.run-as-user: \"0\" is not a user ID from 1 to 65535",
        ),
        (
            "profile: rootless, settings: {fuse-resource: a.test/fuse}",
            "settings.fuse-resource: the profile requests no fuse device",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let rules = folder.path().join("rules.yaml");
        let text = format!("rules:\n- {{name: jobs, namespaces: {{prefix: ci-}}, {rule}}}\n");
        std::fs::write(&rules, text).expect("the file can be written");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.args([
            "serve",
            "--tls-cert-file",
            "none",
            "--tls-private-key-file",
            "none",
        ]);
        command.arg("--namespace-rules").arg(&rules);
        let output = support::run(command, "");
        let stderr = support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}
