//! Which of the stored trips a report counts.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use super::as_of_time::AsOfTime;
use super::dims::{Dim, WEEKDAYS, weekday_of};
use super::table::Sort;
use crate::model::civil_date::{DAY_MS, HOUR_MS, day_of, day_of_ms};
use crate::model::{Rider, TripBatch};

/// Milliseconds in an hour.

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
}

impl Filter {
    /// Every way.
    pub const ALL: [Self; 10] = [
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

/// A share of the time, as a person writes it.
///
/// ```
/// use divvy::reports::MaxUnusable;
/// let share = |text: &str| text.parse::<MaxUnusable>().map(MaxUnusable::share);
/// assert_eq!(share("2%").unwrap(), 0.02);
/// assert_eq!(share("0.02").unwrap(), 0.02);
/// assert!(share("200%").is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxUnusable(f64);

impl MaxUnusable {
    /// Returns the share, from 0 to 1.
    pub fn share(self) -> f64 {
        self.0
    }
}

impl FromStr for MaxUnusable {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Self, NoShare> {
        let (number, whole) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent, 100.0),
            None => (text.trim(), 1.0),
        };
        let share = number.trim().parse::<f64>().map_err(|_| NoShare)? / whole;
        let is_share = (0.0..=1.0).contains(&share);
        is_share.then_some(Self(share)).ok_or(NoShare)
    }
}

/// A text that is no share.
#[derive(Debug, thiserror::Error)]
#[error("expected a share like 2% or 0.02")]
pub struct NoShare;

/// Some days of the week.
///
/// ```
/// use divvy::reports::Weekdays;
/// let days: Weekdays = "mon-wed,sat".parse().unwrap();
/// assert!(days.contains(0) && days.contains(5) && !days.contains(3));
/// assert_eq!("weekend".parse::<Weekdays>().unwrap(), "sat,sun".parse().unwrap());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekdays(u8);

impl Weekdays {
    /// Returns whether a day is among them; 0 is Monday.
    pub fn contains(self, weekday: i32) -> bool {
        (0..7).contains(&weekday) && self.0 & 1 << weekday != 0
    }
}

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day: usize| WEEKDAYS[day][..3].to_owned();
        f.write_str(&ranges(u32::from(self.0), 7, name))
    }
}

/// Formats a bit set as [`places`] parses it: `Mon-Wed,Sat`.
fn ranges(places: u32, all: usize, name: impl Fn(usize) -> String) -> String {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < all {
        let first = at;
        while at < all && places & 1 << at != 0 {
            at += 1;
        }
        match at - first {
            0 => at += 1,
            1 => parts.push(name(first)),
            2 => parts.extend([name(first), name(first + 1)]),
            _ => parts.push(format!("{}-{}", name(first), name(at - 1))),
        }
    }
    parts.join(",")
}

/// Parses a list of items and ranges to a bit set; a range may continue from the last item to the
/// first.
fn places(text: &str, all: usize, place: impl Fn(&str) -> Option<usize>) -> Option<u32> {
    let mut places = 0;
    for item in text.split(',') {
        let item = item.trim();
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (place(first.trim())?, place(last.trim())?);
        let mut at = first;
        places |= 1 << at;
        while at != last {
            at = (at + 1) % all;
            places |= 1 << at;
        }
    }
    Some(places)
}

impl FromStr for Weekdays {
    type Err = NoWeekdays;

    fn from_str(text: &str) -> Result<Self, NoWeekdays> {
        let text = text.to_lowercase();
        let text = match text.as_str() {
            "weekend" => "sat,sun",
            "weekday" | "weekdays" | "workday" | "workdays" => "mon-fri",
            other => other,
        };
        let place = |word: &str| {
            let long_enough = word.len() >= 3;
            let mut days = WEEKDAYS.iter();
            days.position(|day| long_enough && day.to_lowercase().starts_with(word))
        };
        let days = places(text, 7, place).ok_or(NoWeekdays)?;
        Ok(Self(days as u8))
    }
}

/// A text that names no weekdays.
#[derive(Debug, thiserror::Error)]
#[error("expected weekdays like mon, sat,sun or mon-fri, or weekend or workday")]
pub struct NoWeekdays;

/// Some hours of the day.
///
/// ```
/// use divvy::reports::HoursOfDay;
/// let hours: HoursOfDay = "22-1,7".parse().unwrap();
/// assert!([22, 23, 0, 1, 7].iter().all(|hour| hours.contains(*hour)));
/// assert!(!hours.contains(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoursOfDay(u32);

impl HoursOfDay {
    /// Returns whether an hour, 0 to 23, is among them.
    pub fn contains(self, hour: usize) -> bool {
        hour < 24 && self.0 & 1 << hour != 0
    }
}

impl fmt::Display for HoursOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ranges(self.0, 24, |hour| hour.to_string()))
    }
}

impl FromStr for HoursOfDay {
    type Err = NoHours;

    fn from_str(text: &str) -> Result<Self, NoHours> {
        let place = |text: &str| text.parse().ok().filter(|hour: &usize| *hour < 24);
        places(text, 24, place).map(Self).ok_or(NoHours)
    }
}

/// A text that names no hours.
#[derive(Debug, thiserror::Error)]
#[error("expected hours from 0 to 23, like 8, 7-9,16-18 or 22-2")]
pub struct NoHours;

/// Returns whether a published word is the bike type of the filter.
fn is_bike(word: &str, asked: &str) -> bool {
    let kind = word.strip_suffix("_bike").unwrap_or(word);
    word.eq_ignore_ascii_case(asked) || kind.eq_ignore_ascii_case(asked)
}

/// A day, a month or a year, as a person writes it.
///
/// ```
/// use divvy::reports::Period;
/// let june: Period = "2024-06".parse().unwrap();
/// assert_eq!((june.first.day(), june.last.day()), (1, 30));
/// assert!("2024-31-06".parse::<Period>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first day.
    pub first: Date,
    /// Its last day.
    pub last: Date,
}

impl FromStr for Period {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Self, NoPeriod> {
        let numbers = text
            .split('-')
            .zip([4, 2, 2])
            .map(|(part, digits)| {
                let plain = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
                plain.then(|| part.parse::<i16>().ok()).flatten()
            })
            .collect::<Option<Vec<i16>>>()
            .filter(|_| text.split('-').count() <= 3)
            .unwrap_or_default();
        let date = |year, month: i16, day: i16| {
            Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
        };
        let period = match numbers[..] {
            [year] => date(year, 1, 1).zip(date(year, 12, 31)),
            [year, month] => date(year, month, 1).map(|first| (first, first.last_of_month())),
            [year, month, day] => date(year, month, day).map(|day| (day, day)),
            _ => None,
        };
        let (first, last) = period.ok_or(NoPeriod)?;
        Ok(Self { first, last })
    }
}

/// A text that is no date.
#[derive(Debug, thiserror::Error)]
#[error("expected a date like 2024-06-30, a month like 2024-06 or a year like 2024")]
pub struct NoPeriod;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_day_a_month_or_a_year() {
        let days = |text: &str| {
            let period: Period = text.parse().unwrap();
            format!("{}/{}", period.first, period.last)
        };
        assert_eq!(days("2024-06-30"), "2024-06-30/2024-06-30");
        assert_eq!(days("2024-02"), "2024-02-01/2024-02-29");
        assert_eq!(days("2024"), "2024-01-01/2024-12-31");
        for wrong in [
            "",
            "24",
            "2024-13",
            "2024-02-30",
            "2024-1-1",
            "2024-01-01-01",
            "06/2024",
        ] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bike_may_be_asked_for_without_its_ending() {
        assert!(is_bike("electric_bike", "Electric"));
        assert!(is_bike("electric_bike", "electric_bike"));
        assert!(!is_bike("classic_bike", "electric"));
    }
}
