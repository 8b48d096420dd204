//! Corrects probabilities by the outcomes of earlier forecasts.
//!
//! The chain's probabilities are too close to 0 and 1: riders come in groups, and trucks refill. Platt, "Probabilistic
//! outputs for support vector machines", 1999, fits a line through the log odds. Here it is a logistic
//! regression with more terms: the square of the log odds, and the last day and hour of the station.

use serde::{Deserialize, Serialize};

use super::Event;
use super::recent::Recent;
use super::regression::{self, Counted, Prior, dot};

/// Probabilities closer to 0 or 1 are taken as this close: an event forecast with probability 0 that
/// happens has infinite log odds and an infinite log score.
pub(super) const CLIP: f64 = 1e-5;

/// Returns the log odds of a probability.
pub(super) fn logit(p: f64) -> f64 {
    let p = p.clamp(CLIP, 1.0 - CLIP);
    (p / (1.0 - p)).ln()
}

/// Returns the probability of log odds.
pub(super) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// Added to a share of the time before its logarithm is taken.
const LEAST_SHARE: f64 = 0.01;

/// A forecast of one event before it is corrected. In 32 bits, because a training keeps many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Raw {
    /// The log odds of the event by the chain.
    logit: f32,
    /// The logarithm of the share of the last day in which the number was 0 that the event is about.
    ln_share: f32,
    /// The logarithm of the last hour's flows, as a multiple of the usual ones.
    ln_flows: f32,
}

impl Raw {
    /// Takes the log odds of an event by the chain, and the last day and hour of its station.
    pub(super) fn new(logit: f64, event: Event, recent: Recent) -> Self {
        let share = recent.share_without(event);
        Self {
            logit: logit as f32,
            ln_share: (share + LEAST_SHARE).ln() as f32,
            ln_flows: recent.flows.ln() as f32,
        }
    }

    /// Returns what each of the weights is multiplied by.
    fn terms(self) -> [f64; 5] {
        let logit = f64::from(self.logit);
        [
            1.0,
            logit,
            logit.min(0.0).powi(2) / 10.0,
            self.ln_share.into(),
            self.ln_flows.into(),
        ]
    }
}

/// The correction of one event at one horizon: a weighted sum of terms gives the corrected log odds.
///
/// `logit p* = alpha + c l + q min(l, 0)^2 / 10 + w ln(share + 0.01) + f ln(flows)`, where `l` are the log odds of
/// the chain, `share` is that of the last day in which the number was 0 that the event is about, and `flows` are
/// those of the last hour as a multiple of the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// `alpha`, `c`, `q`, `w` and `f`.
    weights: [f64; 5],
}

impl Correction {
    /// Changes nothing.
    pub const IDENTITY: Self = Self {
        weights: [0.0, 1.0, 0.0, 0.0, 0.0],
    };
    /// The prior of the weights. With precisions of 1 to 50 of the last three, skills differ by less than 0.002; they are
    /// for trainings of a few days, which have few events.
    const PRIOR: Prior<5> = Prior {
        mean: Self::IDENTITY.weights,
        precision: [0.1, 0.1, 10.0, 10.0, 10.0],
    };
    /// The precision of a weight that is 0 and stays so.
    const FIXED: f64 = 1e12;

    #[cfg(test)]
    pub(super) fn of(weights: [f64; 5]) -> Self {
        Self { weights }
    }

    /// Returns the corrected log odds.
    pub(super) fn logit(self, raw: Raw) -> f64 {
        dot(self.weights, raw.terms())
    }

    /// Returns the corrected probability of an event.
    pub fn correct(self, probability: f64, event: Event, recent: Recent) -> f64 {
        sigmoid(self.logit(Raw::new(logit(probability), event, recent)))
    }

    /// Returns the correction that is `share` of the way from this one to another.
    pub(super) fn towards(self, other: Self, share: f64) -> Self {
        let between = |index: usize| {
            let (from, to) = (self.weights[index], other.weights[index]);
            from + share * (to - from)
        };
        Self {
            weights: std::array::from_fn(between),
        }
    }

    /// Fits the weights to outcomes by logistic regression. Without outcomes it is [`Self::IDENTITY`].
    ///
    /// Where the corrected log odds would fall while those of the chain rise, because few events make the
    /// quadratic term large, it is fitted without that term.
    pub(super) fn fit(forecasts: &[(Raw, bool)]) -> Self {
        let counted = || {
            forecasts.iter().map(|(raw, happened)| Counted {
                terms: raw.terms(),
                forecasts: 1.0,
                came_true: f64::from(u8::from(*happened)),
            })
        };
        let fit = |prior| regression::fit(counted, prior, Self::IDENTITY.weights);
        let weights = fit(Self::PRIOR);
        let [_, c, quadratic, ..] = weights;
        // The derivative by the log odds is `c + 0.2 q l`, and these are at least those of `CLIP`.
        let falls = c > 0.0 && c + 0.2 * quadratic * logit(0.0) < 0.0;
        if !falls {
            return Self { weights };
        }
        let mut prior = Self::PRIOR;
        prior.precision[2] = Self::FIXED;
        Self {
            weights: fit(prior),
        }
    }
}
