//! What `podseal audit` takes does not depend on how much it reads.

use std::io::{BufWriter, Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::log::audited;

/// How much is read. The processor time of a test build limits it.
const INPUT: usize = 50_000_000;
/// The most memory that podseal may have resident for it, beside what it has for one record: the
/// program, which is several times larger in a test build.
const MOST: u64 = 32 << 20;

/// A record of which all that is counted is another's, and as long as it is kept.
fn template() -> String {
    let mut record: Value = serde_json::from_str(&audited("enforce")).expect("JSON");
    for field in ["uid", "namespace", "project", "user", "pod", "job_id"] {
        record[field] = format!("NUMBER-{}", "x".repeat(130)).into();
    }
    record["message"] = "m".repeat(600).into();
    record["time"] = "20YEAR-MONTH-DAYT00:00:00Z".into();
    let controls = (0..40).map(|control| format!("NUMBER-{control:02}-{}", "x".repeat(50)));
    let controls: Vec<_> = ["privileged".to_owned()]
        .into_iter()
        .chain(controls)
        .collect();
    record["controls"] = controls.into();
    let id = format!("NUMBER-{}", "x".repeat(130));
    record["cautions"] = json!([{"id": id, "text": "t".repeat(600)}]);
    record["warnings"] = json!([format!("NUMBER-{}", "w".repeat(600))]);
    record.to_string() + "\n"
}

/// The summary of what `write` writes, and the most memory that it took, in KiB.
fn summary(write: impl FnOnce(&mut dyn Write)) -> (Value, u64) {
    let mut child = Command::new(support::program())
        .args(["audit", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("podseal can be started");
    let mut stdin = BufWriter::new(child.stdin.take().expect("it is piped"));
    write(&mut stdin);
    stdin.flush().expect("podseal reads");
    // It ends once its output is read, and has all that it takes until then.
    let pid = child.id();
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut peak = peak_of(pid);
    drop(stdin);
    let mut output = Vec::new();
    let mut part = vec![0; 4096];
    while let Ok(length) = stdout.read(&mut part)
        && length > 0
    {
        output.extend_from_slice(&part[..length]);
        peak = peak.max(peak_of(pid));
    }
    assert!(child.wait().expect("podseal ends").success());
    (serde_json::from_slice(&output).expect("JSON"), peak)
}

/// 0 for a process that has ended.
fn peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    peak.map_or(0, |peak| peak.trim().parse().expect("a number"))
}

#[test]
fn a_log_of_any_size_and_variety_takes_constant_memory() {
    let record = audited("enforce") + "\n";
    // It has read the first lines when it is looked at.
    let small = record.repeat(1000);
    let (_, least) = summary(|stdin| stdin.write_all(small.as_bytes()).expect("podseal reads"));
    let template = template();
    let (mut written, mut records) = (0, 0);
    let (summary, peak) = summary(|stdin| {
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
    });
    let figures =
        format!("{peak} KiB for {records} records, {least} KiB for a thousand small ones");
    eprintln!("{figures}");
    assert_eq!(summary["outcomes"]["rejected"], records, "none is lost");
    assert_eq!(summary["controls"][0]["control"], "privileged");
    assert_eq!(summary["controls"][0]["requests"], records);
    for (list, others) in [
        ("groups", "other_groups"),
        ("cautions", "other_cautions"),
        ("warnings", "other_warnings"),
    ] {
        let rows = summary[list].as_array().expect(list);
        let listed = rows.iter().filter_map(|row| row["requests"].as_u64());
        let all = listed.sum::<u64>() + summary[others].as_u64().expect("a count");
        assert_eq!(all, records, "{list}");
    }
    assert_eq!(summary["complete"], false);
    assert!((peak - least) * 1024 < MOST, "{figures}");
}
