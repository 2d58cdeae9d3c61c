//! Any JSON value, and ways to put it anywhere.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Any JSON, some of it close to a pod's.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("build")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop_oneof![
            select(vec!["name", "env", "securityContext", "type"]),
            Just("é~/\"")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|fields| {
                let fields = fields
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::from(fields.collect::<Map<_, _>>())
            }),
        ]
    })
}

/// How many values are in `value`, including itself.
pub fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

/// Puts `new` in the place of the value that a walk meets after `steps`.
pub fn replace(value: &mut Value, mut steps: usize, new: &Value) {
    fn walk<'v>(value: &'v mut Value, steps: &mut usize) -> Option<&'v mut Value> {
        if *steps == 0 {
            return Some(value);
        }
        *steps -= 1;
        match value {
            Value::Array(items) => items.iter_mut().find_map(|item| walk(item, steps)),
            Value::Object(fields) => fields.values_mut().find_map(|field| walk(field, steps)),
            _ => None,
        }
    }
    if let Some(found) = walk(value, &mut steps) {
        *found = new.clone();
    }
}
