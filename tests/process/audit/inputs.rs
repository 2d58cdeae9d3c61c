//! What `podseal audit` reads: lines of any log, files, gzip, and what cannot be read.

use serde_json::{Value, json};
use support::text;

use super::log::{audited, log};
use super::{audit, file, gzip, path, summary};

/// `summary` without what tells how it was read.
fn counts(mut summary: Value) -> Value {
    summary["not_counted"].take();
    summary
}

#[test]
fn records_are_found_whatever_wrote_their_lines() {
    let plain = log();
    let expected = counts(summary(&[], &plain));
    let each = |line: &dyn Fn(&str) -> String| -> String {
        plain.lines().map(|record| line(record) + "\n").collect()
    };
    let time = "2026-11-30T01:02:03.123456789Z";
    let logs = [
        (
            "kubectl logs --prefix",
            each(&|line| format!("[pod/podseal-5d/podseal] {line}")),
        ),
        (
            "kubectl logs --timestamps",
            each(&|line| format!("{time} {line}")),
        ),
        (
            "containerd",
            each(&|line| format!("{time} stderr F {line}")),
        ),
        (
            "containerd, in parts",
            each(&|line| {
                let (first, second) = line.split_at(line.len() / 2);
                format!("{time} stderr P {first}\n{time} stdout F x\n{time} stderr F {second}")
            }),
        ),
        (
            "Docker",
            each(&|line| json!({"log": format!("{line}\n"), "stream": "stderr"}).to_string()),
        ),
        (
            "a collector that parses JSON",
            each(&|line| format!(r#"{{"kubernetes":{{"pod":"x"}},"podseal":{line}}}"#)),
        ),
        (
            "a program that sorts keys",
            each(&|line| {
                serde_json::from_str::<Value>(line)
                    .expect("JSON")
                    .to_string()
            }),
        ),
        ("Windows", each(&|line| format!("{line}\r"))),
    ];
    for (what, log) in logs {
        assert_eq!(counts(summary(&[], &log)), expected, "{what}");
    }
}

#[test]
fn several_files_and_gzip_are_read_and_a_record_in_two_of_them_counts_once() {
    let log = log();
    let expected = counts(summary(&[], &log));
    let (first, second) = log.split_at(log.find('\n').expect("lines") + 1);
    // As rotation does with several files: more than one member.
    let both = file(&[gzip(first), gzip(second)].concat());
    assert_eq!(counts(summary(&[path(&both)], "")), expected);
    let (plain, compressed) = (file(first.as_bytes()), file(&gzip(second)));
    assert_eq!(
        counts(summary(&[path(&plain), path(&compressed)], "")),
        expected
    );
    assert_eq!(counts(summary(&["-", path(&compressed)], first)), expected);
    let twice = summary(&[path(&both), "-"], &log);
    assert_eq!(twice["not_counted"]["repeated"], 11);
    assert_eq!(twice["outcomes"], expected["outcomes"]);
}

#[test]
fn lines_that_are_no_records_are_counted_and_never_a_failure() {
    let record = audited("enforce");
    let cut = &record[..record.len() / 2];
    let newer = record.replace("decision/v1", "decision/v2");
    let deep = format!(
        "{{\"schema\":\"podseal.io/decision/v1\",\"x\":{}",
        "[".repeat(50_000)
    );
    let long = format!(
        "{{\"schema\":\"podseal.io/decision/v1\",\"x\":\"{}\"}}",
        "x".repeat(300_000)
    );
    let mut log =
        format!("{record}\n\n{cut}\n{newer}\n{deep}\n{long}\ntext\n{{}}\n[]\n").into_bytes();
    log.extend(b"\xff\xfe\x00\n\x1b[31m");
    let log = file(&log);
    let summary = summary(&[path(&log)], "");
    assert_eq!(summary["outcomes"]["rejected"], 1);
    let not_counted = json!({"dry_runs": 0, "repeated": 0, "unreadable": 4, "other_lines": 5});
    assert_eq!(summary["not_counted"], not_counted);

    for (input, note) in [
        ("", "the input is empty"),
        ("a\nb\n", "no record in 2 lines; podseal serve writes"),
    ] {
        let output = audit(&[], input);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        assert!(
            text(&output.stderr).contains(note),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn an_input_that_cannot_be_read_is_named_and_the_others_are_read() {
    let record = audited("enforce");
    let whole = file(format!("{record}\n").as_bytes());
    let mut cut = gzip(&log());
    cut.truncate(cut.len() - 20);
    let cut = file(&cut);
    for (input, error) in [
        ("missing.log", "cannot open missing.log: No such file"),
        ("src", "src is a folder; name its files"),
        (path(&cut), &*format!("cannot read {}: ", path(&cut))),
    ] {
        let output = audit(&[input, path(&whole)], "");
        assert_eq!(output.status.code(), Some(2), "{input}");
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(stderr.contains(error), "{stderr}");
        assert!(stdout.contains("  rejected\n"), "{stdout}");
    }
}

#[test]
fn zeros_after_compressed_lines_are_ignored_and_other_bytes_are_not() {
    let log = log();
    let expected = counts(summary(&[], &log));
    let (first, second) = log.split_at(log.find('\n').expect("lines") + 1);
    let zeros = vec![0; 200_000];
    let padded = file(&[gzip(first), zeros.clone(), gzip(second), zeros].concat());
    assert_eq!(counts(summary(&[path(&padded)], "")), expected);
    let mut other = gzip(&log);
    other.extend(b"\0\0other");
    let other = file(&other);
    let output = audit(&["-o", "json", path(&other)], "");
    assert_eq!(output.status.code(), Some(2));
    let error = "what follows the compressed lines is not gzip; they are counted";
    assert!(
        text(&output.stderr).contains(error),
        "{}",
        text(&output.stderr)
    );
    let summary = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(counts(summary), expected);
}

#[test]
fn a_message_that_quotes_a_record_is_none() {
    let record = audited("enforce");
    let quoted = format!("cannot read namespace: {record}");
    let lines = [
        json!({"level": "WARN", "message": quoted, "target": "podseal::namespaces"}),
        json!({"level": "WARN", "message": record, "target": "podseal::namespaces"}),
        json!({"message": quoted}),
        json!({"log": format!("{quoted}\n"), "stream": "stderr"}),
    ];
    let log: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let summary = summary(&[], &log);
    assert_eq!(summary["records"], 0, "{summary:#}");
    assert_eq!(summary["not_counted"]["other_lines"], 4, "{summary:#}");
}

#[test]
fn a_hole_at_the_beginning_of_a_file_costs_no_record() {
    let record = audited("enforce");
    let mut log = vec![0; 300_000];
    log.extend(format!("{record}\n").bytes());
    let log = file(&log);
    let summary = summary(&[path(&log)], "");
    assert_eq!(summary["outcomes"]["rejected"], 1);
    assert_eq!(summary["not_counted"]["other_lines"], 0);
}
