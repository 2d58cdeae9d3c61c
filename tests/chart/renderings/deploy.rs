//! `deploy/podseal.yaml`: the chart, rendered with its defaults, for users without
//! Helm.

use serde_json::{Value, json};
use support::controlplane::{ADMIN, ControlPlane};
use support::text;

use crate::renderings::helm::{CHART, helm, object, objects};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/podseal.yaml");

const HEAD: &str = r"# podseal without Helm: the chart, rendered with its defaults. Do not edit: change
# the chart, and run `UPDATE=1 cargo test --test chart renderings`.
#
#   kubectl apply -f deploy/podseal.yaml
#
# The image is not published yet: build one, and set its name in the Deployment.
# No namespace is affected until you label it podseal.io/profile.
#
# To break glass, delete both configurations at once. Without the mutating one, the
# validating one denies every uncorrected job. Delete them also before you delete the
# namespace. Otherwise they stay, and block every pod in labelled namespaces.
#   kubectl delete mutatingwebhookconfiguration/podseal validatingwebhookconfiguration/podseal
apiVersion: v1
kind: Namespace
metadata:
  name: podseal
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

/// What the file has to hold.
fn expected() -> String {
    let args = [
        "template",
        "podseal",
        CHART,
        "-n",
        "podseal",
        "--skip-tests",
    ];
    let output = helm(&args, &json!({}));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rendering = text(&output.stdout);
    // Of no meaning without Helm.
    let of_helm = [
        "# Source: ",
        "helm.sh/chart: ",
        "app.kubernetes.io/managed-by: ",
    ];
    let is_kept = |line: &&str| {
        !of_helm
            .iter()
            .any(|start| line.trim_start().starts_with(start))
    };
    let lines = rendering.lines().filter(is_kept).map(str::trim_end);
    let lines = lines
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\n"));
    format!("{HEAD}{}", lines.collect::<String>())
}

#[test]
fn the_file_for_those_without_helm_is_the_charts_rendering() {
    crate::renderings::keep(FILE, &expected());
}

#[test]
fn the_file_applies_at_once_and_again_without_touching_what_podseal_wrote() {
    let plane = ControlPlane::start();
    let apply = || {
        let args = ["apply", "--validate=strict", "-f", FILE];
        let output = plane.kubectl(ADMIN, &args, "");
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    apply();
    let wrote = |args: &[&str], patch: Value| {
        let patch = patch.to_string();
        let args = [&["patch"], args, &["--type=json", "-p", &patch]].concat();
        let output = plane.kubectl(ADMIN, &args, "");
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    let bundle = json!("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t");
    let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    let own = [
        "mutatingwebhookconfiguration/podseal",
        "validatingwebhookconfiguration/podseal",
    ];
    // Nobody calls it here, so it need not be a certificate.
    for configuration in own {
        wrote(
            &[configuration],
            add("/webhooks/0/clientConfig/caBundle", bundle.clone()),
        );
    }
    wrote(
        &["secret/podseal-tls", "-n", "podseal"],
        add("/data", json!({"tls.key": "QQ=="})),
    );
    apply();
    let stored = |args: &[&str]| -> Value {
        let args = [&["get", "-o", "json"], args].concat();
        let output = plane.kubectl(ADMIN, &args, "");
        serde_json::from_slice(&output.stdout).expect("it is there")
    };
    for configuration in own {
        let stored = stored(&[configuration]);
        assert_eq!(stored["webhooks"][0]["clientConfig"]["caBundle"], bundle);
    }
    assert_eq!(
        stored(&["secret/podseal-tls", "-n", "podseal"])["data"]["tls.key"],
        "QQ=="
    );
}

#[test]
fn the_namespace_is_first_and_only_a_policy_comes_after_the_configurations() {
    let objects = objects(&std::fs::read_to_string(FILE).expect("the file is there"));
    let kinds: Vec<_> = objects
        .iter()
        .map(|object| object["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds.first(), Some(&"Namespace"));
    // Whose service is there by then. The policy is for podseal alone.
    let last = [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    assert_eq!(kinds[kinds.len() - 4..], last);
    assert_eq!(
        object(&objects, "Deployment")["metadata"]["namespace"],
        "podseal"
    );
}
