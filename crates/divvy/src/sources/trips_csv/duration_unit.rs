//! The unit of the durations that a file states.

use std::fmt;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DurationUnit {
    Seconds,
    Milliseconds,
    Minutes,
}

impl DurationUnit {
    const ALL: [Self; 3] = [Self::Seconds, Self::Milliseconds, Self::Minutes];

    /// Returns how many of these units a second has.
    pub(super) fn per_second(self) -> f64 {
        match self {
            Self::Seconds => 1.0,
            Self::Milliseconds => 1000.0,
            Self::Minutes => 1.0 / 60.0,
        }
    }

    /// Returns the unit that the normalised name of a column ends in. Seconds where it ends in none.
    fn named_by(column: &str) -> Self {
        let ends_in = |words: &[&str]| words.iter().any(|word| column.ends_with(word));
        if ends_in(&["ms", "millis", "milliseconds"]) {
            Self::Milliseconds
        } else if ends_in(&["min", "mins", "minutes"]) {
            Self::Minutes
        } else {
            Self::Seconds
        }
    }
}

impl fmt::Display for DurationUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Minutes => "minutes",
        })
    }
}

/// Durations of some rows, compared with the times between start and end.
#[derive(Debug, Default)]
pub(super) struct UnitVotes {
    /// Rows in which the stated number agrees with the clocks in a unit, in the order of
    /// [`DurationUnit::ALL`].
    agreeing: [usize; 3],
    /// Rows with both.
    compared: usize,
}

/// The unit of a column, and how many rows show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundUnit {
    pub(super) unit: DurationUnit,
    /// Rows that agree.
    pub(super) agreeing: usize,
    /// Rows compared.
    pub(super) compared: usize,
}

/// How many rows must contradict every unit before durations are not used.
const CONTRADICTED: usize = 3;

impl FoundUnit {
    /// Returns how many of the units a second has. `None` where no row agrees with any unit, and
    /// several contradict all of them.
    pub(super) fn per_second(self) -> Option<f64> {
        let is_contradicted = self.agreeing == 0 && self.compared >= CONTRADICTED;
        (!is_contradicted).then(|| self.unit.per_second())
    }
}

impl UnitVotes {
    /// Adds a row: the number that it states, and the milliseconds between start and end.
    pub(super) fn add(&mut self, stated: f64, elapsed_ms: i64) {
        /// Clocks may be a minute off, since some have no seconds; units differ by 60 and more.
        const FACTOR: f64 = 4.0;
        if stated <= 0.0 || elapsed_ms <= 0 {
            return;
        }
        self.compared += 1;
        let per_second = stated * 1000.0 / elapsed_ms as f64;
        for (votes, unit) in self.agreeing.iter_mut().zip(DurationUnit::ALL) {
            let off = per_second / unit.per_second();
            *votes += usize::from((1.0 / FACTOR..FACTOR).contains(&off));
        }
    }

    /// Returns the unit with which most rows agree; without such rows, the one in the normalised name
    /// of the column.
    pub(super) fn decide(&self, column: &str) -> FoundUnit {
        let most = self.agreeing.iter().max().copied().unwrap_or(0);
        let first = self.agreeing.iter().position(|votes| *votes == most);
        let unit = match first {
            Some(index) if most > 0 => DurationUnit::ALL[index],
            _ => DurationUnit::named_by(column),
        };
        FoundUnit {
            unit,
            agreeing: most,
            compared: self.compared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(rows: &[(f64, i64)], column: &str) -> String {
        let mut votes = UnitVotes::default();
        for (stated, elapsed_s) in rows {
            votes.add(*stated, elapsed_s * 1000);
        }
        let found = votes.decide(column);
        format!("{} {}/{}", found.unit, found.agreeing, found.compared)
    }

    #[test]
    fn clocks_decide_the_unit() {
        assert_eq!(
            decide(&[(316.0, 300), (61.0, 60)], "tripduration"),
            "seconds 2/2"
        );
        assert_eq!(decide(&[(407_799.0, 420)], "duration"), "milliseconds 1/1");
        assert_eq!(
            decide(&[(6.0, 360), (31.0, 1860)], "duration"),
            "minutes 2/2"
        );
        // Trips of a minute on clocks without seconds.
        assert_eq!(decide(&[(1.0, 60), (100.0, 60)], "duration"), "seconds 1/2");
        // No row shows it.
        assert_eq!(
            decide(&[(9000.0, 0)], "totaldurationms"),
            "milliseconds 0/0"
        );
        assert_eq!(decide(&[(9.0, 0)], "durationminutes"), "minutes 0/0");
        assert_eq!(decide(&[(9000.0, 100)], "duration"), "seconds 0/1");
    }
}
