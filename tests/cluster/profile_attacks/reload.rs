//! Folders that change in a way that must not be taken up.

use std::path::Path;
use std::process::Command;

use support::podseal::Podseal;
use support::text;

const NAMESPACES: &str = "{kind: Namespace, metadata: {name: ci-job-1}}";
const RULES: &str = "rules:\n- {name: jobs, namespaces: {prefix: ci-job-}, profile: mine}\n";
const FAILING: &str = "podseal_profiles_reload_failing";

fn serve(folder: &Path) -> Podseal {
    let rules = folder.join("rules.txt");
    std::fs::write(&rules, RULES).expect("it can be written");
    write(folder, "mine");
    let path = |path: &Path| text(path.as_os_str().as_encoded_bytes());
    let arguments = [
        "--profiles",
        &path(folder),
        "--namespace-rules",
        &path(&rules),
    ];
    Podseal::with_namespaces(NAMESPACES, &arguments)
}

fn write(folder: &Path, name: &str) {
    let text = format!("name: {name}\nsummary: x\nextends: rootless\n");
    std::fs::write(folder.join(format!("{name}.yaml")), text).expect("it can be written");
}

#[test]
fn a_folder_without_the_profile_of_a_namespace_rule_is_not_loaded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let podseal = serve(folder.path());
    std::fs::remove_file(folder.path().join("mine.yaml")).expect("it was there");
    // With it podseal would not even start again.
    podseal.await_metric(FAILING, 1.0);
}

#[test]
fn a_named_pipe_does_not_stop_the_reload_of_profiles() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let podseal = serve(folder.path());
    let pipe = folder.path().join("x.yaml");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo")
            .success()
    );
    podseal.await_metric(FAILING, 1.0);
    std::fs::remove_file(&pipe).expect("it was there");
    podseal.await_metric(FAILING, 0.0);
}
