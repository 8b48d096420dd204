//! Trains the model on one period, and scores its forecasts on another.

use std::collections::VecDeque;

use super::Event;
use super::baselines::Baselines;
use super::calibration::sigmoid;
use super::error::{HorizonLeftOut, OutlookError, Reason};
use super::model::{self, Conditions, Forecast, Model, Sample};
use super::observations::Observations;
use super::online::{Line, OnlineCorrection, OnlineOptions};
use super::scores::{Score, Tally};

/// What a backtest scores.
#[derive(Clone, Debug)]
pub struct BacktestOptions {
    /// Minutes ahead.
    pub horizons: Vec<usize>,
    /// How many station-snapshots of the test are drawn, and as many of the training for the
    /// calibration. Each is drawn at most once.
    pub samples: usize,
    /// The seed of the random draw.
    pub seed: u64,
    /// The correction by the outcomes of the test that are known by then. `None`: without it.
    pub online: Option<OnlineOptions>,
}

impl Default for BacktestOptions {
    fn default() -> Self {
        Self {
            horizons: vec![15, 30, 60, 120],
            // More than 200,000 remain where some have no outcome.
            samples: 250_000,
            seed: 1,
            online: Some(OnlineOptions::default()),
        }
    }
}

/// How good the forecasts were.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// Of each horizon one score for each event, in the order of [`Event::ALL`].
    pub scores: Vec<Score>,
    /// The horizons that have no scores.
    pub left_out: Vec<HorizonLeftOut>,
    /// The station-snapshots that were drawn: fewer than were asked for if the test has no more.
    pub samples: usize,
}

/// Trains the model on `train` and scores forecasts for random station-snapshots of `test`. No forecast
/// depends on observations after its minute.
///
/// # Errors
///
/// [`OutlookError`] where the model cannot be trained, or no horizon can be scored.
pub fn backtest(
    train: &Observations,
    test: &Observations,
    options: &BacktestOptions,
) -> Result<Backtest, OutlookError> {
    let (horizons, mut left_out) = model::long_horizons(&options.horizons, test);
    let model = Model::train(train, &horizons, options.samples, options.seed)?;
    left_out.extend_from_slice(model.left_out());
    let samples = model::draw(test, 0..test.minutes(), options.samples, options.seed);
    let drawn = samples.len();
    let mut scores = Vec::new();
    let tallies = tallies(&model, train, test, samples, options);
    for (horizon_min, tallies) in model.horizons().iter().copied().zip(tallies) {
        let scored = Event::ALL.into_iter().zip(&tallies);
        let scored: Vec<Score> = scored
            .map(|(e, tally)| tally.score(horizon_min, e))
            .collect();
        if scored.iter().all(|score| score.n == 0) {
            let reason = Reason::NoOutcomes;
            left_out.push(HorizonLeftOut {
                horizon_min,
                reason,
            });
        } else {
            scores.extend(scored);
        }
    }
    left_out.sort_by_key(|horizon| horizon.horizon_min);
    if scores.is_empty() {
        return Err(OutlookError::NoHorizon { left_out });
    }
    Ok(Backtest {
        scores,
        left_out,
        samples: drawn,
    })
}

/// Compares the forecasts for samples of the test with what happened. For each horizon and event.
fn tallies(
    model: &Model,
    train: &Observations,
    test: &Observations,
    samples: Vec<Sample>,
    options: &BacktestOptions,
) -> Vec<[Tally; 4]> {
    let baselines = Baselines::of(train, model.horizons());
    let mut conditions = model.conditions(test);
    let lines = options
        .online
        .map(|online| lines(model, test, &mut conditions, online));
    let mut tallies = vec![<[Tally; 4]>::default(); model.horizons().len()];
    model.each_forecast(&mut conditions, samples, |forecast| {
        let Forecast {
            sample, now, at, ..
        } = forecast;
        let Sample { station, minute } = sample;
        let id = &test.stations()[station];
        each_outcome(model, test, &forecast, |event, logit, happened| {
            let line = lines
                .as_ref()
                .map_or(Line::IDENTITY, |of| of[minute / 60][at][event as usize]);
            let baseline = baselines.forecast(at, event, id, now, test.slot(minute));
            let probability = sigmoid(line.logit(logit));
            tallies[at][event as usize].add(probability, baseline, happened);
        });
    });
    tallies
}

/// Passes each event that is forecast and whose outcome is known, with its log odds after calibration.
fn each_outcome(
    model: &Model,
    test: &Observations,
    forecast: &Forecast,
    mut pass: impl FnMut(Event, f64, bool),
) {
    let Sample { station, minute } = forecast.sample;
    let horizon = model.horizons()[forecast.at];
    let forecast_of_docks = model.forecasts_docks(&test.stations()[station], forecast.now);
    for event in Event::ALL {
        if event.is_of_docks() && !forecast_of_docks {
            continue;
        }
        if let Some(happened) = test.outcome(station, minute, horizon, event) {
            let correction = model.calibration(forecast.at, event);
            let logit = correction.logit(forecast.events[event as usize]);
            pass(event, logit, happened);
        }
    }
}

/// The online correction of each event at each horizon.
pub(super) type Lines = Vec<[Line; 4]>;

/// The outcome of a forecast: the index of the horizon, the event, the log odds after calibration, and
/// whether it happened.
type Outcome = (usize, Event, f64, bool);

/// Returns the online corrections that hold in each hour of the test: from forecasts for every station
/// at the first snapshot of each hour, each of which counts once its outcome is known.
pub(super) fn lines(
    model: &Model,
    test: &Observations,
    conditions: &mut Conditions<'_>,
    online: OnlineOptions,
) -> Vec<Lines> {
    let new = || OnlineCorrection::new(online);
    let mut corrections: Vec<[OnlineCorrection; 4]> = model
        .horizons()
        .iter()
        .map(|_| std::array::from_fn(|_| new()))
        .collect();
    // By the first hour at which they are known, from the next hour on.
    let mut outcomes: VecDeque<Vec<Outcome>> = VecDeque::new();
    let of_hour = |hour: usize| {
        for (at, event, logit, happened) in outcomes.pop_front().unwrap_or_default() {
            corrections[at][event as usize].add(logit, happened);
        }
        let of_horizon =
            |events: &mut [OnlineCorrection; 4]| events.each_mut().map(|event| event.hour());
        let lines = corrections.iter_mut().map(of_horizon).collect();
        model.each_forecast(conditions, first_of_hour(test, hour), |forecast| {
            let horizon = model.horizons()[forecast.at];
            let known_at = forecast.sample.minute + horizon + test.tolerance();
            let from = known_at.div_ceil(60) - hour - 1;
            if outcomes.len() <= from {
                outcomes.resize_with(from + 1, Vec::new);
            }
            each_outcome(model, test, &forecast, |event, logit, happened| {
                outcomes[from].push((forecast.at, event, logit, happened));
            });
        });
        lines
    };
    (0..test.minutes().div_ceil(60)).map(of_hour).collect()
}

/// Returns every station in the first snapshot of an hour of the period.
fn first_of_hour(test: &Observations, hour: usize) -> impl Iterator<Item = Sample> + '_ {
    let snapshot = test.snapshots(60 * hour..60 * hour + 60).next();
    let stations = 0..test.stations().len();
    stations.filter_map(move |station| {
        let (minute, _) = test.at_snapshot(station, snapshot?)?;
        Some(Sample { station, minute })
    })
}
