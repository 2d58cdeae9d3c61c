//! The chart's namespace guard, in a real API server with RBAC.
//!
//! The attacker is mallory, who may do everything to namespaces but seal them.

use admission::namespace;
use admission::profile::Setting;
use cluster::{guarded, namespace};
use serde_json::{Value, json};
use support::controlplane::ADMIN;
use support::{chart, text};

mod cluster;

const PROFILE: &str = "label podseal.io/profile";
const RUNNER: &str = "annotation podseal.io/runner";

/// The annotations that change values of a profile.
fn settings() -> [&'static str; Setting::ALL.len()] {
    Setting::ALL.map(Setting::annotation)
}

#[test]
fn who_may_only_edit_namespaces_cannot_set_change_or_remove_a_key_of_podseals() {
    let plane = guarded();
    plane.sealed("edited");
    for (args, key) in [
        (
            &["label", "ns/default", "podseal.io/profile=none"][..],
            PROFILE,
        ),
        (&["label", "ns/default", "podseal.io/profile="], PROFILE),
        (
            &["label", "ns/default", "podseal.io/not-read-yet=x"],
            "label podseal.io/not-read-yet",
        ),
        (
            &["annotate", "ns/default", "podseal.io/runner=system:b"],
            RUNNER,
        ),
        (
            &[
                "label",
                "--overwrite",
                "ns/edited",
                "podseal.io/profile=privileged",
            ],
            PROFILE,
        ),
        (
            &["label", "--overwrite", "ns/edited", "podseal.io/profile="],
            PROFILE,
        ),
        (&["label", "ns/edited", "podseal.io/profile-"], PROFILE),
        (
            &["label", "ns/edited", "podseal.io/level-", "x=y"],
            "label podseal.io/level",
        ),
        (
            &[
                "annotate",
                "--overwrite",
                "ns/edited",
                "podseal.io/runner=system:b",
            ],
            RUNNER,
        ),
        (&["annotate", "ns/edited", "podseal.io/runner-"], RUNNER),
    ] {
        plane.refuses("mallory", args, "", key);
    }
    for annotation in settings() {
        let (set, remove) = (format!("{annotation}=1"), format!("{annotation}-"));
        let key = format!("annotation {annotation}");
        plane.refuses("mallory", &["annotate", "ns/edited", &set], "", &key);
        plane.allows("alice", &["annotate", "ns/edited", &set], "");
        let other = format!("{annotation}=2");
        let change = ["annotate", "--overwrite", "ns/edited", &other];
        plane.refuses("mallory", &change, "", &key);
        plane.refuses("mallory", &["annotate", "ns/edited", &remove], "", &key);
    }
    // Of several, the first in order of the alphabet, labels before annotations.
    let bare = "{\"metadata\": {\"labels\": null, \"annotations\": null}}";
    let patch = ["patch", "ns/edited", "--type=merge", "-p", bare];
    plane.refuses("mallory", &patch, "", "label podseal.io/level");
}

#[test]
fn no_way_to_write_a_namespace_leads_around_the_guard() {
    let plane = guarded();
    plane.sealed("doors");
    let privileged = json!({"podseal.io/profile": "privileged"});
    let bare = namespace("doors", &json!({}));
    let other = namespace("doors", &privileged);
    let replace = ["replace", "-f", "-"];
    plane.refuses("mallory", &replace, &bare, "label podseal.io/level");
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    plane.refuses("mallory", &apply, &other, PROFILE);
    for kind in ["merge", "strategic"] {
        let patch = json!({"metadata": {"labels": privileged}}).to_string();
        let kind = format!("--type={kind}");
        plane.refuses(
            "mallory",
            &["patch", "ns/doors", &kind, "-p", &patch],
            "",
            PROFILE,
        );
    }
    let remove = json!([{"op": "remove", "path": "/metadata/labels"}]).to_string();
    let patch = ["patch", "ns/doors", "--type=json", "-p", &remove];
    plane.refuses("mallory", &patch, "", "label podseal.io/level");
    // Status and finalize keep the metadata that comes with them.
    let patch = json!({"metadata": {"labels": privileged}}).to_string();
    let status = [
        "patch",
        "ns/doors",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    plane.refuses("mallory", &status, "", PROFILE);
    for subresource in ["status", "finalize"] {
        let path = format!("/api/v1/namespaces/doors/{subresource}");
        let raw = ["replace", "--raw", &path, "-f", "-"];
        plane.refuses("mallory", &raw, &bare, "label podseal.io/level");
        plane.refuses("mallory", &raw, &other, "label podseal.io/level");
    }
    // A new one, by POST, by apply, and under a name that the API server makes up.
    let new = namespace("new", &privileged);
    plane.refuses("mallory", &["create", "-f", "-"], &new, PROFILE);
    plane.refuses(
        "mallory",
        &["apply", "--server-side", "-f", "-"],
        &new,
        PROFILE,
    );
    let generated = new.replace("\"name\":\"new\"", "\"generateName\":\"new-\"");
    plane.refuses("mallory", &["create", "-f", "-"], &generated, PROFILE);
    let after = plane.metadata("doors");
    assert_eq!(after["labels"]["podseal.io/profile"], "rootless");
    assert_eq!(after["labels"]["podseal.io/level"], "baseline");
}

#[test]
fn a_role_that_allows_everything_in_the_namespace_does_not_seal_it() {
    let plane = guarded();
    let can = ["auth", "can-i", "seal", "namespaces/owned", "-n", "owned"];
    let output = plane.kubectl("mallory", &can, "");
    assert_eq!(text(&output.stdout).trim(), "yes", "the Role is there");
    let label = ["label", "ns/owned", "podseal.io/profile=privileged"];
    plane.refuses("mallory", &label, "", PROFILE);
}

#[test]
fn keys_that_only_look_like_podseals_are_free() {
    let plane = guarded();
    plane.allows("mallory", &["create", "ns", "free"], "");
    for key in [
        "x.podseal.io/profile",
        "podseal.iox/profile",
        "podseal.io",
        "profile",
    ] {
        let set = format!("{key}=x");
        plane.allows("mallory", &["label", "ns/free", &set], "");
        plane.allows("mallory", &["annotate", "ns/free", &set], "");
        plane.allows("mallory", &["label", "ns/free", &format!("{key}-")], "");
    }
}

#[test]
fn whoever_leaves_podseals_keys_alone_goes_on_working() {
    let plane = guarded();
    plane.sealed("worked-on");
    plane.allows("mallory", &["label", "ns/worked-on", "team=x"], "");
    plane.allows("mallory", &["annotate", "ns/worked-on", "note=x"], "");
    // Ours again, as they are.
    let same = [
        "label",
        "--overwrite",
        "ns/worked-on",
        "podseal.io/profile=rootless",
    ];
    plane.allows("mallory", &same, "");
    plane.allows("mallory", &["label", "ns/worked-on", "team-"], "");
    let condition = r#"{"status": {"conditions": [{"type": "X", "status": "True"}]}}"#;
    let patch = [
        "patch",
        "ns/worked-on",
        "--subresource=status",
        "--type=merge",
        "-p",
        condition,
    ];
    plane.allows("mallory", &patch, "");
    assert_eq!(
        plane.metadata("worked-on")["labels"]["podseal.io/profile"],
        "rootless"
    );
}

#[test]
fn a_sealed_namespace_can_be_deleted_to_its_end() {
    let plane = guarded();
    plane.sealed("ended");
    plane.allows("mallory", &["delete", "ns/ended", "--wait=false"], "");
    // As the namespace controller does, whose finalizer it was.
    let ending =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": plane.metadata("ended")});
    let raw = [
        "replace",
        "--raw",
        "/api/v1/namespaces/ended/finalize",
        "-f",
        "-",
    ];
    plane.allows("mallory", &raw, &ending.to_string());
    let gone = plane.kubectl("mallory", &["get", "ns/ended"], "");
    assert!(text(&gone.stderr).contains("not found"));
}

#[test]
fn an_admin_and_whom_the_sealers_role_is_bound_to_may_do_all_of_it() {
    let plane = guarded();
    let labels = json!({"podseal.io/profile": "rootless"});
    for (user, name) in [("alice", "alices"), ("bob", "bobs-new"), ("root", "roots")] {
        let run = |args: &[&str], input: &str| match user {
            "root" => {
                let output = plane.0.kubectl(ADMIN, args, input);
                assert!(output.status.success(), "{}", text(&output.stderr));
            }
            user => plane.allows(user, args, input),
        };
        let this = format!("ns/{name}");
        run(&["create", "-f", "-"], &namespace(name, &labels));
        run(
            &["label", "--overwrite", &this, "podseal.io/profile=userns"],
            "",
        );
        run(&["annotate", &this, "podseal.io/runner=system:a"], "");
        run(&["label", &this, "podseal.io/profile-"], "");
    }
}

#[test]
fn who_seals_one_namespace_by_name_seals_no_other() {
    let plane = guarded();
    plane.sealed("bobs");
    plane.sealed("others");
    let privileged = "podseal.io/profile=privileged";
    plane.allows("bob", &["label", "--overwrite", "ns/bobs", privileged], "");
    plane.refuses(
        "bob",
        &["label", "--overwrite", "ns/others", privileged],
        "",
        PROFILE,
    );
    let generated = namespace("bobs", &json!({"podseal.io/profile": "none"}));
    let generated = generated.replace("\"name\":\"bobs\"", "\"generateName\":\"bobs\"");
    plane.refuses("bob", &["create", "-f", "-"], &generated, PROFILE);
}

#[test]
fn it_stops_neither_a_new_namespace_in_the_place_of_a_sealed_one_nor_who_may_do_everything() {
    // As values.yaml says.
    let plane = guarded();
    plane.sealed("anew");
    plane.allows("mallory", &["delete", "ns/anew", "--wait=false"], "");
    let bare = namespace("anew", &json!({}));
    let finalize = [
        "replace",
        "--raw",
        "/api/v1/namespaces/anew/finalize",
        "-f",
        "-",
    ];
    let mut ending: Value = serde_json::from_str(&bare).expect("JSON");
    ending["metadata"] = plane.metadata("anew");
    plane.allows("mallory", &finalize, &ending.to_string());
    plane.allows("mallory", &["create", "-f", "-"], &bare);
    plane.sealed("anybodys");
    let label = ["label", "ns/anybodys", "podseal.io/profile-"];
    plane.allows("operator", &label, "");
}

/// Keys of three letters, as many as there can be of one size.
fn short_keys(count: usize) -> Value {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let key = |n: usize| -> String {
        let n62 = [n / 3844 % 62, n / 62 % 62, n % 62];
        n62.map(|digit| letters[digit]).iter().collect()
    };
    (0..count)
        .map(|n| (key(n), json!("")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn hundreds_of_labels_and_256_kib_of_annotations_are_no_obstacle_and_no_way_around() {
    let plane = guarded();
    let large = json!("x".repeat(1250));
    let annotations = (0..205).map(|n| (format!("example.com/note-{n}"), large.clone()));
    let annotations: serde_json::Map<_, _> = annotations.collect();
    let mut object = json!({"apiVersion": "v1", "kind": "Namespace"});
    object["metadata"] = json!({"name": "large", "labels": short_keys(500)});
    object["metadata"]["annotations"] = annotations.into();
    plane.allows("mallory", &["create", "-f", "-"], &object.to_string());
    plane.allows("mallory", &["label", "ns/large", "team=x"], "");
    let set = ["label", "ns/large", "podseal.io/profile=rootless"];
    plane.refuses("mallory", &set, "", PROFILE);
    plane.allows("alice", &set, "");
    plane.allows("mallory", &["label", "ns/large", "team-"], "");
    let remove = ["label", "ns/large", "podseal.io/profile-"];
    plane.refuses("mallory", &remove, "", PROFILE);
    plane.refuses(
        "mallory",
        &["annotate", "ns/large", "podseal.io/runner=b"],
        "",
        RUNNER,
    );
}

#[test]
fn as_many_annotations_as_there_can_be_do_not_keep_the_api_server_busy() {
    let plane = guarded();
    let mut object = json!({"apiVersion": "v1", "kind": "Namespace"});
    object["metadata"] = json!({"name": "crowded", "labels": {"podseal.io/profile": "rootless"}});
    object["metadata"]["annotations"] = short_keys(80_000);
    plane.allows("alice", &["create", "-f", "-"], &object.to_string());
    plane.allows("mallory", &["label", "ns/crowded", "team=x"], "");
    let remove = ["label", "ns/crowded", "podseal.io/profile-"];
    plane.refuses("mallory", &remove, "", PROFILE);
    for annotation in settings() {
        let set = ["annotate", "ns/crowded", &format!("{annotation}=1")];
        let key = format!("annotation {annotation}");
        plane.refuses("mallory", &set, "", &key);
    }
}

/// A namespace rule may ask for a label that only sealers may set, and the notes of
/// the chart advise it.
#[test]
fn very_many_keys_are_no_way_to_a_label_that_a_namespace_rule_requires() {
    let plane = guarded();
    let mut object = json!({"apiVersion": "v1", "kind": "Namespace"});
    object["metadata"] = json!({"name": "decoy", "annotations": short_keys(4001)});
    plane.allows("mallory", &["create", "-f", "-"], &object.to_string());
    let set = ["label", "ns/decoy", "podseal.io/team=payments"];
    plane.refuses("mallory", &set, "", "label podseal.io/team");
}

#[test]
fn among_very_many_keys_those_that_podseal_reads_are_looked_up() {
    let guard = chart::rendered("namespaceguard", &["namespaceGuard.enabled=true"]);
    let guard = guard.expect("the guard renders");
    let policy = chart::the("ValidatingAdmissionPolicy", &guard);
    let variables = policy["spec"]["variables"].as_array().expect("variables");
    for (name, mut keys) in [
        (
            "labelKeys",
            vec![
                namespace::LEVEL,
                namespace::MODE,
                namespace::PROFILE,
                namespace::STRICT,
            ],
        ),
        (
            "annotationKeys",
            [&[namespace::RUNNER][..], &settings()].concat(),
        ),
    ] {
        let variable = variables.iter().find(|variable| variable["name"] == name);
        let expression = variable.expect("the variable")["expression"].as_str();
        let mut parts: Vec<_> = expression.expect("a text").split('\'').collect();
        parts.retain(|part| part.starts_with("podseal.io/"));
        keys.sort_unstable();
        assert_eq!(parts, keys, "{name}");
    }
}

#[test]
fn without_namespace_guard_enabled_nothing_is_rendered() {
    let error = chart::rendered("namespaceguard", &[]).expect_err("nothing to show");
    assert!(error.contains("could not find template"), "{error}");
}
