//! The `caBundle` of a webhook configuration, and its corrections.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use super::certificate::{certificates_in, pem};
use super::state::State;

/// The `caBundle` fields of a webhook configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebhookConfiguration {
    /// The object and its generation.
    pub(super) version: (String, i64),
    pub(super) resource_version: String,
    pub(super) webhooks: Vec<WebhookEntry>,
}

/// One webhook of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebhookEntry {
    pub(super) name: String,
    trusted: Vec<CertificateDer<'static>>,
    /// Whether all of its `caBundle` can be read.
    whole: bool,
}

/// CAs in a configuration that are not in the Secret, and since when this replica sees
/// them there together with those of the Secret.
///
/// They are not removed immediately. During a rollout, replicas may still serve leaves
/// from another source, and a Secret can be damaged.
#[derive(Debug, Default)]
pub(super) struct ForeignAuthorities(HashMap<CertificateDer<'static>, Since>);

#[derive(Debug, Clone, Copy)]
enum Since {
    /// It was removed from the Secret, after its waiting time.
    Retired,
    Seen(Duration),
}

impl WebhookEntry {
    /// The webhook `name`, with its `caBundle` in base64.
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
    /// Whether each of its webhooks trusts every CA of the Secret.
    pub(super) fn trusts_all_of(&self, state: &State) -> bool {
        self.webhooks
            .iter()
            .all(|webhook| webhook.trusts_all_of(state))
    }

    /// Whether each of its webhooks trusts this CA.
    pub(super) fn trusts(&self, authority: &CertificateDer<'_>) -> bool {
        let mut webhooks = self.webhooks.iter();
        webhooks.all(|webhook| webhook.trusted.iter().any(|trusted| trusted == authority))
    }

    /// All CAs that any of its webhooks trusts.
    fn trusted(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.webhooks.iter().flat_map(|webhook| &webhook.trusted)
    }

    /// The patch that corrects it, if necessary.
    ///
    /// A patch first adds missing CAs. Only when none is missing in any webhook, a later
    /// patch removes foreign ones.
    pub(super) fn correction(
        &self,
        state: &State,
        foreign: &ForeignAuthorities,
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
                .filter(|ca| !complete || !foreign.is_over(ca, overlap, steady))
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
        // With the resource version, the patch fails if the configuration has changed, so
        // it never restores a deleted webhook.
        (!webhooks.is_empty()).then(|| {
            json!({
                "metadata": {"resourceVersion": self.resource_version},
                "webhooks": webhooks,
            })
        })
    }
}

impl ForeignAuthorities {
    /// Records CAs that were removed from the Secret by a rotation. CAs that are merely
    /// missing from it must wait like any other.
    pub(super) fn retire(&mut self, before: &State, after: &State) {
        if after.generation <= before.generation {
            return;
        }
        let gone = before.bundle().filter(|ca| !after.trusts(&ca.der));
        for ca in gone {
            self.0.insert(ca.der.clone(), Since::Retired);
        }
    }

    /// Records the foreign CAs in the configurations.
    pub(super) fn observe<'a>(
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

    /// When the next waiting time of a foreign CA ends.
    pub(super) fn due(&self, overlap: Duration, steady: Duration) -> Option<Duration> {
        let left = |since: &Since| match since {
            Since::Retired => Duration::ZERO,
            Since::Seen(since) => (*since + overlap).saturating_sub(steady),
        };
        self.0.values().map(left).min()
    }
}
