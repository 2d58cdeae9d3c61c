//! Reads, writes and watches the Secret and the webhook configurations.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1 as core;
use kube::api::{
    Api, DynamicObject, ObjectMeta, PartialObjectMeta, Patch, PatchParams, PostParams,
};
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use serde_json::Value;

use super::replica::WebhookConfigurations;
use super::rotation::WriteReason;
use super::secret::{GENERATION, KEYS, ROTATE, SecretContent, SecretData, TRUSTED_SINCE};
use super::state::State;
use super::webhook_configuration::{WebhookConfiguration, WebhookEntry};
use crate::kubernetes::error::core_of;
use crate::logging::throttle::LogThrottle;

const MANAGER: &str = "podseal";

/// The names of the objects that podseal maintains.
#[derive(Debug, Clone)]
pub struct Names {
    /// The namespace that podseal runs in.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The Service that the configurations name.
    pub service: String,
    /// The `MutatingWebhookConfiguration`.
    pub mutating: String,
    /// The `ValidatingWebhookConfiguration`.
    pub validating: String,
}

/// Access to these objects.
pub(super) struct ApiObjects {
    client: kube::Client,
    names: Names,
    secrets: Api<core::Secret>,
    configurations: [Api<DynamicObject>; 2],
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// Another client changed the object first.
    Conflict,
}

impl ApiObjects {
    pub(super) fn new(client: &kube::Client, names: Names) -> ApiObjects {
        let mutating = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        let validating = ApiResource::erase::<ValidatingWebhookConfiguration>(&());
        ApiObjects {
            secrets: Api::namespaced(client.clone(), &names.namespace),
            configurations: [mutating, validating]
                .map(|resource| Api::all_with(client.clone(), &resource)),
            client: client.clone(),
            names,
        }
    }

    /// The configurations, live.
    pub(super) async fn configurations(&self) -> kube::Result<WebhookConfigurations> {
        let [mutating, validating] = &self.configurations;
        let (mutating, validating) = futures::try_join!(
            mutating.get_opt(&self.names.mutating),
            validating.get_opt(&self.names.validating),
        )?;
        Ok([mutating, validating].map(|object| object.map(configuration)))
    }

    /// The Secret, live.
    pub(super) async fn secret(&self) -> kube::Result<Option<core::Secret>> {
        self.secrets.get_opt(&self.names.secret).await
    }

    /// Writes `state` into the Secret, whose last read content is `present`.
    pub(super) async fn write(
        &self,
        present: Option<core::Secret>,
        state: &State,
        why: &WriteReason,
    ) -> kube::Result<Written> {
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let is_new = present.is_none();
        let mut secret = present.unwrap_or_else(|| self.new_secret());
        fill(&mut secret, state, why);
        let written = if is_new {
            self.secrets.create(&params, &secret).await
        } else {
            // It contains the resource version that was read.
            let name = &self.names.secret;
            self.secrets.replace(name, &params, &secret).await
        };
        ended(written.map(drop))
    }

    /// Patches the mutating (0) or the validating (1) configuration.
    pub(super) async fn correct(&self, which: usize, patch: &Value) -> kube::Result<Written> {
        let name = [&self.names.mutating, &self.names.validating][which];
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        // Webhooks are merged by name, so only caBundle changes.
        let patch = Patch::Strategic(patch);
        let api = &self.configurations[which];
        ended(api.patch(name, &params, &patch).await.map(drop))
    }

    /// Yields for each change of the three objects. Their content is then read live.
    pub(super) fn changes(&self) -> BoxStream<'static, ()> {
        let (client, names) = (&self.client, &self.names);
        stream::select_all([
            changes_of::<core::Secret>(
                Api::namespaced(client.clone(), &names.namespace),
                &names.secret,
            ),
            changes_of::<MutatingWebhookConfiguration>(Api::all(client.clone()), &names.mutating),
            changes_of::<ValidatingWebhookConfiguration>(
                Api::all(client.clone()),
                &names.validating,
            ),
        ])
        .boxed()
    }

    fn new_secret(&self) -> core::Secret {
        let labels = [
            ("app.kubernetes.io/name", MANAGER),
            ("app.kubernetes.io/managed-by", MANAGER),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        core::Secret {
            metadata: ObjectMeta {
                name: Some(self.names.secret.clone()),
                namespace: Some(self.names.namespace.clone()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..core::Secret::default()
        }
    }
}

/// The changes of the object `name`. With this selector, permission to list and watch
/// that object is enough.
///
/// A failed watch is logged, and the stream restarts it. Until then, the periodic reread
/// detects changes.
fn changes_of<K>(api: Api<PartialObjectMeta<K>>, name: &str) -> BoxStream<'static, ()>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let object = match api.namespace() {
        Some(namespace) => format!("{} {namespace}/{name}", K::kind(&())),
        None => format!("{} {name}", K::kind(&())),
    };
    let failures = LogThrottle::default();
    let told = move |event: Result<_, watcher::Error>| {
        if let Err(error) = &event
            && let Some(suppressed) = failures.pass()
        {
            let error = core_of(error);
            tracing::warn!(object, error, suppressed, "a watch failed; retrying");
        }
        std::future::ready(event.is_ok().then_some(()))
    };
    let events = watcher(api, config).default_backoff();
    events.filter_map(told).boxed()
}

/// The content of the Secret.
pub(super) fn held(secret: Option<&core::Secret>) -> SecretContent {
    let Some(secret) = secret else {
        return SecretContent::Absent;
    };
    let data = secret.data.iter().flatten();
    SecretContent::read(&SecretData {
        data: data
            .map(|(key, value)| (key.clone(), value.0.clone()))
            .collect(),
        annotations: secret.metadata.annotations.clone().unwrap_or_default(),
    })
}

/// Sets `state` in the Secret, and keeps what is not podseal's.
fn fill(secret: &mut core::Secret, state: &State, why: &WriteReason) {
    let contents = state.contents();
    let data = secret.data.get_or_insert_default();
    data.retain(|key, _| !KEYS.contains(&key.as_str()));
    data.extend(
        contents
            .data
            .into_iter()
            .map(|(key, value)| (key, ByteString(value))),
    );
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.retain(|key, _| key != GENERATION && key != TRUSTED_SINCE);
    annotations.extend(contents.annotations);
    if *why == WriteReason::Introduced {
        annotations.remove(ROTATE);
    }
}

fn ended(written: kube::Result<()>) -> kube::Result<Written> {
    match written {
        Ok(()) => Ok(Written::Done),
        // 404: the object was deleted after it was read.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Written::Conflict),
        Err(error) => Err(error),
    }
}

fn configuration(object: DynamicObject) -> WebhookConfiguration {
    let webhooks = object.data["webhooks"].as_array();
    let webhook = |webhook: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let bundle = text(&webhook["clientConfig"]["caBundle"]);
        WebhookEntry::new(&text(&webhook["name"]), &bundle)
    };
    WebhookConfiguration {
        version: (
            object.metadata.uid.unwrap_or_default(),
            object.metadata.generation.unwrap_or_default(),
        ),
        resource_version: object.metadata.resource_version.unwrap_or_default(),
        webhooks: webhooks.into_iter().flatten().map(webhook).collect(),
    }
}
