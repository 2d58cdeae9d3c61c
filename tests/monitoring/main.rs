//! The chart's alerts and dashboard, and the queries of the pages, answered by
//! Prometheus' own promtool on what the running podseal exposes.
//!
//! The podseals of `site.rs` are scraped once for all tests. What is made of the
//! scrapes changes values alone: a series, or a label, that podseal does not
//! expose is in no test's input.

mod alerts;
mod chart;
mod dashboard;
mod expressions;
mod metrics;
mod pages;
mod promtool;
mod quiet;
mod scenarios;
mod scrape;
mod site;
mod timeline;

use expressions::Known;
use promtool::Question;
use site::{NODE_LABEL, SITE, TARGET_LABELS};

#[test]
fn promtool_finds_no_fault_in_the_metrics_nor_in_the_rules() {
    promtool::check_metrics(&SITE.text);
    promtool::check_rules(include_str!("../../charts/podseal/files/alerts.yaml"));
    promtool::check_rules(&chart::rules(&[]).to_string());
}

#[test]
fn whatever_is_asked_is_asked_of_metrics_labels_and_values_that_podseal_exposes() {
    let known = Known::with_plugin(&SITE);
    let alerts = alerts::alerts().into_iter().map(|alert| alert.expr);
    let queries = pages::queries().into_iter();
    for expr in alerts.chain(queries).chain(dashboard::expressions()) {
        known.check(&expr);
    }
}

#[test]
fn no_label_of_podseal_is_one_that_prometheus_gives_its_targets() {
    for sample in SITE.replicas.iter().flat_map(|replica| &replica.troubled) {
        for label in TARGET_LABELS {
            assert!(!sample.labels.contains_key(label), "{sample:?}");
        }
    }
    for sample in &SITE.plugin {
        for label in TARGET_LABELS.into_iter().chain([NODE_LABEL]) {
            assert!(!sample.labels.contains_key(label), "{sample:?}");
        }
    }
}

#[test]
fn a_question_about_what_is_not_there_is_noticed() {
    let known = Known::of(&SITE);
    for wrong in [
        "podseal_request_total",
        r#"podseal_shed_total{cause="memory"}"#,
        r#"podseal_shed_total{reason="memry"}"#,
        r#"podseal_shed_total{reason=~"memory|cpu"}"#,
        "sum by (reasons) (podseal_shed_total)",
    ] {
        let check = std::panic::AssertUnwindSafe(|| known.check(wrong));
        assert!(std::panic::catch_unwind(check).is_err(), "{wrong}");
    }
    let yields = |expr: &str| {
        let file = promtool::questions(timeline::driven(), &[Question::number(expr)]);
        promtool::answers(&[file])
    };
    assert_eq!(yields("podseal_build_info"), Ok(()));
    for empty in ["podseal_build_info > 1", "podseal_build_info / 0 - 1 / 0"] {
        let answer = yields(empty).expect_err(empty);
        assert!(answer.contains(empty), "{answer}");
    }
}
