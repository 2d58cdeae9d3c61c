//! Another webhook that runs after podseal's and undoes what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cases::view::View;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use support::block_on;
use support::controlplane::{ADMIN, await_condition};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{add, container, job, namespace_for, secure};
use crate::apiserver::{CLUSTER, complying_pod, rejection};

type Edit = fn(&mut Value);

/// Registers a webhook that does `edit` to every pod of the namespace, after
/// podseal, and waits until the API server calls it. It lives as long as the
/// test run.
fn follow_with(namespace: &str, reinvocation: &str, edit: Edit) {
    let names = ["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from(key))
        .expect("the key is the certificate's");
    let called = Arc::new(AtomicBool::new(false));
    let (acceptor, seen) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&called));
    let port = block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(serve(listener, acceptor, edit, seen));
        port
    });
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        // Webhooks are called in the order of these names.
        "metadata": {"name": format!("zz-after-podseal-{namespace}")},
        "webhooks": [{
            "name": "after.example.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "url": format!("https://127.0.0.1:{port}/"),
                "caBundle": STANDARD.encode(made.cert.pem()),
            },
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "reinvocationPolicy": reinvocation,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
            }],
        }],
    });
    CLUSTER.plane.apply(ADMIN, &configuration.to_string());
    let is_called = || {
        CLUSTER.plane.try_pod(namespace, &complying_pod("probe"));
        called.load(Ordering::Relaxed)
    };
    await_condition(
        "the API server calls the other webhook",
        is_called,
        String::new,
    );
}

async fn serve(
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
    edit: Edit,
    called: Arc<AtomicBool>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, called) = (acceptor.clone(), Arc::clone(&called));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(|request: hyper::Request<Incoming>| {
                called.store(true, Ordering::Relaxed);
                answer(request, edit)
            });
            // A connection that ends badly shows in the test that it serves.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    edit: Edit,
) -> Result<hyper::Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).expect("the API server sends JSON");
    let before = &review["request"]["object"];
    let mut after = before.clone();
    edit(&mut after);
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if after != *before {
        let patch = json!([
            {"op": "replace", "path": "/metadata", "value": after["metadata"]},
            {"op": "replace", "path": "/spec", "value": after["spec"]},
        ]);
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(STANDARD.encode(patch.to_string()));
    }
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    });
    let body = Full::new(Bytes::from(answer.to_string()));
    let mut response = hyper::Response::new(body);
    let json = hyper::header::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Whether the pod is one of [`job`]'s, whose containers the edits know.
fn is_job(pod: &Value) -> bool {
    pod["spec"]["containers"][0]["name"] == "build"
}

fn privileged_helper(pod: &mut Value) {
    if is_job(pod) {
        secure(pod, "helper", "privileged", json!(true));
    }
}

#[test]
fn a_privileged_helper_by_a_webhook_after_ours_is_rejected_with_the_reason() {
    let namespace = namespace_for("rootless", "baseline");
    follow_with(&namespace, "IfNeeded", privileged_helper);
    let answer = CLUSTER.plane.try_pod(&namespace, &job("insisting"));
    let message = rejection(&answer, "an undone correction");
    let beginning = "the pod lacks what its profile sets: container helper: \
                     securityContext.privileged set to false (was true); namespace";
    assert!(message.starts_with(beginning), "{message}");
    assert!(
        message.contains("something changed the pod after podseal"),
        "{message}"
    );
}

#[test]
fn a_change_by_a_webhook_after_ours_is_corrected_again() {
    let namespace = namespace_for("rootless", "baseline");
    follow_with(&namespace, "Never", privileged_helper);
    let (code, answer) = CLUSTER.plane.try_pod(&namespace, &job("once"));
    assert_eq!(code, 201, "{answer:#}");
    assert_eq!(View(answer).security("helper", "privileged"), &json!(false));
}

#[test]
fn a_user_namespace_that_is_removed_after_our_webhook_is_rejected_with_the_reason() {
    let namespace = namespace_for("userns", "baseline");
    follow_with(&namespace, "IfNeeded", |pod| {
        if is_job(pod) {
            pod["spec"]["hostUsers"] = json!(true);
            // The API server rejects the one without the other.
            secure(pod, "build", "procMount", json!("Default"));
        }
    });
    let answer = CLUSTER.plane.try_pod(&namespace, &job("taken-back"));
    let message = rejection(&answer, "hostUsers taken back");
    assert!(
        message.starts_with("the pod lacks what its profile sets: "),
        "{message}"
    );
    assert!(message.contains("hostUsers"), "{message}");
}

#[test]
fn a_service_that_is_made_privileged_after_our_webhook_is_rejected() {
    let namespace = namespace_for("rootless", "baseline");
    follow_with(&namespace, "Never", |pod| {
        if is_job(pod) {
            secure(pod, "svc-0", "privileged", json!(true));
        }
    });
    let answer = CLUSTER.plane.try_pod(&namespace, &job("service"));
    let message = rejection(&answer, "a privileged service");
    assert!(
        message.starts_with("container \"svc-0\", securityContext.privileged: true"),
        "{message}"
    );
}

#[test]
fn a_plain_pod_that_is_made_privileged_after_the_mutation_is_rejected() {
    let namespace = namespace_for("none", "restricted");
    follow_with(&namespace, "Never", |pod| {
        if pod["metadata"]["name"] == "plain" {
            pod["spec"]["hostPID"] = json!(true);
        }
    });
    let answer = CLUSTER.plane.try_pod(&namespace, &complying_pod("plain"));
    let message = rejection(&answer, "hostPID");
    assert!(message.starts_with("pod, spec.hostPID: true"), "{message}");
}

fn privileged_sidecar(pod: &mut Value) {
    let last = pod["spec"]["containers"]
        .as_array()
        .and_then(|all| all.last());
    if is_job(pod) && last.is_some_and(|last| last["name"] != "sidecar") {
        add(pod, "containers", "sidecar", &json!({"privileged": true}));
    }
}

#[test]
fn a_sidecar_that_another_webhook_injects_gets_the_role_services() {
    let harmless = namespace_for("rootless", "baseline");
    follow_with(&harmless, "IfNeeded", |pod| {
        privileged_sidecar(pod);
        if is_job(pod) {
            container(pod, "sidecar")["securityContext"] = json!({});
        }
    });
    let (code, answer) = CLUSTER.plane.try_pod(&harmless, &job("meshed"));
    assert_eq!(code, 201, "{answer:#}");
    let stored = View(answer);
    assert_eq!(stored.uid("sidecar"), None, "no correction is for it");
    assert_eq!(stored.env("sidecar", "HOME"), None);

    let rootless = namespace_for("rootless", "baseline");
    follow_with(&rootless, "IfNeeded", privileged_sidecar);
    let answer = CLUSTER.plane.try_pod(&rootless, &job("meshed"));
    let message = rejection(&answer, "a privileged sidecar");
    assert!(
        message.starts_with("container \"sidecar\", securityContext.privileged"),
        "{message}"
    );

    let privileged = namespace_for("privileged", "baseline");
    follow_with(&privileged, "IfNeeded", privileged_sidecar);
    let (code, answer) = CLUSTER.plane.try_pod(&privileged, &job("meshed"));
    assert_eq!(code, 201, "as a service is: {answer:#}");
}

#[test]
fn a_pod_that_gets_a_jobs_labels_after_our_webhook_is_rejected_as_not_corrected() {
    let namespace = namespace_for("privileged", "baseline");
    follow_with(&namespace, "IfNeeded", |pod| {
        if is_job(pod) {
            pod["metadata"]["labels"] = json!({"job.runner.gitlab.com/pod": "late"});
        }
    });
    let mut pod = job("late");
    pod["metadata"]["labels"] = json!({});
    secure(&mut pod, "build", "privileged", json!(true));
    let answer = CLUSTER.plane.try_pod(&namespace, &pod);
    let message = rejection(&answer, "a label put on late");
    assert!(
        message.starts_with("the pod lacks what its profile sets: "),
        "{message}"
    );
}

#[test]
fn a_job_that_loses_its_label_after_our_webhook_loses_its_grant() {
    let namespace = namespace_for("privileged", "baseline");
    follow_with(&namespace, "IfNeeded", |pod| {
        if is_job(pod) {
            pod["metadata"]["labels"] = json!({});
        }
    });
    let answer = CLUSTER.plane.try_pod(&namespace, &job("stripped"));
    let message = rejection(&answer, "a label taken away");
    assert!(
        message.starts_with("container \"build\", securityContext.privileged"),
        "{message}"
    );
}
