//! By what trips can be grouped.

use std::fmt;
use std::str::FromStr;

use super::value::Value;
use crate::model::Rider;
use crate::model::civil_date::{date_of, month_of};

/// Something by which trips are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dim {
    /// Who rides.
    Rider,
    /// The kind of bike.
    Bike,
    /// The gender that the file states.
    Gender,
    /// The year of birth that the file states.
    BirthYear,
    /// The year of the trip less the year of birth, see [`age_in`].
    Age,
    /// The year of the start.
    Year,
    /// The month of the start.
    Month,
    /// The date of the start.
    Date,
    /// The weekday of the start.
    Weekday,
    /// The hour of the start, 0 to 23.
    Hour,
    /// The station of the start.
    Station,
}

impl Dim {
    /// Every dimension.
    pub const ALL: [Self; 11] = [
        Self::Rider,
        Self::Bike,
        Self::Gender,
        Self::BirthYear,
        Self::Age,
        Self::Year,
        Self::Month,
        Self::Date,
        Self::Weekday,
        Self::Hour,
        Self::Station,
    ];

    /// Returns its name, which is that of its column but for stations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rider => "rider",
            Self::Bike => "bike",
            Self::Gender => "gender",
            Self::BirthYear => "birth_year",
            Self::Age => "age",
            Self::Year => "year",
            Self::Month => "month",
            Self::Date => "date",
            Self::Weekday => "weekday",
            Self::Hour => "hour",
            Self::Station => "station",
        }
    }

    /// Returns the group of a day since 1970-01-01, as a number: a year, a month since January 1970, a
    /// day since 1970-01-01 or a weekday from Monday 0 on. `None` for a dimension that is not of days.
    pub(super) fn of_day(self, day: i32) -> Option<i32> {
        match self {
            Self::Year => Some(date_of(day).year().into()),
            Self::Month => Some(month_of(day)),
            Self::Date => Some(day),
            Self::Weekday => Some(weekday_of(day)),
            _ => None,
        }
    }

    /// Returns whether its groups depend on the day on which a trip starts.
    pub(super) fn is_of_day(self) -> bool {
        matches!(self, Self::Year | Self::Month | Self::Date | Self::Weekday)
    }

    /// Returns whether it usually has more groups than one can read.
    pub(super) fn has_many_groups(self) -> bool {
        matches!(
            self,
            Self::Station | Self::Date | Self::BirthYear | Self::Age
        )
    }

    /// Returns whether its groups are few and have names, so that a row for all of them is useful.
    pub(super) fn is_named(self) -> bool {
        matches!(self, Self::Rider | Self::Bike | Self::Gender)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Dim {
    type Err = NoDim;

    fn from_str(text: &str) -> Result<Self, NoDim> {
        let named = Self::ALL.into_iter().find(|dim| dim.as_str() == text);
        named.ok_or_else(|| NoDim(text.into()))
    }
}

/// A word that names no dimension.
#[derive(Debug, thiserror::Error)]
#[error(
    "trips cannot be grouped by \"{0}\": expected one of {all}",
    all = Dim::ALL.map(Dim::as_str).join(", ")
)]
pub struct NoDim(pub String);

/// Returns the age that a person born in one year reaches in another. `None` unless it is 1 to 100:
/// the year of birth is a mistake then.
pub(super) fn age_in(year: i32, born: i32) -> Option<i32> {
    let age = year - born;
    (1..=100).contains(&age).then_some(age)
}

/// A group in one dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Group {
    /// A number: see [`Group::value`] for what it stands for.
    Number(i32),
    /// A word of the publisher's.
    Word(Box<str>),
    /// A rider.
    Rider(Rider),
    /// The file does not state it.
    Unknown,
    /// All groups together.
    All,
}

/// The days of the week, from Monday on.
pub const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl Group {
    pub(super) fn word(word: &str) -> Self {
        if word.is_empty() {
            Self::Unknown
        } else {
            Self::Word(word.into())
        }
    }

    /// Writes it as a value: dates are days since 1970-01-01, months are months since January
    /// 1970, weekdays count from Monday on.
    pub(super) fn value(&self, dim: Dim) -> Value {
        match (self, dim) {
            (Self::Number(month), Dim::Month) => month_text(*month).into(),
            (Self::Number(day), Dim::Date) => date_of(*day).to_string().into(),
            (Self::Number(day), Dim::Weekday) => WEEKDAYS[(*day).rem_euclid(7) as usize].into(),
            (Self::Number(number), _) => Value::Integer((*number).into()),
            (Self::Word(word), _) => (&**word).into(),
            (Self::Rider(rider), _) => rider.as_str().into(),
            (Self::Unknown, _) => Value::Empty,
            (Self::All, _) => "all".into(),
        }
    }
}

/// Writes a month, counted from January 1970: `2021-01`.
pub(super) fn month_text(month: i32) -> String {
    format!(
        "{:04}-{:02}",
        1970 + month.div_euclid(12),
        month.rem_euclid(12) + 1
    )
}

/// Returns the weekday of a day since 1970-01-01, a Thursday; 0 is Monday.
pub(super) fn weekday_of(day: i32) -> i32 {
    (day + 3).rem_euclid(7)
}
