//! The time in which a system was observed: between snapshots, but for gaps, by hour of the week.

use jiff::Timestamp;

use crate::history::SnapshotEntry;
use crate::model::Zone;
use crate::model::civil_date::{HOUR_MS, day_of_ms};
use crate::reports::dims::weekday_of;
use crate::reports::gaps::shortest_gap;

/// Hours in a week, from Monday 0:00 on.
pub(super) const WEEK: usize = 168;

/// The observed time of a period. Times are milliseconds.
pub(super) struct Watch {
    /// The numbers of the snapshots, ascending.
    numbers: Vec<u64>,
    /// Where each snapshot lies: the last one ends the time, and its states do not count.
    snapshots: Vec<Mark>,
    /// Where each hour begins, in order.
    hours: Vec<Hour>,
    /// The snapshots that are followed by a gap, by index.
    gaps: Vec<usize>,
    /// A longer time between snapshots is a gap.
    pub(super) shortest_gap_ms: i64,
    /// The sum of all gaps.
    pub(super) gaps_ms: i64,
}

/// A point of the period.
#[derive(Clone, Copy)]
struct Mark {
    at_ms: i64,
    /// The observed time before it, since the period began.
    observed_ms: i64,
    /// The index of its hour.
    hour: usize,
}

/// The beginning of a local hour.
struct Hour {
    /// 0 for Monday 0:00 to 1:00.
    of_week: usize,
    at_ms: i64,
    observed_ms: i64,
}

/// A time within one hour, between two snapshots.
pub(super) struct Span {
    /// The hour of the week.
    pub(super) hour: usize,
    /// All of it.
    pub(super) all_ms: i64,
    /// What of it is in no gap.
    pub(super) observed_ms: i64,
}

impl Watch {
    /// Describes the time from the first to the last of these snapshots, as far as it lies from `from` on and
    /// before `to`. `None` for fewer than two snapshots.
    ///
    /// A gap is a time between two snapshots that is longer than [`shortest_gap`].
    pub(super) fn new(
        zone: &Zone,
        snapshots: &[SnapshotEntry],
        (from, to): (Timestamp, Timestamp),
    ) -> Option<Self> {
        let times = snapshots.iter().map(|it| it.taken_at.as_millisecond());
        let times: Vec<i64> = times.collect();
        if times.len() < 2 {
            return None;
        }
        let shortest_gap_ms = shortest_gap(snapshots).as_millis() as i64;
        let (from, to) = (from.as_millisecond(), to.as_millisecond());
        let clipped = |at: i64| at.clamp(from, to);
        let mut watch = Self {
            numbers: snapshots.iter().map(|it| it.number).collect(),
            snapshots: Vec::with_capacity(times.len()),
            hours: Vec::new(),
            gaps: Vec::new(),
            shortest_gap_ms,
            gaps_ms: 0,
        };
        let first = clipped(times[0]);
        watch.begin_hour(zone, first, 0);
        let mut mark = Mark {
            at_ms: first,
            observed_ms: 0,
            hour: 0,
        };
        watch.snapshots.push(mark);
        for (index, two) in times.windows(2).enumerate() {
            let is_gap = two[1] - two[0] > shortest_gap_ms;
            let end = clipped(two[1]);
            if is_gap {
                watch.gaps.push(index);
                watch.gaps_ms += end - mark.at_ms;
            }
            while mark.at_ms < end {
                let step = next_hour(zone, mark.at_ms).min(end) - mark.at_ms;
                mark.at_ms += step;
                mark.observed_ms += if is_gap { 0 } else { step };
                if next_hour(zone, mark.at_ms - 1) == mark.at_ms {
                    watch.begin_hour(zone, mark.at_ms, mark.observed_ms);
                }
                mark.hour = watch.hours.len() - 1;
            }
            watch.snapshots.push(mark);
        }
        Some(watch)
    }

    fn begin_hour(&mut self, zone: &Zone, at_ms: i64, observed_ms: i64) {
        let local_ms = at_ms + offset_ms(zone, at_ms);
        let day = day_of_ms(local_ms);
        let hour = local_ms.div_euclid(HOUR_MS).rem_euclid(24) as usize;
        self.hours.push(Hour {
            of_week: weekday_of(day) as usize * 24 + hour,
            at_ms,
            observed_ms,
        });
    }

    /// Returns the number of gaps.
    pub(super) fn gap_count(&self) -> usize {
        self.gaps.len()
    }

    /// Returns the index of the first snapshot with this number or a larger one.
    pub(super) fn index(&self, number: u64) -> usize {
        self.numbers.partition_point(|it| *it < number)
    }

    /// Returns the index of the last snapshot, which ends the time.
    pub(super) fn last(&self) -> usize {
        self.snapshots.len() - 1
    }

    /// Passes the time between two snapshots, hour by hour.
    pub(super) fn each_hour(&self, from: usize, to: usize, mut pass: impl FnMut(Span)) {
        let (mut from, to) = (self.snapshots[from], self.snapshots[to]);
        while from.at_ms < to.at_ms {
            let end = match self.hours.get(from.hour + 1) {
                Some(next) if from.hour < to.hour => Mark {
                    at_ms: next.at_ms,
                    observed_ms: next.observed_ms,
                    hour: from.hour + 1,
                },
                _ => to,
            };
            pass(Span {
                hour: self.hours[from.hour].of_week,
                all_ms: end.at_ms - from.at_ms,
                observed_ms: end.observed_ms - from.observed_ms,
            });
            from = end;
        }
    }

    /// Lists the lengths of the parts into which gaps divide the time between two snapshots.
    pub(super) fn unbroken(&self, from: usize, to: usize) -> Vec<i64> {
        let first = self.gaps.partition_point(|gap| *gap < from);
        let gaps = self.gaps[first..].iter().take_while(|gap| **gap < to);
        let mut lengths = Vec::new();
        let mut start = from;
        let between =
            |start: usize, end: usize| self.snapshots[end].at_ms - self.snapshots[start].at_ms;
        for gap in gaps {
            lengths.push(between(start, *gap));
            start = gap + 1;
        }
        lengths.push(between(start, to));
        lengths.retain(|length| *length > 0);
        lengths
    }
}

fn offset_ms(zone: &Zone, at_ms: i64) -> i64 {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    1_000 * i64::from(zone.offset_at(at))
}

/// Returns when the next local hour begins. Clocks are changed at the beginning of hours.
fn next_hour(zone: &Zone, at_ms: i64) -> i64 {
    let local_ms = at_ms + offset_ms(zone, at_ms);
    at_ms + HOUR_MS - local_ms.rem_euclid(HOUR_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(times: &[&str], period: (&str, &str)) -> Watch {
        let zone = Zone::named("America/Chicago").unwrap();
        let entries = times.iter().zip(1..).map(|(at, number)| SnapshotEntry {
            number,
            taken_at: at.parse().unwrap(),
            fetched_at: None,
            stations: None,
        });
        let entries: Vec<SnapshotEntry> = entries.collect();
        let (from, to) = period;
        Watch::new(
            &zone,
            &entries,
            (from.parse().unwrap(), to.parse().unwrap()),
        )
        .unwrap()
    }

    fn hours(watch: &Watch, from: usize, to: usize) -> Vec<(usize, i64, i64)> {
        let mut hours = Vec::new();
        watch.each_hour(from, to, |span| {
            hours.push((span.hour, span.all_ms / 60_000, span.observed_ms / 60_000));
        });
        hours
    }

    #[test]
    fn time_is_divided_by_local_hours_and_gaps_are_not_observed() {
        let watch = watch(
            &[
                "2024-06-03T08:50:00-05:00",
                "2024-06-03T09:00:00-05:00",
                "2024-06-03T09:10:00-05:00",
                "2024-06-03T11:00:00-05:00",
                "2024-06-03T11:10:00-05:00",
            ],
            ("2024-06-03T08:55:00-05:00", "2024-06-03T11:05:00-05:00"),
        );
        assert_eq!(watch.shortest_gap_ms, 15 * 60_000);
        assert_eq!(
            hours(&watch, 0, 4),
            [(8, 5, 5), (9, 60, 10), (10, 60, 0), (11, 5, 5)]
        );
        assert_eq!(hours(&watch, 1, 2), [(9, 10, 10)]);
        assert_eq!(watch.unbroken(0, 4), [15 * 60_000, 5 * 60_000]);
        assert_eq!((watch.gap_count(), watch.gaps_ms), (1, 110 * 60_000));
        assert_eq!([0, 1, 3, 9].map(|number| watch.index(number)), [0, 0, 2, 5]);
    }

    #[test]
    fn an_hour_that_the_clocks_repeat_counts_twice() {
        let watch = watch(
            &["2024-11-03T00:30:00-05:00", "2024-11-03T02:30:00-06:00"],
            ("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        );
        let sunday = 6 * 24;
        let expected = [
            (sunday, 30, 30),
            (sunday + 1, 60, 60),
            (sunday + 1, 60, 60),
            (sunday + 2, 30, 30),
        ];
        assert_eq!(hours(&watch, 0, 1), expected);
    }
}
