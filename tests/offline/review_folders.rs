//! `podseal review` of folders, which it takes as `kubectl -f` does.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::text;

fn review(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(["review", "--profile", "rootless", "-o", "json"]);
    command.args(args).current_dir(folder);
    support::run(command, "")
}

fn files(output: &Output) -> Vec<String> {
    let stdout = text(&output.stdout);
    let objects = stdout.lines().map(serde_json::from_str::<Value>);
    let file = |object: Value| object["file"].as_str().expect("a name").to_owned();
    objects.map(|object| file(object.expect("JSON"))).collect()
}

fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let pod = cases::fixture("default-with-service").to_string();
        std::fs::write(path, pod).expect("written");
    }
    folder
}

#[test]
fn the_manifests_of_a_folder_are_reviewed_in_order_and_nothing_else() {
    let folder = folder(&[
        "pods/b.yaml",
        "pods/a.yml",
        "pods/c.json",
        "pods/notes.txt",
        "pods/more/d.yaml",
        "pods/more.yaml/e.json",
        "last.yaml",
    ]);
    let output = review(&["pods", "last.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let own = ["pods/a.yml", "pods/b.yaml", "pods/c.json"];
    assert_eq!(files(&output), [&own[..], &["last.yaml"]].concat());
    let below = ["pods/more.yaml/e.json", "pods/more/d.yaml"];
    for flag in ["-R", "--recursive"] {
        let found = files(&review(&[flag, "pods"], folder.path()));
        assert_eq!(found.len(), own.len() + below.len(), "{found:?}");
        assert!(
            own.iter()
                .chain(&below)
                .all(|file| found.contains(&(*file).to_owned()))
        );
    }
}

#[test]
fn a_file_of_a_folder_that_cannot_be_used_is_named_and_the_others_are_reviewed() {
    let folder = folder(&["pods/a.yaml", "pods/z.yaml"]);
    for (content, error) in [
        ("kind: [\n", "error: pods/m.yaml: not YAML"),
        ("spec: {}\n", "error: pods/m.yaml: document 1 has no kind"),
    ] {
        std::fs::write(folder.path().join("pods/m.yaml"), content).expect("written");
        let output = review(&["pods"], folder.path());
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(files(&output), ["pods/a.yaml", "pods/z.yaml"]);
        let stderr = text(&output.stderr);
        assert!(stderr.contains(error), "{stderr}");
    }
}

#[test]
fn objects_of_other_kinds_are_skipped_and_counted_and_the_pods_beside_them_reviewed() {
    let folder = folder(&["all/a.yaml"]);
    let pod = cases::fixture("default-with-service").to_string();
    let mixed = format!("kind: ConfigMap\n---\n{pod}\n---\nkind: Deployment\n");
    std::fs::write(folder.path().join("all/b.yaml"), mixed).expect("written");
    std::fs::write(folder.path().join("all/c.yaml"), "kind: Deployment\n").expect("written");
    let output = review(&["all"], folder.path());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(files(&output), ["all/a.yaml", "all/b.yaml"]);
    let note = "note: not reviewed: 1 ConfigMap, 2 Deployment; podseal reviews pods, and no";
    assert!(stderr.contains(note), "{stderr}");
    // Also of a file that is named itself, but not if there is no pod at all.
    let output = review(&["all/b.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = review(&["all/c.yaml"], folder.path());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let error = "error: all/c.yaml: document 1 is a \"Deployment\"; podseal reviews";
    assert!(stderr.contains(error), "{stderr}");
    std::fs::remove_file(folder.path().join("all/a.yaml")).expect("removed");
    std::fs::remove_file(folder.path().join("all/b.yaml")).expect("removed");
    let output = review(&["all"], folder.path());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("error: all: no file of the folder contains a pod"),
        "{stderr}"
    );
}

#[test]
fn pipes_and_devices_in_a_folder_are_skipped() {
    let folder = folder(&["pods/a.yaml"]);
    let pipe = Command::new("mkfifo")
        .arg(folder.path().join("pods/b.yaml"))
        .status();
    assert!(pipe.expect("mkfifo can be started").success());
    let device = folder.path().join("pods/c.json");
    std::os::unix::fs::symlink("/dev/zero", device).expect("a link");
    let output = review(&["pods"], folder.path());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(files(&output), ["pods/a.yaml"]);
    for skipped in ["pods/b.yaml", "pods/c.json"] {
        let note = format!("note: {skipped} is skipped: it is no regular file\n");
        assert!(stderr.contains(&note), "{stderr}");
    }
}

#[test]
fn a_folder_without_manifests_is_an_error_that_says_so() {
    let folder = folder(&["empty/notes.txt", "deep/more/pod.yaml"]);
    for (args, error) in [
        (
            &["empty"][..],
            "error: empty: the folder contains no .json, .yaml or .yml file; use -R",
        ),
        (
            &["deep"],
            "error: deep: the folder contains no .json, .yaml or .yml file; use -R",
        ),
        (
            &["-R", "empty"],
            ".yml file, and neither do the folders in it",
        ),
        (
            &["missing"],
            "error: missing: cannot read the file: No such file",
        ),
    ] {
        let output = review(args, folder.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(error), "{args:?}: {stderr}");
    }
}
