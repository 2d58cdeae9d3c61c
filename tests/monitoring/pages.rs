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

/// An expression without what ties it to a release.
fn free(expr: &str) -> String {
    let mut free: String = expr.chars().filter(|c| !c.is_whitespace()).collect();
    for (tied, free_of_it) in [
        (r#"namespace="podseal",job="podseal","#, ""),
        (r#"{namespace="podseal",job="podseal"}"#, ""),
        (r#"{job="podseal"}"#, ""),
        ("by(namespace,job)", ""),
        ("by(namespace,job,", "by("),
    ] {
        free = free.replace(tied, free_of_it);
    }
    free
}

#[test]
fn each_query_of_the_page_is_an_alert_s_or_yields_a_number() {
    let alerts: Vec<_> = alerts().iter().map(|alert| free(&alert.expr)).collect();
    let queries = queries();
    assert!(queries.len() > 10, "{}", queries.len());
    let (of_alerts, others): (Vec<_>, Vec<_>) = queries
        .iter()
        .partition(|query| alerts.contains(&free(query)));
    let others: Vec<_> = others.iter().map(|query| Question::number(query)).collect();
    assert_answered(questions(driven(), &others));
    assert!(of_alerts.len() > 8, "{of_alerts:#?}");
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
