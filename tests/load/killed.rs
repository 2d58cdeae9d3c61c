//! podseal is killed under load: no review was answered without its record.

use std::collections::BTreeSet;

use cases::review::{NAMESPACES, job_review};
use serde_json::Value;
use support::block_on;
use support::podseal::Podseal;
use support::wire::Wire;
use tokio::sync::watch;

use crate::alone;

/// How many clients post at a time.
const CLIENTS: usize = 16;

/// How often podseal is killed; more in `make soak`.
fn rounds() -> usize {
    let soak = std::env::var("SOAK_FACTOR").ok();
    5 * soak.and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

/// Posts one review after the other until podseal is gone, and returns the uids of those
/// that were allowed.
async fn post_all(podseal: &Podseal, client: usize, answers: &watch::Sender<usize>) -> Vec<String> {
    let mut wire = Wire::http1(podseal).await;
    let mut allowed = Vec::new();
    for number in 0.. {
        let uid = format!("{client}-{number}");
        let path = ["/mutate", "/validate"][number % 2];
        let Ok(answer) = wire.post(path, &job_review(&uid, "ci")).await else {
            break;
        };
        let is_last = answer.is_last();
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        if answer["response"]["status"]["code"] == 429 {
            if is_last {
                wire = Wire::http1(podseal).await;
            }
            continue;
        }
        allowed.push(uid);
        answers.send_modify(|count| *count += 1);
    }
    allowed
}

/// Kills a podseal once it has answered so many, and returns the uids that it answered.
fn killed_after(podseal: &mut Podseal, many: usize) -> BTreeSet<String> {
    let (answers, mut counted) = watch::channel(0);
    let pid = podseal.process.pid.to_string();
    let answered = block_on(async {
        let clients = (0..CLIENTS).map(|client| post_all(podseal, client, &answers));
        let kill = async {
            let enough = counted.wait_for(|count| *count >= many).await;
            drop(enough.expect("its sender lives"));
            let killed = std::process::Command::new("kill")
                .args(["-KILL", &pid])
                .status();
            assert!(killed.is_ok_and(|status| status.success()));
        };
        tokio::join!(futures::future::join_all(clients), kill).0
    });
    podseal.process.end();
    answered.into_iter().flatten().collect()
}

/// The uids of the records in these lines, of which the last may be cut.
fn recorded<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<String> {
    let uid = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        let is_record = event["target"] == "podseal::decision";
        Some(event["uid"].as_str().filter(|_| is_record)?.to_owned())
    };
    lines.filter_map(uid).collect()
}

fn check(answered: &BTreeSet<String>, recorded: &[String], to: &str) {
    let distinct: BTreeSet<_> = recorded.iter().cloned().collect();
    let missing: Vec<_> = answered.difference(&distinct).collect();
    println!(
        "to {to}: {} answered, {} recorded, {} without a record",
        answered.len(),
        recorded.len(),
        missing.len()
    );
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(distinct.len(), recorded.len(), "a record is there twice");
}

#[test]
fn no_answered_review_is_without_its_record_on_standard_error() {
    let _machine = alone();
    for round in 0..rounds() {
        let mut podseal = Podseal::for_namespaces(NAMESPACES);
        let answered = killed_after(&mut podseal, 300 + 37 * round);
        let lines = podseal.ended_log();
        check(
            &answered,
            &recorded(lines.iter().map(String::as_str)),
            "standard error",
        );
    }
}

#[test]
fn no_answered_review_is_without_its_record_in_a_file() {
    let _machine = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    let arguments = ["--audit-log-path", path.to_str().expect("a text")];
    for round in 0..rounds() {
        let mut podseal = Podseal::with_namespaces(NAMESPACES, &arguments);
        let answered = killed_after(&mut podseal, 300 + 37 * round);
        let text = std::fs::read_to_string(&path).expect("the file");
        check(&answered, &recorded(text.lines()), "a file");
        std::fs::remove_file(&path).expect("the file is removed");
    }
}
