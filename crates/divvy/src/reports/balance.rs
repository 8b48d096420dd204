//! The report of departures and arrivals by station and hour of the week.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use super::column::STATION_ID;
use super::dims::{Dim, WEEKDAYS};
use super::largest::Largest;
use super::places::Place;
use super::question::{Counted, Known, NO_STATION, unmatched};
use super::{
    Column, Filter, Filters, Note, Picture, Question, Report, Row, Table, Value, ValueKind, plural,
};
use crate::model::{StationAlias, StationId};
use crate::store::StoreError;
use crate::tally::{Cube, KeptGrid, Parts, Totals};

/// Departures and arrivals by station, weekday and hour.
pub struct Balance;

/// One station in one hour of the week, or a sum over stations or hours.
#[derive(Clone, Debug, PartialEq)]
pub struct BalanceRow {
    /// The feed's id; the trips' id for a station in no feed. `None` for the sum of all stations.
    pub station_id: Option<StationId>,
    /// The feed's name, otherwise the latest name in the trips.
    pub name: Option<String>,
    /// 0 for Monday. `None` for the sum of all weekdays.
    pub weekday: Option<i32>,
    /// 0 to 23. `None` for the sum of all hours.
    pub hour: Option<i32>,
    /// Trips that start there and then.
    pub departures: i64,
    /// Trips that end there and then.
    pub arrivals: i64,
}

impl Row for BalanceRow {
    fn columns() -> Vec<Column> {
        vec![
            STATION_ID.defined(
                "the feed's id, the trips' where no feed has the station; empty over all stations",
            ),
            Dim::Station.column(),
            Dim::Weekday.column().defined(
                "the local weekday on which the bike leaves or arrives; empty over all weekdays",
            ),
            Dim::Hour.column().defined(
                "the local hour in which the bike leaves or arrives, 0 to 23; empty over all hours",
            ),
            Column::new("departures", ValueKind::Count)
                .spare(1)
                .defined("stored trips that start there and then"),
            Column::new("arrivals", ValueKind::Count)
                .spare(1)
                .defined("stored trips that end there and then"),
            Column::new("net", ValueKind::Count).defined("arrivals - departures: bikes gained"),
        ]
    }

    fn values(self) -> Vec<Value> {
        vec![
            self.station_id.map(|id| id.as_str().to_owned()).into(),
            self.name.into(),
            self.weekday.map(|day| WEEKDAYS[day as usize]).into(),
            self.hour.map(i64::from).into(),
            self.departures.into(),
            self.arrivals.into(),
            (self.arrivals - self.departures).into(),
        ]
    }
}

#[async_trait]
impl Report for Balance {
    fn name(&self) -> &str {
        "balance"
    }

    fn about(&self) -> &str {
        "departures, arrivals and their difference by station, weekday and hour"
    }

    fn takes(&self) -> &'static [Filter] {
        &Filter::OF_TRIPS
    }

    fn groups_by(&self) -> &'static [Dim] {
        &[Dim::Station, Dim::Weekday, Dim::Hour]
    }

    fn columns(&self) -> Vec<Column> {
        BalanceRow::columns()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn picture(&self) -> Option<Picture> {
        Some(Picture::StationMap)
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let filters = question.filters;
        let (known, cube, how) = read_cube(question).await?;
        let places = question.places(&known.totals).await?;
        let selected = question.resolve_places(&places, &known.totals);
        let selected = selected.unwrap_or_else(|| (0..places.len()).collect());
        let place_of: HashMap<&StationAlias, usize> = selected
            .into_iter()
            .flat_map(|index| places[index].aliases().map(move |alias| (alias, index)))
            .collect();

        let mut buckets = Buckets::new(filters, places.len());
        buckets.count(&cube.station_hours.kept(), &place_of, filters);
        let ends_by_place = std::mem::take(&mut buckets.ends_by_place);
        let Ranked { rows, all } = buckets.rank(question.shown(), &places, &known.totals);

        let counted = Counted {
            trips: None,
            how,
            known,
            with_origin: false,
        };
        let more = all - rows.len();
        let notes = notes(question, &counted, &ends_by_place, all);
        let mut table = Table::new(rows, notes).counted_as(&counted, question.filters);
        table.more = more;
        table.map = Some(question.map(&places, &counted.known.totals, &ends_by_place));
        Ok(table)
    }
}

/// Reads departures and arrivals by station and hour of the week, of the trips that all filters but
/// station, weekday and hour let through: those apply to each departure and arrival by itself.
async fn read_cube(question: &Question<'_>) -> Result<(Known, Cube, String), StoreError> {
    let picking = Filters {
        weekdays: None,
        hours: None,
        station: None,
        ..question.filters.clone()
    };
    let parts = Parts {
        station_hours: true,
        ..Parts::NONE
    };
    let is_dated = picking.from.is_some() || picking.to.is_some();
    let in_cube = !is_dated && picking.bike.is_none() && !question.reads_trips;
    let (known, cube, _, how) = question.cube(in_cube, parts, &picking, None).await?;
    Ok((known, cube, how))
}

/// Hours in a week.
const WEEK: usize = 168;

/// Departures and arrivals, summed over what the report does not group by.
struct Buckets {
    by_station: bool,
    by_weekday: bool,
    by_hour: bool,
    /// By hour of the week, the bucket of a place. `None` for an hour that the filters exclude.
    bucket_of_hour: Vec<Option<usize>>,
    /// By place, if grouped by station, and bucket: 168 for each place.
    ends: Vec<[i64; 2]>,
    /// By index of the place, over all buckets.
    ends_by_place: BTreeMap<usize, [i64; 2]>,
}

/// The buckets to be shown.
struct Ranked {
    rows: Vec<BalanceRow>,
    /// The number of all buckets that are not empty.
    all: usize,
}

impl Buckets {
    fn new(filters: &Filters, places: usize) -> Self {
        let by = |dim| filters.by.is_empty() || filters.by.contains(&dim);
        let (by_station, by_weekday, by_hour) = (by(Dim::Station), by(Dim::Weekday), by(Dim::Hour));
        let bucket_of_hour = (0..WEEK)
            .map(|hour_of_week| {
                let (weekday, hour) = (hour_of_week / 24, hour_of_week % 24);
                let is_counted = filters.has_weekday(weekday as i32) && filters.has_hour(hour);
                let weekday = if by_weekday { weekday } else { 0 };
                is_counted.then_some(weekday * 24 + if by_hour { hour } else { 0 })
            })
            .collect();
        Self {
            by_station,
            by_weekday,
            by_hour,
            bucket_of_hour,
            ends: vec![[0; 2]; WEEK * if by_station { places } else { 1 }],
            ends_by_place: BTreeMap::new(),
        }
    }

    /// Counts the riders of the filters at the selected places.
    fn count(
        &mut self,
        grid: &KeptGrid<'_>,
        place_of: &HashMap<&StationAlias, usize>,
        filters: &Filters,
    ) {
        grid.each(|station, rider, hours| {
            let Some(place) = place_of.get(station).filter(|_| filters.has_rider(rider)) else {
                return;
            };
            let sums = self.ends_by_place.entry(*place).or_default();
            let first = if self.by_station { *place * WEEK } else { 0 };
            for (hour, [departures, arrivals]) in hours {
                if let Some(bucket) = self.bucket_of_hour[hour.rem_euclid(WEEK as i32) as usize] {
                    for ends in [&mut self.ends[first + bucket], &mut *sums] {
                        ends[0] += departures;
                        ends[1] += arrivals;
                    }
                }
            }
        });
    }

    /// Selects up to `most` buckets: by station those with the largest gain or loss, otherwise the
    /// first ones of the week.
    fn rank(self, most: Option<usize>, places: &[Place], known: &Totals) -> Ranked {
        let mut largest = if self.by_station {
            Largest::new(
                most,
                |(index, [departures, arrivals]): &(usize, [i64; 2])| {
                    (Reverse((arrivals - departures).abs()), *index)
                },
            )
        } else {
            Largest::new(most, |(index, _)| (Reverse(0), *index))
        };
        for bucket in self.ends.into_iter().enumerate() {
            if bucket.1 != [0, 0] {
                largest.add(bucket);
            }
        }
        let all = largest.seen;
        let rows = largest.finish().into_iter();
        let rows = rows.map(|(index, [departures, arrivals])| {
            let place = self.by_station.then(|| &places[index / WEEK]);
            let hour_of_week = (index % WEEK) as i32;
            BalanceRow {
                station_id: place.map(|place| place.station_id.clone()),
                name: place.and_then(|place| place.name(known).map(str::to_owned)),
                weekday: self.by_weekday.then_some(hour_of_week / 24),
                hour: self.by_hour.then_some(hour_of_week % 24),
                departures,
                arrivals,
            }
        });
        Ranked {
            rows: rows.collect(),
            all,
        }
    }
}

/// Writes the notes below the table. `buckets` is the number of all that are not empty.
fn notes(
    question: &Question<'_>,
    counted: &Counted,
    ends_by_place: &BTreeMap<usize, [i64; 2]>,
    buckets: usize,
) -> Vec<Note> {
    let known = &counted.known.totals;
    let mut notes = question.scope(counted, question.filters);
    let mut filters = question.filters.to_string();
    if filters.is_empty() {
        notes.extend(unmatched(NO_STATION.map(|flag| known.flags.get(flag))));
    } else {
        filters = format!(" ({filters})");
    }
    let [departures, arrivals] = ends_by_place
        .values()
        .fold([0; 2], |sum, ends| [sum[0] + ends[0], sum[1] + ends[1]]);
    notes.push(Note::Scope(format!(
        "{} and {} counted{filters}, each at its own hour",
        plural(departures, "departure"),
        plural(arrivals, "arrival"),
    )));
    if buckets == 0 && known.trips != 0 {
        notes.push(Note::Warning(format!(
            "no departure or arrival matches{filters}"
        )));
    }
    notes
}
