//! Measures how much longer pod creation takes with podseal.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use support::controlplane::{ADMIN, ControlPlane, await_condition};
use support::podseal::registered;

use super::common::identity::Identity;
use super::common::say;
use super::common::server::Server;
use super::options::Effort;
use super::reviews::{self, NAMESPACE};

/// A namespace that podseal is not called for.
const ELSEWHERE: &str = "no-webhook";

/// Milliseconds of server-side dry-runs, in namespaces of both kinds.
#[derive(Debug, Serialize)]
pub(crate) struct Creation {
    /// The number of pods of each kind.
    pub(crate) pods: usize,
    /// The median without a webhook.
    pub(crate) without_p50_ms: f64,
    /// The 99th percentile without a webhook.
    pub(crate) without_p99_ms: f64,
    /// The median with both webhooks of podseal.
    pub(crate) with_p50_ms: f64,
    /// The 99th percentile with both webhooks of podseal.
    pub(crate) with_p99_ms: f64,
}

/// Creates pods in a namespace that opts in and in one that does not, alternately.
pub(crate) fn measure(
    effort: &Effort,
    plane: &ControlPlane,
    identity: &Identity,
    podseal: &Server,
) -> Creation {
    say("the creation of pods");
    podseal.await_ready();
    plane.apply(ADMIN, &registration(podseal, identity));
    let elsewhere = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE},
    });
    plane.apply(ADMIN, &elsewhere.to_string());
    let mut pod = cases::fixture(reviews::POD);
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("namespace");
    let try_in = |namespace: &str| {
        let start = Instant::now();
        let (code, answer) = plane.try_pod(namespace, &pod);
        (start.elapsed(), code, answer)
    };
    let (_, code, untouched) = try_in(ELSEWHERE);
    assert_eq!(code, 201, "{untouched:#}");
    // The API server caches webhooks and namespaces.
    let is_corrected = || {
        let (_, code, answer) = try_in(NAMESPACE);
        code == 201 && answer["spec"] != untouched["spec"]
    };
    await_condition("the API server calls podseal", is_corrected, String::new);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..effort.pods {
        for (namespace, times) in [(NAMESPACE, &mut with), (ELSEWHERE, &mut without)] {
            let (time, code, answer) = try_in(namespace);
            assert_eq!(code, 201, "{answer:#}");
            times.push(milliseconds(time));
        }
    }
    for webhook in ["mutating", "validating"] {
        let configuration = format!("{webhook}webhookconfiguration/podseal");
        let output = plane.kubectl(ADMIN, &["delete", &configuration], "");
        assert!(output.status.success(), "{}", support::text(&output.stderr));
    }
    Creation {
        pods: effort.pods,
        without_p50_ms: percentile(&mut without, 50),
        without_p99_ms: percentile(&mut without, 99),
        with_p50_ms: percentile(&mut with, 50),
        with_p99_ms: percentile(&mut with, 99),
    }
}

/// The webhooks of `deploy/`, and a Service for the process: the API server uses HTTP/1.1
/// for a Service, but not for a URL.
fn registration(server: &Server, identity: &Identity) -> String {
    use base64::Engine;
    let (_, port) = server.address.rsplit_once(':').expect("a port");
    let port: u16 = port.parse().expect("a port");
    let ca = base64::engine::general_purpose::STANDARD.encode(&identity.ca);
    let mut items = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "podseal"}}),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "podseal", "namespace": "podseal"},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
        }),
    ];
    for mut configuration in registered() {
        for webhook in configuration["webhooks"].as_array_mut().expect("webhooks") {
            webhook["clientConfig"]["caBundle"] = ca.clone().into();
            webhook["clientConfig"]["service"]["port"] = port.into();
        }
        items.push(configuration);
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// The percentile of the values.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent).div_ceil(100).saturating_sub(1)]
}

/// As reports tell it.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
