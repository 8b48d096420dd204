//! Departures, arrivals, positions and names of stations, from the trips.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::model::{NONE_I32, Position, StationAlias, StationId, TripBatch};

/// Counts by alias of the station.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stations(pub BTreeMap<StationAlias, StationTotals>);

/// The totals of one alias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationTotals {
    /// Trips that start here.
    pub departures: i64,
    /// Trips that end here.
    pub arrivals: i64,
    /// Ends of trips whose coordinates have more than two decimals.
    positions: i64,
    /// Sum of their latitudes, millionths of a degree.
    latitudes: i64,
    /// Sum of their longitudes, millionths of a degree.
    longitudes: i64,
}

impl StationTotals {
    /// Returns the mean position of the trip ends here: good to some metres, since every trip
    /// reports its own. `None` where no trip has coordinates finer than two decimals (1 km).
    pub fn position(&self) -> Option<Position> {
        let mean = |sum: i64| sum as f64 / self.positions as f64 / 1e6;
        (self.positions > 0).then(|| Position {
            latitude: mean(self.latitudes),
            longitude: mean(self.longitudes),
        })
    }

    fn add(&mut self, other: &Self) {
        self.departures += other.departures;
        self.arrivals += other.arrivals;
        self.positions += other.positions;
        self.latitudes += other.latitudes;
        self.longitudes += other.longitudes;
    }

    /// Counts the position of one trip end, unless it is missing, zero or rounded.
    fn place(&mut self, latitude: i32, longitude: i32, times: i64) {
        // 0, 0 is coarse.
        let is_coarse = Position::is_coarse(latitude, longitude);
        if latitude != NONE_I32 && longitude != NONE_I32 && !is_coarse {
            self.positions += times;
            self.latitudes += times * i64::from(latitude);
            self.longitudes += times * i64::from(longitude);
        }
    }
}

impl Stations {
    /// Returns the departures from a published id, over its aliases; 0 for one that no trip names, and
    /// where the sum is negative, which it is in differences of totals alone.
    pub fn departures(&self, id: &StationId) -> u64 {
        let departures: i64 = self.of_id(id).map(|(_, totals)| totals.departures).sum();
        departures.max(0) as u64
    }

    /// Lists the aliases of a published id.
    pub fn of_id(&self, id: &StationId) -> impl Iterator<Item = (&StationAlias, &StationTotals)> {
        let totals = self.0.range(StationAlias::range_of(id));
        let id = id.clone();
        totals.filter(move |(alias, _)| alias.id_str() == id.as_str())
    }

    /// Returns whether any trip uses an alias; where it has no cell, in any cell.
    pub fn has(&self, alias: &StationAlias) -> bool {
        self.0.contains_key(alias) || !alias.has_cell() && self.has_cells_of(alias)
    }

    /// Returns whether any trip uses the id and the name of an alias without a cell in a cell.
    pub fn has_cells_of(&self, alias: &StationAlias) -> bool {
        let behind = (Bound::Excluded(alias), Bound::Unbounded);
        let next = self.0.range(behind).next();
        next.is_some_and(|(other, _)| other.is_same_name(alias))
    }

    /// Returns the position of a station by the trip ends of its aliases: the mean in the cell with most of
    /// them and in cells within `radius_m` metres; of ends without a cell where none has one. `None` where no
    /// trip has a position.
    ///
    /// Few ends lie far away, by errors of satellite positions, and would move a mean over all of them.
    pub fn position<'a>(
        &self,
        aliases: impl Iterator<Item = &'a StationAlias> + Clone,
        radius_m: f64,
    ) -> Option<Position> {
        let in_cells = aliases.clone().filter(|alias| alias.has_cell());
        let totals = in_cells.filter_map(|alias| self.0.get(alias));
        let placed = totals.filter_map(|totals| Some((totals, totals.position()?)));
        // Of equally many ends the sums decide, so that the order of `aliases` does not matter.
        let by_ends = |(totals, _): &(&StationTotals, Position)| {
            (totals.positions, totals.latitudes, totals.longitudes)
        };
        let Some((_, center)) = placed.clone().max_by_key(by_ends) else {
            return self.sum(aliases).position();
        };
        let mut sum = StationTotals::default();
        placed
            .filter(|(_, position)| center.distance_m(*position) <= radius_m)
            .for_each(|(totals, _)| sum.add(totals));
        sum.position()
    }

    /// Returns the sum over aliases.
    pub fn sum<'a>(&self, aliases: impl Iterator<Item = &'a StationAlias>) -> StationTotals {
        let mut sum = StationTotals::default();
        aliases
            .filter_map(|alias| self.0.get(alias))
            .for_each(|totals| sum.add(totals));
        sum
    }

    /// Lists the published ids that trips name.
    pub fn ids(&self) -> impl Iterator<Item = StationId> {
        distinct_ids(self.0.keys())
    }

    /// Lists the published ids at which a trip starts.
    pub fn origins(&self) -> impl Iterator<Item = StationId> {
        let starting = self.0.iter().filter(|(_, totals)| totals.departures != 0);
        distinct_ids(starting.map(|(alias, _)| alias))
    }

    /// Counts departures by published id.
    pub fn departures_by_id(&self) -> BTreeMap<StationId, i64> {
        let mut by_id = BTreeMap::new();
        for (alias, totals) in &self.0 {
            *by_id.entry(alias.id()).or_default() += totals.departures;
        }
        by_id
    }

    fn add(&mut self, id: StationAlias, totals: &StationTotals) {
        let mine = self.0.entry(id.clone()).or_default();
        mine.add(totals);
        if *mine == StationTotals::default() {
            self.0.remove(&id);
        }
    }
}

/// Lists the ids of aliases that are in order, each once.
fn distinct_ids<'a>(
    aliases: impl Iterator<Item = &'a StationAlias>,
) -> impl Iterator<Item = StationId> {
    let mut last = None;
    aliases.filter_map(move |alias| {
        let id = alias.id_str();
        (last.replace(id) != Some(id)).then(|| id.into())
    })
}

impl Tally for Stations {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        let mut dense = vec![StationTotals::default(); batch.stations.len()];
        for row in 0..batch.len() {
            let origin = &mut dense[batch.origin[row] as usize];
            origin.departures += times;
            origin.place(batch.from_latitude[row], batch.from_longitude[row], times);
            let destination = &mut dense[batch.destination[row] as usize];
            destination.arrivals += times;
            destination.place(batch.to_latitude[row], batch.to_longitude[row], times);
        }
        // Index 0 is "no station": such trips are counted by their flags.
        for (id, totals) in batch.stations.iter().zip(&dense).skip(1) {
            if *totals != StationTotals::default() {
                self.add(StationAlias::from(id), totals);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (id, totals) in &other.0 {
            self.add(id.clone(), totals);
        }
    }
}

/// What files call their stations, and between which days: the spellings of each alias.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Names(BTreeMap<StationAlias, BTreeMap<Box<str>, (i32, i32)>>);

/// One name of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSeen<'a> {
    /// The name.
    pub name: &'a str,
    /// The first day of a trip under it, days since 1970-01-01.
    pub first_day: i32,
    /// The last day.
    pub last_day: i32,
}

impl Names {
    /// Lists the names of an alias, the latest first (of two, the one that came later, then the
    /// smaller).
    pub fn of(&self, alias: &StationAlias) -> Vec<NameSeen<'_>> {
        let mut names: Vec<NameSeen<'_>> = self
            .0
            .get(alias)
            .into_iter()
            .flatten()
            .map(|(name, (first_day, last_day))| NameSeen {
                name,
                first_day: *first_day,
                last_day: *last_day,
            })
            .collect();
        names.sort_by_key(|seen| (-seen.last_day, -seen.first_day, seen.name));
        names
    }

    /// Returns the first and the last day of the named trips of an alias, days since 1970-01-01. `None` where
    /// no trip has a name.
    pub fn days(&self, alias: &StationAlias) -> Option<(i32, i32)> {
        let days = self.0.get(alias)?.values().copied();
        days.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Returns what [`days`](Self::days) does, over some aliases.
    pub fn days_of<'a>(
        &self,
        aliases: impl Iterator<Item = &'a StationAlias>,
    ) -> Option<(i32, i32)> {
        let days = aliases.filter_map(|alias| self.days(alias));
        days.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Returns the latest name of an alias.
    pub fn latest(&self, alias: &StationAlias) -> Option<&str> {
        self.of(alias).first().map(|seen| seen.name)
    }

    /// Lists every name of every station.
    pub fn iter(&self) -> impl Iterator<Item = (&StationAlias, &str)> {
        let names = |(id, names)| {
            let names: &BTreeMap<Box<str>, (i32, i32)> = names;
            names.keys().map(move |name| (id, &**name))
        };
        self.0.iter().flat_map(names)
    }

    fn see(&mut self, id: StationAlias, name: &str, days: (i32, i32)) {
        let seen = self
            .0
            .entry(id)
            .or_default()
            .entry(name.into())
            .or_insert(days);
        *seen = (seen.0.min(days.0), seen.1.max(days.1));
    }
}

impl Tally for Names {
    /// Adds the names of the batch. Names are never removed.
    fn count(&mut self, batch: &TripBatch, _: i64) {
        for name in &batch.names {
            self.see(
                StationAlias::from(batch.stations.text(name.station)),
                &name.name,
                name.days,
            );
        }
    }

    fn merge(&mut self, other: &Self) {
        for (id, names) in &other.0 {
            for (name, days) in names {
                self.see(id.clone(), name, *days);
            }
        }
    }
}
