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
    std::fs::write(folder.path().join("pods/m.yaml"), "kind: Deployment\n").expect("written");
    let output = review(&["pods"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(files(&output), ["pods/a.yaml", "pods/z.yaml"]);
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("error: pods/m.yaml: document 1 is a \"Deployment\""),
        "{stderr}"
    );
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
