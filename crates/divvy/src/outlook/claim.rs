//! What is forecast for a station at a horizon, after calibration.

use std::collections::BTreeSet;

use super::Event;
use super::calibration::Correction;
use super::level::Level;
use super::model::{self, Model};
use super::observations::{Reading, Vehicles};
use super::recent::Recent;
use crate::model::StationId;

/// What is forecast for a station at one horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Minutes ahead.
    pub horizon_min: usize,
    /// The probability of each event, in the order of [`Event::ALL`]. `None` where the event is not
    /// forecast: one within the horizon that has happened already, and one of docks at a station without
    /// docks or for one group of the vehicles, which all use the same docks.
    pub events: [Option<f64>; 4],
    /// The probability of each number of bikes, from 0. Those of no bike and of no free dock are those of
    /// the events, scaled to a sum of 1 where they exceed it.
    pub bikes: Vec<f64>,
}

impl Claim {
    /// Returns the probability of an event.
    pub fn probability(&self, event: Event) -> Option<f64> {
        self.events[event as usize]
    }

    /// Returns the probability that there are `k` bikes or more.
    pub fn at_least(&self, k: usize) -> f64 {
        // The sum of nothing is -0.
        self.bikes.iter().skip(k).sum::<f64>().clamp(0.0, 1.0) + 0.0
    }

    /// Returns the expected number of bikes.
    pub fn expected(&self) -> f64 {
        let bikes = self.bikes.iter().enumerate();
        bikes.map(|(n, probability)| n as f64 * probability).sum()
    }

    /// Bounds the claim for one group of vehicles by that for all vehicles of the station, at the same
    /// horizon. A station without any bike has none of the group, and it has at least `k` bikes wherever it
    /// has `k` of the group. So the probability of no bike is at least that of all vehicles, and the
    /// probability of `k` bikes or more, for each `k`, and the expected number are at most those.
    ///
    /// Each group has a model of its own. That of all vehicles is trained on the most departures and
    /// arrivals, so it is the one that is kept.
    pub fn bounded_by(&mut self, all: &Self) {
        for event in [Event::EmptyAt, Event::EmptyWithin] {
            let least = all.probability(event).unwrap_or(0.0);
            let empty = &mut self.events[event as usize];
            *empty = empty.map(|p| p.max(least));
        }
        // The probability of `k` bikes or more, from the largest `k` to 0.
        let (mut own, mut of_all, mut above) = (0.0, all.at_least(self.bikes.len()), 0.0);
        for k in (0..self.bikes.len()).rev() {
            own += self.bikes[k];
            of_all += all.bikes.get(k).copied().unwrap_or(0.0);
            let at_least = match k {
                0 => 1.0,
                _ => f64::min(own, of_all),
            };
            self.bikes[k] = f64::max(at_least - above, 0.0);
            above = at_least;
        }
    }
}

impl Model {
    /// Forecasts a station at horizons, ascending, which need not be those that were trained: see
    /// [`Self::calibration_at`]. `slot` is the slot of a number of minutes from now.
    pub fn claims(
        &self,
        station: &StationId,
        (vehicles, now): (Vehicles, Reading),
        (level, recent): (Level, Recent),
        horizons: &[usize],
        slot: impl Fn(usize) -> usize,
    ) -> Vec<Claim> {
        let rates = self.rates(station);
        let has_docks = vehicles == Vehicles::All && self.forecasts_docks(station, now);
        // The trained ones are always among them: what is forecast for a horizon does not depend on which others
        // are asked for.
        let asked = horizons;
        let all: BTreeSet<usize> = asked.iter().chain(self.horizons()).copied().collect();
        let last = asked.last().copied().unwrap_or(0);
        let horizons: Vec<usize> = all.into_iter().filter(|it| *it <= last).collect();
        let horizons = horizons.as_slice();
        let mut claims = Vec::with_capacity(horizons.len());
        model::run_to(horizons, rates, now, level, slot, |index, outlook| {
            let horizon_min = horizons[index];
            let corrected = |event| {
                let correction = self.calibration_at(horizon_min, event);
                correction.correct(outlook.probability(event), event, recent)
            };
            claims.push(claim(
                horizon_min,
                now,
                has_docks,
                &outlook.bikes,
                corrected,
            ));
        });
        // Each horizon is corrected by itself. What happens within one happens within a later one.
        for index in 1..claims.len() {
            let (earlier, later) = claims.split_at_mut(index);
            let earlier = &earlier[index - 1];
            for event in [Event::EmptyWithin, Event::FullWithin] {
                let least = earlier.probability(event).unwrap_or(0.0);
                let within = &mut later[0].events[event as usize];
                *within = within.map(|p| p.max(least));
            }
        }
        claims.retain(|claim| asked.contains(&claim.horizon_min));
        claims
    }

    /// Returns the correction of an event so many minutes ahead: between two trained horizons its weights
    /// are interpolated by the logarithm of the minutes; before the first and after the last
    /// one they are those of that one.
    pub fn calibration_at(&self, minutes: usize, event: Event) -> Correction {
        let horizons = self.horizons();
        let above = horizons.partition_point(|horizon| *horizon < minutes);
        let of = |index: usize| self.calibration(index, event);
        match (above.checked_sub(1), horizons.get(above)) {
            (None, None) => Correction::IDENTITY,
            (None, Some(_)) => of(above),
            (Some(below), None) => of(below),
            (Some(below), Some(horizon)) => {
                let ln = |minutes: usize| (minutes.max(1) as f64).ln();
                let from = ln(horizons[below]);
                let share = (ln(minutes) - from) / (ln(*horizon) - from);
                of(below).towards(of(above), share)
            }
        }
    }
}

fn claim(
    horizon_min: usize,
    now: Reading,
    has_docks: bool,
    bikes: &[f64],
    corrected: impl Fn(Event) -> f64,
) -> Claim {
    let forecast = |event: Event| {
        let is_forecast = match event {
            Event::EmptyAt => true,
            Event::EmptyWithin => now.bikes > 0,
            Event::FullAt => has_docks && now.places() > 0,
            Event::FullWithin => has_docks && now.docks > 0,
        };
        is_forecast.then(|| corrected(event))
    };
    let mut events = Event::ALL.map(forecast);
    // Each event is corrected by itself. One at the horizon is one within it.
    for (at, within) in [
        (Event::EmptyAt, Event::EmptyWithin),
        (Event::FullAt, Event::FullWithin),
    ] {
        let at = events[at as usize];
        let within = &mut events[within as usize];
        *within = within.map(|p| p.max(at.unwrap_or(0.0)));
    }
    let empty = events[Event::EmptyAt as usize].unwrap_or(0.0);
    let bikes = with_ends(bikes, empty, events[Event::FullAt as usize]);
    Claim {
        horizon_min,
        events,
        bikes,
    }
}

/// Returns a distribution whose first, and last, probabilities are these; the others are scaled by one
/// factor, so that the sum is 1.
fn with_ends(bikes: &[f64], empty: f64, full: Option<f64>) -> Vec<f64> {
    let last = bikes.len() - 1;
    if last == 0 {
        return vec![1.0];
    }
    let ends = empty + full.unwrap_or(0.0);
    let fixed = |index: usize| match index {
        0 => Some(empty),
        _ if index == last => full,
        _ => None,
    };
    let others: f64 = (0..=last)
        .filter(|index| fixed(*index).is_none())
        .map(|index| bikes[index])
        .sum();
    // Where there is nothing to scale, the two ends share all of it.
    let (of_ends, of_others) = match others > 0.0 && ends < 1.0 {
        true => (1.0, (1.0 - ends) / others),
        false => (1.0 / ends.max(f64::MIN_POSITIVE), 0.0),
    };
    let value = |index: usize| match fixed(index) {
        Some(probability) => probability * of_ends,
        None => bikes[index] * of_others,
    };
    (0..=last).map(value).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A claim as [`claim`] makes it, of weights of the numbers of bikes.
    fn of_weights(weights: &[f64], within: f64) -> Claim {
        let sum: f64 = weights.iter().sum();
        let bikes: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
        Claim {
            horizon_min: 30,
            events: [
                Some(bikes[0]),
                Some(bikes[0] + within * (1.0 - bikes[0])),
                None,
                None,
            ],
            bikes,
        }
    }

    fn weights() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(1e-9..1.0_f64, 1..30)
    }

    proptest! {
        #[test]
        fn a_group_has_at_most_the_bikes_of_all(
            all in weights(), group in weights(), within in (0.0..1.0_f64, 0.0..1.0_f64)
        ) {
            let all = of_weights(&all, within.0);
            let before = of_weights(&group, within.1);
            let mut bounded = before.clone();
            bounded.bounded_by(&all);
            let close = 1e-9;
            prop_assert!((bounded.bikes.iter().sum::<f64>() - 1.0).abs() < close);
            prop_assert!(bounded.bikes.iter().all(|p| (0.0..=1.0 + close).contains(p)));
            for k in 0..30 {
                let most = all.at_least(k).min(before.at_least(k));
                prop_assert!((bounded.at_least(k) - most).abs() < close, "{k}");
            }
            prop_assert!(bounded.expected() <= all.expected() + close);
            for event in [Event::EmptyAt, Event::EmptyWithin] {
                let [group, all, before] =
                    [&bounded, &all, &before].map(|claim| claim.probability(event).unwrap());
                prop_assert_eq!(group, all.max(before));
            }
            prop_assert!(bounded.events[0] <= bounded.events[1]);
            prop_assert!((bounded.bikes[0] - bounded.events[0].unwrap()).abs() < close);
            // It is a bound: the claims that fulfil it are left as they are.
            let mut again = bounded.clone();
            again.bounded_by(&all);
            prop_assert_eq!(&again.events, &bounded.events);
            for (again, once) in again.bikes.iter().zip(&bounded.bikes) {
                prop_assert!((again - once).abs() < close);
            }
        }
    }

    #[test]
    fn a_corrected_distribution_has_the_ends_that_were_claimed() {
        let bikes = [0.1, 0.2, 0.3, 0.4];
        let both = with_ends(&bikes, 0.2, Some(0.3));
        assert!((both.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!((both[0], both[3]), (0.2, 0.3));
        assert!((both[1] / both[2] - 2.0 / 3.0).abs() < 1e-12);
        let empty = with_ends(&bikes, 0.2, None);
        assert!((empty.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((empty[3] / empty[1] - 2.0).abs() < 1e-12);
        let only_ends = with_ends(&[0.5, 0.5], 0.5, Some(1.5));
        assert_eq!(only_ends, [0.25, 0.75]);
        assert_eq!(with_ends(&[1.0], 0.3, None), [1.0]);
    }
}
