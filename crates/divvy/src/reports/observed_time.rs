//! The time in which a system was observed: between snapshots, but for gaps, by local day and hour.

use jiff::{SignedDuration, Timestamp};

use super::Question;
use super::dims::weekday_of;
use super::gaps::shortest_gap;
use super::question::length;
use super::{Note, plural};
use crate::history::{SnapshotEntry, StationState};
use crate::model::civil_date::{HOUR_MS, day_of_ms};
use crate::model::{StationId, Zone};
use crate::store::{StatusHistory, StoreError};

/// Hours in a week, from Monday 0:00 on.
pub(super) const WEEK: usize = 168;

/// The observed time of a period. Times are milliseconds.
pub(super) struct ObservedTime {
    /// The first snapshot and the last one: the states of the last do not count.
    pub(super) first: SnapshotEntry,
    pub(super) last: SnapshotEntry,
    /// The period that was asked for.
    pub(super) period: (Timestamp, Timestamp),
    /// The numbers of the snapshots, ascending.
    numbers: Vec<u64>,
    /// Where each snapshot lies: the last one ends the time, and its states do not count.
    snapshots: Vec<Mark>,
    /// Where each hour begins, in order.
    hours: Vec<Hour>,
    /// The snapshots that are followed by a gap, by index.
    gaps: Vec<usize>,
    /// When each snapshot was made.
    times_ms: Vec<i64>,
    /// A longer time between snapshots is a gap.
    shortest_gap_ms: i64,
    /// The sum of all gaps.
    gaps_ms: i64,
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
    local: LocalHour,
    at_ms: i64,
    observed_ms: i64,
}

/// An hour by the system's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalHour {
    /// The day since 1970-01-01.
    pub(super) day: i32,
    /// 0 for Monday 0:00 to 1:00.
    pub(super) of_week: usize,
}

/// A time within one hour, between two snapshots.
pub(super) struct Span {
    /// The hour.
    pub(super) hour: LocalHour,
    /// All of it.
    pub(super) all_ms: i64,
    /// What of it is in no gap.
    pub(super) observed_ms: i64,
}

impl ObservedTime {
    /// Reads the snapshots of the period of a question, with the one before it and the one after it, whose states
    /// hold at its ends. `None` for fewer than two.
    pub(super) async fn read(
        question: &Question<'_>,
        history: &dyn StatusHistory,
    ) -> Result<Option<Self>, StoreError> {
        let system = &question.system.id;
        let (from, to) = question.period();
        let mut snapshots = history.snapshots(system, from, to).await?;
        if let Some(before) = history.as_of(system, from).await?
            && snapshots
                .first()
                .is_none_or(|first| first.number > before.snapshot.number)
        {
            snapshots.insert(0, before.snapshot);
        }
        snapshots.extend(history.first_snapshot_from(system, to).await?);
        Ok(Self::new(&question.zone, &snapshots, (from, to)))
    }

    /// Passes the states at the first snapshot and all changes until the last one: the station, the index of the
    /// snapshot, and the state since then, `None` where the station left the list. Those of a station are in order.
    pub(super) async fn each_change(
        &self,
        question: &Question<'_>,
        history: &dyn StatusHistory,
        mut pass: impl FnMut(&StationId, usize, Option<StationState>) + Send,
    ) -> Result<(), StoreError> {
        let system = &question.system.id;
        let begin = history.as_of(system, self.first.taken_at).await?;
        // Snapshots of one time have the states of the last of them.
        let after = begin.as_ref().map_or(0, |begin| begin.snapshot.number);
        for (station, state) in begin.map(|begin| begin.states).unwrap_or_default() {
            pass(&station, 0, Some(state));
        }
        let mut add = |change: &crate::history::StateChange| {
            if change.snapshot > after {
                let at = self.index(change.snapshot).min(self.last());
                pass(&change.station, at, change.state.clone());
            }
        };
        // The changes of the last snapshot, too.
        let until = self.last.taken_at + SignedDuration::from_millis(1);
        history
            .each_state_change(system, self.first.taken_at, until, &mut add)
            .await
    }

    /// Describes the time from the first to the last of these snapshots, as far as it lies from `from` on and
    /// before `to`. `None` for fewer than two snapshots.
    ///
    /// A gap is a time between two snapshots that is longer than [`shortest_gap`].
    fn new(
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
        let (from_ms, to_ms) = (from.as_millisecond(), to.as_millisecond());
        let clipped = |at: i64| at.clamp(from_ms, to_ms);
        let mut observed = Self {
            first: snapshots.first()?.clone(),
            last: snapshots.last()?.clone(),
            period: (from, to),
            numbers: snapshots.iter().map(|it| it.number).collect(),
            snapshots: Vec::with_capacity(times.len()),
            hours: Vec::new(),
            gaps: Vec::new(),
            shortest_gap_ms,
            gaps_ms: 0,
            times_ms: times.clone(),
        };
        let first = clipped(times[0]);
        observed.begin_hour(zone, first, 0);
        let mut mark = Mark {
            at_ms: first,
            observed_ms: 0,
            hour: 0,
        };
        observed.snapshots.push(mark);
        for (index, two) in times.windows(2).enumerate() {
            let is_gap = two[1] - two[0] > shortest_gap_ms;
            let end = clipped(two[1]);
            if is_gap {
                observed.gaps.push(index);
                observed.gaps_ms += end - mark.at_ms;
            }
            while mark.at_ms < end {
                let step = next_hour(zone, mark.at_ms).min(end) - mark.at_ms;
                mark.at_ms += step;
                mark.observed_ms += if is_gap { 0 } else { step };
                if next_hour(zone, mark.at_ms - 1) == mark.at_ms {
                    observed.begin_hour(zone, mark.at_ms, mark.observed_ms);
                }
                mark.hour = observed.hours.len() - 1;
            }
            observed.snapshots.push(mark);
        }
        Some(observed)
    }

    fn begin_hour(&mut self, zone: &Zone, at_ms: i64, observed_ms: i64) {
        let local_ms = at_ms + offset_ms(zone, at_ms);
        let day = day_of_ms(local_ms);
        let hour = local_ms.div_euclid(HOUR_MS).rem_euclid(24) as usize;
        self.hours.push(Hour {
            local: LocalHour {
                day,
                of_week: weekday_of(day) as usize * 24 + hour,
            },
            at_ms,
            observed_ms,
        });
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
                hour: self.hours[from.hour].local,
                all_ms: end.at_ms - from.at_ms,
                observed_ms: end.observed_ms - from.observed_ms,
            });
            from = end;
        }
    }

    /// Returns the time between a snapshot and the one before, and the hour with its middle. `None` for the first
    /// snapshot, behind a gap, and where the middle lies outside of the period.
    pub(super) fn step(&self, at: usize) -> Option<(SignedDuration, LocalHour)> {
        let before = at.checked_sub(1)?;
        if self.gaps.binary_search(&before).is_ok() {
            return None;
        }
        let (from_ms, to_ms) = (self.times_ms[before], self.times_ms[at]);
        let middle = from_ms + (to_ms - from_ms) / 2;
        let is_inside =
            (self.snapshots[0].at_ms..self.snapshots[self.last()].at_ms).contains(&middle);
        let hour = self.hours.partition_point(|hour| hour.at_ms <= middle);
        let hour = self.hours.get(hour.checked_sub(1)?)?;
        is_inside.then(|| (SignedDuration::from_millis(to_ms - from_ms), hour.local))
    }

    /// Returns the usual time between two snapshots: the median.
    pub(super) fn usual_step(&self) -> SignedDuration {
        let mut steps: Vec<i64> = self
            .times_ms
            .windows(2)
            .map(|two| two[1] - two[0])
            .collect();
        steps.sort_unstable();
        SignedDuration::from_millis(steps.get(steps.len() / 2).copied().unwrap_or(0))
    }

    /// Writes from when to when a question was observed.
    pub(super) fn scope(&self, question: &Question<'_>, stations: usize) -> Note {
        let (from, to) = self.period;
        Note::Scope(format!(
            "{}: {} from {} to {}",
            question.system.name,
            plural(stations as i64, "station"),
            question.instant(self.first.taken_at.max(from)),
            question.instant(self.last.taken_at.min(to)),
        ))
    }

    /// Writes how many gaps there are. `None` without any.
    pub(super) fn gaps_note(&self) -> Option<Note> {
        let text = |ms: i64| length(SignedDuration::from_millis(ms));
        (!self.gaps.is_empty()).then(|| {
            Note::Warning(format!(
                "{} of more than {} between snapshots, {} together: what happened in them is not known",
                plural(self.gaps.len() as i64, "gap"),
                text(self.shortest_gap_ms),
                text(self.gaps_ms),
            ))
        })
    }

    /// Returns the time between two snapshots, gaps included.
    pub(super) fn between(&self, from: usize, to: usize) -> i64 {
        self.snapshots[to].at_ms - self.snapshots[from].at_ms
    }

    /// Returns the time between two snapshots, without gaps.
    pub(super) fn without_gaps(&self, from: usize, to: usize) -> i64 {
        self.snapshots[to].observed_ms - self.snapshots[from].observed_ms
    }

    /// Lists the parts into which gaps divide the time between two snapshots, by their first and last ones.
    pub(super) fn unbroken(&self, from: usize, to: usize) -> Vec<(usize, usize)> {
        let first = self.gaps.partition_point(|gap| *gap < from);
        let gaps = self.gaps[first..].iter().take_while(|gap| **gap < to);
        let mut parts = Vec::new();
        let mut start = from;
        for gap in gaps {
            parts.push((start, *gap));
            start = gap + 1;
        }
        parts.push((start, to));
        parts.retain(|(start, end)| self.between(*start, *end) > 0);
        parts
    }
}

/// Writes that a period has too few snapshots.
pub(super) fn too_few_snapshots() -> Note {
    Note::Scope(
        "no two snapshots with states are stored for this period: divvy watch URL polls them"
            .into(),
    )
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

    fn observed(times: &[&str], period: (&str, &str)) -> ObservedTime {
        let zone = Zone::named("America/Chicago").unwrap();
        let entries = times.iter().zip(1..).map(|(at, number)| SnapshotEntry {
            number,
            taken_at: at.parse().unwrap(),
            fetched_at: None,
            stations: None,
        });
        let entries: Vec<SnapshotEntry> = entries.collect();
        let (from, to) = period;
        ObservedTime::new(
            &zone,
            &entries,
            (from.parse().unwrap(), to.parse().unwrap()),
        )
        .unwrap()
    }

    fn hours(observed: &ObservedTime, from: usize, to: usize) -> Vec<(usize, i64, i64)> {
        let mut hours = Vec::new();
        observed.each_hour(from, to, |span| {
            hours.push((
                span.hour.of_week,
                span.all_ms / 60_000,
                span.observed_ms / 60_000,
            ));
        });
        hours
    }

    #[test]
    fn time_is_divided_by_local_hours_and_gaps_are_not_observed() {
        let observed = observed(
            &[
                "2024-06-03T08:50:00-05:00",
                "2024-06-03T09:00:00-05:00",
                "2024-06-03T09:10:00-05:00",
                "2024-06-03T11:00:00-05:00",
                "2024-06-03T11:10:00-05:00",
            ],
            ("2024-06-03T08:55:00-05:00", "2024-06-03T11:05:00-05:00"),
        );
        assert_eq!(observed.shortest_gap_ms, 15 * 60_000);
        assert_eq!(
            hours(&observed, 0, 4),
            [(8, 5, 5), (9, 60, 10), (10, 60, 0), (11, 5, 5)]
        );
        assert_eq!(hours(&observed, 1, 2), [(9, 10, 10)]);
        let unbroken = observed.unbroken(0, 4);
        let lengths = unbroken
            .iter()
            .map(|(from, to)| observed.between(*from, *to) / 60_000);
        assert_eq!(lengths.collect::<Vec<_>>(), [15, 5]);
        assert_eq!((observed.gaps.len(), observed.gaps_ms), (1, 110 * 60_000));
        assert_eq!(
            [0, 1, 3, 9].map(|number| observed.index(number)),
            [0, 0, 2, 5]
        );
    }

    #[test]
    fn an_hour_that_the_clocks_repeat_counts_twice() {
        let observed = observed(
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
        assert_eq!(hours(&observed, 0, 1), expected);
    }
}
