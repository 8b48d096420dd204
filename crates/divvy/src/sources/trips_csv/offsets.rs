//! The UTC offsets of the local times of a trip.

use super::time::LocalTime;
use crate::model::civil_date::{DAY_MS, DAY_S, days_from_civil};
use crate::model::{Flag, Flags, Fold, Resolved, SteadyPeriod, Zone};

/// The times of plausible trips, in milliseconds since 1970: see [`Flag::OddYear`].
mod plausible {
    use super::{DAY_MS, days_from_civil};

    pub(super) const FROM_MS: i64 = days_from_civil(2005, 1, 1) * DAY_MS;
    pub(super) const UNTIL_MS: i64 = days_from_civil(2035, 1, 1) * DAY_MS;
}

/// Finds offsets in one time zone. Caches the period between two changes of the clocks in which the
/// last times were.
pub(super) struct OffsetResolver {
    zone: Zone,
    steady: SteadyPeriod,
}

/// The offsets at the start and end of a trip, in seconds east of UTC.
#[derive(Clone, Copy)]
pub(super) struct Offsets {
    pub(super) started_s: i32,
    pub(super) ended_s: i32,
    /// See [`Flag::ClockChange`].
    pub(super) clock_change: bool,
}

impl Offsets {
    fn elapsed_ms(&self, started: LocalTime, ended: LocalTime) -> i64 {
        (ended.ms - started.ms) - 1000 * i64::from(self.ended_s - self.started_s)
    }
}

/// The times of a row.
pub(super) struct RowTimes {
    pub(super) started: LocalTime,
    pub(super) ended: LocalTime,
    /// The duration that the row states, in seconds.
    pub(super) reported_s: Option<i32>,
    pub(super) offsets: Offsets,
}

impl RowTimes {
    /// Returns the flags that follow from the times.
    #[inline(always)]
    pub(super) fn flags(&self) -> Flags {
        let mut flags = Flags::NONE;
        flags.insert_if(Flag::ClockChange, self.offsets.clock_change);
        let is_odd =
            |time: LocalTime| !(plausible::FROM_MS..plausible::UNTIL_MS).contains(&time.ms);
        flags.insert_if(Flag::OddYear, is_odd(self.started) || is_odd(self.ended));
        let elapsed_ms = self.offsets.elapsed_ms(self.started, self.ended);
        let duration_s = self
            .reported_s
            .map_or(elapsed_ms.div_euclid(1000), i64::from);
        if elapsed_ms < 0 {
            flags.insert(Flag::EndsBeforeStart);
        } else if duration_s < 60 {
            let is_zero = elapsed_ms == 0 && duration_s <= 0;
            flags.insert(if is_zero {
                Flag::ZeroLength
            } else {
                Flag::Under60S
            });
        } else {
            flags.insert_if(Flag::Over24H, duration_s > DAY_S);
        }
        flags
    }
}

impl OffsetResolver {
    pub(super) fn new(zone: Zone) -> Self {
        Self {
            zone,
            steady: SteadyPeriod::default(),
        }
    }

    /// Finds the offsets of a start and an end. `reported_s` is the stated duration.
    #[inline]
    pub(super) fn resolve(
        &mut self,
        started: LocalTime,
        ended: LocalTime,
        reported_s: Option<i32>,
    ) -> Offsets {
        let contains_both =
            |period: SteadyPeriod| period.contains(started.ms) && period.contains(ended.ms);
        if !contains_both(self.steady)
            && let Some(period) = self.zone.steady_period(started.ms)
        {
            self.steady = period;
        }
        if contains_both(self.steady) {
            let offset_s = self.steady.offset_s;
            return Offsets {
                started_s: offset_s,
                ended_s: offset_s,
                clock_change: false,
            };
        }
        self.resolve_near_change(started, ended, reported_s)
    }

    /// Chooses among the offsets of times near a change of the clocks. With a stated duration that
    /// is the pair which fits it best; else the first offset of each, but the second of an end that
    /// would come before its start.
    fn resolve_near_change(
        &self,
        started: LocalTime,
        ended: LocalTime,
        reported_s: Option<i32>,
    ) -> Offsets {
        let (start, end) = (self.zone.resolve(started.ms), self.zone.resolve(ended.ms));
        let candidates = |resolved: Resolved| match resolved.fold {
            Fold::Twice { later_offset_s } => vec![resolved.offset_s, later_offset_s],
            Fold::None | Fold::Never => vec![resolved.offset_s],
        };
        let clock_change =
            start.fold != Fold::None || end.fold != Fold::None || start.offset_s != end.offset_s;
        let mut pairs = Vec::new();
        for started_s in candidates(start) {
            for ended_s in candidates(end) {
                pairs.push(Offsets {
                    started_s,
                    ended_s,
                    clock_change,
                });
            }
        }
        let misfit = |offsets: &Offsets| {
            let elapsed_ms = offsets.elapsed_ms(started, ended);
            match reported_s {
                Some(reported_s) => (elapsed_ms - 1000 * i64::from(reported_s)).abs(),
                None => i64::from(elapsed_ms < 0),
            }
        };
        // The first of equals.
        pairs
            .into_iter()
            .min_by_key(misfit)
            .expect("each time has an offset")
    }
}
