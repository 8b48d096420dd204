//! The service level: how much of the time stations were empty, full or out of service.

mod tally;

use std::collections::BTreeMap;

use async_trait::async_trait;

use self::tally::{Kind, LEAST_STUCK_MS, StationTimes, Tally, Times};
use super::dims::Dim;
use super::measures::rounded;
use super::observed_time::{self, ObservedTime};
use super::question::no_history;
use super::station_hours::{self, GroupKey, StationHours};
use super::{
    Column, Filter, Filters, Note, Question, Report, Row, Table, Value, ValueKind, plural,
};
use crate::model::civil_date::HOUR_MS;
use crate::model::{FilledByLists, Station, StationId};
use crate::store::StoreError;

/// Shares of the time in which stations were empty, full, out of service or not observed.
pub struct Service;

/// A group of station-hours.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRow {
    key: GroupKey,
    /// The feed's name of the station. `None` for several.
    name: Option<String>,
    times: Times,
    /// The lengths of the spells without a bike, and without a free dock, in milliseconds, ascending. `None` for
    /// rows of an hour or a weekday, which spells are longer than.
    spells: Option<[Vec<i64>; 2]>,
    /// The minutes above the share of the filters. `None` without that filter.
    beyond_min: Option<i64>,
    /// The longest of the stations of the row. `None` for rows of an hour or a weekday.
    unchanged_busy_ms: Option<i64>,
}

/// Those of all reports on station-hours, and one more.
const FILTERS: [Filter; 8] = {
    let [dates, station, weekday, hour, by, top, areas] = station_hours::FILTERS;
    [
        dates,
        station,
        weekday,
        hour,
        by,
        top,
        areas,
        Filter::MaxUnusable,
    ]
};

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

impl Row for ServiceRow {
    fn columns() -> Vec<Column> {
        let share = |name| Column::new(name, ValueKind::Share);
        let spell = |name| Column::new(name, ValueKind::Seconds).spare(2);
        let mut columns = GroupKey::columns().to_vec();
        columns.extend([
            Column::new("minutes", ValueKind::Count)
                .spare(1)
                .defined("minutes in which the feed listed the station, summed over the stations of the row"),
            share("unusable").defined(
                "the share of the observed minutes in which no bike could be rented, or none returned: \
                 empty, full, out of service or without docks",
            ),
            share("empty").defined("the share of the minutes in service, with a dock or a bike, without a bike to rent"),
            share("full").defined("the share of the minutes in service, with a dock or a bike, without a free dock"),
            share("no_ebikes").headed("no e-bikes").spare(1).defined(
                "the share of the minutes in service, with a dock or a bike, without an e-bike; empty where the feed does not count e-bikes",
            ),
            share("no_classic_bikes").spare(1).defined(
                "the share of the minutes in service, with a dock or a bike, without a classic bike; empty where the feed does not count \
                 e-bikes",
            ),
            share("out_of_service").defined(
                "the share of the observed minutes in which the station did not both rent bikes and accept them",
            ),
            share("without_docks").spare(4).defined(
                "the share of the observed minutes in which it was in service with no dock and no bike at all: such \
                 minutes are neither empty nor full",
            ),
            share("unknown").defined(
                "the share of the minutes that were not observed: in a gap between snapshots, which is never filled \
                 in, or without a number of bikes",
            ),
            Column::new("minutes_beyond", ValueKind::Count).defined(
                "unusable minutes above the share of --max-unusable of the observed ones, of all stations of the \
                 row together; empty without it",
            ),
            Column::new("empty_spells", ValueKind::Count)
                .spare(3)
                .defined(
                    "how many times it was empty without a break: a gap ends one; empty by weekday and by hour",
                ),
            spell("empty_median_s").defined("half of the spells without a bike were no longer"),
            spell("empty_longest_s").defined("the longest spell without a bike"),
            Column::new("full_spells", ValueKind::Count)
                .spare(3)
                .defined("how many times it was full without a break, likewise"),
            spell("full_median_s").defined("half of the spells without a free dock were no longer"),
            spell("full_longest_s").defined("the longest spell without a free dock"),
            Column::new("uncounted_docks", ValueKind::Rate).spare(3).defined(
                "docks that are not counted, on average over the minutes in service: capacity less bikes, free docks and those \
                 out of order; empty where the feed does not state the capacity",
            ),
            Column::new("unchanged_busy_s", ValueKind::Seconds).spare(3).defined(
                "the busy part of the longest time in service without any change, gaps left out: hours of the week in \
                 which stations change at least as often as on average; empty by weekday and by hour",
            ),
        ]);
        columns
    }

    fn values(self) -> Vec<Value> {
        let share = |part: Kind, whole: Kind| share(self.times.ms(part), self.times.ms(whole));
        let listed = self.times.ms(Kind::Listed);
        let mut values = self.key.values(self.name).to_vec();
        values.extend([
            minutes(listed).into(),
            self::share(self.times.unusable_ms(), self.times.ms(Kind::Observed)).into(),
            share(Kind::Empty, Kind::InService).into(),
            share(Kind::Full, Kind::InService).into(),
            share(Kind::NoEbikes, Kind::EbikesCounted).into(),
            share(Kind::NoClassicBikes, Kind::EbikesCounted).into(),
            share(Kind::OutOfService, Kind::Observed).into(),
            share(Kind::WithoutDocks, Kind::Observed).into(),
            self::share(listed - self.times.ms(Kind::Observed), listed).into(),
            self.beyond_min.into(),
        ]);
        for spells in self.spells.map_or([None, None], |both| both.map(Some)) {
            let count = spells.as_ref().map(|spells| spells.len() as i64);
            let spells = spells.unwrap_or_default();
            let seconds = |at: usize| spells.get(at).map(|ms| ms / 1_000);
            let last = spells.len().checked_sub(1);
            let median = last.map(|last| last / 2);
            values.extend([
                Value::from(count),
                median.and_then(seconds).into(),
                last.and_then(seconds).into(),
            ]);
        }
        let known = self.times.ms(Kind::CapacityKnown);
        values.push(self::share(self.times.ms(Kind::UncountedDocks), known).into());
        values.push(self.unchanged_busy_ms.map(|ms| ms / 1_000).into());
        values
    }
}

/// Returns a part of a whole. `None` for a whole of 0.
fn share(part: i64, whole: i64) -> Option<f64> {
    (whole != 0).then(|| rounded(part as f64 / whole as f64, 1e6))
}

fn minutes(ms: i64) -> i64 {
    (ms + MINUTE_MS / 2) / MINUTE_MS
}

#[async_trait]
impl Report for Service {
    fn name(&self) -> &str {
        "service"
    }

    fn about(&self) -> &str {
        "how much of the time stations were empty, full or out of service"
    }

    fn takes(&self) -> &'static [Filter] {
        &FILTERS
    }

    fn groups_by(&self) -> &'static [Dim] {
        &station_hours::DIMS
    }

    fn columns(&self) -> Vec<Column> {
        ServiceRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn reads_history(&self) -> bool {
        true
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let nothing = |note| Ok(Table::new(Vec::<ServiceRow>::new(), vec![note]));
        let Some(history) = question.store.history() else {
            return nothing(no_history());
        };
        let Some(observed) = ObservedTime::read(question, history).await? else {
            return nothing(observed_time::too_few_snapshots());
        };
        let stations = question.store.stations(&question.system.id).await?;
        let mut tally = Tally::new(&observed, stations.iter().filter_map(capacity).collect());
        observed
            .each_change(question, history, |station, at, state| {
                tally.change(station, at, state);
            })
            .await?;
        let mut times = tally.finish();

        let station_hours = StationHours::read(question).await?;
        times.retain(|station, _| station_hours.has_station(station));
        let outside = station_hours.outside_note(times.keys());
        let stations = times.len();
        let stuck = times.values().filter(|it| it.is_stuck).count();
        let (rows, all) = group(&station_hours, question.filters, times);
        let mut notes = notes(question, &observed, &all, stations);
        notes.extend(outside);
        if stuck > 0 {
            notes.push(Note::Scope(format!(
                "{} in service did not change for much longer than usual, {} busy hours or more: check whether a \
                 vehicle can be rented there (column unchanged_busy_s)",
                plural(stuck as i64, "station"),
                LEAST_STUCK_MS / HOUR_MS,
            )));
        }
        Ok(Table::new(rows, notes))
    }
}

/// Groups the times of stations as the filters ask. Returns the rows and the sum of all.
fn group(
    station_hours: &StationHours<'_>,
    filters: &Filters,
    times: BTreeMap<StationId, StationTimes>,
) -> (Vec<ServiceRow>, Times) {
    let is_whole = station_hours.has_whole_weeks();
    let mut groups: BTreeMap<GroupKey, ServiceRow> = BTreeMap::new();
    let mut all = Times::default();
    for (station, times) in times {
        let mut spells = is_whole.then_some([times.empty_ms, times.full_ms]);
        for (hour_of_week, of_hour) in times.hours.iter().enumerate() {
            let key = station_hours.key(&station, hour_of_week);
            let Some(key) = key.filter(|_| of_hour.ms(Kind::Listed) > 0) else {
                continue;
            };
            all.add(of_hour);
            let row = groups.entry(key.clone()).or_insert_with(|| ServiceRow {
                name: station_hours.name(&key),
                key,
                times: Times::default(),
                spells: is_whole.then(Default::default),
                beyond_min: None,
                unchanged_busy_ms: None,
            });
            row.times.add(of_hour);
            if is_whole {
                row.unchanged_busy_ms = row.unchanged_busy_ms.max(Some(times.unchanged_busy_ms));
            }
            if let (Some(all), Some(own)) = (&mut row.spells, spells.take()) {
                for (all, own) in all.iter_mut().zip(own) {
                    all.extend(own);
                }
            }
        }
    }
    let mut rows: Vec<ServiceRow> = groups.into_values().collect();
    for row in &mut rows {
        for spells in row.spells.iter_mut().flatten() {
            spells.sort_unstable();
        }
        let (unusable, observed) = (row.times.unusable_ms(), row.times.ms(Kind::Observed));
        row.beyond_min = filters.max_unusable.map(|most| {
            let permitted = (most.share() * observed as f64).round() as i64;
            minutes((unusable - permitted).max(0))
        });
    }
    if !filters.by.iter().any(|dim| *dim != Dim::Station) {
        let unusable = |row: &ServiceRow| {
            share(row.times.unusable_ms(), row.times.ms(Kind::Observed)).unwrap_or_default()
        };
        rows.sort_by(|a, b| unusable(b).total_cmp(&unusable(a)));
    }
    (rows, all)
}

/// Writes what was observed, and the shares over all stations.
fn notes(
    question: &Question<'_>,
    observed: &ObservedTime,
    all: &Times,
    stations: usize,
) -> Vec<Note> {
    let percent = |part: i64, whole: Kind| {
        let whole = all.ms(whole).max(1);
        format!("{:.1} %", 100.0 * part as f64 / whole as f64)
    };
    let mut notes = vec![observed.scope(question, stations)];
    if all.ms(Kind::Observed) > 0 {
        notes.push(Note::Scope(format!(
            "All together: empty {}, full {} of the time in service; out of service {}, unusable {} of the time observed",
            percent(all.ms(Kind::Empty), Kind::InService),
            percent(all.ms(Kind::Full), Kind::InService),
            percent(all.ms(Kind::OutOfService), Kind::Observed),
            percent(all.unusable_ms(), Kind::Observed),
        )));
    }
    notes.extend(observed.gaps_note());
    notes
}

/// Returns the number of docks that a feed states for a station. Station lists may be of another year.
fn capacity(station: &Station) -> Option<(StationId, u32)> {
    let of_feed = station.filled_by_lists == FilledByLists::Nothing;
    let capacity = station.capacity.filter(|_| of_feed)?;
    Some((station.id.clone(), capacity))
}
