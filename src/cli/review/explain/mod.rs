//! `podseal review --explain`: where each value came from, and which rule asked
//! for each change. It is what support asks people to paste, so nothing of a pod
//! is in it but what was judged or changed: no variable that no profile sets.

mod changes;
mod profile_lines;
mod table;
mod values;

use serde::Serialize;

use self::changes::Asked;
use self::profile_lines::{Place, Places};
use self::values::Said;
use crate::cli::args::policy::Read;
use crate::cli::review::Arguments;
use admission::adjusted::Adjusted;
use admission::pod_security::Level;
use admission::policy::{Namespace, Settings};
use admission::profile::cost::grants;
use admission::review::Decision;
use admission::text::bounded;

/// As `-o json` prints it, within a reviewed pod. These names are an interface:
/// `docs/review.md` describes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explained {
    version: &'static str,
    operation: String,
    user: Option<String>,
    /// The profile, the one it extends, and so on.
    profiles: Vec<Place>,
    values: Vec<Said>,
    unread: Vec<String>,
    changes: Vec<Asked>,
    grants: Vec<Granted>,
    #[serde(skip)]
    job: Option<String>,
    #[serde(skip)]
    level: Option<Level>,
}

/// A control that the profile has out of its way, at the namespace's level.
#[derive(Serialize)]
struct Granted {
    role: &'static str,
    control: &'static str,
}

/// What an explanation is made of, beside the decision.
pub(super) struct Asking<'q> {
    pub(super) namespace: &'q Namespace,
    pub(super) settings: &'q Settings<'q>,
    /// The files of profiles.
    pub(super) read: Option<&'q Read>,
    /// What of the namespace the command line says.
    pub(super) arguments: &'q Arguments,
    pub(super) operation: &'q str,
    pub(super) user: &'q str,
    /// The HOME that the job says itself, if it has one.
    pub(super) jobs_home: Option<&'q str>,
}

impl Explained {
    /// Of a pod whose correction was `corrected`.
    pub(super) fn of(corrected: &Decision<'_>, asking: &Asking<'_>) -> Explained {
        let places = Places::of(asking.settings.profiles, asking.read);
        let policy = corrected.policy.as_ref();
        let profile = policy.and_then(|policy| policy.profile);
        let adjusted = policy.and_then(|policy| Adjusted::of(policy)?.ok());
        let changes = corrected
            .changes
            .iter()
            .map(|change| Asked::of(change, adjusted.as_ref(), &places));
        let is_job = corrected.job.is_some();
        let granted = profile
            .zip(policy)
            .filter(|_| is_job)
            .map(|(profile, policy)| grants(profile, policy.level));
        let granted = granted.into_iter().flatten();
        Explained {
            version: env!("CARGO_PKG_VERSION"),
            operation: bounded(asking.operation).into_owned(),
            user: Some(asking.user)
                .filter(|user| !user.is_empty())
                .map(|user| bounded(user).into_owned()),
            profiles: profile
                .map(|profile| places.chain(profile))
                .unwrap_or_default(),
            values: values::values(policy, asking, &places),
            unread: values::unread(asking, policy.is_some()),
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
