//! Trains the model on one period, and scores its forecasts on another.

use super::Event;
use super::baselines::Baselines;
use super::calibration::{OnlineIntercept, sigmoid};
use super::model::{self, Model, Sample};
use super::observations::Observations;
use super::scores::{Score, Tally};

/// What a backtest scores.
#[derive(Clone, Debug)]
pub struct BacktestOptions {
    /// Minutes ahead.
    pub horizons: Vec<usize>,
    /// Random station-minutes of the test, and as many of the training for the calibration.
    pub samples: usize,
    /// The draw of the station-minutes.
    pub seed: u64,
    /// The age in hours and the weight that the online intercept is made with. `None`: without it.
    pub online: Option<(f64, f64)>,
}

impl Default for BacktestOptions {
    fn default() -> Self {
        Self {
            horizons: vec![15, 30, 60, 120],
            samples: 200_000,
            seed: 1,
            online: Some((7.0 * 24.0, 50.0)),
        }
    }
}

/// Trains the model on `train` and scores forecasts for random station-minutes of `test`. Of each
/// horizon there is one score for each event, in the order of [`Event::ALL`]. No forecast depends on
/// observations after its minute.
pub fn backtest(
    train: &Observations,
    test: &Observations,
    options: &BacktestOptions,
) -> Vec<Score> {
    let model = Model::train(train, &options.horizons, options.samples, options.seed);
    let baselines = Baselines::of(train, model.horizons());
    let shifts = options.online.map(|online| shifts(&model, test, online));
    let samples = model::draw(test, 0..test.minutes(), options.samples, options.seed);
    let mut tallies = vec![<[Tally; 4]>::default(); model.horizons().len()];
    model.each_logit(test, &samples, |_, sample, at, logits| {
        let Sample { station, minute } = sample;
        let horizon = model.horizons()[at];
        let Some(now) = test.reading(station, minute) else {
            return;
        };
        for event in Event::ALL {
            let Some(happened) = test.outcome(station, minute, horizon, event) else {
                continue;
            };
            let shift = shifts
                .as_ref()
                .map_or(0.0, |shifts| shifts[minute / 60][at][event as usize]);
            let corrected = model.calibration(at, event).logit(logits[event as usize]);
            let id = &test.stations()[station];
            let baseline = baselines.forecast(at, event, id, now, test.slot(minute));
            tallies[at][event as usize].add(sigmoid(corrected + shift), baseline, happened);
        }
    });
    let horizons = model.horizons().iter().zip(&tallies);
    let scores = horizons.flat_map(|(horizon, tallies)| {
        let events = Event::ALL.into_iter().zip(tallies);
        events.map(|(event, tally)| tally.score(*horizon, event))
    });
    scores.collect()
}

/// The online intercept of each event at each horizon.
type Shifts = Vec<[f64; 4]>;

/// Returns the online intercepts that hold in each hour of the test: from a forecast for every station
/// in every hour, each of which counts once its outcome is known.
fn shifts(model: &Model, test: &Observations, (tau_h, rho): (f64, f64)) -> Vec<Shifts> {
    let hours = test.minutes().div_ceil(60);
    let horizons = model.horizons().len();
    let stations = test.stations().len();
    let on_the_hour = |hour: usize| {
        (0..stations).map(move |s| Sample {
            station: s,
            minute: 60 * hour,
        })
    };
    let samples: Vec<Sample> = (0..hours).flat_map(on_the_hour).collect();
    // The outcomes by the hour from which on they are known.
    let mut known: Vec<Vec<(usize, usize, f64, bool)>> = vec![Vec::new(); hours + 1];
    model.each_logit(test, &samples, |_, sample, at, logits| {
        let horizon = model.horizons()[at];
        let from = (sample.minute + horizon).div_ceil(60).min(hours);
        for event in Event::ALL {
            let outcome = test.outcome(sample.station, sample.minute, horizon, event);
            if let Some(happened) = outcome {
                let corrected = model.calibration(at, event).logit(logits[event as usize]);
                known[from].push((at, event as usize, corrected, happened));
            }
        }
    });
    let mut intercepts =
        vec![std::array::from_fn::<_, 4, _>(|_| OnlineIntercept::new(tau_h, rho)); horizons];
    let of_hour = |outcomes: &Vec<(usize, usize, f64, bool)>| {
        for (at, event, logit, happened) in outcomes {
            intercepts[*at][*event].add(*logit, *happened);
        }
        let of_horizon = |events: &mut [OnlineIntercept; 4]| events.each_mut().map(|i| i.hour());
        intercepts.iter_mut().map(of_horizon).collect()
    };
    known[..hours].iter().map(of_hour).collect()
}
