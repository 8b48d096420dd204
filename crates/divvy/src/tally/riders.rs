//! Trips by rider and bike type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FEW_WORDS, Tally, add};
use crate::model::{Rider, TripBatch};

/// Trips by rider and bike type; the type is empty if the file states none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Riders(pub BTreeMap<(Rider, Box<str>), i64>);

impl Tally for Riders {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        let words = batch.words.len();
        if words > FEW_WORDS {
            for (rider, bike) in batch.rider.iter().zip(&batch.bike) {
                let rider = Rider::parse(batch.words.text(*rider));
                add(&mut self.0, (rider, batch.words.text(*bike).into()), times);
            }
            return;
        }
        // A handful of words: a small square of counters.
        let mut square = vec![0_i64; words * words];
        for (rider, bike) in batch.rider.iter().zip(&batch.bike) {
            square[*rider as usize * words + *bike as usize] += times;
        }
        for (place, n) in square.into_iter().enumerate().filter(|(_, n)| *n != 0) {
            let rider = Rider::parse(batch.words.text((place / words) as u32));
            let bike = batch.words.text((place % words) as u32).into();
            add(&mut self.0, (rider, bike), n);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (key, n) in &other.0 {
            add(&mut self.0, key.clone(), *n);
        }
    }
}
