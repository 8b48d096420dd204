//! Months as in the keys of blocks.

use std::fmt;
use std::str::FromStr;

use divvy::model::civil_date::{DAY_MS, civil_from_days};

/// A month of the system's local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(
    /// Months since January 1970.
    pub i64,
);

impl Month {
    /// Returns the month of a wall-clock time, in milliseconds since 1970-01-01T00:00.
    pub fn of(local_ms: i64) -> Self {
        let (year, month, _) = civil_from_days(local_ms.div_euclid(DAY_MS));
        Self((year - 1970) * 12 + month - 1)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month) = (1970 + self.0.div_euclid(12), self.0.rem_euclid(12) + 1);
        write!(f, "{year:04}-{month:02}")
    }
}

/// A text that is not a month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a month such as 2016-07, found {found:?}")]
pub struct NoMonth {
    found: String,
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let read = || {
            let (year, month) = text.rsplit_once('-')?;
            let (year, month): (i64, i64) = (year.parse().ok()?, month.parse().ok()?);
            let month = Self((year.checked_sub(1970)?).checked_mul(12)? + month - 1);
            (month.to_string() == text).then_some(month)
        };
        read().ok_or_else(|| NoMonth { found: text.into() })
    }
}
