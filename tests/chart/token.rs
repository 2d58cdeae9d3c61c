//! Somebody has podseal's token, or may get one.

use serde_json::{Value, json};
use support::controlplane::{ADMIN, await_condition};
use support::text;

use crate::release::{CONFIGURATIONS, Release, Values};

const REFUSAL: &str = "podseal can change only the caBundle of its webhook configurations";

impl Release {
    /// Patches a configuration by the bearer of `token`, as a dry run, and
    /// returns what is said against it.
    fn patched_by(&self, token: &str, kind: &str, patch: &Value) -> Result<(), String> {
        let patch = patch.to_string();
        let args = [
            "--token",
            token,
            "patch",
            kind,
            &self.name,
            "--type=json",
            "--dry-run=server",
            "-p",
            &patch,
        ];
        // Without its own credentials, or they would come first.
        let file = self.plane.folder().join("nobody.kubeconfig");
        let text_of = std::fs::read_to_string(self.plane.kubeconfig(ADMIN)).expect("it is there");
        let nobody = text_of.replace("{token: admin}", "{}");
        std::fs::write(&file, nobody).expect("the folder can be written");
        let mut command = std::process::Command::new(self.plane.program("kubectl"));
        command.env("HOME", self.plane.folder());
        command.arg("--kubeconfig").arg(&file).args(args);
        let output = support::run(command, "");
        match output.status.success() {
            true => Ok(()),
            false => Err(text(&output.stderr)),
        }
    }
}

#[test]
fn podseals_token_changes_nothing_of_its_webhooks_but_whom_they_trust() {
    // As many rules as there may be, each with labels of its own: so many entries.
    let rule = |number: u32| {
        let labels = json!({"number": number.to_string()});
        json!({"name": format!("r{number}"), "namespaces": {"matchLabels": labels}, "profile": "none"})
    };
    let rules: Vec<_> = (0..50).map(rule).collect();
    let file = Values::new(&json!({"namespaceRules": rules}));
    let args = ["--set=certificates.selfManaged.caOverlap=1s", &file.arg()];
    let release = Release::installed("token", &args);
    let bundles = release.ca_bundles();
    assert_eq!(bundles.len(), 2 * 51);
    assert!(bundles.iter().all(|bundle| !bundle.is_empty()));
    let token = release.token();
    let everything = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"],
        "resources": ["*/*"], "scope": "*"}]);
    let elsewhere = json!({"url": "https://elsewhere.example/x"});
    let owner = json!([{"apiVersion": "v1", "kind": "Namespace", "name": "gone", "uid": "1"}]);
    let hostile = [
        json!([{"op": "replace", "path": "/webhooks/0/clientConfig", "value": elsewhere}]),
        json!([{"op": "replace", "path": "/webhooks/0/clientConfig/service/name", "value": "x"}]),
        json!([{"op": "replace", "path": "/webhooks/0/clientConfig/service/namespace", "value": "x"}]),
        json!([{"op": "replace", "path": "/webhooks/0/clientConfig/service/path", "value": "/x"}]),
        json!([{"op": "replace", "path": "/webhooks/0/rules", "value": everything}]),
        json!([{"op": "remove", "path": "/webhooks/0/matchConditions"}]),
        json!([{"op": "replace", "path": "/webhooks/0/namespaceSelector", "value": {}}]),
        json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]),
        json!([{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 30}]),
        json!([{"op": "replace", "path": "/webhooks/50/clientConfig/service/name", "value": "x"}]),
        json!([{"op": "remove", "path": "/webhooks/50/namespaceSelector/matchLabels"}]),
        json!([{"op": "remove", "path": "/webhooks/50"}]),
        json!([{"op": "replace", "path": "/webhooks", "value": []}]),
        json!([{"op": "remove", "path": "/webhooks"}]),
        json!([{"op": "copy", "from": "/webhooks/0", "path": "/webhooks/1"},
            {"op": "replace", "path": "/webhooks/1/name", "value": "a.b.c"}]),
        // The same webhooks, which the API server would call in another order.
        json!([{"op": "move", "from": "/webhooks/0", "path": "/webhooks/50"}]),
        json!([{"op": "move", "from": "/webhooks/2", "path": "/webhooks/1"}]),
        json!([{"op": "add", "path": "/metadata/finalizers", "value": ["a.b/c"]}]),
        json!([{"op": "add", "path": "/metadata/ownerReferences", "value": owner}]),
        json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]),
        json!([{"op": "remove", "path": "/metadata/labels"}]),
    ];
    for kind in CONFIGURATIONS {
        for patch in &hostile {
            let said = release.patched_by(&token, kind, patch);
            let said = said.expect_err(&format!("{kind}: {patch}"));
            assert!(said.contains(REFUSAL), "{kind}: {patch}: {said}");
        }
        for webhook in [0, 50] {
            let path = format!("/webhooks/{webhook}/clientConfig/caBundle");
            let bundle = json!([{"op": "add", "path": path, "value": ""}]);
            assert_eq!(release.patched_by(&token, kind, &bundle), Ok(()));
        }
    }
    // It goes on with its work: an authority is replaced.
    let before = release.ca_bundles();
    let secret = format!("{}-tls", release.name);
    release.kubectl(&[
        "annotate",
        "secret",
        &secret,
        "podseal.io/rotate-ca=now",
        "-n",
        &release.namespace,
    ]);
    let fared = release.under_traffic(|| {
        let is_other = || {
            let now = release.ca_bundles();
            now.iter()
                .zip(&before)
                .all(|(now, old)| now != old && now.len() < old.len() * 3 / 2)
        };
        await_condition("the authority is another", is_other, String::new);
    });
    fared.is_flawless("the authority is replaced");
    // And nobody else is held to it: neither to what a webhook says, nor to which
    // there are, in which order.
    let others: Vec<_> = (10..45).rev().map(rule).collect();
    file.write(&json!({"namespaceRules": others}));
    release.upgrade(&["--set=webhooks.timeoutSeconds=7", &file.arg()]);
    for kind in CONFIGURATIONS {
        let configuration = release.configuration(kind).expect("it is there");
        let webhooks = configuration["webhooks"].as_array().expect("webhooks");
        assert_eq!(webhooks.len(), 1 + others.len(), "{kind}");
        assert!(
            webhooks
                .iter()
                .all(|webhook| webhook["timeoutSeconds"] == 7)
        );
    }
    release.node().check();
}

/// What docs/security.md warns of. They decide instead of podseal, but in the
/// namespaces that it is called for and nowhere else.
#[test]
fn who_may_edit_podseals_namespace_can_be_podseal_and_nothing_more() {
    let release = Release::installed("editor", &[]);
    let own = release.namespace.as_str();
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
    "metadata": {"name": "editor", "namespace": own},
    "rules": [
        {"apiGroups": [""], "resources": ["pods", "serviceaccounts/token"], "verbs": ["create"]},
    ]});
    release.plane.apply(ADMIN, &role.to_string());
    release.kubectl(&[
        "create",
        "rolebinding",
        "editor",
        "--role=editor",
        "--user=mallory",
        "-n",
        own,
    ]);
    let as_mallory = |args: &[&str], input: &str| {
        let all = [&["--as=mallory", "-n", own], args].concat();
        release.plane.kubectl(ADMIN, &all, input)
    };
    let mut token = String::new();
    let has_token = || {
        let output = as_mallory(&["create", "token", &release.name], "");
        token = text(&output.stdout).trim().to_owned();
        output.status.success()
    };
    await_condition("mallory has podseal's token", has_token, String::new);
    let elsewhere = json!([{"op": "replace", "path": "/webhooks/0/clientConfig",
        "value": {"url": "https://elsewhere.example/x"}}]);
    for kind in CONFIGURATIONS {
        let said = release.patched_by(&token, kind, &elsewhere);
        let said = said.expect_err(kind);
        assert!(said.contains(REFUSAL), "{kind}: {said}");
    }
    let service = format!("/api/v1/namespaces/{own}/services/{}", release.name);
    let labels = release.get(&service).expect("the Service")["spec"]["selector"].clone();
    let restricted = json!({"runAsNonRoot": true, "runAsUser": 1, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "evil", "namespace": own, "labels": labels},
    "spec": {
        "containers": [{"name": "x", "image": "x", "securityContext": restricted,
            "volumeMounts": [{"name": "key", "mountPath": "/key"}]}],
        "volumes": [{"name": "key", "secret": {"secretName": format!("{}-tls", release.name)}}],
    }});
    let output = as_mallory(&["create", "--dry-run=server", "-f", "-"], &pod.to_string());
    assert!(output.status.success(), "{}", text(&output.stderr));
    release.node().check();
}
