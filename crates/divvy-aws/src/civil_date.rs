//! Dates of the Gregorian calendar, over a wider range than the calendar of `jiff`: damaged files
//! have times of any number, which must survive storing.
//!
//! As in <https://howardhinnant.github.io/date_algorithms.html>, where years begin in March.

const DAYS_OF_400_YEARS: i64 = 146_097;

/// Returns the year, month and day of a day since 1970-01-01.
pub(crate) fn of_day(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(DAYS_OF_400_YEARS);
    let day = days.rem_euclid(DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (400 * era + year + next, month, day)
}

/// Returns the day since 1970-01-01 of a date.
pub(crate) fn day_of(year: i64, month: i64, day: i64) -> i128 {
    let year = i128::from(year) - i128::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = i128::from((month + 9) % 12);
    let day = (153 * month + 2) / 5 + i128::from(day) - 1;
    let day = year * 365 + year / 4 - year / 100 + day;
    era * i128::from(DAYS_OF_400_YEARS) + day - 719_468
}
