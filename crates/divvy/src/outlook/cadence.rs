//! How often the snapshots of a feed come.

use serde::{Deserialize, Serialize};

/// How long a reading holds, in minutes, where snapshots come every minute.
const MAX_AGE_MIN: usize = 3;
/// How many intervals between snapshots a reading holds where they come more rarely.
const MAX_AGE_INTERVALS: f64 = 1.5;

/// Snapshots so many minutes apart, or more, are coarse: see [`Cadence::is_coarse`].
const COARSE_MIN: usize = 15;

/// How often snapshots come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cadence {
    /// The median interval between snapshots in minutes, at least 1.
    pub interval: usize,
    /// The mean number of snapshots a minute, without the gaps in the recording.
    pub per_minute: f64,
}

impl Cadence {
    /// Measures the cadence of snapshots made in these minutes, which are ascending.
    pub fn of(minutes: &[i64]) -> Self {
        let between = minutes.windows(2);
        let mut intervals: Vec<usize> = between.map(|two| (two[1] - two[0]) as usize).collect();
        intervals.sort_unstable();
        let median = intervals.get(intervals.len() / 2);
        let mut cadence = Self {
            interval: median.map_or(1, |median| (*median).max(1)),
            per_minute: 0.0,
        };
        // Longer ones are gaps in the recording.
        intervals.retain(|minutes| *minutes <= cadence.max_age());
        let covered: usize = intervals.iter().sum();
        cadence.per_minute = intervals.len() as f64 / covered.max(1) as f64;
        cadence
    }

    /// Returns whether snapshots are so far apart that much of what riders do is not seen: 15 minutes or
    /// more.
    ///
    /// A bike that is taken and another that is brought between two snapshots leave no trace. So rates are
    /// too low, and so are probabilities of an event in any minute until a horizon: `docs/OUTLOOK.md` has
    /// what was measured.
    pub fn is_coarse(self) -> bool {
        self.interval >= COARSE_MIN
    }

    /// Returns how many minutes a reading holds: 3, or one and a half intervals.
    pub fn max_age(self) -> usize {
        MAX_AGE_MIN.max((MAX_AGE_INTERVALS * self.interval as f64).ceil() as usize)
    }

    /// Returns how many minutes before or after a horizon a snapshot may be that decides on an event
    /// at it: 3, or half an interval.
    pub fn tolerance(self) -> usize {
        MAX_AGE_MIN.max(self.interval.div_ceil(2))
    }

    /// Returns whether a number of snapshots within a horizon is enough to decide on an event in it: 4 of
    /// 5 of those that are usual in this time.
    pub fn is_covered(self, snapshots: usize, horizon: usize) -> bool {
        let usual = (horizon as f64 * self.per_minute).floor().max(1.0);
        5.0 * snapshots as f64 >= 4.0 * usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_fifteen_minutes_apart_are_coarse() {
        let every = |minutes: i64| {
            let taken: Vec<i64> = (0..50).map(|n| n * minutes).collect();
            Cadence::of(&taken).is_coarse()
        };
        assert_eq!([1, 14, 15, 60].map(every), [false, false, true, true]);
    }
}
