//! Which of the stored trips a report counts.

mod values;

use std::fmt;

use jiff::civil::Date;

use super::areas::Areas;
use super::as_of_time::AsOfTime;
use super::dims::{Dim, weekday_of};
use super::table::Sort;
use crate::model::civil_date::{DAY_MS, HOUR_MS, day_of, day_of_ms};
use crate::model::{Rider, TripBatch};
use crate::outlook::Vehicles;

pub use values::{
    HoursOfDay, MaxUnusable, Minutes, NoHours, NoMinutes, NoPeriod, NoShare, NoWeekdays, Period,
    Weekdays,
};

/// What narrows a report. The default narrows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// The first local date on which counted trips start.
    pub from: Option<Date>,
    /// The last local date on which counted trips start.
    pub to: Option<Date>,
    /// The rider.
    pub rider: Option<Rider>,
    /// The bike type, as published or without its `_bike`.
    pub bike: Option<String>,
    /// The station at which counted trips start: an id of the feed or of the trips, or a name.
    /// A report on stations shows this one alone.
    pub station: Option<String>,
    /// The weekdays on which counted trips start.
    pub weekdays: Option<Weekdays>,
    /// The hours of the day in which counted trips start.
    pub hours: Option<HoursOfDay>,
    /// The dimensions to group by. Empty for the report's own.
    pub by: Vec<Dim>,
    /// By which column to sort the rows. `None` for the report's own order.
    pub sort: Option<Sort>,
    /// How many rows to show.
    pub top: Option<usize>,
    /// The instant whose states are shown. `None` for the newest ones.
    pub as_of: Option<AsOfTime>,
    /// The share of the time that a station may be unusable; more of it is counted. `None` to count none.
    pub max_unusable: Option<MaxUnusable>,
    /// The areas by which stations are grouped. `None` to group by station.
    pub areas: Option<Areas>,
    /// How far ahead stations are forecast. Empty for the report's own horizons.
    pub horizons: Vec<Minutes>,
    /// The horizon of `--arrive`, in minutes after the newest snapshot. It is forecast beside `horizons`. `None` without
    /// that option.
    pub arrive: Option<Minutes>,
    /// The number of bikes whose probability is shown. `None` for one.
    pub need: Option<u32>,
}

/// One way to narrow a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// By the local date of the start.
    Dates,
    /// By rider.
    Rider,
    /// By bike type.
    Bike,
    /// By station.
    Station,
    /// By weekday.
    Weekday,
    /// By hour of the day.
    Hour,
    /// By grouping otherwise.
    By,
    /// By number of rows.
    Top,
    /// By the instant of states.
    AsOf,
    /// By the share of the time that a station may be unusable.
    MaxUnusable,
    /// By the areas in which stations lie.
    Areas,
    /// By how far ahead stations are forecast.
    Horizon,
    /// By the horizon of `--arrive`.
    Arrive,
    /// By the number of bikes that are needed.
    Need,
}

impl Filter {
    /// Every way.
    pub const ALL: [Self; 14] = [
        Self::Dates,
        Self::Rider,
        Self::Bike,
        Self::Station,
        Self::Weekday,
        Self::Hour,
        Self::By,
        Self::Top,
        Self::AsOf,
        Self::MaxUnusable,
        Self::Areas,
        Self::Horizon,
        Self::Arrive,
        Self::Need,
    ];

    /// Every way to narrow a report on trips.
    pub const OF_TRIPS: [Self; 8] = [
        Self::Dates,
        Self::Rider,
        Self::Bike,
        Self::Station,
        Self::Weekday,
        Self::Hour,
        Self::By,
        Self::Top,
    ];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dates => "dates",
            Self::Rider => "rider",
            Self::Bike => "bike",
            Self::Station => "station",
            Self::Weekday => "weekday",
            Self::Hour => "hour",
            Self::By => "by",
            Self::Top => "top",
            Self::AsOf => "as-of",
            Self::MaxUnusable => "max-unusable",
            Self::Areas => "areas",
            Self::Horizon => "horizon",
            Self::Arrive => "arrive",
            Self::Need => "need",
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Filters {
    /// Lists the ways in which these narrow a report.
    pub fn used(&self) -> impl Iterator<Item = Filter> {
        let used = [
            self.from.is_some() || self.to.is_some(),
            self.rider.is_some(),
            self.bike.is_some(),
            self.station.is_some(),
            self.weekdays.is_some(),
            self.hours.is_some(),
            !self.by.is_empty(),
            self.top.is_some(),
            self.as_of.is_some(),
            self.max_unusable.is_some(),
            self.areas.is_some(),
            !self.horizons.is_empty(),
            self.arrive.is_some(),
            self.need.is_some(),
        ];
        Filter::ALL
            .into_iter()
            .zip(used)
            .filter_map(|(filter, used)| used.then_some(filter))
    }

    /// Returns whether only some of the trips are counted, apart from the station filter.
    pub fn narrow_trips(&self) -> bool {
        self.used().any(|filter| {
            matches!(
                filter,
                Filter::Dates | Filter::Rider | Filter::Bike | Filter::Weekday | Filter::Hour
            )
        })
    }

    /// Returns the first and the last day of counted trips, since 1970-01-01.
    pub(super) fn days(&self) -> (i32, i32) {
        let from = self.from.map_or(i32::MIN, day_of);
        (from, self.to.map_or(i32::MAX, day_of))
    }

    /// Returns when counted trips start, in milliseconds of the wall clock, the end left out.
    /// `None` without a filter by date.
    pub(super) fn started_ms(&self) -> Option<(i64, i64)> {
        if self.from.is_none() && self.to.is_none() {
            return None;
        }
        let from = self
            .from
            .map_or(i64::MIN, |date| i64::from(day_of(date)) * DAY_MS);
        let until = self
            .to
            .map_or(i64::MAX, |date| (i64::from(day_of(date)) + 1) * DAY_MS);
        Some((from, until))
    }

    /// Returns whether trips of a day are counted.
    pub(super) fn has_day(&self, day: i32) -> bool {
        let (first, last) = self.days();
        (first..=last).contains(&day) && self.has_weekday(weekday_of(day))
    }

    /// Returns whether trips of a weekday, 0 for Monday, are counted.
    pub(super) fn has_weekday(&self, weekday: i32) -> bool {
        self.weekdays.is_none_or(|days| days.contains(weekday))
    }

    /// Returns the group of vehicles that the bike filter names where a feed counts them. `None` without
    /// the filter, and for another word.
    pub(super) fn vehicles(&self) -> Option<Vehicles> {
        let bike = self.bike.as_ref()?;
        let is_called = |vehicles: &Vehicles| {
            let words: &[&str] = match vehicles {
                Vehicles::All => &["all"],
                Vehicles::Ebike => &["ebike", "e-bike", "electric"],
                Vehicles::Classic => &["classic"],
            };
            words
                .iter()
                .any(|word| is_bike(word, bike) || is_bike(bike, word))
        };
        Vehicles::ALL.into_iter().find(is_called)
    }

    /// Returns whether trips of an hour of the day are counted.
    pub(super) fn has_hour(&self, hour: usize) -> bool {
        self.hours.is_none_or(|hours| hours.contains(hour))
    }

    /// Returns whether a rider's trips are counted.
    pub(super) fn has_rider(&self, rider: &Rider) -> bool {
        self.rider.as_ref().is_none_or(|wanted| wanted == rider)
    }

    /// Returns whether trips on a bike type are counted.
    pub(super) fn has_bike(&self, word: &str) -> bool {
        self.bike.as_ref().is_none_or(|bike| is_bike(word, bike))
    }

    /// Returns whether a row of the batch is counted, by all filters but the station.
    pub(super) fn pick(&self, batch: &TripBatch) -> impl Fn(usize) -> bool {
        let (from_ms, until_ms) = self.started_ms().unwrap_or((i64::MIN, i64::MAX));
        let words = |fits: &dyn Fn(&str) -> bool| batch.words.iter().map(fits).collect::<Vec<_>>();
        let riders = words(&|word| self.has_rider(&Rider::parse(word)));
        let bikes = words(&|word| self.has_bike(word));
        let (any_rider, any_bike) = (self.rider.is_none(), self.bike.is_none());
        let (weekdays, hours) = (self.weekdays, self.hours);
        move |row| {
            let started_ms = batch.started_ms[row];
            let hour = || started_ms.div_euclid(HOUR_MS).rem_euclid(24) as usize;
            let weekday = || weekday_of(day_of_ms(started_ms));
            (from_ms..until_ms).contains(&started_ms)
                && (any_rider || riders[batch.rider[row] as usize])
                && (any_bike || bikes[batch.bike[row] as usize])
                && weekdays.is_none_or(|days| days.contains(weekday()))
                && hours.is_none_or(|hours| hours.contains(hour()))
        }
    }
}

/// Formats the filters: `from 2021-01-01, to 2021-01-31, rider member`.
impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.from.map(|date| format!("from {date}")),
            self.to.map(|date| format!("to {date}")),
            self.rider.as_ref().map(|rider| format!("rider {rider}")),
            self.bike.as_ref().map(|bike| format!("bike {bike}")),
            self.station.as_ref().map(|id| format!("station {id}")),
            self.weekdays.map(|days| format!("weekday {days}")),
            self.hours.map(|hours| format!("hour {hours}")),
            self.as_of.map(|at| format!("as of {at}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// Returns whether a published word is the bike type of the filter.
fn is_bike(word: &str, asked: &str) -> bool {
    let kind = word.strip_suffix("_bike").unwrap_or(word);
    word.eq_ignore_ascii_case(asked) || kind.eq_ignore_ascii_case(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bike_may_be_asked_for_without_its_ending() {
        assert!(is_bike("electric_bike", "Electric"));
        assert!(is_bike("electric_bike", "electric_bike"));
        assert!(!is_bike("classic_bike", "electric"));
    }
}
