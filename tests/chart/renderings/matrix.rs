//! Renderings over a matrix of values: every two choices meet in one of them.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::renderings::cluster::{try_out, try_pod_of};
use crate::renderings::everything::{PEM, everything};
use crate::renderings::helm::{CHART, PODSEAL, Release, helm, merged, object, objects};
use crate::renderings::pairwise::pairwise;

/// What is chosen from: the first of each is the default.
fn factors() -> Vec<Vec<Value>> {
    let all = everything();
    // A part of the values that differ from every default.
    let part = |keys: &[&str]| {
        let only = keys.iter().map(|key| (key.to_string(), all[key].clone()));
        Value::Object(only.collect())
    };
    let toggle = |key: &str, on: bool| json!({key: {"enabled": on}});
    vec![
        vec![
            json!({}),
            json!({"certificates": {"mode": "cert-manager"}}),
            json!({"certificates": {"mode": "cert-manager", "certManager": all["certificates"]["certManager"]}}),
            json!({"certificates": {"mode": "existing-secret", "existingSecret": {"name": "a"}}}),
            json!({"certificates": {"mode": "existing-secret", "existingSecret": {"name": "a", "caBundle": PEM}}}),
        ],
        vec![
            json!({}),
            json!({"networkPolicy": {"enabled": false}}),
            json!({"networkPolicy": {"apiServerCIDRs": ["10.0.0.1/32"]}}),
            part(&["networkPolicy"]),
        ],
        vec![
            json!({}),
            part(&["devicePlugin"]),
            json!({"devicePlugin": {"enabled": true}}),
        ],
        vec![
            json!({}),
            part(&["nameOverride"]),
            part(&["fullnameOverride"]),
        ],
        vec![json!({}), toggle("webhooks", false), part(&["webhooks"])],
        vec![json!({}), part(&["openshift"]), toggle("openshift", true)],
        vec![
            json!({}),
            part(&["serve"]),
            json!({"serve": {"requireRunner": true, "extraArgs": ["--listen=0.0.0.0:8443"]}}),
            json!({"serve": {"requireRunner": false}}),
        ],
        vec![
            json!({}),
            part(&[
                "nodeSelector",
                "tolerations",
                "affinity",
                "priorityClassName",
            ]),
            json!({"priorityClassName": "", "resources": {"requests": null, "limits": null}}),
        ],
        vec![
            json!({}),
            part(&["image"]),
            json!({"image": {"tag": "1.0"}}),
        ],
        vec![
            json!({}),
            part(&[
                "podLabels",
                "podAnnotations",
                "serviceAccount",
                "imagePullSecrets",
                "resources",
            ]),
        ],
        vec![json!({}), json!({"replicas": 1})],
        vec![
            json!({}),
            json!({"hostNetwork": true}),
            json!({"hostNetwork": true, "dnsPolicy": "Default"}),
        ],
        vec![json!({}), toggle("podDisruptionBudget", false)],
        vec![
            json!({}),
            json!({
                "metrics": {"podMonitor": all["metrics"]["podMonitor"]},
                "serve": {"statusAddress": "::"},
            }),
        ],
        vec![
            json!({}),
            json!({"metrics": {"prometheusRule": all["metrics"]["prometheusRule"]}}),
        ],
        vec![
            json!({}),
            json!({"metrics": {"dashboard": all["metrics"]["dashboard"]}}),
        ],
        vec![json!({}), toggle("namespaceGuard", true)],
        vec![json!({}), part(&["resourceQuota"])],
        vec![
            json!({}),
            part(&["profiles", "namespaceRules"]),
            json!({"profiles": {"configMap": "profiles-of-ours"}}),
            json!({"namespaceRules": [{"name": "a", "namespaces": {"prefix": "a"}, "profile": "none"}]}),
        ],
    ]
}

/// A rendering of the matrix.
pub(crate) struct Rendered {
    pub(crate) values: Value,
    pub(crate) text: String,
    pub(crate) objects: Vec<Value>,
}

/// What the release of the documentation gives with all values of the matrix,
/// rendered once for all tests.
pub(crate) static MATRIX: LazyLock<Vec<Rendered>> = LazyLock::new(|| {
    let render = |values: Value| {
        let text = PODSEAL.render(&values);
        let objects = objects(&text);
        Rendered {
            values,
            text,
            objects,
        }
    };
    values().into_iter().map(render).collect()
});

/// The rows of the matrix, and everything at once.
fn values() -> Vec<Value> {
    let factors = factors();
    let sizes: Vec<_> = factors.iter().map(Vec::len).collect();
    let of_row = |row: Vec<usize>| {
        let chosen = row
            .iter()
            .zip(&factors)
            .map(|(choice, factor)| &factor[*choice]);
        chosen.fold(json!({}), keep_nulls)
    };
    let rows = pairwise(&sizes).into_iter().map(of_row);
    rows.chain([everything()]).collect()
}

/// Values merged, where null stays: it is helm that takes a default away by it.
fn keep_nulls(mut values: Value, patch: &Value) -> Value {
    for (key, value) in patch.as_object().expect("values") {
        values[key] = match (&values[key], value) {
            (Value::Object(_), Value::Object(_)) => keep_nulls(values[key].clone(), value),
            _ => value.clone(),
        };
    }
    values
}

#[test]
fn every_rendering_is_accepted_by_the_api_server() {
    for Rendered { values, text, .. } in &*MATRIX {
        try_out(text).unwrap_or_else(|error| panic!("{values:#}\n{error}\n{text}"));
    }
    // And what is wrong is refused, in a value as in a field.
    let rendering = &MATRIX[0].text;
    for (right, wrong) in [
        ("sideEffects: None", "sideEffects: Perhaps"),
        ("sideEffects: None", "sideEffects: None\n  sideEffect: None"),
        (
            "request.namespace.startsWith",
            "request.nameSpace.startsWith",
        ),
    ] {
        let error = try_out(&rendering.replace(right, wrong)).expect_err(wrong);
        assert!(
            error.contains("mutatingwebhookconfiguration")
                || error.contains("MutatingWebhookConfiguration"),
            "{error}"
        );
    }
}

/// On the node's network they cannot be: see `tests/chart/host_network.rs`.
#[test]
fn the_pods_are_of_the_level_restricted() {
    let on_pods_network = |rendered: &&Rendered| rendered.values["hostNetwork"] != true;
    for Rendered {
        values, objects, ..
    } in MATRIX.iter().filter(on_pods_network)
    {
        let mut deployment = object(objects, "Deployment").clone();
        let (code, answer) = try_pod_of(&deployment);
        assert_eq!(code, 201, "{values:#}\n{answer:#}");
        let security = "/spec/template/spec/containers/0/securityContext";
        let security = deployment.pointer_mut(security).expect("it has one");
        security["capabilities"] = json!({});
        let (code, answer) = try_pod_of(&deployment);
        assert_eq!(code, 403, "{answer:#}");
    }
}

#[test]
fn on_openshift_the_pods_take_the_ids_that_their_namespace_has() {
    let args = ["template", "podseal", CHART, "-n", "podseal", "-f", "-"];
    let openshift = ["--api-versions", "security.openshift.io/v1"];
    for (apis, has_ids) in [(&[][..], true), (&openshift[..], false)] {
        let output = helm(&[&args[..], apis].concat(), &json!({}));
        let rendered = support::text(&output.stdout);
        assert!(output.status.success(), "{}", support::text(&output.stderr));
        assert!(rendered.contains("runAsNonRoot: true"), "{rendered}");
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(rendered.contains(id), has_ids, "{apis:?} {id}");
        }
    }
}

#[test]
fn podseal_starts_with_the_arguments_of_every_rendering() {
    for Rendered { objects, .. } in &*MATRIX {
        let args = arguments(objects);
        let output = parse(&args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            support::text(&output.stderr)
        );
    }
    // Arguments are read up to the first that is wrong.
    for wrong in ["--drain=soon", "--drain=10s", "--no-such"] {
        let mut args = arguments(&MATRIX[0].objects);
        args.push(wrong.to_owned());
        assert_eq!(parse(&args).status.code(), Some(2), "{wrong}");
    }
}

/// Whatever keeps the certificates: no rule may be for podseal's own namespace.
#[test]
fn a_podseal_that_has_rules_gets_its_own_namespace() {
    let mut with_rules = 0;
    for Rendered { objects, .. } in &*MATRIX {
        let args = arguments(objects);
        let has_rules = args.iter().any(|arg| arg.starts_with("--namespace-rules="));
        let own = args.iter().filter(|arg| *arg == "--namespace=podseal");
        let own = own.count();
        with_rules += usize::from(has_rules && !args.contains(&"--tls-mode=self-managed".into()));
        assert!(own == 1 || own == 0 && !has_rules, "{args:?}");
    }
    assert!(
        with_rules > 0,
        "no row has rules and another's certificates"
    );
}

/// The arguments of podseal in a rendering.
pub(crate) fn arguments(objects: &[Value]) -> Vec<String> {
    let container = &object(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let args = serde_json::from_value(container["args"].clone());
    args.expect("arguments are strings")
}

/// Has podseal read arguments, and no more: it prints its help then.
fn parse(args: &[String]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podseal"));
    command.args(args).arg("--help");
    support::run(command, "")
}

#[test]
fn ca_bundle_is_rendered_only_where_it_was_given() {
    for Rendered {
        values, objects, ..
    } in &*MATRIX
    {
        let given = values
            .pointer("/certificates/existingSecret/caBundle")
            .is_some();
        let registered = values["webhooks"]["enabled"] != false;
        let webhooks = objects
            .iter()
            .flat_map(|object| object["webhooks"].as_array());
        let webhooks: Vec<_> = webhooks.flatten().collect();
        assert_eq!(webhooks.is_empty(), !registered, "{values:#}");
        for webhook in webhooks {
            let bundle = &webhook["clientConfig"]["caBundle"];
            assert_eq!(bundle.is_string(), given, "{values:#}");
        }
    }
    let given = merged(
        &everything(),
        &json!({"certificates": {"mode": "self-managed"}}),
    );
    assert!(!PODSEAL.render(&given).contains("caBundle:"));
}

#[test]
fn a_release_may_be_called_whatever_helm_allows() {
    let long = "a-release-whose-name-is-as-long-as-helm-will-have-it0";
    let plain = json!({});
    let named = json!({"fullnameOverride": "podseal"});
    let cases = [
        (long, "podseal", &plain),
        ("with.dots", "podseal", &plain),
        ("true", "podseal", &plain),
        ("1e3", "123", &named),
    ];
    for (name, namespace, values) in cases {
        let release = Release { name, namespace };
        let everything = merged(&everything(), &json!({"fullnameOverride": null}));
        let everything = merged(&everything, values);
        for values in [values, &everything] {
            let rendering = release.render(values);
            try_out(&rendering).unwrap_or_else(|error| panic!("{name}: {error}\n{rendering}"));
        }
    }
    let digits = Release {
        name: "1e3",
        namespace: "podseal",
    };
    let error = digits
        .try_render(&plain)
        .expect_err("no Service is called so");
    assert!(error.contains("fullnameOverride"), "{error}");
}
