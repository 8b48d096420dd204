//! Departures and arrivals that snapshots show, without the trips.

pub(super) mod estimate;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use self::estimate::{Estimator, Flow, Step};
use super::dims::Dim;
use super::measures::rounded;
use super::observed_time::{self, ObservedTime};
use super::question::{length, no_history};
use super::station_hours::{self, GroupKey, StationHours};
use super::{Column, Filter, Note, Question, Report, Row, Table, Value, ValueKind, plural};
use crate::model::StationId;
use crate::model::civil_date::HOUR_MS;
use crate::store::StoreError;

/// Departures and arrivals estimated from snapshots.
pub struct Flows;

/// A group of station-hours.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRow {
    key: GroupKey,
    /// The feed's name of the station. `None` for several.
    name: Option<String>,
    flow: Flow,
    /// Milliseconds in service, summed over the stations of the row.
    in_service_ms: i64,
    /// Milliseconds in which bikes stood at stations in service, summed over them.
    bikes_ms: i64,
}

impl Row for FlowRow {
    fn columns() -> Vec<Column> {
        let count = |name| Column::new(name, ValueKind::Count);
        let mut columns = GroupKey::columns().to_vec();
        columns.extend([
            count("departures").defined(
                "bikes fewer than in the snapshot before, by type where the feed counts types: trips cancel out within that \
                 time, and trucks that move few bikes are among them",
            ),
            count("arrivals").defined("bikes more than in the snapshot before, likewise"),
            Column::new("departures_per_hour", ValueKind::Rate)
                .headed("departures per hour")
                .spare(1)
                .defined("departures for each observed hour of a station in service"),
            Column::new("arrivals_per_hour", ValueKind::Rate)
                .headed("arrivals per hour")
                .spare(1)
                .defined("arrivals, likewise"),
            count("ebike_departures")
                .headed("e-bike departures")
                .spare(2)
                .defined("departures of e-bikes; empty where the feed does not count e-bikes"),
            count("ebike_arrivals")
                .headed("e-bike arrivals")
                .spare(2)
                .defined("arrivals of e-bikes, likewise"),
            count("bikes_removed").headed("removed").defined(
                "bikes that left at once: 5 or more within a minute, more in longer times (5 times the square root \
                 of the minutes); they count as moved by a truck, not as departures",
            ),
            count("bikes_added")
                .headed("added")
                .defined("bikes that came at once, likewise"),
            count("moves").spare(3).defined("how many times bikes left or came at once"),
            Column::new("hours", ValueKind::Rate)
                .spare(4)
                .defined("observed hours in service, summed over the stations of the row: without gaps"),
        ]);
        columns
    }

    fn values(self) -> Vec<Value> {
        let flow = self.flow;
        let hours = self.in_service_ms as f64 / HOUR_MS as f64;
        let per_hour = |count: i64| (hours > 0.0).then(|| rounded(count as f64 / hours, 1e4));
        let mut values = self.key.values(self.name).to_vec();
        values.extend([
            flow.departures.into(),
            flow.arrivals.into(),
            per_hour(flow.departures).into(),
            per_hour(flow.arrivals).into(),
            flow.ebike_departures.into(),
            flow.ebike_arrivals.into(),
            flow.removed.into(),
            flow.added.into(),
            flow.moves.into(),
            rounded(hours, 1e2).into(),
        ]);
        values
    }
}

#[async_trait]
impl Report for Flows {
    fn name(&self) -> &str {
        "flows"
    }

    fn about(&self) -> &str {
        "departures and arrivals that snapshots show, and bikes that trucks moved"
    }

    fn takes(&self) -> &'static [Filter] {
        &station_hours::FILTERS
    }

    fn groups_by(&self) -> &'static [Dim] {
        &station_hours::DIMS
    }

    fn columns(&self) -> Vec<Column> {
        FlowRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn reads_history(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let nothing = |note| Ok(Table::new(Vec::<FlowRow>::new(), vec![note]));
        let Some(history) = question.store.history() else {
            return nothing(no_history());
        };
        let Some(observed) = ObservedTime::read(question, history).await? else {
            return nothing(observed_time::too_few_snapshots());
        };
        let station_hours = StationHours::read(question).await?;
        let mut groups: BTreeMap<GroupKey, FlowRow> = BTreeMap::new();
        let mut stations: BTreeSet<StationId> = BTreeSet::new();
        let mut estimator = Estimator::new(&observed, |station: &StationId, hour, step| {
            if let Some(key) = station_hours.key_at(station, hour) {
                if !stations.contains(station) {
                    stations.insert(station.clone());
                }
                let row = groups.entry(key.clone());
                row.or_insert_with(|| FlowRow {
                    name: station_hours.name(&key),
                    key,
                    flow: Flow::default(),
                    in_service_ms: 0,
                    bikes_ms: 0,
                })
                .add(&step);
            }
        });
        observed
            .each_change(question, history, |station, at, state| {
                estimator.change(station, at, state);
            })
            .await?;
        estimator.finish();

        let mut rows: Vec<FlowRow> = groups.into_values().collect();
        let mut notes = notes(question, &observed, &rows, stations.len());
        notes.extend(station_hours.outside_note(&stations));
        if !question.filters.by.iter().any(|dim| *dim != Dim::Station) {
            rows.sort_by_key(|row| Reverse(row.flow.departures + row.flow.arrivals));
        }
        Ok(Table::new(rows, notes))
    }
}

impl FlowRow {
    fn add(&mut self, step: &Step) {
        match step {
            Step::Flow(flow) => self.flow.add(flow),
            Step::InService { ms, bikes } => {
                self.in_service_ms += ms;
                self.bikes_ms += ms * i64::from(*bikes);
            }
        }
    }
}

/// Writes what was observed, the sums over all rows, and what snapshots cannot show.
fn notes(
    question: &Question<'_>,
    observed: &ObservedTime,
    rows: &[FlowRow],
    stations: usize,
) -> Vec<Note> {
    let mut all = Flow::default();
    rows.iter().for_each(|row| all.add(&row.flow));
    let mut notes = vec![
        observed.scope(question, stations),
        Note::Scope(format!(
            "Snapshots show {} and {}",
            plural(all.departures, "departure"),
            plural(all.arrivals, "arrival"),
        )),
        Note::Scope(moves(question, observed, rows, &all)),
        polling_limit(observed),
    ];
    notes.extend(observed.gaps_note());
    notes
}

/// Writes what trucks moved, also in relation to the bikes that stand at stations.
fn moves(question: &Question<'_>, observed: &ObservedTime, rows: &[FlowRow], all: &Flow) -> String {
    let mut observed_ms = 0;
    observed.each_hour(0, observed.last(), |span| {
        let (weekday, hour) = (span.hour.of_week / 24, span.hour.of_week % 24);
        let filters = question.filters;
        if filters.has_weekday(weekday as i32) && filters.has_hour(hour) {
            observed_ms += span.observed_ms;
        }
    });
    let bikes_ms: i64 = rows.iter().map(|row| row.bikes_ms).sum();
    let fleet = bikes_ms / observed_ms.max(1);
    let moved = all.removed.max(all.added);
    let per_bike = match fleet {
        0 => String::new(),
        fleet => format!(
            ": {:.2} for each of the {} at stations on average",
            moved as f64 / fleet as f64,
            plural(fleet, "bike")
        ),
    };
    format!(
        "Changes of 5 bikes or more at once count as trucks: {} removed, {} added in {}{per_bike}",
        plural(all.removed, "bike"),
        plural(all.added, "bike"),
        plural(all.moves, "move"),
    )
}

/// Writes what snapshots cannot show.
pub(super) fn polling_limit(observed: &ObservedTime) -> Note {
    Note::Scope(format!(
        "Snapshots are usually {} apart: a departure and an arrival of the same type between two of them cancel out",
        length(observed.usual_step()),
    ))
}
