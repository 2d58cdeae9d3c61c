//! The trap: podseal's namespace is deleted, and its configurations, which are
//! in none, still name it.

use serde_json::json;
use support::controlplane::{ADMIN, await_condition};

use crate::release::{Attempt, Release};

impl Release {
    /// Does what the namespace controller does with a namespace that is going.
    fn finish_deletion(&self) {
        let args = [
            "api-resources",
            "--namespaced",
            "--verbs=delete,list",
            "-o",
            "name",
        ];
        let kinds = self.kubectl(&args);
        let kinds: Vec<_> = kinds.lines().collect();
        let kinds = kinds.join(",");
        let args = [
            "delete",
            &kinds,
            "--all",
            "--wait=false",
            "-n",
            &self.namespace,
        ];
        self.plane.kubectl(ADMIN, &args, "");
        let is_empty = || self.pods().is_empty();
        await_condition("podseal's pods are gone", is_empty, String::new);
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let namespace = self.get(&path).expect("it is going");
        self.plane.finalize_namespace(namespace);
        assert_eq!(self.get(&path), None, "it is gone");
    }
}

/// The commands of the notes that remove both configurations.
fn cure(notes: &str) -> Vec<Vec<String>> {
    let commands = notes.lines().map(str::trim);
    let commands = commands
        .filter(|line| line.starts_with("kubectl delete") && line.contains("webhookconfiguration"));
    let words = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect();
    commands.map(words).collect()
}

#[test]
fn the_deleted_namespace_of_podseal_holds_jobs_up_until_its_cure() {
    let release = Release::new("gone");
    let notes = release.install(&[]);
    release.await_corrections();
    release.kubectl(&["delete", "namespace", &release.namespace, "--wait=false"]);
    release.finish_deletion();

    let said = release.await_outage();
    let webhook = "failed calling webhook \"mutate.podseal.io\"";
    assert!(said.contains(webhook), "{said}");
    let missing = format!("service \"{}\" not found", release.name);
    await_condition(
        "the API server has seen it",
        || release.await_outage().contains(&missing),
        || release.await_outage(),
    );

    let mut commands = cure(&notes);
    if commands.is_empty() {
        let both = format!(
            "delete mutatingwebhookconfiguration/{0} validatingwebhookconfiguration/{0}",
            release.name
        );
        commands.push(both.split(' ').map(str::to_owned).collect());
    }
    for command in &commands {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        release.kubectl(&words);
    }
    release.await_attempt("jobs pass as they are", &Attempt::Untouched);

    // What else was left behind hinders nobody who comes again.
    let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    release.create_namespace(&release.namespace, &restricted);
    release.install(&[]);
    release.await_corrections();
    release.node().check();
}
