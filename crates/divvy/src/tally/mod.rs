//! Counts over trips that merge: split the trips anywhere, count the parts, add them up, and the
//! answer is the same.
//!
//! Every count can also be taken back (`times` -1), which is how a store repairs its totals when
//! a trip turns out to be the worse copy of another.

mod cube;
mod day_hours;
mod days;
mod durations;
mod flags;
mod packed;
mod people;
mod riders;
mod routes;
mod rows;
mod sparse;
mod station_grid;
mod stations;
mod unused_hours;

use serde::{Deserialize, Serialize};

pub use cube::{Cube, Part, Parts};
pub use day_hours::{DayCounts, DayHours};
pub use days::Days;
pub use durations::{Durations, Spread};
pub use flags::FlagCounts;
pub use packed::{NoPart, Sealed};
pub use people::{People, Person};
pub use riders::Riders;
pub use routes::{DURATION_ERROR, KeptRoutes, Route, Routes, median_s};
pub use station_grid::{KeptGrid, StationGrid};
pub use stations::{NameSeen, Names, StationTotals, Stations};

pub(crate) use self::unused_hours::UnusedHours;
use crate::model::{StationAlias, TripBatch, comparable_name};

/// A count over trips.
pub trait Tally: Default {
    /// Counts every trip of the batch `times` times: 1, or -1 to take it back.
    fn count(&mut self, batch: &TripBatch, times: i64);

    /// Adds another tally's counts to these.
    fn merge(&mut self, other: &Self);
}

/// Every tally that is kept, over one archive or over all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Trips.
    pub trips: i64,
    /// Departures, arrivals and positions by station id.
    pub stations: Stations,
    hours: UnusedHours,
    /// Trips by local date of the start.
    pub days: Days,
    /// Trips by rider and bike type.
    pub riders: Riders,
    /// Trips by flag.
    pub flags: FlagCounts,
    /// What the files call their stations. A fact about files, so never taken back.
    pub names: Names,
    /// Counts for reports that group and filter. Parts that were not read are empty.
    pub cube: Cube,
}

impl Totals {
    /// Returns whether the aliases of trips lack what is known of their stations, names or positions, as in
    /// archives that older programs loaded.
    pub fn has_incomplete_aliases(&self) -> bool {
        let lacks_cells = || {
            let mut totals = self.stations.0.values();
            totals.any(|totals| totals.position().is_some())
                && !self.stations.0.keys().any(StationAlias::has_cell)
        };
        self.lacks_names_of_trips() || lacks_cells()
    }

    fn lacks_names_of_trips(&self) -> bool {
        let mut nameless = self
            .stations
            .0
            .keys()
            .filter(|alias| alias.name().is_none());
        nameless.any(|alias| {
            let published = self.names.of(alias);
            let names = published.iter().map(|seen| seen.name);
            // A file whose ids are the names has them in the ids.
            names
                .filter(|name| *name != alias.id_str())
                .any(|name| comparable_name(name).is_some())
        })
    }
}

impl Tally for Totals {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        let Self {
            trips,
            stations,
            hours: UnusedHours,
            days,
            riders,
            flags,
            names,
            cube,
        } = self;
        let batch = &*batch.counted();
        *trips += times * batch.len() as i64;
        stations.count(batch, times);
        days.count(batch, times);
        riders.count(batch, times);
        flags.count(batch, times);
        names.count(batch, times);
        cube.count(batch, times);
    }

    fn merge(&mut self, other: &Self) {
        let Self {
            trips,
            stations,
            hours: UnusedHours,
            days,
            riders,
            flags,
            names,
            cube,
        } = other;
        self.trips += trips;
        self.stations.merge(stations);
        self.days.merge(days);
        self.riders.merge(riders);
        self.flags.merge(flags);
        self.names.merge(names);
        self.cube.merge(cube);
    }
}

/// Batches with more words than this (a broken file's) are counted the slow way: dense counters
/// have a place for each word.
const FEW_WORDS: usize = 64;

/// Adds `n` to an entry of a map of counts, and drops the entry when nothing is left, so that
/// counting and taking back leaves the map as it was.
fn add<K: Ord>(counts: &mut std::collections::BTreeMap<K, i64>, key: K, n: i64) {
    use std::collections::btree_map::Entry;
    match counts.entry(key) {
        Entry::Vacant(slot) if n != 0 => {
            slot.insert(n);
        }
        Entry::Vacant(_) => {}
        Entry::Occupied(mut slot) => {
            *slot.get_mut() += n;
            if *slot.get() == 0 {
                slot.remove();
            }
        }
    }
}
