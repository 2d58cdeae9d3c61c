//! The `caBundle` of a webhook configuration: what it trusts, and what it
//! should.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use super::certificate::{certificates_in, pem};
use super::state::State;

/// A webhook configuration, as far as its `caBundle` goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebhookConfiguration {
    /// Which object in which version of its content this is.
    pub(super) version: (String, i64),
    pub(super) resource_version: String,
    pub(super) webhooks: Vec<WebhookEntry>,
}

/// One webhook of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebhookEntry {
    pub(super) name: String,
    trusted: Vec<CertificateDer<'static>>,
    /// All of its `caBundle` could be read.
    whole: bool,
}

/// Authorities in a configuration that the Secret does not know, and since when
/// this replica sees them there next to those of the Secret.
///
/// They are not removed at once. They may be another source's, whose leaf the
/// replicas of a rollout still serve, and a Secret can be damaged.
#[derive(Debug, Default)]
pub(super) struct ForeignAuthorities(HashMap<CertificateDer<'static>, Since>);

#[derive(Debug, Clone, Copy)]
enum Since {
    /// The Secret has let go of it, after a waiting time of its own.
    Retired,
    Seen(Duration),
}

impl WebhookEntry {
    /// The webhook called `name`, with its `caBundle` as the API has it.
    pub(super) fn new(name: &str, ca_bundle: &str) -> WebhookEntry {
        let text = base64::engine::general_purpose::STANDARD.decode(ca_bundle);
        let readable = text.is_ok();
        let (trusted, whole) = certificates_in(&text.unwrap_or_default());
        WebhookEntry {
            name: name.to_owned(),
            trusted,
            whole: whole && readable,
        }
    }

    fn trusts_all_of(&self, state: &State) -> bool {
        self.whole && state.bundle().all(|ca| self.trusted.contains(&ca.der))
    }
}

impl WebhookConfiguration {
    /// Whether each of its webhooks trusts every authority of the Secret.
    pub(super) fn trusts_all_of(&self, state: &State) -> bool {
        self.webhooks
            .iter()
            .all(|webhook| webhook.trusts_all_of(state))
    }

    /// Whether each of its webhooks trusts this authority.
    pub(super) fn trusts(&self, authority: &CertificateDer<'_>) -> bool {
        let mut webhooks = self.webhooks.iter();
        webhooks.all(|webhook| webhook.trusted.iter().any(|trusted| trusted == authority))
    }

    /// All authorities that any of its webhooks trusts.
    fn trusted(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.webhooks.iter().flat_map(|webhook| &webhook.trusted)
    }

    /// The patch that sets it right, if it is wrong.
    ///
    /// What is missing comes first, and only when nothing is missing anywhere
    /// does a later patch take away what does not belong.
    pub(super) fn correction(
        &self,
        state: &State,
        strangers: &ForeignAuthorities,
        overlap: Duration,
        steady: Duration,
    ) -> Option<Value> {
        let complete = self.trusts_all_of(state);
        let mut webhooks = Vec::new();
        for webhook in &self.webhooks {
            let kept: Vec<_> = webhook
                .trusted
                .iter()
                .filter(|ca| !state.trusts(ca))
                .filter(|ca| !complete || !strangers.is_over(ca, overlap, steady))
                .collect();
            let ours = state.bundle().map(|ca| &ca.der);
            let wanted: Vec<_> = ours.chain(kept).collect();
            if webhook.trusts_all_of(state) && wanted.len() == webhook.trusted.len() {
                continue;
            }
            let text: String = wanted.into_iter().map(|ca| pem(ca)).collect();
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            webhooks.push(json!({"name": webhook.name, "clientConfig": {"caBundle": text}}));
        }
        // The version makes it fail where the configuration is another by now,
        // and so it never brings a webhook back that is gone.
        (!webhooks.is_empty()).then(|| {
            json!({
                "metadata": {"resourceVersion": self.resource_version},
                "webhooks": webhooks,
            })
        })
    }
}

impl ForeignAuthorities {
    /// Takes note of what the Secret has let go of, in its own time. What has
    /// only gone missing from it has to wait like any other.
    pub(super) fn retire(&mut self, before: &State, after: &State) {
        if after.generation <= before.generation {
            return;
        }
        let gone = before.bundle().filter(|ca| !after.trusts(&ca.der));
        for ca in gone {
            self.0.insert(ca.der.clone(), Since::Retired);
        }
    }

    /// Takes note of what the configurations trust.
    pub(super) fn meet<'a>(
        &mut self,
        configurations: impl IntoIterator<Item = &'a WebhookConfiguration> + Clone,
        state: &State,
        steady: Duration,
    ) {
        let is_there = |ca: &CertificateDer<'_>| {
            let mut all = configurations.clone().into_iter();
            all.any(|configuration| configuration.trusted().any(|trusted| trusted == ca))
        };
        self.0.retain(|ca, _| is_there(ca) && !state.trusts(ca));
        for configuration in configurations {
            if !configuration.trusts_all_of(state) {
                continue;
            }
            for ca in configuration.trusted().filter(|ca| !state.trusts(ca)) {
                self.0.entry(ca.clone()).or_insert(Since::Seen(steady));
            }
        }
    }

    fn is_over(&self, ca: &CertificateDer<'_>, overlap: Duration, steady: Duration) -> bool {
        match self.0.get(ca) {
            Some(Since::Retired) => true,
            Some(Since::Seen(since)) => steady.saturating_sub(*since) >= overlap,
            None => false,
        }
    }

    /// When the next of them has waited long enough.
    pub(super) fn due(&self, overlap: Duration, steady: Duration) -> Option<Duration> {
        let left = |since: &Since| match since {
            Since::Retired => Duration::ZERO,
            Since::Seen(since) => (*since + overlap).saturating_sub(steady),
        };
        self.0.values().map(left).min()
    }
}
