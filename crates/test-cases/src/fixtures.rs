//! The files under `tests/fixtures`.

use serde_json::Value;

/// Where they are.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");

/// The text of `tests/fixtures/NAME`.
pub fn fixture_text(name: &str) -> String {
    let path = format!("{FOLDER}/{name}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pod `tests/fixtures/pods/NAME.json`.
pub fn fixture(name: &str) -> Value {
    serde_json::from_str(&fixture_text(&format!("pods/{name}.json")))
        .unwrap_or_else(|error| panic!("fixture {name}: {error}"))
}

/// A job of this name, for whatever namespace it is created in.
pub fn job(name: &str) -> Value {
    let mut pod = fixture("default-with-service");
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("namespace");
    metadata.insert("name".to_owned(), name.into());
    pod
}

/// A job without services, since those have to meet a level by themselves.
pub fn job_without_services() -> Value {
    let mut pod = fixture("default-with-service");
    let containers = pod["spec"]["containers"].as_array_mut();
    containers.expect("containers").truncate(2);
    pod
}
