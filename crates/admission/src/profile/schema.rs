//! The JSON Schema of a profile, for editors: generated from the types, with what
//! the parser also accepts.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{BUILT_IN, Profile, Written};

/// A quantity: a string or a whole number.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum Quantity {
    /// Such as `10Gi`.
    Text(String),
    /// Such as `1`.
    Number(u64),
}

fn schema() -> Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Profile>();
    let mut schema = serde_json::to_value(schema).expect("a schema is JSON");
    schema["title"] = "A profile of podseal".into();
    add_what_the_parser_accepts(&mut schema);
    let types = schema["$defs"].as_object_mut().expect("types");
    types.values_mut().for_each(add_what_the_parser_accepts);
    schema
}

/// The old name of `ifUnset`, and null for every optional field: it removes the value
/// of the profile that is extended.
fn add_what_the_parser_accepts(object: &mut Value) {
    if let Some(values) = object.get_mut("additionalProperties")
        && values.is_object()
    {
        accept_null(values);
    }
    let required = object["required"].as_array().cloned().unwrap_or_default();
    let Some(fields) = object.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, field) in fields.iter_mut() {
        if let Some(values) = field.get_mut("additionalProperties") {
            accept_null(values);
        }
        if !required.contains(&name.as_str().into()) {
            accept_null(field);
        }
    }
    if let Some(if_unset) = fields.get("ifUnset") {
        let mut old_name = if_unset.clone();
        old_name["deprecated"] = true.into();
        old_name["description"] = "The old name of `ifUnset`.".into();
        fields.insert("default".to_owned(), old_name);
        object["not"] = json!({"required": ["default", "ifUnset"]});
    }
}

fn accept_null(field: &mut Value) {
    const NULL: &str = "null";
    let fields = field.as_object_mut().expect("the schema of a field");
    if let Some(reference) = fields.remove("$ref") {
        field["anyOf"] = json!([{"$ref": reference}, {"type": NULL}]);
        return;
    }
    match fields.get_mut("type") {
        Some(Value::Array(types)) if !types.contains(&NULL.into()) => types.push(NULL.into()),
        Some(one @ Value::String(_)) => *one = json!([one.take(), NULL]),
        _ => {}
    }
}

fn pretty(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).expect("JSON") + "\n"
}

#[test]
fn the_schema_in_docs_is_generated_from_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/profile.schema.json");
    let generated = pretty(&schema());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).expect("docs can be written");
    }
    let in_docs = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        in_docs == generated,
        "UPDATE=1 cargo test -p podseal-admission schema"
    );
}

/// Whether a profile is valid under the schema.
fn validator() -> impl Fn(&str) -> Result<(), String> {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler
        .add_resource("profile.json", schema())
        .expect("a schema");
    let index = compiler
        .compile("profile.json", &mut schemas)
        .expect("a schema");
    move |yaml| {
        let value: Value = serde_saphyr::from_str(yaml).expect("YAML");
        let result = schemas.validate(&value, index);
        result.map_err(|error| error.to_string())
    }
}

#[test]
fn built_in_profiles_and_examples_are_valid_and_name_the_schema_in_their_first_line() {
    let validate = validator();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/profiles");
    let examples: Vec<PathBuf> = std::fs::read_dir(examples)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    assert!(!examples.is_empty());
    let examples = examples.iter().map(|path| {
        let yaml = std::fs::read_to_string(path).expect("an example");
        (path.display().to_string(), yaml)
    });
    let built_in = BUILT_IN.map(|(name, yaml)| (name.to_owned(), yaml.to_owned()));
    for (name, yaml) in built_in.into_iter().chain(examples) {
        let first = yaml.lines().next().unwrap_or_default();
        let names_schema = first.starts_with("# yaml-language-server: $schema=")
            && first.ends_with("profile.schema.json");
        assert!(names_schema, "{name}");
        assert_eq!(validate(&yaml), Ok(()), "{name}");
    }
}

#[test]
fn the_schema_accepts_what_the_parser_accepts() {
    let validate = validator();
    for (rules, is_accepted) in [
        ("pod: {ifUnset: {hostUsers: false}}", true),
        ("pod: {default: {hostUsers: false}}", true),
        (
            "pod: {default: {hostUsers: false}, ifUnset: {hostUsers: false}}",
            false,
        ),
        ("pod: {default: null, ifUnset: {}}", false),
        ("pod: {unset: {}}", false),
        ("containers: {init: {default: {env: {A: b}}}}", true),
        ("containers: {init: {default: {envs: {A: b}}}}", false),
        ("containers: {init: {default: {}, ifUnset: {}}}", false),
        ("containers: {init: {default: null}}", true),
        ("containers: {init: null}", true),
        ("containers: {biuld: {}}", false),
        (
            "containers: {build: {set: {resources: {limits: {github.com/fuse: null, a.b/c: 1}}}}}",
            true,
        ),
        ("containers: {build: {set: {env: {A: null}}}}", true),
        ("containers: {build: {set: {env: {A: 1}}}}", false),
        (
            "containers: {build: {capabilities: {add: null, drop: [A]}}}",
            true,
        ),
        ("containers: {build: {capabilities: {add: [null]}}}", false),
        (
            "containers: {build: {set: {securityContext: {seLinuxOptions: {type: null}}}}}",
            false,
        ),
        ("home: {sizeLimit: null, medium: null, path: null}", true),
        ("settings: null", true),
        ("name: null", false),
    ] {
        let name = if rules.starts_with("name") {
            ""
        } else {
            "name: x\n"
        };
        let yaml = format!("{name}{rules}\n");
        let parsed = Written::from_yaml(&yaml);
        assert_eq!(parsed.is_ok(), is_accepted, "{rules}: {parsed:?}");
        let validated = validate(&yaml);
        assert_eq!(validated.is_ok(), is_accepted, "{rules}: {validated:?}");
    }
}
