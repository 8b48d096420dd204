//! Conversion between local times and instants.
//!
//! Trip files and the oldest feeds have local times without an offset. One hour each autumn
//! happens twice and one each spring not at all; [`Zone::resolve`] reports both cases.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// The rules of one time zone, as a table for fast lookups.
///
/// Local times are milliseconds since 1970-01-01T00:00 on the wall clock; offsets are seconds
/// east of UTC.
#[derive(Clone, Debug)]
pub struct Zone {
    time_zone: TimeZone,
    /// Changes of offset between 2000 and 2100, oldest first.
    changes: Vec<Change>,
    /// The offset in force before the first change.
    first_offset_s: i32,
}

/// One change of the clocks.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// The local times from `from_ms` to `until_ms` happen twice (autumn) or never (spring).
    from_ms: i64,
    until_ms: i64,
    before_s: i32,
    after_s: i32,
}

/// How many instants a local time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// One.
    None,
    /// Two: [`Resolved::offset_s`] is the offset of the earlier one.
    Twice {
        /// The offset after the change, seconds east of UTC.
        later_offset_s: i32,
    },
    /// None: the clocks jumped over it. [`Resolved::offset_s`] is the offset before the change, as
    /// if the clock had not been turned.
    Never,
}

/// A local time with its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Seconds east of UTC; of two offsets, that of the earlier instant.
    pub offset_s: i32,
    /// Whether the time is repeated or skipped.
    pub fold: Fold,
}

/// Local times from `from_ms` up to `until_ms`, all of which have one offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SteadyPeriod {
    /// The first millisecond.
    pub from_ms: i64,
    /// The millisecond after the last.
    pub until_ms: i64,
    /// Seconds east of UTC.
    pub offset_s: i32,
}

impl SteadyPeriod {
    /// Returns whether a local time lies in the period.
    #[inline]
    pub fn contains(&self, local_ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&local_ms)
    }
}

impl Zone {
    /// Finds a zone in the compiled-in database. `None` for an unknown name.
    pub fn named(name: &str) -> Option<Self> {
        let time_zone = TimeZone::get(name).ok()?;
        let start = Timestamp::from_second(946_684_800).ok()?; // 2000-01-01
        let end = Timestamp::from_second(4_102_444_800).ok()?; // 2100-01-01
        let first_offset_s = time_zone.to_offset(start).seconds();
        let mut before_s = first_offset_s;
        let mut changes = Vec::new();
        for change in time_zone
            .following(start)
            .take_while(|change| change.timestamp() < end)
        {
            let after_s = change.offset().seconds();
            if after_s == before_s {
                continue;
            }
            let at_ms = change.timestamp().as_millisecond();
            let (low, high) = (before_s.min(after_s), before_s.max(after_s));
            changes.push(Change {
                from_ms: at_ms + i64::from(low) * 1000,
                until_ms: at_ms + i64::from(high) * 1000,
                before_s,
                after_s,
            });
            before_s = after_s;
        }
        Some(Self {
            time_zone,
            changes,
            first_offset_s,
        })
    }

    /// Finds the offset of a local time.
    pub fn resolve(&self, local_ms: i64) -> Resolved {
        let next = self
            .changes
            .partition_point(|change| change.from_ms <= local_ms);
        let Some(change) = next.checked_sub(1).map(|last| self.changes[last]) else {
            return Resolved {
                offset_s: self.first_offset_s,
                fold: Fold::None,
            };
        };
        if local_ms >= change.until_ms {
            return Resolved {
                offset_s: change.after_s,
                fold: Fold::None,
            };
        }
        let fold = if change.after_s < change.before_s {
            Fold::Twice {
                later_offset_s: change.after_s,
            }
        } else {
            Fold::Never
        };
        Resolved {
            offset_s: change.before_s,
            fold,
        }
    }

    /// Returns the instant of a local time, of a repeated hour the first one. Of a time out of range, the
    /// first or the last instant.
    pub fn instant(&self, local_ms: i64) -> Timestamp {
        const DAY_MS: i64 = 24 * 3_600_000;
        let first = Timestamp::MIN.as_millisecond() + DAY_MS;
        let last = Timestamp::MAX.as_millisecond() - DAY_MS;
        if local_ms < first {
            return Timestamp::MIN;
        }
        if local_ms > last {
            return Timestamp::MAX;
        }
        let offset_ms = 1_000 * i64::from(self.resolve(local_ms).offset_s);
        Timestamp::from_millisecond(local_ms - offset_ms).unwrap_or(Timestamp::MAX)
    }

    /// Returns the period around `local_ms` between two changes of the clocks; `None` inside a
    /// repeated or skipped hour. With it, a loop over the trips of a year searches the table twice.
    pub fn steady_period(&self, local_ms: i64) -> Option<SteadyPeriod> {
        let next = self
            .changes
            .partition_point(|change| change.from_ms <= local_ms);
        let until_ms = self
            .changes
            .get(next)
            .map_or(i64::MAX, |change| change.from_ms);
        let (from_ms, offset_s) = match next.checked_sub(1).map(|last| self.changes[last]) {
            None => (i64::MIN, self.first_offset_s),
            Some(change) if local_ms >= change.until_ms => (change.until_ms, change.after_s),
            Some(_) => return None,
        };
        Some(SteadyPeriod {
            from_ms,
            until_ms,
            offset_s,
        })
    }

    /// Returns the offset in force at an instant, seconds east of UTC.
    pub fn offset_at(&self, instant: Timestamp) -> i32 {
        self.time_zone.to_offset(instant).seconds()
    }

    /// Writes an instant as RFC 3339 with this zone's offset: `2021-01-23T16:14:19-06:00`.
    pub fn rfc3339(&self, instant: Timestamp) -> String {
        let offset: Offset = self.time_zone.to_offset(instant);
        instant.display_with_offset(offset).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(local: &str) -> i64 {
        let civil: jiff::civil::DateTime = local.parse().unwrap();
        TimeZone::UTC.to_timestamp(civil).unwrap().as_millisecond()
    }

    #[test]
    fn chicago_turns_its_clocks_twice_a_year() {
        let zone = Zone::named("America/Chicago").unwrap();
        let hours = |local| {
            let found = zone.resolve(ms(local));
            (found.offset_s / 3600, found.fold)
        };
        assert_eq!(hours("2020-01-15T12:00"), (-6, Fold::None));
        assert_eq!(hours("2020-07-15T12:00"), (-5, Fold::None));
        assert_eq!(hours("2020-11-01T00:59:59"), (-5, Fold::None));
        assert_eq!(
            hours("2020-11-01T01:00"),
            (
                -5,
                Fold::Twice {
                    later_offset_s: -21_600
                }
            )
        );
        assert_eq!(hours("2020-11-01T02:00"), (-6, Fold::None));
        assert_eq!(hours("2020-03-08T01:59:59"), (-6, Fold::None));
        assert_eq!(hours("2020-03-08T02:30"), (-6, Fold::Never));
        assert_eq!(hours("2020-03-08T03:00"), (-5, Fold::None));
    }

    #[test]
    fn a_steady_period_agrees_with_resolve() {
        let zone = Zone::named("America/Chicago").unwrap();
        for month in 1..=12 {
            let at = ms(&format!("2019-{month:02}-15T08:00"));
            let period = zone.steady_period(at).unwrap();
            assert!(period.contains(at));
            let offset_s = period.offset_s;
            for inside in [period.from_ms, at, period.until_ms - 1] {
                assert_eq!(
                    zone.resolve(inside),
                    Resolved {
                        offset_s,
                        fold: Fold::None
                    }
                );
            }
        }
        assert_eq!(zone.steady_period(ms("2020-11-01T01:30")), None);
    }
}
