//! Requests by the hour, day, month or year (UTC), in bounded memory.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// How many buckets are kept. All years of a timestamp are fewer.
const MOST: usize = 20_000;
/// Requests are far from the others if without them the time is so many times shorter.
const FAR: i64 = 10;
/// From how many requests on one of them may be far from the others.
const SOME: u64 = 10;

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

    /// The unit in which so many hours are neither one bar nor a hundred.
    fn fitting(hours: i64) -> Unit {
        match hours {
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
    buckets: BTreeMap<DateTime, Bucket>,
}

#[derive(Default, Clone, Copy)]
struct Bucket {
    requests: u64,
    /// Those that bars show.
    listed: u64,
}

/// A bar for every hour, day, month or year.
pub(super) struct Bars {
    pub(super) unit: Unit,
    pub(super) bars: Vec<Bar>,
    /// The listed requests in no bar.
    pub(super) others: u64,
}

/// The listed requests of a bucket.
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
    pub(super) fn count(&mut self, time: Timestamp, is_listed: bool) {
        let time = time.to_zoned(TimeZone::UTC).datetime();
        let bucket = self.buckets.entry(self.unit.start(time)).or_default();
        bucket.requests += 1;
        bucket.listed += u64::from(is_listed);
        if self.buckets.len() > MOST {
            self.unit = self.unit.coarser();
            self.buckets = self.by(self.unit);
        }
    }

    fn by(&self, unit: Unit) -> BTreeMap<DateTime, Bucket> {
        let mut buckets: BTreeMap<DateTime, Bucket> = BTreeMap::new();
        for (start, Bucket { requests, listed }) in &self.buckets {
            let bucket = buckets.entry(unit.start(*start)).or_default();
            bucket.requests += requests;
            bucket.listed += listed;
        }
        buckets
    }

    /// A bar for every hour, day, month or year from the first request to the last, but for
    /// those that are far from the others. `None` without requests.
    pub(super) fn bars(&self) -> Option<Bars> {
        let (first, last) = self.most()?;
        let unit = Unit::fitting(hours(first, last)).max(self.unit);
        let buckets = self.by(unit);
        let mut bars = Vec::new();
        let mut next = Some(unit.start(first));
        while let Some(start) = next.filter(|start| *start <= last) {
            let requests = buckets.get(&start).map_or(0, |bucket| bucket.listed);
            bars.push(Bar { start, requests });
            next = unit.next(start);
        }
        let all: u64 = self.buckets.values().map(|bucket| bucket.listed).sum();
        let others = all - bars.iter().map(|bar| bar.requests).sum::<u64>();
        Some(Bars { unit, bars, others })
    }

    /// The first and the last bucket. A hundredth of the requests is left out if it is far from
    /// the others: one node's clock was wrong, and bars would be of years.
    fn most(&self) -> Option<(DateTime, DateTime)> {
        let buckets: Vec<_> = self.buckets.iter().collect();
        let requests: u64 = buckets.iter().map(|(_, bucket)| bucket.requests).sum();
        let mut spare = match requests {
            ..SOME => 0,
            requests => (requests / 100).max(1),
        };
        let (mut first, mut last) = (0, buckets.len().checked_sub(1)?);
        let mut most = (*buckets[first].0, *buckets[last].0);
        while first < last && Unit::fitting(hours(most.0, most.1)) >= Unit::Month {
            let gap = |before: usize| hours(*buckets[before].0, *buckets[before + 1].0);
            let left_out = if gap(first) > gap(last - 1) {
                first += 1;
                first - 1
            } else {
                last -= 1;
                last + 1
            };
            let Some(rest) = spare.checked_sub(buckets[left_out].1.requests) else {
                break;
            };
            spare = rest;
            let (begin, end) = (*buckets[first].0, *buckets[last].0);
            if hours(begin, end) * FAR < hours(most.0, most.1) {
                most = (begin, end);
            }
        }
        Some(most)
    }
}

fn hours(first: DateTime, last: DateTime) -> i64 {
    last.duration_since(first).as_hours()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn counts(times: &[&str]) -> (&'static str, Vec<u64>) {
        let mut timeline = Timeline::default();
        times
            .iter()
            .for_each(|text| timeline.count(time(text), true));
        let Bars { unit, bars, others } = timeline.bars().expect("requests");
        assert_eq!(others, 0);
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
            let time = Timestamp::from_second(first.as_second() + n * step);
            timeline.count(time.expect("a time"), true);
        }
        assert!(timeline.buckets.len() <= MOST);
        let Bars { unit, bars, others } = timeline.bars().expect("requests");
        assert_eq!(others, 0);
        assert_eq!(unit, Unit::Year);
        assert_eq!(bars.iter().map(|bar| bar.requests).sum::<u64>(), 100_000);
    }

    #[test]
    fn requests_with_a_wrong_time_do_not_make_bars_of_years() {
        let mut timeline = Timeline::default();
        for hour in 0..300 {
            let start = time("2026-11-10T00:00:00Z").as_second();
            let time = Timestamp::from_second(start + hour * 3600).expect("a time");
            timeline.count(time, hour % 2 == 0);
        }
        for (wrong, is_listed) in [
            ("9999-12-30T00:00:00Z", true),
            ("1970-01-01T00:00:03Z", false),
            ("2027-11-30T00:00:00Z", true),
        ] {
            timeline.count(time(wrong), is_listed);
        }
        let Bars { unit, bars, others } = timeline.bars().expect("requests");
        assert_eq!((unit, bars.len(), others), (Unit::Day, 13, 2));
        assert_eq!(bars.iter().map(|bar| bar.requests).sum::<u64>(), 150);
        // One more is too many to be a mistake.
        timeline.count(time("2028-11-30T00:00:00Z"), true);
        let Bars { unit, others, .. } = timeline.bars().expect("requests");
        assert_eq!((unit, others), (Unit::Month, 1));
    }

    #[test]
    fn a_few_requests_over_years_are_all_shown() {
        let years = ["2019-01-01T00:00:00Z", "2026-11-30T00:00:00Z"];
        assert_eq!(counts(&years), ("year", vec![1, 0, 0, 0, 0, 0, 0, 1]));
    }
}
