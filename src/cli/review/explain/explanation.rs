//! The explanation of a review.

use serde::Serialize;

use super::changes::ExplainedChange;
use super::inputs::Inputs;
use super::profile_sources::{FieldSource, ProfileSources};
use super::values::{self, ExplainedValue};
use admission::decision::Decision;
use admission::lint::exposure::grants;
use admission::standards::Level;
use admission::text::bounded;

/// The field `explain` of `-o json`. Its names are an interface, described in
/// `docs/review.md`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Explanation {
    pub(super) version: &'static str,
    pub(super) operation: String,
    pub(super) user: Option<String>,
    /// The profile, the one it extends, and so on.
    pub(super) profiles: Vec<FieldSource>,
    pub(super) values: Vec<ExplainedValue>,
    pub(super) unread: Vec<String>,
    pub(super) changes: Vec<ExplainedChange>,
    pub(super) grants: Vec<Granted>,
    #[serde(skip)]
    pub(super) job: Option<String>,
    #[serde(skip)]
    pub(super) level: Option<Level>,
}

/// A control that the profile grants at the namespace's level.
#[derive(Serialize)]
pub(super) struct Granted {
    pub(super) role: String,
    pub(super) control: &'static str,
}

impl Explanation {
    /// The explanation of the decision `corrected` of the mutating webhook.
    pub(in crate::cli) fn of(corrected: &Decision<'_>, inputs: &Inputs<'_>) -> Explanation {
        let sources = ProfileSources::of(inputs.settings.profiles, inputs.read);
        let policy = corrected.policy.as_ref();
        let profile = policy.and_then(|policy| policy.profile);
        let effective = policy.and_then(|policy| policy.effective_profile()?.ok());
        let profiles = profile.zip(effective);
        let changes = corrected
            .changes
            .iter()
            .map(|change| ExplainedChange::of(change, profiles, &sources, inputs.kept_user));
        let is_job = corrected.job.is_some();
        let granted = profile
            .zip(policy)
            .filter(|_| is_job)
            .map(|(profile, policy)| grants(profile, policy.level));
        let granted = granted.into_iter().flatten();
        Explanation {
            version: env!("CARGO_PKG_VERSION"),
            operation: bounded(inputs.operation).into_owned(),
            user: Some(inputs.user)
                .filter(|user| !user.is_empty())
                .map(|user| bounded(user).into_owned()),
            profiles: profile
                .map(|profile| sources.chain(profile))
                .unwrap_or_default(),
            values: values::values(policy, inputs, &sources),
            unread: values::unread(inputs, policy.is_some()),
            changes: changes.collect(),
            grants: granted
                .map(|(role, control)| Granted { role, control })
                .collect(),
            job: corrected.job.as_ref().map(|job| {
                let id = job
                    .id
                    .as_deref()
                    .map(bounded)
                    .unwrap_or("without a number".into());
                match &job.project {
                    Some(project) => format!("{id} of {}", bounded(project)),
                    None => id.into_owned(),
                }
            }),
            level: policy.map(|policy| policy.level),
        }
    }
}
