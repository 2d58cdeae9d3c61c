//! The comments of `values.yaml` are the one place where a value is explained:
//! the table in the chart's README and the schema's descriptions are made from
//! them. `UPDATE=1 cargo test --test chart renderings` writes both anew.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::renderings::everything::defaults;
use crate::renderings::helm::CHART;

/// A key, as `image.tag`, and what its comment says.
type Documented = (String, String);

/// The documented keys of `values.yaml`, in its order.
fn documented() -> Vec<Documented> {
    let mut found: Vec<Documented> = Vec::new();
    let mut comment = None;
    let mut above: Vec<(usize, &str)> = Vec::new();
    let text = read("values.yaml");
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(text) = trimmed.strip_prefix("# -- ") {
            comment = Some(text.to_owned());
            continue;
        }
        let Some((key, _)) = trimmed.split_once(':').filter(|(key, _)| is_key(key)) else {
            continue;
        };
        let indent = line.len() - trimmed.len();
        above.retain(|(other, _)| *other < indent);
        above.push((indent, key));
        let path: Vec<_> = above.iter().map(|(_, key)| *key).collect();
        if let Some(comment) = comment.take() {
            found.push((path.join("."), comment));
        }
    }
    found
}

fn is_key(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The value of a key such as `image.tag`.
fn value<'v>(values: &'v Value, key: &str) -> &'v Value {
    let pointer = format!("/{}", key.replace('.', "/"));
    let value = values.pointer(&pointer);
    value.unwrap_or_else(|| panic!("{key} is no key of the values"))
}

#[test]
fn every_value_is_documented() {
    fn check(value: &Value, key: &str, documented: &[Documented]) {
        let is = |known: &Documented| known.0 == key;
        if documented.iter().any(is) {
            return;
        }
        let section = value.as_object().filter(|section| !section.is_empty());
        let section = section.unwrap_or_else(|| panic!("{key} has no comment `# -- …`"));
        for (name, value) in section {
            let key = if key.is_empty() {
                name.clone()
            } else {
                format!("{key}.{name}")
            };
            check(value, &key, documented);
        }
    }
    let documented = documented();
    check(&defaults(), "", &documented);
    for (key, comment) in &documented {
        let ends = comment.ends_with('.') && comment.starts_with(|c: char| c.is_uppercase());
        assert!(ends, "{key} is explained in sentences: {comment}");
    }
}

#[test]
fn the_readme_has_a_table_of_all_values() {
    const START: &str = "<!-- Made from values.yaml by tests/chart/renderings/documented.rs: -->\n";
    const END: &str = "<!-- to here. -->\n";
    let readme = read("README.md");
    let (before, rest) = readme
        .split_once(START)
        .expect("the README has a place for it");
    let (_, after) = rest.split_once(END).expect("the place has an end");
    let mut table = String::from("| key | default | meaning |\n|---|---|---|\n");
    let defaults = defaults();
    for (key, comment) in documented() {
        let comment = comment.replace('|', "\\|");
        let default = value(&defaults, &key).to_string().replace('|', "\\|");
        writeln!(table, "| `{key}` | `{default}` | {comment} |").expect("it is a text");
    }
    keep("README.md", &format!("{before}{START}{table}{END}{after}"));
}

#[test]
fn the_schema_describes_every_value() {
    let documented: BTreeMap<_, _> = documented().into_iter().collect();
    // By lines, so that the file stays as it was written: a key of the values is
    // below "properties", two spaces a level.
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut schema = String::new();
    for line in read("values.schema.json").lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        above.retain(|(other, _)| *other < indent);
        let path: Vec<_> = above.iter().map(|(_, key)| key.as_str()).collect();
        let described = trimmed.starts_with("\"description\":");
        match documented.get(&key_of(&path)).filter(|_| described) {
            Some(comment) => {
                let comment = Value::from(comment.as_str());
                writeln!(schema, "{:indent$}\"description\": {comment},", "")
                    .expect("it is a text");
            }
            None => writeln!(schema, "{line}").expect("it is a text"),
        }
        if let Some((key, _)) = trimmed.split_once("\":") {
            above.push((indent, key.trim_start_matches('"').to_owned()));
        }
    }
    keep("values.schema.json", &schema);
    // And none is missing.
    let schema: Value = serde_json::from_str(&schema).expect("the schema is JSON");
    let mut described = BTreeMap::new();
    descriptions(&schema, "", &mut described);
    assert_eq!(described, documented);
}

/// The key of the values that a path in the schema leads to.
fn key_of(path: &[&str]) -> String {
    let is_property = |pair: &&[&str]| pair.len() == 2 && pair[0] == "properties";
    let keys: Vec<_> = path
        .chunks(2)
        .take_while(is_property)
        .map(|pair| pair[1])
        .collect();
    keys.join(".")
}

fn descriptions(schema: &Value, key: &str, found: &mut BTreeMap<String, String>) {
    if let Some(description) = schema["description"].as_str() {
        found.insert(key.to_owned(), description.to_owned());
        return;
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let key = if key.is_empty() {
            name.clone()
        } else {
            format!("{key}.{name}")
        };
        descriptions(schema, &key, found);
    }
}

fn read(file: &str) -> String {
    let path = format!("{CHART}/{file}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Holds a file of the chart to `text`, or writes it.
fn keep(file: &str, text: &str) {
    crate::renderings::keep(&format!("{CHART}/{file}"), text);
}
