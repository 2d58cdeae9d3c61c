//! What the records say in sum, in bounded memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;

use super::filter::{Filter, NO_CONTROL};
use super::groups::Groups;
use super::record::{Outcome, Record};
use super::timeline::Timeline;
use admission::decision::Verdict;
use admission::standards::Family;
use admission::text::remark;

/// The longest name in a record; an owner is two of them.
const NAME: usize = 138;
/// How much of a message is kept.
const MESSAGE: usize = 512;
/// How many controls of a request are counted. A record has fewer.
const CONTROLS: usize = 32;
/// How many controls of a group are kept that this release does not know.
const NEWER: usize = 8;
/// The longest name of a control: theirs are shorter than 30.
const CONTROL: usize = 48;
/// How many reviews are remembered, to count each once. Later ones take their places.
const REMEMBERED: usize = 1 << 18;

/// What the records say in sum.
pub(super) struct Summary {
    /// Lines that are records.
    pub(super) records: u64,
    /// When the first counted request was.
    pub(super) first: Option<Timestamp>,
    /// When the last one was.
    pub(super) last: Option<Timestamp>,
    outcomes: [u64; Outcome::ALL.len()],
    /// The requests by time, and which of them are listed.
    pub(super) timeline: Timeline,
    /// The listed denials by control. The detail is how many were not enforced.
    pub(super) controls: Groups<Control, u64>,
    /// The listed requests by whose they are.
    pub(super) groups: Groups<(Outcome, String, Who), Latest>,
    /// Requests with a caution, by its id and whose they are. The detail is its text.
    pub(super) cautions: Groups<(String, String, Who), String>,
    /// Requests with a warning, by namespace and text.
    pub(super) warnings: Groups<(String, String), ()>,
    /// What is not counted.
    pub(super) uncounted: Uncounted,
    reviews: Reviews,
}

/// What is not counted, by the reason.
#[derive(Default, Clone, Copy, serde::Serialize)]
pub(super) struct Uncounted {
    /// Records of dry runs.
    pub(super) dry_runs: u64,
    /// Records of a review that has been counted.
    pub(super) repeated: u64,
    /// Lines with a record that this release cannot read.
    pub(super) unreadable: u64,
    /// Lines that are no records.
    pub(super) other_lines: u64,
}

/// Whose a request is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Who {
    /// A GitLab project's, by name or else number.
    Project(String),
    /// A controller's, as `kind/name`.
    Owner(String),
    /// A user's.
    User(String),
}

impl Who {
    pub(super) fn of(record: &Record<'_>) -> Who {
        let name = |text: &str| remark(text, NAME);
        if !record.project.is_empty() {
            Who::Project(name(&record.project))
        } else if !record.project_id.is_empty() {
            Who::Project(name(&record.project_id))
        } else if !record.owner.is_empty() {
            Who::Owner(remark(&record.owner, 2 * NAME))
        } else {
            Who::User(name(&record.user))
        }
    }

    pub(super) fn name(&self) -> &str {
        let (Who::Project(name) | Who::Owner(name) | Who::User(name)) = self;
        name
    }
}

/// The name of a control. Each group has many, so those that are known take no memory.
pub(super) type Control = Cow<'static, str>;

fn control(name: &str) -> Control {
    let known = Family::ALL.into_iter().map(Family::name);
    let known = known.chain([NO_CONTROL]).find(|known| *known == name);
    known.map_or_else(|| Cow::Owned(remark(name, CONTROL)), Cow::Borrowed)
}

/// The latest request of a group, and the controls of all.
#[derive(Default)]
pub(super) struct Latest {
    pub(super) controls: BTreeMap<Control, u64>,
    pub(super) user: String,
    pub(super) project_id: String,
    pub(super) pod: String,
    pub(super) job_id: String,
    pub(super) message: String,
}

impl Latest {
    fn count(&mut self, control: Control) {
        let is_newer = |control: &Control| matches!(control, Cow::Owned(_));
        if !is_newer(&control)
            || self.controls.contains_key(&control)
            || self.controls.keys().filter(|known| is_newer(known)).count() < NEWER
        {
            *self.controls.entry(control).or_default() += 1;
        }
    }

    fn keep(&mut self, record: &Record<'_>) {
        let name = |text: &str| remark(text, NAME);
        self.user = name(&record.user);
        self.project_id = name(&record.project_id);
        self.pod = name(record.pod());
        self.job_id = name(&record.job_id);
        self.message = remark(&record.message, MESSAGE);
    }
}

impl Summary {
    pub(super) fn new() -> Summary {
        Summary {
            records: 0,
            first: None,
            last: None,
            outcomes: Default::default(),
            timeline: Timeline::default(),
            controls: Groups::default(),
            groups: Groups::default(),
            cautions: Groups::default(),
            warnings: Groups::default(),
            uncounted: Uncounted::default(),
            reviews: Reviews::new(),
        }
    }

    /// Counts `record`. Returns its outcome if it is listed.
    pub(super) fn count(&mut self, record: &Record<'_>, filter: &Filter) -> Option<Outcome> {
        self.records += 1;
        if !filter.reads(record) {
            return None;
        }
        if self.reviews.is_repeated(record) {
            self.uncounted.repeated += 1;
            return None;
        }
        if record.dry_run {
            self.uncounted.dry_runs += 1;
            return None;
        }
        let outcome = record.outcome()?;
        let time = record.time;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        self.outcomes[outcome as usize] += 1;
        let is_final = outcome.verdict() != Verdict::Mutate;
        if is_final && !(record.cautions.is_empty() && record.warnings.is_empty()) {
            self.count_remarks(record);
        }
        self.timeline.count(time, filter.lists(outcome));
        filter.lists(outcome).then(|| {
            self.list(record, outcome);
            outcome
        })
    }

    fn list(&mut self, record: &Record<'_>, outcome: Outcome) {
        let mut controls = record.controls();
        controls.truncate(CONTROLS);
        if controls.is_empty() {
            controls.push(NO_CONTROL);
        }
        let is_denied = outcome.verdict() == Verdict::Deny;
        let controls = controls.into_iter().filter(|_| is_denied);
        let controls: Vec<_> = controls.map(control).collect();
        for control in &controls {
            let (not_enforced, _) = self.controls.count(control.clone(), record.time);
            *not_enforced += u64::from(outcome == Outcome::NotEnforced);
        }
        let namespace = remark(&record.namespace, NAME);
        let key = (outcome, namespace, Who::of(record));
        let (latest, is_latest) = self.groups.count(key, record.time);
        controls
            .into_iter()
            .for_each(|control| latest.count(control));
        if is_latest {
            latest.keep(record);
        }
    }

    fn count_remarks(&mut self, record: &Record<'_>) {
        let namespace = remark(&record.namespace, NAME);
        // A record has fewer.
        for caution in record.cautions.iter().take(CONTROLS) {
            let id = remark(&caution.id, NAME);
            let key = (id, namespace.clone(), Who::of(record));
            let (text, is_latest) = self.cautions.count(key, record.time);
            if is_latest {
                *text = remark(&caution.text, MESSAGE);
            }
        }
        for warning in record.warnings.iter().take(CONTROLS) {
            let key = (namespace.clone(), remark(warning, MESSAGE));
            self.warnings.count(key, record.time);
        }
    }

    /// How many requests had `outcome`.
    pub(super) fn with(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// How many requests there were. A correction is not the end of one.
    pub(super) fn requests(&self) -> u64 {
        [Outcome::Rejected, Outcome::NotEnforced, Outcome::Allowed]
            .map(|outcome| self.with(outcome))
            .iter()
            .sum()
    }
}

/// The reviews that were read lately: files overlap, and the API server may send a review
/// again.
struct Reviews {
    hasher: RandomState,
    latest: Vec<u64>,
}

impl Reviews {
    fn new() -> Reviews {
        Reviews {
            hasher: RandomState::new(),
            latest: vec![0; REMEMBERED],
        }
    }

    fn is_repeated(&mut self, record: &Record<'_>) -> bool {
        if record.uid.is_empty() {
            return false;
        }
        let webhook = record.webhook as u8;
        let hash = self.hasher.hash_one((webhook, &*record.uid));
        let place = &mut self.latest[hash as usize % REMEMBERED];
        std::mem::replace(place, hash) == hash
    }
}
