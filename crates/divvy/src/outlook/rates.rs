//! How many bikes depart and arrive a minute, by station and half hour of a weekday or day off.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::calendar::{HALF_HOURS, SLOTS};
use super::chain::FlowRates;
use super::flows;
use super::observations::{Observations, Reading};

/// The weight of the system's profile against a station's own observations, in minutes.
const KAPPA_MIN: f64 = 240.0;
/// A station without docks takes any number of bikes: the chain has this many places more than bikes.
const PLACES_WITHOUT_DOCKS: usize = 20;

/// The rates of one station.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StationRates {
    #[serde(with = "by_slot")]
    departures: [f64; SLOTS],
    #[serde(with = "by_slot")]
    arrivals: [f64; SLOTS],
    /// Whether it had a free dock in any snapshot of the training.
    pub(super) has_docks: bool,
}

impl StationRates {
    /// Returns the most bikes that the station can have: bikes and free docks now, or for a station
    /// without docks 20 more than now.
    pub fn places(&self, now: Reading) -> usize {
        match self.has_docks || now.docks > 0 {
            true => now.places(),
            false => now.places() + PLACES_WITHOUT_DOCKS,
        }
    }

    /// Returns departures and arrivals a minute in a slot, without the level of the system.
    pub fn at(&self, slot: usize) -> FlowRates {
        FlowRates {
            departures: self.departures[slot],
            arrivals: self.arrivals[slot],
        }
    }
}

/// The rates of a system: of each station, and of one that was not observed in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SystemRates {
    pub(super) stations: Vec<StationRates>,
    pub(super) other: StationRates,
}

/// Events and the minutes in which they were possible, by slot.
#[derive(Clone, Copy)]
struct Observed {
    events: [f64; SLOTS],
    minutes: [f64; SLOTS],
}

impl Observed {
    const NOTHING: Self = Self {
        events: [0.0; SLOTS],
        minutes: [0.0; SLOTS],
    };

    fn add(&mut self, slot: usize, events: f64) {
        self.events[slot] += events;
        self.minutes[slot] += 1.0;
    }

    fn smoothed(&self) -> Self {
        Self {
            events: smooth(&self.events),
            minutes: smooth(&self.minutes),
        }
    }
}

impl SystemRates {
    /// Estimates the rates from some minutes of a period.
    pub(super) fn estimate(observations: &Observations, minutes: Range<usize>) -> Self {
        let stations = 0..observations.stations().len();
        let observed = stations.map(|station| observe(observations, station, minutes.clone()));
        let (departures, arrivals): (Vec<Observed>, Vec<Observed>) = observed.unzip();
        let (departures, arrivals) = (shrink(&departures), shrink(&arrivals));
        let both = departures.0.into_iter().zip(arrivals.0);
        let rates = |((departures, arrivals), has_docks): (_, &bool)| StationRates {
            departures,
            arrivals,
            has_docks: *has_docks,
        };
        Self {
            stations: both.zip(&observations.has_docks).map(rates).collect(),
            other: rates(((departures.1, arrivals.1), &true)),
        }
    }
}

fn observe(
    observations: &Observations,
    station: usize,
    minutes: Range<usize>,
) -> (Observed, Observed) {
    let (mut departures, mut arrivals) = (Observed::NOTHING, Observed::NOTHING);
    let has_docks = observations.has_docks[station];
    // The first snapshot has none before it in these minutes.
    for snapshot in observations.snapshots(minutes).skip(1) {
        let Some(flow) = flows::flow(observations, station, has_docks, snapshot) else {
            continue;
        };
        // The chain goes from a minute to the next one by the rates of the first.
        for minute in flow.from..flow.until {
            let slot = observations.slot(minute);
            if flow.may_depart {
                departures.add(slot, f64::from(flow.departures) / flow.minutes());
            }
            if flow.may_arrive {
                arrivals.add(slot, f64::from(flow.arrivals) / flow.minutes());
            }
        }
    }
    (departures.smoothed(), arrivals.smoothed())
}

/// Spreads half of each slot over the two beside it, weekdays and days off apart.
fn smooth(slots: &[f64; SLOTS]) -> [f64; SLOTS] {
    std::array::from_fn(|slot| {
        let day = slot - slot % HALF_HOURS;
        let beside = |step: usize| slots[day + (slot + step) % HALF_HOURS];
        (beside(HALF_HOURS - 1) + 2.0 * slots[slot] + beside(1)) / 4.0
    })
}

/// Shrinks each station's rates to the profile of the system. Returns the rates of each, and those of
/// a station without observations.
fn shrink(stations: &[Observed]) -> (Vec<[f64; SLOTS]>, [f64; SLOTS]) {
    let sum = |of: fn(&Observed) -> &[f64; SLOTS]| -> [f64; SLOTS] {
        std::array::from_fn(|slot| stations.iter().map(|station| of(station)[slot]).sum())
    };
    let (events, minutes) = (sum(|s| &s.events), sum(|s| &s.minutes));
    let overall = ratio(events.iter().sum(), minutes.iter().sum());
    // A slot that was not observed is like the whole week.
    let profile: [f64; SLOTS] = std::array::from_fn(|slot| {
        if minutes[slot] > 0.0 && overall > 0.0 {
            events[slot] / minutes[slot] / overall
        } else {
            1.0
        }
    });
    let rates = stations.iter().map(|station| {
        let expected: f64 = station
            .minutes
            .iter()
            .zip(&profile)
            .map(|(e, q)| e * q)
            .sum();
        let base = if expected > 0.0 {
            station.events.iter().sum::<f64>() / expected
        } else {
            overall
        };
        std::array::from_fn(|slot| {
            (station.events[slot] + KAPPA_MIN * base * profile[slot])
                / (station.minutes[slot] + KAPPA_MIN)
        })
    });
    (rates.collect(), profile.map(|q| q * overall))
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Arrays of this length are no type of serde.
mod by_slot {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::SLOTS;

    pub(super) fn serialize<S: Serializer>(
        slots: &[f64; SLOTS],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        slots.as_slice().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[f64; SLOTS], D::Error> {
        let slots = Vec::deserialize(deserializer)?;
        slots
            .try_into()
            .map_err(|_| D::Error::custom("another number of slots"))
    }
}
