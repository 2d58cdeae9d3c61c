//! What sets off no alert, and the one alert that compares with the day before.

use serde_json::{Value, json};

use crate::chart;
use crate::promtool::{assert_answered, group};
use crate::scrape::series_parts;
use crate::site::SITE;
use crate::timeline::{PLUGINS, PODS, Series, of_pod, plugins, still, unmoved};

const HOURS_2: u32 = 120;

/// A test group in which no alert ever fires.
fn silence(name: &str, series: &[Series], end: &str) -> Value {
    fired(name, series, end, &[])
}

/// A test group in which these alerts have fired by `end`, and no other.
fn fired(name: &str, series: &[Series], end: &str, alerts: &[&str]) -> Value {
    let expr =
        format!(r#"group by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{end}]))"#);
    let samples = alerts
        .iter()
        .map(|alert| json!({"labels": format!("{{alertname={alert:?}}}"), "value": 1}));
    let samples: Vec<_> = samples.collect();
    let test = json!({"expr": expr, "eval_time": end, "exp_samples": samples});
    group(name, series, json!({"promql_expr_test": [test]}))
}

fn assert_so(interval: &str, tests: &[Value]) {
    let file = json!({
        "rules": chart::rules(&[]),
        "evaluation_interval": interval,
        "tests": tests,
    });
    assert_answered(file);
}

/// Replaces the values of `selector` in the pods that are given.
fn with(mut series: Vec<Series>, selector: &str, pods: &[&str], values: &str) -> Vec<Series> {
    let (name, labels) = series_parts(selector);
    let mut found = 0;
    for series in &mut series {
        let is_meant = labels
            .iter()
            .all(|(label, value)| series.labels.get(label) == Some(value));
        if series.name == name && is_meant && pods.contains(&series.labels["pod"].as_str()) {
            series.values = values.replace('V', &series.value.to_string());
            found += 1;
        }
    }
    assert!(found >= pods.len(), "{selector} was not scraped");
    series
}

fn idle() -> Vec<Series> {
    unmoved(|index| &SITE.replicas[index].idle, HOURS_2)
}

/// As much every minute as there was between being idle and being busy.
fn every_day() -> Vec<Series> {
    let pods = PODS.iter().zip(&SITE.replicas);
    let all = pods.flat_map(|(pod, replica)| {
        of_pod(pod, &replica.busy, |busy| {
            let idle = busy.value_in(&replica.idle).unwrap_or(busy.value);
            let parts = ["_total", "_bucket", "_count", "_sum"];
            match parts.iter().any(|part| busy.name.ends_with(part)) {
                true => format!("{idle}+{}x{HOURS_2}", busy.value - idle),
                false => still(busy.value, HOURS_2),
            }
        })
    });
    all.collect()
}

/// New pods take over from old ones, one after the other.
fn rollout() -> Vec<Series> {
    let mut all = Vec::new();
    for (index, (old, new)) in PODS
        .iter()
        .zip(["podseal-77b4f-c", "podseal-77b4f-d"])
        .enumerate()
    {
        let minute = 30 + 2 * index as u32;
        let replica = &SITE.replicas[index];
        all.extend(of_pod(old, &replica.busy, |sample| {
            format!("{} stale", still(sample.value, minute + 1))
        }));
        all.extend(of_pod(new, &replica.idle, |sample| {
            // A pod is scraped as soon as it has an address, and answers later.
            let up = format!("0 {}", still(1.0, 80));
            match sample.name.as_str() {
                "up" => format!("_x{minute} {up}"),
                _ => format!("_x{minute} _ {}", still(sample.value, 80)),
            }
        }));
    }
    all
}

/// Each of those things that pass by themselves, once.
fn hiccups() -> Vec<Series> {
    let mut all = every_day();
    for (selector, values) in [
        // Prometheus itself, or the network, for less than five minutes.
        ("up", "1x20 0x3 1x100"),
        ("podseal_namespace_cache_fresh", "1x20 0x7 1x100"),
        // Profiles that somebody mends at once.
        ("podseal_profiles_reload_failing", "0x20 1x7 0x100"),
    ] {
        all = with(all, selector, &PODS, values);
    }
    for selector in [
        r#"podseal_tls_handshake_failures_total{reason="peer_alert"}"#,
        r#"podseal_tls_handshake_failures_total{reason="client_certificate"}"#,
        r#"podseal_namespace_lookups_total{outcome="failed"}"#,
        r#"podseal_certificate_upkeep_total{what="failure"}"#,
        r#"podseal_refused_requests_total{reason="truncated"}"#,
        r#"podseal_shed_total{reason="memory"}"#,
    ] {
        // Whatever it was before, it begins at a hundred and counts one.
        all = with(all, selector, &PODS, "100x20 101x100");
    }
    // The rounds go on meanwhile.
    with(
        all,
        r#"podseal_certificate_upkeep_total{what="round"}"#,
        &PODS,
        "V+2x120",
    )
}

/// A device plugin that starts again with its node, and one whose device comes late.
fn plugins_that_come() -> Vec<Series> {
    let mut all = [idle(), plugins(HOURS_2)].concat();
    let of = |index: usize| [PLUGINS[index].0];
    for (selector, pods, values) in [
        ("up", of(0), "1x20 0x4 1x100"),
        ("podseal_device_plugin_registered", of(0), "1x20 0x12 1x100"),
        ("podseal_device_plugin_device_healthy", of(1), "0x14 1x120"),
    ] {
        all = with(all, selector, &pods, values);
    }
    all
}

#[test]
fn no_alert_fires_on_a_podseal_that_is_well() {
    let with_files = unmoved(|_| &SITE.with_files, HOURS_2);
    let tests = [
        silence("without traffic", &idle(), "2h"),
        silence("every day", &every_day(), "2h"),
        silence("with files", &with_files, "2h"),
        silence("rollout", &rollout(), "110m"),
        silence("hiccups", &hiccups(), "2h"),
        silence("device plugins", &plugins_that_come(), "2h"),
    ];
    assert_so("1m", &tests);
}

#[test]
fn denials_are_compared_with_those_of_the_day_before() {
    const DENIALS: &str = r#"podseal_requests_total{webhook="validate",operation="CREATE",decision="deny",mode="enforce"}"#;
    // A value in five minutes; the last hour and a half is from 25 h on.
    let denials = |values: &str| {
        let still = unmoved(|index| &SITE.replicas[index].busy, 320);
        with(still, DENIALS, &PODS[..1], values)
    };
    let (jump, end) = (["PodsealDenialsJump"], "1590m");
    let mut tests = [
        fired("a jump", &denials("V+0.1x300 40+3x20"), end, &jump),
        silence(
            "the same every day",
            &denials("V+0x12 V+3x18 60+0x268 60+3x18"),
            end,
        ),
        silence("a little more", &denials("V+0.5x300 160+1x18"), end),
        silence("on the first day", &denials("V+3x18"), "90m"),
    ];
    for test in &mut tests {
        test["interval"] = "5m".into();
    }
    assert_so("5m", &tests);
}
