//! Namespaces that nobody labels, and profiles of one's own: by the values
//! `namespaceRules` and `profiles`.

use serde_json::{Value, json};
use support::controlplane::{ADMIN, await_condition};

use crate::release::{CONFIGURATIONS, Release, Values, job};

/// A profile of one's own, by which `build` is this user.
fn ours(user: u32) -> String {
    format!(
        "name: ours\nsummary: ours\nextends: rootless\n\
         containers: {{build: {{set: {{securityContext: {{runAsUser: {user}}}}}}}}}\n"
    )
}

/// Jobs have the profile `ours` with this user, and those of the payments team
/// another, unless `settings` say otherwise.
fn values(user: u32, settings: &Value) -> Value {
    json!({
        "profiles": {"files": {"ours": ours(user)}},
        "namespaceRules": [
            {"name": "jobs", "namespaces": {"prefix": "ci-job-"}, "profile": "ours", "settings": settings},
            // Where the next one is for all that this is for.
            {"name": "prod", "namespaces": {"matchLabels": {"team": "payments", "env": "prod"}}, "profile": "ours",
             "settings": {"run-as-user": 3500}},
            {"name": "paid", "namespaces": {"matchLabels": {"team": "payments"}}, "profile": "ours",
             "settings": {"run-as-user": 3000}},
        ],
    })
}

impl Release {
    /// The user that a job's `build` is given in this namespace, or what is said
    /// against it.
    fn user_in(&self, namespace: &str) -> Result<Option<u64>, String> {
        let mut pod = job("default-with-service");
        pod["metadata"]["name"] = "tried".into();
        let (code, answer) = self.plane.try_pod(namespace, &pod);
        if code != 201 {
            return Err(answer["message"].as_str().unwrap_or_default().to_owned());
        }
        let containers = answer["spec"]["containers"].as_array().expect("containers");
        let build = containers.iter().find(|one| one["name"] == "build");
        Ok(build.expect("a job")["securityContext"]["runAsUser"].as_u64())
    }

    fn await_user_in(&self, namespace: &str, user: u64) {
        let what = format!("jobs of {namespace} are the user {user}");
        let is_so = || self.user_in(namespace) == Ok(Some(user));
        await_condition(&what, is_so, || format!("{:?}", self.user_in(namespace)));
    }

    /// What is said against a privileged pod that is no job's, if anything is.
    fn said_of_a_stranger(&self, namespace: &str) -> Option<String> {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"},
            "spec": {"containers": [{"name": "shell", "image": "x",
                "securityContext": {"privileged": true}}]}});
        let (code, answer) = self.plane.try_pod(namespace, &pod);
        let message = || answer["message"].as_str().unwrap_or_default().to_owned();
        (code != 201).then(message)
    }

    /// By which webhooks its replicas were asked about pods of this namespace.
    fn asked_about(&self, namespace: &str) -> Vec<String> {
        let replicas = self.node().replicas();
        let lines = replicas
            .iter()
            .flat_map(|replica| self.node().log(&replica.pod));
        let records = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let here = records.filter(|record| record["namespace"] == namespace);
        let mut webhooks: Vec<_> = here
            .map(|record| record["webhook"].as_str().unwrap_or_default().to_owned())
            .collect();
        webhooks.sort();
        webhooks
    }
}

#[test]
fn a_namespace_that_nobody_labelled_gets_what_the_first_rule_for_it_says() {
    let file = Values::new(&values(2000, &json!({})));
    let release = Release::new("rules");
    let paid = json!({"team": "payments"});
    release.create_namespace("ci-job-1", &json!({}));
    release.create_namespace("ci-job-2", &json!({"podseal.io/profile": "none"}));
    release.create_namespace("ci-job-3", &paid);
    release.create_namespace("paid", &paid);
    release.create_namespace("prod", &json!({"team": "payments", "env": "prod"}));
    release.create_namespace("ci-jo", &json!({"team": "sales"}));
    release.install(&[&file.arg()]);
    release.await_corrections();

    // What has a label of its own says everything itself.
    for (namespace, user) in [
        ("ci-job-1", Some(2000)),
        ("ci-job-2", None),
        ("ci-job-3", Some(2000)),
        ("paid", Some(3000)),
        ("prod", Some(3500)),
        ("ci-jo", None),
    ] {
        assert_eq!(release.user_in(namespace), Ok(user), "{namespace}");
        // Nobody asks twice, though several rules are for some.
        let asked: &[&str] = if namespace == "ci-jo" {
            &[]
        } else {
            &["mutate", "validate"]
        };
        let is_told = || release.asked_about(namespace).len() >= asked.len();
        await_condition("it is in the log", is_told, String::new);
        assert_eq!(release.asked_about(namespace), asked, "{namespace}");
    }
    // And strangers are held to the level, by the rule's name.
    for (namespace, said) in [
        (
            "ci-job-1",
            "\"defaults.validate.podseal.io\" denied the request",
        ),
        ("ci-job-1", "from the namespace rule jobs"),
        ("ci-job-2", "\"validate.podseal.io\" denied the request"),
        ("paid", "from the namespace rule paid"),
    ] {
        let told = release.said_of_a_stranger(namespace).expect(namespace);
        assert!(told.contains(said), "{told}");
    }
    assert_eq!(release.said_of_a_stranger("ci-jo"), None);
    assert!(release.asked_about("ci-jo").is_empty());
    release.node().check();
}

#[test]
fn no_job_notices_that_a_profile_or_a_rule_changes() {
    let file = Values::new(&values(2000, &json!({})));
    let release = Release::new("change");
    release.create_namespace("ci-job-4", &json!({}));
    release.install(&[&file.arg()]);
    release.await_user_in("ci-job-4", 2000);
    let pods = release.pods();
    let bundles = release.ca_bundles();

    let fared = release.under_traffic_in("ci-job-4", || {
        file.write(&values(2500, &json!({})));
        release.upgrade(&[&file.arg()]);
        release.await_user_in("ci-job-4", 2500);
    });
    fared.is_flawless("a profile changes");
    assert_eq!(release.pods(), pods, "replicas were replaced for nothing");

    let stream = release.retried_jobs_in("ci-job-4", || {
        file.write(&values(2500, &json!({"run-as-user": 2600})));
        release.upgrade(&[&file.arg()]);
    });
    stream.is_flawless("a rule changes", 2600);
    let are_new = || release.pods().iter().all(|pod| !pods.contains(pod));
    await_condition("a rule is read once, by new replicas", are_new, String::new);
    assert_eq!(release.ca_bundles(), bundles);

    // Under another name, in a ConfigMap that somebody else keeps.
    let text = ours(2700).replace("name: ours", "name: theirs");
    let config_map = |text: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "theirs", "namespace": release.namespace},
            "data": {"theirs.yaml": text}})
    };
    release.plane.apply(ADMIN, &config_map(&text).to_string());
    let mut values = values(0, &json!({}));
    values["profiles"] = json!({"configMap": "theirs"});
    values["namespaceRules"][0]["profile"] = "theirs".into();
    values["namespaceRules"][1]["profile"] = "rootless".into();
    values["namespaceRules"][2]["profile"] = "rootless".into();
    let stream = release.retried_jobs_in("ci-job-4", || {
        file.write(&values);
        release.upgrade(&[&file.arg()]);
    });
    stream.is_flawless("the profile is another's", 2700);
    let fared = release.under_traffic_in("ci-job-4", || {
        let text = text.replace("2700", "2800");
        release.plane.apply(ADMIN, &config_map(&text).to_string());
        release.await_user_in("ci-job-4", 2800);
    });
    fared.is_flawless("that profile changes");
    release.node().check();
}

impl Release {
    fn entries(&self, kind: &str) -> Vec<String> {
        let configuration = self.configuration(kind).expect("it is there");
        let webhooks = configuration["webhooks"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        webhooks
            .iter()
            .map(|w| w["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

fn two_rules() -> Value {
    json!({"namespaceRules": [
        {"name": "jobs", "namespaces": {"prefix": "ci-job-"}, "profile": "rootless"},
        {"name": "paid", "namespaces": {"matchLabels": {"team": "payments"}}, "profile": "rootless"},
    ]})
}

#[test]
fn an_entry_goes_when_its_rule_goes() {
    let file = Values::new(&two_rules());
    let release = Release::new("entries");
    release.install(&[&file.arg()]);
    release.await_corrections();
    let is_whole = || release.ca_bundles().iter().all(|b| !b.is_empty());
    await_condition("all are trusted", is_whole, String::new);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 3, "{kind}");
    }
    let mut values = two_rules();
    values["namespaceRules"][1]["namespaces"]["matchLabels"] = json!({"team": "sales"});
    file.write(&values);
    release.upgrade(&[&file.arg()]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 3, "{kind}");
    }
    values["namespaceRules"]
        .as_array_mut()
        .expect("rules")
        .pop();
    file.write(&values);
    release.upgrade(&[&file.arg()]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 2, "{kind}");
    }
    file.write(&json!({"namespaceRules": []}));
    release.upgrade(&[&file.arg()]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 1, "{kind}");
    }
    release.rollback("1", &[]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.entries(kind).len(), 3, "{kind}");
    }
    release.node().check();
}
