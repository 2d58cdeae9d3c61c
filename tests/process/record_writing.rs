//! No review is answered without its record, whoever reads the records, and wherever they
//! go; and podseal does not hang where nobody reads them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cases::review::{NAMESPACES, job_review};
use serde_json::Value;
use support::block_on;
use support::controlplane::await_condition;
use support::podseal::Podseal;
use support::wire::Wire;

const SHED: &str = r#"podseal_shed_total{reason="audit_log"}"#;
const FAILING: &str = "podseal_audit_log_failing";

/// A volume of this many bytes, in which podseal runs.
const SMALL_VOLUME: &str = r#"mount -t tmpfs -o size=256k none "$0" && exec "$@""#;

/// One connection, on which reviews are posted one after the other.
struct Client {
    wire: Wire,
    posted: usize,
    answered: BTreeSet<String>,
}

impl Client {
    fn of(podseal: &Podseal) -> Client {
        Client {
            wire: block_on(Wire::http1(podseal)),
            posted: 0,
            answered: BTreeSet::new(),
        }
    }

    /// Posts a review. It is answered, or its status is returned, and the connection is
    /// another one, as it is for an API server.
    fn post(&mut self, podseal: &Podseal) -> Result<(), Value> {
        let uid = format!("review-{}", self.posted);
        self.posted += 1;
        let answer = block_on(self.wire.post("/mutate", &job_review(&uid, "ci")));
        let answer = answer.expect("an answer");
        assert_eq!(answer.code, 200);
        let is_last = answer.is_last();
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer["response"]["uid"], *uid);
        match answer["response"]["allowed"] == true {
            true => {
                self.answered.insert(uid);
                Ok(())
            }
            false => {
                assert!(is_last, "another replica may answer");
                self.wire = block_on(Wire::http1(podseal));
                Err(answer["response"]["status"].clone())
            }
        }
    }

    /// Posts reviews until one is shed, which clients try again.
    fn post_until_shed(&mut self, podseal: &Podseal) {
        let status = std::iter::repeat_with(|| self.post(podseal)).find_map(Result::err);
        assert_to_retry(&status.expect("it was awaited"));
    }

    /// Posts reviews until one is answered.
    fn post_until_answered(&mut self, podseal: &Podseal) {
        let is_answered = || self.post(podseal).is_ok();
        await_condition("a review is answered", is_answered, String::new);
    }
}

fn assert_to_retry(status: &Value) {
    assert_eq!(status["code"], 429, "{status:#}");
    assert_eq!(status["reason"], "TooManyRequests");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    let message = "podseal is busy: its audit log cannot be written in time";
    assert_eq!(status["message"], message);
}

fn podseal(arguments: &[&str]) -> Podseal {
    Podseal::with_namespaces(NAMESPACES, arguments)
}

/// The uids of the records among these lines, each of which is JSON.
fn recorded<'l>(lines: impl IntoIterator<Item = &'l str>) -> Vec<String> {
    let events = lines.into_iter().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        event
    });
    let records = events.filter(|event| event["target"] == "podseal::decision");
    let uid = |record: Value| record["uid"].as_str().expect("a uid").to_owned();
    records.map(uid).collect()
}

fn assert_all_recorded(answered: &BTreeSet<String>, recorded: Vec<String>) {
    let distinct: BTreeSet<_> = recorded.iter().cloned().collect();
    assert_eq!(distinct.len(), recorded.len(), "a record is there twice");
    let missing: Vec<_> = answered.difference(&distinct).collect();
    assert!(missing.is_empty(), "answered without a record: {missing:?}");
}

/// It sheds reviews, says so, and is ready.
fn assert_failing(podseal: &Podseal, problem: &str) {
    podseal.await_metric(FAILING, 1.0);
    assert!(podseal.metric(SHED) >= Some(1.0));
    assert_eq!(podseal.status("/readyz"), (200, "ok".to_owned()));
    let (code, body) = podseal.status("/readyz?verbose");
    let note = "[!]audit log failing; shedding reviews until it can be written: ";
    assert!(code == 200 && body.contains(note), "{body}");
    assert!(body.contains(problem), "{body}");
    assert!(body.ends_with("readyz check passed\n"), "{body}");
}

fn assert_working(podseal: &Podseal) {
    let is_working = || podseal.metric(FAILING) == Some(0.0);
    await_condition("records are written", is_working, String::new);
    let (_, body) = podseal.status("/readyz?verbose");
    assert!(!body.contains("audit log"), "{body}");
}

#[test]
fn reviews_are_shed_while_nobody_reads_the_log_and_answered_once_somebody_does() {
    let podseal = podseal(&[]);
    let mut client = Client::of(&podseal);
    client.post(&podseal).expect("an answer");
    let unread = podseal.stop_reading_log();
    client.post_until_shed(&podseal);
    assert_failing(&podseal, "a write to standard error has taken ");
    // It is known by now, so none of these waits.
    let start = Instant::now();
    for _ in 0..20 {
        assert_to_retry(&client.post(&podseal).expect_err("nobody reads the log"));
    }
    assert!(start.elapsed() < Duration::from_secs(15), "they waited");
    drop(unread);
    client.post_until_answered(&podseal);
    assert_working(&podseal);
    let again = |event: &Value| event["message"] == "writing to standard error again";
    podseal.await_event(again);
    let recorded = || recorded(podseal.lines().iter().map(String::as_str));
    let last = format!("review-{}", client.posted - 1);
    // What is written is not yet read.
    let is_read = || recorded().contains(&last);
    await_condition("the last record is read", is_read, String::new);
    assert_all_recorded(&client.answered, recorded());
}

#[test]
fn other_lines_are_dropped_and_counted_while_nobody_reads_them() {
    let podseal = podseal(&["--log-level", "trace"]);
    let unread = podseal.stop_reading_log();
    let dropped = "podseal_log_lines_dropped_total";
    // Over HTTP/2, each request has dozens of lines at this level.
    let client = podseal.client().http2_prior_knowledge().build();
    let client = client.expect("a client");
    let is_dropped = || {
        (0..50).for_each(|_| {
            let answer = block_on(client.get(format!("{}/x", podseal.url)).send());
            assert_eq!(answer.expect("an answer").status(), 404);
        });
        podseal.metric(dropped) > Some(0.0)
    };
    await_condition("a line is dropped", is_dropped, String::new);
    assert_eq!(podseal.status("/livez").0, 200);
    drop(unread);
    let line = |event: &Value| event["message"] == "dropped log lines, which nobody read";
    let reported = podseal.await_event(line);
    assert!(reported["dropped"].as_u64() > Some(0), "{reported}");
}

#[test]
fn it_stops_although_nobody_reads_the_log() {
    let mut podseal = podseal(&[]);
    let mut client = Client::of(&podseal);
    let unread = podseal.stop_reading_log();
    client.post_until_shed(&podseal);
    podseal.process.signal("TERM");
    assert_eq!(podseal.process.end(), Some(0));
    drop(unread);
    let lines = podseal.ended_log();
    // The last line may be cut: the process has ended in it.
    let whole = lines[..lines.len() - 1].iter().map(String::as_str);
    let mut recorded = recorded(whole);
    recorded.extend(lines.last().and_then(|last| {
        let record: Value = serde_json::from_str(last).ok()?;
        Some(record["uid"].as_str()?.to_owned())
    }));
    assert_all_recorded(&client.answered, recorded);
}

#[test]
fn what_is_queued_is_written_after_sigterm() {
    let mut podseal = podseal(&["--drain", "5s"]);
    let mut client = Client::of(&podseal);
    let unread = podseal.stop_reading_log();
    client.post_until_shed(&podseal);
    podseal.process.signal("TERM");
    let is_stopping = || podseal.status("/readyz").0 == 503;
    await_condition("it is stopping", is_stopping, String::new);
    drop(unread);
    assert_eq!(podseal.process.end(), Some(0));
    let lines = podseal.ended_log();
    assert_all_recorded(&client.answered, recorded(lines.iter().map(String::as_str)));
    let last: Value = serde_json::from_str(lines.last().expect("a line")).expect("JSON");
    assert_eq!(last["message"], "stopped", "{last}");
}

#[test]
fn a_pipe_whose_reader_has_closed_it_fails_livez_until_another_opens_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo can be started").success());
    let opened = {
        let path = path.clone();
        std::thread::spawn(move || File::open(path).expect("the pipe"))
    };
    let podseal = podseal(&["--audit-log-path", path.to_str().expect("a text")]);
    let reader = opened.join().expect("no panic");
    let mut client = Client::of(&podseal);
    client.post(&podseal).expect("an answer");
    assert_eq!(podseal.status("/livez").0, 200);
    drop(reader);
    client.post_until_shed(&podseal);
    assert_failing(&podseal, "Broken pipe (os error 32)");
    let (code, body) = podseal.status("/livez?verbose");
    let failed = "[-]audit-log failed: nobody reads the records: the pipe is closed\n";
    assert!(code == 503 && body.contains(failed), "{body}");
    assert_eq!(podseal.status("/livez/ping").0, 200);
    let _reader = File::open(&path).expect("the pipe");
    client.post_until_answered(&podseal);
    assert_eq!(podseal.status("/livez").0, 200);
}

#[test]
fn a_file_that_cannot_be_written_is_as_a_full_queue() {
    let podseal = podseal(&["--audit-log-path", "/dev/full"]);
    let mut client = Client::of(&podseal);
    client.post_until_shed(&podseal);
    assert_failing(
        &podseal,
        "cannot write to /dev/full: No space left on device (os error 28)",
    );
    podseal.await_metric("podseal_audit_log_write_errors_total", 2.0);
    let logged = podseal.await_event(|event| {
        event["message"] == "cannot write to /dev/full; trying again until it works"
    });
    assert_eq!(logged["error"], "No space left on device (os error 28)");
    assert_eq!(podseal.metric("podseal_audit_log_records_total"), Some(0.0));
    assert!(client.answered.is_empty());
}

#[test]
fn records_are_whole_and_reviews_answered_once_a_full_volume_has_space_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let volume = folder.path().to_str().expect("a text");
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&namespaces, NAMESPACES).expect("the file can be written");
    // Root of this machine, or of a user namespace.
    let is_root = Command::new("unshare").args(["--mount", "true"]).status();
    let unshare: &[&str] = match is_root.is_ok_and(|status| status.success()) {
        true => &["unshare", "--mount"],
        false => &["unshare", "--mount", "--map-root-user"],
    };
    let by = [unshare, &["sh", "-c", SMALL_VOLUME, volume]].concat();
    let podseal = Podseal::started_by(&by, |command| {
        command.arg("--namespaces").arg(namespaces.path());
        command
            .arg("--audit-log-path")
            .arg(folder.path().join("audit.log"));
    });
    // The volume, as podseal sees it.
    let root = format!("/proc/{}/root", podseal.process.pid);
    let seen = Path::new(&root).join(volume.trim_start_matches('/'));
    let filler = seen.join("filler");
    std::fs::write(&filler, vec![0; 128 << 10]).expect("there is space");
    let mut client = Client::of(&podseal);
    client.post_until_shed(&podseal);
    assert_failing(&podseal, "No space left on device");
    assert!(!client.answered.is_empty(), "there was some space");
    std::fs::remove_file(filler).expect("it is removed");
    client.post_until_answered(&podseal);
    assert_working(&podseal);
    let text = std::fs::read_to_string(seen.join("audit.log")).expect("the file");
    assert!(text.ends_with('\n'));
    assert_all_recorded(&client.answered, recorded(text.lines()));
    assert!(!podseal.has_logged(|event| event["target"] == "podseal::decision"));
}

#[test]
fn the_file_is_rotated_and_old_ones_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new/podseal.log");
    let file = path.to_str().expect("a text");
    let rotation = ["--audit-log-maxsize", "1", "--audit-log-maxbackup", "2"];
    let podseal = podseal(&[&["--audit-log-path", file][..], &rotation].concat());
    let mut client = Client::of(&podseal);
    let files = || {
        let entries = std::fs::read_dir(path.parent().expect("a folder")).expect("it is there");
        let mut all: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        // The names of old ones have their time, and "-" is before ".".
        all.sort();
        all
    };
    let mut names = BTreeSet::new();
    while names.len() < 5 {
        (0..20).for_each(|_| client.post(&podseal).expect("an answer"));
        names.extend(files());
    }
    let files = files();
    assert_eq!(files.len(), 3, "{files:?}");
    assert_eq!(files[2], path);
    let mut kept = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a file");
        assert!(text.len() <= 1 << 20 && text.ends_with('\n'), "{file:?}");
        kept.extend(recorded(text.lines()));
    }
    // What is kept is the end, in order, and nothing is missing between.
    let first = client.posted - kept.len();
    let expected: Vec<_> = (first..client.posted)
        .map(|n| format!("review-{n}"))
        .collect();
    assert_eq!(kept, expected);
}

#[test]
fn a_file_that_cannot_be_opened_is_told_before_anything_is_served() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let below = file.path().join("audit.log");
    let mut command = Command::new(support::program());
    command.args(["serve", "--audit-log-path"]).arg(&below);
    let output = support::run(command, "");
    assert_eq!(output.status.code(), Some(2));
    let told = support::text(&output.stderr);
    let expected = format!(
        "cannot open --audit-log-path {}; set a file in",
        below.display()
    );
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn records_go_to_standard_output_where_the_path_is_a_dash() {
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&namespaces, NAMESPACES).expect("the file can be written");
    let stdout = tempfile::NamedTempFile::new().expect("a file");
    let to_file = r#"exec "$@" >"$0""#;
    let path = stdout.path().to_str().expect("a text");
    let podseal = Podseal::started_by(&["sh", "-c", to_file, path], |command| {
        command.arg("--namespaces").arg(namespaces.path());
        command.args(["--audit-log-path", "-"]);
    });
    let mut client = Client::of(&podseal);
    (0..3).for_each(|_| client.post(&podseal).expect("an answer"));
    let text = std::fs::read_to_string(&stdout).expect("the file");
    assert_all_recorded(&client.answered, recorded(text.lines()));
}
