//! A share of the trips, for a first look: the same trips every time, chosen by their ids.

use std::fmt;
use std::str::FromStr;

use crate::model::TripBatch;
use crate::store::ContentHash;

/// A share: more than nothing, at most all. Kept in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

const ALL: u32 = 1_000_000;

/// What is no share.
#[derive(Debug, thiserror::Error)]
#[error("expected a share such as 5% or 0.05, found {0:?}")]
pub struct NoShare(String);

impl FromStr for Share {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Self, NoShare> {
        let wrong = || NoShare(text.into());
        let (number, whole) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent.trim_end(), 100.0),
            None => (text.trim(), 1.0),
        };
        let share: f64 = number.parse().map_err(|_| wrong())?;
        let millionths = (share / whole * f64::from(ALL)).round();
        match (1.0..=f64::from(ALL)).contains(&millionths) {
            true => Ok(Self(millionths as u32)),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) * 100.0 / f64::from(ALL))
    }
}

impl Share {
    /// Returns so much of a number.
    pub fn of(self, number: f64) -> f64 {
        number * f64::from(self.0) / f64::from(ALL)
    }

    /// Tells whether a trip of that id is among the share. A larger share has all of a smaller's.
    pub fn takes(self, id: &[u8]) -> bool {
        xxhash_rust::xxh3::xxh3_64(id) % u64::from(ALL) < u64::from(self.0)
    }

    /// Returns the name under which a share of an archive is kept: everybody sees what it is.
    pub(super) fn name(self, archive: &str) -> String {
        format!("{archive} ({self} sample)")
    }

    /// Tells whether an archive of that name is a share of one.
    pub fn is_sample(name: &str) -> bool {
        name.ends_with(" sample)")
    }

    /// Returns the content of a share: another than that of the whole, or of another share.
    pub(super) fn content(self, whole: ContentHash) -> ContentHash {
        let text = format!("{whole} {self}");
        ContentHash(xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
    }

    /// Leaves of a batch the trips of the share. What the file calls its stations stays.
    pub(super) fn pick(self, batch: TripBatch) -> TripBatch {
        let rows = 0..batch.len() as u32;
        let rows: Vec<u32> = rows
            .filter(|row| self.takes(batch.id_raw(*row as usize)))
            .collect();
        let mut picked = batch.select(&rows);
        picked.names = batch.names;
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percents_or_parts_of_one() {
        let share = |text: &str| text.parse::<Share>().map(|share| share.to_string());
        assert_eq!(share("5%").unwrap(), "5%");
        assert_eq!(share("0.05").unwrap(), "5%");
        assert_eq!(share("1").unwrap(), "100%");
        for wrong in ["0", "5", "-1%", "101%", "some"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_larger_share_has_all_of_a_smaller() {
        let [small, large]: [Share; 2] = ["5%", "20%"].map(|text| text.parse().unwrap());
        let ids: Vec<String> = (0..10_000).map(|n| format!("{n}")).collect();
        let taken = |share: Share| ids.iter().filter(|id| share.takes(id.as_bytes())).count();
        assert!((400..600).contains(&taken(small)), "{}", taken(small));
        let both = |id: &&String| small.takes(id.as_bytes()) && large.takes(id.as_bytes());
        assert_eq!(ids.iter().filter(both).count(), taken(small));
    }
}
