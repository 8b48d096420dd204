//! The report of routes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;

use super::largest::Largest;
use super::measures::Measure;
use super::places::Place;
use super::question::Counted;
use super::{
    Column, Filter, Note, Picture, Question, Report, Role, Row, Table, Value, ValueKind, plural,
};
use crate::model::{StationAlias, StationId};
use crate::store::StoreError;
use crate::tally::{KeptRoutes, Parts, Route, median_s};

/// Trips by origin and destination.
pub struct Routes;

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteRow {
    /// The station of the start: the feed's id; the trips' id for a station in no feed.
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
    /// The place of the start.
    pub from_place_id: StationId,
    /// The place of the end.
    pub to_place_id: StationId,
}

impl Row for RouteRow {
    fn columns() -> Vec<Column> {
        vec![
            Column::new("from_station_id", ValueKind::Text)
                .headed("from id")
                .defined("the station of the start: the feed's id, the trips' where no feed has it")
                .spare(3),
            Column::new("from_name", ValueKind::Name)
                .headed("from")
                .defined("the feed's name, else the latest that trips use"),
            Column::new("to_station_id", ValueKind::Text)
                .headed("to id")
                .defined("the station of the end")
                .spare(3),
            Column::new("to_name", ValueKind::Name)
                .headed("to")
                .defined("its name"),
            Measure::Trips
                .column()
                .defined("stored trips from the one to the other"),
            Column::new("median_s", ValueKind::Seconds)
                .defined(
                    "median duration in seconds, within 5 % of the exact one; trips under 60 s, \
                     over 24 h or negative are left out of it",
                )
                .approximate(),
            Column::new("round_trip", ValueKind::Truth)
                .defined("whether both stations are the same")
                .spare(1),
            Column::new("from_place_id", ValueKind::Text)
                .headed("from place")
                .role(Role::OriginId)
                .defined("the place of the start: unlike an id, no two stations share it")
                .spare(7),
            Column::new("to_place_id", ValueKind::Text)
                .headed("to place")
                .role(Role::DestinationId)
                .defined("the place of the end")
                .spare(7),
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
            self.from_place_id.as_str().into(),
            self.to_place_id.as_str().into(),
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

    fn is_long(&self) -> bool {
        true
    }

    fn picture(&self) -> Option<Picture> {
        Some(Picture::RouteMap)
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let filters = question.filters;
        let parts = Parts {
            routes: true,
            ..Parts::NONE
        };
        let in_cube = !filters.narrow_trips() && !question.reads_trips;
        let (known, cube, read, how) = if in_cube {
            question.cube(true, parts, filters, None).await?
        } else {
            let origins = match &filters.station {
                None => None,
                Some(_) => {
                    let known = question.known(Parts::NONE).await?.totals;
                    let places = question.places(&known).await?;
                    let selected = question.resolve_places(&places, &known).unwrap_or_default();
                    let aliases = selected.iter().flat_map(|at| places[*at].aliases());
                    Some(aliases.cloned().collect::<BTreeSet<_>>())
                }
            };
            question
                .cube(false, parts, filters, origins.as_ref())
                .await?
        };
        let places = question.places(&known.totals).await?;
        let place_of: HashMap<&StationAlias, u32> = (places.iter().zip(0..))
            .flat_map(|(place, at)| place.aliases().map(move |alias| (alias, at)))
            .collect();
        let only = question.resolve_places(&places, &known.totals);
        let routes = cube.routes.kept();
        let aliases = routes.stations().iter();
        let place_of: Vec<Option<u32>> =
            aliases.map(|alias| place_of.get(alias).copied()).collect();
        let wanted = |from: u32| {
            only.as_ref()
                .is_none_or(|only| only.contains(&(from as usize)))
        };
        let found = Found::of(&routes, &place_of, wanted, question.shown());
        let name = |place: &Place| place.name(&known.totals).map(str::to_owned);
        let rows: Vec<RouteRow> = (found.routes.iter())
            .zip(found.medians(&routes))
            .map(|(route, median_s)| {
                let (from, to) = route.ends;
                let [start, end] = [from, to].map(|at| &places[at as usize]);
                RouteRow {
                    from_station_id: start.station_id.clone(),
                    from_name: name(start),
                    to_station_id: end.station_id.clone(),
                    to_name: name(end),
                    trips: route.trips,
                    median_s,
                    round_trip: from == to,
                    from_place_id: start.id.clone(),
                    to_place_id: end.id.clone(),
                }
            })
            .collect();
        let more = found.all - rows.len();
        let narrowed = filters.narrow_trips() || filters.station.is_some();
        let counted_trips = match (in_cube, &only) {
            (true, None) => known.totals.trips,
            (true, Some(only)) => {
                let aliases = only.iter().flat_map(|at| places[*at].aliases());
                let totals = aliases.filter_map(|alias| known.totals.stations.0.get(alias));
                totals.map(|totals| totals.departures).sum()
            }
            (false, _) => read,
        };
        let counted = Counted {
            trips: narrowed.then_some(counted_trips),
            how,
            known,
            with_origin: false,
        };
        let mut notes = question.scope(&counted, filters);
        notes.push(Note::Scope(format!(
            "{} on {}; median durations are within 5 % of the exact ones",
            plural(found.trips, "trip"),
            plural(found.all as i64, "route"),
        )));
        let unmatched = counted_trips - found.trips;
        if unmatched != 0 {
            let unmatched = plural(unmatched, "trip");
            let text = format!("{unmatched} without a station at an end: on no route");
            notes.push(Note::Scope(text));
        }
        let mut table = Table::new(rows, notes).counted_as(&counted, question.filters);
        table.more = more;
        table.map = Some(question.map(&places, &counted.known.totals, &BTreeMap::new()));
        Ok(table)
    }
}

/// The routes between places that are shown, and how many there are.
struct Found {
    /// The largest first.
    routes: Vec<Between>,
    /// For places with several aliases, the routes between aliases that form one route between places.
    several: Vec<Vec<u32>>,
    /// All routes, shown or not.
    all: usize,
    /// The trips on them.
    trips: i64,
}

/// A route between places.
struct Between {
    trips: i64,
    ends: (u32, u32),
    made_of: MadeOf,
}

/// The routes between ids that form a route between places.
#[derive(Clone, Copy)]
enum MadeOf {
    /// A route between ids.
    One(u32),
    /// Several routes between ids: an index in [`Found::several`].
    Several(u32),
}

impl Between {
    fn by_size(&self) -> (Reverse<i64>, (u32, u32)) {
        (Reverse(self.trips), self.ends)
    }
}

impl Found {
    /// Finds the `most` largest routes, or all; `place_of` has the places of the ids.
    fn of(
        routes: &KeptRoutes<'_>,
        place_of: &[Option<u32>],
        wanted: impl Fn(u32) -> bool,
        most: Option<usize>,
    ) -> Self {
        let mut ids = HashMap::new();
        for place in place_of.iter().flatten() {
            *ids.entry(*place).or_insert(0) += 1;
        }
        let shares = |place: &Option<u32>| place.is_some_and(|place| ids[&place] > 1);
        let shares: Vec<bool> = place_of.iter().map(shares).collect();
        let mut largest = Largest::new(most, Between::by_size);
        let mut sum = 0;
        let mut by_places: BTreeMap<(u32, u32), (i64, Vec<u32>)> = BTreeMap::new();
        let mut next = 0;
        routes.each(|Route { from, to, trips }| {
            let at = next;
            next += 1;
            let [from, to] = [from, to].map(|at| at as usize);
            let (Some(start), Some(end)) = (place_of[from], place_of[to]) else {
                return;
            };
            if !wanted(start) {
                return;
            }
            sum += trips;
            let ends = (start, end);
            if shares[from] || shares[to] {
                let (sum, made_of) = by_places.entry(ends).or_default();
                *sum += trips;
                made_of.push(at);
                return;
            }
            largest.add(Between {
                trips,
                ends,
                made_of: MadeOf::One(at),
            });
        });
        let mut several = Vec::with_capacity(by_places.len());
        for (ends, (trips, routes)) in by_places {
            let made_of = MadeOf::Several(several.len() as u32);
            several.push(routes);
            largest.add(Between {
                trips,
                ends,
                made_of,
            });
        }
        Self {
            all: largest.seen,
            routes: largest.finish(),
            several,
            trips: sum,
        }
    }

    /// Finds the median duration of each.
    fn medians(&self, routes: &KeptRoutes<'_>) -> Vec<Option<i64>> {
        let mut wanted: Vec<(u32, usize)> = Vec::new();
        for (row, route) in self.routes.iter().enumerate() {
            match route.made_of {
                MadeOf::One(at) => wanted.push((at, row)),
                MadeOf::Several(at) => {
                    wanted.extend(self.several[at as usize].iter().map(|at| (*at, row)));
                }
            }
        }
        wanted.sort_unstable();
        let places: Vec<u32> = wanted.iter().map(|(at, _)| *at).collect();
        let mut rows = wanted.iter().map(|(_, row)| *row);
        let mut medians = vec![None; self.routes.len()];
        let mut sums: BTreeMap<usize, BTreeMap<u8, i32>> = BTreeMap::new();
        routes.durations(&places, |durations| {
            let Some(row) = rows.next() else { return };
            match self.routes[row].made_of {
                MadeOf::One(_) => medians[row] = median_s(durations),
                MadeOf::Several(_) => {
                    let sum = sums.entry(row).or_default();
                    for (bucket, n) in durations {
                        *sum.entry(*bucket).or_default() += n;
                    }
                }
            }
        });
        for (row, sum) in sums {
            medians[row] = median_s(&sum.into_iter().collect::<Vec<_>>());
        }
        medians
    }
}
