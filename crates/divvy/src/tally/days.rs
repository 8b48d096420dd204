//! Trips by date.

use std::collections::BTreeMap;

use jiff::Span;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Tally, add};
use crate::model::TripBatch;

/// Milliseconds in a day of 24 hours.
const DAY_MS: i64 = 86_400_000;

/// Trips by the local date of their start, in days since 1970-01-01.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Days(pub BTreeMap<i32, i64>);

impl Days {
    /// Returns the first and the last day with a trip. `None` without trips.
    pub fn range(&self) -> Option<(i32, i32)> {
        Some((*self.0.first_key_value()?.0, *self.0.last_key_value()?.0))
    }
}

/// Returns the date of a day since 1970-01-01; the first or last date there is for one beyond.
pub fn date_of(day: i32) -> Date {
    let epoch = Date::constant(1970, 1, 1);
    match Span::new().try_days(day) {
        Ok(days) => epoch.saturating_add(days),
        Err(_) if day < 0 => Date::MIN,
        Err(_) => Date::MAX,
    }
}

/// Returns the day of a date, in days since 1970-01-01.
pub fn day_of(date: Date) -> i32 {
    let days = date.since(Date::constant(1970, 1, 1));
    days.expect("dates are days apart").get_days()
}

/// Returns the month of a day since 1970-01-01, in months since January 1970.
pub fn month_of(day: i32) -> i32 {
    let date = date_of(day);
    (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1
}

impl Tally for Days {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        // Trips of one day mostly stand together, so a day is looked up once a run.
        let mut run = (0, 0);
        for started_ms in &batch.started_ms {
            let day = started_ms.div_euclid(DAY_MS) as i32;
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
