//! Departures, arrivals, positions and names of stations, from the trips.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::model::{NONE_I32, Position, StationId, TripBatch};

/// Counts by station id, as published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stations(pub BTreeMap<StationId, StationTotals>);

/// The totals of one station.
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

    /// Returns the mean position in millionths of a degree.
    pub fn position_micro(&self) -> Option<(i32, i32)> {
        let at = self.position()?;
        Some((
            (at.latitude * 1e6).round() as i32,
            (at.longitude * 1e6).round() as i32,
        ))
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
        let rounded = latitude % 10_000 == 0 && longitude % 10_000 == 0; // 0, 0 among them
        if latitude != NONE_I32 && longitude != NONE_I32 && !rounded {
            self.positions += times;
            self.latitudes += times * i64::from(latitude);
            self.longitudes += times * i64::from(longitude);
        }
    }
}

impl Stations {
    /// Returns the departures from a station; 0 for one that no trip names.
    pub fn departures(&self, id: &StationId) -> i64 {
        self.0.get(id).map_or(0, |totals| totals.departures)
    }

    /// Lists the stations at which a trip starts.
    pub fn origins(&self) -> impl Iterator<Item = StationId> {
        let starting = self.0.iter().filter(|(_, totals)| totals.departures != 0);
        starting.map(|(id, _)| id.clone())
    }

    fn add(&mut self, id: StationId, totals: &StationTotals) {
        let mine = self.0.entry(id.clone()).or_default();
        mine.add(totals);
        if *mine == StationTotals::default() {
            self.0.remove(&id);
        }
    }
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
                self.add(StationId::from(id), totals);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (id, totals) in &other.0 {
            self.add(id.clone(), totals);
        }
    }
}

/// What files call their stations, and between which days.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Names(BTreeMap<StationId, BTreeMap<Box<str>, (i32, i32)>>);

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
    /// Lists the names of a station, the latest first (of two, the one that came later, then the
    /// smaller).
    pub fn of(&self, id: &StationId) -> Vec<NameSeen<'_>> {
        let mut names: Vec<NameSeen<'_>> = self
            .0
            .get(id)
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

    /// Returns the latest name of a station.
    pub fn latest(&self, id: &StationId) -> Option<&str> {
        self.of(id).first().map(|seen| seen.name)
    }

    /// Lists every name of every station.
    pub fn iter(&self) -> impl Iterator<Item = (&StationId, &str)> {
        let names = |(id, names)| {
            let names: &BTreeMap<Box<str>, (i32, i32)> = names;
            names.keys().map(move |name| (id, &**name))
        };
        self.0.iter().flat_map(names)
    }

    fn see(&mut self, id: StationId, name: &str, days: (i32, i32)) {
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
                StationId::from(batch.stations.text(name.station)),
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
