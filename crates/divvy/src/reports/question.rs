//! The question that a report answers, and the trips that it counts.

mod feed_states;
mod notes;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub(super) use feed_states::{FeedStates, length, no_history};
use jiff::Timestamp;
use notes::{archives, dates, from_the_cube, why_nothing};
pub(super) use notes::{left_out, unmatched};

use super::dims::{Dim, month_text};
use super::grouping::{self, CubeSource, Groups, Origins, Query, TripCounter};
use super::incomplete_months::incomplete_months;
use super::measures::Needs;
use super::picture::{Map, MapStation};
use super::places::{self, Place};
use super::table::{Note, Scope, Table};
use super::{Filter, Filters, ReportError};
use crate::model::civil_date::{date_of, month_of};
use crate::model::{StationAlias, StationId, StationSource, System, TripBatch, Zone};
use crate::numerals::plural;
use crate::store::{FeedState, LoadedArchive, Projection, Store, StoreError};
use crate::tally::{Cube, Parts, Tally, Totals};

/// Which system's trips a report counts, and which of them.
pub struct Question<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The system.
    pub system: &'a System,
    /// Which.
    pub filters: &'a Filters,
    /// The system's clocks: a table for each station would cost more than its row.
    pub(super) zone: Zone,
    /// The archives that are loaded when the answer begins.
    pub(super) archives: Arc<[LoadedArchive]>,
    /// The present moment, which the age of a feed is measured by.
    pub now: Timestamp,
    /// Reads the trips even if the cube has the answer, to test that both give the same result.
    pub reads_trips: bool,
}

/// The totals over all stored trips, and their archives.
pub(super) struct Known {
    /// The totals, with the requested parts of the cube.
    pub totals: Totals,
    /// The names of the archives that the trips come from.
    pub archives: Vec<String>,
}

/// The trips that a report counts.
pub(super) struct Counted {
    /// The totals over all trips, with names and positions of stations.
    pub known: Known,
    /// The number of trips that the filters let through. `None` without filters.
    pub trips: Option<i64>,
    /// How they were counted, which `-v` prints.
    pub how: String,
    /// Trips without an origin are left out.
    pub with_origin: bool,
}

impl Table {
    /// Sets how the trips were counted, and which.
    pub(super) fn counted_as(self, counted: &Counted, filters: &Filters) -> Self {
        let totals = &counted.known.totals;
        let range = totals.days.range();
        let (first, last) = filters.days();
        let asked = month_of(first)..=month_of(last);
        let incomplete = incomplete_months(&totals.days).into_keys();
        let incomplete = incomplete.filter(|month| asked.contains(month));
        let mut archives = counted.known.archives.clone();
        archives.sort();
        let scope = Scope {
            archives,
            stored: totals.trips,
            counted: counted.trips,
            days: range.map(|(first, last)| (date_of(first), date_of(last))),
            incomplete_months: incomplete.map(month_text).collect(),
        };
        Self {
            how: counted.how.clone(),
            scope: Some(scope),
            ..self
        }
    }
}

/// Counted trips by group.
pub(super) struct CountedGroups {
    pub counted: Counted,
    pub groups: Groups,
    /// Every place. Empty for a report that neither groups nor filters by station.
    pub places: Vec<Place>,
}

/// Counted trips by station.
pub(super) struct CountedStations {
    pub counted: Counted,
    /// Departures and arrivals by alias.
    pub ends: HashMap<StationAlias, [i64; 2]>,
    /// Trips without a station at the start, and without one at the end.
    pub unmatched: [i64; 2],
}

impl<'a> Question<'a> {
    /// Makes a question that is answered from the cube where that is possible.
    pub fn new(store: &'a dyn Store, system: &'a System, filters: &'a Filters) -> Self {
        Self {
            store,
            system,
            filters,
            zone: system.zone(),
            archives: Arc::default(),
            now: Timestamp::now(),
            reads_trips: false,
        }
    }
}

impl Question<'_> {
    /// Reads the totals over all trips, with some parts of the cube.
    pub(super) async fn known(&self, parts: Parts) -> Result<Known, StoreError> {
        Ok(Known {
            totals: self.store.totals_with(&self.system.id, parts).await?,
            archives: self
                .archives
                .iter()
                .map(|archive| archive.name.clone())
                .collect(),
        })
    }

    /// Lists every place that trips, station lists or feeds name.
    pub(super) async fn places(&self, known: &Totals) -> Result<Vec<Place>, StoreError> {
        let feed = self.store.feed(&self.system.id).await?;
        self.places_of(known, feed.as_ref()).await
    }

    /// Lists every place that trips, station lists or a state of the feed name.
    pub(super) async fn places_of(
        &self,
        known: &Totals,
        feed: Option<&FeedState>,
    ) -> Result<Vec<Place>, StoreError> {
        let stations = self.store.stations(&self.system.id).await?;
        let listed = feed.map(|feed| feed.listed.clone()).unwrap_or_default();
        let corrections = self.store.corrections(&self.system.id).await?;
        Ok(places::places(stations, &listed, known, &corrections))
    }

    /// Lists every place that trips, station lists or any snapshot name, also those that the newest one
    /// lacks and no trip names.
    pub(super) async fn places_of_the_past(
        &self,
        known: &Totals,
    ) -> Result<Vec<Place>, StoreError> {
        let stations = self.store.stations(&self.system.id).await?;
        let of_feed = stations
            .into_iter()
            .filter(|it| it.source == StationSource::Feed);
        let feed = FeedState {
            status_at: None,
            information_at: None,
            listed: of_feed.map(|station| station.id).collect(),
        };
        self.places_of(known, Some(&feed)).await
    }

    /// Lists the places that any snapshot has. Trips may use the id of one of them for another place, which is not
    /// among these.
    pub(super) async fn places_of_feed(&self, known: &Totals) -> Result<Vec<Place>, StoreError> {
        let mut places = self.places_of_the_past(known).await?;
        places.retain(|place| {
            let station = place.station.as_ref();
            station.is_some_and(|station| station.source == StationSource::Feed)
        });
        Ok(places)
    }

    /// Returns the indexes of the places that the station filter selects. `None` without that filter.
    pub(super) fn resolve_places(&self, places: &[Place], known: &Totals) -> Option<Vec<usize>> {
        let text = self.filters.station.as_ref()?;
        Some(places::resolve_places(places, text, known))
    }

    /// Returns the instants between which the local dates of the filters lie.
    pub(super) fn period(&self) -> (Timestamp, Timestamp) {
        let (from, to) = self.filters.started_ms().unwrap_or((i64::MIN, i64::MAX));
        (self.zone.instant(from), self.zone.instant(to))
    }

    /// Formats an instant as local time of the system, RFC 3339.
    pub(super) fn instant(&self, at: Timestamp) -> String {
        self.zone.rfc3339(at)
    }

    /// Counts the trips that all filters let through, by group.
    pub(super) async fn grouped(
        &self,
        dims: &[Dim],
        needs: Needs,
    ) -> Result<CountedGroups, StoreError> {
        let of_stations = self.filters.station.is_some() || dims.contains(&Dim::Station);
        let somewhere = Origins::default();
        let mut query = Query {
            dims,
            needs,
            filters: self.filters,
            origins: of_stations.then_some(&somewhere),
            area: self.system.area,
        };
        let source = CubeSource::of(&query).filter(|_| !self.reads_trips);
        let parts = source.map_or(Parts::NONE, |source| source.parts(self.filters));
        let mut known = self.known(parts).await?;
        let mut places = Vec::new();
        let origins;
        if of_stations {
            places = self.places(&known.totals).await?;
            origins = self.origins(&places, &known.totals);
            query.origins = Some(&origins);
        }
        let (groups, how) = match source {
            Some(source) => {
                let cube = std::mem::take(&mut known.totals.cube);
                (source.answer(&cube, &query), from_the_cube(parts))
            }
            None => {
                let projection = grouping::projection(&query);
                let new = || TripCounter::new(&query);
                let (counted, read) = self.read(&projection, &new, &TripCounter::count).await?;
                let mut groups = Groups::default();
                counted
                    .into_iter()
                    .for_each(|part| part.add_to(&mut groups));
                (groups, read)
            }
        };
        let narrowed = of_stations || self.filters.narrow_trips();
        let trips = groups.by_group.values().map(|counts| counts.trips).sum();
        Ok(CountedGroups {
            counted: Counted {
                known,
                trips: narrowed.then_some(trips),
                how,
                with_origin: dims.contains(&Dim::Station),
            },
            groups,
            places,
        })
    }

    fn origins(&self, places: &[Place], known: &Totals) -> Origins {
        let place_of = places.iter().zip(0..);
        let place_of =
            place_of.flat_map(|(place, at)| place.aliases().map(move |alias| (alias, at)));
        let only = self.resolve_places(places, known);
        let only = only.map(|only| only.into_iter().map(|at| at as i32).collect());
        Origins {
            place_of: place_of.map(|(alias, at)| (alias.clone(), at)).collect(),
            only,
        }
    }

    /// Counts the trips that the filters let through, by station: wherever they start.
    pub(super) async fn by_station(&self) -> Result<CountedStations, StoreError> {
        let filters = &Filters {
            station: None,
            ..self.filters.clone()
        };
        if !filters.narrow_trips() {
            let known = self.known(Parts::NONE).await?;
            let stations = known.totals.stations.0.iter();
            let ends =
                stations.map(|(id, totals)| (id.clone(), [totals.departures, totals.arrivals]));
            let flags = &known.totals.flags;
            return Ok(CountedStations {
                ends: ends.collect(),
                unmatched: NO_STATION.map(|flag| flags.get(flag)),
                counted: Counted {
                    known,
                    trips: None,
                    how: "from the totals over all trips".into(),
                    with_origin: false,
                },
            });
        }
        let days = filters.days();
        let parts = Parts {
            day_hours: true,
            station_days: Some((month_of(days.0), month_of(days.1))),
            ..Parts::NONE
        };
        let in_cube = filters.bike.is_none() && filters.hours.is_none() && !self.reads_trips;
        let (known, cube, _, how) = self.cube(in_cube, parts, filters, None).await?;
        let mut ends: HashMap<StationAlias, [i64; 2]> = HashMap::new();
        for month in cube.station_days.values() {
            month.kept().each(|station, rider, days| {
                if filters.has_rider(rider) {
                    let slot = ends.entry(station.clone()).or_default();
                    let days = days.iter().filter(|(day, _)| filters.has_day(*day));
                    for (_, [departures, arrivals]) in days {
                        slot[0] += departures;
                        slot[1] += arrivals;
                    }
                }
            });
        }
        let (mut trips, mut unmatched) = (0, [0; 2]);
        for (day, rider, bike, counts) in cube.day_hours.get().iter() {
            if filters.has_day(day) && filters.has_rider(rider) && filters.has_bike(bike) {
                trips += counts.starts.iter().sum::<i64>();
                unmatched[0] += counts.no_origin;
                unmatched[1] += counts.no_destination;
            }
        }
        Ok(CountedStations {
            counted: Counted {
                known,
                trips: Some(trips),
                how,
                with_origin: false,
            },
            ends,
            unmatched,
        })
    }

    /// Returns parts of the cube: as they are kept, or counted from the trips that `filters` let
    /// through and that start at one of the `origins`; then also how many these are.
    pub(super) async fn cube(
        &self,
        kept: bool,
        parts: Parts,
        filters: &Filters,
        origins: Option<&BTreeSet<StationAlias>>,
    ) -> Result<(Known, Cube, i64, String), StoreError> {
        if kept {
            let mut known = self.known(parts).await?;
            let cube = std::mem::take(&mut known.totals.cube);
            return Ok((known, cube, 0, from_the_cube(parts)));
        }
        let known = self.known(Parts::NONE).await?;
        let projection = Projection {
            started_ms: filters.started_ms(),
            origins: origins.map(ids_of),
            stations: true,
            ends: true,
            riders: filters.rider.is_some()
                || parts
                    != Parts {
                        routes: true,
                        ..Parts::NONE
                    },
            bikes: filters.bike.is_some() || parts.day_hours,
            people: parts.people,
            positions: false,
            flags: true,
        };
        let trips = AtomicU64::new(0);
        let count = |cube: &mut Cube, batch: &TripBatch| {
            let picked = filters.pick(batch);
            let starts_there: Option<Vec<bool>> = origins.map(|origins| {
                let aliases = batch.stations.iter();
                aliases
                    .map(|alias| origins.contains(&StationAlias::from(alias)))
                    .collect()
            });
            let counts = |row: usize| {
                let there = starts_there.as_ref();
                picked(row) && there.is_none_or(|there| there[batch.origin[row] as usize])
            };
            let rows = 0..batch.len() as u32;
            let rows: Vec<u32> = rows.filter(|row| counts(*row as usize)).collect();
            trips.fetch_add(rows.len() as u64, Ordering::Relaxed);
            cube.count_parts(parts, &batch.select(&rows), 1);
        };
        let (cubes, how) = self.read(&projection, &Cube::default, &count).await?;
        let mut cube = Cube::default();
        for part in cubes {
            cube.merge(&part);
        }
        Ok((known, cube, trips.into_inner() as i64, how))
    }

    /// Reads trips, and returns their number. Each reading thread counts separately, so none waits for
    /// another.
    async fn read<T: Send>(
        &self,
        projection: &Projection,
        new: &(dyn Fn() -> T + Send + Sync),
        count: &(dyn Fn(&mut T, &TripBatch) + Send + Sync),
    ) -> Result<(Vec<T>, String), StoreError> {
        let read = AtomicU64::new(0);
        let counted: Mutex<Vec<T>> = Mutex::default();
        let free = || counted.lock().expect("no holder of this lock panics");
        self.store
            .scan_projection(&self.system.id, projection, &|batch| {
                read.fetch_add(batch.len() as u64, Ordering::Relaxed);
                let mine = free().pop();
                let mut mine = mine.unwrap_or_else(new);
                count(&mut mine, &batch.counted());
                free().push(mine);
                true
            })
            .await?;
        let read = plural(read.into_inner() as i64, "trip");
        let counted = counted.into_inner().expect("no holder of this lock panics");
        Ok((counted, format!("not pre-aggregated; scanned {read}")))
    }

    /// Returns the number of rows that will be shown. `None` if all are, or if another order than the
    /// report's own is requested.
    pub(super) fn shown(&self) -> Option<usize> {
        self.filters.top.filter(|_| self.filters.sort.is_none())
    }

    /// Puts places on a map, with departures and arrivals by place.
    pub(super) fn map(
        &self,
        places: &[Place],
        known: &Totals,
        ends: &BTreeMap<usize, [i64; 2]>,
    ) -> Map {
        let stations = places.iter().enumerate().filter_map(|(at, place)| {
            let (latitude, longitude) = place.position(known)?;
            let [departures, arrivals] = ends.get(&at).copied().unwrap_or_default();
            Some(MapStation {
                id: place.id.to_string(),
                name: place.name(known).unwrap_or_default().to_owned(),
                latitude: latitude.to_f64(),
                longitude: longitude.to_f64(),
                trips: departures + arrivals,
                net: arrivals - departures,
            })
        });
        Map {
            stations: stations.collect(),
        }
    }

    /// Writes the notes on what was counted.
    pub(super) fn scope(&self, counted: &Counted, filters: &Filters) -> Vec<Note> {
        let known = &counted.known.totals;
        let name = &self.system.name;
        let Some(range) = known.days.range() else {
            let text = format!("{name}: no trips are stored yet: divvy load FILE.zip loads some");
            return vec![Note::Scope(text)];
        };
        let stored = format!(
            "{name}: {} from {}, {}",
            plural(known.trips, "trip"),
            archives(&counted.known.archives),
            dates(range),
        );
        let said = filters.to_string();
        let mut notes = Vec::new();
        match counted.trips.filter(|_| !said.is_empty()) {
            None => notes.push(Note::Scope(stored)),
            Some(trips) => {
                let which = if counted.with_origin && filters.station.is_none() {
                    " with an origin"
                } else {
                    ""
                };
                let trips_counted = plural(trips, "trip");
                let text = format!("{trips_counted}{which} counted ({said}), of {stored}");
                notes.push(Note::Scope(text));
                if trips == 0 {
                    notes.push(Note::Warning(why_nothing(filters, known)));
                }
            }
        }
        notes
    }

    /// Refuses filters that the report cannot take.
    pub(super) fn check(&self, report: &dyn super::Report) -> Result<(), ReportError> {
        let takes = report.takes();
        // Groups are checked by themselves: not every report has all of them.
        let mut used = self.filters.used().filter(|filter| *filter != Filter::By);
        let Some(refused) = used.find(|filter| !takes.contains(filter)) else {
            return Ok(());
        };
        Err(ReportError::Filter {
            report: report.name().to_owned(),
            refused,
            takes,
        })
    }
}

/// Lists the ids of aliases.
fn ids_of(aliases: &BTreeSet<StationAlias>) -> Vec<StationId> {
    let ids: BTreeSet<StationId> = aliases.iter().map(StationAlias::id).collect();
    ids.into_iter().collect()
}

/// The flags of trips that are counted at no station.
pub(super) const NO_STATION: [crate::model::Flag; 2] = [
    crate::model::Flag::NoOrigin,
    crate::model::Flag::NoDestination,
];
