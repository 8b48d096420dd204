//! The place of a tally that is no longer kept, in the encoding of [`Totals`](super::Totals).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Starts and stops for each hour of the day, which stores kept before the cube had them.
///
/// Totals are encoded field by field without names, so that the place of this one must stay for
/// stores of every program that can read them: 24 pairs of numbers, of which each is written as 0
/// and any is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnusedHours;

impl Serialize for UnusedHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [(0_i64, 0_i64); 24].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UnusedHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[(i64, i64); 24]>::deserialize(deserializer)?;
        Ok(Self)
    }
}
