//! When a feed was made: an instant, or what a wall clock showed.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::{Fold, Zone};

/// When a feed was made, by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedTime {
    /// GBFS.
    Instant(Timestamp),
    /// `stationBeanList`: a wall clock without a zone.
    Local {
        /// Milliseconds since 1970-01-01T00:00 read off the wall clock.
        ms: i64,
    },
}

/// 2010-01-01, before any of these systems. Stations that never reported say 0, 18001 or 86400.
const FIRST_S: i64 = 1_262_304_000;
/// From here on a number counts milliseconds: the year 5138 in seconds, 1973 in milliseconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;
/// How a wall clock is written.
const WALL_CLOCKS: [&str; 3] = [
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
];
/// Several servers answer for one feed, and their answers lag by up to this long (the most seen
/// in 267,234 recorded answers is below 5 minutes).
const LAG_MS: i64 = 5 * 60 * 1000;

/// Reads seconds or milliseconds since 1970, fractions cut off.
pub(super) fn posix(digits: &str) -> Option<FeedTime> {
    let whole = digits.split_once('.').map_or(digits, |(whole, _)| whole);
    let number: i64 = whole.parse().ok()?;
    let instant = if number < MILLISECONDS_FROM {
        Timestamp::from_second(number)
    } else {
        Timestamp::from_millisecond(number)
    };
    plausible(instant.ok()?)
}

/// Reads RFC 3339, or a wall clock.
pub(super) fn written(text: &str) -> Option<FeedTime> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return plausible(instant);
    }
    let clock = WALL_CLOCKS
        .iter()
        .find_map(|form| DateTime::strptime(form, text).ok())?;
    let as_if_utc = TimeZone::UTC.to_timestamp(clock).ok()?;
    plausible(as_if_utc)?;
    Some(FeedTime::Local {
        ms: as_if_utc.as_millisecond(),
    })
}

fn plausible(instant: Timestamp) -> Option<FeedTime> {
    (instant.as_second() >= FIRST_S).then_some(FeedTime::Instant(instant))
}

/// Finds the instant at which a wall clock showed a time, `after` the last snapshot.
///
/// In the hour that autumn repeats, the first of the two instants is taken unless that would go
/// back by more than servers lag: then the clock has been turned, and the second goes forward.
/// `None` for a time that no calendar of ours reaches.
pub(super) fn instant(local_ms: i64, zone: &Zone, after: Option<Timestamp>) -> Option<Timestamp> {
    let resolved = zone.resolve(local_ms);
    let first = at_offset(local_ms, resolved.offset_s)?;
    let Fold::Twice { later_offset_s } = resolved.fold else {
        return Some(first);
    };
    let goes_back =
        after.is_some_and(|after| after.as_millisecond() - first.as_millisecond() > LAG_MS);
    if goes_back {
        at_offset(local_ms, later_offset_s)
    } else {
        Some(first)
    }
}

/// Finds the instant of a report that was made by the time of its feed, `until`: the later one
/// where the clock showed it twice.
pub(super) fn instant_until(local_ms: i64, zone: &Zone, until: Timestamp) -> Option<Timestamp> {
    let resolved = zone.resolve(local_ms);
    let first = at_offset(local_ms, resolved.offset_s);
    let Fold::Twice { later_offset_s } = resolved.fold else {
        return first;
    };
    at_offset(local_ms, later_offset_s)
        .filter(|later| *later <= until)
        .or(first)
}

fn at_offset(local_ms: i64, offset_s: i32) -> Option<Timestamp> {
    Timestamp::from_millisecond(local_ms - 1000 * i64::from(offset_s)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chicago(local: &str, after: Option<&str>) -> String {
        let Some(FeedTime::Local { ms }) = written(local) else {
            panic!("{local} is a wall clock");
        };
        let zone = Zone::named("America/Chicago").unwrap();
        let after = after.map(|after| after.parse().unwrap());
        instant(ms, &zone, after).unwrap().to_string()
    }

    #[test]
    fn in_the_repeated_hour_the_offset_that_goes_forward_is_chosen() {
        let local = "2013-11-03 01:00:01 AM";
        assert_eq!(chicago(local, None), "2013-11-03T06:00:01Z");
        for (after, expected) in [
            ("2013-11-03T05:59:01Z", "2013-11-03T06:00:01Z"),
            ("2013-11-03T06:59:01Z", "2013-11-03T07:00:01Z"),
            ("2013-11-03T07:00:01Z", "2013-11-03T07:00:01Z"),
            ("2013-11-03T07:01:01Z", "2013-11-03T07:00:01Z"),
        ] {
            assert_eq!(chicago(local, Some(after)), expected, "after {after}");
        }
    }

    #[test]
    fn a_server_that_lags_has_not_turned_its_clock() {
        let lagging = chicago("2013-11-03 01:29:01 AM", Some("2013-11-03T06:30:01Z"));
        assert_eq!(lagging, "2013-11-03T06:29:01Z");
    }

    #[test]
    fn the_skipped_hour_is_read_as_if_the_clock_had_not_been_turned() {
        let skipped = chicago("2014-03-09 02:30:00 AM", None);
        assert_eq!(skipped, "2014-03-09T08:30:00Z");
    }

    #[test]
    fn wall_clocks_come_with_12_and_24_hours() {
        let noon = written("2019-01-27 12:35:23 PM");
        assert_eq!(noon, written("2019-01-27 12:35:23"));
        assert_eq!(noon, written("2019-01-27T12:35:23"));
        assert_ne!(noon, written("2019-01-27 12:35:23 AM"));
        assert_eq!(written("yesterday"), None);
    }

    #[test]
    fn never_is_no_time() {
        for never in ["0", "18001", "86400", "-1", "1262303999", "1e9"] {
            assert_eq!(posix(never), None, "{never}");
        }
        assert_eq!(posix("1738143909000"), posix("1738143909"));
        assert_eq!(posix("1738143909.75"), posix("1738143909"));
        assert_eq!(written("1969-12-31T18:00:00-06:00"), None);
    }
}
