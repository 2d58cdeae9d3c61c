//! What a namespace's label does, and what its lack does.

use cases::view::View;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, RUNNER, await_condition};
use support::text;

use crate::apiserver::{CLUSTER, fixture, stored};

fn relabel(namespace: &str, profile: Option<&str>) {
    let label = match profile {
        Some(profile) => format!("podseal.io/profile={profile}"),
        None => "podseal.io/profile-".to_owned(),
    };
    let args = ["label", "--overwrite", "namespace", namespace, &label];
    let output = CLUSTER.plane.kubectl(ADMIN, &args, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_job_in_a_namespace_that_did_not_opt_in_is_not_changed() {
    let namespace = CLUSTER.namespace(None);
    let pod = fixture("privileged-with-service");
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    let stored = View(answer);
    assert_eq!(stored.security("helper", "privileged"), &json!(true));
    assert_eq!(stored.env("helper", "HOME"), None);
    let called = CLUSTER
        .podseal
        .has_logged(|event| event["namespace"] == namespace.as_str());
    assert!(!called, "the API server does not even ask");
}

#[test]
fn a_pod_that_is_not_a_job_is_not_changed_in_a_namespace_that_opted_in() {
    for name in ["pause-pod", "before-17-9"] {
        let pod = stored(name, "rootless");
        let posted = View(fixture(name));
        for container in pod.containers() {
            assert_eq!(
                pod.uid(container),
                posted.uid(container),
                "{name} {container}"
            );
            assert_eq!(pod.env(container, "HOME"), None, "{name} {container}");
        }
    }
}

#[test]
fn an_unknown_profile_denies_jobs_and_names_the_known_ones_as_kubectl_prints_it() {
    let namespace = CLUSTER.namespace(Some("rootles"));
    let args = ["create", "-n", &namespace, "-f", "-"];
    let pod = fixture("default-with-service").to_string();
    let output = CLUSTER.plane.kubectl(RUNNER, &args, &pod);
    assert!(!output.status.success());
    let message = text(&output.stderr);
    let message = message.trim_end();
    let beginning = format!(
        "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \
         \"mutate.podseal.io\" denied the request: namespace \"{namespace}\" has the label \
         podseal.io/profile: \"rootles\", and there is no profile with that name; to fix this, \
         ask a cluster administrator to set the label podseal.io/profile to one of rootless, \
         userns, root, root-fuse, openshift, privileged, none (audit id \""
    );
    assert!(message.starts_with(&beginning), "{message}");
    assert!(
        message.ends_with("\")"),
        "no full stop: the runner adds one: {message}"
    );
}

#[test]
fn a_pod_that_is_not_a_job_passes_where_the_profile_is_unknown() {
    let namespace = CLUSTER.namespace(Some("no-such-profile"));
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &fixture("pause-pod"));
    assert_eq!(code, 201, "{answer:#}");
}

#[test]
fn a_dangerous_home_is_denied_in_one_line_with_the_audit_id() {
    let namespace = CLUSTER.namespace(Some("rootless"));
    let mut pod = fixture("default-with-service");
    let env = pod["spec"]["containers"][0]["env"]
        .as_array_mut()
        .expect("env");
    env.push(json!({"name": "HOME", "value": "/etc"}));
    let (code, status) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(
        (code, &status["reason"]),
        (403, &json!("Forbidden")),
        "{status:#}"
    );
    let message = status["message"].as_str().expect("a message");
    let expected = format!(
        "admission webhook \"mutate.podseal.io\" denied the request: container \"build\", env \
         HOME: \"/etc\" is /etc or in it, where a volume would break the container; namespace \
         \"{namespace}\" has the label podseal.io/profile: \"rootless\", which podseal cannot \
         apply here; to fix this, set the job variable HOME to another path, such as \
         /my_custom_dir, or remove it (audit id \""
    );
    assert!(message.starts_with(&expected), "{message}");
    assert_eq!(
        status["details"]["retryAfterSeconds"],
        Value::Null,
        "a decision is final"
    );
}

#[test]
fn applying_twice_changes_nothing_the_second_time() {
    let namespace = CLUSTER.namespace(Some("userns"));
    let pod = fixture("default-with-service");
    let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
    let pod = pod.to_string();
    let args = ["apply", "-n", &namespace, "-f", "-"];
    let first = CLUSTER.plane.kubectl(ADMIN, &args, &pod);
    assert!(
        text(&first.stdout).contains("created"),
        "{}",
        text(&first.stderr)
    );
    let stored = || CLUSTER.plane.stored_pod(&namespace, &name);
    let before = stored();
    let again = CLUSTER.plane.kubectl(ADMIN, &args, &pod);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(
        stored()["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
    assert_eq!(View(before).uid("build"), Some(1000));
}

#[test]
fn a_corrected_pod_that_is_created_again_needs_no_correction() {
    for profile in [
        "userns",
        "rootless",
        "root",
        "root-fuse",
        "openshift",
        "privileged",
    ] {
        let corrected = stored("default-with-service", profile).0;
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": format!("again-{profile}"),
                "labels": corrected["metadata"]["labels"],
                "annotations": corrected["metadata"]["annotations"],
            },
            "spec": corrected["spec"],
        });
        pod["spec"]
            .as_object_mut()
            .expect("spec")
            .remove("nodeName");
        let runner = [("runner", "system:serviceaccount:gitlab:gitlab-runner")];
        let namespace = CLUSTER.namespace_with(&[("profile", profile)], &runner);
        let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
        assert_eq!(code, 201, "{answer:#}");
        let decision = CLUSTER
            .podseal
            .decision_on("mutate", &format!("again-{profile}"));
        assert_eq!(decision["decision"], json!("allow"), "{decision:#}");
    }
}

#[test]
fn a_dry_run_is_corrected_and_recorded_as_one() {
    let namespace = CLUSTER.namespace(Some("rootless"));
    let mut pod = fixture("default-with-service");
    pod["metadata"]["name"] = "only-tried".into();
    let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    assert_eq!(View(answer).uid("build"), Some(1000));
    let decision = CLUSTER.podseal.decision_on("mutate", "only-tried");
    assert_eq!(decision["dry_run"], json!(true));
    let path = format!("/api/v1/namespaces/{namespace}/pods/only-tried");
    let (code, _) = CLUSTER
        .plane
        .request(ADMIN, reqwest::Method::GET, &path, None);
    assert_eq!(code, 404, "nothing was stored");
}

#[test]
fn a_decision_is_recorded_with_who_what_and_where() {
    let namespace = CLUSTER.namespace(Some("rootless"));
    let mut pod = fixture("default-with-service");
    pod["metadata"]["name"] = "recorded".into();
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    let decision = CLUSTER.podseal.decision_on("mutate", "recorded");
    for (field, value) in [
        ("schema", json!("podseal.io/decision/v1")),
        ("webhook", json!("mutate")),
        ("level", json!("baseline")),
        ("mode", json!("enforce")),
        ("operation", json!("CREATE")),
        ("namespace", json!(namespace)),
        ("job_id", json!("9876543210")),
        ("project_id", json!("61234567")),
        ("project", json!("platform_images/playground")),
        ("user", json!("system:serviceaccount:gitlab:gitlab-runner")),
        ("profile", json!("rootless")),
        ("decision", json!("mutate")),
        ("code", json!(200)),
        ("dry_run", json!(false)),
    ] {
        assert_eq!(decision[field], value, "{field}: {decision:#}");
    }
    assert!(
        decision["uid"].as_str().is_some_and(|uid| uid.len() == 36),
        "{decision:#}"
    );
    assert!(decision["duration_us"].is_u64(), "{decision:#}");
    let change = json!("container build: securityContext.runAsUser set to 1000");
    let changes = decision["changes"].as_array().expect("changes");
    assert!(changes.contains(&change), "{changes:?}");
}

#[test]
fn a_generated_name_is_recorded_with_its_generate_name() {
    let namespace = CLUSTER.namespace(Some("rootless"));
    let mut pod = fixture("default-with-service");
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("name");
    metadata.insert("generateName".to_owned(), json!("runner-generated-"));
    let (code, answer) = CLUSTER.plane.create_pod(&namespace, &pod);
    assert_eq!(code, 201, "{answer:#}");
    assert_eq!(View(answer).uid("build"), Some(1000));
    CLUSTER.podseal.await_event(|event| {
        event["namespace"] == namespace.as_str() && event["generate_name"] == "runner-generated-"
    });
}

#[test]
fn a_namespace_relabelled_while_podseal_runs_gets_its_new_profile() {
    let namespace = CLUSTER.namespace(Some("rootless"));
    let pod = fixture("default-with-service");
    let uid = || {
        let (code, answer) = CLUSTER.plane.try_pod(&namespace, &pod);
        (code == 201).then(|| View(answer).uid("build")).flatten()
    };
    assert_eq!(uid(), Some(1000));
    relabel(&namespace, Some("root-fuse"));
    await_condition("the new profile applies", || uid() == Some(0), String::new);
    relabel(&namespace, None);
    await_condition(
        "the namespace is left alone",
        || uid().is_none(),
        String::new,
    );
    relabel(&namespace, Some("userns"));
    await_condition("it opts in again", || uid() == Some(1000), String::new);
}
