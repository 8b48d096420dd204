//! Values of filters, as people write them: shares, weekdays, hours and dates.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::reports::dims::WEEKDAYS;

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

/// A number of minutes ahead, from 1 to 1,440, as a person writes it.
///
/// ```
/// use divvy::reports::Minutes;
/// let minutes = |text: &str| text.parse::<Minutes>().map(Minutes::get);
/// assert_eq!(minutes("12").unwrap(), 12);
/// assert_eq!(minutes("12min").unwrap(), 12);
/// assert_eq!(minutes("2h").unwrap(), 120);
/// assert!(minutes("0").is_err());
/// assert!(minutes("25h").is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minutes(u16);

impl Minutes {
    /// Returns the number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl FromStr for Minutes {
    type Err = NoMinutes;

    fn from_str(text: &str) -> Result<Self, NoMinutes> {
        let text = text.trim();
        let units = [("min", 1), ("m", 1), ("h", 60)];
        let with_unit = units
            .into_iter()
            .find_map(|(unit, minutes)| Some((text.strip_suffix(unit)?, minutes)));
        let (number, minutes) = with_unit.unwrap_or((text, 1));
        let number = number.trim().parse::<u16>().map_err(|_| NoMinutes)?;
        let all = number.checked_mul(minutes).ok_or(NoMinutes)?;
        (1..=1_440)
            .contains(&all)
            .then_some(Self(all))
            .ok_or(NoMinutes)
    }
}

impl fmt::Display for Minutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A text that is no number of minutes ahead.
#[derive(Debug, thiserror::Error)]
#[error("expected a time ahead of at most a day like 12, 12min or 2h")]
pub struct NoMinutes;

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
}
