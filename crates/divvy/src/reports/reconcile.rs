//! Departures and arrivals that snapshots show, beside those of the trips, once these are loaded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;

use super::column::STATION_ID;
use super::dims::Dim;
use super::flows::estimate::{Estimator, Step};
use super::flows::polling_limit;
use super::measures::rounded;
use super::observed_time::{self, ObservedTime};
use super::places::Place;
use super::question::no_history;
use super::{
    Column, Filter, Filters, Note, Question, Report, Row, Table, Value, ValueKind, grouped, plural,
};
use crate::model::civil_date::{DAY_MS, date_of, month_of};
use crate::model::{StationAlias, StationId, Zone};
use crate::store::StoreError;
use crate::tally::{Parts, Totals};

/// Estimated departures and arrivals beside those of the trips.
pub struct Reconcile;

/// A station, a day, or a station on a day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReconcileRow {
    /// The feed's id. `None` for all stations together.
    pub station_id: Option<StationId>,
    /// The feed's name.
    pub name: Option<String>,
    /// The day since 1970-01-01. `None` for all days together.
    pub day: Option<i32>,
    /// Departures and arrivals that snapshots show.
    pub estimated: [i64; 2],
    /// Those of the stored trips.
    pub recorded: [i64; 2],
}

impl Row for ReconcileRow {
    fn columns() -> Vec<Column> {
        let count = |name| Column::new(name, ValueKind::Count);
        let ratio = |name| Column::new(name, ValueKind::Share);
        vec![
            STATION_ID.defined("the feed's id; empty over all stations"),
            Dim::Station.column().defined("the feed's name; empty over all stations"),
            Dim::Date.column().defined("the local day; empty over all days"),
            count("estimated_departures").defined(
                "departures that snapshots show, as in the report flows, on days that are observed and have trips",
            ),
            count("recorded_departures").defined("stored trips that start at the station on the same days"),
            ratio("departures_shown").defined("estimated / recorded; empty without recorded ones"),
            count("estimated_arrivals").spare(1).defined("arrivals that snapshots show, likewise"),
            count("recorded_arrivals")
                .spare(1)
                .defined("stored trips that end at the station on the same days"),
            ratio("arrivals_shown").spare(1).defined("estimated / recorded; empty without recorded ones"),
        ]
    }

    fn values(self) -> Vec<Value> {
        let ([departures, arrivals], recorded) = (self.estimated, self.recorded);
        vec![
            self.station_id.map(|id| id.as_str().to_owned()).into(),
            self.name.into(),
            self.day.map(|day| date_of(day).to_string()).into(),
            departures.into(),
            recorded[0].into(),
            ratio(departures, recorded[0]).into(),
            arrivals.into(),
            recorded[1].into(),
            ratio(arrivals, recorded[1]).into(),
        ]
    }
}

/// Returns what part of the recorded the estimated ones are. `None` without any recorded.
fn ratio(estimated: i64, recorded: i64) -> Option<f64> {
    (recorded != 0).then(|| rounded(estimated as f64 / recorded as f64, 1e4))
}

#[async_trait]
impl Report for Reconcile {
    fn name(&self) -> &str {
        "reconcile"
    }

    fn about(&self) -> &str {
        "departures and arrivals that snapshots show, beside those of the trips"
    }

    fn takes(&self) -> &'static [Filter] {
        &[Filter::Dates, Filter::Station, Filter::By, Filter::Top]
    }

    fn groups_by(&self) -> &'static [Dim] {
        &[Dim::Station, Dim::Date]
    }

    fn columns(&self) -> Vec<Column> {
        ReconcileRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn reads_history(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let nothing = |note| Ok(Table::new(Vec::<ReconcileRow>::new(), vec![note]));
        let Some(history) = question.store.history() else {
            return nothing(no_history());
        };
        let Some(observed) = ObservedTime::read(question, history).await? else {
            return nothing(observed_time::too_few_snapshots());
        };
        let known = question.known(Parts::NONE).await?;
        let places = question.places_of_feed(&known.totals).await?;
        let days = Days::of(&question.zone, &observed, &known.totals);
        if days.compared.is_empty() {
            return nothing(Note::Scope(format!(
                "no day is both observed and covered by trips: {}",
                days.left_out()
            )));
        }
        let mut sums = Sums {
            days: &days.compared,
            filters: question.filters,
            rows: BTreeMap::new(),
        };

        let mut observed_stations = BTreeSet::new();
        let mut estimator = Estimator::new(&observed, |station: &StationId, hour, step| {
            if let Step::Flow(flow) = step {
                sums.add(
                    station,
                    hour.day,
                    |row| &mut row.estimated,
                    [flow.departures, flow.arrivals],
                );
            }
        });
        observed
            .each_change(question, history, |station, at, state| {
                if !observed_stations.contains(station) {
                    observed_stations.insert(station.clone());
                }
                estimator.change(station, at, state);
            })
            .await?;
        estimator.finish();
        let at_observed = |place: &Place| observed_stations.contains(&place.station_id);
        let aliases = places.iter().filter(|place| at_observed(place));
        let aliases: HashMap<&StationAlias, &StationId> = aliases
            .flat_map(|place| place.aliases().map(move |alias| (alias, &place.station_id)))
            .collect();
        add_recorded(question, &aliases, &mut sums).await?;

        let mut rows = sums.rows;
        if let Some(selected) = question.resolve_places(&places, &known.totals) {
            let selected: BTreeSet<&StationId> = selected
                .into_iter()
                .map(|at| &places[at].station_id)
                .collect();
            rows.retain(|(station, _), _| selected.contains(station));
        }
        let rows = group(rows, question.filters, &places, &known.totals);
        let notes = notes(question, &observed, &days, &rows);
        Ok(Table::new(rows, notes))
    }
}

/// The days of the history, by whether trips can be compared with it.
struct Days {
    /// Observed for at least 95 % of the day, and with stored trips.
    compared: BTreeSet<i32>,
    /// How many days were observed for less.
    in_part: usize,
    /// How many days have no trips.
    without_trips: usize,
}

/// The least part of a day that is observed.
const LEAST_OBSERVED: f64 = 0.95;

impl Days {
    fn of(zone: &Zone, observed: &ObservedTime, known: &Totals) -> Self {
        let mut observed_ms: BTreeMap<i32, i64> = BTreeMap::new();
        observed.each_hour(0, observed.last(), |span| {
            *observed_ms.entry(span.hour.day).or_default() += span.observed_ms;
        });
        let mut days = Self {
            compared: BTreeSet::new(),
            in_part: 0,
            without_trips: 0,
        };
        for (day, observed_ms) in observed_ms {
            let midnight = |day: i32| zone.instant(i64::from(day) * DAY_MS).as_millisecond();
            let length_ms = midnight(day + 1) - midnight(day);
            if (observed_ms as f64) < LEAST_OBSERVED * length_ms as f64 {
                days.in_part += 1;
            } else if !known.days.0.contains_key(&day) {
                days.without_trips += 1;
            } else {
                days.compared.insert(day);
            }
        }
        days
    }

    /// Writes how many days are not compared, and why.
    fn left_out(&self) -> String {
        let count = |days: usize| plural(days as i64, "day");
        format!(
            "{} observed for less than 95 %, {} without stored trips",
            count(self.in_part),
            count(self.without_trips)
        )
    }
}

/// Sums by station and day, as far as the filters ask for days.
struct Sums<'a> {
    days: &'a BTreeSet<i32>,
    filters: &'a Filters,
    rows: BTreeMap<(StationId, Option<i32>), ReconcileRow>,
}

impl Sums<'_> {
    fn add(
        &mut self,
        station: &StationId,
        day: i32,
        side: impl Fn(&mut ReconcileRow) -> &mut [i64; 2],
        counts: [i64; 2],
    ) {
        if !self.days.contains(&day) {
            return;
        }
        let day = self.filters.by.contains(&Dim::Date).then_some(day);
        let row = self.rows.entry((station.clone(), day)).or_default();
        for (sum, count) in side(row).iter_mut().zip(counts) {
            *sum += count;
        }
    }
}

/// Adds the departures and arrivals of the stored trips.
async fn add_recorded(
    question: &Question<'_>,
    stations: &HashMap<&StationAlias, &StationId>,
    sums: &mut Sums<'_>,
) -> Result<(), StoreError> {
    let ends = sums.days.first().zip(sums.days.last());
    let parts = Parts {
        station_days: ends.map(|(first, last)| (month_of(*first), month_of(*last))),
        ..Parts::NONE
    };
    let all = Filters {
        station: None,
        ..question.filters.clone()
    };
    let (_, cube, _, _) = question
        .cube(!question.reads_trips, parts, &all, None)
        .await?;
    for month in cube.station_days.values() {
        month.kept().each(|alias, _, days| {
            if let Some(station) = stations.get(alias) {
                for (day, counts) in days {
                    sums.add(station, *day, |row| &mut row.recorded, *counts);
                }
            }
        });
    }
    Ok(())
}

/// Groups the sums as the filters ask: by station if they do not. The largest stations come first, days in order.
fn group(
    sums: BTreeMap<(StationId, Option<i32>), ReconcileRow>,
    filters: &Filters,
    places: &[Place],
    known: &Totals,
) -> Vec<ReconcileRow> {
    let by_station = filters.by.is_empty() || filters.by.contains(&Dim::Station);
    let named = places.iter().map(|place| (&place.station_id, place));
    let named: HashMap<&StationId, &Place> = named.collect();
    let mut rows: BTreeMap<(Option<StationId>, Option<i32>), ReconcileRow> = BTreeMap::new();
    for ((station, day), sums) in sums {
        let key = (by_station.then_some(station), day);
        let row = rows.entry(key.clone()).or_insert_with(|| ReconcileRow {
            name: key.0.as_ref().and_then(|id| {
                let place = named.get(id)?;
                place.name(known).map(str::to_owned)
            }),
            station_id: key.0,
            day,
            ..ReconcileRow::default()
        });
        for at in 0..2 {
            row.estimated[at] += sums.estimated[at];
            row.recorded[at] += sums.recorded[at];
        }
    }
    let mut rows: Vec<ReconcileRow> = rows.into_values().collect();
    if by_station {
        let mut trips: HashMap<Option<StationId>, i64> = HashMap::new();
        for row in &rows {
            *trips.entry(row.station_id.clone()).or_default() += row.recorded.iter().sum::<i64>();
        }
        rows.sort_by_cached_key(|row| {
            let trips = trips.get(&row.station_id).copied();
            (Reverse(trips), row.station_id.clone(), row.day)
        });
    }
    rows
}

/// Writes which days are compared, the sums over all rows, and what snapshots cannot show.
fn notes(
    question: &Question<'_>,
    observed: &ObservedTime,
    days: &Days,
    rows: &[ReconcileRow],
) -> Vec<Note> {
    let sum = |side: fn(&ReconcileRow) -> [i64; 2], at: usize| -> i64 {
        rows.iter().map(|row| side(row)[at]).sum()
    };
    let shown = |noun: &str, at: usize| {
        let (estimated, recorded) = (sum(|row| row.estimated, at), sum(|row| row.recorded, at));
        let percent = ratio(estimated, recorded)
            .map_or(String::new(), |ratio| format!(" ({:.1} %)", 100.0 * ratio));
        format!(
            "{} for {} recorded{percent}",
            plural(estimated, noun),
            grouped(recorded)
        )
    };
    let compared = plural(days.compared.len() as i64, "day");
    let mut notes = vec![
        Note::Scope(format!(
            "{}: {compared} compared; left out: {}",
            question.system.name,
            days.left_out()
        )),
        Note::Scope(format!(
            "At the stations of the feed snapshots show {}, {}",
            shown("departure", 0),
            shown("arrival", 1),
        )),
        polling_limit(observed),
    ];
    notes.extend(observed.gaps_note());
    notes
}
