//! The half hours of weekdays and of days off, by the clock of a system.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Weekday::{Monday, Thursday};
use jiff::civil::{Date, Weekday};

use crate::model::{System, Zone};

/// The half hours of a weekday and of a day off.
pub const SLOTS: usize = 2 * HALF_HOURS;
/// The half hours of a day.
pub(super) const HALF_HOURS: usize = 48;

/// The clock and the days off of a system.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// The time zone.
    pub zone: Zone,
    /// Holidays, whose slots are those of weekends.
    pub holidays: BTreeSet<Date>,
}

impl Calendar {
    /// Returns the calendar of a system, with the holidays from `first` to `last`. Holidays are
    /// included for systems in the time zones of the United States alone. Elsewhere a holiday has the
    /// slots of its weekday.
    pub fn of(system: &System, first: Date, last: Date) -> Self {
        let has_holidays = US_ZONES.contains(&system.time_zone.as_str());
        let years = (first.year()..=last.year()).filter(|_| has_holidays);
        let holidays = years.flat_map(us_holidays);
        Self {
            zone: system.zone(),
            holidays: holidays
                .filter(|date| (first..=last).contains(date))
                .collect(),
        }
    }

    /// Returns the slot of a minute since 1970 (UTC): 0 to 47 are the half hours of weekdays, 48 to 95
    /// those of weekends and holidays.
    pub fn slot(&self, minute: i64) -> u8 {
        let instant = Timestamp::from_second(60 * minute).unwrap_or_default();
        let local_s = 60 * minute + i64::from(self.zone.offset_at(instant));
        let half_hour = (local_s.rem_euclid(86_400) / 1800) as u8;
        let days = local_s.div_euclid(86_400) as i32;
        let date = Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(days));
        let is_off = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
            || self.holidays.contains(&date);
        half_hour + if is_off { HALF_HOURS as u8 } else { 0 }
    }
}

/// Time zones of the United States without territories.
const US_ZONES: [&str; 6] = [
    "America/Chicago",
    "America/Denver",
    "America/Detroit",
    "America/Los_Angeles",
    "America/New_York",
    "America/Phoenix",
];

/// Returns the holidays of a year in the United States on which few people commute.
fn us_holidays(year: i16) -> Vec<Date> {
    let fixed = [(1, 1), (7, 4), (12, 25)];
    // The last Monday of May, the first of September, the fourth Thursday of November.
    let moving = [(5, -1, Monday), (9, 1, Monday), (11, 4, Thursday)];
    let fixed = fixed
        .into_iter()
        .filter_map(|(month, day)| Date::new(year, month, day).ok());
    let moving = moving.into_iter().filter_map(|(month, nth, weekday)| {
        let first = Date::new(year, month, 1).ok()?;
        first.nth_weekday_of_month(nth, weekday).ok()
    });
    fixed.chain(moving).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holidays_are_those_of_the_period_and_of_the_united_states() {
        let dates = |system: &str, first: &str, last: &str| -> Vec<String> {
            let system = System::named(system).unwrap();
            let calendar = Calendar::of(&system, first.parse().unwrap(), last.parse().unwrap());
            calendar.holidays.iter().map(Date::to_string).collect()
        };
        assert_eq!(
            dates("divvy", "2013-01-02", "2014-01-01"),
            [
                "2013-05-27",
                "2013-07-04",
                "2013-09-02",
                "2013-11-28",
                "2013-12-25",
                "2014-01-01"
            ]
        );
        assert!(dates("ecobici", "2013-01-01", "2013-12-31").is_empty());
    }

    #[test]
    fn a_night_on_which_clocks_change_has_its_local_half_hours() {
        let system = System::named("divvy").unwrap();
        let day = "2013-11-03".parse().unwrap();
        let calendar = Calendar::of(&system, day, day);
        let slot = |text: &str| {
            let instant: Timestamp = text.parse().unwrap();
            calendar.slot(instant.as_second() / 60)
        };
        // 01:45 comes twice: first in summer time, then in winter time.
        assert_eq!(
            (slot("2013-11-03T06:45:00Z"), slot("2013-11-03T07:45:00Z")),
            (48 + 3, 48 + 3)
        );
        // In spring 02:00 to 03:00 is left out.
        assert_eq!(
            (slot("2014-03-09T07:59:00Z"), slot("2014-03-09T08:00:00Z")),
            (48 + 3, 48 + 6)
        );
    }
}
