//! Certificates from files, as they change while podseal serves.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use support::podseal::Podseal;
use support::tls::{self, Authority, Issued};
use support::volume::Volume;

mod client_ca;

const NAMESPACES: &str = "{kind: Namespace, metadata: {name: plain}}";
const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},"namespace":"plain","operation":"CREATE","object":{"metadata":{"name":"p"},"spec":{"containers":[]}}}}"#;

fn write(folder: &Path, issued: &Issued) {
    for (name, text) in issued.files() {
        fs::write(folder.join(name), text).expect("a file");
    }
}

/// Serves `folder`, whose certificate `ca` issued.
fn serve(folder: &Path, ca: &Authority, arguments: &[&str]) -> Podseal {
    let namespaces = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&namespaces, NAMESPACES).expect("the file can be written");
    let podseal = Podseal::with_certificate(folder, ca.pem.clone(), |command| {
        command.arg("--namespaces").arg(namespaces.path());
        command.args(arguments);
    });
    podseal.await_event(|event| event["message"] == "ready");
    podseal
}

fn any_version(podseal: &Podseal) -> Arc<ClientConfig> {
    tls::client(&podseal.ca, rustls::DEFAULT_VERSIONS, None)
}

/// Waits until fresh handshakes see `issued`.
fn await_served(podseal: &Podseal, issued: &Issued) {
    let client = any_version(podseal);
    let end = Instant::now() + Duration::from_secs(60);
    while tls::served(&podseal.url, &client) != issued.leaf() {
        assert!(Instant::now() < end, "{:#?}", podseal.lines());
    }
}

fn is_told(event: &Value, words: &[&str]) -> bool {
    let problem = event["problem"].as_str().unwrap_or_default();
    words.iter().all(|word| problem.contains(word))
}

/// Sends a review on `stream` and reads the answer's head and body.
fn review(stream: &mut tls::Stream) -> std::io::Result<String> {
    let length = REVIEW.len();
    let head = format!("POST /validate HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all((head + REVIEW).as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.parse::<usize>().ok())?
            });
            if length.is_some_and(|length| body.len() >= length) {
                return Ok(text.into_owned());
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend(&buffer[..read]),
        }
    }
}

#[test]
fn a_hundred_swaps_under_load_lose_no_request_and_the_last_certificate_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = Authority::new("one");
    let mut volume = Volume::new(folder.path().join("tls"), &ca.issue().files());
    let podseal = serve(volume.folder(), &ca, &[]);
    let (stop, kept, fresh) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let clients = [&TLS12, &TLS13].map(|version| tls::client(&ca.pem, &[version], None));
    let last = std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| {
                let mut stream = tls::connect(&podseal.url, client);
                while !stop.load(Ordering::Relaxed) {
                    let answer = review(&mut stream).expect("a kept connection is answered");
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                    kept.fetch_add(1, Ordering::Relaxed);
                }
            });
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = tls::connect(&podseal.url, client);
                    let answer = review(&mut stream).expect("a new connection is answered");
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                    fresh.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Ends the load, too, when a swap is not seen.
        let ended = EndOf(&stop);
        let mut last = ca.issue();
        for swap in 1..=100 {
            last = ca.issue();
            volume.swap(&last.files());
            // Some are seen one by one, the others follow as fast as can be.
            if swap % 4 == 0 {
                await_served(&podseal, &last);
            }
        }
        await_served(&podseal, &last);
        drop(ended);
        last
    });
    assert_eq!(
        tls::served(&podseal.url, &any_version(&podseal)),
        last.leaf()
    );
    let (kept, fresh) = (kept.into_inner(), fresh.into_inner());
    assert!(
        kept > 100 && fresh > 100,
        "{kept} requests on kept connections, {fresh} on new ones"
    );
    let renewed = podseal
        .metric("podseal_certificate_reloads_total{certificate=\"serving\",result=\"success\"}");
    let renewed = renewed.expect("the figure");
    assert!((25.0..=100.0).contains(&renewed), "{renewed} renewals");
    let failed = podseal
        .metric("podseal_certificate_reloads_total{certificate=\"serving\",result=\"failed\"}");
    assert_eq!(failed, Some(0.0), "{:#?}", podseal.lines());
    assert_eq!(podseal.status("/readyz").0, 200);
}

struct EndOf<'s>(&'s AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_pair_that_cannot_be_served_leaves_the_old_one_and_is_logged_once_until_it_is_fixed() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = Authority::new("one");
    let (first, second, third) = (ca.issue(), ca.issue(), ca.issue());
    let mut volume = Volume::new(folder.path().to_owned(), &first.files());
    // Read again every second, but logged only once.
    let podseal = serve(folder.path(), &ca, &["--tls-reread-interval", "1"]);
    let failing = "podseal_certificate_reload_failing{certificate=\"serving\"}";
    let failed = "podseal_certificate_reloads_total{certificate=\"serving\",result=\"failed\"}";
    assert_eq!(podseal.metric(failing), Some(0.0));

    volume.swap(&[("tls.crt", &second.certificate), ("tls.key", &third.key)]);
    podseal.await_event(|event| {
        is_told(
            event,
            &["--tls-cert-file", "the key does not match the certificate"],
        )
    });
    assert_eq!(podseal.metric(failing), Some(1.0));
    assert_eq!(podseal.metric(failed), Some(1.0));
    assert_eq!(
        tls::served(&podseal.url, &any_version(&podseal)),
        first.leaf()
    );
    assert_eq!(podseal.status("/readyz").0, 200, "the old one is as good");

    volume.swap(&[("tls.crt", "no PEM"), ("tls.key", &third.key)]);
    podseal.await_event(|event| is_told(event, &["cannot read the certificate"]));
    assert_eq!(podseal.metric(failed), Some(2.0));
    fs::remove_file(folder.path().join("tls.key")).expect("it was there");
    podseal.await_event(|event| {
        is_told(
            event,
            &["cannot read --tls-private-key-file", "No such file"],
        )
    });

    symlink("..data/tls.key", folder.path().join("tls.key")).expect("a symlink");
    volume.swap(&third.files());
    podseal.await_event(|event| event["message"] == "the certificate files are valid again");
    await_served(&podseal, &third);
    assert_eq!(podseal.metric(failing), Some(0.0));
    // Each problem once, however often the files were read meanwhile.
    let errors: Vec<_> = podseal
        .lines()
        .into_iter()
        .filter(|line| line.contains("\"problem\""))
        .collect();
    let distinct: std::collections::BTreeSet<_> = errors
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["problem"].to_string())
        .collect();
    assert_eq!(errors.len(), distinct.len(), "{errors:#?}");
}

#[test]
fn files_that_are_written_over_one_after_the_other_are_a_pair_in_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = Authority::new("one");
    write(folder.path(), &ca.issue());
    let podseal = serve(folder.path(), &ca, &["--tls-reread-interval", "86400"]);
    for _ in 0..3 {
        let next = ca.issue();
        write(folder.path(), &next);
        await_served(&podseal, &next);
    }
}

#[test]
fn a_pair_whose_files_are_written_one_after_the_other_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = Authority::new("one");
    write(folder.path(), &ca.issue());
    let podseal = serve(folder.path(), &ca, &["--tls-reread-interval", "86400"]);
    let next = ca.issue();
    fs::write(folder.path().join("tls.crt"), &next.certificate).expect("a file");
    // A slow writer is what this is about: longer than podseal waits for quiet.
    std::thread::sleep(Duration::from_millis(200));
    fs::write(folder.path().join("tls.key"), &next.key).expect("a file");
    await_served(&podseal, &next);
    let failed = "podseal_certificate_reloads_total{certificate=\"serving\",result=\"failed\"}";
    assert_eq!(podseal.metric(failed), Some(0.0), "{:#?}", podseal.lines());
}

#[test]
fn a_folder_that_is_replaced_is_still_watched() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("tls");
    let ca = Authority::new("one");
    fs::create_dir(&folder).expect("a folder");
    write(&folder, &ca.issue());
    let podseal = serve(&folder, &ca, &["--tls-reread-interval", "86400"]);
    for round in 0..3 {
        let next = ca.issue();
        let new = parent.path().join("new");
        fs::create_dir(&new).expect("a folder");
        write(&new, &next);
        if round == 1 {
            fs::remove_dir_all(&folder).expect("the old folder");
            // It is missing for so long that podseal no longer waits
            // for it.
            podseal.await_event(|event| is_told(event, &["No such file"]));
        } else {
            fs::rename(&folder, parent.path().join(format!("old-{round}"))).expect("moved away");
        }
        fs::rename(&new, &folder).expect("the new folder in its place");
        await_served(&podseal, &next);
        // And it is the new folder that is watched.
        let next = ca.issue();
        write(&folder, &next);
        await_served(&podseal, &next);
    }
}

#[test]
fn a_change_that_the_watch_misses_is_found_by_the_next_read() {
    let (folder, elsewhere) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let ca = Authority::new("one");
    write(elsewhere.path(), &ca.issue());
    for (name, _) in ca.issue().files() {
        let target = elsewhere.path().join(name);
        symlink(target, folder.path().join(name)).expect("a symlink");
    }
    let podseal = serve(folder.path(), &ca, &["--tls-reread-interval", "1"]);
    let next = ca.issue();
    write(elsewhere.path(), &next);
    await_served(&podseal, &next);
}

#[test]
fn an_expired_certificate_replaces_none_that_still_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = Authority::new("one");
    let first = ca.issue();
    write(folder.path(), &first);
    let podseal = serve(folder.path(), &ca, &[]);
    let expired = ca.issue_until(2002);
    write(folder.path(), &expired);
    podseal.await_event(|event| is_told(event, &["expired at 2002-01-01"]));
    assert_eq!(
        tls::served(&podseal.url, &any_version(&podseal)),
        first.leaf()
    );
}

#[test]
fn a_certificate_that_is_not_valid_yet_replaces_none_that_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = Authority::new("one");
    let first = ca.issue();
    write(folder.path(), &first);
    let podseal = serve(folder.path(), &ca, &[]);
    write(folder.path(), &ca.issue_between(4000, 4096));
    podseal.await_event(|event| is_told(event, &["is not valid before 4000-01-01", "clock"]));
    assert_eq!(
        tls::served(&podseal.url, &any_version(&podseal)),
        first.leaf()
    );
    assert_eq!(podseal.status("/readyz").0, 200, "the old one is as good");
}
