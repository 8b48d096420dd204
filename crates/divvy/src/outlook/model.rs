//! The trained model.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Event;
use super::cadence::Cadence;
use super::calibration::{Correction, Raw, logit};
use super::chain::{Chain, FlowRates, Outlook};
use super::error::{HorizonLeftOut, OutlookError, Reason};
use super::level::{self, Level, LevelTracker};
use super::observations::{Observations, Reading};
use super::rates::{StationRates, SystemRates};
use super::recent::{RecentTracker, Recents};
use crate::model::StationId;
use crate::sample::Rng;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// The share of the days of training that rates are estimated from while the calibration is fitted to
/// the others.
const SHARE_FOR_RATES: f64 = 0.7;
/// The fewest minutes that calibration is fitted to: a few hours of a night have hardly an event.
const LEAST_HELD_OUT_MIN: usize = 12 * 60;
/// The fewest outcomes that a horizon is calibrated by.
const LEAST_OUTCOMES: usize = 100;

/// What was learned from a period of observations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    rates: SystemRates,
    /// How often the snapshots of the training came.
    cadence: Cadence,
    indexes: FxHashMap<StationId, usize>,
    /// Minutes ahead, ascending.
    horizons: Vec<usize>,
    /// For each horizon and event.
    calibration: Vec<[Correction; 4]>,
    left_out: Vec<HorizonLeftOut>,
}

/// What forecasts in a period depend on, beside the rates and what a station has now.
pub(super) struct Conditions<'a> {
    observations: &'a Observations,
    /// The level of the system after each minute.
    pub(super) levels: Vec<Level>,
    pub(super) recents: Recents<'a>,
}

/// A station and a minute of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) station: usize,
    pub(super) minute: usize,
}

/// The forecasts for one sample at one horizon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    pub(super) sample: Sample,
    pub(super) now: Reading,
    /// The index of the horizon.
    pub(super) at: usize,
    /// For each event, before calibration.
    pub(super) events: [Raw; 4],
}

impl Model {
    /// Trains the model: rates from the first 70 % of the days that have readings and calibration from
    /// `samples` random station-snapshots of the others, then rates from all days. `horizons` are minutes
    /// ahead. Those that cannot be trained are left out: [`Self::left_out`].
    ///
    /// # Errors
    ///
    /// [`OutlookError::TooFewDays`].
    pub fn train(
        observations: &Observations,
        horizons: &[usize],
        samples: usize,
        seed: u64,
    ) -> Result<Self, OutlookError> {
        let held_out = held_out(observations)?;
        let (horizons, left_out) = long_horizons(horizons, observations);
        let stations = observations.stations().iter().cloned();
        let mut model = Self {
            rates: SystemRates::estimate(observations, 0..held_out.start),
            cadence: observations.cadence(),
            indexes: stations.zip(0..).collect(),
            calibration: Vec::new(),
            horizons,
            left_out,
        };
        let drawn = draw(observations, held_out, samples, seed);
        model.calibrate(observations, drawn);
        model.rates = SystemRates::estimate(observations, 0..observations.minutes());
        Ok(model)
    }

    /// Fits the calibration to the outcomes of samples, and leaves out horizons without enough of them.
    fn calibrate(&mut self, observations: &Observations, drawn: Vec<Sample>) {
        let mut forecasts = vec![<[Vec<(Raw, bool)>; 4]>::default(); self.horizons.len()];
        let mut conditions = self.conditions(observations);
        self.each_forecast(&mut conditions, drawn, |forecast| {
            let Sample { station, minute } = forecast.sample;
            for event in Event::ALL {
                let horizon = self.horizons[forecast.at];
                if let Some(happened) = observations.outcome(station, minute, horizon, event) {
                    let raw = forecast.events[event as usize];
                    forecasts[forecast.at][event as usize].push((raw, happened));
                }
            }
        });
        let horizons = std::mem::take(&mut self.horizons);
        for (horizon_min, forecasts) in horizons.into_iter().zip(&forecasts) {
            let outcomes = forecasts.iter().map(Vec::len).max().unwrap_or(0);
            if outcomes < LEAST_OUTCOMES {
                self.left_out.push(HorizonLeftOut {
                    horizon_min,
                    reason: Reason::Uncalibrated {
                        outcomes,
                        needed: LEAST_OUTCOMES,
                    },
                });
                continue;
            }
            self.horizons.push(horizon_min);
            self.calibration
                .push(forecasts.each_ref().map(|of| Correction::fit(of)));
        }
    }

    /// Returns the horizons that could not be trained.
    pub fn left_out(&self) -> &[HorizonLeftOut] {
        &self.left_out
    }

    /// Returns how often the snapshots of the training came.
    pub fn cadence(&self) -> Cadence {
        self.cadence
    }

    /// Returns the horizons in minutes, ascending.
    pub fn horizons(&self) -> &[usize] {
        &self.horizons
    }

    /// Returns the correction of an event at a horizon, by the horizon's index.
    pub fn calibration(&self, horizon: usize, event: Event) -> Correction {
        self.calibration[horizon][event as usize]
    }

    /// Returns the rates of a station. One that was not observed in training has those of the system.
    pub fn rates(&self, station: &StationId) -> &StationRates {
        let index = self.indexes.get(station);
        index.map_or(&self.rates.other, |index| &self.rates.stations[*index])
    }

    /// Returns whether events of docks are forecast for a station: if it had a free dock in any snapshot of the
    /// training, or has one now.
    pub(super) fn forecasts_docks(&self, station: &StationId, now: Reading) -> bool {
        self.rates(station).has_docks || now.docks > 0
    }

    /// Runs the chain of a station, and passes its outlook at each horizon, with the horizon's index.
    fn run(
        &self,
        rates: &StationRates,
        now: Reading,
        level: Level,
        slot: impl Fn(usize) -> usize,
        at: impl FnMut(usize, Outlook),
    ) {
        run_to(&self.horizons, rates, now, level, slot, at);
    }

    /// Returns what forecasts in a period depend on.
    pub(super) fn conditions<'a>(&'a self, observations: &'a Observations) -> Conditions<'a> {
        let rates = self.rates_of(observations);
        Conditions {
            observations,
            levels: level::levels(observations, &rates),
            recents: Recents::new(observations, rates),
        }
    }

    /// Follows the level of the system over a period from one of its minutes on, and returns what follows
    /// it further.
    pub fn level_tracker(&self, observations: &Observations, from: usize) -> LevelTracker {
        let mut tracker = LevelTracker::default();
        let rates = self.rates_of(observations);
        let minutes = from..observations.minutes();
        level::follow(&mut tracker, observations, &rates, minutes, |_| {});
        tracker
    }

    /// Returns the tracker of each station at the end of a period.
    pub fn recent_trackers(
        &self,
        observations: &Observations,
    ) -> FxHashMap<StationId, RecentTracker> {
        let mut recents = Recents::new(observations, self.rates_of(observations));
        let stations = observations.stations().iter().enumerate();
        let last = observations.minutes().saturating_sub(1);
        stations
            .map(|(index, station)| (station.clone(), recents.until(index, last)))
            .collect()
    }

    /// Returns the rates of the stations of a period, in their order.
    fn rates_of(&self, observations: &Observations) -> Vec<&StationRates> {
        let stations = observations.stations().iter();
        stations.map(|station| self.rates(station)).collect()
    }

    /// Passes the forecasts for each sample at each horizon, before calibration.
    pub(super) fn each_forecast(
        &self,
        conditions: &mut Conditions<'_>,
        samples: impl IntoIterator<Item = Sample>,
        mut pass: impl FnMut(Forecast),
    ) {
        let observations = conditions.observations;
        for sample in samples {
            let Sample { station, minute } = sample;
            let Some(now) = observations.reading(station, minute) else {
                continue;
            };
            let recent = conditions.recents.until(station, minute).recent();
            let rates = conditions.recents.rates(station);
            let level = conditions.levels[minute];
            let slot = |ahead| observations.slot(minute + ahead);
            self.run(rates, now, level, slot, |at, outlook| {
                let raw = |event| Raw::new(logit(outlook.probability(event)), event, recent);
                pass(Forecast {
                    sample,
                    now,
                    at,
                    events: Event::ALL.map(raw),
                });
            });
        }
    }
}

/// Runs the chain of a station, and passes its outlook at each of the horizons, ascending, with the
/// horizon's index.
pub(super) fn run_to(
    horizons: &[usize],
    rates: &StationRates,
    now: Reading,
    level: Level,
    slot: impl Fn(usize) -> usize,
    mut at: impl FnMut(usize, Outlook),
) {
    let mut chain = Chain::new(usize::from(now.bikes), rates.places(now));
    let mut minute = 0;
    for (index, horizon) in horizons.iter().enumerate() {
        while minute < *horizon {
            let usual: FlowRates = rates.at(slot(minute));
            chain.minute(level.times(usual));
            minute += 1;
        }
        at(index, chain.outlook());
    }
}

/// Returns the horizons that are not shorter than the interval between snapshots, ascending, and the
/// others.
pub(super) fn long_horizons(
    horizons: &[usize],
    observations: &Observations,
) -> (Vec<usize>, Vec<HorizonLeftOut>) {
    let interval_min = observations.interval();
    let horizons: BTreeSet<usize> = horizons.iter().copied().collect();
    let (long, short): (Vec<usize>, Vec<usize>) = horizons
        .into_iter()
        .partition(|horizon| *horizon >= interval_min);
    let left_out = short.into_iter().map(|horizon_min| HorizonLeftOut {
        horizon_min,
        reason: Reason::ShorterThanInterval { interval_min },
    });
    (long, left_out.collect())
}

/// Returns the minutes of the days that calibration is fitted to: the last ones of those with readings.
fn held_out(observations: &Observations) -> Result<Range<usize>, OutlookError> {
    let days = observations.days();
    let long_enough =
        |day: &&Range<usize>| observations.minutes() - day.start >= LEAST_HELD_OUT_MIN;
    let long = days.iter().filter(long_enough).count();
    if long < 2 {
        return Err(OutlookError::TooFewDays { days: long });
    }
    let first = (SHARE_FOR_RATES * days.len() as f64).round() as usize;
    let first = first.clamp(1, long - 1);
    Ok(days[first].start..observations.minutes())
}

/// Draws readings of snapshots in some minutes, each of them at most once. All of them where there are
/// no more than `samples`.
pub(super) fn draw(
    observations: &Observations,
    minutes: Range<usize>,
    samples: usize,
    seed: u64,
) -> Vec<Sample> {
    let mut rng = Rng::of(seed, minutes.start as u64);
    let snapshots = observations.snapshots(minutes);
    let readings = || {
        let stations = 0..observations.stations().len();
        stations.flat_map(|station| {
            let minute = move |snapshot| Some(observations.at_snapshot(station, snapshot)?.0);
            let minutes = snapshots.clone().filter_map(minute);
            minutes.map(move |minute| Sample { station, minute })
        })
    };
    let mut left = readings().count();
    let mut wanted = samples.min(left);
    let mut drawn = Vec::with_capacity(wanted);
    for sample in readings() {
        if rng.below(left as u64) < wanted as u64 {
            drawn.push(sample);
            wanted -= 1;
        }
        left -= 1;
    }
    drawn
}
