//! Corrects probabilities by the outcomes of earlier forecasts.
//!
//! The chain's probabilities are too close to 0 and 1: riders come in groups, and trucks refill. Platt, "Probabilistic
//! outputs for support vector machines", 1999, fits a line through the log odds.

use serde::{Deserialize, Serialize};

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

/// A line through the log odds: `logit p* = alpha + c logit p`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// Added to the log odds.
    pub alpha: f64,
    /// What the log odds are multiplied by. Below 1 where forecasts are too close to
    /// 0 and 1.
    pub c: f64,
}

impl Platt {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { alpha: 0.0, c: 1.0 };

    /// Returns the corrected log odds.
    pub fn logit(self, logit: f64) -> f64 {
        self.alpha + self.c * logit
    }

    /// Returns the corrected probability.
    pub fn correct(self, probability: f64) -> f64 {
        sigmoid(self.logit(logit(probability)))
    }

    /// Fits the line to log odds and outcomes by Newton's method, with a Gaussian prior of mean
    /// [`Self::IDENTITY`] on both numbers. Without outcomes it is [`Self::IDENTITY`].
    pub fn fit(forecasts: &[(f64, bool)]) -> Self {
        /// The precision of the prior.
        const PRIOR: f64 = 0.1;
        const ITERATIONS: usize = 50;
        let mut line = Self::IDENTITY;
        for _ in 0..ITERATIONS {
            let mut gradient = (-PRIOR * line.alpha, -PRIOR * (line.c - 1.0));
            let (mut aa, mut ac, mut cc) = (PRIOR, 0.0, PRIOR);
            for (logit, happened) in forecasts {
                let p = sigmoid(line.logit(*logit));
                let error = f64::from(u8::from(*happened)) - p;
                gradient.0 += error;
                gradient.1 += error * logit;
                let weight = p * (1.0 - p);
                aa += weight;
                ac += weight * logit;
                cc += weight * logit * logit;
            }
            let determinant = aa * cc - ac * ac;
            let step = (
                (cc * gradient.0 - ac * gradient.1) / determinant,
                (aa * gradient.1 - ac * gradient.0) / determinant,
            );
            // A long step may overshoot where few events are known.
            let length = step.0.abs().max(step.1.abs());
            let shortened = if length > 2.0 { 2.0 / length } else { 1.0 };
            line.alpha += shortened * step.0;
            line.c += shortened * step.1;
            if length < 1e-9 {
                break;
            }
        }
        line
    }
}

/// A shift of the log odds that follows the outcomes of recent forecasts: seasons change faster than
/// models are trained.
///
/// It solves `sum w (y - sigmoid(l + delta)) = rho delta` over outcomes `y` of log odds `l`, where `w
/// = exp(-age / tau)`. Log odds are kept in steps of 0.1.
#[derive(Clone, Debug)]
pub struct OnlineIntercept {
    tau_h: f64,
    rho: f64,
    /// For each step of log odds, the weight of forecasts and of those that came true.
    steps: Vec<(f64, f64)>,
    delta: f64,
}

impl OnlineIntercept {
    const LOWEST: f64 = -25.0;
    const STEP: f64 = 0.1;
    const STEPS: usize = 500;

    /// Begins without outcomes. `tau_h` is the age in hours at which an outcome weighs 1/e; `rho` is
    /// how strongly the shift is held at 0.
    pub fn new(tau_h: f64, rho: f64) -> Self {
        Self {
            tau_h,
            rho,
            steps: vec![(0.0, 0.0); Self::STEPS],
            delta: 0.0,
        }
    }

    /// Adds the outcome of a forecast.
    pub fn add(&mut self, logit: f64, happened: bool) {
        let step = ((logit - Self::LOWEST) / Self::STEP).clamp(0.0, (Self::STEPS - 1) as f64);
        let (forecasts, true_ones) = &mut self.steps[step as usize];
        *forecasts += 1.0;
        *true_ones += f64::from(u8::from(happened));
    }

    /// Lets an hour pass, and returns the shift.
    pub fn hour(&mut self) -> f64 {
        let decay = (-1.0 / self.tau_h).exp();
        for (forecasts, true_ones) in &mut self.steps {
            *forecasts *= decay;
            *true_ones *= decay;
        }
        for _ in 0..20 {
            let mut gradient = -self.rho * self.delta;
            let mut curvature = self.rho;
            for (step, (forecasts, true_ones)) in self.steps.iter().enumerate() {
                if *forecasts > 0.0 {
                    let logit = Self::LOWEST + Self::STEP * (step as f64 + 0.5);
                    let p = sigmoid(logit + self.delta);
                    gradient += true_ones - forecasts * p;
                    curvature += forecasts * p * (1.0 - p);
                }
            }
            let change = (gradient / curvature).clamp(-1.0, 1.0);
            self.delta += change;
            if change.abs() < 1e-6 {
                break;
            }
        }
        self.delta
    }
}
