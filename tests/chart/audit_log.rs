//! Records go to the volume of `serve.auditLog`, a file for each replica.

use serde_json::Value;
use support::simulated_node::Replica;

use crate::release::Release;

/// The records that a replica wrote to its file.
fn records(replica: &Replica) -> Vec<Value> {
    let process = format!("/proc/{}", replica.pid);
    let arguments = std::fs::read(format!("{process}/cmdline")).expect("it runs");
    let arguments = support::text(&arguments);
    let path = arguments
        .split('\0')
        .find_map(|argument| argument.strip_prefix("--audit-log-path="));
    let path = path.expect("it has a file");
    assert!(path.ends_with(&format!("/{}.log", replica.pod)), "{path}");
    let text = std::fs::read_to_string(format!("{process}/root{path}"));
    let text = text.expect("the file can be read");
    let record = |line| serde_json::from_str(line).expect("a record");
    text.lines().map(record).collect()
}

#[test]
fn each_replica_writes_a_file_of_its_own_and_none_to_its_log() {
    let volume = r#"serve.auditLog.volume={"emptyDir": {"sizeLimit": "2Gi"}}"#;
    let release = Release::installed("files", &["--set-json", volume]);
    let replicas = release.node().replicas();
    assert_eq!(replicas.len(), 2);
    let all: Vec<_> = replicas.iter().flat_map(records).collect();
    let corrected = |record: &&Value| record["decision"] == "mutate";
    assert!(all.iter().any(|record| corrected(&record)), "{all:#?}");
    let logs = release.node().logs();
    let is_record = |line: &&String| line.contains("podseal.io/decision/v1");
    assert_eq!(logs.iter().find(is_record), None);
}
