//! The times of feeds: instants, or local times.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::{Fold, Zone};

/// When a feed was made, by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedTime {
    /// GBFS.
    Instant(Timestamp),
    /// `stationBeanList`: a local time without an offset.
    Local {
        /// Milliseconds since 1970-01-01T00:00 on the wall clock.
        ms: i64,
    },
}

/// The earliest valid time: 2010-01-01, before any of these systems. For stations that never
/// reported, feeds have 0, 18001 or 86400.
const MIN_S: i64 = 1_262_304_000;
/// Numbers from here on are milliseconds: 5138 in seconds, 1973 in milliseconds.
const MIN_MILLISECONDS: i64 = 100_000_000_000;
/// The forms of local times.
const LOCAL_TIMES: [&str; 3] = [
    "%Y-%m-%d %I:%M:%S %p",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
];
/// How old a response may be. A feed has several servers, and the largest difference between them in
/// 267,234 recorded responses is below 5 minutes.
const MAX_LAG_MS: i64 = 5 * 60 * 1000;

/// Reads seconds or milliseconds since 1970, rounded down.
pub(super) fn posix(digits: &str) -> Option<FeedTime> {
    let whole = digits.split_once('.').map_or(digits, |(whole, _)| whole);
    let number: i64 = whole.parse().ok()?;
    let instant = if number < MIN_MILLISECONDS {
        Timestamp::from_second(number)
    } else {
        Timestamp::from_millisecond(number)
    };
    plausible(instant.ok()?)
}

/// Reads RFC 3339, or a local time.
pub(super) fn parse(text: &str) -> Option<FeedTime> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return plausible(instant);
    }
    let local = LOCAL_TIMES
        .iter()
        .find_map(|form| DateTime::strptime(form, text).ok())?;
    let as_if_utc = TimeZone::UTC.to_timestamp(local).ok()?;
    plausible(as_if_utc)?;
    Some(FeedTime::Local {
        ms: as_if_utc.as_millisecond(),
    })
}

fn plausible(instant: Timestamp) -> Option<FeedTime> {
    (instant.as_second() >= MIN_S).then_some(FeedTime::Instant(instant))
}

/// Returns the instant of a local time. `after` is the time of the last snapshot.
///
/// In the hour that autumn repeats, the first of the two instants is taken, unless that is earlier
/// than `after` by more than [`MAX_LAG_MS`]: then it is the second. `None` for a time outside of
/// `jiff`'s range.
pub(super) fn instant(local_ms: i64, zone: &Zone, after: Option<Timestamp>) -> Option<Timestamp> {
    let resolved = zone.resolve(local_ms);
    let first = at_offset(local_ms, resolved.offset_s)?;
    let Fold::Twice { later_offset_s } = resolved.fold else {
        return Some(first);
    };
    let goes_back =
        after.is_some_and(|after| after.as_millisecond() - first.as_millisecond() > MAX_LAG_MS);
    if goes_back {
        at_offset(local_ms, later_offset_s)
    } else {
        Some(first)
    }
}

/// Returns the instant of a report's local time: the later of two, unless that is after `until`, the
/// time of the feed.
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
        let Some(FeedTime::Local { ms }) = parse(local) else {
            panic!("{local} is a local time");
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
    fn local_times_come_with_12_and_24_hours() {
        let noon = parse("2019-01-27 12:35:23 PM");
        assert_eq!(noon, parse("2019-01-27 12:35:23"));
        assert_eq!(noon, parse("2019-01-27T12:35:23"));
        assert_ne!(noon, parse("2019-01-27 12:35:23 AM"));
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn never_is_no_time() {
        for never in ["0", "18001", "86400", "-1", "1262303999", "1e9"] {
            assert_eq!(posix(never), None, "{never}");
        }
        assert_eq!(posix("1738143909000"), posix("1738143909"));
        assert_eq!(posix("1738143909.75"), posix("1738143909"));
        assert_eq!(parse("1969-12-31T18:00:00-06:00"), None);
    }
}
