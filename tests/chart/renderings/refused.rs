//! Mistakes in values are refused, each by the path of the value.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use crate::renderings::helm::PODSEAL;
use crate::renderings::matrix::{MATRIX, Rendered, arguments};

/// Values, and where helm has to say the mistake is: the path of a value, or of
/// the map and the key in it.
fn mistakes() -> Vec<(Value, &'static str)> {
    let extra = |arg: &str| json!({"serve": {"extraArgs": [arg]}});
    let networks = |key: &str, value: Value| json!({"networkPolicy": {key: value}});
    let plugin = |key: &str, value: Value| json!({"devicePlugin": {key: value}});
    vec![
        // Misspelt.
        (
            json!({"replica": 3}),
            "at '': additional properties 'replica'",
        ),
        (
            json!({"serve": {"loglevel": "info"}}),
            "at '/serve': additional properties 'loglevel'",
        ),
        (
            json!({"certificates": {"selfmanaged": {}}}),
            "at '/certificates': additional properties 'selfmanaged'",
        ),
        (
            json!({"resources": {"limit": {"cpu": 1}}}),
            "at '/resources': additional properties 'limit'",
        ),
        (
            json!({"tolerations": [{"keys": "a"}]}),
            "at '/tolerations/0': additional properties 'keys'",
        ),
        (
            json!({"affinity": {"podAntiAfinity": {}}}),
            "at '/affinity': additional properties 'podAntiAfinity'",
        ),
        (
            json!({"metrics": {"podMonitor": {"enable": true}}}),
            "at '/metrics/podMonitor': additional properties 'enable'",
        ),
        (
            networks("metricsFrom", json!([{"namespace": "a"}])),
            "at '/networkPolicy/metricsFrom/0': additional properties 'namespace'",
        ),
        (
            json!({"openshift": {"jobServiceAccounts": [{"namespace": "a", "serviceAccount": "b"}]}}),
            "at '/openshift/jobServiceAccounts/0'",
        ),
        // Of another type.
        (json!({"replicas": "2"}), "at '/replicas'"),
        (json!({"image": {"tag": 1.1}}), "at '/image/tag'"),
        (
            json!({"webhooks": {"enabled": "false"}}),
            "at '/webhooks/enabled'",
        ),
        (
            json!({"webhooks": {"excludedNamespaces": "prod"}}),
            "at '/webhooks/excludedNamespaces'",
        ),
        (
            json!({"podAnnotations": {"a": true}}),
            "at '/podAnnotations/a'",
        ),
        (
            json!({"nodeSelector": {"gpu": false}}),
            "at '/nodeSelector/gpu'",
        ),
        (
            json!({"imagePullSecrets": ["pull"]}),
            "at '/imagePullSecrets/0'",
        ),
        (json!({"metrics": true}), "at '/metrics'"),
        // Taken away.
        (
            json!({"replicas": null}),
            "at '': missing property 'replicas'",
        ),
        (
            json!({"serve": {"drainSeconds": null}}),
            "at '/serve': missing property 'drainSeconds'",
        ),
        // Out of range.
        (json!({"replicas": 0}), "at '/replicas'"),
        (json!({"replicas": 1.5}), "at '/replicas'"),
        (
            json!({"serve": {"maxReviews": 0}}),
            "at '/serve/maxReviews'",
        ),
        (
            json!({"webhooks": {"timeoutSeconds": 31}}),
            "at '/webhooks/timeoutSeconds'",
        ),
        (json!({"service": {"port": 70_000}}), "at '/service/port'"),
        (plugin("count", json!(0)), "at '/devicePlugin/count'"),
        (
            networks("apiServerPorts", json!([])),
            "at '/networkPolicy/apiServerPorts'",
        ),
        (
            json!({"serve": {"webhookPort": 443}}),
            "at '/serve/webhookPort': minimum: got 443, want 1,024",
        ),
        (
            json!({"serve": {"statusPort": 65_536}}),
            "at '/serve/statusPort'",
        ),
        // Not of the kind.
        (
            json!({"dnsPolicy": "ClusterFirstWithHostnet"}),
            "at '/dnsPolicy': value must be one of '', 'ClusterFirst', 'ClusterFirstWithHostNet', 'Default'",
        ),
        (json!({"hostNetwork": "true"}), "at '/hostNetwork'"),
        (
            json!({"serve": {"statusAddress": "10.0.0.1"}}),
            "at '/serve/statusAddress': value must be one of '', '127.0.0.1', '0.0.0.0', '::'",
        ),
        (
            json!({"certificates": {"mode": "selfmanaged"}}),
            "at '/certificates/mode'",
        ),
        (
            json!({"serve": {"logLevel": "INFO"}}),
            "at '/serve/logLevel'",
        ),
        (
            json!({"serve": {"maxBodyMemory": "64MB"}}),
            "at '/serve/maxBodyMemory'",
        ),
        (
            json!({"certificates": {"selfManaged": {"caOverlap": "10"}}}),
            "at '/certificates/selfManaged/caOverlap'",
        ),
        (
            json!({"certificates": {"certManager": {"duration": "30d"}}}),
            "at '/certificates/certManager/duration'",
        ),
        (
            json!({"certificates": {"existingSecret": {"caBundle": "LS0tLS1CRUdJTg=="}}}),
            "at '/certificates/existingSecret/caBundle'",
        ),
        (
            json!({"image": {"repository": "podseal:0.1.0"}}),
            "at '/image/repository'",
        ),
        (
            json!({"image": {"digest": "0123abcd"}}),
            "at '/image/digest'",
        ),
        (
            json!({"image": {"pullPolicy": "always"}}),
            "at '/image/pullPolicy'",
        ),
        (
            json!({"resources": {"limits": {"memory": "256MB"}}}),
            "at '/resources/limits/memory'",
        ),
        (
            json!({"fullnameOverride": "Podseal"}),
            "at '/fullnameOverride'",
        ),
        (
            json!({"fullnameOverride": "a".repeat(49)}),
            "at '/fullnameOverride'",
        ),
        (
            json!({"webhooks": {"excludedNamespaces": ["a' || true"]}}),
            "at '/webhooks/excludedNamespaces/0'",
        ),
        (
            networks("apiServerCIDRs", json!(["10.0.0.1"])),
            "at '/networkPolicy/apiServerCIDRs/0'",
        ),
        (
            networks("metricsFrom", json!([{}])),
            "at '/networkPolicy/metricsFrom/0'",
        ),
        (
            plugin("resourceName", json!("fuse")),
            "at '/devicePlugin/resourceName'",
        ),
        (
            json!({"metrics": {"podMonitor": {"interval": "30"}}}),
            "at '/metrics/podMonitor/interval'",
        ),
        (
            json!({"podLabels": {"a b": "c"}}),
            "at '/podLabels': additional properties 'a b'",
        ),
        (json!({"podLabels": {"a": "b c"}}), "at '/podLabels/a'"),
        (
            json!({"serve": {"clientCA": {"key": "../ca.crt"}}}),
            "at '/serve/clientCA/key'",
        ),
        (extra("--profiles=/tmp"), "at '/serve/extraArgs/0'"),
        (
            extra("--namespace-rules=/tmp/rules"),
            "at '/serve/extraArgs/0'",
        ),
        // Against each other, or against the chart.
        (
            json!({"serve": {"statusAddress": "127.0.0.1"}}),
            "at '/serve/statusAddress': value must be 'another without hostNetwork, which the kubelet can probe'",
        ),
        (
            json!({"hostNetwork": true, "metrics": {"podMonitor": {"enabled": true}}}),
            "at '/metrics/podMonitor/enabled': value must be 'false with hostNetwork, unless serve.statusAddress is ::, which Prometheus can reach'",
        ),
        (
            json!({"certificates": {"mode": "existing-secret"}}),
            "at '/certificates/existingSecret/name'",
        ),
        (
            json!({"certificates": {"certManager": {"issuerRef": {"kind": "Issuer"}}}}),
            "at '/certificates/certManager/issuerRef'",
        ),
        (
            json!({"podLabels": {"app.kubernetes.io/name": "x"}}),
            "at '/podLabels/app.kubernetes.io~1name'",
        ),
        (extra("--listen=127.0.0.1:8443"), "at '/serve/extraArgs/0'"),
        (extra("--namespaces=x"), "at '/serve/extraArgs/0'"),
        (extra("--help"), "at '/serve/extraArgs/0'"),
        (
            json!({"metrics": {"podMonitor": {"interval": "24h"}}}),
            "at '/metrics/podMonitor/interval'",
        ),
        (extra("--idle-timeout 5m"), "at '/serve/extraArgs/0'"),
        (extra("5m"), "at '/serve/extraArgs/0'"),
        (extra("--idle-timeout=5m\n"), "at '/serve/extraArgs/0'"),
    ]
}

#[test]
fn a_mistake_is_refused_by_its_path() {
    are_refused(mistakes());
}

/// Has helm refuse each of these values, by this path.
pub(crate) fn are_refused(mistakes: Vec<(Value, &'static str)>) {
    for (values, path) in mistakes {
        let error = PODSEAL.try_render(&values).expect_err(path);
        assert!(error.contains(path), "{values}: {path}\n{error}");
        // One mistake, one place.
        let places = error.lines().filter_map(|line| line.strip_prefix("- at "));
        let places: HashSet<_> = places
            .filter_map(|error| error.split(": ").next())
            .collect();
        assert_eq!(places.len(), 1, "{error}");
    }
}

/// podseal takes every argument once, and would not start.
#[test]
fn no_argument_that_the_chart_gives_can_be_given_again() {
    let rendered = MATRIX.iter().flat_map(
        |Rendered {
             values, objects, ..
         }| {
            let own = values
                .pointer("/serve/extraArgs")
                .cloned()
                .unwrap_or(json!([]));
            let args = arguments(objects).into_iter();
            args.filter(move |arg| !own.as_array().expect("a list").contains(&json!(arg)))
        },
    );
    let given: BTreeSet<String> = rendered.filter(|arg| arg != "serve").collect();
    let name = |arg: &String| arg.split('=').next().expect("one part").to_owned();
    let names: BTreeSet<String> = given.iter().map(name).collect();
    assert!(
        names.contains("--require-runner") && names.contains("--client-ca"),
        "{names:?}"
    );
    let twice = |name: &String| [name.clone(), format!("{name}=x")];
    let again: Vec<String> = names.iter().flat_map(twice).collect();
    let error = PODSEAL.try_render(&json!({"serve": {"extraArgs": again}}));
    let error = error.expect_err("none can be given again");
    for (index, arg) in again.iter().enumerate() {
        assert!(
            error.contains(&format!("at '/serve/extraArgs/{index}': ")),
            "{arg}: {error}"
        );
    }
}

#[test]
fn a_memory_limit_that_bodies_alone_could_reach_is_refused() {
    let values = |bodies: &str, limit: &str| json!({"serve": {"maxBodyMemory": bodies}, "resources": {"limits": {"memory": limit}}});
    let error = PODSEAL.try_render(&values("1GiB", "3071Mi"));
    let error = error.expect_err("refused");
    let expected = "resources.limits.memory: 3071Mi is less than three times serve.maxBodyMemory";
    assert!(error.contains(expected), "{error}");
    for (bodies, limit) in [("1GiB", "3Gi"), ("64MiB", "192Mi"), ("64MiB", "200000k")] {
        let rendered = PODSEAL.try_render(&values(bodies, limit));
        assert!(rendered.is_ok(), "{bodies} {limit}: {rendered:?}");
    }
}

#[test]
fn ports_and_addresses_that_contradict_each_other_are_refused_by_a_sentence() {
    let listen = json!(["--listen=0.0.0.0:8443"]);
    let status = json!(["--status-listen=0.0.0.0:8080"]);
    let cases = [
        (
            json!({"serve": {"statusPort": 8443}}),
            "serve.statusPort: 8443 is also serve.webhookPort; set another",
        ),
        (
            json!({"serve": {"webhookPort": 10_443, "extraArgs": listen}}),
            "serve.extraArgs: --listen=0.0.0.0:8443 has another port than serve.webhookPort, 10443; remove it",
        ),
        (
            json!({"hostNetwork": true, "serve": {"extraArgs": status}}),
            "serve.extraArgs: --status-listen=0.0.0.0:8080 has another address than podseal's status port, \
             127.0.0.1 port 8080; remove it, and set serve.statusAddress",
        ),
        (
            json!({"serve": {"statusPort": 10_444, "extraArgs": status}}),
            "serve.extraArgs: --status-listen=0.0.0.0:8080 has another address than podseal's status port, :: port 10444",
        ),
        (json!({"serve": {"extraArgs": status}}), ""),
        (
            json!({"hostNetwork": true, "serve": {"extraArgs": listen}}),
            "",
        ),
    ];
    for (values, expected) in cases {
        let error = PODSEAL.try_render(&values).err().unwrap_or_default();
        assert_eq!(error.is_empty(), expected.is_empty(), "{values}: {error}");
        assert!(error.contains(expected), "{values}: {error}");
    }
}
