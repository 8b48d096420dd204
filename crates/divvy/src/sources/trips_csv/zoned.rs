//! Times that end with their zone: `2024-07-04 09:05:11-04:00`, `2024-07-04T13:05:11Z`.

use jiff::Timestamp;

use super::time::{self, DateOrder, LocalTime};
use crate::model::Zone;

/// How to read times that end in `Z` or `UTC`. Programs write that for times in UTC, and for local
/// times without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UtcTimes {
    /// They are in UTC, and are converted to the clock of the system.
    Convert,
    /// They are local times, with a mark that has no meaning.
    Local,
}

/// How the times of a file are to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeHints {
    /// Dates have the day first.
    pub day_first: bool,
    /// How to read times that end in `Z`. `None` refuses a file with such times.
    pub utc_times: Option<UtcTimes>,
}

/// The zone at the end of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffix {
    /// `Z`, `UTC` or `GMT`.
    Utc,
    /// `-04:00`, in seconds east of UTC.
    Offset(i32),
}

/// Splits the zone off a time. `None` where it has none.
pub(super) fn split(text: &[u8]) -> Option<(&[u8], Suffix)> {
    // The dashes of a date come before its clock.
    let clock = text.iter().position(|byte| *byte == b':')?;
    let zone = text[clock..]
        .iter()
        .position(|byte| matches!(byte, b'Z' | b'z' | b'U' | b'G' | b'+' | b'-'))?;
    let (time, zone) = text.split_at(clock + zone);
    let suffix = match zone {
        b"Z" | b"z" | b"UTC" | b"GMT" => Suffix::Utc,
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let seconds = offset_s(offset)?;
            Suffix::Offset(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => return None,
    };
    Some((time.trim_ascii_end(), suffix))
}

/// Reads `04`, `0400` or `04:00`.
fn offset_s(text: &[u8]) -> Option<i32> {
    let digits: Vec<i32> = text
        .iter()
        .filter(|byte| **byte != b':')
        .map(|byte| byte.is_ascii_digit().then(|| i32::from(byte - b'0')))
        .collect::<Option<_>>()?;
    let (hours, minutes) = match digits[..] {
        [h, hh] => (10 * h + hh, 0),
        [h, hh, m, mm] => (10 * h + hh, 10 * m + mm),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then_some(3600 * hours + 60 * minutes)
}

/// Reads an instant: 13 digits, the milliseconds since 1970-01-01T00:00Z. `None` for any other text.
pub(super) fn epoch_ms(text: &[u8]) -> Option<i64> {
    let digits: &[u8; 13] = text.try_into().ok()?;
    let digit = |ms: i64, byte: &u8| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| ms * 10 + i64::from(digit))
    };
    digits.iter().try_fold(0, digit)
}

/// Returns whether a text is `MM:SS.f`, which is all that spreadsheets show and save of some times.
pub(super) fn is_clock_without_hour(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let Some((minutes, seconds)) = text.split_once(':') else {
        return false;
    };
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_below_60 = |text: &str| are_digits(text) && text.parse().is_ok_and(|n: u8| n < 60);
    is_below_60(minutes) && seconds.len() == 2 && is_below_60(seconds) && are_digits(fraction)
}

/// Reads a time with a zone, or an [instant](epoch_ms), as a local time of `zone`, and the offset from
/// UTC that it has there: `None` for one that is local already. `None` for any other text.
pub(super) fn parse(
    text: &[u8],
    order: DateOrder,
    utc_times: Option<UtcTimes>,
    zone: &Zone,
) -> Option<(LocalTime, Option<i32>)> {
    if let Some(ms) = epoch_ms(text) {
        let time = LocalTime {
            ms,
            precision_ms: 1,
        };
        return on_clock(time, 0, zone);
    }
    let (time, suffix) = split(text)?;
    let time = time::parse(time, order)?;
    let stated_s = match (suffix, utc_times) {
        (Suffix::Offset(seconds), _) => seconds,
        (Suffix::Utc, Some(UtcTimes::Convert)) => 0,
        (Suffix::Utc, Some(UtcTimes::Local)) => return Some((time, None)),
        (Suffix::Utc, None) => return None,
    };
    on_clock(time, stated_s, zone)
}

/// Converts a time, `stated_s` seconds east of UTC, to the clock of `zone`.
fn on_clock(mut time: LocalTime, stated_s: i32, zone: &Zone) -> Option<(LocalTime, Option<i32>)> {
    let utc_ms = time.ms - 1000 * i64::from(stated_s);
    let offset_s = zone.offset_at(Timestamp::from_millisecond(utc_ms).ok()?);
    time.ms = utc_ms + 1000 * i64::from(offset_s);
    Some((time, Some(offset_s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_split_off() {
        for (text, time, suffix) in [
            (
                "2024-07-04T13:05:11.000Z",
                "2024-07-04T13:05:11.000",
                Suffix::Utc,
            ),
            (
                "2018-07-04 13:05:11 UTC",
                "2018-07-04 13:05:11",
                Suffix::Utc,
            ),
            (
                "2024-07-04 09:05:11-04:00",
                "2024-07-04 09:05:11",
                Suffix::Offset(-14_400),
            ),
            (
                "7/4/2024 9:05 +0530",
                "7/4/2024 9:05",
                Suffix::Offset(19_800),
            ),
            (
                "2024-07-04 09:05:11.5+02",
                "2024-07-04 09:05:11.5",
                Suffix::Offset(7200),
            ),
        ] {
            assert_eq!(
                split(text.as_bytes()),
                Some((time.as_bytes(), suffix)),
                "{text}"
            );
        }
        for text in [
            "2024-07-04",
            "2024-07-04 09:05:11",
            "9:05 AM",
            "9:05 Uhr",
            "9:05+1",
            "9:05-99:00",
        ] {
            assert_eq!(split(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn clocks_without_an_hour_are_recognised() {
        for text in ["10:50.9", "0:07", "59:59.0"] {
            assert!(is_clock_without_hour(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "10",
            "10:5",
            "10:61.5",
            "60:10",
            "10:50:09",
            "1/2/24 10:50",
            "100:50",
        ] {
            assert!(!is_clock_without_hour(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn times_with_a_zone_are_local_times_of_the_system() {
        let chicago = Zone::named("America/Chicago").unwrap();
        let local = |text: &str, utc_times| {
            let read = parse(text.as_bytes(), DateOrder::MonthFirst, utc_times, &chicago);
            read.map(|(time, offset_s)| {
                (
                    Timestamp::from_millisecond(time.ms).unwrap().to_string(),
                    offset_s,
                )
            })
        };
        let summer = Some(("2024-07-04T08:05:11Z".to_owned(), Some(-18_000)));
        assert_eq!(local("2024-07-04 09:05:11-04:00", None), summer);
        assert_eq!(
            local("2024-07-04T13:05:11Z", Some(UtcTimes::Convert)),
            summer
        );
        assert_eq!(
            local("2024-07-04T13:05:11Z", Some(UtcTimes::Local)),
            Some(("2024-07-04T13:05:11Z".to_owned(), None))
        );
        assert_eq!(local("2024-07-04T13:05:11Z", None), None);
        // The second of two hours of that name.
        let second = Some(("2024-11-03T01:30:00Z".to_owned(), Some(-21_600)));
        assert_eq!(local("2024-11-03 07:30:00+00:00", None), second);
    }
}
