//! Starts and stops by hour of the day.

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::model::TripBatch;

/// Milliseconds in an hour.
const HOUR_MS: i64 = 3_600_000;

/// Starts and stops for each hour of the local day, 0 to 23.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hours(pub [Hour; 24]);

/// What happens within one hour of the day, over all days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// Trips that start in it.
    pub starts: i64,
    /// Trips that end in it.
    pub stops: i64,
}

impl Tally for Hours {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        let hour = |local_ms: i64| (local_ms.div_euclid(HOUR_MS)).rem_euclid(24) as usize;
        for (started_ms, ended_ms) in batch.started_ms.iter().zip(&batch.ended_ms) {
            self.0[hour(*started_ms)].starts += times;
            self.0[hour(*ended_ms)].stops += times;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.starts += theirs.starts;
            mine.stops += theirs.stops;
        }
    }
}
