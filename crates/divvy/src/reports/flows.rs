//! Departures and arrivals that snapshots show, without the trips.

pub(super) mod estimate;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use self::estimate::{Estimator, Flow, Step};
use super::column::STATION_ID;
use super::dims::{Dim, WEEKDAYS};
use super::measures::rounded;
use super::observed_time::{self, LocalHour, ObservedTime};
use super::question::{length, no_history};
use super::{
    Column, Filter, Filters, Note, Question, Report, Row, Table, Value, ValueKind, plural,
};
use crate::model::StationId;
use crate::model::civil_date::HOUR_MS;
use crate::store::StoreError;
use crate::tally::Parts;

/// Departures and arrivals estimated from snapshots.
pub struct Flows;

/// A group of station-hours.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRow {
    /// The feed's id. `None` for all stations together.
    pub station_id: Option<StationId>,
    /// The feed's name.
    pub name: Option<String>,
    /// 0 for Monday. `None` for all weekdays together.
    pub weekday: Option<usize>,
    /// 0 to 23. `None` for all hours together.
    pub hour: Option<usize>,
    flow: Flow,
    /// Milliseconds in service, summed over the stations of the row.
    in_service_ms: i64,
}

impl Row for FlowRow {
    fn columns() -> Vec<Column> {
        let count = |name| Column::new(name, ValueKind::Count);
        vec![
            STATION_ID.defined("the feed's id; empty over all stations"),
            Dim::Station.column().defined("the feed's name; empty over all stations"),
            Dim::Weekday.column().defined("the local weekday; empty over all weekdays"),
            Dim::Hour.column().defined("the local hour, 0 to 23; empty over all hours"),
            count("departures").defined(
                "bikes fewer than in the snapshot before, by type where the feed counts types: at least so many left",
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
        ]
    }

    fn values(self) -> Vec<Value> {
        let flow = self.flow;
        let hours = self.in_service_ms as f64 / HOUR_MS as f64;
        let per_hour = |count: i64| (hours > 0.0).then(|| rounded(count as f64 / hours, 1e4));
        vec![
            self.station_id.map(|id| id.as_str().to_owned()).into(),
            self.name.into(),
            self.weekday.map(|day| WEEKDAYS[day]).into(),
            self.hour.map(|hour| hour as i64).into(),
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
        ]
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
        &[
            Filter::Dates,
            Filter::Station,
            Filter::Weekday,
            Filter::Hour,
            Filter::By,
            Filter::Top,
        ]
    }

    fn groups_by(&self) -> &'static [Dim] {
        &[Dim::Station, Dim::Weekday, Dim::Hour]
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
        let known = question.known(Parts::NONE).await?;
        let places = question.places_of_the_past(&known.totals).await?;
        let selected = question.resolve_places(&places, &known.totals);
        let selected: Option<BTreeSet<&StationId>> = selected.map(|selected| {
            selected
                .into_iter()
                .map(|at| &places[at].station_id)
                .collect()
        });

        let filters = question.filters;
        let mut groups: BTreeMap<GroupKey, FlowRow> = BTreeMap::new();
        let mut stations: BTreeSet<StationId> = BTreeSet::new();
        let mut estimator = Estimator::new(&observed, |station: &StationId, hour, step| {
            let is_selected = selected.as_ref().is_none_or(|only| only.contains(station));
            if let Some(key) = group(filters, station, hour).filter(|_| is_selected) {
                if !stations.contains(station) {
                    stations.insert(station.clone());
                }
                groups
                    .entry(key.clone())
                    .or_insert_with(|| FlowRow::new(key))
                    .add(&step);
            }
        });
        observed
            .each_change(question, history, |station, at, state| {
                estimator.change(station, at, state);
            })
            .await?;
        estimator.finish();

        let named = places.iter().map(|place| (&place.station_id, place));
        let named: BTreeMap<&StationId, _> = named.collect();
        let mut rows: Vec<FlowRow> = groups.into_values().collect();
        for row in &mut rows {
            let place = row.station_id.as_ref().and_then(|id| named.get(id));
            row.name = place.and_then(|place| place.name(&known.totals).map(str::to_owned));
        }
        let notes = notes(question, &observed, &rows, stations.len());
        if rows.first().is_some_and(|row| row.station_id.is_some()) {
            rows.sort_by_key(|row| std::cmp::Reverse(row.flow.departures + row.flow.arrivals));
        }
        Ok(Table::new(rows, notes))
    }
}

/// Station, weekday and hour of a row. `None` for what is not grouped by.
type GroupKey = (Option<StationId>, Option<usize>, Option<usize>);

/// Returns the row of a station in an hour. `None` where the filters leave the hour out.
fn group(filters: &Filters, station: &StationId, hour: LocalHour) -> Option<GroupKey> {
    let by = |dim| filters.by.contains(&dim) || filters.by.is_empty() && dim == Dim::Station;
    let (weekday, hour) = (hour.of_week / 24, hour.of_week % 24);
    let is_counted = filters.has_weekday(weekday as i32) && filters.has_hour(hour);
    is_counted.then(|| {
        (
            by(Dim::Station).then(|| station.clone()),
            by(Dim::Weekday).then_some(weekday),
            by(Dim::Hour).then_some(hour),
        )
    })
}

impl FlowRow {
    fn new((station_id, weekday, hour): GroupKey) -> Self {
        Self {
            station_id,
            name: None,
            weekday,
            hour,
            flow: Flow::default(),
            in_service_ms: 0,
        }
    }

    fn add(&mut self, step: &Step) {
        match step {
            Step::Flow(flow) => self.flow.add(flow),
            Step::InService(ms) => self.in_service_ms += ms,
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
            "At least {} and {}; trucks took {} and brought {} in {}",
            plural(all.departures, "departure"),
            plural(all.arrivals, "arrival"),
            plural(all.removed, "bike"),
            plural(all.added, "bike"),
            plural(all.moves, "move"),
        )),
        polling_limit(observed),
    ];
    notes.extend(observed.gaps_note());
    notes
}

/// Writes what snapshots cannot show.
pub(super) fn polling_limit(observed: &ObservedTime) -> Note {
    Note::Scope(format!(
        "Snapshots are usually {} apart: a departure and an arrival of the same type between two of them cancel out",
        length(observed.usual_step()),
    ))
}
