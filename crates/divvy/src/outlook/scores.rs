//! How good probabilities are: Brier, "Verification of forecasts expressed in terms of probability",
//! 1950; its parts by Murphy, "A new vector partition of the probability score", 1973; the log score
//! by Good, "Rational decisions", 1952.

use serde::Serialize;

use super::Event;
use super::baselines::Baseline;
use super::calibration::CLIP;

/// The upper limits of the bins of forecasts. Events are rare: most forecasts are below 0.1.
pub const BIN_LIMITS: [f64; 13] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
];
/// The forecasts of one event at one horizon, against what happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Minutes ahead.
    pub horizon_min: usize,
    /// The event.
    pub event: Event,
    /// Forecasts.
    pub n: usize,
    /// Forecasts whose event happened.
    pub events: usize,
    /// The mean square of the probability's error: 0 is perfect. This and the other scores are `None`
    /// without forecasts.
    pub brier: Option<f64>,
    /// By how much the Brier score is below that of persistence, as a share of it. `None` where that
    /// one is perfect.
    pub skill_persistence: Option<f64>,
    /// The same against the frequency at the station in the half hour of weekdays or days off.
    pub skill_climatology: Option<f64>,
    /// The same against the frequency at stations with as many bikes (or docks).
    pub skill_bikes_table: Option<f64>,
    /// The mean of `-ln p` of what happened: 0 is perfect.
    pub log_score: Option<f64>,
    /// The forecasts by their probability.
    pub calibration: Vec<Bin>,
    /// The log score of the frequency at stations with as many bikes (or docks).
    pub log_score_bikes_table: Option<f64>,
    /// The part of the Brier score that is due to frequencies that differ from the probabilities, by
    /// bins: 0 is best. `reliability - resolution + uncertainty` is the Brier score where the forecasts
    /// of each bin are equal, and close to it where they are similar.
    pub reliability: Option<f64>,
    /// The part by which the frequencies of the bins differ from each other: more is better.
    pub resolution: Option<f64>,
    /// The Brier score of always forecasting the overall frequency.
    pub uncertainty: Option<f64>,
}

/// Forecasts of similar probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// The lowest probability of the bin.
    pub from: f64,
    /// The probability that it ends before.
    pub until: f64,
    /// Forecasts.
    pub n: usize,
    /// The mean probability.
    pub forecast: f64,
    /// The share whose event happened.
    pub observed: f64,
}

/// Adds up forecasts.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    bins: [Sum; BIN_LIMITS.len()],
    n: usize,
    brier: f64,
    log_score: f64,
    /// Of persistence, climatology, and the table by bikes.
    brier_of_baselines: [f64; 3],
    log_score_bikes_table: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    n: usize,
    probability: f64,
    happened: usize,
}

impl Tally {
    pub(super) fn add(&mut self, probability: f64, baseline: Baseline, happened: bool) {
        let bin = &mut self.bins[bin_of(probability)];
        bin.n += 1;
        bin.probability += probability;
        bin.happened += usize::from(happened);
        self.n += 1;
        self.brier += brier(probability, happened);
        self.log_score += log_score(probability, happened);
        self.log_score_bikes_table += log_score(baseline.bikes_table, happened);
        let forecasts = [
            baseline.persistence,
            baseline.climatology,
            baseline.bikes_table,
        ];
        for (sum, forecast) in self.brier_of_baselines.iter_mut().zip(forecasts) {
            *sum += brier(forecast, happened);
        }
    }

    pub(super) fn score(&self, horizon_min: usize, event: Event) -> Score {
        let n = self.n.max(1) as f64;
        let if_any = |score: f64| (self.n > 0).then_some(score);
        let events = self.bins.iter().map(|bin| bin.happened).sum();
        let skill = |sum: f64| (sum > 0.0).then(|| 1.0 - self.brier / sum);
        let [persistence, climatology, bikes_table] = self.brier_of_baselines;
        let calibration: Vec<Bin> = self.bins().collect();
        let parts = parts(&calibration);
        Score {
            horizon_min,
            event,
            n: self.n,
            events,
            brier: if_any(self.brier / n),
            skill_persistence: skill(persistence),
            skill_climatology: skill(climatology),
            skill_bikes_table: skill(bikes_table),
            log_score: if_any(self.log_score / n),
            log_score_bikes_table: if_any(self.log_score_bikes_table / n),
            reliability: parts.map(|parts| parts.reliability),
            resolution: parts.map(|parts| parts.resolution),
            uncertainty: parts.map(|parts| parts.uncertainty),
            calibration,
        }
    }

    /// Returns the bins that have forecasts.
    fn bins(&self) -> impl Iterator<Item = Bin> {
        let from = std::iter::once(0.0).chain(BIN_LIMITS);
        let bins = self
            .bins
            .iter()
            .zip(from.zip(BIN_LIMITS))
            .filter(|(sum, _)| sum.n > 0);
        bins.map(|(sum, (from, until))| Bin {
            from,
            until,
            n: sum.n,
            forecast: sum.probability / sum.n as f64,
            observed: sum.happened as f64 / sum.n as f64,
        })
    }
}

/// The parts of the Brier score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    /// See [`Score::reliability`].
    pub reliability: f64,
    /// See [`Score::resolution`].
    pub resolution: f64,
    /// See [`Score::uncertainty`].
    pub uncertainty: f64,
}

/// Divides the Brier score by bins. `None` without forecasts.
pub fn parts(bins: &[Bin]) -> Option<Parts> {
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    if n == 0 {
        return None;
    }
    let mean = |value: &dyn Fn(&Bin) -> f64| {
        let sum: f64 = bins.iter().map(|bin| bin.n as f64 * value(bin)).sum();
        sum / n as f64
    };
    let frequency = mean(&|bin| bin.observed);
    Some(Parts {
        reliability: mean(&|bin| (bin.forecast - bin.observed).powi(2)),
        resolution: mean(&|bin| (bin.observed - frequency).powi(2)),
        uncertainty: frequency * (1.0 - frequency),
    })
}

/// Returns the index in [`BIN_LIMITS`] of the bin of a probability.
pub fn bin_of(probability: f64) -> usize {
    let bin = BIN_LIMITS.partition_point(|limit| *limit <= probability);
    bin.min(BIN_LIMITS.len() - 1)
}

/// Returns the square of a probability's error.
pub fn brier(probability: f64, happened: bool) -> f64 {
    (probability - f64::from(u8::from(happened))).powi(2)
}

/// Returns `-ln p` of what happened. Probabilities closer to 0 or 1 than 0.00001 are taken as this close.
pub fn log_score(probability: f64, happened: bool) -> f64 {
    let of_outcome = if happened {
        probability
    } else {
        1.0 - probability
    };
    -of_outcome.clamp(CLIP, 1.0).ln()
}
