//! An instant, as a person writes it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::model::Zone;

/// An instant, as a person writes it: RFC 3339, or a local time of the system. A date is its midnight.
///
/// ```
/// use divvy::reports::AsOfTime;
/// let text = |text: &str| text.parse::<AsOfTime>().unwrap().to_string();
/// assert_eq!(text("2024-06-01T08:00:00-05:00"), "2024-06-01T13:00:00Z");
/// assert_eq!(text("2024-06-01T08:00"), "2024-06-01T08:00:00");
/// assert_eq!(text("2024-06-01"), "2024-06-01T00:00:00");
/// assert!("08:00".parse::<AsOfTime>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOfTime {
    /// Given with its offset.
    Instant(Timestamp),
    /// By the system's clocks. Of a repeated hour, the first one is meant.
    Local(DateTime),
}

impl AsOfTime {
    /// Returns the instant, in a system with this zone.
    pub fn instant(self, zone: &Zone) -> Timestamp {
        match self {
            Self::Instant(at) => at,
            Self::Local(local) => {
                let as_utc = Offset::UTC.to_timestamp(local).ok();
                let local_ms = as_utc.map_or(i64::MAX, Timestamp::as_millisecond);
                zone.instant(local_ms)
            }
        }
    }
}

impl FromStr for AsOfTime {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let instant = text.parse().map(Self::Instant);
        instant
            .or_else(|_| text.parse().map(Self::Local))
            .map_err(|_| NoTime)
    }
}

impl fmt::Display for AsOfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(at) => at.fmt(f),
            Self::Local(local) => local.fmt(f),
        }
    }
}

/// A text that is no time.
#[derive(Debug, thiserror::Error)]
#[error("expected a time like 2024-06-01T08:00, 2024-06-01T08:00:00-05:00 or 2024-06-01")]
pub struct NoTime;
