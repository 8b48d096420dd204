//! Corrects log odds by the outcomes of recent forecasts: seasons change faster than models are trained.

use super::regression::{self, Counted, Prior};

/// A line through log odds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Added to the log odds.
    pub intercept: f64,
    /// What the log odds are multiplied by.
    pub slope: f64,
}

impl Line {
    /// Changes nothing.
    pub const IDENTITY: Self = Self {
        intercept: 0.0,
        slope: 1.0,
    };

    /// Returns the corrected log odds.
    pub fn logit(self, logit: f64) -> f64 {
        self.intercept + self.slope * logit
    }
}

/// How fast a correction follows outcomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnlineOptions {
    /// The age in hours at which an outcome weighs 1/e.
    pub tau_h: f64,
    /// The precision of the prior of the intercept, whose mean is 0. Above 0.
    pub intercept_precision: f64,
    /// The precision of the prior of the slope, whose mean is 1. Above 0.
    pub slope_precision: f64,
}

impl Default for OnlineOptions {
    fn default() -> Self {
        Self {
            tau_h: 7.0 * 24.0,
            intercept_precision: 20.0,
            slope_precision: 100.0,
        }
    }
}

/// Follows the outcomes of forecasts, and fits a [`Line`] to them each hour.
///
/// The line is the most likely one by logistic regression, where an outcome weighs `exp(-age / tau)`. Log odds are
/// kept in steps of 0.1.
#[derive(Clone, Debug)]
pub struct OnlineCorrection {
    options: OnlineOptions,
    /// For each step of log odds, the weight of forecasts and of those that came true.
    steps: Vec<(f64, f64)>,
    line: Line,
}

impl OnlineCorrection {
    const LOWEST: f64 = -25.0;
    const STEP: f64 = 0.1;
    const STEPS: usize = 500;

    /// Begins without outcomes.
    pub fn new(options: OnlineOptions) -> Self {
        Self {
            options,
            steps: vec![(0.0, 0.0); Self::STEPS],
            line: Line::IDENTITY,
        }
    }

    /// Adds the outcome of a forecast.
    pub fn add(&mut self, logit: f64, happened: bool) {
        let step = ((logit - Self::LOWEST) / Self::STEP).clamp(0.0, (Self::STEPS - 1) as f64);
        let (forecasts, came_true) = &mut self.steps[step as usize];
        *forecasts += 1.0;
        *came_true += f64::from(u8::from(happened));
    }

    /// Returns the line for the next hour. Outcomes are an hour older then.
    pub fn hour(&mut self) -> Line {
        let decay = (-1.0 / self.options.tau_h).exp();
        for (forecasts, came_true) in &mut self.steps {
            *forecasts *= decay;
            *came_true *= decay;
        }
        let counted = || {
            let steps = self.steps.iter().enumerate();
            let seen = steps.filter(|(_, (forecasts, _))| *forecasts > 0.0);
            seen.map(|(step, (forecasts, came_true))| Counted {
                terms: [1.0, Self::LOWEST + Self::STEP * (step as f64 + 0.5)],
                forecasts: *forecasts,
                came_true: *came_true,
            })
        };
        let prior = Prior {
            mean: [0.0, 1.0],
            precision: [
                self.options.intercept_precision,
                self.options.slope_precision,
            ],
        };
        let Line { intercept, slope } = self.line;
        let [intercept, slope] = regression::fit(counted, prior, [intercept, slope]);
        self.line = Line { intercept, slope };
        self.line
    }
}
