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
use crate::tally::{Parts, Route, median_s};

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
        let place_of: HashMap<&StationId, u32> = (places.iter().zip(0..))
            .flat_map(|(place, at)| place.ids.iter().map(move |(id, _)| (id, at)))
            .collect();
        let only: Option<BTreeSet<&StationId>> = filters.station.as_ref().map(|text| {
            let meant = places::meant(&places, text, &known.totals);
            meant.into_iter().map(|place| &place.id).collect()
        });
        let routes = cube.routes.get();
        let ids = routes.stations().iter();
        let place_of: Vec<Option<u32>> = ids.map(|id| place_of.get(id).copied()).collect();
        let mut by_ids = Vec::new();
        routes.each(|route| {
            let ends = [route.from, route.to].map(|at| place_of[at as usize]);
            let [Some(from), Some(to)] = ends else { return };
            let wanted = |only: &BTreeSet<_>| only.contains(&places[from as usize].id);
            if only.as_ref().is_none_or(wanted) {
                by_ids.push(((from, to), route));
            }
        });
        // A place may have several ids, and so a route between places several of ids.
        by_ids.sort_by_key(|(ends, _)| *ends);
        let same = by_ids.chunk_by(|a, b| a.0 == b.0);
        let trips = |same: &[(_, Route<'_>)]| same.iter().map(|(_, route)| route.trips).sum();
        let mut order: Vec<(i64, &[((u32, u32), Route<'_>)])> =
            same.map(|same| (trips(same), same)).collect();
        let on_routes: i64 = order.iter().map(|(trips, _)| trips).sum();
        let by_size =
            |(trips, same): &(i64, &[((u32, u32), Route<'_>)])| (Reverse(*trips), same[0].0);
        let all = order.len();
        if let Some(top) = question.shown().filter(|top| *top < all) {
            // Only what is shown is put in order: there can be a million routes.
            order.select_nth_unstable_by_key(top, by_size);
            order.truncate(top);
        }
        order.sort_unstable_by_key(by_size);
        let name = |place: &Place| place.name(&known.totals).map(str::to_owned);
        let rows: Vec<RouteRow> = order
            .into_iter()
            .map(|(trips, same)| {
                let (from, to) = same[0].0;
                let [start, end] = [from, to].map(|at| &places[at as usize]);
                let mut counts = [0; 256];
                for (bucket, n) in same.iter().flat_map(|(_, route)| route.durations()) {
                    counts[usize::from(bucket)] += n;
                }
                RouteRow {
                    from_station_id: start.id.clone(),
                    from_name: name(start),
                    to_station_id: end.id.clone(),
                    to_name: name(end),
                    trips,
                    median_s: median_s(&counts),
                    round_trip: from == to,
                }
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
