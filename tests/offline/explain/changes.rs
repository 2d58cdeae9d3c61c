//! Which rule makes each change.

use serde_json::{Value, json};
use support::text;

use super::{BY_RULE, IN_CI, change, explain, job, json_of, value};

#[test]
fn a_change_names_profile_file_line_and_what_changed_its_value() {
    let explained = &json_of(&IN_CI, &job())["explain"];
    let user = json!({
        "place": "container", "container": "build", "field": "securityContext.runAsUser",
        "action": "set", "value": "3000", "was": null, "rule": "containers.build.set",
        "profile": {
            "profile": "ours", "field": "containers.build.set.securityContext.runAsUser",
            "file": "profiles/ours.yaml", "line": 9, "column": 9,
        },
        "setting": "podseal.io/run-as-user",
    });
    assert_eq!(
        change(explained, "build", "securityContext.runAsUser"),
        &user
    );
    let limit = change(explained, "build", "resources.limits example.com/fuse");
    assert_eq!(limit["setting"], "podseal.io/fuse-resource");
    let written = "containers.build.set.resources.limits.github.com/fuse";
    assert_eq!(
        limit["profile"]["field"], written,
        "as the profile calls it"
    );
    assert_eq!(
        change(explained, "build", "securityContext.privileged")["setting"],
        Value::Null
    );

    let explained = &json_of(&BY_RULE, &job())["explain"];
    let home = change(explained, "build", "env HOME");
    assert_eq!(
        (&home["value"], &home["setting"]),
        (&json!("/work"), &json!("podseal.io/home"))
    );
    let shown = text(&explain(&BY_RULE, &job()).stdout);
    assert!(
        shown.contains("changed by home of namespace rule jobs\n"),
        "{shown}"
    );
}

#[test]
fn the_jobs_own_home_the_level_and_the_uid_collector_are_not_rules_of_a_profile() {
    let mut pod = cases::fixture("umask-collector");
    let build = pod["spec"]["containers"]
        .as_array_mut()
        .expect("containers")
        .iter_mut();
    let build = build
        .into_iter()
        .find(|container| container["name"] == "build")
        .expect("build");
    let env = build["env"].as_array_mut().expect("env");
    env.push(json!({"name": "HOME", "value": "/work/own"}));
    let arguments = [
        "--profile",
        "rootless",
        "--level",
        "restricted",
        "--annotation",
        "podseal.io/home=/unused",
    ];
    let explained = &json_of(&arguments, &pod)["explain"];
    let home = change(explained, "helper", "env HOME");
    let own = [
        json!("/work/own"),
        json!("the job's own HOME"),
        Value::Null,
        Value::Null,
    ];
    let of = ["value", "rule", "profile", "setting"].map(|key| home[key].clone());
    assert_eq!(of, own);
    let home_value = value(explained, "home");
    assert_eq!(
        (&home_value["value"], &home_value["unused"]),
        (
            &json!("/unused"),
            &json!("build sets its own HOME, /work/own")
        )
    );
    let shown = text(&explain(&arguments, &pod).stdout);
    let row = "/unused     argument --annotation\n                             \
               overrides /my_custom_dir: podseal's default\n                             not used: build sets its own HOME, /work/own\n";
    assert!(shown.contains(row), "{shown}");
    let drop = change(explained, "build", "securityContext.capabilities.drop");
    assert_eq!(drop["rule"], "the level restricted");
    let collector = change(
        explained,
        "init-build-uid-gid-collector",
        "securityContext.runAsGroup",
    );
    let removed = (json!("remove"), json!("the collector follows build"));
    assert_eq!(
        (collector["action"].clone(), collector["rule"].clone()),
        removed
    );
}

#[test]
fn the_source_of_home_is_the_file_that_sets_it_and_the_default_path_is_podseals() {
    let arguments = |profile| ["--profiles", "profiles", "--profile", profile];
    let explained = &json_of(&arguments("homes"), &job())["explain"];
    let home = value(explained, "home");
    assert_eq!(
        (&home["value"], &home["source"], &home["unused"]),
        (&json!("/my_custom_dir"), &json!("podseal"), &Value::Null)
    );
    let asks = json!({"profile": "homes", "field": "containers.build.home",
        "file": "profiles/homes.yaml", "line": 6, "column": 5});
    let changes = explained["changes"].as_array().expect("changes");
    for field in [
        "env HOME",
        "volumeMounts podseal-home",
        "volumes podseal-home",
    ] {
        let change = changes.iter().find(|change| change["field"] == field);
        let change = change.unwrap_or_else(|| panic!("{field} in {changes:#?}"));
        assert_eq!(
            (&change["rule"], &change["profile"]),
            (&json!("containers.build.home"), &asks),
            "{field}"
        );
    }
    let shown = text(&explain(&arguments("homes"), &job()).stdout);
    for line in [
        "/my_custom_dir   podseal's default, without podseal.io/home\n",
        "home of homes:6\n",
        "+ emptyDir      containers.build.home of\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    assert!(!shown.contains("home of root-fuse"), "{shown}");

    let explained = &json_of(&arguments("placed"), &job())["explain"];
    let home_value = json!([{"value": "/my_custom_dir", "profile": "placed", "field": "home.path",
        "file": "profiles/placed.yaml", "line": 4, "column": 3}]);
    let home = value(explained, "home");
    assert_eq!(
        (&home["source"], &home["inProfile"]),
        (&json!("profile"), &home_value)
    );
}

#[test]
fn the_user_that_build_keeps_comes_from_no_annotation() {
    let arguments = [
        "--profiles",
        "profiles",
        "--profile",
        "keeps",
        "--annotation",
        "podseal.io/run-as-user=2000",
    ];
    let mut pod = job();
    pod["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 1001});
    let explained = &json_of(&arguments, &pod)["explain"];
    let helper = change(explained, "helper", "securityContext.runAsUser");
    assert_eq!(helper["value"], "1001");
    assert_eq!(helper["rule"], "keepUser");
    assert_eq!(helper["profile"]["file"], "profiles/keeps.yaml");
    assert_eq!(helper["setting"], Value::Null);
    let unused = "build keeps its own user, 1001 (keepUser)";
    assert_eq!(value(explained, "run-as-user")["unused"], unused);
    pod["spec"]["containers"][0]["securityContext"] = json!({});
    let explained = &json_of(&arguments, &pod)["explain"];
    let helper = change(explained, "helper", "securityContext.runAsUser");
    assert_eq!(helper["setting"], "podseal.io/run-as-user");
}
