//! Certificates that somebody else makes: as files of a Secret, which the node
//! keeps current as a kubelet does.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, await_condition};
use support::helm::CHART;
use support::tls::{Authority, Issued, client, served};

use crate::rbac::Certificates;
use crate::release::{Attempt, CONFIGURATIONS, Release};

/// The parts of cert-manager's resources that the chart uses, for an API server
/// that is to store them. Their fields are checked by tests/chart/renderings.
const CERT_MANAGER: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.cert-manager.io}
spec:
  group: cert-manager.io
  scope: Namespaced
  names: {plural: PLURAL, kind: KIND}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
"#;

impl Release {
    /// Puts a certificate into a Secret, as it is or instead of what is there.
    fn put_certificate(&self, secret: &str, issued: &Issued, authority: &Authority) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": secret, "namespace": self.namespace},
            "data": {
                "tls.crt": STANDARD.encode(&issued.certificate),
                "tls.key": STANDARD.encode(&issued.key),
                "ca.crt": STANDARD.encode(&authority.pem),
            },
        });
        self.plane.apply(ADMIN, &secret.to_string());
    }

    /// What each replica serves.
    fn leaves(&self, authority: &Authority) -> Vec<CertificateDer<'static>> {
        let versions = [&rustls::version::TLS13];
        let config = client(&authority.pem, &versions, None);
        let leaf = |config: &Arc<_>, address| served(&format!("https://{address}"), config);
        let replicas = self.node().replicas();
        let leaves = replicas.iter().map(|one| leaf(&config, one.address));
        leaves.collect()
    }

    /// Renews the certificate while jobs come, and waits until it is served.
    fn renew(&self, secret: &str, authority: &Authority, names: &[&str]) {
        let fared = self.under_traffic(|| {
            let renewed = authority.issue_as(names, 1975, 4096);
            self.put_certificate(secret, &renewed, authority);
            let leaf = renewed.leaf();
            let is_served = || {
                let leaves = self.leaves(authority);
                leaves.len() == 2 && leaves.iter().all(|served| *served == leaf)
            };
            await_condition("the new certificate is served", is_served, String::new);
        });
        fared.is_flawless("renewal");
    }
}

#[test]
fn a_certificate_of_a_secret_is_served_and_renewed() {
    let release = Release::new("given");
    let host = format!("{}.{}.svc", release.name, release.namespace);
    // The second name is for the test, which asks replicas without the Service.
    let names = [host.as_str(), "localhost"];
    let authority = Authority::new("given");
    let first = authority.issue_as(&names, 1975, 4096);
    release.put_certificate("serving", &first, &authority);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("ca.crt");
    std::fs::write(&file, &authority.pem).expect("the folder can be written");
    let bundle = format!(
        "--set-file=certificates.existingSecret.caBundle={}",
        file.display()
    );
    let args = [
        "--set=certificates.mode=existing-secret",
        "--set=certificates.existingSecret.name=serving",
        &bundle,
    ];
    release.install(&args);
    release.await_corrections();
    assert_eq!(
        release.ca_bundles(),
        vec![STANDARD.encode(&authority.pem); 2]
    );
    assert_eq!(release.leaves(&authority), vec![first.leaf(); 2]);
    release.may_only_do_its_work(Certificates::Given);
    release.renew("serving", &authority, &names);
    let fared = release.under_traffic(|| {
        release.upgrade(&[&args[..], &["--set=podLabels.a=b"]].concat());
    });
    fared.is_flawless("upgrade");
    release.node().check();
}

#[test]
fn what_cert_manager_makes_is_served_and_renewed() {
    let release = Release::new("manager");
    for (plural, kind) in [("certificates", "Certificate"), ("issuers", "Issuer")] {
        let definition = CERT_MANAGER.replace("PLURAL", plural).replace("KIND", kind);
        release.plane.apply(ADMIN, &definition);
        let name = format!("crd/{plural}.cert-manager.io");
        release.kubectl(&[
            "wait",
            "--for=condition=Established",
            &name,
            "--timeout=180s",
        ]);
    }
    let args = ["--set=certificates.mode=cert-manager"];
    release.helm_at_once("install", CHART, &args);

    // From here on the test is cert-manager, and does as the objects say.
    let objects = |kind: &str, name: &str| -> Value {
        let path = format!(
            "/apis/cert-manager.io/v1/namespaces/{}/{kind}/{name}",
            release.namespace
        );
        release
            .get(&path)
            .unwrap_or_else(|| panic!("there is {kind}/{name}"))
    };
    let certificate = objects("certificates", &release.name);
    let issuer = certificate["spec"]["issuerRef"]["name"]
        .as_str()
        .expect("a name");
    let secret_of_issuer = objects("issuers", issuer)["spec"]["ca"]["secretName"].clone();
    let of_authority = objects("certificates", &format!("{}-ca", release.name));
    assert_eq!(of_authority["spec"]["secretName"], secret_of_issuer);
    assert_eq!(of_authority["spec"]["isCA"], true);
    let first_issuer = of_authority["spec"]["issuerRef"]["name"].as_str();
    let selfsigned = objects("issuers", first_issuer.expect("a name"));
    assert!(selfsigned["spec"]["selfSigned"].is_object());
    let names = certificate["spec"]["dnsNames"].as_array().expect("names");
    let names = names.iter().filter_map(Value::as_str);
    let names: Vec<_> = names.chain(["localhost"]).collect();
    let secret = certificate["spec"]["secretName"].as_str().expect("a name");
    let authority = Authority::new("manager");
    let first = authority.issue_as(&names, 1975, 4096);
    release.put_certificate(secret, &first, &authority);
    let inject = || {
        for kind in CONFIGURATIONS {
            let configuration = release.configuration(kind).expect("it is installed");
            let from = &configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
            assert_eq!(*from, format!("{}/{}", release.namespace, release.name));
            let patch = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle",
                "value": STANDARD.encode(&authority.pem)}]);
            let patch = patch.to_string();
            release.kubectl(&["patch", kind, &release.name, "--type=json", "-p", &patch]);
        }
    };
    inject();

    release.await_rollout();
    release.await_corrections();
    let bundles = release.ca_bundles();
    release.may_only_do_its_work(Certificates::Given);
    release.renew(secret, &authority, &names);
    let fared = release.under_traffic(|| {
        release.upgrade(&[&args[..], &["--set=podLabels.a=b"]].concat());
    });
    fared.is_flawless("upgrade");
    assert_eq!(release.ca_bundles(), bundles);
    release.uninstall();
    release.await_attempt("jobs pass as they are", &Attempt::Untouched);
    release.node().check();
}
