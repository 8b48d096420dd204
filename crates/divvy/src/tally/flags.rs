//! How many trips are odd, and in what way.

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Tally;
use crate::model::{Flag, Flags, TripBatch};

/// Trips by flag, and trips whose duration is implausible (a trip with two such flags is one).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlagCounts {
    by_flag: [i64; Flag::ALL.len()],
    /// Trips with any of [`Flags::IMPLAUSIBLE_DURATION`].
    pub implausible_durations: i64,
}

impl FlagCounts {
    /// Returns the number of trips with a flag.
    pub fn get(&self, flag: Flag) -> i64 {
        // Flags are single bits, listed in their order.
        self.by_flag[(flag as u16).trailing_zeros() as usize]
    }

    /// Lists the flags that occur, in the order of reports.
    pub fn iter(&self) -> impl Iterator<Item = (Flag, i64)> {
        Flag::ALL
            .into_iter()
            .zip(self.by_flag)
            .filter(|(_, n)| *n != 0)
    }
}

impl FlagCounts {
    /// Counts the flags of one trip.
    pub(crate) fn count_one(&mut self, flags: Flags, times: i64) {
        if flags == Flags::NONE {
            return;
        }
        for (n, flag) in self.by_flag.iter_mut().zip(Flag::ALL) {
            *n += times * i64::from(flags.contains(flag));
        }
        let implausible = flags.intersects(Flags::IMPLAUSIBLE_DURATION);
        self.implausible_durations += times * i64::from(implausible);
    }
}

impl Tally for FlagCounts {
    fn count(&mut self, batch: &TripBatch, times: i64) {
        for flags in &batch.flags {
            self.count_one(*flags, times);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.by_flag.iter_mut().zip(&other.by_flag) {
            *mine += theirs;
        }
        self.implausible_durations += other.implausible_durations;
    }
}

/// How many flags there were when stored counts got their form. Counts of later flags are written after
/// the others, and only where there are any, so that counts stored before are still read.
const FIRST_FLAGS: usize = 10;

/// Is added to the number of implausible durations in bytes of Postcard, where counts of later flags
/// follow: no archive has so many trips.
const LATER_FOLLOW: i64 = 1 << 60;

/// The counts as JSON.
#[derive(Serialize, Deserialize)]
struct Named {
    by_flag: [i64; FIRST_FLAGS],
    implausible_durations: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    odd_years: i64,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl From<&FlagCounts> for Named {
    fn from(counts: &FlagCounts) -> Self {
        let [by_flag @ .., odd_years] = counts.by_flag;
        Self {
            by_flag,
            implausible_durations: counts.implausible_durations,
            odd_years,
        }
    }
}

impl From<Named> for FlagCounts {
    fn from(named: Named) -> Self {
        let mut by_flag = [named.odd_years; Flag::ALL.len()];
        by_flag[..FIRST_FLAGS].copy_from_slice(&named.by_flag);
        Self {
            by_flag,
            implausible_durations: named.implausible_durations,
        }
    }
}

impl Serialize for FlagCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = Named::from(self);
        if serializer.is_human_readable() {
            return named.serialize(serializer);
        }
        let has_later = named.odd_years != 0;
        let mut tuple = serializer.serialize_tuple(if has_later { 3 } else { 2 })?;
        tuple.serialize_element(&named.by_flag)?;
        if has_later {
            tuple.serialize_element(&(named.implausible_durations + LATER_FOLLOW))?;
            tuple.serialize_element(&named.odd_years)?;
        } else {
            tuple.serialize_element(&named.implausible_durations)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for FlagCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = if deserializer.is_human_readable() {
            Named::deserialize(deserializer)?
        } else {
            deserializer.deserialize_tuple(3, NamedVisitor)?
        };
        Ok(named.into())
    }
}

struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Named;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("counts of flags")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Named, A::Error> {
        let missing = |index| A::Error::invalid_length(index, &self);
        let by_flag = seq.next_element()?.ok_or_else(|| missing(0))?;
        let durations: i64 = seq.next_element()?.ok_or_else(|| missing(1))?;
        let has_later = durations > LATER_FOLLOW / 2;
        let odd_years = if has_later {
            seq.next_element()?.ok_or_else(|| missing(2))?
        } else {
            0
        };
        Ok(Named {
            by_flag,
            implausible_durations: durations - if has_later { LATER_FOLLOW } else { 0 },
            odd_years,
        })
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;

    #[test]
    fn counts_stored_before_a_flag_was_added_are_read() {
        #[derive(Serialize)]
        struct Before {
            by_flag: [i64; 10],
            implausible_durations: i64,
        }
        let before = Before {
            by_flag: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            implausible_durations: 11,
        };
        let mut counts = FlagCounts {
            by_flag: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0],
            implausible_durations: 11,
        };
        // Between other values, as in the totals.
        let stored = postcard::to_allocvec(&(1_u8, &before, 7_u8)).unwrap();
        assert_eq!(
            postcard::to_allocvec(&(1_u8, &counts, 7_u8)).unwrap(),
            stored
        );
        assert_eq!(
            serde_json::to_string(&before).unwrap(),
            serde_json::to_string(&counts).unwrap()
        );
        for odd_years in [0, 5] {
            counts.by_flag[10] = odd_years;
            let stored = postcard::to_allocvec(&(1_u8, &counts, 7_u8)).unwrap();
            let read: (u8, FlagCounts, u8) = postcard::from_bytes(&stored).unwrap();
            assert_eq!(read, (1, counts.clone(), 7));
            let json = serde_json::to_string(&counts).unwrap();
            assert_eq!(serde_json::from_str::<FlagCounts>(&json).unwrap(), counts);
        }
    }
}
