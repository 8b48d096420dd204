//! Local times with their offsets as texts.

use std::fmt::Write;

use divvy::model::civil_date::{DAY_MS, civil_from_days, days_from_civil};

/// Writes a local time with its offset as RFC 3339: `2016-07-01T00:04:09-05:00`. Years of five
/// digits and offsets with seconds, which the RFC does not allow, are written as in ISO 8601, so
/// that all numbers survive.
pub(super) fn write_time(out: &mut String, local_ms: i64, offset_s: i32) {
    let (year, month, day) = civil_from_days(local_ms.div_euclid(DAY_MS));
    let ms = local_ms.rem_euclid(DAY_MS);
    let (second, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let written = match year {
        0..=9999 => write!(out, "{year:04}"),
        _ => write!(out, "{year:+07}"),
    };
    written
        .and_then(|()| {
            write!(
                out,
                "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
            )
        })
        .and_then(|()| match ms {
            0 => Ok(()),
            _ => write!(out, ".{ms:03}"),
        })
        .and_then(|()| {
            let sign = if offset_s < 0 { '-' } else { '+' };
            let offset = offset_s.unsigned_abs();
            write!(out, "{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60)?;
            match offset % 60 {
                0 => Ok(()),
                seconds => write!(out, ":{seconds:02}"),
            }
        })
        .expect("texts take what is written");
}

/// Formats a local time without offset, as the texts of [`write_time`] begin: a text that sorts before
/// all of that time. `None` for years that do not have four digits.
pub(crate) fn local_text(local_ms: i64) -> Option<String> {
    let (year, ..) = civil_from_days(local_ms.div_euclid(DAY_MS));
    let mut text = String::with_capacity(25);
    write_time(&mut text, local_ms, 0);
    let offset = "+00:00".len();
    (0..=9999)
        .contains(&year)
        .then(|| text[..text.len() - offset].to_owned())
}

/// Reads what [`write_time`] wrote: local milliseconds, and seconds east of UTC.
pub(super) fn read_time(text: &str) -> Option<(i64, i32)> {
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| digits)
    };
    let (date, time) = text.split_once('T')?;
    let mut parts = date.rsplitn(3, '-');
    let (day, month, year) = (
        number(parts.next()?)?,
        number(parts.next()?)?,
        parts.next()?,
    );
    let year: i64 = year.parse().ok()?;
    let at = time.find(['+', '-'])?;
    let (clock, offset) = time.split_at(at);
    let (clock, ms) = clock.split_once('.').unwrap_or((clock, "000"));
    let mut parts = clock.split(':').map(number);
    let mut next = || parts.next().flatten();
    let (hour, minute, second) = (next()?, next()?, next()?);
    let (sign, offset) = offset.split_at(1);
    let mut parts = offset.split(':').map(number);
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = parts.next().unwrap_or(Some(0))?;
    let offset = i128::from(hours) * 3600 + i128::from(minutes * 60 + seconds);
    let offset = if sign == "-" { -offset } else { offset };
    // Milliseconds of years beyond this do not fit into their type.
    const MAX_YEAR: u64 = 1 << 40;
    if year.unsigned_abs() > MAX_YEAR || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) || ms.len() != 3 {
        return None;
    }
    let second = hour.checked_mul(3600)?.checked_add(minute * 60 + second)?;
    let local_ms =
        i128::from(days) * i128::from(DAY_MS) + i128::from(second) * 1000 + i128::from(number(ms)?);
    Some((local_ms.try_into().ok()?, offset.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_what_others_read(
            second in -60_000_000_000..250_000_000_000_i64,
            ms in 0..1000_i64,
            offset_s in -50_000..50_000_i32,
        ) {
            let mut text = String::new();
            write_time(&mut text, second * 1000 + ms, offset_s);
            let local: jiff::civil::DateTime = text.parse().unwrap();
            let expected = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)
                .checked_add(jiff::SignedDuration::from_millis(second * 1000 + ms)).unwrap();
            prop_assert_eq!(local, expected);
            if offset_s % 60 == 0 {
                let instant: jiff::Timestamp = text.parse().unwrap();
                prop_assert_eq!(instant.as_millisecond(), (second - i64::from(offset_s)) * 1000 + ms);
            }
        }

        #[test]
        fn any_text_is_a_time_or_none(text in "[+-]?[0-9]{0,19}-?[0-9]{0,3}-?[0-9]{0,20}T?[0-9:.+-]{0,40}") {
            if let Some((local_ms, offset_s)) = read_time(&text) {
                let mut back = String::new();
                write_time(&mut back, local_ms, offset_s);
                prop_assert_eq!(read_time(&back), Some((local_ms, offset_s)));
            }
        }
    }
}
