//! The alerts: each fires on what it is for, says so, and fires on nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::chart;
use crate::promtool::{self, assert_answered, group};
use crate::scenarios::{SCENARIOS, Scenario};

/// An alert of the chart.
#[derive(Debug, Clone)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) expr: String,
    severity: String,
    annotations: BTreeMap<String, String>,
}

/// The alerts as the chart renders them by default.
pub(crate) fn alerts() -> Vec<Alert> {
    let rules = chart::rules(&[]);
    let groups = rules["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    rules.map(alert).collect()
}

fn alert(rule: &Value) -> Alert {
    let text = |value: &Value| {
        value
            .as_str()
            .unwrap_or_else(|| panic!("{rule:#}"))
            .to_owned()
    };
    let annotations = rule["annotations"].as_object().expect("annotations").iter();
    Alert {
        name: text(&rule["alert"]),
        expr: text(&rule["expr"]),
        severity: text(&rule["labels"]["severity"]),
        annotations: annotations
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
    }
}

impl Alert {
    /// As promtool has to see it: the scenario says the summary, the chart the
    /// rest.
    fn fired(&self, mut labels: BTreeMap<String, String>, summary: &str) -> Value {
        let mut annotations = self.annotations.clone();
        annotations.insert("summary".to_owned(), summary.to_owned());
        for text in annotations.values_mut() {
            for (label, value) in &labels {
                *text = text.replace(&format!("{{{{ $labels.{label} }}}}"), value);
            }
            assert!(!text.contains("{{"), "what nobody fills in: {text}");
        }
        labels.insert("severity".to_owned(), self.severity.clone());
        json!({"exp_labels": labels, "exp_annotations": annotations})
    }
}

fn as_tested(scenario: &Scenario, alerts: &[Alert]) -> Value {
    let alert = alerts.iter().find(|alert| alert.name == scenario.alert);
    let alert = alert.unwrap_or_else(|| panic!("{} is in the chart", scenario.alert));
    let fired = scenario.fires.iter().map(|(who, more, summary)| {
        let mut labels = who.labels();
        labels.extend(
            more.iter()
                .map(|(label, value)| (label.to_string(), value.to_string())),
        );
        alert.fired(labels, summary)
    });
    let fired: Vec<_> = fired.collect();
    let at = format!("{}m", scenario.after);
    let alone = json!({"labels": format!("{{alertname={:?}}}", alert.name), "value": 1});
    let name = format!("{}: {:?}", alert.name, scenario.changes);
    let tests = json!({
        "alert_rule_test": [
            {"eval_time": at, "alertname": alert.name, "exp_alerts": fired},
        ],
        "promql_expr_test": [{
            "expr": r#"group by (alertname) (ALERTS{alertstate="firing"})"#,
            "eval_time": at,
            "exp_samples": [alone],
        }],
    });
    group(&name, &scenario.series(), tests)
}

#[test]
fn each_alert_fires_on_what_it_is_for_and_none_does_beside_it() {
    let alerts = alerts();
    let tests: Vec<_> = SCENARIOS
        .iter()
        .map(|scenario| as_tested(scenario, &alerts))
        .collect();
    assert_answered(json!({"rules": chart::rules(&[]), "tests": tests}));
    let tried: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.alert).collect();
    let all: BTreeSet<_> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    // That one takes days: see `quiet.rs`.
    let left: Vec<_> = all.symmetric_difference(&tried).collect();
    assert_eq!(left, [&"PodsealDenialsJump"]);
}

#[test]
fn alerts_are_of_the_release_they_came_with() {
    let values = [
        "replicas=3",
        "metrics.prometheusRule.certificateExpiryDays=2",
    ];
    let objects = chart::rendered("other", "tools", &values);
    let rules = chart::only(&objects, "PrometheusRule")["spec"].clone();
    promtool::check_rules(&rules.to_string());
    let own = r#"{namespace="tools",job="other-podseal""#;
    let plugins = r#"{namespace="tools",job="other-podseal-fuse""#;
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    for rule in rules {
        let (name, expr) = (&rule["alert"], rule["expr"].as_str().expect("a text"));
        let is_plugins = name.as_str().is_some_and(|name| name.contains("Device"));
        let whose = if is_plugins { plugins } else { own };
        assert!(expr.contains(whose), "{expr}");
        assert_eq!(
            expr.matches('{').count(),
            expr.matches(whose).count(),
            "{expr}"
        );
    }
    let expr = |name: &str| {
        let rule = rules.iter().find(|rule| rule["alert"] == name).expect(name);
        rule["expr"].as_str().expect("a text").to_owned()
    };
    assert!(expr("PodsealReplicaMissing").ends_with(" < 3"));
    assert!(expr("PodsealCertificateExpiresSoon").ends_with(" < 2 * 86400"));
    // The job that they ask for is the one that the PodMonitor gives.
    let monitor = chart::only(&objects, "PodMonitor");
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let job = json!({"targetLabel": "job", "replacement": "other-podseal"});
    assert_eq!(endpoint["relabelings"], json!([job]));
    assert_eq!(monitor["metadata"]["namespace"], "tools");
}

#[test]
fn alerts_about_the_device_plugin_are_of_the_job_and_the_namespace_of_its_pod_monitor() {
    let values = [
        "devicePlugin.enabled=true",
        "devicePlugin.namespace=devices",
    ];
    let objects = chart::rendered("other", "tools", &values);
    let rules = chart::only(&objects, "PrometheusRule")["spec"].to_string();
    let wanted = r#"_registered{namespace=\"devices\",job=\"other-podseal-fuse\"}"#;
    assert!(rules.contains(wanted), "{rules}");
    let is_plugins = |object: &&Value| {
        object["kind"] == "PodMonitor" && object["metadata"]["namespace"] == "devices"
    };
    let monitor = objects.iter().find(is_plugins).expect("its PodMonitor");
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    let labels = json!([
        {"targetLabel": "job", "replacement": "other-podseal-fuse"},
        {"targetLabel": "node", "sourceLabels": ["__meta_kubernetes_pod_node_name"]},
    ]);
    assert_eq!(endpoint["relabelings"], labels);
}

#[test]
fn the_pod_monitor_finds_the_pods_and_their_status_port() {
    let objects = chart::rendered("other", "tools", &[]);
    let monitor = &chart::only(&objects, "PodMonitor")["spec"];
    let pod = &chart::only(&objects, "Deployment")["spec"]["template"];
    let wanted = monitor["selector"]["matchLabels"]
        .as_object()
        .expect("labels");
    assert!(wanted.len() >= 3);
    for (label, value) in wanted {
        assert_eq!(&pod["metadata"]["labels"][label], value, "{label}");
    }
    let endpoint = &monitor["podMetricsEndpoints"][0];
    assert_eq!(endpoint["path"], "/metrics");
    let mut container = pod["spec"]["containers"]
        .as_array()
        .expect("containers")
        .iter();
    let ports = container.next().expect("one")["ports"]
        .as_array()
        .expect("ports");
    let port = ports.iter().find(|port| port["name"] == endpoint["port"]);
    assert_eq!(port.expect("its port")["containerPort"], 8080);
}
