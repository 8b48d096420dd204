//! The reports of the history of states: the changes of a station, and when snapshots were taken.

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::gaps;
use super::measures::rounded;
use super::question::no_history;
use super::stations::NOT_IN_FEED;
use super::{Column, Filter, Note, Question, Report, Row, Table, Value, ValueKind, plural};
use crate::history::{SnapshotEntry, StateChange};
use crate::model::civil_date::{DAY_MS, date_of, day_of_ms};
use crate::model::{StationId, Zone};
use crate::store::StoreError;
use crate::tally::Parts;

/// The changes of what a station reports.
pub struct History;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// The feed's id of the station.
    pub station_id: StationId,
    /// When the snapshot that first had it was made, RFC 3339.
    pub changed_at: String,
    /// The change: `None` for the state means that the station left the list.
    pub change: StateChange,
}

impl Row for HistoryRow {
    fn columns() -> Vec<Column> {
        let count = |name| Column::new(name, ValueKind::Count);
        vec![
            Column::new("station_id", ValueKind::Text)
                .headed("station id")
                .spare(3)
                .defined("the feed's id"),
            Column::new("changed_at", ValueKind::Instant)
                .headed("changed")
                .defined("when the first snapshot with this state was made, by the system's clocks"),
            Column::new("status", ValueKind::Text)
                .defined("what the station says since then; \"not in feed\" where it left the list"),
            count("available_bikes")
                .headed("bikes")
                .defined("vehicles that can be rented, e-bikes included"),
            count("available_ebikes")
                .headed("e-bikes")
                .defined("e-bikes among them"),
            count("disabled_bikes")
                .spare(1)
                .defined("vehicles out of order"),
            count("available_docks")
                .headed("docks")
                .defined("docks that accept a vehicle"),
            count("disabled_docks")
                .spare(1)
                .defined("docks out of order"),
            Column::new("bikes_by_type", ValueKind::Text)
                .headed("by type")
                .spare(2)
                .defined(
                    "vehicles that can be rented by the publisher's id of their type, as JSON; empty \
                     where the feed does not count them so",
                ),
        ]
    }

    fn values(self) -> Vec<Value> {
        let listed = self.change.state.is_some();
        let state = self.change.state.unwrap_or_default();
        let status = match listed {
            true => state.status.as_ref().map(ToString::to_string),
            false => Some(NOT_IN_FEED.to_owned()),
        };
        let by_type = (!state.by_type.is_empty())
            .then(|| serde_json::to_string(&state.by_type).unwrap_or_default());
        vec![
            self.station_id.as_str().into(),
            self.changed_at.into(),
            status.into(),
            state.available.vehicles.into(),
            state.available.ebikes.into(),
            state.available.vehicles_disabled.into(),
            state.available.docks.into(),
            state.available.docks_disabled.into(),
            by_type.into(),
        ]
    }
}

#[async_trait]
impl Report for History {
    fn name(&self) -> &str {
        "history"
    }

    fn about(&self) -> &str {
        "what a station has reported: one row a change (--station)"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Dates, Filter::Station, Filter::Top]
    }

    fn columns(&self) -> Vec<Column> {
        HistoryRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn is_of_one_station(&self) -> bool {
        true
    }

    fn reads_history(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let Some(history) = question.store.history() else {
            return Ok(Table::new(Vec::<HistoryRow>::new(), vec![no_history()]));
        };
        let known = question.known(Parts::NONE).await?;
        let places = question.places_of_feed(&known.totals).await?;
        let Some(selected) = question.resolve_places(&places, &known.totals) else {
            let note =
                Note::Scope("the history is that of one station: name it with --station".into());
            return Ok(Table::new(Vec::<HistoryRow>::new(), vec![note]));
        };
        let selected = selected.into_iter();
        let selected: Vec<&StationId> = selected.map(|at| &places[at].station_id).collect();
        let (from, to) = question.period();
        let mut rows = Vec::new();
        for id in selected {
            let changes = history
                .state_changes(&question.system.id, id, from, to)
                .await?;
            rows.extend(changes.into_iter().map(|change| HistoryRow {
                station_id: id.clone(),
                changed_at: question.instant(change.taken_at),
                change,
            }));
        }
        let note = Note::Scope(plural(rows.len() as i64, "change"));
        Ok(Table::new(rows, vec![note]))
    }
}

/// When snapshots were taken.
pub struct Coverage;

/// One day, by the system's clocks.
#[derive(Clone, Debug, PartialEq)]
pub struct CoverageRow {
    /// The day.
    pub date: Date,
    /// Snapshots made on it.
    pub snapshots: i64,
    /// When the first one was made, RFC 3339. `None` without any.
    pub first_at: Option<String>,
    /// When the last one was made.
    pub last_at: Option<String>,
    /// The longest time of the day without a snapshot.
    pub longest_gap_s: i64,
    /// The share of the day that is in no gap.
    pub observed: f64,
}

impl Row for CoverageRow {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("date", ValueKind::Date).defined("the day, by the system's clocks"),
            Column::new("snapshots", ValueKind::Count)
                .defined("snapshots with states that were made on the day and stored"),
            Column::new("first_at", ValueKind::Instant)
                .headed("first")
                .spare(2)
                .defined("when the day's first snapshot was made; empty without any"),
            Column::new("last_at", ValueKind::Instant)
                .headed("last")
                .spare(2)
                .defined("when the day's last snapshot was made; empty without any"),
            Column::new("longest_gap_s", ValueKind::Seconds)
                .defined("the longest time of the day without a snapshot, from the first snapshot of all to the last"),
            Column::new("observed", ValueKind::Share).defined(
                "the share of the day in no gap: no time between two snapshots of more than 15 minutes, and of more \
                 than one and a half times the usual one",
            ),
        ]
    }

    fn values(self) -> Vec<Value> {
        vec![
            self.date.to_string().into(),
            self.snapshots.into(),
            self.first_at.into(),
            self.last_at.into(),
            self.longest_gap_s.into(),
            self.observed.into(),
        ]
    }
}

#[async_trait]
impl Report for Coverage {
    fn name(&self) -> &str {
        "coverage"
    }

    fn about(&self) -> &str {
        "snapshots by day: how many, the longest gap, the share observed"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Dates, Filter::Top]
    }

    fn columns(&self) -> Vec<Column> {
        CoverageRow::columns()
    }

    fn reads_history(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let Some(history) = question.store.history() else {
            return Ok(Table::new(Vec::<CoverageRow>::new(), vec![no_history()]));
        };
        let (from, to) = question.period();
        let snapshots = history.snapshots(&question.system.id, from, to).await?;
        let rows = days(&question.zone, &snapshots);
        let mut notes = vec![Note::Scope(format!(
            "{} on {}",
            plural(snapshots.len() as i64, "snapshot"),
            plural(
                rows.iter().filter(|row| row.snapshots > 0).count() as i64,
                "day"
            ),
        ))];
        if snapshots.is_empty() {
            notes.push(no_snapshots());
        }
        Ok(Table::new(rows, notes))
    }
}

/// Writes that nothing was observed.
fn no_snapshots() -> Note {
    Note::Scope("no snapshots with states are stored for this period: divvy poll URL".into())
}

/// Summarises snapshots, which are in order, by local day: every day from the first to the last.
fn days(zone: &Zone, snapshots: &[SnapshotEntry]) -> Vec<CoverageRow> {
    let local_day = |entry: &SnapshotEntry| {
        let offset_ms = 1_000 * i64::from(zone.offset_at(entry.taken_at));
        day_of_ms(entry.taken_at.as_millisecond() + offset_ms)
    };
    let (Some(first), Some(last)) = (snapshots.first(), snapshots.last()) else {
        return Vec::new();
    };
    let shortest_gap = gaps::shortest_gap(snapshots);
    let mut begin = 0;
    let mut rows = Vec::new();
    for day in local_day(first)..=local_day(last) {
        let end = begin + snapshots[begin..].partition_point(|entry| local_day(entry) <= day);
        let midnight = |day: i32| zone.instant(i64::from(day) * DAY_MS);
        let day = Day {
            date: date_of(day),
            // Before the first snapshot nothing was observed, and after the last one it is not over.
            start: midnight(day).max(first.taken_at),
            end: midnight(day + 1).min(last.taken_at),
            of_day: &snapshots[begin..end],
            around: &snapshots[begin.saturating_sub(1)..snapshots.len().min(end + 1)],
        };
        rows.push(day.summarise(zone, shortest_gap));
        begin = end;
    }
    rows
}

/// A day with its snapshots.
struct Day<'a> {
    date: Date,
    start: Timestamp,
    end: Timestamp,
    of_day: &'a [SnapshotEntry],
    /// Those of the day, the one before and the one after.
    around: &'a [SnapshotEntry],
}

impl Day<'_> {
    fn summarise(&self, zone: &Zone, shortest_gap: SignedDuration) -> CoverageRow {
        let Self { start, end, .. } = *self;
        let (mut longest, mut observed) = (SignedDuration::ZERO, SignedDuration::ZERO);
        for two in self.around.windows(2) {
            let [from, to] = [&two[0], &two[1]].map(|entry| entry.taken_at.clamp(start, end));
            let step = two[1].taken_at.duration_since(two[0].taken_at);
            longest = longest.max(to.duration_since(from));
            if step <= shortest_gap {
                observed += to.duration_since(from);
            }
        }
        let all = end.duration_since(start).as_secs_f64().max(1.0);
        let at = |entry: Option<&SnapshotEntry>| entry.map(|entry| zone.rfc3339(entry.taken_at));
        CoverageRow {
            date: self.date,
            snapshots: self.of_day.len() as i64,
            first_at: at(self.of_day.first()),
            last_at: at(self.of_day.last()),
            longest_gap_s: longest.as_secs(),
            observed: rounded(observed.as_secs_f64() / all, 1e4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_gaps_and_its_minutes() {
        let zone = Zone::named("America/Chicago").unwrap();
        let entry = |text: &str| SnapshotEntry {
            number: 1,
            taken_at: text.parse().unwrap(),
            fetched_at: None,
            stations: Some(3),
        };
        // The clocks are set forward on the first day: it has 23 hours.
        let entries = [
            "2024-03-10T00:30:00-06:00",
            "2024-03-10T00:30:40-06:00",
            "2024-03-10T12:00:00-05:00",
            "2024-03-12T23:00:00-05:00",
        ]
        .map(entry);
        let rows = days(&zone, &entries);
        let found = rows.iter().map(|row| {
            (
                row.date.to_string(),
                row.snapshots,
                row.longest_gap_s,
                row.observed,
            )
        });
        let expected = [
            ("2024-03-10".to_owned(), 3, 12 * 3600, 0.4667),
            ("2024-03-11".to_owned(), 0, 24 * 3600, 0.0),
            ("2024-03-12".to_owned(), 1, 23 * 3600, 0.0),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!(
            rows[0].first_at.as_deref(),
            Some("2024-03-10T00:30:00-06:00")
        );
    }
}
