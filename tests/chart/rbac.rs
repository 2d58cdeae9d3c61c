//! What podseal may do: what its work needs, as the other tests show, and by the
//! API server's word nothing else.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use support::text;

use crate::release::Release;

/// By what it is told apart which rules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificates {
    /// podseal makes them, and keeps the `caBundle` right.
    OfItsOwn,
    /// Somebody else does.
    Given,
}

impl Release {
    /// The token that a running replica holds.
    pub(crate) fn token(&self) -> String {
        let replicas = self.node().replicas();
        let replica = replicas.first().expect("a replica runs");
        std::fs::read_to_string(&replica.token_file).expect("it has a token")
    }

    /// Asks a review of what the bearer of `token` may do.
    fn review(&self, token: &str, kind: &str, spec: &Value) -> Value {
        let path = format!("/apis/authorization.k8s.io/v1/{}s", kind.to_lowercase());
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": kind,
            "spec": spec,
        });
        let (code, mut answer) = self
            .plane
            .request(token, Method::POST, &path, Some(&review));
        assert_eq!(code, 201, "{answer:#}");
        answer["status"].take()
    }

    /// Every rule of the bearer of `token` in `namespace`, as one line each.
    fn rules(&self, token: &str, namespace: &str) -> BTreeSet<String> {
        let spec = json!({"namespace": namespace});
        let status = self.review(token, "SelfSubjectRulesReview", &spec);
        assert_eq!(status["incomplete"], false, "{status:#}");
        let words = |rule: &Value, field: &str| {
            let all = rule[field].as_array().into_iter().flatten();
            let all: Vec<_> = all.filter_map(Value::as_str).collect();
            all.join(",")
        };
        let of = |list: &str, fields: &[&str]| -> Vec<String> {
            let rules = status[list].as_array().into_iter().flatten();
            let line = |rule| {
                let all: Vec<_> = fields.iter().map(|field| words(rule, field)).collect();
                all.join(" ").trim_end().to_owned()
            };
            rules.map(line).collect()
        };
        let resources = of(
            "resourceRules",
            &["verbs", "apiGroups", "resources", "resourceNames"],
        );
        let others = of("nonResourceRules", &["verbs", "nonResourceURLs"]);
        resources.into_iter().chain(others).collect()
    }

    /// Whether the bearer of `token` may do this, as `kubectl auth can-i` asks.
    fn can(&self, token: &str, verb: &str, object: &str, namespace: &str) -> bool {
        let (resource, name) = object.split_once('/').unwrap_or((object, ""));
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let (resource, subresource) = resource.split_once(':').unwrap_or((resource, ""));
        let attributes = json!({
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "name": name,
            "namespace": namespace,
        });
        let spec = json!({"resourceAttributes": attributes});
        let status = self.review(token, "SelfSubjectAccessReview", &spec);
        status["allowed"] == true
    }

    /// What the running podseal may do is what `certificates` need.
    pub(crate) fn may_only_do_its_work(&self, certificates: Certificates) {
        let token = self.token();
        let own = self.namespace.as_str();
        let (_, review) = self.plane.request(
            &token,
            Method::POST,
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            Some(&json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})),
        );
        let user = format!("system:serviceaccount:{own}:{}", self.name);
        assert_eq!(review["status"]["userInfo"]["username"], user, "{review:#}");
        self.has_no_other_rule(&token, certificates);
        self.is_refused(&token, certificates);
    }

    /// Compares every rule there is, against those of everybody.
    fn has_no_other_rule(&self, token: &str, certificates: Certificates) {
        let everybody = json!({"kind": "ServiceAccount", "apiVersion": "v1",
            "metadata": {"name": "everybody", "namespace": self.namespace}});
        self.plane.apply("admin", &everybody.to_string());
        let args = ["create", "token", "everybody", "-n", &self.namespace];
        let everybody = self.kubectl(&args);
        let name = &self.name;
        for namespace in [
            self.namespace.as_str(),
            &self.jobs,
            "kube-system",
            "default",
        ] {
            let common = self.rules(everybody.trim(), namespace);
            let rules = self.rules(token, namespace);
            let more: BTreeSet<_> = rules.difference(&common).cloned().collect();
            let mut expected = BTreeSet::from(["get,list,watch  namespaces".to_owned()]);
            if certificates == Certificates::OfItsOwn {
                expected.insert(format!(
                    "get,list,watch,patch admissionregistration.k8s.io \
                     mutatingwebhookconfigurations,validatingwebhookconfigurations {name}"
                ));
                if namespace == self.namespace {
                    expected.insert(format!("get,list,watch,update  secrets {name}-tls"));
                }
            }
            assert_eq!(more, expected, "{certificates:?}, in {namespace}");
        }
    }

    /// The same, as somebody asks who is worried: the answers of
    /// `kubectl auth can-i`.
    fn is_refused(&self, token: &str, certificates: Certificates) {
        let (name, own, jobs) = (&self.name, self.namespace.as_str(), self.jobs.as_str());
        let makes = certificates == Certificates::OfItsOwn;
        let secret = format!("secrets/{name}-tls");
        let mutating = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
        let validating = "validatingwebhookconfigurations.admissionregistration.k8s.io";
        let (our_mutating, our_validating) =
            (format!("{mutating}/{name}"), format!("{validating}/{name}"));
        let other = format!("{mutating}/other");
        let account = format!("serviceaccounts:token/{name}");
        #[rustfmt::skip]
        let table = [
            ("watch", "namespaces", "", true),
            ("get", "namespaces/kube-system", "", true),
            ("get", &secret, own, makes),
            ("watch", &secret, own, makes),
            ("update", &secret, own, makes),
            ("patch", &our_mutating, "", makes),
            ("patch", &our_validating, "", makes),
            // Whoever creates or reads any Secret has every service account's power.
            ("create", "secrets", own, false),
            ("list", "secrets", own, false),
            ("list", "secrets", "", false),
            ("get", "secrets/other", own, false),
            ("delete", &secret, own, false),
            ("get", &secret, jobs, false),
            ("list", "secrets", jobs, false),
            ("list", "secrets", "kube-system", false),
            // Whoever changes these decides what is admitted.
            ("patch", &other, "", false),
            ("update", &our_mutating, "", false),
            ("delete", &our_validating, "", false),
            ("create", mutating, "", false),
            ("create", validating, "", false),
            ("list", mutating, "", false),
            ("create", "validatingadmissionpolicies.admissionregistration.k8s.io", "", false),
            // Whoever labels a namespace decides what podseal allows there.
            ("update", "namespaces", "", false),
            ("patch", "namespaces/kube-system", "", false),
            ("create", "namespaces", "", false),
            ("delete", "namespaces", "", false),
            ("get", "pods", jobs, false),
            ("list", "pods", "", false),
            ("create", "pods", own, false),
            ("create", "pods:exec", jobs, false),
            ("get", "configmaps", own, false),
            ("create", "events", own, false),
            ("create", "leases.coordination.k8s.io", own, false),
            ("create", &account, own, false),
            ("impersonate", "users", "", false),
            ("escalate", "clusterroles.rbac.authorization.k8s.io", "", false),
            ("bind", "clusterroles.rbac.authorization.k8s.io", "", false),
            ("create", "clusterrolebindings.rbac.authorization.k8s.io", "", false),
            ("create", "rolebindings.rbac.authorization.k8s.io", own, false),
            ("update", "deployments.apps", own, false),
            ("*", "*.*", "", false),
        ];
        for (verb, object, namespace, expected) in table {
            let answer = self.can(token, verb, object, namespace);
            assert_eq!(
                answer, expected,
                "{certificates:?}: {verb} {object} in {namespace:?}"
            );
        }
    }
}

#[test]
fn podseal_may_do_its_work_and_nothing_else() {
    let release = Release::installed("rbac", &[]);
    release.may_only_do_its_work(Certificates::OfItsOwn);
    // The API server's word, once more by the deed, and by kubectl's.
    let token = release.token();
    let secrets = format!("/api/v1/namespaces/{}/secrets", release.namespace);
    let (code, _) = release.plane.request(&token, Method::GET, &secrets, None);
    assert_eq!(code, 403);
    let own = format!("{secrets}/{}-tls", release.name);
    let (code, _) = release.plane.request(&token, Method::GET, &own, None);
    assert_eq!(code, 200);
    let args = ["--token", &token, "auth", "can-i", "create", "secrets"];
    let output = release.plane.kubectl("admin", &args, "");
    assert_eq!(text(&output.stdout).trim(), "no");
}
