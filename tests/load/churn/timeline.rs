//! What was wrong when: whether podseal could have saved an admission.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long replicas may take to reload a profile.
const RELOAD: Duration = Duration::from_secs(5);

/// When an attempt began, and when its answer was there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: Instant,
    pub(crate) end: Instant,
}

impl Span {
    /// Measures what `during` takes.
    pub(crate) fn of<T>(during: impl FnOnce() -> T) -> (Span, T) {
        let start = Instant::now();
        let value = during();
        let end = Instant::now();
        (Span { start, end }, value)
    }

    fn overlaps(self, (start, end): (Instant, Option<Instant>)) -> bool {
        start <= self.end && end.is_none_or(|end| self.start <= end)
    }
}

/// Intervals, of which the last may go on.
pub(crate) struct Intervals {
    all: Mutex<Vec<(Instant, Option<Instant>)>>,
    /// How long it takes until others notice that one has ended.
    noticed_after: Duration,
}

impl Intervals {
    pub(crate) fn noticed_after(time: Duration) -> Intervals {
        Intervals {
            all: Mutex::default(),
            noticed_after: time,
        }
    }

    /// Notes an interval: that of `during`.
    pub(crate) fn note(&self, during: impl FnOnce()) {
        let mut all = self.all.lock().expect("no holder panics");
        all.push((Instant::now(), None));
        drop(all);
        during();
        let end = Instant::now() + self.noticed_after;
        let mut all = self.all.lock().expect("no holder panics");
        all.last_mut().expect("it was pushed").1 = Some(end);
    }

    /// Whether one overlaps this attempt.
    pub(crate) fn overlap(&self, span: Span) -> bool {
        let all = self.all.lock().expect("no holder panics");
        all.iter().any(|interval| span.overlaps(*interval))
    }

    pub(crate) fn count(&self) -> usize {
        self.all.lock().expect("no holder panics").len()
    }
}

/// The users that the profile had, each since when.
#[derive(Default)]
pub(crate) struct Users(Mutex<Vec<(Instant, i64)>>);

impl Users {
    /// The profile is about to get this one.
    pub(crate) fn next(&self, user: i64) {
        let mut all = self.0.lock().expect("no holder panics");
        all.push((Instant::now(), user));
    }

    /// Those that a job which was created then may have.
    pub(crate) fn at(&self, span: Span) -> Vec<i64> {
        let all = self.0.lock().expect("no holder panics");
        let replaced = |index: usize| all.get(index + 1).map(|(since, _)| *since + RELOAD);
        let possible = |(index, (since, user)): (usize, &(Instant, i64))| {
            span.overlaps((*since, replaced(index))).then_some(*user)
        };
        all.iter().enumerate().filter_map(possible).collect()
    }
}
