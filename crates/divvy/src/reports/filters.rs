//! Which of the stored trips a report counts.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::model::{Rider, TripBatch};

/// Milliseconds in a day of 24 hours.
const DAY_MS: i64 = 86_400_000;

/// What narrows a report. The default narrows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// The first local date on which counted trips start.
    pub from: Option<Date>,
    /// The last local date on which counted trips start.
    pub to: Option<Date>,
    /// Who rides.
    pub rider: Option<Rider>,
    /// The kind of bike, as published or without its `_bike`.
    pub bike: Option<String>,
    /// The station at which counted trips start: an id of the feed or of the trips, or a name.
    /// A report on stations shows this one alone.
    pub station: Option<String>,
    /// How many rows to show.
    pub top: Option<usize>,
}

/// One way to narrow a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// By the local date of the start.
    Dates,
    /// By rider.
    Rider,
    /// By kind of bike.
    Bike,
    /// By station.
    Station,
    /// By number of rows.
    Top,
}

impl Filter {
    /// Every way.
    pub const ALL: [Self; 5] = [
        Self::Dates,
        Self::Rider,
        Self::Bike,
        Self::Station,
        Self::Top,
    ];

    /// Returns what a person writes for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dates => "--from and --to",
            Self::Rider => "--rider",
            Self::Bike => "--bike",
            Self::Station => "--station",
            Self::Top => "--top",
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
            self.top.is_some(),
        ];
        Filter::ALL
            .into_iter()
            .zip(used)
            .filter_map(|(filter, used)| used.then_some(filter))
    }

    /// Tells whether only some of the trips are counted, wherever they start.
    pub fn narrow_trips(&self) -> bool {
        self.used()
            .any(|filter| matches!(filter, Filter::Dates | Filter::Rider | Filter::Bike))
    }

    /// Picks the trips of a batch by date, rider and bike.
    pub(super) fn pick(&self, batch: &TripBatch) -> impl Fn(usize) -> bool {
        let day = |date: Date| {
            let days = date.since(Date::constant(1970, 1, 1));
            i64::from(days.expect("dates are days apart").get_days())
        };
        let from_ms = self.from.map_or(i64::MIN, |date| day(date) * DAY_MS);
        let until_ms = self.to.map_or(i64::MAX, |date| (day(date) + 1) * DAY_MS);
        let words = |fits: &dyn Fn(&str) -> bool| batch.words.iter().map(fits).collect::<Vec<_>>();
        let riders = words(&|word| self.rider.as_ref().is_none_or(|r| *r == Rider::parse(word)));
        let bikes = words(&|word| self.bike.as_ref().is_none_or(|bike| is_bike(word, bike)));
        move |row| {
            (from_ms..until_ms).contains(&batch.started_ms[row])
                && riders[batch.rider[row] as usize]
                && bikes[batch.bike[row] as usize]
        }
    }
}

/// Says which trips are counted: `from 2021-01-01, to 2021-01-31, rider member`.
impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.from.map(|date| format!("from {date}")),
            self.to.map(|date| format!("to {date}")),
            self.rider.as_ref().map(|rider| format!("rider {rider}")),
            self.bike.as_ref().map(|bike| format!("bike {bike}")),
            self.station.as_ref().map(|id| format!("station {id}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// Tells whether a published word means the kind of bike that a person asked for.
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
