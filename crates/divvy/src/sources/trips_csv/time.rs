//! Parsing of the local times in trip files.

use crate::model::civil_date::{DAY_MS, DAY_S, days_from_civil, days_in_month};

/// Which of the first two numbers of a date like `1/2/2019` is the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// `1/2/2019` is the second of January.
    MonthFirst,
    /// `1/2/2019` is the first of February.
    DayFirst,
}

/// A local time as the file states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalTime {
    /// Milliseconds since 1970-01-01T00:00.
    pub ms: i64,
    /// The resolution of the text in milliseconds: 60000 for minutes, 1000 for seconds, or 1.
    pub precision_ms: i32,
}

/// The accepted forms, for messages on rejected rows.
pub(super) const EXPECTED: &str =
    "a time such as 2020-04-26 17:45:14, 4/26/2020 17:45 or 4/26/20 5:45 PM";

const MINUTE_MS: i64 = 60_000;

/// Reads the times of one column. Neighbouring rows mostly have the same date, so the last date is
/// cached with its text.
pub(super) struct TimeParser {
    order: DateOrder,
    /// The text of the last date, in the first `len` bytes.
    text: [u8; 10],
    len: usize,
    day_ms: i64,
}

impl TimeParser {
    pub(super) fn new(order: DateOrder) -> Self {
        Self {
            order,
            text: [0; 10],
            len: 0,
            day_ms: 0,
        }
    }

    /// Reads one time. The result is that of [`parse`].
    #[inline]
    pub(super) fn parse(&mut self, text: &[u8]) -> Option<LocalTime> {
        if let Some((day, clock)) = text.split_at_checked(self.len)
            && day == &self.text[..self.len]
            && let Some((of_day_ms, precision_ms)) = plain_clock(clock)
        {
            return Some(LocalTime {
                ms: self.day_ms + of_day_ms,
                precision_ms,
            });
        }
        self.parse_new_day(text)
    }

    #[inline(never)]
    fn parse_new_day(&mut self, text: &[u8]) -> Option<LocalTime> {
        let time = parse(text, self.order)?;
        if let Some(len) = text.iter().position(|b| matches!(b, b' ' | b'T'))
            && len <= self.text.len()
        {
            self.len = len;
            self.text[..len].copy_from_slice(&text[..len]);
            self.day_ms = time.ms - time.ms.rem_euclid(DAY_MS);
        }
        Some(time)
    }
}

/// Reads ` HH:MM:SS` and ` HH:MM:SS.fff`, in which nearly all times end. `None` for any other text,
/// valid or not.
#[inline]
fn plain_clock(text: &[u8]) -> Option<(i64, i32)> {
    let (seconds, fraction) = text.split_first_chunk::<9>()?;
    let [b' ' | b'T', h, hh, b':', m, mm, b':', s, ss] = *seconds else {
        return None;
    };
    let two = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
    };
    let (hour, minute, second) = (two(h, hh)?, two(m, mm)?, two(s, ss)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let ms = (hour * 3600 + minute * 60 + second) * 1000;
    match *fraction {
        [] => Some((ms, 1000)),
        [b'.', tenths, hundredths, thousandths] => {
            let thousandths = thousandths.wrapping_sub(b'0');
            let fraction = two(tenths, hundredths)? * 10 + i64::from(thousandths);
            (thousandths < 10).then_some((ms + fraction, 1))
        }
        _ => None,
    }
}

/// Reads every form that trip files use: `YYYY-MM-DD HH:MM[:SS[.f]]`, the same with slashes or a
/// `T`, `M/D/YYYY` and `M/D/YY` with or without seconds and AM/PM (slashes or dashes; the order of
/// day and month is `order`), and the day numbers of spreadsheets (`44562.51985`).
///
/// `None` for any other text, and for dates that the calendar lacks.
pub(super) fn parse(text: &[u8], order: DateOrder) -> Option<LocalTime> {
    // The most frequent form: 2020-04-26 17:45:14
    if text.len() == 19 && text[4] == b'-' {
        return parse_iso_seconds(text.try_into().ok()?);
    }
    let mut cursor = Cursor { rest: text };
    let (first, digits) = cursor.number()?;
    let Some(separator) = cursor.next() else {
        // A day number without a fraction is midnight.
        return if digits == 5 {
            spreadsheet_day(first, None)
        } else {
            None
        };
    };
    let day = match separator {
        b'.' if digits == 5 => return spreadsheet_day(first, Some(cursor.rest)),
        // Countries that write dots write the day first.
        b'.' if digits <= 2 => {
            let month = cursor.number()?.0;
            cursor.skip(separator)?;
            let (year, digits) = cursor.number()?;
            valid_day(year_of(year, digits)?, month, first)?
        }
        b'-' | b'/' if digits == 4 => {
            let month = cursor.number()?.0;
            cursor.skip(separator)?;
            let day = cursor.number()?.0;
            valid_day(first, month, day)?
        }
        b'-' | b'/' => {
            let second = cursor.number()?.0;
            cursor.skip(separator)?;
            let (year, digits) = cursor.number()?;
            let year = year_of(year, digits)?;
            let (month, day) = match order {
                DateOrder::MonthFirst => (first, second),
                DateOrder::DayFirst => (second, first),
            };
            valid_day(year, month, day)?
        }
        _ => return None,
    };
    let (of_day_ms, precision_ms) = cursor.time_of_day()?;
    Some(LocalTime {
        ms: day * DAY_MS + of_day_ms,
        precision_ms,
    })
}

/// Returns the year that a number of so many digits means.
fn year_of(year: i64, digits: usize) -> Option<i64> {
    match digits {
        4 => Some(year),
        2 if year < 69 => Some(2000 + year), // POSIX strptime: 69 to 99 are 1969 to 1999
        2 => Some(1900 + year),
        _ => None,
    }
}

/// Returns whether a date has dashes and its year at the end: `01-07-2019`. Such dates have both orders
/// in practice, while dates with slashes have the month first.
pub(super) fn is_ambiguous_dash_date(text: &[u8]) -> bool {
    let mut cursor = Cursor { rest: text };
    matches!(cursor.number(), Some((_, 1 | 2))) && cursor.next() == Some(b'-')
}

fn parse_iso_seconds(text: &[u8; 19]) -> Option<LocalTime> {
    let two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
    };
    let separators = text[7] == b'-'
        && (text[10] == b' ' || text[10] == b'T')
        && text[13] == b':'
        && text[16] == b':';
    let day = valid_day(two(0)? * 100 + two(2)?, two(5)?, two(8)?)?;
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    (separators && hour < 24 && minute < 60 && second < 61).then_some(LocalTime {
        ms: day * DAY_MS + (hour * 3600 + minute * 60 + second) * 1000,
        precision_ms: 1000,
    })
}

/// Reads the day number of a spreadsheet: days since 1899-12-30, with the time as a fraction.
///
/// It has five decimals (0.9 s), so it is rounded to whole seconds, which is what the cell showed.
fn spreadsheet_day(days: i64, fraction: Option<&[u8]>) -> Option<LocalTime> {
    const UNIX_EPOCH: i64 = 25_569;
    let mut seconds = 0.0;
    if let Some(digits) = fraction {
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let text = std::str::from_utf8(digits).ok()?;
        seconds = format!("0.{text}").parse::<f64>().ok()? * DAY_S as f64;
    }
    let ms = (days - UNIX_EPOCH) * DAY_MS + (seconds.round() as i64) * 1000;
    Some(LocalTime {
        ms,
        precision_ms: 1000,
    })
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// Reads a number of 1 to 9 digits. Returns it with its number of digits.
    fn number(&mut self) -> Option<(i64, usize)> {
        let mut value = 0_i64;
        let mut digits = 0;
        while let Some(digit) = self
            .rest
            .get(digits)
            .map(|b| b.wrapping_sub(b'0'))
            .filter(|d| *d < 10)
        {
            value = value * 10 + i64::from(digit);
            digits += 1;
            if digits > 9 {
                return None;
            }
        }
        self.rest = &self.rest[digits..];
        (digits > 0).then_some((value, digits))
    }

    /// Reads the rest: ` H:MM[:SS[.f]][ AM|PM]`, or an empty text for midnight, which spreadsheets
    /// leave out. Returns the time of day and the precision, both in milliseconds.
    fn time_of_day(&mut self) -> Option<(i64, i32)> {
        if self.rest.is_empty() {
            return Some((0, MINUTE_MS as i32));
        }
        if !matches!(self.next()?, b' ' | b'T') {
            return None;
        }
        while self.rest.first() == Some(&b' ') {
            self.next();
        }
        let mut hour = self.number()?.0;
        self.skip(b':')?;
        let minute = self.number()?.0;
        let (mut ms, mut precision_ms) = (0, MINUTE_MS as i32);
        if self.rest.first() == Some(&b':') {
            self.next();
            let second = self.number()?.0;
            (ms, precision_ms) = (second * 1000, 1000);
            if second > 60 {
                return None;
            }
            if self.rest.first() == Some(&b'.') {
                self.next();
                let mut unit = 100;
                let mut any = false;
                while let Some(digit) = self
                    .rest
                    .first()
                    .map(|b| b.wrapping_sub(b'0'))
                    .filter(|d| *d < 10)
                {
                    ms += i64::from(digit) * unit;
                    unit /= 10;
                    any = true;
                    self.next();
                }
                precision_ms = 1;
                if !any {
                    return None;
                }
            }
        }
        let half = match self.rest {
            [] => None,
            [b' ', half @ ..] => Some(half),
            half => Some(half),
        };
        if let Some(half) = half {
            let afternoon = match half {
                [b'A' | b'a', b'M' | b'm'] => false,
                [b'P' | b'p', b'M' | b'm'] => true,
                _ => return None,
            };
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        (hour < 24 && minute < 60).then_some(((hour * 60 + minute) * MINUTE_MS + ms, precision_ms))
    }
}

/// Returns the days since 1970-01-01 of a date. `None` for a date that the calendar lacks, and
/// outside the years 1900 to 2199.
fn valid_day(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_valid = (1900..2200).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day);
    is_valid.then(|| days_from_civil(year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    fn read(text: &str, order: DateOrder) -> Option<(String, i32)> {
        let time = parse(text.as_bytes(), order)?;
        let at = jiff::Timestamp::from_millisecond(time.ms).unwrap();
        Some((TimeZone::UTC.to_datetime(at).to_string(), time.precision_ms))
    }

    #[test]
    fn every_published_form_is_read() {
        use DateOrder::{DayFirst, MonthFirst};
        let cases = [
            (
                "2020-04-26 17:45:14",
                MonthFirst,
                "2020-04-26T17:45:14",
                1000,
            ),
            (
                "2013-06-27 12:11",
                MonthFirst,
                "2013-06-27T12:11:00",
                60_000,
            ),
            (
                "2024-06-01 00:00:00.123",
                MonthFirst,
                "2024-06-01T00:00:00.123",
                1,
            ),
            (
                "2019-01-01 03:09:09.7110",
                MonthFirst,
                "2019-01-01T03:09:09.711",
                1,
            ),
            (
                "2019-01-01T03:09:09.711000",
                MonthFirst,
                "2019-01-01T03:09:09.711",
                1,
            ),
            (
                "12/31/2016 23:57:52",
                MonthFirst,
                "2016-12-31T23:57:52",
                1000,
            ),
            ("1/1/2017 0:06", MonthFirst, "2017-01-01T00:06:00", 60_000),
            ("1/2/17 0:21", MonthFirst, "2017-01-02T00:21:00", 60_000),
            (
                "9/1/2021 5:48 AM",
                MonthFirst,
                "2021-09-01T05:48:00",
                60_000,
            ),
            (
                "09/01/21 12:06 PM",
                MonthFirst,
                "2021-09-01T12:06:00",
                60_000,
            ),
            (
                "09/01/2021 12:06:07 am",
                MonthFirst,
                "2021-09-01T00:06:07",
                1000,
            ),
            ("10/01/2016 00:04", DayFirst, "2016-01-10T00:04:00", 60_000),
            ("01-07-2019 00:20", DayFirst, "2019-07-01T00:20:00", 60_000),
            ("44562.51985", MonthFirst, "2022-01-01T12:28:35", 1000),
            ("44642.5", MonthFirst, "2022-03-22T12:00:00", 1000),
            ("44642", MonthFirst, "2022-03-22T00:00:00", 1000),
            (
                "01.04.2024 10:07",
                MonthFirst,
                "2024-04-01T10:07:00",
                60_000,
            ),
            ("2/29/2020", MonthFirst, "2020-02-29T00:00:00", 60_000),
        ];
        for (text, order, expected, precision_ms) in cases {
            let expected = Some((expected.to_owned(), precision_ms));
            assert_eq!(read(text, order), expected, "{text}");
        }
    }

    #[test]
    fn invalid_times_are_refused() {
        for text in [
            "",
            "2019-02-29 10:00:00",
            "2020-13-01 10:00:00",
            "13/1/2019 0:00",
            "1/1/2019 24:00",
            "1/1/2019 13:00 PM",
            "2020-04-26 17:45:1x",
            "yesterday",
            "44562.",
            "1/2",
            "1e9",
            "0",
            "2020-04-26 17:45:14.",
            "2020-04-26x17:45:14",
            "99999999999/1/2019 0:00",
        ] {
            assert_eq!(read(text, DateOrder::MonthFirst), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_written_is_the_time_read(seconds in 0_i64..4_000_000_000) {
            let at = jiff::Timestamp::from_second(seconds).unwrap();
            let civil = TimeZone::UTC.to_datetime(at);
            for form in ["%Y-%m-%d %H:%M:%S", "%-m/%-d/%Y %-H:%M:%S", "%m/%d/%Y %I:%M:%S %p"] {
                let text = civil.strftime(form).to_string();
                let read = parse(text.as_bytes(), DateOrder::MonthFirst).unwrap();
                prop_assert_eq!(read.ms, seconds * 1000, "{}", text);
            }
        }

        #[test]
        fn a_column_is_read_as_its_cells_are(
            times in proptest::collection::vec(
                ("[12]/[12]/(20)?1[67]|201[67]-0[12]-[12]{1,2}", "[ T]?[0-2]?[0-9]:[0-6][0-9](:[0-6][0-9])?(\\.[0-9]{1,4})?( [AP]M)?"), 1..9),
        ) {
            for order in [DateOrder::MonthFirst, DateOrder::DayFirst] {
                let mut column = TimeParser::new(order);
                for (day, clock) in &times {
                    let text = format!("{day}{clock}");
                    prop_assert_eq!(column.parse(text.as_bytes()), parse(text.as_bytes(), order), "{}", text);
                }
            }
        }

        #[test]
        fn no_bytes_cause_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&bytes, DateOrder::MonthFirst);
        }
    }
}
