//! Trips by group: from the cube where it has them, else from the trips themselves.

use std::collections::{BTreeMap, HashMap};

use rustc_hash::FxHashMap;

use super::dims::{Dim, Group, weekday_of};
use super::filters::Filters;
use super::measures::{Cell, Needs};
use crate::model::civil_date::{date_of, day_of_ms, month_of};
use crate::model::{Flag, Flags, NONE_I16, NONE_I32, Position, Rider, StationId, TripBatch};
use crate::store::Wanted;
use crate::tally::{Cube, DayHours, Durations, FlagCounts, KeptGrid, Parts, People, Tally};

/// Groups by which at most a report can ask.
pub(super) const MOST_DIMS: usize = 3;

/// A group as small numbers, one a dimension.
type Key = [i32; MOST_DIMS];

/// Trips by group.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub cells: BTreeMap<Vec<Group>, Cell>,
    /// Flags of the trips counted. `None` where the cube does not know.
    pub flags: Option<FlagCounts>,
}

/// Where trips start, for who groups or narrows by station.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// The place of each id.
    pub place_of: HashMap<StationId, i32>,
    /// The places that are asked for. `None` for all.
    pub only: Option<Vec<i32>>,
}

impl Origins {
    /// Finds the place of an id. `None` for one that is not asked for.
    fn find(&self, id: &StationId) -> Option<i32> {
        let place = *self.place_of.get(id)?;
        let wanted = self.only.as_ref().is_none_or(|only| only.contains(&place));
        wanted.then_some(place)
    }
}

/// What is asked.
pub(super) struct Ask<'a> {
    pub dims: &'a [Dim],
    pub needs: Needs,
    pub filters: &'a Filters,
    /// `None` where stations do not matter.
    pub origins: Option<&'a Origins>,
}

/// Which parts of the cube answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    trips: Source,
    durations: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    DayHours,
    People,
    StationHours,
    StationDays,
}

impl Plan {
    /// Finds the parts of the cube that answer. `None` where the trips must be read.
    pub(super) fn new(ask: &Ask<'_>) -> Option<Self> {
        let Ask {
            dims,
            needs,
            filters,
            origins,
        } = ask;
        let within = |allowed: &dyn Fn(Dim) -> bool| dims.iter().all(|dim| allowed(*dim));
        let dated = filters.from.is_some() || filters.to.is_some();
        let by_hour = filters.hours.is_some();
        let by_weekday = filters.weekdays.is_some();
        if needs.distances {
            return None;
        }
        if needs.durations {
            let kinds = within(&|dim| matches!(dim, Dim::Rider | Dim::Bike));
            if !kinds || dated || by_hour || by_weekday || origins.is_some() {
                return None;
            }
        }
        let plain = !needs.stops && !needs.ends;
        let days = |dim: Dim| dim.is_of_day();
        let day_hours = within(&|d| days(d) || matches!(d, Dim::Rider | Dim::Bike | Dim::Hour))
            && origins.is_none()
            && !(needs.stops && by_hour)
            && !(needs.ends && (by_hour || dims.contains(&Dim::Hour)));
        let no_bike = filters.bike.is_none();
        let people = within(&|dim| {
            let of_people = matches!(dim, Dim::Gender | Dim::BirthYear | Dim::Age);
            of_people || matches!(dim, Dim::Rider | Dim::Year)
        });
        let people = people && plain && origins.is_none() && no_bike && !by_hour && !by_weekday;
        let people = people && whole_years(filters);
        let station_hours =
            within(&|dim| matches!(dim, Dim::Rider | Dim::Station | Dim::Weekday | Dim::Hour));
        let station_hours = station_hours && plain && no_bike && !dated;
        let station_days = within(&|dim| days(dim) || matches!(dim, Dim::Rider | Dim::Station));
        let station_days = station_days && plain && no_bike && !by_hour;
        let stations = origins.is_some();
        let trips = match () {
            () if day_hours => Source::DayHours,
            () if people => Source::People,
            () if stations && station_hours => Source::StationHours,
            () if stations && station_days => Source::StationDays,
            () => return None,
        };
        Some(Self {
            trips,
            durations: needs.durations,
        })
    }

    /// Returns the parts of the cube that are to be read.
    pub(super) fn parts(self, filters: &Filters) -> Parts {
        let (first, last) = filters.days();
        Parts {
            day_hours: self.trips == Source::DayHours,
            people: self.trips == Source::People,
            station_hours: self.trips == Source::StationHours,
            station_days: (self.trips == Source::StationDays)
                .then(|| (month_of(first), month_of(last))),
            durations: self.durations,
            routes: false,
        }
    }

    /// Answers from those parts.
    pub(super) fn answer(self, cube: &Cube, ask: &Ask<'_>) -> Groups {
        let mut coded = Coded::new(ask.dims);
        match self.trips {
            Source::DayHours => coded.day_hours(&cube.day_hours.get(), ask),
            Source::People => coded.people(&cube.people.get(), ask),
            Source::StationHours => coded.stations(&cube.station_hours.kept(), ask, true),
            Source::StationDays => {
                for month in cube.station_days.values() {
                    coded.stations(&month.kept(), ask, false);
                }
            }
        }
        if self.durations {
            coded.durations(&cube.durations.get(), ask);
        }
        let mut groups = Groups::default();
        coded.give(&mut groups);
        groups
    }
}

/// Tells whether dates narrow to whole years, if they do.
fn whole_years(filters: &Filters) -> bool {
    let starts = filters.from.is_none_or(|date| date.day_of_year() == 1);
    starts && filters.to.is_none_or(|date| date == date.last_of_year())
}

/// The year of a day since 1970-01-01.
fn year_of(day: i32) -> i32 {
    date_of(day).year().into()
}

/// Cells by group, as small numbers: thousands are added up in a report.
struct Coded<'a> {
    dims: &'a [Dim],
    words: [Vec<Group>; MOST_DIMS],
    cells: FxHashMap<Key, Cell>,
}

/// The code of a group that the file does not name.
const UNKNOWN: i32 = i32::MIN;

impl<'a> Coded<'a> {
    fn new(dims: &'a [Dim]) -> Self {
        Self {
            dims,
            words: Default::default(),
            cells: FxHashMap::default(),
        }
    }

    /// Gives a group that has a name a code.
    fn word(&mut self, place: usize, group: Group) -> i32 {
        let words = &mut self.words[place];
        let known = words.iter().position(|word| *word == group);
        known.unwrap_or_else(|| {
            words.push(group);
            words.len() - 1
        }) as i32
    }

    /// Makes the codes of a group; `code` gives those of numbers, `group` the names of others.
    fn key(
        &mut self,
        code: impl Fn(Dim) -> Option<i32>,
        group: impl Fn(Dim) -> Option<Group>,
    ) -> Key {
        let mut key = [UNKNOWN; MOST_DIMS];
        for (place, dim) in self.dims.iter().enumerate() {
            key[place] = match group(*dim) {
                Some(group) => self.word(place, group),
                None => code(*dim).unwrap_or(UNKNOWN),
            };
        }
        key
    }

    fn cell(&mut self, key: Key) -> &mut Cell {
        self.cells.entry(key).or_default()
    }

    fn give(self, groups: &mut Groups) {
        for (key, cell) in self.cells {
            let group = |(place, dim): (usize, &Dim)| match (dim, key[place]) {
                (_, UNKNOWN) => Group::Unknown,
                (Dim::Rider | Dim::Bike | Dim::Gender, word) => {
                    self.words[place][word as usize].clone()
                }
                (_, number) => Group::Number(number),
            };
            let key: Vec<Group> = self.dims.iter().enumerate().map(group).collect();
            groups.cells.entry(key).or_default().add(&cell);
        }
    }

    fn day_hours(&mut self, days: &DayHours, ask: &Ask<'_>) {
        let hour_at = self.dims.iter().position(|dim| *dim == Dim::Hour);
        for (day, rider, bike, counts) in days.iter() {
            let filters = ask.filters;
            if !(filters.has_day(day) && filters.has_rider(rider) && filters.has_bike(bike)) {
                continue;
            }
            let mut key = self.key(
                |dim| day_code(dim, day),
                |dim| match dim {
                    Dim::Rider => Some(Group::Rider(rider.clone())),
                    Dim::Bike => Some(Group::word(bike)),
                    _ => None,
                },
            );
            if let Some(place) = hour_at {
                for hour in 0..24 {
                    let trips = match filters.has_hour(hour) {
                        true => counts.starts[hour],
                        false => 0,
                    };
                    let stops = if ask.needs.stops {
                        counts.stops[hour]
                    } else {
                        0
                    };
                    if trips != 0 || stops != 0 {
                        key[place] = hour as i32;
                        let cell = self.cell(key);
                        cell.trips += trips;
                        cell.stops += stops;
                    }
                }
                continue;
            }
            let hours = (0..24).filter(|hour| filters.has_hour(*hour));
            let trips: i64 = hours.map(|hour| counts.starts[hour]).sum();
            if trips == 0 {
                continue;
            }
            let cell = self.cell(key);
            cell.trips += trips;
            if ask.needs.stops {
                cell.stops += counts.stops.iter().sum::<i64>();
            }
            if ask.needs.ends {
                cell.no_origin += counts.no_origin;
                cell.no_destination += counts.no_destination;
                cell.dockless += counts.dockless;
                cell.round_trips += counts.round_trips;
            }
        }
    }

    fn people(&mut self, people: &People, ask: &Ask<'_>) {
        let year = |date: Option<jiff::civil::Date>| date.map(|date| date.year());
        let (from, to) = (year(ask.filters.from), year(ask.filters.to));
        for (person, trips) in people.iter() {
            let in_time = from.is_none_or(|from| from <= person.year)
                && to.is_none_or(|to| person.year <= to);
            if !in_time || !ask.filters.has_rider(&person.rider) {
                continue;
            }
            let born = person.birth_year.map(i32::from);
            let key = self.key(
                |dim| match dim {
                    Dim::Year => Some(person.year.into()),
                    Dim::BirthYear => born,
                    Dim::Age => born.map(|born| i32::from(person.year) - born),
                    _ => None,
                },
                |dim| match dim {
                    Dim::Rider => Some(Group::Rider(person.rider.clone())),
                    Dim::Gender => Some(Group::word(&person.gender)),
                    _ => None,
                },
            );
            self.cell(key).trips += trips;
        }
    }

    /// Counts departures of a grid, be its periods hours of the week or days.
    fn stations(&mut self, grid: &KeptGrid<'_>, ask: &Ask<'_>, of_week: bool) {
        let filters = ask.filters;
        grid.each(|station, rider, periods| {
            let place = ask.origins.and_then(|origins| origins.find(station));
            let Some(place) = place.filter(|_| filters.has_rider(rider)) else {
                return;
            };
            for (period, [departures, _]) in periods.iter().copied() {
                let counts = match of_week {
                    true => {
                        filters.has_weekday(period / 24) && filters.has_hour(period as usize % 24)
                    }
                    false => filters.has_day(period),
                };
                if !counts || departures == 0 {
                    continue;
                }
                let key = self.key(
                    |dim| match (dim, of_week) {
                        (Dim::Station, _) => Some(place),
                        (Dim::Weekday, true) => Some(period / 24),
                        (Dim::Hour, true) => Some(period % 24),
                        (dim, _) => day_code(dim, period),
                    },
                    |dim| (dim == Dim::Rider).then(|| Group::Rider(rider.clone())),
                );
                self.cell(key).trips += departures;
            }
        });
    }

    fn durations(&mut self, durations: &Durations, ask: &Ask<'_>) {
        for (rider, bike, seconds) in durations.iter() {
            if !ask.filters.has_rider(rider) || !ask.filters.has_bike(bike) {
                continue;
            }
            let key = self.key(
                |_| None,
                |dim| match dim {
                    Dim::Rider => Some(Group::Rider(rider.clone())),
                    Dim::Bike => Some(Group::word(bike)),
                    _ => None,
                },
            );
            let cell = self.cell(key);
            for (second, n) in seconds {
                *cell.durations.entry(second).or_default() += n;
            }
        }
    }
}

/// Returns the code of a day in a dimension of days.
fn day_code(dim: Dim, day: i32) -> Option<i32> {
    match dim {
        Dim::Year => Some(year_of(day)),
        Dim::Month => Some(month_of(day)),
        Dim::Date => Some(day),
        Dim::Weekday => Some(weekday_of(day)),
        _ => None,
    }
}

/// Flags of trips whose distance says nothing.
pub(super) const NO_DISTANCE: Flags =
    Flags::from_bits(Flag::NoCoordinates as u16 | Flag::FarAway as u16);

/// Returns the columns that an answer from the trips wants.
pub(super) fn wanted(ask: &Ask<'_>) -> Wanted {
    let by = |dim| ask.dims.contains(&dim);
    let filters = ask.filters;
    Wanted {
        started_ms: filters.started_ms(),
        stations: ask.origins.is_some() || ask.needs.ends,
        ends: ask.needs.stops || ask.needs.durations,
        riders: by(Dim::Rider) || filters.rider.is_some(),
        bikes: by(Dim::Bike) || filters.bike.is_some(),
        people: by(Dim::Gender) || by(Dim::BirthYear) || by(Dim::Age),
        positions: ask.needs.distances,
        flags: true,
    }
}

/// Cells by group, counted from batches of trips.
pub(super) struct Counting<'a> {
    ask: &'a Ask<'a>,
    coded: Coded<'a>,
    /// Places in `cells`.
    places: FxHashMap<Key, u32>,
    cells: Vec<(Key, Cell)>,
    flags: FlagCounts,
    durations: Values,
    distances: Values,
}

impl<'a> Counting<'a> {
    pub(super) fn new(ask: &'a Ask<'a>) -> Self {
        Self {
            ask,
            coded: Coded::new(ask.dims),
            places: FxHashMap::default(),
            cells: Vec::new(),
            flags: FlagCounts::default(),
            durations: Values::default(),
            distances: Values::default(),
        }
    }

    /// Finds the place of a cell.
    fn cell(&mut self, key: Key) -> u32 {
        *self.places.entry(key).or_insert_with(|| {
            self.cells.push((key, Cell::default()));
            self.cells.len() as u32 - 1
        })
    }

    /// Counts the picked trips of a batch.
    pub(super) fn count(&mut self, batch: &TripBatch) {
        let ask = self.ask;
        let picked = ask.filters.pick(batch);
        let places: Option<Vec<Option<i32>>> = ask.origins.map(|origins| {
            let ids = batch.stations.iter();
            ids.map(|id| origins.find(&StationId::from(id))).collect()
        });
        let starts_there = |row: usize| {
            let places = places.as_ref();
            places.is_none_or(|places| places[batch.origin[row] as usize].is_some())
        };
        let rows: Vec<usize> = (0..batch.len())
            .filter(|row| picked(*row) && starts_there(*row))
            .collect();
        let codes = self.codes(batch, &rows, places.as_deref());
        let hour_at = ask.dims.iter().position(|dim| *dim == Dim::Hour);
        for (place, row) in rows.iter().copied().enumerate() {
            let mut key = [UNKNOWN; MOST_DIMS];
            for (code, codes) in key.iter_mut().zip(&codes) {
                *code = codes[place];
            }
            let at = self.cell(key);
            let cell = &mut self.cells[at as usize].1;
            cell.trips += 1;
            self.flags.count_one(batch.flags[row], 1);
            if ask.needs.ends {
                let (from, to) = (batch.origin[row], batch.destination[row]);
                cell.no_origin += i64::from(from == 0);
                cell.no_destination += i64::from(to == 0);
                cell.dockless += i64::from(from == 0 || to == 0);
                cell.round_trips += i64::from(from == to && from != 0);
            }
            if ask.needs.durations && !batch.flags[row].intersects(Flags::IMPLAUSIBLE_DURATION) {
                self.durations.add(at, batch.duration_s(row) as u32);
            }
            if ask.needs.distances
                && !batch.flags[row].intersects(NO_DISTANCE)
                && let Some(metres) = distance_m(batch, row)
            {
                self.distances.add(at, metres);
            }
            if ask.needs.stops {
                if let Some(place) = hour_at {
                    key[place] = hour_of(batch.ended_ms[row]);
                }
                let at = self.cell(key);
                self.cells[at as usize].1.stops += 1;
            }
        }
        self.durations
            .settle(&mut self.cells, |cell| &mut cell.durations);
        self.distances
            .settle(&mut self.cells, |cell| &mut cell.distances);
    }

    /// Returns the codes of the rows, by dimension.
    fn codes(
        &mut self,
        batch: &TripBatch,
        rows: &[usize],
        places: Option<&[Option<i32>]>,
    ) -> Vec<Vec<i32>> {
        // Days are few: each is looked up in the calendar once.
        let mut years: FxHashMap<i32, i32> = FxHashMap::default();
        let coded = &mut self.coded;
        let code = |(place, dim): (usize, &Dim)| {
            let mut of_day = |dim: Dim, row: usize| -> i32 {
                let day = day_of_ms(batch.started_ms[row]);
                let code = years.entry(day);
                *code.or_insert_with(|| day_code(dim, day).unwrap_or(UNKNOWN))
            };
            let mut of_words = |column: &[u32], group: &dyn Fn(&str) -> Group| {
                let words = batch.words.iter();
                let words: Vec<i32> = words.map(|word| coded.word(place, group(word))).collect();
                let codes = rows.iter().map(|row| words[column[*row] as usize]);
                codes.collect::<Vec<i32>>()
            };
            let born = |row: usize| match batch.birth_year[row] {
                NONE_I16 => None,
                year => Some(i32::from(year)),
            };
            let rows = || rows.iter().copied();
            let codes = match dim {
                Dim::Rider => of_words(&batch.rider, &|word| Group::Rider(Rider::parse(word))),
                Dim::Bike => of_words(&batch.bike, &Group::word),
                Dim::Gender => of_words(&batch.gender, &Group::word),
                Dim::BirthYear => rows().map(|row| born(row).unwrap_or(UNKNOWN)).collect(),
                Dim::Age => rows()
                    .map(|row| match born(row) {
                        Some(born) => of_day(Dim::Year, row) - born,
                        None => UNKNOWN,
                    })
                    .collect(),
                Dim::Hour => rows().map(|row| hour_of(batch.started_ms[row])).collect(),
                Dim::Station => rows()
                    .map(|row| places?[batch.origin[row] as usize])
                    .map(|place| place.unwrap_or(UNKNOWN))
                    .collect(),
                Dim::Year | Dim::Month | Dim::Date | Dim::Weekday => {
                    rows().map(|row| of_day(*dim, row)).collect()
                }
            };
            years.clear();
            codes
        };
        self.ask.dims.iter().enumerate().map(code).collect()
    }

    /// Adds what has been counted.
    pub(super) fn give(mut self, groups: &mut Groups) {
        self.durations
            .give(&mut self.cells, |cell| &mut cell.durations);
        self.distances
            .give(&mut self.cells, |cell| &mut cell.distances);
        self.coded.cells = self.cells.into_iter().collect();
        self.coded.give(groups);
        groups.flags.get_or_insert_default().merge(&self.flags);
    }
}

/// Returns the hour of the day of a local time.
fn hour_of(local_ms: i64) -> i32 {
    const HOUR_MS: i64 = 3_600_000;
    local_ms.div_euclid(HOUR_MS).rem_euclid(24) as i32
}

/// Durations or distances of the cells, and how often each occurs.
#[derive(Default)]
struct Values {
    /// By place and value: quick, and large, so only the first cells have it.
    dense: Vec<Vec<u32>>,
    /// Place and value in one number: sorted after each batch.
    others: Vec<u64>,
}

/// Values and how often each occurs.
type Counts = BTreeMap<i64, i64>;

impl Values {
    fn add(&mut self, place: u32, value: u32) {
        const DENSE_CELLS: u32 = 64;
        const DENSE_VALUES: u32 = 1 << 17;
        if place >= DENSE_CELLS || value >= DENSE_VALUES {
            self.others.push(u64::from(place) << 32 | u64::from(value));
            return;
        }
        let place = place as usize;
        if self.dense.len() <= place {
            self.dense.resize_with(place + 1, Vec::new);
        }
        let counts = &mut self.dense[place];
        if counts.len() <= value as usize {
            counts.resize((value as usize + 1).next_power_of_two(), 0);
        }
        counts[value as usize] += 1;
    }

    /// Puts those that are not dense into their cells.
    fn settle(&mut self, cells: &mut [(Key, Cell)], of: fn(&mut Cell) -> &mut Counts) {
        self.others.sort_unstable();
        for same in self.others.chunk_by(|a, b| a == b) {
            let cell = &mut cells[(same[0] >> 32) as usize].1;
            let value = i64::from(same[0] as u32);
            *of(cell).entry(value).or_default() += same.len() as i64;
        }
        self.others.clear();
    }

    /// Puts those that are dense into their cells.
    fn give(&self, cells: &mut [(Key, Cell)], of: fn(&mut Cell) -> &mut Counts) {
        for (counts, (_, cell)) in self.dense.iter().zip(cells) {
            let some = (0..).zip(counts).filter(|(_, n)| **n != 0);
            for (value, n) in some {
                *of(cell).entry(value).or_default() += i64::from(*n);
            }
        }
    }
}

/// Returns the great-circle distance between the ends of a row in whole metres.
fn distance_m(batch: &TripBatch, row: usize) -> Option<u32> {
    let point = |latitude: i32, longitude: i32| {
        let known = latitude != NONE_I32 && longitude != NONE_I32;
        known.then(|| Position::from_micro(latitude, longitude))
    };
    let from = point(batch.from_latitude[row], batch.from_longitude[row])?;
    let to = point(batch.to_latitude[row], batch.to_longitude[row])?;
    Some(from.distance_m(to).round() as u32)
}
