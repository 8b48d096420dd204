//! Predictions of the next value of a column. The columns hold the differences from them.

use divvy::model::NONE_I32;
use divvy::varint::{unzigzag, zigzag};

/// Binary digits after the point of a slope.
pub(super) const SLOPE_BITS: u32 = 16;

/// Predicts numbers by a straight line over the lines of a file.
pub(super) struct LinearPredictor {
    slope: i64,
    number: u64,
    line: u64,
}

impl LinearPredictor {
    pub(super) fn new(slope: i64) -> Self {
        Self {
            slope,
            number: 0,
            line: 0,
        }
    }

    fn predict(&self, line: u64) -> u64 {
        let lines = line.wrapping_sub(self.line) as i64;
        let step = (i128::from(self.slope) * i128::from(lines)) >> SLOPE_BITS;
        self.number.wrapping_add(step as u64)
    }

    /// Returns the difference of a number from its prediction.
    pub(super) fn difference(&mut self, number: u64, line: u64) -> i64 {
        let difference = number.wrapping_sub(self.predict(line)) as i64;
        (self.number, self.line) = (number, line);
        difference
    }

    /// Returns the number with a difference from its prediction.
    pub(super) fn number(&mut self, difference: i64, line: u64) -> u64 {
        self.number = self.predict(line).wrapping_add(difference as u64);
        self.line = line;
        self.number
    }
}

/// Predicts coordinates by the previous one at the same station; where there is none, by the
/// previous one at any.
pub(super) struct LastValuePredictor {
    by_station: Vec<Option<i32>>,
    last: i32,
}

impl LastValuePredictor {
    pub(super) fn new(stations: usize) -> Self {
        Self {
            by_station: vec![None; stations],
            last: 0,
        }
    }

    /// Returns the code of a coordinate: 0 for none, else its difference plus 1.
    pub(super) fn difference(&mut self, station: u32, degrees: i32) -> u64 {
        if degrees == NONE_I32 {
            return 0;
        }
        let predicted = self.predict(station);
        self.update(station, degrees);
        zigzag(i64::from(degrees) - i64::from(predicted)) + 1
    }

    /// Returns the coordinate of a code. `None` where it is out of range.
    pub(super) fn degrees(&mut self, station: u32, code: u64) -> Option<i32> {
        if code == 0 {
            return Some(NONE_I32);
        }
        let predicted = i64::from(self.predict(station));
        let degrees = i32::try_from(predicted.checked_add(unzigzag(code - 1))?).ok()?;
        self.update(station, degrees);
        Some(degrees)
    }

    fn predict(&self, station: u32) -> i32 {
        self.by_station[station as usize].unwrap_or(self.last)
    }

    fn update(&mut self, station: u32, degrees: i32) {
        self.by_station[station as usize] = Some(degrees);
        self.last = degrees;
    }
}
