//! Dates of the Gregorian calendar as days since 1970-01-01.
//!
//! [`date_of`] and [`day_of`] work on the dates of `jiff`, within its years -9999 to 9999. The
//! arithmetic of [`days_from_civil`] and [`civil_from_days`] has no such limits, for hot loops and
//! for numbers that no calendar has. A property test compares the two.

use jiff::Span;
use jiff::civil::Date;

/// Milliseconds in a day of 24 hours.
pub const DAY_MS: i64 = 86_400_000;

/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;

/// Seconds in a day of 24 hours.
pub const DAY_S: i64 = 86_400;

/// Days in 400 years of the Gregorian calendar, after which it repeats.
const DAYS_OF_400_YEARS: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Returns the date of a day since 1970-01-01; the first or last date there is for one beyond.
pub fn date_of(day: i32) -> Date {
    let epoch = Date::constant(1970, 1, 1);
    match Span::new().try_days(day) {
        Ok(days) => epoch.saturating_add(days),
        Err(_) if day < 0 => Date::MIN,
        Err(_) => Date::MAX,
    }
}

/// Returns the day of a date, in days since 1970-01-01.
pub fn day_of(date: Date) -> i32 {
    let days = date.since(Date::constant(1970, 1, 1));
    days.expect("dates are days apart").get_days()
}

/// Returns the day of a wall-clock time in milliseconds since 1970-01-01T00:00, in days since
/// 1970-01-01.
#[inline]
pub fn day_of_ms(local_ms: i64) -> i32 {
    local_ms.div_euclid(DAY_MS) as i32
}

/// Returns the month of a day since 1970-01-01, in months since January 1970.
pub fn month_of(day: i32) -> i32 {
    let date = date_of(day);
    (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1
}

/// Returns the first day of a month that is counted from January 1970, in days since 1970-01-01.
pub fn first_day_of(month: i32) -> i32 {
    let (year, month) = (1970 + month.div_euclid(12), month.rem_euclid(12) + 1);
    days_from_civil(year.into(), month.into(), 1) as i32
}

/// Returns the day of a date, in days since 1970-01-01. `month` is 1 to 12; a `day` beyond the end
/// of its month runs on into the next. Years may be up to 10^15 either way.
///
/// Howard Hinnant, [chrono-Compatible Low-Level Date Algorithms][1]: years begin in March there.
///
/// [1]: https://howardhinnant.github.io/date_algorithms.html
#[inline]
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_OF_400_YEARS + day_of_era - EPOCH
}

/// Returns year, month and day of a day since 1970-01-01: the inverse of [`days_from_civil`].
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let era = days.div_euclid(DAYS_OF_400_YEARS);
    let day_of_era = days.rem_euclid(DAYS_OF_400_YEARS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 {
        (month_from_march + 3, 0)
    } else {
        (month_from_march - 9, 1)
    };
    (400 * era + year_of_era + next_year, month, day)
}

/// Returns how many days a month has. `month` is 1 to 12.
#[inline]
pub fn days_in_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_beyond_the_calendar_are_its_ends() {
        assert_eq!(date_of(i32::MIN), Date::MIN);
        assert_eq!(date_of(i32::MAX), Date::MAX);
        assert_eq!(date_of(day_of(Date::MIN)), Date::MIN);
        assert_eq!(month_of(-1), -1);
    }

    proptest! {
        #[test]
        fn days_and_dates_are_those_of_jiff(day in -4_371_587..2_932_896_i32) {
            let date = date_of(day);
            let (year, month) = (i64::from(date.year()), i64::from(date.month()));
            let civil = (year, month, i64::from(date.day()));
            prop_assert_eq!(day_of(date), day);
            prop_assert_eq!(civil_from_days(day.into()), civil);
            prop_assert_eq!(days_from_civil(civil.0, civil.1, civil.2), i64::from(day));
            prop_assert_eq!(days_in_month(year, month), i64::from(date.days_in_month()));
            prop_assert_eq!(i64::from(month_of(day)), (year - 1970) * 12 + month - 1);
        }

        #[test]
        fn far_days_come_back(day in -300_000_000_000_000..300_000_000_000_000_i64) {
            let (year, month, of_month) = civil_from_days(day);
            prop_assert_eq!(days_from_civil(year, month, of_month), day);
        }
    }
}
