//! The trained model.

use std::ops::Range;

use super::Event;
use super::calibration::{Platt, logit};
use super::chain::{Chain, FlowRates, Outlook};
use super::level::{self, Level};
use super::observations::{Observations, Reading};
use super::rates::{StationRates, SystemRates};
use crate::model::StationId;
use crate::sample::Rng;
use rustc_hash::FxHashMap;

/// The share of the days of training that rates are estimated from while the calibration is fitted to
/// the others.
const SHARE_FOR_RATES: f64 = 0.7;

/// What was learned from a period of observations.
#[derive(Clone, Debug)]
pub struct Model {
    rates: SystemRates,
    indexes: FxHashMap<StationId, usize>,
    /// Minutes ahead, ascending.
    horizons: Vec<usize>,
    /// For each horizon and event.
    calibration: Vec<[Platt; 4]>,
}

/// A station and a minute of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) station: usize,
    pub(super) minute: usize,
}

impl Model {
    /// Trains the model: rates from the first 70 % of the days and calibration from `samples` random
    /// station-minutes of the others, then rates from all days. `horizons` are minutes ahead.
    pub fn train(
        observations: &Observations,
        horizons: &[usize],
        samples: usize,
        seed: u64,
    ) -> Self {
        let mut horizons = horizons.to_vec();
        horizons.sort_unstable();
        horizons.dedup();
        let split = split(observations);
        let stations = observations.stations().iter().cloned();
        let mut model = Self {
            rates: SystemRates::estimate(observations, 0..split),
            indexes: stations.zip(0..).collect(),
            calibration: vec![[Platt::IDENTITY; 4]; horizons.len()],
            horizons,
        };
        let held_out = split..observations.minutes();
        let drawn = draw(observations, held_out, samples, seed);
        let mut forecasts = vec![<[Vec<(f64, bool)>; 4]>::default(); model.horizons.len()];
        model.each_logit(observations, &drawn, |_, sample, at, logits| {
            for (index, event) in Event::ALL.into_iter().enumerate() {
                let horizon = model.horizons[at];
                let outcome = observations.outcome(sample.station, sample.minute, horizon, event);
                if let Some(happened) = outcome {
                    forecasts[at][index].push((logits[index], happened));
                }
            }
        });
        let fit = |forecasts: &[Vec<(f64, bool)>; 4]| forecasts.each_ref().map(|f| Platt::fit(f));
        model.calibration = forecasts.iter().map(fit).collect();
        model.rates = SystemRates::estimate(observations, 0..observations.minutes());
        model
    }

    /// Returns the horizons in minutes, ascending.
    pub fn horizons(&self) -> &[usize] {
        &self.horizons
    }

    /// Returns the correction of an event at a horizon, by the horizon's index.
    pub fn calibration(&self, horizon: usize, event: Event) -> Platt {
        self.calibration[horizon][event as usize]
    }

    /// Returns the rates of a station. One that was not observed in training has those of the system.
    pub fn rates(&self, station: &StationId) -> &StationRates {
        let index = self.indexes.get(station);
        index.map_or(&self.rates.other, |index| &self.rates.stations[*index])
    }

    /// Returns the outlook of a station at each horizon, before calibration. `slot` is the slot of a
    /// number of minutes from now.
    pub fn outlooks(
        &self,
        station: &StationId,
        now: Reading,
        level: Level,
        slot: impl Fn(usize) -> usize,
    ) -> Vec<Outlook> {
        let mut outlooks = Vec::new();
        self.run(self.rates(station), now, level, slot, |_, chain| {
            outlooks.push(chain.outlook())
        });
        outlooks
    }

    /// Runs the chain of a station, and passes it at each horizon, with the horizon's index.
    fn run(
        &self,
        rates: &StationRates,
        now: Reading,
        level: Level,
        slot: impl Fn(usize) -> usize,
        mut at: impl FnMut(usize, &Chain),
    ) {
        let mut chain = Chain::new(usize::from(now.bikes), now.places());
        let mut minute = 0;
        for (index, horizon) in self.horizons.iter().enumerate() {
            while minute < *horizon {
                let usual: FlowRates = rates.at(slot(minute));
                chain.minute(level.times(usual));
                minute += 1;
            }
            at(index, &chain);
        }
    }

    /// Passes the uncalibrated log odds of each event at each horizon of each sample: with the index of
    /// the sample and of the horizon.
    pub(super) fn each_logit(
        &self,
        observations: &Observations,
        samples: &[Sample],
        mut pass: impl FnMut(usize, Sample, usize, [f64; 4]),
    ) {
        let rates: Vec<&StationRates> = observations
            .stations()
            .iter()
            .map(|station| self.rates(station))
            .collect();
        let levels = level::levels(observations, |station| rates[station]);
        for (index, sample) in samples.iter().enumerate() {
            let Sample { station, minute } = *sample;
            let Some(now) = observations.reading(station, minute) else {
                continue;
            };
            let slot = |ahead| observations.slot(minute + ahead);
            self.run(rates[station], now, levels[minute], slot, |at, chain| {
                pass(
                    index,
                    *sample,
                    at,
                    Event::ALL.map(|event| logit(chain.probability(event))),
                );
            });
        }
    }
}

/// Returns the first minute of the days that calibration is fitted to.
fn split(observations: &Observations) -> usize {
    let days = observations.first_minutes_of_days();
    let share = SHARE_FOR_RATES * observations.minutes() as f64;
    let nearest = days
        .into_iter()
        .min_by_key(|minute| minute.abs_diff(share as usize));
    nearest.unwrap_or(share as usize)
}

/// Draws station-minutes that have a reading. Fewer than `samples` where readings are rare.
pub(super) fn draw(
    observations: &Observations,
    minutes: Range<usize>,
    samples: usize,
    seed: u64,
) -> Vec<Sample> {
    let mut rng = Rng::of(seed, minutes.start as u64);
    let stations = observations.stations().len() as u64;
    let mut drawn = Vec::with_capacity(samples);
    if stations == 0 || minutes.is_empty() {
        return drawn;
    }
    for _ in 0..20 * samples {
        if drawn.len() == samples {
            break;
        }
        let station = rng.below(stations) as usize;
        let minute = minutes.start + rng.below(minutes.len() as u64) as usize;
        if observations.reading(station, minute).is_some() {
            drawn.push(Sample { station, minute });
        }
    }
    drawn
}
