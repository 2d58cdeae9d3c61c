//! A rotation to another authority, during which no client fails.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cases::job;
use cases::view::View;
use reqwest::Method;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use support::controlplane::{ADMIN, PODSEAL, await_condition};
use support::podseal::{Podseal, SITE, registered, restrict};

use crate::PLANE;
use crate::certificates::replica::Replica;
use crate::certificates::site::Site;

#[test]
fn a_new_authority_is_trusted_for_the_waiting_time_before_it_is_used_and_the_old_one_after() {
    let site = Site::new("rotation");
    site.install();
    let replicas = [site.replica(), site.replica()];
    let leaves = replicas.each_ref().map(|replica| replica.await_leaf());
    assert_eq!(leaves[0], leaves[1]);
    site.await_trusted(1);
    site.ask_to_rotate();
    let smallest = || site.trusted().iter().map(Vec::len).min().unwrap_or(0);
    // Each wait is measured from the last look before it can have begun to the
    // first look after its end.
    let (mut unknown, mut unused, mut used) = (Instant::now(), Instant::now(), None);
    let is_over = || {
        let looked = Instant::now();
        let trusted = smallest();
        let is_old = |replica: &Replica| replica.served().as_ref() == Some(&leaves[0]);
        for replica in &replicas {
            assert_eq!(site.handshake(replica), Ok(()));
        }
        if replicas.iter().all(is_old) {
            unused = looked;
            if trusted == 1 {
                unknown = looked;
            }
            return false;
        }
        used.get_or_insert_with(Instant::now);
        trusted == 1
    };
    await_condition("the old authority is gone", is_over, String::new);
    let first_wait = used.expect("a leaf of the new authority") - unknown;
    assert!(first_wait >= site.overlap, "{first_wait:?}");
    assert!(unused.elapsed() >= site.overlap, "{:?}", unused.elapsed());
    site.await_trusted(1);
    let bundle = site.bundle();
    for replica in &replicas {
        assert_eq!(site.handshake(replica), Ok(()));
        assert_ne!(replica.served().as_ref(), Some(&leaves[0]));
    }
    assert_eq!(bundle.len(), 1);
    let annotations = &site.secret().expect("a Secret")["metadata"]["annotations"];
    assert!(
        annotations["podseal.io/rotate-ca"].is_null(),
        "{annotations}"
    );
}

/// A replica as a process. The API server reaches it as in production, by a
/// Service; since there is no kube-proxy, that one leads to this machine.
fn program(site: &Site) -> Podseal {
    program_with(site, &[])
}

fn program_with(site: &Site, arguments: &[&str]) -> Podseal {
    Podseal::start(|command: &mut Command| {
        command.args(arguments);
        command.env("KUBECONFIG", PLANE.kubeconfig(PODSEAL));
        command.args(["--tls-mode", "self-managed", "--ca-overlap", "3s"]);
        command.args(["--namespace", &site.namespace]);
        let name = &site.configuration;
        command.args(["--mutating-webhook-configuration", name]);
        command.args(["--validating-webhook-configuration", name]);
    })
}

/// The configurations that users get, each for one of two replicas.
fn register(site: &Site, mutating: &Podseal, validating: &Podseal) {
    let objects = registered().into_iter();
    for (mut object, podseal) in objects.zip([mutating, validating]) {
        restrict(&mut object, "program");
        assert_eq!(object["metadata"]["name"], site.configuration);
        let (_, port) = podseal.url.rsplit_once(':').expect("a port");
        let service = &mut object["webhooks"][0]["clientConfig"]["service"];
        service["namespace"] = json!(site.namespace);
        service["port"] = json!(port.parse::<u16>().expect("a number"));
        PLANE.apply(ADMIN, &object.to_string());
    }
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "podseal", "namespace": site.namespace},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    PLANE.apply(ADMIN, &service.to_string());
}

#[test]
fn pods_are_created_without_a_single_failure_while_two_replicas_change_their_authority() {
    let site = Site::with_overlap("program", Duration::from_secs(3));
    let podseals = [program(&site), program(&site)];
    for podseal in &podseals {
        podseal.await_event(|event| event["message"] == "serving a new certificate");
    }
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "certificates-jobs", "labels": {"podseal.io/profile": "rootless", SITE: "program"}},
    });
    let path = "/api/v1/namespaces";
    assert_eq!(
        PLANE.request(ADMIN, Method::POST, path, Some(&namespace)).0,
        201
    );
    register(&site, &podseals[0], &podseals[1]);
    site.await_trusted(1);
    let is_called = || {
        let (code, pod) = PLANE.try_pod("certificates-jobs", &job("probe"));
        code == 201 && View(pod).uid("build") == Some(1000)
    };
    await_condition("job pods are corrected", is_called, String::new);
    let first = site.bundle();
    let (stop, created) = (AtomicBool::new(false), AtomicUsize::new(0));
    let create = || {
        let mut failures = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let number = created.fetch_add(1, Ordering::Relaxed);
            let pod = job(&format!("job-{number}"));
            let (code, answer) = PLANE.create_pod("certificates-jobs", &pod);
            if code != 201 || View(answer.clone()).uid("build") != Some(1000) {
                failures.push(answer);
            }
        }
        failures
    };
    std::thread::scope(|scope| {
        let creators = [scope.spawn(create), scope.spawn(create)];
        site.ask_to_rotate();
        let is_over = |bundle: &[CertificateDer<'_>]| bundle.len() == 1 && bundle[0] != first[0];
        await_condition(
            "another authority is in use",
            || is_over(&site.bundle()),
            String::new,
        );
        site.await_trusted(1);
        let reached = created.load(Ordering::Relaxed) + 20;
        let more = || created.load(Ordering::Relaxed) >= reached;
        await_condition("more pods are created", more, String::new);
        stop.store(true, Ordering::Relaxed);
        for creator in creators {
            let failures = creator.join().expect("a creator does not panic");
            assert!(failures.is_empty(), "{failures:#?}");
        }
    });
    for podseal in &podseals {
        assert!(
            podseal.has_logged(|event| event["webhook"].is_string()),
            "each was called"
        );
        assert!(!podseal.lines().join("\n").contains("PRIVATE KEY"));
    }
}

#[test]
fn a_replica_that_drains_does_not_overrule_a_new_installation() {
    let site = Site::new("drains");
    site.install();
    let old = program_with(&site, &["--drain", "60s"]);
    site.await_trusted(1);
    let authority = site.bundle();
    old.process.signal("TERM");
    old.await_event(|event| !event["drain"].is_null());
    site.delete_secret();
    let new = site.replica();
    new.await_leaf();
    site.await_rounds(&new);
    let bundle = site.bundle();
    assert!(bundle.len() == 1 && bundle != authority, "{bundle:?}");
    assert_eq!(site.handshake(&new), Ok(()));
}

#[test]
fn rejects_files_together_with_self_managed_certificates_and_names_that_are_invalid_in_one() {
    let refused = |args: &[&str], part: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
        command.arg("serve").args(args);
        command.env("KUBECONFIG", PLANE.kubeconfig(PODSEAL));
        let output = support::run(command, "");
        let error = support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(part), "{error}");
    };
    let managed = ["--tls-mode", "self-managed"];
    refused(&[], "set --tls-cert-file and --tls-private-key-file");
    refused(
        &["--tls-cert-file", "x"],
        "--tls-private-key-file, or --tls-mode",
    );
    refused(
        &[&managed[..], &["--tls-cert-file", "x"]].concat(),
        "cannot be used",
    );
    refused(
        &[&managed[..], &["--service-name", "a_b/c"]].concat(),
        "--service-name",
    );
    refused(&["--ca-overlap", "soon"], "such as 500ms, 10s, 2m or 1h");
    refused(&["--ca-overlap=-3s"], "must not be negative");
}
