//! The probability that a station will be empty or full, minutes to hours ahead.
//!
//! ```text
//!  calendar       half hours of weekdays and days off
//!  builder        snapshots of a period → observations;  columns: changes of each station → the same
//!  cadence        how often snapshots come
//!  faults         snapshots in which most stations lose all bikes at once → left out
//!  observations   bikes and docks of each station in each snapshot; what happened until a horizon
//!  flows          two snapshots → departures and arrivals, without trucks
//!  rates          flows of weeks → departures and arrivals a minute by station and half hour
//!  level          flows of the last hours → how busy the system is, compared with the rates
//!  recent         the last day and hour of a station
//!  chain          bikes now, rates, level → the distribution of bikes at each horizon
//!  calibration    outcomes of earlier forecasts → corrected probabilities
//!  regression     how calibration and online are fitted
//!  online         outcomes of recent forecasts → corrected once more
//!  model          all of these: trained on weeks, asked for forecasts
//!  claim          what the model forecasts for a station at any horizon
//!  baselines      simpler forecasts to compare with;  scores: how good forecasts are
//!  backtest       trains on one period and scores on another
//! ```
//!
//! The chain is the M/M/1/K queue whose rates change with time: Raviv and Kolka, "Optimal inventory
//! management of a bike-sharing station", IIE Transactions 45(10), 2013; Gast, Massonnet, Reijsbergen
//! and Tribastone, "Probabilistic forecasts of bike-sharing systems for journey planning", CIKM 2015.
//! `docs/OUTLOOK.md` has the formulas and what was measured.

mod backtest;
mod baselines;
mod builder;
mod cadence;
mod calendar;
mod calibration;
mod chain;
mod claim;
mod columns;
mod error;
pub(crate) mod faults;
mod flows;
mod level;
mod model;
mod observations;
mod online;
mod rates;
mod recent;
mod regression;
mod scores;

pub use backtest::{Backtest, BacktestOptions, backtest};
pub use builder::{Added, ObservationsBuilder, minute_of};
pub use cadence::Cadence;
pub use calendar::{Calendar, SLOTS};
pub use calibration::Correction;
pub use chain::{Chain, FlowRates, Outlook};
pub use claim::Claim;
pub use columns::ColumnsBuilder;
pub use error::{HorizonLeftOut, OutlookError, Reason};
pub use flows::is_truck;
pub use level::{Level, LevelTracker};
pub use model::Model;
pub use observations::{Observations, Reading, Vehicles};
pub use online::{Line, OnlineCorrection, OnlineOptions};
pub use rates::StationRates;
pub use recent::{Elapsed, Recent, RecentTracker};
pub use scores::{BIN_LIMITS, Bin, Parts, Score, bin_of, brier, log_score, parts};

use serde::{Deserialize, Serialize};

/// What may happen to a station until a horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// No bike at the horizon.
    EmptyAt,
    /// No bike in at least one minute until the horizon, at a station that has one now.
    EmptyWithin,
    /// No free dock at the horizon.
    FullAt,
    /// No free dock in at least one minute until the horizon, at a station that has one now.
    FullWithin,
}

impl Event {
    /// All events.
    pub const ALL: [Self; 4] = [
        Self::EmptyAt,
        Self::EmptyWithin,
        Self::FullAt,
        Self::FullWithin,
    ];

    /// Returns its name, which is stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmptyAt => "empty_at",
            Self::EmptyWithin => "empty_within",
            Self::FullAt => "full_at",
            Self::FullWithin => "full_within",
        }
    }

    /// Returns whether the event is about free docks, not bikes.
    pub fn is_of_docks(self) -> bool {
        matches!(self, Self::FullAt | Self::FullWithin)
    }

    /// Returns whether the event may be in any minute until the horizon.
    pub fn is_within(self) -> bool {
        matches!(self, Self::EmptyWithin | Self::FullWithin)
    }

    /// Returns the number that is 0 when the event happens: bikes or free docks. `None` for free docks
    /// where there are neither bikes nor docks, since such a station is not full.
    pub fn count(self, reading: Reading) -> Option<u16> {
        match self.is_of_docks() {
            true => (reading.places() > 0).then_some(reading.docks),
            false => Some(reading.bikes),
        }
    }
}

#[cfg(test)]
mod tests;
