//! `podseal audit --follow`: files that grow, are rotated and truncated, and pipes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use support::wait::await_condition;

use super::log::audited;

struct Following {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Following {
    fn start(args: &[&str], stdin: Stdio) -> Following {
        let mut command = Command::new(support::program());
        command.args(["audit", "--follow"]).args(args);
        command.stdin(stdin).stdout(Stdio::piped());
        let mut child = command.spawn().expect("podseal can be started");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Following { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("readable");
        line
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args([name, &pid]).status();
        assert!(kill.expect("kill can be started").success());
    }

    /// What is printed until the end, and the exit code.
    fn end(&mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        while let line = self.line()
            && !line.is_empty()
        {
            rest.push_str(&line);
        }
        (rest, self.child.wait().expect("it ends").code())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // Ended already, unless a test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.expect("the log can be written");
}

/// Waits until the process has read all of the file at `path`.
fn await_read(pid: u32, path: &Path) {
    let length = path.metadata().expect("the log is there").len();
    let descriptors = format!("/proc/{pid}/fd");
    let position = || {
        let mut descriptors = std::fs::read_dir(&descriptors).expect("podseal runs");
        let number = descriptors.find_map(|descriptor| {
            let descriptor = descriptor.expect("readable");
            let target = std::fs::read_link(descriptor.path()).ok()?;
            (target == path).then(|| descriptor.file_name().into_string().expect("a number"))
        })?;
        let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
        let position = info.lines().find_map(|line| line.strip_prefix("pos:"))?;
        position.trim().parse::<u64>().ok()
    };
    let is_read = || position() == Some(length);
    await_condition("the file is read", is_read, || format!("{:?}", position()));
}

/// The record of a rejected pod called `name`.
fn rejected(name: &str) -> String {
    let mut record: Value = serde_json::from_str(&audited("enforce")).expect("JSON");
    record["pod"] = name.into();
    format!("{record}\n")
}

#[test]
fn a_file_is_followed_as_it_grows_and_is_rotated_and_truncated() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("0.log");
    append(&log, &rejected("before"));
    let mut following = Following::start(&[log.to_str().expect("text")], Stdio::null());
    let pid = following.child.id();
    let mut expect = |name: &str| {
        let line = following.line();
        assert!(
            line.contains(&format!("  rejected  enforce/{name} of ")),
            "{name}: {line}"
        );
    };
    expect("before");
    // A line that is written in two parts is one.
    let record = rejected("halves");
    let (first, second) = record.split_at(100);
    append(&log, first);
    await_read(pid, &log);
    append(&log, second);
    expect("halves");
    // What is written around the rotation is not lost, nor joined with what follows.
    append(&log, &rejected("last"));
    append(&log, "half a line");
    std::fs::rename(&log, folder.path().join("0.log.1")).expect("rotated");
    let long = "rotated".repeat(8);
    append(&log, &rejected(&long));
    expect("last");
    expect(&long);
    // Shorter than before at any time.
    File::create(&log).expect("truncated");
    append(&log, &rejected("cut"));
    expect("cut");
    following.signal("-INT");
    let (rest, code) = following.end();
    assert_eq!(code, Some(0));
    assert!(rest.starts_with("\n5 requests from "), "{rest}");
    assert!(rest.contains("\nnot counted: 1 other line\n"), "{rest}");
}

#[test]
fn a_file_that_is_longer_again_when_its_truncation_is_noticed_is_read_from_its_beginning() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("0.log");
    append(&log, &rejected("before"));
    let mut following = Following::start(&[log.to_str().expect("text")], Stdio::null());
    let expect = |following: &mut Following, name: &str| {
        let line = following.line();
        assert!(line.contains(&format!("enforce/{name} of ")), "{line}");
    };
    expect(&mut following, "before");
    await_read(following.child.id(), &log);
    following.signal("-STOP");
    File::create(&log).expect("truncated");
    for name in ["after-one", "after-two", "after-three"] {
        append(&log, &rejected(name));
    }
    following.signal("-CONT");
    for name in ["after-one", "after-two", "after-three"] {
        expect(&mut following, name);
    }
    // Its writer keeps its place, and leaves a hole.
    await_read(following.child.id(), &log);
    following.signal("-STOP");
    let file = File::create(&log).expect("truncated");
    let written = file.write_all_at(rejected("behind-a-hole").as_bytes(), 300_000);
    written.expect("written");
    following.signal("-CONT");
    expect(&mut following, "behind-a-hole");
    following.signal("-TERM");
    let (rest, code) = following.end();
    assert_eq!(code, Some(0));
    assert!(rest.starts_with("\n5 requests from "), "{rest}");
}

#[test]
fn a_pipe_is_followed_until_its_end() {
    for (format, begin) in [("text", "20"), ("json", "{\"time\":"), ("csv", "20")] {
        let mut following = Following::start(&["-o", format], Stdio::piped());
        let mut stdin = following.child.stdin.take().expect("it is piped");
        if format == "csv" {
            assert!(following.line().starts_with("time,outcome,"));
        }
        for name in ["one", "two"] {
            write!(stdin, "{}", rejected(name)).expect("written");
            let line = following.line();
            assert!(line.starts_with(begin) && line.contains(name), "{line}");
        }
        drop(stdin);
        let (rest, code) = following.end();
        assert_eq!(code, Some(0));
        assert_eq!(rest.contains("2 requests"), format == "text", "{rest}");
    }
}

#[test]
fn what_does_not_grow_is_not_followed() {
    for (args, error) in [
        (&["a", "b"][..], "--follow reads one file; 2 are named"),
        (&["missing.log"], "cannot open missing.log"),
    ] {
        let output = super::audit(&[&["-f"], args].concat(), "");
        assert_eq!(output.status.code(), Some(2));
        let stderr = support::text(&output.stderr);
        assert!(stderr.contains(error), "{stderr}");
    }
    let compressed = super::file(&super::gzip("x"));
    let output = super::audit(&["-f", super::path(&compressed)], "");
    assert_eq!(output.status.code(), Some(2));
    let stderr = support::text(&output.stderr);
    assert!(
        stderr.contains("is compressed, so it does not grow; leave out --follow"),
        "{stderr}"
    );
}
