//! The fraction of an archive's trips that a load keeps, chosen by the trips' ids.

use std::fmt;
use std::str::FromStr;

/// A fraction above 0 and up to 1, in millionths. The same trips are kept every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SampleFraction(u32);

const WHOLE: u32 = 1_000_000;

/// A text that is no [`SampleFraction`].
#[derive(Debug, thiserror::Error)]
#[error("expected a share such as 5% or 0.05, found {0:?}")]
pub struct InvalidSampleFraction(String);

impl FromStr for SampleFraction {
    type Err = InvalidSampleFraction;

    /// Reads a percentage such as `5%`, or a fraction such as `0.05`.
    fn from_str(text: &str) -> Result<Self, InvalidSampleFraction> {
        let invalid = || InvalidSampleFraction(text.into());
        let (number, whole) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 100.0),
            None => (text.trim(), 1.0),
        };
        let fraction: f64 = number.parse().map_err(|_| invalid())?;
        let millionths = (fraction / whole * f64::from(WHOLE)).round();
        if (1.0..=f64::from(WHOLE)).contains(&millionths) {
            Ok(Self(millionths as u32))
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for SampleFraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) * 100.0 / f64::from(WHOLE))
    }
}

impl SampleFraction {
    /// Returns this fraction of a number.
    pub fn of(self, number: f64) -> f64 {
        number * f64::from(self.0) / f64::from(WHOLE)
    }

    /// Returns whether the trip of that id is kept. A larger fraction keeps all trips of a smaller
    /// one.
    pub fn includes(self, id: &[u8]) -> bool {
        xxhash_rust::xxh3::xxh3_64(id) % u64::from(WHOLE) < u64::from(self.0)
    }

    /// Returns the name under which the kept trips of an archive are stored:
    /// `trips.zip (5% sample)`.
    pub fn archive_name(self, archive: &str) -> String {
        format!("{archive} ({self} sample)")
    }

    /// Returns whether an [`archive_name`](Self::archive_name) is that of a fraction.
    pub fn is_archive_name(name: &str) -> bool {
        name.ends_with(" sample)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_percentages_or_numbers_up_to_one() {
        let fraction = |text: &str| text.parse::<SampleFraction>().map(|f| f.to_string());
        assert_eq!(fraction("5%").unwrap(), "5%");
        assert_eq!(fraction("0.05").unwrap(), "5%");
        assert_eq!(fraction("1").unwrap(), "100%");
        for invalid in ["0", "5", "-1%", "101%", "some"] {
            assert!(fraction(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_larger_fraction_includes_a_smaller_one() {
        let [small, large]: [SampleFraction; 2] = ["5%", "20%"].map(|text| text.parse().unwrap());
        let ids: Vec<String> = (0..10_000).map(|n| format!("{n}")).collect();
        let kept = |fraction: SampleFraction| {
            let included = |id: &&String| fraction.includes(id.as_bytes());
            ids.iter().filter(included).count()
        };
        assert!((400..600).contains(&kept(small)), "{}", kept(small));
        let both = |id: &&String| small.includes(id.as_bytes()) && large.includes(id.as_bytes());
        assert_eq!(ids.iter().filter(both).count(), kept(small));
    }
}
