//! From where to where.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;

use super::places::{self, Place};
use super::question::{Counted, nowhere};
use super::{
    Column, Filter, Kind, Note, Picture, Question, Report, Row, Shape, Table, Value, plural,
};
use crate::model::{Flag, StationId};
use crate::store::StoreError;
use crate::tally::{Parts, median_s};

/// Trips by origin and destination.
pub struct Routes;

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteRow {
    /// The station of the start: the feed's id, the trips' where no feed knows it.
    pub from_station_id: StationId,
    /// Its name.
    pub from_name: Option<String>,
    /// The station of the end.
    pub to_station_id: StationId,
    /// Its name.
    pub to_name: Option<String>,
    /// Trips on it.
    pub trips: i64,
    /// The median of their plausible durations in seconds, to a twentieth. `None` without any.
    pub median_s: Option<i64>,
    /// It ends where it starts.
    pub round_trip: bool,
}

impl Row for RouteRow {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("from_station_id", Kind::Text).spare(2),
            Column::new("from_name", Kind::Name),
            Column::new("to_station_id", Kind::Text).spare(2),
            Column::new("to_name", Kind::Name),
            Column::new("trips", Kind::Count),
            Column::new("median_s", Kind::Seconds),
            Column::new("round_trip", Kind::Truth).spare(1),
        ]
    }

    fn values(self) -> Vec<Value> {
        vec![
            self.from_station_id.as_str().into(),
            self.from_name.into(),
            self.to_station_id.as_str().into(),
            self.to_name.into(),
            self.trips.into(),
            self.median_s.into(),
            Value::Truth(self.round_trip),
        ]
    }
}

#[async_trait]
impl Report for Routes {
    fn name(&self) -> &str {
        "routes"
    }

    fn about(&self) -> &str {
        "trips by origin and destination, with their median duration"
    }

    fn takes(&self) -> &'static [Filter] {
        &[
            Filter::Dates,
            Filter::Rider,
            Filter::Bike,
            Filter::Station,
            Filter::Weekday,
            Filter::Hour,
            Filter::Top,
        ]
    }

    fn columns(&self) -> Vec<Column> {
        RouteRow::columns()
    }

    fn definitions(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            (
                "from_station_id",
                "the station of the start: the feed's id, the trips' where no feed knows it",
            ),
            (
                "from_name",
                "the feed's name, else the latest that trips use",
            ),
            ("to_station_id", "the station of the end"),
            ("to_name", "its name"),
            ("trips", "stored trips from the one to the other"),
            (
                "median_s",
                "median duration in seconds, within 5 % of the exact one; trips under 60 s, over \
                 24 h or negative are left out of it",
            ),
            ("round_trip", "whether both stations are the same"),
        ]
    }

    fn is_long(&self) -> bool {
        true
    }

    fn picture(&self) -> Option<Picture> {
        Some(Picture {
            shape: Shape::RouteMap,
            across: "longitude",
            up: "trips",
        })
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let filters = question.filters;
        let parts = Parts {
            routes: true,
            ..Parts::NONE
        };
        let in_cube = !filters.narrow_trips() && !question.reads_trips;
        let (known, cube, how) = match in_cube {
            true => question.cube(true, parts, filters, None).await?,
            false => {
                // Round trips and trips to nowhere are counted, too: for the scope.
                let parts = Parts {
                    day_hours: true,
                    ..parts
                };
                let origins = match &filters.station {
                    None => None,
                    Some(text) => {
                        let known = question.known(Parts::NONE).await?.totals;
                        let places = question.places(&known).await?;
                        let meant = places::meant(&places, text, &known);
                        let ids = meant.iter().flat_map(|place| &place.ids);
                        Some(ids.map(|(id, _)| id.clone()).collect::<BTreeSet<_>>())
                    }
                };
                question
                    .cube(false, parts, filters, origins.as_ref())
                    .await?
            }
        };
        let places = question.places(&known.totals).await?;
        let place_of: HashMap<&StationId, usize> = (places.iter().enumerate())
            .flat_map(|(at, place)| place.ids.iter().map(move |(id, _)| (id, at)))
            .collect();
        let only: Option<BTreeSet<&StationId>> = filters.station.as_ref().map(|text| {
            let meant = places::meant(&places, text, &known.totals);
            meant.into_iter().map(|place| &place.id).collect()
        });
        // Ids are many, places fewer: what several ids of a place share is added up.
        let routes = cube.routes.get();
        let mut trips: HashMap<(usize, usize), i64> = HashMap::new();
        routes.each(|route| {
            let ends = [route.from, route.to].map(|id| place_of.get(id).copied());
            let [Some(from), Some(to)] = ends else { return };
            if only
                .as_ref()
                .is_none_or(|only| only.contains(&places[from].id))
            {
                *trips.entry((from, to)).or_default() += route.trips;
            }
        });
        let on_routes: i64 = trips.values().sum();
        let mut order: Vec<((usize, usize), i64)> = trips.into_iter().collect();
        let by_size = |a: &((usize, usize), i64)| (Reverse(a.1), a.0);
        let all = order.len();
        if let Some(top) = question.shown().filter(|top| *top < all) {
            // Only what is shown is put in order: there can be a million routes.
            order.select_nth_unstable_by_key(top, by_size);
            order.truncate(top);
        }
        order.sort_unstable_by_key(by_size);
        let mut durations: HashMap<(usize, usize), Box<[i64; 256]>> = order
            .iter()
            .map(|(route, _)| (*route, Box::new([0; 256])))
            .collect();
        routes.each(|route| {
            let ends = [route.from, route.to].map(|id| place_of.get(id).copied());
            let [Some(from), Some(to)] = ends else { return };
            if let Some(counts) = durations.get_mut(&(from, to)) {
                for (bucket, n) in route.durations() {
                    counts[usize::from(bucket)] += n;
                }
            }
        });
        let name = |place: &Place| place.name(&known.totals).map(str::to_owned);
        let rows: Vec<RouteRow> = order
            .into_iter()
            .map(|((from, to), trips)| RouteRow {
                from_station_id: places[from].id.clone(),
                from_name: name(&places[from]),
                to_station_id: places[to].id.clone(),
                to_name: name(&places[to]),
                trips,
                median_s: durations
                    .get(&(from, to))
                    .and_then(|counts| median_s(counts)),
                round_trip: from == to,
            })
            .collect();
        let more = all - rows.len();
        let narrowed = filters.narrow_trips() || filters.station.is_some();
        let (counted_trips, lost) = match in_cube {
            true => {
                let flags = &known.totals.flags;
                let places = places.iter();
                let there = places.filter(|place| {
                    let only = only.as_ref();
                    only.is_some_and(|only| only.contains(&place.id))
                });
                let ids = there.flat_map(|place| &place.ids);
                let departures = ids.map(|(id, _)| known.totals.stations.departures(id));
                (
                    departures.sum(),
                    [Flag::NoOrigin, Flag::NoDestination].map(|flag| flags.get(flag)),
                )
            }
            false => scanned(&cube.day_hours.get()),
        };
        let counted = Counted {
            trips: narrowed.then_some(counted_trips),
            how,
            known,
        };
        let mut notes = question.scope(&counted, filters);
        notes.extend(nowhere(lost).filter(|_| filters.station.is_none()));
        notes.push(Note::Scope(format!(
            "{} on {}; median durations are within 5 % of the exact ones",
            plural(on_routes, "trip"),
            plural(all as i64, "route"),
        )));
        let mut table = Table::new(rows, notes).told(counted.how);
        table.more = more;
        table.map = Some(question.map(&places, &counted.known.totals, &BTreeMap::new()));
        Ok(table)
    }
}

/// Sums up the trips that were read: how many, and how many are at no station.
fn scanned(days: &crate::tally::DayHours) -> (i64, [i64; 2]) {
    let mut sum = (0, [0; 2]);
    for (.., counts) in days.iter() {
        sum.0 += counts.starts.iter().sum::<i64>();
        sum.1[0] += counts.no_origin;
        sum.1[1] += counts.no_destination;
    }
    sum
}
