//! Trips by date.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Tally, add};
use crate::model::TripBatch;
use crate::model::civil_date::day_of_ms;

/// Trips by the local date of their start, in days since 1970-01-01.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Days(pub BTreeMap<i32, i64>);

impl Days {
    /// Returns the first and the last day with a trip. `None` without trips.
    pub fn range(&self) -> Option<(i32, i32)> {
        Some((*self.0.first_key_value()?.0, *self.0.last_key_value()?.0))
    }
}

impl Tally for Days {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        // Trips of one day are mostly consecutive, so a day is looked up once for each run.
        let mut run = (0, 0);
        for started_ms in &batch.started_ms {
            let day = day_of_ms(*started_ms);
            if run.0 != day {
                add(&mut self.0, run.0, run.1);
                run = (day, 0);
            }
            run.1 += times;
        }
        add(&mut self.0, run.0, run.1);
    }

    fn merge(&mut self, other: &Self) {
        for (day, n) in &other.0 {
            add(&mut self.0, *day, *n);
        }
    }
}
