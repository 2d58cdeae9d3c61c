//! Every value does something, and the chart may be a part of another.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::text;

use crate::renderings::everything::{defaults, everything};
use crate::renderings::helm::{CHART, PODSEAL, helm, merged, object, objects};

#[test]
fn every_value_changes_something() {
    let all = merged(&everything(), &json!({"webhooks": {"enabled": true}}));
    let mode = |mode: &str| json!({"certificates": {"mode": mode}});
    let bases = [
        all.clone(),
        merged(&all, &mode("self-managed")),
        merged(&all, &mode("cert-manager")),
        merged(
            &all,
            &json!({"fullnameOverride": "", "image": {"digest": ""}, "devicePlugin": {"image": {"digest": ""}}}),
        ),
        merged(
            &all,
            &json!({"profiles": {"files": {"profile-name": null}, "configMap": "profiles-of-ours"}}),
        ),
    ];
    let rendered = bases.each_ref().map(|base| PODSEAL.render(base));
    let defaults = defaults();
    let mut dead = BTreeSet::new();
    for pointer in leaves(&defaults, &all, String::new()) {
        let differs = |base: &Value, before: &String| {
            let mut values = base.clone();
            let default = defaults.pointer(&pointer).expect("a leaf").clone();
            let value = values.pointer_mut(&pointer);
            let value = value.unwrap_or_else(|| panic!("everything.rs has no {pointer}"));
            *value = match value.take() {
                // A switch that has to be on for others to be seen.
                Value::Bool(on) if default == on => json!(!on),
                _ => default,
            };
            // What is refused is alive, too.
            PODSEAL.try_render(&values).as_ref() != Ok(before)
        };
        if !bases
            .iter()
            .zip(&rendered)
            .any(|(base, before)| differs(base, before))
        {
            dead.insert(pointer);
        }
    }
    assert!(dead.is_empty(), "these values change nothing: {dead:?}");
}

/// The keys that have a value of their own. Below a map that is empty, or that
/// users fill, there are none.
fn leaves(defaults: &Value, values: &Value, pointer: String) -> Vec<String> {
    let is_section = |map: &serde_json::Map<String, Value>| {
        let filled = ["/resources", "/labels", "/annotations"]
            .iter()
            .any(|end| pointer.ends_with(end));
        !map.is_empty() && !filled
    };
    match defaults {
        Value::Object(map) if is_section(map) => {
            let below = map
                .iter()
                .flat_map(|(key, value)| leaves(value, &values[key], format!("{pointer}/{key}")));
            below.collect()
        }
        _ => vec![pointer],
    }
}

#[test]
fn the_chart_can_be_part_of_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let parent = folder.path().join("platform");
    std::fs::create_dir_all(parent.join("charts")).expect("the folder can be written");
    let chart = "apiVersion: v2\nname: platform\nversion: 1.0.0\n";
    std::fs::write(parent.join("Chart.yaml"), chart).expect("the folder can be written");
    let target = parent.join("charts");
    let packaged = helm(
        &["package", CHART, "-d", target.to_str().expect("UTF-8")],
        &json!({}),
    );
    assert!(packaged.status.success(), "{}", text(&packaged.stderr));
    let values = json!({"global": {"registry": "a"}, "podseal": {"replicas": 3}});
    let parent = parent.to_str().expect("UTF-8");
    let output = helm(&["template", "platform", parent, "-f", "-"], &values);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let objects = objects(&text(&output.stdout));
    assert_eq!(object(&objects, "Deployment")["spec"]["replicas"], 3);
}
