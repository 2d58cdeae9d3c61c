//! The dashboard: each panel shows something, and says what to make of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::chart;
use crate::expressions::Known;
use crate::promtool::{Question, assert_answered, questions};
use crate::site::SITE;
use crate::timeline::driven;

const FILE: &str = include_str!("../../charts/podseal/files/dashboard.json");

/// Metrics that no panel shows. Virtual memory says nothing of what a process
/// takes; it is there since the process' metrics are a set.
const NOT_SHOWN: [&str; 1] = ["process_virtual_memory_bytes"];

fn dashboard() -> Value {
    serde_json::from_str(FILE).expect("it is JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

/// The panels that are no rows.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"])
        .iter()
        .filter(|panel| panel["type"] != "row")
}

/// An expression as Grafana sends it for one release.
fn as_sent(expr: &str) -> String {
    let mut expr = expr.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "5m"),
        ("$namespace", "podseal"),
        ("$job", "podseal"),
    ] {
        expr = expr.replace(variable, value);
    }
    assert!(!expr.contains('$'), "a variable that nobody gives: {expr}");
    expr
}

/// The labels that a legend names.
fn legend(format: &str) -> Vec<&str> {
    let parts = format.split("{{").skip(1);
    parts
        .map(|part| part.split("}}").next().expect("a part").trim())
        .collect()
}

/// Each expression, with the labels that have to come out of it.
fn asked() -> Vec<(String, Vec<String>)> {
    let dashboard = dashboard();
    let targets = panels(&dashboard).flat_map(|panel| list(&panel["targets"]));
    let mut asked: Vec<_> = targets
        .map(|target| {
            let labels = legend(text(&target["legendFormat"])).into_iter();
            (
                as_sent(text(&target["expr"])),
                labels.map(str::to_owned).collect(),
            )
        })
        .collect();
    for variable in list(&dashboard["templating"]["list"]).iter().skip(1) {
        let query = text(&variable["query"]["query"]);
        assert_eq!(text(&variable["definition"]), query);
        let inner = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (expr, label) = inner
            .and_then(|inner| inner.rsplit_once(", "))
            .expect("two");
        asked.push((as_sent(expr), vec![label.to_owned()]));
    }
    asked
}

/// All expressions of the dashboard.
pub(crate) fn expressions() -> Vec<String> {
    asked().into_iter().map(|(expr, _)| expr).collect()
}

#[test]
fn every_panel_and_variable_shows_a_number_with_the_labels_its_legend_names() {
    let mut all = Vec::new();
    for (expr, labels) in asked() {
        all.push(Question::number(&expr));
        all.extend(labels.iter().map(|label| Question::label(&expr, label)));
    }
    assert!(all.len() > 60, "{}", all.len());
    assert_answered(questions(driven(), &all));
}

#[test]
fn panels_have_their_own_id_place_source_and_advice() {
    let dashboard = dashboard();
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let variables = list(&dashboard["templating"]["list"]);
    assert_eq!(
        (&variables[0]["name"], &variables[0]["type"]),
        (&json!("datasource"), &json!("datasource"))
    );
    assert_eq!(variables[0]["query"], "prometheus");
    for variable in &variables[1..] {
        assert_eq!(variable["datasource"], source, "{variable}");
    }
    let (mut ids, mut places, mut titles) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard["panels"]) {
        let number = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        let (x, y, width, height) = (number("x"), number("y"), number("w"), number("h"));
        assert!(width > 0 && x + width <= 24, "{panel:#}");
        for place in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(places.insert(place), "two panels at {place:?}: {panel:#}");
        }
        assert!(ids.insert(panel["id"].as_u64()), "{panel:#}");
        assert!(titles.insert(text(&panel["title"])), "{panel:#}");
    }
    for panel in panels(&dashboard) {
        assert_eq!(panel["datasource"], source, "{panel:#}");
        let advice = text(&panel["description"]);
        assert!(
            advice.ends_with(['.', '?']) && advice.len() > 20,
            "{panel:#}"
        );
        let mut names = BTreeSet::new();
        for target in list(&panel["targets"]) {
            assert_eq!(target["datasource"], source, "{panel:#}");
            assert!(names.insert(text(&target["refId"])), "{panel:#}");
            // Of the releases that were chosen, and of no others.
            let (expr, chosen) = (
                text(&target["expr"]),
                r#"{namespace=~"$namespace",job=~"$job""#,
            );
            assert_eq!(
                expr.matches('{').count(),
                expr.matches(chosen).count(),
                "{expr}"
            );
        }
    }
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let known = Known::of(&SITE);
    let shown = expressions().join("\n");
    let is_shown = |name: &str| {
        let mut after = shown
            .match_indices(name)
            .map(|(at, _)| &shown[at + name.len()..]);
        after.any(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    };
    for name in known.names() {
        let family = name
            .strip_suffix("_sum")
            .or(name.strip_suffix("_count"))
            .unwrap_or(name);
        let is_histogram = is_shown(&format!("{family}_bucket"));
        let expected = !NOT_SHOWN.contains(&name.as_str());
        assert_eq!(is_shown(name) || is_histogram, expected, "{name}");
    }
}

#[test]
fn the_config_map_holds_the_dashboard_as_it_is() {
    let values = [r"metrics.dashboard.annotations.grafana_folder=Runners"];
    let objects = chart::rendered("podseal", "podseal", &values);
    let map = chart::only(&objects, "ConfigMap");
    let held: Value = serde_json::from_str(text(&map["data"]["podseal.json"])).expect("JSON");
    assert_eq!(held, dashboard());
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(
        map["metadata"]["annotations"],
        json!({"grafana_folder": "Runners"})
    );
}
