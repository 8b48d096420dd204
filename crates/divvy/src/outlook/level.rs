//! How busy the system is, compared with the rates of the hour: weather, events and seasons change all
//! stations alike.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::cadence::Cadence;
use super::chain::FlowRates;
use super::flows::{self, Flow};
use super::observations::{Observations, Reading};
use super::rates::StationRates;

/// Two windows: the minutes after which a flow weighs 1/e, and the number of departures (or arrivals)
/// that the ratio is held at 1 with.
const WINDOWS: [(f64, f64); 2] = [(60.0, 20.0), (24.0 * 60.0, 50.0)];
/// The lowest and highest level.
const LIMITS: (f64, f64) = (0.05, 6.0);

/// After so many minutes without flows nothing is left of those before.
const FORGOTTEN_MIN: usize = 60 * 24 * 60;

/// Factors of the rates: 1 is as usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The factor of departures.
    pub departures: f64,
    /// The factor of arrivals.
    pub arrivals: f64,
}

impl Level {
    /// As usual.
    pub const USUAL: Self = Self {
        departures: 1.0,
        arrivals: 1.0,
    };

    /// Returns the rates at this level.
    pub fn times(self, rates: FlowRates) -> FlowRates {
        FlowRates {
            departures: self.departures * rates.departures,
            arrivals: self.arrivals * rates.arrivals,
        }
    }
}

/// Follows the level minute by minute: it depends on the past alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LevelTracker {
    departures: Ratio,
    arrivals: Ratio,
}

impl LevelTracker {
    /// Adds one minute of the whole system: the flows, and the flows expected from the rates at the
    /// stations where they were possible.
    pub fn add(&mut self, departures: f64, arrivals: f64, expected: FlowRates) {
        self.departures.add(departures, expected.departures);
        self.arrivals.add(arrivals, expected.arrivals);
    }

    /// Adds the minutes from one snapshot to the next, as far as flows between them are counted. `minutes`
    /// is the number of minutes between the two; `slot` is the slot of a number of minutes after the first.
    pub fn add_flows<'a>(
        &mut self,
        minutes: usize,
        cadence: Cadence,
        stations: impl Iterator<Item = (&'a StationRates, Reading, Reading)>,
        slot: impl Fn(usize) -> usize,
    ) {
        for _ in 1..minutes.min(FORGOTTEN_MIN) {
            self.add_sums(&Sums::NOTHING);
        }
        let mut sums = Sums::NOTHING;
        if minutes <= cadence.max_age() {
            for (rates, before, now) in stations {
                let flow = flows::flow_between((0, before), (minutes, now), rates.has_docks);
                if let Some(flow) = flow {
                    sums.add(flow, rates, &slot);
                }
            }
        }
        self.add_sums(&sums);
    }

    fn add_sums(&mut self, sums: &Sums) {
        self.add(sums.departures, sums.arrivals, sums.expected);
    }

    /// Returns the level after the last minute.
    pub fn level(&self) -> Level {
        Level {
            departures: self.departures.level(),
            arrivals: self.arrivals.level(),
        }
    }
}

/// Observed and expected events, weighted by `exp(-age / window)` for each of [`WINDOWS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Ratio([(f64, f64); 2]);

impl Ratio {
    fn add(&mut self, observed: f64, expected: f64) {
        for ((seen, usual), (minutes, _)) in self.0.iter_mut().zip(WINDOWS) {
            let decay = (-1.0 / minutes).exp();
            *seen = *seen * decay + observed;
            *usual = *usual * decay + expected;
        }
    }

    /// Returns the geometric mean of the levels of the windows.
    fn level(&self) -> f64 {
        let levels = self.0.iter().zip(WINDOWS);
        let product: f64 = levels
            .map(|((seen, usual), (_, prior))| (prior + seen) / (prior + usual))
            .product();
        product.sqrt().clamp(LIMITS.0, LIMITS.1)
    }
}

/// Returns the level after each minute of a period. `rates` are those of its stations.
pub(super) fn levels(observations: &Observations, rates: &[&StationRates]) -> Vec<Level> {
    let mut levels = Vec::with_capacity(observations.minutes());
    let mut tracker = LevelTracker::default();
    let minutes = 0..observations.minutes();
    follow(&mut tracker, observations, rates, minutes, |level| {
        levels.push(level);
    });
    levels
}

/// Adds some minutes of a period, and passes the level after each of them.
pub(super) fn follow(
    tracker: &mut LevelTracker,
    observations: &Observations,
    rates: &[&StationRates],
    minutes: Range<usize>,
    mut pass: impl FnMut(Level),
) {
    for minute in minutes {
        let mut sums = Sums::NOTHING;
        for snapshot in observations.snapshots(minute..minute + 1) {
            for (station, rates) in rates.iter().enumerate() {
                let has_docks = rates.has_docks;
                if let Some(flow) = flows::flow(observations, station, has_docks, snapshot) {
                    sums.add(flow, rates, |minute| observations.slot(minute));
                }
            }
        }
        tracker.add_sums(&sums);
        pass(tracker.level());
    }
}

/// Flows of all stations that became known in one minute.
struct Sums {
    departures: f64,
    arrivals: f64,
    expected: FlowRates,
}

impl Sums {
    const NOTHING: Self = Self {
        departures: 0.0,
        arrivals: 0.0,
        expected: FlowRates {
            departures: 0.0,
            arrivals: 0.0,
        },
    };

    fn add(&mut self, flow: Flow, rates: &StationRates, slot: impl Fn(usize) -> usize) {
        if flow.may_depart {
            self.departures += f64::from(flow.departures);
        }
        if flow.may_arrive {
            self.arrivals += f64::from(flow.arrivals);
        }
        for minute in flow.from..flow.until {
            let usual = rates.at(slot(minute));
            if flow.may_depart {
                self.expected.departures += usual.departures;
            }
            if flow.may_arrive {
                self.expected.arrivals += usual.arrivals;
            }
        }
    }
}
