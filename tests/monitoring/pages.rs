//! The pages: the queries of `docs/metrics.md`, and the alerts of
//! `docs/alerts.md`.

use crate::alerts::alerts;
use crate::promtool::{Question, assert_answered, questions};
use crate::timeline::driven;

const METRICS: &str = include_str!("../../docs/metrics.md");
const ALERTS: &str = include_str!("../../docs/alerts.md");

/// The queries of the page on metrics.
pub(crate) fn queries() -> Vec<String> {
    let blocks = METRICS.split("```promql\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("a block"));
    let queries = blocks.flat_map(|block| block.split("\n\n"));
    let query = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    };
    queries
        .map(query)
        .filter(|query| !query.is_empty())
        .collect()
}

#[test]
fn each_query_of_the_page_yields_a_number() {
    let queries = queries();
    assert!(queries.len() > 3, "{}", queries.len());
    let numbers: Vec<_> = queries
        .iter()
        .map(|query| Question::number(query))
        .collect();
    assert_answered(questions(driven(), &numbers));
}

#[test]
fn each_alert_has_its_section_and_each_section_its_alert() {
    let sections = ALERTS
        .lines()
        .filter_map(|line| line.strip_prefix("## Podseal"));
    let sections: Vec<_> = sections.map(|rest| format!("Podseal{rest}")).collect();
    let names: Vec<_> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(sections, names, "in one order");
    for name in names {
        let runbook = format!("docs/alerts.md#{}", name.to_lowercase());
        let rules = include_str!("../../charts/podseal/files/alerts.yaml");
        assert!(rules.contains(&format!("runbook: {runbook}\n")), "{name}");
    }
}
