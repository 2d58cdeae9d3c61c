//! Namespaces under rules that come and go, as a real API server shows them.

use cases::review::{as_sent, review};
use serde_json::{Value, json};
use support::block_on;
use support::controlplane::{PODSEAL, await_condition};
use support::podseal::Podseal;

use crate::PLANE;

/// The team of a namespace decides about its profile. The prefix is this module's.
const RULES: &str = "
rules:
- {name: a, namespaces: {prefix: short-lived-, matchLabels: {team: a}}, profile: rootless}
- {name: b, namespaces: {prefix: short-lived-, matchLabels: {team: b}}, profile: root-fuse}
";

struct Site {
    podseal: Podseal,
    client: reqwest::Client,
    url: String,
}

impl Site {
    fn start() -> Site {
        let rules = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&rules, RULES).expect("the file can be written");
        let podseal = Podseal::start(|command| {
            command.env("KUBECONFIG", PLANE.kubeconfig(PODSEAL));
            command.arg("--namespace-rules").arg(rules.path());
        });
        let event = podseal.await_event(|event| event["rules"].is_string());
        let digest = event["rules"].as_str().expect("a digest");
        let url = format!("{}/mutate/{digest}", podseal.url);
        let is_ready = || podseal.status("/readyz").0 == 200;
        await_condition("podseal is ready", is_ready, String::new);
        let client = podseal.client().http1_only().build().expect("a client");
        Site {
            podseal,
            client,
            url,
        }
    }

    /// The profile of a job in `namespace`.
    fn profile(&self, namespace: &str) -> String {
        let pod = cases::fixture("default-with-service");
        let review = as_sent(&review("u", namespace, &pod));
        let answer: Value = block_on(async {
            let answer = self.client.post(&self.url).body(review).send().await;
            let answer = answer.expect("an answer").bytes().await;
            serde_json::from_slice(&answer.expect("a whole answer")).expect("JSON")
        });
        let profile = answer["response"]["auditAnnotations"]["profile"].as_str();
        profile.map_or_else(|| answer.to_string(), str::to_owned)
    }

    fn look_ups(&self, outcome: &str) -> f64 {
        let series = format!("podseal_namespace_lookups_total{{outcome=\"{outcome}\"}}");
        self.podseal.metric(&series).unwrap_or_default()
    }
}

fn create(name: &str, team: &str) {
    PLANE.create_namespace(&json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"team": team}}}));
}

#[test]
fn a_job_in_a_namespace_that_was_just_created_costs_hardly_a_look_up() {
    let site = Site::start();
    let names: Vec<_> = (0..50)
        .map(|number| format!("short-lived-new-{number}"))
        .collect();
    for name in &names {
        create(name, "a");
        assert_eq!(site.profile(name), "rootless", "{name}");
        assert_eq!(site.profile(name), "rootless", "{name}");
    }
    let (live, all) = (site.look_ups("live"), 2.0 * names.len() as f64);
    assert_eq!(live + site.look_ups("awaited") + site.look_ups("hit"), all);
    // Where the machine is busy, the watch may be late for some.
    assert!(live <= all / 4.0, "{live} of {all}");
    for name in &names {
        PLANE.remove_namespace(name);
    }
    for name in &names {
        let is_forgotten = || site.profile(name) != "rootless";
        await_condition("podseal forgets it", is_forgotten, || name.clone());
    }
}

#[test]
fn a_namespace_created_again_under_its_name_soon_has_nothing_of_the_one_before() {
    let site = Site::start();
    let name = "short-lived-again";
    for round in 0..20 {
        let (team, profile) = match round % 2 {
            0 => ("a", "rootless"),
            _ => ("b", "root-fuse"),
        };
        create(name, team);
        // A watch may be some milliseconds late.
        await_condition(
            "its own rule applies",
            || site.profile(name) == profile,
            String::new,
        );
        // From here on nothing of the one before comes back.
        for _ in 0..3 {
            assert_eq!(site.profile(name), profile, "round {round}");
        }
        PLANE.remove_namespace(name);
    }
}
