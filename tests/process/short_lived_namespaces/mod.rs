//! Namespaces that live for minutes, under namespace rules: podseal knows each by its
//! watch, with hardly a look-up, and always by the newest that the API server said.

use std::time::Duration;

use serde_json::Value;
use support::block_on;
use support::controlplane::await_condition;

use self::site::{Site, namespace, status, terminating};

mod site;

#[test]
fn a_namespace_that_the_watch_shows_while_a_review_waits_costs_no_look_up() {
    let site = Site::start(vec![]);
    block_on(async {
        for number in 0..20 {
            let name = format!("ci-job-{number}");
            let path = format!("mutate/{}", site.rules);
            let reviewed = site.review(&path, &name);
            let shown = async {
                // The review must wait by then, which nothing tells from outside.
                tokio::time::sleep(Duration::from_millis(5)).await;
                let version = (10 + number).to_string();
                site.shows("ADDED", &namespace(&name, "a", &version));
            };
            let (profile, ()) = futures::join!(reviewed, shown);
            // Where the machine is so busy that the wait ends before, there is none.
            assert!(profile == "rootless" || profile.contains("no such namespace"));
        }
    });
    let (awaited, hits) = (site.look_ups("awaited"), site.look_ups("hit"));
    let known = awaited.unwrap_or(0.0) + hits.unwrap_or(0.0);
    assert!(
        awaited > Some(0.0) && known >= 15.0,
        "{awaited:?}, {hits:?}"
    );
    assert!(site.gets() <= 5, "{}", site.gets());
}

#[test]
fn a_namespace_that_was_listed_or_shown_costs_no_look_up_and_others_are_not_kept() {
    let others = ["web", "ci-job-3"].map(|name| namespace(name, "c", "1"));
    let site = Site::start([vec![namespace("ci-job-1", "a", "1")], others.to_vec()].concat());
    site.shows_until("ADDED", &namespace("ci-job-2", "b", "2"), 2.0);
    for webhook in ["mutate", "validate"] {
        assert_eq!(site.profile(webhook, "ci-job-1"), "rootless");
        assert_eq!(site.profile(webhook, "ci-job-2"), "root-fuse");
    }
    assert_eq!((site.gets(), site.look_ups("hit")), (0, Some(4.0)));
    // One comes under a rule, and one leaves it.
    site.shows_until("MODIFIED", &namespace("ci-job-3", "a", "3"), 3.0);
    site.shows_until("MODIFIED", &namespace("ci-job-1", "c", "4"), 2.0);
}

#[test]
fn what_a_look_up_found_is_kept_for_the_reviews_that_follow() {
    let site = Site::start(vec![]);
    site.finds(namespace("ci-job-1", "a", "7"));
    for webhook in ["mutate", "validate", "mutate"] {
        assert_eq!(site.profile(webhook, "ci-job-1"), "rootless");
    }
    assert_eq!(site.gets(), 1);
    // An API server without comparable versions, and a namespace of no rule.
    for namespace in [
        namespace("ci-job-2", "a", "x"),
        namespace("ci-job-3", "c", "8"),
        terminating("ci-job-4", "a", "9"),
    ] {
        let before = site.gets();
        let name = namespace["metadata"]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        site.finds(namespace);
        site.profile("mutate", &name);
        site.profile("mutate", &name);
        assert_eq!(site.gets() - before, 2, "{name}");
    }
}

#[test]
fn an_event_older_than_what_a_look_up_found_changes_nothing_and_a_newer_one_does() {
    let site = Site::start(vec![]);
    site.finds(namespace("ci-job-1", "b", "20"));
    assert_eq!(site.profile("mutate", "ci-job-1"), "root-fuse");
    // The watch lags: the namespace of this name was another team's, and is deleted.
    site.shows_until("ADDED", &namespace("ci-job-1", "a", "11"), 1.0);
    assert_eq!(site.profile("mutate", "ci-job-1"), "root-fuse");
    site.shows_until("DELETED", &namespace("ci-job-1", "a", "12"), 0.0);
    assert_eq!(site.profile("mutate", "ci-job-1"), "root-fuse");
    // It is as far, and then farther.
    site.shows_until("ADDED", &namespace("ci-job-1", "b", "20"), 1.0);
    assert_eq!(site.profile("mutate", "ci-job-1"), "root-fuse");
    site.shows_until("MODIFIED", &terminating("ci-job-1", "b", "21"), 0.0);
    assert_eq!(site.gets(), 1);
    site.finds(Value::Null);
    let denial = site.profile("mutate", "ci-job-1");
    assert!(denial.contains("no such namespace"), "{denial}");
}

#[test]
fn a_namespace_that_is_deleted_and_made_anew_by_others_has_nothing_of_the_old_one() {
    let site = Site::start(vec![namespace("ci-job-1", "b", "5")]);
    assert_eq!(site.profile("mutate", "ci-job-1"), "root-fuse");
    // The watch shows the beginning of its end only.
    site.shows_until("MODIFIED", &terminating("ci-job-1", "b", "6"), 0.0);
    site.finds(namespace("ci-job-1", "a", "8"));
    assert_eq!(site.profile("mutate", "ci-job-1"), "rootless");
    site.shows("DELETED", &namespace("ci-job-1", "b", "7"));
    site.shows_until("ADDED", &namespace("ci-job-2", "b", "7"), 1.0);
    assert_eq!(site.profile("validate", "ci-job-1"), "rootless");
    assert_eq!(site.gets(), 1);
}

#[test]
fn a_look_up_that_the_watch_has_overtaken_does_not_bring_back_what_is_gone() {
    let site = Site::start(vec![namespace("ci-job-2", "a", "1")]);
    site.shows_until("DELETED", &namespace("ci-job-2", "a", "30"), 0.0);
    // As an API server that lags answers.
    site.finds(namespace("ci-job-1", "a", "29"));
    let denial = site.profile("mutate", "ci-job-1");
    assert!(denial.contains("out of date"), "{denial}");
    assert_eq!(site.look_ups("failed"), Some(1.0));
    site.finds(Value::Null);
    let denial = site.profile("mutate", "ci-job-1");
    assert!(denial.contains("no such namespace"), "{denial}");
}

#[test]
fn the_path_says_whether_the_cache_explains_the_call() {
    let site = Site::start(vec![namespace("ci-job-1", "a", "1")]);
    let mut labelled = namespace("ci-job-1", "a", "9");
    labelled["metadata"]["labels"]["podseal.io/profile"] = "userns".into();
    site.finds(labelled);
    // The API server knows of a label that the watch has not shown.
    for _ in 0..2 {
        assert_eq!(block_on(site.review("mutate", "ci-job-1")), "userns");
    }
    assert_eq!(site.gets(), 1);
    // Another API server does not, but podseal knows better than its watch of the rules'.
    assert_eq!(site.profile("mutate", "ci-job-1"), "userns");
    assert_eq!(site.gets(), 2);
    // And now the watch does: it is no longer one of the rules'.
    site.shows_until("DELETED", &namespace("ci-job-1", "a", "9"), 0.0);
    assert_eq!(site.profile("mutate", "ci-job-1"), "userns");
    assert_eq!(site.gets(), 3);
}

#[test]
fn after_the_watch_of_the_rules_failed_each_review_is_a_look_up() {
    let site = Site::start(vec![namespace("ci-job-1", "a", "1")]);
    assert_eq!(site.profile("mutate", "ci-job-1"), "rootless");
    site.finds(namespace("ci-job-1", "b", "40"));
    site.shows("ERROR", &status(410));
    let is_stale = || site.podseal.metric("podseal_namespace_cache_fresh") == Some(0.0);
    await_condition("the watch failed", is_stale, String::new);
    for number in 1..4 {
        assert_eq!(site.profile("mutate", "ci-job-1"), "root-fuse");
        assert_eq!(site.gets(), number);
    }
}
