//! Why there are no forecasts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::numerals::plural;

/// Why a model cannot be trained, or nothing can be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlookError {
    /// The rates need days, and the calibration needs others.
    #[error(
        "the training has readings on {}: at least 2 are needed, the last of 12 hours or more", plural(*days as i64, "day")
    )]
    TooFewDays {
        /// The days with readings that begin 12 hours before the end or earlier.
        days: usize,
    },
    /// Every horizon was left out.
    #[error("no horizon can be scored: {}", listed(left_out))]
    NoHorizon {
        /// The horizons, each with the reason.
        left_out: Vec<HorizonLeftOut>,
    },
}

/// A horizon that has no forecasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HorizonLeftOut {
    /// Minutes ahead.
    pub horizon_min: usize,
    /// Why.
    pub reason: Reason,
}

/// Why a horizon has no forecasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The next snapshot is usually made after the horizon.
    ShorterThanInterval {
        /// The median interval between snapshots, in minutes.
        interval_min: usize,
    },
    /// The last days of the training have too few outcomes to calibrate by.
    Uncalibrated {
        /// The outcomes of the event that has the most of them.
        outcomes: usize,
        /// The least number.
        needed: usize,
    },
    /// No outcome is known in the test.
    NoOutcomes,
}

impl fmt::Display for HorizonLeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minutes: ", self.horizon_min)?;
        match &self.reason {
            Reason::ShorterThanInterval { interval_min } => {
                write!(f, "snapshots are {interval_min} minutes apart")
            }
            Reason::Uncalibrated { outcomes, needed } => write!(
                f,
                "the last days of the training have {outcomes} outcomes to calibrate by, {needed} are needed"
            ),
            Reason::NoOutcomes => f.write_str("the test has no outcome"),
        }
    }
}

fn listed(left_out: &[HorizonLeftOut]) -> String {
    let texts: Vec<String> = left_out.iter().map(HorizonLeftOut::to_string).collect();
    texts.join("; ")
}
