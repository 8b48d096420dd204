//! How many trips are odd, and in what way.

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::model::{Flag, Flags, TripBatch};

/// Trips by flag, and trips whose duration is implausible (a trip with two such flags is one).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlagCounts {
    by_flag: [i64; Flag::ALL.len()],
    /// Trips with any of [`Flags::IMPLAUSIBLE_DURATION`].
    pub implausible_durations: i64,
}

impl FlagCounts {
    /// Returns the number of trips with a flag.
    pub fn get(&self, flag: Flag) -> i64 {
        // Flags are single bits, listed in their order.
        self.by_flag[(flag as u16).trailing_zeros() as usize]
    }

    /// Lists the flags that occur, in the order of reports.
    pub fn iter(&self) -> impl Iterator<Item = (Flag, i64)> {
        Flag::ALL
            .into_iter()
            .zip(self.by_flag)
            .filter(|(_, n)| *n != 0)
    }
}

impl FlagCounts {
    /// Counts the flags of one trip.
    pub(crate) fn count_one(&mut self, flags: Flags, times: i64) {
        if flags == Flags::NONE {
            return;
        }
        for (n, flag) in self.by_flag.iter_mut().zip(Flag::ALL) {
            *n += times * i64::from(flags.contains(flag));
        }
        let implausible = flags.intersects(Flags::IMPLAUSIBLE_DURATION);
        self.implausible_durations += times * i64::from(implausible);
    }
}

impl Tally for FlagCounts {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        for flags in &batch.flags {
            self.count_one(*flags, times);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.by_flag.iter_mut().zip(&other.by_flag) {
            *mine += theirs;
        }
        self.implausible_durations += other.implausible_durations;
    }
}
