//! `podseal audit` on records that podseal wrote.

use std::io::Write;
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::text;
use tempfile::NamedTempFile;

use log::{audited, log};

mod follow;
mod formats;
mod inputs;
mod log;
mod memory;

/// Runs `podseal audit` with `input` on standard input.
fn audit(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(support::program());
    command.arg("audit").args(args);
    support::run(command, input)
}

fn printed(args: &[&str], input: &str) -> String {
    support::printed("podseal audit", &audit(args, input))
}

fn summary(args: &[&str], input: &str) -> Value {
    let args = [&["-o", "json"], args].concat();
    serde_json::from_str(&printed(&args, input)).expect("JSON")
}

fn file(content: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(content).expect("written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path of text")
}

fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content.as_bytes()).expect("compressed");
    encoder.finish().expect("compressed")
}

#[test]
fn each_request_is_counted_once_with_what_became_of_it() {
    let summary = summary(&[], &log());
    assert_eq!(summary["records"], 11, "{summary:#}");
    assert_eq!(summary["requests"], 6, "{summary:#}");
    let outcomes = json!({"rejected": 2, "not_enforced": 2, "corrected": 2, "not_corrected": 1,
        "allowed": 2});
    assert_eq!(summary["outcomes"], outcomes, "{summary:#}");
    let not_counted = json!({"dry_runs": 1, "repeated": 0, "unreadable": 0, "other_lines": 1});
    assert_eq!(summary["not_counted"], not_counted, "{summary:#}");
    let controls: Vec<_> = summary["controls"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            (
                row["control"].as_str(),
                row["requests"].as_u64(),
                row["not_enforced"].as_u64(),
            )
        })
        .collect();
    for row in [
        ("hostNamespaces", 2, 1),
        ("privileged", 2, 1),
        ("none", 2, 1),
    ] {
        let (control, requests, not_enforced) = row;
        let row = (Some(control), Some(requests), Some(not_enforced));
        assert!(controls.contains(&row), "{controls:?}");
    }
}

#[test]
fn the_summary_says_whose_pods_were_rejected_by_what_and_since_when() {
    let printed = printed(&[], &log());
    for shown in [
        "6 requests from 20",
        "         2  rejected\n",
        "         2  not enforced  denied, and allowed by the mode warn or audit\n",
        "\nRequests denied, by hour (UTC)\n",
        "  privileged  (1 not enforced)\n",
        "\nRejected, by project, owner or user\n",
        "  enforce    platform_images/playground\n",
        "            by hostNamespaces 1, privileged 1\n",
        ", job 9876543210, by\n            system:serviceaccount:gitlab:gitlab-runner\n",
        "\nDenied, but not enforced, by project, owner or user\n",
        "\nCautions: ",
        "  seccomp-default  enforce  platform_images/playground\n",
        "\nnot counted: 1 dry run, 1 other line\n",
    ] {
        assert!(printed.contains(shown), "{shown:?} is not in\n{printed}");
    }
    assert!(
        printed.contains("█") && !printed.contains('\u{1b}'),
        "{printed}"
    );
    assert!(
        printed.lines().all(|line| line.chars().count() <= 100),
        "{printed}"
    );
}

#[test]
fn filters_choose_what_is_read_and_decisions_what_is_listed() {
    let log = log();
    let listed = |args: &[&str]| -> Vec<String> {
        let printed = printed(&[&["-o", "csv"], args].concat(), &log);
        let rows = printed.lines().skip(1);
        let fields = rows.map(|row| row.split(',').skip(1).take(2).collect::<Vec<_>>().join(" "));
        fields.collect()
    };
    let (rejected, not_enforced) = ("rejected enforce", "not_enforced audit");
    assert_eq!(
        listed(&[]),
        [rejected, rejected, not_enforced, not_enforced]
    );
    assert_eq!(listed(&["-n", "audit"]), [not_enforced; 2]);
    assert_eq!(listed(&["-n", "audit", "-n", "enforce"]).len(), 4);
    assert_eq!(listed(&["-n", "other"]).len(), 0);
    assert_eq!(
        listed(&["--control", "privileged"]),
        [rejected, not_enforced]
    );
    assert_eq!(listed(&["--control", "none"]), [rejected, not_enforced]);
    assert_eq!(listed(&["--control", "hostPorts"]).len(), 0);
    for project in [
        "platform_images/playground",
        "platform/images/playground",
        "61234567",
    ] {
        assert_eq!(listed(&["--project", project]).len(), 4, "{project}");
    }
    assert_eq!(listed(&["--project", "playground"]).len(), 0);
    assert_eq!(listed(&["--since", "1h"]).len(), 4);
    assert_eq!(listed(&["--since", "2100-01-01"]).len(), 0);
    assert_eq!(listed(&["--decision", "allow"]), ["allowed enforce"; 2]);
    let corrected = [
        "corrected enforce",
        "corrected enforce",
        "not_corrected audit",
    ];
    assert_eq!(listed(&["--decision", "mutate"]), corrected);
    assert_eq!(
        listed(&["--decision", "mutate", "--decision", "deny"]).len(),
        7
    );

    let none = audit(&["--since", "2100-01-01"], &log);
    assert_eq!(
        text(&none.stdout).lines().next(),
        Some("No request matches; 11 records read")
    );
    let wrong = audit(&["--since", "yesterday"], "");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        text(&wrong.stderr).contains("such as 90m, 24h or 7d"),
        "{}",
        text(&wrong.stderr)
    );
    let help = text(&audit(&["--help"], "").stdout);
    for value in ["hostNamespaces", "deny:", "mutate:", "allow:"] {
        assert!(help.contains(value), "{value}: {help}");
    }
}

#[test]
fn the_bars_are_by_the_hour_or_the_day_with_none_left_out() {
    let record = audited("enforce");
    let on = |number: usize, time: &str| {
        let mut record: Value = serde_json::from_str(&record).expect("JSON");
        record["time"] = time.into();
        record["uid"] = number.to_string().into();
        format!("{record}\n")
    };
    let lines = |times: &[&str]| -> String {
        times
            .iter()
            .enumerate()
            .map(|(number, time)| on(number, time))
            .collect()
    };
    let hours = lines(&[
        "2026-11-29T22:10:00Z",
        "2026-11-30T00:59:59Z",
        "2026-11-30T00:00:00Z",
    ]);
    let printed_hours = printed(&[], &hours);
    for (bar, count) in [
        ("2026-11-29 22:00", "1"),
        ("2026-11-29 23:00", "0"),
        ("2026-11-30 00:00", "2"),
    ] {
        let line = printed_hours
            .lines()
            .find(|line| line.contains(bar))
            .expect(bar);
        assert!(line.ends_with(&format!(" {count}")), "{line}");
    }
    let days = summary(
        &[],
        &lines(&["2026-11-27T22:10:00Z", "2026-11-30T00:00:00Z"]),
    );
    assert_eq!(days["unit"], "day");
    let bars: Vec<_> = days["bars"]
        .as_array()
        .expect("bars")
        .iter()
        .map(|bar| &bar["requests"])
        .collect();
    assert_eq!(bars, [1, 0, 0, 1]);
    assert_eq!(days["first"], "2026-11-27T22:10:00Z");
}

#[test]
fn a_record_with_a_wrong_time_does_not_hide_the_others_bars() {
    let record = audited("enforce");
    let mut log = String::new();
    for number in 0..200 {
        let mut record: Value = serde_json::from_str(&record).expect("JSON");
        record["uid"] = number.to_string().into();
        record["time"] = match number {
            0 => "9999-12-30T00:00:00Z".into(),
            _ => format!("2026-11-{:02}T01:00:00Z", number % 30 + 1).into(),
        };
        log += &format!("{record}\n");
    }
    let shown = printed(&[], &log);
    assert!(
        shown.contains("\nRequests denied, by day (UTC)\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\n  left out: 1, whose times are far from the others', as of a wrong"),
        "{shown}"
    );
    let summary = summary(&[], &log);
    assert_eq!(summary["unit"], "day");
    assert_eq!(summary["bars"].as_array().map(Vec::len), Some(30));
    assert_eq!(summary["other_bars"], 1);
    assert_eq!(summary["last"], "9999-12-30T00:00:00Z");
}
