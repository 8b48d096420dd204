//! How long trips take, to the second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FEW_WORDS, Tally, add};
use crate::model::{Flags, Rider, TripBatch};

/// Trips by rider and duration in seconds.
///
/// Implausible durations ([`Flags::IMPLAUSIBLE_DURATION`]) are left out: what is left has at most
/// 86,341 distinct values, so every quantile is exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Durations(BTreeMap<Rider, BTreeMap<i64, i64>>);

/// The spread of some durations, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many.
    pub trips: i64,
    /// The shortest.
    pub min_s: i64,
    /// The arithmetic mean.
    pub mean_s: f64,
    /// The median; see [`Durations::spread`] for the rule.
    pub median_s: i64,
    /// Nine in ten are no longer.
    pub p90_s: i64,
    /// 99 in 100 are no longer.
    pub p99_s: i64,
    /// The longest.
    pub max_s: i64,
}

impl Durations {
    /// Lists the riders with at least one plausible duration.
    pub fn riders(&self) -> impl Iterator<Item = &Rider> {
        self.0.keys()
    }

    /// Returns the spread over one rider's trips, or over all. `None` without trips.
    ///
    /// Quantiles are by nearest rank: the smallest duration that at least that share of the trips
    /// does not exceed, so each is a duration that occurs.
    pub fn spread(&self, rider: Option<&Rider>) -> Option<Spread> {
        let mut all: BTreeMap<i64, i64> = BTreeMap::new();
        for (_, durations) in self
            .0
            .iter()
            .filter(|(kind, _)| rider.is_none_or(|r| r == *kind))
        {
            for (seconds, n) in durations {
                *all.entry(*seconds).or_default() += n;
            }
        }
        let trips: i64 = all.values().sum();
        let sum: i128 = all
            .iter()
            .map(|(s, n)| i128::from(*s) * i128::from(*n))
            .sum();
        let quantile = |percent: i64| {
            let rank = (trips * percent + 99) / 100;
            let mut seen = 0;
            let mut reached = all.iter().skip_while(|(_, n)| {
                seen += **n;
                seen < rank
            });
            reached.next().map(|(seconds, _)| *seconds)
        };
        Some(Spread {
            trips,
            min_s: *all.first_key_value()?.0,
            mean_s: sum as f64 / trips as f64,
            median_s: quantile(50)?,
            p90_s: quantile(90)?,
            p99_s: quantile(99)?,
            max_s: *all.last_key_value()?.0,
        })
    }
}

impl Durations {
    fn add(&mut self, rider: Rider, seconds: i64, n: i64) {
        let mine = self.0.entry(rider.clone()).or_default();
        add(mine, seconds, n);
        if mine.is_empty() {
            self.0.remove(&rider);
        }
    }
}

impl Tally for Durations {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        const DAY_S: usize = 86_400;
        if batch.words.len() > FEW_WORDS {
            for row in 0..batch.len() {
                if !batch.flags[row].intersects(Flags::IMPLAUSIBLE_DURATION) {
                    let rider = Rider::parse(batch.words.text(batch.rider[row]));
                    self.add(rider, batch.duration_s(row), times);
                }
            }
            return;
        }
        // One dense histogram a rider: an array, because a tree walk per trip costs as much as
        // reading its row.
        let mut dense: Vec<Vec<i32>> = vec![Vec::new(); batch.words.len()];
        for row in 0..batch.len() {
            if batch.flags[row].intersects(Flags::IMPLAUSIBLE_DURATION) {
                continue;
            }
            let seconds = batch.duration_s(row);
            let histogram = &mut dense[batch.rider[row] as usize];
            if histogram.is_empty() {
                histogram.resize(DAY_S + 1, 0);
            }
            // Flags are set from the same duration, so only a foreign store could miss here.
            if let Some(n) = usize::try_from(seconds)
                .ok()
                .and_then(|s| histogram.get_mut(s))
            {
                *n += 1;
            }
        }
        for (place, histogram) in dense.into_iter().enumerate().filter(|(_, h)| !h.is_empty()) {
            let rider = Rider::parse(batch.words.text(place as u32));
            for (seconds, n) in histogram.into_iter().enumerate().filter(|(_, n)| *n != 0) {
                self.add(rider.clone(), seconds as i64, times * i64::from(n));
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for (rider, durations) in &other.0 {
            for (seconds, n) in durations {
                self.add(rider.clone(), *seconds, *n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_durations_that_occur() {
        let mut durations = Durations::default();
        let hundred = (1..=100).map(|second| (second * 10, 1)).collect();
        durations.0.insert(Rider::Member, hundred);
        let spread = durations.spread(None).unwrap();
        assert_eq!((spread.trips, spread.min_s, spread.max_s), (100, 10, 1000));
        assert_eq!(
            (spread.median_s, spread.p90_s, spread.p99_s),
            (500, 900, 990)
        );
        assert_eq!(spread.mean_s, 505.0);
        assert_eq!(durations.spread(Some(&Rider::Casual)), None);
    }
}
