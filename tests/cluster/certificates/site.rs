//! A place in the cluster where replicas keep certificates.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podseal::metrics::certificates::Upkeep;
use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use support::controlplane::{ADMIN, await_condition};

use crate::PLANE;
use crate::certificates::replica::{Replica, shake_hands};

/// The waiting time, unless a test needs another.
pub(crate) const OVERLAP: Duration = Duration::from_secs(2);
const KINDS: [&str; 2] = ["mutating", "validating"];

/// A namespace, and the name of both configurations.
pub(crate) struct Site {
    pub(crate) namespace: String,
    pub(crate) configuration: String,
    pub(crate) overlap: Duration,
}

impl Site {
    pub(crate) fn new(name: &str) -> Site {
        Site::with_overlap(name, OVERLAP)
    }

    pub(crate) fn with_overlap(name: &str, overlap: Duration) -> Site {
        let site = Site {
            namespace: format!("certificates-{name}"),
            configuration: format!("podseal-{name}"),
            overlap,
        };
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": site.namespace},
        });
        site.expect(201, Method::POST, "/api/v1/namespaces", Some(&namespace));
        PLANE.allow_self_managed(&site.namespace, &site.configuration);
        site
    }

    /// Starts a replica whose clock is right.
    pub(crate) fn replica(&self) -> Replica {
        self.replica_off_by(0)
    }

    /// Starts a replica whose time of day is this many seconds off.
    pub(crate) fn replica_off_by(&self, seconds: i64) -> Replica {
        Replica::start(self, seconds)
    }

    /// What a replica has left behind that ran once, when the time of day was
    /// this many seconds off: its leaf. The configurations trust its authority.
    pub(crate) fn left_behind(&self, seconds: i64) -> CertificateDer<'static> {
        let replica = self.replica_off_by(seconds);
        let leaf = replica.await_leaf();
        self.await_trusted(1);
        replica.end();
        leaf
    }

    /// Installs both configurations, without a `caBundle`.
    pub(crate) fn install(&self) {
        for kind in KINDS {
            self.install_one(kind);
        }
    }

    pub(crate) fn install_one(&self, kind: &str) {
        let webhook = |name: &str| {
            json!({
                "name": format!("{name}.{}.podseal.io", self.configuration),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {"service": {"name": "podseal", "namespace": self.namespace}},
                // Nothing is ever called.
                "namespaceSelector": {"matchLabels": {"nowhere": "at-all"}},
            })
        };
        let title = match kind {
            "mutating" => "Mutating",
            _ => "Validating",
        };
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{title}WebhookConfiguration"),
            "metadata": {"name": self.configuration},
            "webhooks": [webhook("one"), webhook("two")],
        });
        self.expect(201, Method::POST, &collection(kind), Some(&object));
    }

    pub(crate) fn uninstall(&self, kind: &str) {
        self.expect(200, Method::DELETE, &self.path_of(kind), None);
    }

    pub(crate) fn configuration(&self, kind: &str) -> Option<Value> {
        self.get(&self.path_of(kind))
    }

    /// Replaces the `caBundle` of the first webhook of a configuration.
    pub(crate) fn set_bundle(&self, kind: &str, bundle: &str) {
        let patch = json!([{
            "op": "add",
            "path": "/webhooks/0/clientConfig/caBundle",
            "value": STANDARD.encode(bundle),
        }])
        .to_string();
        let kind = format!("{kind}webhookconfiguration");
        self.kubectl(&[
            "patch",
            &kind,
            &self.configuration,
            "--type=json",
            "-p",
            &patch,
        ]);
    }

    /// What each webhook of both configurations trusts.
    pub(crate) fn trusted(&self) -> Vec<Vec<CertificateDer<'static>>> {
        let existing = KINDS
            .into_iter()
            .filter_map(|kind| self.configuration(kind));
        let mut trusted = Vec::new();
        for configuration in existing {
            for webhook in configuration["webhooks"].as_array().expect("webhooks") {
                let bundle = webhook["clientConfig"]["caBundle"]
                    .as_str()
                    .unwrap_or_default();
                let bundle = STANDARD.decode(bundle).expect("base64");
                // What cannot be read is not trusted.
                trusted.push(CertificateDer::pem_slice_iter(&bundle).flatten().collect());
            }
        }
        trusted
    }

    /// Waits until every webhook trusts the authorities of the Secret, which are
    /// this many, and nothing else.
    pub(crate) fn await_trusted(&self, count: usize) {
        let is_so = || {
            let bundle = self.bundle();
            let alike = |trusted: &Vec<_>| bundle.iter().all(|ca| trusted.contains(ca));
            let trusted = self.trusted();
            bundle.len() == count
                && trusted
                    .iter()
                    .all(|trusted| trusted.len() == count && alike(trusted))
        };
        let otherwise = || {
            format!(
                "{:#?}",
                self.secret().map(|secret| secret["metadata"].clone())
            )
        };
        await_condition(
            "the configurations trust the Secret's authorities",
            is_so,
            otherwise,
        );
    }

    pub(crate) fn secret(&self) -> Option<Value> {
        self.get(&self.secret_path())
    }

    pub(crate) fn create_secret(&self, secret: &Value) {
        let path = format!("/api/v1/namespaces/{}/secrets", self.namespace);
        self.expect(201, Method::POST, &path, Some(secret));
    }

    pub(crate) fn delete_secret(&self) {
        self.expect(200, Method::DELETE, &self.secret_path(), None);
    }

    /// Changes the Secret, even while others write it.
    pub(crate) fn edit_secret(&self, edit: impl Fn(&mut Value)) {
        let is_done = || {
            let mut secret = self.secret().expect("there is a Secret");
            edit(&mut secret);
            let put = PLANE.request(ADMIN, Method::PUT, &self.secret_path(), Some(&secret));
            assert!(matches!(put.0, 200 | 409), "{put:#?}");
            put.0 == 200
        };
        await_condition("the Secret is changed", is_done, String::new);
    }

    /// Asks for a new authority, as an operator does.
    pub(crate) fn ask_to_rotate(&self) {
        let namespace = &self.namespace;
        let wish = "podseal.io/rotate-ca=now";
        self.kubectl(&["annotate", "secret", "-n", namespace, "podseal-tls", wish]);
    }

    /// Waits until the Secret records that everything is trusted.
    pub(crate) fn await_note(&self) {
        let is_noted = || {
            let secret = self.secret().expect("there is a Secret");
            !secret["metadata"]["annotations"]["podseal.io/ca-trusted-since"].is_null()
        };
        await_condition("the Secret records since when", is_noted, String::new);
    }

    /// Has every replica look again.
    pub(crate) fn wake(&self) {
        static NUMBER: AtomicI64 = AtomicI64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (namespace, note) = (&self.namespace, format!("wake={number}"));
        self.kubectl(&[
            "annotate",
            "--overwrite",
            "secret",
            "-n",
            namespace,
            "podseal-tls",
            &note,
        ]);
    }

    /// Waits until `replica` has begun and ended some more rounds.
    pub(crate) fn await_rounds(&self, replica: &Replica) {
        let start = replica.status.count(Upkeep::Round);
        let are_over = || {
            self.wake();
            replica.status.count(Upkeep::Round) >= start + 3
        };
        await_condition("it has looked again", are_over, String::new);
    }

    /// One key of the Secret, decoded.
    pub(crate) fn data(&self, key: &str) -> Option<Vec<u8>> {
        let secret = self.secret()?;
        STANDARD.decode(secret["data"][key].as_str()?).ok()
    }

    /// The serving certificate in the Secret.
    pub(crate) fn leaf(&self) -> CertificateDer<'static> {
        let text = self.data("tls.crt").expect("there is a tls.crt");
        certificates(&text).remove(0)
    }

    /// The authorities in the Secret.
    pub(crate) fn bundle(&self) -> Vec<CertificateDer<'static>> {
        certificates(&self.data("ca.crt").unwrap_or_default())
    }

    /// Whether an API server reaches `replica`, by each webhook of the
    /// configurations as they are now.
    pub(crate) fn handshake(&self, replica: &Replica) -> Result<(), String> {
        let trusted = self.trusted();
        assert!(!trusted.is_empty(), "there is a configuration");
        let served = replica.current.borrow().clone();
        let served = served.ok_or("nothing is served")?;
        for trusted in trusted {
            let name = format!("podseal.{}.svc", self.namespace);
            shake_hands(&served.config, trusted, name)?;
        }
        Ok(())
    }

    fn secret_path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/podseal-tls", self.namespace)
    }

    fn path_of(&self, kind: &str) -> String {
        format!("{}/{}", collection(kind), self.configuration)
    }

    fn get(&self, path: &str) -> Option<Value> {
        let (code, object) = PLANE.request(ADMIN, Method::GET, path, None);
        assert!(matches!(code, 200 | 404), "{object:#}");
        (code == 200).then_some(object)
    }

    fn expect(&self, code: u16, method: Method, path: &str, body: Option<&Value>) {
        let (got, answer) = PLANE.request(ADMIN, method, path, body);
        assert_eq!(got, code, "{answer:#}");
    }

    fn kubectl(&self, args: &[&str]) {
        let output = PLANE.kubectl(ADMIN, args, "");
        let stderr = support::text(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    }
}

fn collection(kind: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations")
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>();
    found.expect("certificates as PEM")
}
