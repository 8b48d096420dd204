//! How long trips take, to the second.

use super::packed::{Pack, Packer, Unpacker};
use super::rows::Rows;
use crate::model::{Flags, Rider};

/// Trips by rider, kind of bike and duration in seconds.
///
/// Implausible durations ([`Flags::IMPLAUSIBLE_DURATION`]) are left out: what is left has at most
/// 86,341 distinct values, so every quantile is exact.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    kinds: Vec<(Rider, Box<str>)>,
    /// By index in `kinds`, then by seconds; counts behind the end are 0.
    seconds: Vec<Vec<i64>>,
}

/// The spread of some durations, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many.
    pub trips: i64,
    /// The shortest.
    pub min_s: i64,
    /// The arithmetic mean.
    pub mean_s: f64,
    /// The median; see [`Spread::of`] for the rule.
    pub median_s: i64,
    /// Nine in ten are no longer.
    pub p90_s: i64,
    /// 99 in 100 are no longer.
    pub p99_s: i64,
    /// The longest.
    pub max_s: i64,
}

impl Spread {
    /// Returns the spread over values, each with how often it occurs, in ascending order. `None`
    /// without any.
    ///
    /// Quantiles are by nearest rank: the smallest value that at least that share does not exceed,
    /// so each is a value that occurs.
    pub fn of(values: &[(i64, i64)]) -> Option<Self> {
        let trips: i64 = values.iter().map(|(_, n)| n).sum();
        let sum: i128 = values
            .iter()
            .map(|(value, n)| i128::from(*value) * i128::from(*n))
            .sum();
        let quantile = |percent: i64| {
            let rank = (trips * percent + 99) / 100;
            let mut seen = 0;
            let mut reached = values.iter().skip_while(|(_, n)| {
                seen += n;
                seen < rank
            });
            reached.next().map(|(value, _)| *value)
        };
        Some(Self {
            trips,
            min_s: values.first()?.0,
            mean_s: sum as f64 / trips as f64,
            median_s: quantile(50)?,
            p90_s: quantile(90)?,
            p99_s: quantile(99)?,
            max_s: values.last()?.0,
        })
    }
}

/// A plausible duration is no longer.
const DAY_S: usize = 86_400;

impl Durations {
    /// Lists riders and bike types, each with its durations in seconds and how often each
    /// occurs, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (&Rider, &str, Vec<(i64, i64)>)> {
        (self.kinds.iter().zip(&self.seconds)).map(|((rider, bike), seconds)| {
            let some = (0..).zip(seconds).filter(|(_, n)| **n != 0);
            (rider, &**bike, some.map(|(s, n)| (s, *n)).collect())
        })
    }

    fn of_kind(&mut self, rider: &Rider, bike: &str) -> &mut Vec<i64> {
        let known = |(r, b): &(Rider, Box<str>)| r == rider && **b == *bike;
        let place = self.kinds.iter().position(known).unwrap_or_else(|| {
            self.kinds.push((rider.clone(), bike.into()));
            self.seconds.push(Vec::new());
            self.kinds.len() - 1
        });
        &mut self.seconds[place]
    }

    pub(super) fn count(&mut self, rows: &Rows<'_>, times: i64) {
        let batch = rows.batch;
        // Only a broken file has many pairs; a histogram is then made for each that occurs.
        let mut dense: Vec<Vec<i32>> = vec![Vec::new(); rows.kinds.len()];
        for row in 0..batch.len() {
            if batch.flags[row].intersects(Flags::IMPLAUSIBLE_DURATION) {
                continue;
            }
            // Flags are set from the same duration, so only a foreign store could miss here.
            let seconds = usize::try_from(batch.duration_s(row));
            let Some(seconds) = seconds.ok().filter(|s| *s <= DAY_S) else {
                continue;
            };
            let histogram = &mut dense[rows.kind[row] as usize];
            if histogram.len() <= seconds {
                let room = (seconds + 1).next_power_of_two().min(DAY_S + 1);
                histogram.resize(room, 0);
            }
            histogram[seconds] += 1;
        }
        for ((rider, bike), histogram) in rows.kinds.iter().zip(&dense) {
            let counts = histogram.iter().map(|n| times * i64::from(*n));
            add(self.of_kind(rider, batch.words.text(*bike)), counts);
        }
    }
}

fn add(mine: &mut Vec<i64>, theirs: impl ExactSizeIterator<Item = i64>) {
    mine.resize(mine.len().max(theirs.len()), 0);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

impl Pack for Durations {
    fn pack(&self, out: &mut Packer) {
        let mut used: Vec<usize> = (0..self.kinds.len())
            .filter(|kind| self.seconds[*kind].iter().any(|n| *n != 0))
            .collect();
        if used.is_empty() {
            return;
        }
        used.sort_by_key(|kind| &self.kinds[*kind]);
        let kinds = || used.iter().map(|kind| &self.kinds[*kind]);
        out.texts(kinds().map(|(rider, _)| rider.as_str()));
        out.texts(kinds().map(|(_, bike)| &**bike));
        for kind in used {
            let seconds = &self.seconds[kind];
            let some = || (0_u64..).zip(seconds).filter(|(_, n)| **n != 0);
            out.size(some().count());
            let mut last = 0;
            for (second, _) in some() {
                out.number(second - last);
                last = second;
            }
            for (_, n) in some() {
                out.signed(*n);
            }
        }
    }

    fn unpack(bytes: &mut Unpacker<'_>) -> Option<Self> {
        let riders = bytes.texts()?;
        let bikes = bytes.texts()?;
        let kinds: Vec<(Rider, Box<str>)> = (riders.into_iter().zip(bikes))
            .map(|(rider, bike)| (Rider::parse(rider), bike.into()))
            .collect();
        let mut all = Vec::new();
        for _ in 0..kinds.len() {
            let mut places = Vec::new();
            let mut second = 0;
            for _ in 0..bytes.size()? {
                second += usize::try_from(bytes.number()?).ok()?;
                places.push(second);
            }
            if second > DAY_S {
                return None;
            }
            let mut seconds = vec![0; second + 1];
            for place in places {
                seconds[place] = bytes.signed()?;
            }
            all.push(seconds);
        }
        Some(Self {
            kinds,
            seconds: all,
        })
    }

    fn merge(&mut self, other: &Self) {
        for ((rider, bike), seconds) in other.kinds.iter().zip(&other.seconds) {
            add(self.of_kind(rider, bike), seconds.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_durations_that_occur() {
        let hundred: Vec<(i64, i64)> = (1..=100).map(|second| (second * 10, 1)).collect();
        let spread = Spread::of(&hundred).unwrap();
        assert_eq!((spread.trips, spread.min_s, spread.max_s), (100, 10, 1000));
        assert_eq!(
            (spread.median_s, spread.p90_s, spread.p99_s),
            (500, 900, 990)
        );
        assert_eq!(spread.mean_s, 505.0);
        assert_eq!(Spread::of(&[]), None);
    }
}
