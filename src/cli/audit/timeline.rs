//! Requests by the hour, day, month or year (UTC), in bounded memory.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// How many buckets are kept. All years of a timestamp are fewer.
const MOST: usize = 20_000;

/// The length of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Hour,
    Day,
    Month,
    Year,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Hour => "hour",
            Unit::Day => "day",
            Unit::Month => "month",
            Unit::Year => "year",
        }
    }

    /// The unit in which `first` to `last` are neither one bar nor a hundred.
    fn fitting(first: Timestamp, last: Timestamp) -> Unit {
        match last.duration_since(first).as_hours() {
            ..=36 => Unit::Hour,
            37..=1500 => Unit::Day,
            1501..=45_000 => Unit::Month,
            _ => Unit::Year,
        }
    }

    /// The beginning of the bucket that has `time`.
    fn start(self, time: DateTime) -> DateTime {
        let date = time.date();
        match self {
            Unit::Hour => date.at(time.hour(), 0, 0, 0),
            Unit::Day => date.at(0, 0, 0, 0),
            Unit::Month => date.first_of_month().at(0, 0, 0, 0),
            Unit::Year => date.first_of_year().at(0, 0, 0, 0),
        }
    }

    fn next(self, start: DateTime) -> Option<DateTime> {
        let span = match self {
            Unit::Hour => Span::new().hours(1),
            Unit::Day => Span::new().days(1),
            Unit::Month => Span::new().months(1),
            Unit::Year => Span::new().years(1),
        };
        start.checked_add(span).ok()
    }

    fn coarser(self) -> Unit {
        match self {
            Unit::Hour => Unit::Day,
            Unit::Day => Unit::Month,
            Unit::Month | Unit::Year => Unit::Year,
        }
    }
}

/// Counts of requests by time.
pub(super) struct Timeline {
    unit: Unit,
    buckets: BTreeMap<DateTime, u64>,
}

/// The requests of a bucket.
pub(super) struct Bar {
    pub(super) start: DateTime,
    pub(super) requests: u64,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline {
            unit: Unit::Hour,
            buckets: BTreeMap::new(),
        }
    }
}

impl Timeline {
    /// Counts a request.
    pub(super) fn count(&mut self, time: Timestamp) {
        let time = time.to_zoned(TimeZone::UTC).datetime();
        *self.buckets.entry(self.unit.start(time)).or_default() += 1;
        if self.buckets.len() > MOST {
            self.unit = self.unit.coarser();
            self.buckets = self.by(self.unit);
        }
    }

    fn by(&self, unit: Unit) -> BTreeMap<DateTime, u64> {
        let mut buckets = BTreeMap::new();
        for (start, requests) in &self.buckets {
            *buckets.entry(unit.start(*start)).or_default() += requests;
        }
        buckets
    }

    /// A bar for every hour, day, month or year from `first` to `last`.
    pub(super) fn bars(&self, first: Timestamp, last: Timestamp) -> (Unit, Vec<Bar>) {
        let unit = Unit::fitting(first, last).max(self.unit);
        let buckets = self.by(unit);
        let utc = |time: Timestamp| unit.start(time.to_zoned(TimeZone::UTC).datetime());
        let mut bars = Vec::new();
        let mut next = Some(utc(first));
        while let Some(start) = next.filter(|start| *start <= utc(last)) {
            let requests = buckets.get(&start).copied().unwrap_or_default();
            bars.push(Bar { start, requests });
            next = unit.next(start);
        }
        (unit, bars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn counts(times: &[&str]) -> (&'static str, Vec<u64>) {
        let mut timeline = Timeline::default();
        times.iter().for_each(|text| timeline.count(time(text)));
        let (first, last) = (time(times[0]), time(times[times.len() - 1]));
        let (unit, bars) = timeline.bars(first, last);
        (unit.name(), bars.iter().map(|bar| bar.requests).collect())
    }

    #[test]
    fn the_span_chooses_the_unit_and_no_bar_is_left_out() {
        let hours = [
            "2026-11-29T23:59:59.9Z",
            "2026-11-30T00:00:00Z",
            "2026-11-30T02:00:00Z",
        ];
        assert_eq!(counts(&hours), ("hour", vec![1, 1, 0, 1]));
        let days = [
            "2026-02-27T12:00:00Z",
            "2026-02-27T13:00:00Z",
            "2026-03-01T23:00:00Z",
        ];
        assert_eq!(counts(&days), ("day", vec![2, 0, 1]));
        let months = ["2025-11-30T00:00:00Z", "2026-02-01T00:00:00Z"];
        assert_eq!(counts(&months), ("month", vec![1, 0, 0, 1]));
        let years = ["2016-11-30T00:00:00Z", "2026-02-01T00:00:00Z"];
        assert_eq!(counts(&years).0, "year");
    }

    #[test]
    fn any_times_take_bounded_memory() {
        let mut timeline = Timeline::default();
        let (first, last) = (Timestamp::MIN, Timestamp::MAX);
        let step = (last.as_second() - first.as_second()) / 100_000;
        for n in 0..100_000 {
            timeline.count(Timestamp::from_second(first.as_second() + n * step).expect("a time"));
        }
        assert!(timeline.buckets.len() <= MOST);
        let (unit, bars) = timeline.bars(first, last);
        assert_eq!(unit, Unit::Year);
        assert_eq!(bars.iter().map(|bar| bar.requests).sum::<u64>(), 100_000);
    }
}
