//! The JSON Schema of a profile, made from the types, for editors.

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use super::{BUILT_IN, Profile};

/// What `scalars` reads as an amount.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "a schema is made of it, and never a value")]
pub(super) enum Amount {
    /// Such as `10Gi`.
    Text(String),
    /// Such as `1`.
    Number(u64),
}

fn schema() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Profile>();
    let mut schema = serde_json::to_value(schema).expect("a schema is JSON");
    schema["title"] = "A profile of podseal".into();
    serde_json::to_string_pretty(&schema).expect("JSON") + "\n"
}

#[test]
fn the_schema_in_docs_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/profile.schema.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, schema()).expect("docs can be written");
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == schema(),
        "UPDATE=1 cargo test -p podseal-admission schema"
    );
}

#[test]
fn every_built_in_profile_meets_the_schema_and_names_it_in_its_first_line() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    let schema = serde_json::from_str(&schema()).expect("JSON");
    compiler
        .add_resource("profile.json", schema)
        .expect("a schema");
    let index = compiler
        .compile("profile.json", &mut schemas)
        .expect("a schema");
    for (name, yaml) in BUILT_IN {
        let first = "# yaml-language-server: $schema=profile.schema.json\n";
        assert!(yaml.starts_with(first), "{name}");
        let value: serde_json::Value = serde_saphyr::from_str(yaml).expect("YAML");
        if let Err(error) = schemas.validate(&value, index) {
            panic!("{name}: {error}");
        }
    }
    let wrong = serde_json::json!({"name": "x", "summary": "y", "containers": {"biuld": {}}});
    assert!(schemas.validate(&wrong, index).is_err());
}
