//! What `podseal audit` takes does not depend on how much it reads.

use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::log::audited;

/// How much is read. The processor time of a test build limits it.
const INPUT: usize = 128 << 20;
/// The most memory that podseal may have resident for it, the program included.
const MOST: u64 = 48 << 20;

#[test]
fn a_log_of_any_size_and_variety_takes_constant_memory() {
    let mut record: Value = serde_json::from_str(&audited("enforce")).expect("JSON");
    // Every record is another's, and has another control and another time.
    for field in ["uid", "namespace", "project", "user", "pod"] {
        record[field] = format!("NUMBER-{}", "x".repeat(60)).into();
    }
    record["time"] = "20YEAR-MONTH-DAYT00:00:00Z".into();
    record["controls"] = vec!["privileged", "NUMBER"].into();
    let template = record.to_string() + "\n";
    let mut child = Command::new(support::program())
        .args(["audit", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("podseal can be started");
    let mut stdin = BufWriter::new(child.stdin.take().expect("it is piped"));
    let (mut written, mut records) = (0, 0);
    while written < INPUT {
        let (year, month, day) = (
            records % 100,
            records / 100 % 12 + 1,
            records / 1200 % 28 + 1,
        );
        let line = template
            .replace("NUMBER", &format!("{records:08}"))
            .replace("YEAR", &format!("{year:02}"))
            .replace("MONTH", &format!("{month:02}"))
            .replace("DAY", &format!("{day:02}"));
        stdin.write_all(line.as_bytes()).expect("podseal reads");
        written += line.len();
        records += 1;
    }
    stdin.flush().expect("podseal reads");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.expect("podseal runs until its input ends");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    let peak: u64 = peak.expect("a figure").trim().parse().expect("a number");
    drop(stdin);
    let output = child.wait_with_output().expect("podseal ends");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["outcomes"]["rejected"], records, "none is lost");
    assert_eq!(summary["controls"][0]["control"], "privileged");
    assert_eq!(summary["controls"][0]["requests"], records);
    let groups = summary["groups"].as_array().expect("groups");
    let listed: u64 = groups
        .iter()
        .filter_map(|group| group["requests"].as_u64())
        .sum();
    assert_eq!(
        listed + summary["other_groups"].as_u64().expect("a count"),
        records
    );
    assert_eq!(summary["complete"], false);
    assert!(peak * 1024 < MOST, "{peak} KiB for {records} records");
}
