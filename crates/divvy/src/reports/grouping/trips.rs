//! Groups from the stored trips.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::coded::{Coded, Key, UNKNOWN};
use super::{Groups, MAX_DIMS, Origins, Query, Unplaced};
use crate::model::civil_date::day_of_ms;
use crate::model::{
    BoundingBox, Flag, Flags, NONE_I16, NONE_I32, Position, Rider, StationAlias, TripBatch,
};
use crate::reports::dims::{Dim, Group, age_in};
use crate::reports::measures::GroupCounts;
use crate::store::Projection;
use crate::tally::{FlagCounts, Tally};

/// The distance from the area of the system, in metres, up to which the ends of trips are believed.
/// Its stations may have spread since the area was drawn.
const PLAUSIBLE_OUTSIDE_M: f64 = 25_000.0;

/// Returns the columns that an answer from the trips needs.
pub(in crate::reports) fn projection(query: &Query<'_>) -> Projection {
    let by = |dim| query.dims.contains(&dim);
    let filters = query.filters;
    Projection {
        started_ms: filters.started_ms(),
        origins: query.origins.and_then(Origins::ids),
        stations: query.origins.is_some() || query.needs.ends,
        ends: query.needs.stops || query.needs.durations,
        riders: by(Dim::Rider) || filters.rider.is_some(),
        bikes: by(Dim::Bike) || filters.bike.is_some(),
        people: by(Dim::Gender) || by(Dim::BirthYear) || by(Dim::Age),
        positions: query.needs.distances,
        flags: true,
    }
}

/// Counts trips by group, batch by batch.
pub(in crate::reports) struct TripCounter<'a> {
    query: &'a Query<'a>,
    coded: Coded<'a>,
    /// Indexes in `groups`.
    indexes: FxHashMap<Key, u32>,
    groups: Vec<(Key, GroupCounts)>,
    flags: FlagCounts,
    durations: Values,
    distances: Values,
    unplaced: Unplaced,
    /// Where positions are plausible. `None` for everywhere.
    plausible: Option<BoundingBox>,
}

impl<'a> TripCounter<'a> {
    pub(in crate::reports) fn new(query: &'a Query<'a>) -> Self {
        Self {
            query,
            coded: Coded::new(query.dims),
            indexes: FxHashMap::default(),
            groups: Vec::new(),
            flags: FlagCounts::default(),
            durations: Values::default(),
            distances: Values::default(),
            unplaced: Unplaced::default(),
            plausible: query.area.map(|area| area.widened(PLAUSIBLE_OUTSIDE_M)),
        }
    }

    /// Returns the index of a group, and adds it if it is new.
    fn group(&mut self, key: Key) -> u32 {
        *self.indexes.entry(key).or_insert_with(|| {
            self.groups.push((key, GroupCounts::default()));
            self.groups.len() as u32 - 1
        })
    }

    /// Counts the trips of a batch that the filters let through.
    pub(in crate::reports) fn count(&mut self, batch: &TripBatch) {
        let query = self.query;
        let picked = query.filters.pick(batch);
        let places: Option<Vec<Option<i32>>> = query.origins.map(|origins| {
            let ids = batch.stations.iter();
            ids.map(|id| origins.find(&StationAlias::from(id)))
                .collect()
        });
        let starts_there = |row: usize| {
            let places = places.as_ref();
            places.is_none_or(|places| places[batch.origin[row] as usize].is_some())
        };
        let rows: Vec<usize> = (0..batch.len())
            .filter(|row| picked(*row) && starts_there(*row))
            .collect();
        let codes = self.codes(batch, &rows, places.as_deref());
        let end_codes: Vec<(usize, Vec<i32>)> = (query.dims.iter().enumerate())
            .filter(|_| query.needs.stops)
            .filter_map(|(at, dim)| Some((at, time_codes(*dim, &rows, &batch.ended_ms)?)))
            .collect();
        let name_of = if query.needs.ends {
            batch.without_cells()
        } else {
            Vec::new()
        };
        for (place, row) in rows.iter().copied().enumerate() {
            let mut key = [UNKNOWN; MAX_DIMS];
            for (code, codes) in key.iter_mut().zip(&codes) {
                *code = codes[place];
            }
            let at = self.group(key);
            let group = &mut self.groups[at as usize].1;
            group.trips += 1;
            self.flags.count_one(batch.flags[row], 1);
            if query.needs.ends {
                let (from, to) = (batch.origin[row], batch.destination[row]);
                group.no_origin += i64::from(from == 0);
                group.no_destination += i64::from(to == 0);
                group.dockless += i64::from(from == 0 || to == 0);
                group.round_trips +=
                    i64::from(from != 0 && name_of[from as usize] == name_of[to as usize]);
            }
            if query.needs.durations && !batch.flags[row].intersects(Flags::IMPLAUSIBLE_DURATION) {
                self.durations.add(at, batch.duration_s(row) as u32);
            }
            if query.needs.distances
                && let Some(metres) = self.distance_m(batch, row)
            {
                self.distances.add(at, metres);
            }
            if query.needs.stops {
                for (at, codes) in &end_codes {
                    key[*at] = codes[place];
                }
                let at = self.group(key);
                self.groups[at as usize].1.stops += 1;
            }
        }
        self.durations
            .add_others(&mut self.groups, |group| &mut group.durations);
        self.distances
            .add_others(&mut self.groups, |group| &mut group.distances);
    }

    /// Returns the codes of the rows, by dimension.
    fn codes(
        &mut self,
        batch: &TripBatch,
        rows: &[usize],
        places: Option<&[Option<i32>]>,
    ) -> Vec<Vec<i32>> {
        let coded = &mut self.coded;
        let code = |(place, dim): (usize, &Dim)| {
            if let Some(codes) = time_codes(*dim, rows, &batch.started_ms) {
                return codes;
            }
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
            let each_row = || rows.iter().copied();
            match dim {
                Dim::Rider => of_words(&batch.rider, &|word| Group::Rider(Rider::parse(word))),
                Dim::Bike => of_words(&batch.bike, &Group::word),
                Dim::Gender => of_words(&batch.gender, &Group::word),
                Dim::BirthYear => each_row().map(|row| born(row).unwrap_or(UNKNOWN)).collect(),
                Dim::Age => {
                    let years = time_codes(Dim::Year, rows, &batch.started_ms);
                    let years = years.into_iter().flatten();
                    let ages = each_row().zip(years);
                    let ages = ages.map(|(row, year)| age_in(year, born(row)?));
                    ages.map(|age| age.unwrap_or(UNKNOWN)).collect()
                }
                Dim::Station => each_row()
                    .map(|row| places?[batch.origin[row] as usize])
                    .map(|place| place.unwrap_or(UNKNOWN))
                    .collect(),
                Dim::Hour | Dim::Year | Dim::Month | Dim::Date | Dim::Weekday => Vec::new(),
            }
        };
        self.query.dims.iter().enumerate().map(code).collect()
    }

    /// Adds the counted trips to those of `groups`.
    pub(in crate::reports) fn add_to(mut self, groups: &mut Groups) {
        self.durations
            .add_dense(&mut self.groups, |group| &mut group.durations);
        self.distances
            .add_dense(&mut self.groups, |group| &mut group.distances);
        self.coded.groups = self.groups.into_iter().collect();
        self.coded.add_to(groups);
        groups.flags.get_or_insert_default().merge(&self.flags);
        groups.unplaced.add(self.unplaced);
    }

    /// Returns the great-circle distance between the ends of a row in whole metres. `None` if it is
    /// unknown, which is counted.
    fn distance_m(&mut self, batch: &TripBatch, row: usize) -> Option<u32> {
        let from = (batch.from_latitude[row], batch.from_longitude[row]);
        let to = (batch.to_latitude[row], batch.to_longitude[row]);
        let ends = [from, to];
        let is_none = |(latitude, longitude)| latitude == NONE_I32 || longitude == NONE_I32;
        let is_impossible = batch.flags[row].contains(Flag::NoCoordinates);
        if is_impossible || ends.into_iter().any(is_none) {
            self.unplaced.without += 1;
            return None;
        }
        if ends
            .into_iter()
            .any(|(latitude, longitude)| Position::is_coarse(latitude, longitude))
        {
            self.unplaced.coarse += 1;
            return None;
        }
        let [from, to] =
            ends.map(|(latitude, longitude)| Position::from_micro(latitude, longitude));
        let is_far = |end| self.plausible.is_some_and(|area| !area.contains(end));
        // Flagged while reading, so that nothing has to be compared for nearly all rows.
        if batch.flags[row].contains(Flag::FarAway) && (is_far(from) || is_far(to)) {
            self.unplaced.far += 1;
            return None;
        }
        Some(from.distance_m(to).round() as u32)
    }
}

/// Returns the codes of the rows in a dimension of times, of these local times. `None` for another
/// dimension.
fn time_codes(dim: Dim, rows: &[usize], local_ms: &[i64]) -> Option<Vec<i32>> {
    if dim == Dim::Hour {
        return Some(rows.iter().map(|row| hour_of(local_ms[*row])).collect());
    }
    if !dim.is_of_day() {
        return None;
    }
    // Days are few: each is looked up in the calendar once.
    let mut codes: FxHashMap<i32, i32> = FxHashMap::default();
    let code = |row: &usize| {
        let day = day_of_ms(local_ms[*row]);
        let code = codes.entry(day);
        *code.or_insert_with(|| dim.of_day(day).unwrap_or(UNKNOWN))
    };
    Some(rows.iter().map(code).collect())
}

/// Returns the hour of the day of a local time.
fn hour_of(local_ms: i64) -> i32 {
    const HOUR_MS: i64 = 3_600_000;
    local_ms.div_euclid(HOUR_MS).rem_euclid(24) as i32
}

/// How often each duration or distance occurs in each group.
#[derive(Default)]
struct Values {
    /// Counts by group and value: fast but large, so only for the first groups and small values.
    dense: Vec<Vec<u32>>,
    /// Index of the group and value in one number, one for each other trip of the batch.
    others: Vec<u64>,
}

/// The number of trips by value.
type Counts = BTreeMap<i64, i64>;

impl Values {
    fn add(&mut self, group: u32, value: u32) {
        const DENSE_GROUPS: u32 = 64;
        const DENSE_VALUES: u32 = 1 << 17;
        if group >= DENSE_GROUPS || value >= DENSE_VALUES {
            self.others.push(u64::from(group) << 32 | u64::from(value));
            return;
        }
        let group = group as usize;
        if self.dense.len() <= group {
            self.dense.resize_with(group + 1, Vec::new);
        }
        let counts = &mut self.dense[group];
        if counts.len() <= value as usize {
            counts.resize((value as usize + 1).next_power_of_two(), 0);
        }
        counts[value as usize] += 1;
    }

    /// Adds the others to their groups.
    fn add_others(
        &mut self,
        groups: &mut [(Key, GroupCounts)],
        of: fn(&mut GroupCounts) -> &mut Counts,
    ) {
        self.others.sort_unstable();
        for same in self.others.chunk_by(|a, b| a == b) {
            let group = &mut groups[(same[0] >> 32) as usize].1;
            let value = i64::from(same[0] as u32);
            *of(group).entry(value).or_default() += same.len() as i64;
        }
        self.others.clear();
    }

    /// Adds the dense counts to their groups.
    fn add_dense(
        &self,
        groups: &mut [(Key, GroupCounts)],
        of: fn(&mut GroupCounts) -> &mut Counts,
    ) {
        for (counts, (_, group)) in self.dense.iter().zip(groups) {
            let some = (0..).zip(counts).filter(|(_, n)| **n != 0);
            for (value, n) in some {
                *of(group).entry(value).or_default() += i64::from(*n);
            }
        }
    }
}
