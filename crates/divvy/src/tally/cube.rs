//! The cube: counts for reports, made when trips are loaded.
//!
//! ```text
//!  day_hours      day × hour × rider × bike       hours, weekdays, months, days, riders, growth, …
//!  station_days   station × day × rider           departures and arrivals; a part for each month
//!  station_hours  station × hour of week × rider  departures and arrivals
//!  routes         origin × destination            with durations in outline
//!  durations      second × rider × bike           exact
//!  people         year × birth year × gender × rider
//! ```
//!
//! A full station × day × hour cube is no saving: a month has nearly as many such cells as trips.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::packed::NoPart;
use super::rows::Rows;
use super::station_grid::Series;
use super::{DayHours, Durations, People, Routes, Sealed, StationGrid, Tally};
use crate::model::TripBatch;
use crate::model::civil_date::month_of;

/// Counts by what reports group and narrow by.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cube {
    /// Trips by day, hour, rider and kind of bike.
    pub day_hours: Sealed<DayHours>,
    /// Departures and arrivals by station, day and rider; by months since January 1970.
    pub station_days: BTreeMap<i32, Sealed<StationGrid>>,
    /// Departures and arrivals by station, hour of the week and rider.
    pub station_hours: Sealed<StationGrid>,
    /// Trips by origin and destination.
    pub routes: Sealed<Routes>,
    /// Durations by rider and kind of bike.
    pub durations: Sealed<Durations>,
    /// Trips by age, gender and rider.
    pub people: Sealed<People>,
}

/// Cubes are equal that count the same.
impl PartialEq for Cube {
    fn eq(&self, other: &Self) -> bool {
        let months = |cube: &Self| -> Vec<i32> {
            let counted = cube
                .station_days
                .iter()
                .filter(|(_, part)| !part.is_empty());
            counted.map(|(month, _)| *month).collect()
        };
        let months_of = months(self);
        months_of == months(other)
            && (months_of.iter())
                .all(|month| self.station_days.get(month) == other.station_days.get(month))
            && self.day_hours == other.day_hours
            && self.station_hours == other.station_hours
            && self.routes == other.routes
            && self.durations == other.durations
            && self.people == other.people
    }
}

/// A part of the cube, kept and read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// [`Cube::day_hours`].
    DayHours,
    /// [`Cube::station_days`] of one month, in months since January 1970.
    StationDays(i32),
    /// [`Cube::station_hours`].
    StationHours,
    /// [`Cube::routes`].
    Routes,
    /// [`Cube::durations`].
    Durations,
    /// [`Cube::people`].
    People,
}

impl Part {
    /// Returns the name under which stores keep it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DayHours => "day_hours",
            Self::StationDays(_) => "station_days",
            Self::StationHours => "station_hours",
            Self::Routes => "routes",
            Self::Durations => "durations",
            Self::People => "people",
        }
    }

    /// Returns the month that it is of. 0 for a part over all months.
    pub fn month(self) -> i32 {
        match self {
            Self::StationDays(month) => month,
            _ => 0,
        }
    }

    /// Finds a part by its name and month.
    pub fn named(name: &str, month: i32) -> Option<Self> {
        let parts = [
            Self::DayHours,
            Self::StationDays(month),
            Self::StationHours,
            Self::Routes,
            Self::Durations,
            Self::People,
        ];
        parts.into_iter().find(|part| part.name() == name)
    }
}

/// A selection of parts of the cube.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// [`Cube::day_hours`].
    pub day_hours: bool,
    /// [`Cube::station_days`] from the first to the last of these months.
    pub station_days: Option<(i32, i32)>,
    /// [`Cube::station_hours`].
    pub station_hours: bool,
    /// [`Cube::routes`].
    pub routes: bool,
    /// [`Cube::durations`].
    pub durations: bool,
    /// [`Cube::people`].
    pub people: bool,
}

impl Parts {
    /// No part.
    pub const NONE: Self = Self {
        day_hours: false,
        station_days: None,
        station_hours: false,
        routes: false,
        durations: false,
        people: false,
    };

    /// Every part.
    pub const ALL: Self = Self {
        day_hours: true,
        station_days: Some((i32::MIN, i32::MAX)),
        station_hours: true,
        routes: true,
        durations: true,
        people: true,
    };

    /// Returns whether a part is selected.
    pub fn contain(self, part: Part) -> bool {
        match part {
            Part::DayHours => self.day_hours,
            Part::StationDays(month) => {
                let months = self.station_days;
                months.is_some_and(|(first, last)| (first..=last).contains(&month))
            }
            Part::StationHours => self.station_hours,
            Part::Routes => self.routes,
            Part::Durations => self.durations,
            Part::People => self.people,
        }
    }
}

/// Names the parts, as `-v` does.
impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.day_hours, "day × hour × rider × bike"),
            (self.station_days.is_some(), "station × day × rider"),
            (self.station_hours, "station × hour of week × rider"),
            (self.routes, "routes"),
            (self.durations, "durations by rider and bike"),
            (self.people, "ages and genders"),
        ];
        let named: Vec<&str> = named
            .into_iter()
            .filter_map(|(wanted, name)| wanted.then_some(name))
            .collect();
        f.write_str(&named.join(", "))
    }
}

impl Cube {
    /// Counts the batch into some parts, `times` times.
    pub fn count_parts(&mut self, parts: Parts, batch: &TripBatch, times: i64) {
        if batch.is_empty() {
            return;
        }
        if parts.routes {
            self.routes.open().count(batch, times);
        }
        let rows = Rows::new(batch);
        if parts.day_hours {
            self.day_hours.open().count(&rows, times);
        }
        if parts.durations {
            self.durations.open().count(&rows, times);
        }
        if parts.people {
            self.people.open().count(&rows, times);
        }
        if !parts.station_hours && parts.station_days.is_none() {
            return;
        }
        let series = Series::new(&rows);
        if parts.station_hours {
            let hours = self.station_hours.open();
            hours.count_hours(&rows, &series, times);
        }
        if parts.station_days.is_some() {
            let months = &mut self.station_days;
            let mut with_month = |month, count: &mut dyn FnMut(&mut StationGrid)| {
                if parts.contain(Part::StationDays(month)) {
                    count(months.entry(month).or_default().open());
                }
            };
            StationGrid::count_days(&rows, &series, times, &mut with_month, month_of);
        }
    }

    /// Packs every part, so that clones share them, and removes empty ones.
    pub fn seal(&mut self) {
        let Self {
            day_hours,
            station_days,
            station_hours,
            routes,
            durations,
            people,
        } = self;
        // Routes take about as long as all other parts together.
        std::thread::scope(|scope| {
            scope.spawn(|| routes.seal());
            day_hours.seal();
            station_hours.seal();
            durations.seal();
            people.seal();
            for month in station_days.values_mut() {
                month.seal();
            }
        });
        self.station_days.retain(|_, month| !month.is_empty());
    }

    /// Returns the parts that count something, packed.
    pub fn packed(&self) -> BTreeMap<Part, std::sync::Arc<Vec<u8>>> {
        let months = self.station_days.iter();
        let months = months.map(|(month, part)| (Part::StationDays(*month), part.to_bytes()));
        let others = [
            (Part::DayHours, self.day_hours.to_bytes()),
            (Part::StationHours, self.station_hours.to_bytes()),
            (Part::Routes, self.routes.to_bytes()),
            (Part::Durations, self.durations.to_bytes()),
            (Part::People, self.people.to_bytes()),
        ];
        let all = others.into_iter().chain(months);
        all.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    /// Sets a packed part.
    ///
    /// # Errors
    ///
    /// For bytes that are no part.
    pub fn put(&mut self, part: Part, bytes: Vec<u8>) -> Result<(), NoPart> {
        match part {
            Part::DayHours => self.day_hours = Sealed::from_bytes(bytes)?,
            Part::StationHours => self.station_hours = Sealed::from_bytes(bytes)?,
            Part::Routes => self.routes = Sealed::from_bytes(bytes)?,
            Part::Durations => self.durations = Sealed::from_bytes(bytes)?,
            Part::People => self.people = Sealed::from_bytes(bytes)?,
            Part::StationDays(month) => {
                self.station_days.insert(month, Sealed::from_bytes(bytes)?);
            }
        }
        Ok(())
    }
}

impl Tally for Cube {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        self.count_parts(Parts::ALL, batch, times);
    }

    fn merge(&mut self, other: &Self) {
        self.day_hours.merge(&other.day_hours);
        self.station_hours.merge(&other.station_hours);
        self.routes.merge(&other.routes);
        self.durations.merge(&other.durations);
        self.people.merge(&other.people);
        for (month, theirs) in &other.station_days {
            self.station_days.entry(*month).or_default().merge(theirs);
        }
    }
}
