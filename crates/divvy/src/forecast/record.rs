//! How good forecasts were: sums by day, group of vehicles, horizon, event and probability.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::issue::Outcome;
use crate::model::civil_date::{date_of, day_of};
use crate::outlook::{BIN_LIMITS, Bin, Event, Vehicles, bin_of, brier, log_score};

/// Sums of days older than this are added up by month.
const DAYS_APART: i32 = 100;

/// What forecasts are summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The local day on which they were issued, since 1970-01-01. Of days more than 100 before the newest,
    /// the first of their month.
    pub day: i32,
    /// The vehicles.
    pub vehicles: Vehicles,
    /// Minutes ahead.
    pub horizon_min: usize,
    /// The event.
    pub event: Event,
}

/// The sums of forecasts whose probabilities are in one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BinSum {
    /// Forecasts.
    pub n: u64,
    /// Those whose event happened.
    pub happened: u64,
    /// Those that persistence had wrong: the event happened and was not the case before, or the other way
    /// round.
    pub persistence_wrong: u64,
    /// The sum of the probabilities.
    pub probability: f64,
    /// The sum of the squares of their errors.
    pub brier: f64,
    /// The sum of the log scores.
    pub log_score: f64,
}

impl BinSum {
    /// Adds another sum.
    pub fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.happened += other.happened;
        self.persistence_wrong += other.persistence_wrong;
        self.probability += other.probability;
        self.brier += other.brier;
        self.log_score += other.log_score;
    }
}

/// The sums of one key: those of bins with forecasts, by the index of the bin in [`BIN_LIMITS`].
pub type BinSums = BTreeMap<usize, BinSum>;

/// How good the forecasts of a system were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    sums: BTreeMap<Key, BinSums>,
}

impl Record {
    /// Adds a forecast that was issued on a day since 1970-01-01.
    pub(super) fn add(&mut self, day: i32, outcome: &Outcome) {
        let key = Key {
            day,
            vehicles: outcome.vehicles,
            horizon_min: outcome.horizon_min,
            event: outcome.event,
        };
        let Outcome {
            probability,
            happened,
            ..
        } = *outcome;
        let bins = self.sums.entry(key).or_default();
        bins.entry(bin_of(probability)).or_default().add(&BinSum {
            n: 1,
            happened: u64::from(happened),
            persistence_wrong: u64::from(outcome.persistence != happened),
            probability,
            brier: brier(probability, happened),
            log_score: log_score(probability, happened),
        });
    }

    /// Adds up the days of months that are long before a day.
    pub(super) fn fold(&mut self, today: i32) {
        let folded = |day: i32| day_of(date_of(day).first_of_month());
        let old: Vec<Key> = self
            .sums
            .keys()
            .filter(|key| key.day < today - DAYS_APART && folded(key.day) != key.day)
            .copied()
            .collect();
        for key in old {
            let bins = self.sums.remove(&key).unwrap_or_default();
            let month = Key {
                day: folded(key.day),
                ..key
            };
            let sums = self.sums.entry(month).or_default();
            for (bin, sum) in bins {
                sums.entry(bin).or_default().add(&sum);
            }
        }
    }

    /// Lists the sums of all days.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &BinSums)> {
        self.sums.iter()
    }

    /// Returns whether no forecast has been scored.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Returns the sums over all days, by group of vehicles, horizon and event.
    pub fn over_all_days(&self) -> BTreeMap<(Vehicles, usize, Event), BinSums> {
        let mut all: BTreeMap<(Vehicles, usize, Event), BinSums> = BTreeMap::new();
        for (key, bins) in &self.sums {
            let sums = all
                .entry((key.vehicles, key.horizon_min, key.event))
                .or_default();
            for (bin, sum) in bins {
                sums.entry(*bin).or_default().add(sum);
            }
        }
        all
    }
}

/// Returns the bin with this index: its limits, and the means of its forecasts.
pub fn bin(index: usize, sum: &BinSum) -> Bin {
    let n = sum.n.max(1) as f64;
    Bin {
        from: index.checked_sub(1).map_or(0.0, |below| BIN_LIMITS[below]),
        until: BIN_LIMITS[index],
        n: sum.n as usize,
        forecast: sum.probability / n,
        observed: sum.happened as f64 / n,
    }
}
