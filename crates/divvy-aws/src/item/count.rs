//! FromStationCounts: the departures of each origin.

use divvy::store::FromStationCount;

use super::{Item, ItemError, Reader, put_number, put_text};

/// The name of the table, without its prefix.
pub const TABLE: &str = "FromStationCounts";
/// The attribute that is its key.
pub const KEY: &str = "from_station_id";
/// The attribute with the version of the trips that were counted. Left out where there were none.
pub const TRIPS_VERSION: &str = "trips_version";
/// The attribute with the number of the stream record that caused the count. Left out where none
/// did.
pub const SOURCE_SEQUENCE: &str = "source_sequence";

const FROM_COUNT: &str = "from_count";
const REFRESHED_AT: &str = "refreshed_at";

/// The longest sequence number of a stream, in digits; a number of DynamoDB has at most 38.
const SEQUENCE_DIGITS: usize = 40;

/// Makes the item of a count. `source_sequence` is the number of the stream record that caused it,
/// without padding.
pub fn item(count: &FromStationCount, source_sequence: Option<&str>) -> Item {
    let FromStationCount {
        from_station_id,
        from_count,
        trips_version,
        refreshed_at,
    } = count;
    let mut item = Item::new();
    put_text(&mut item, KEY, Some(from_station_id.as_str()));
    put_number(&mut item, FROM_COUNT, Some(*from_count));
    put_number(&mut item, TRIPS_VERSION, *trips_version);
    put_text(&mut item, REFRESHED_AT, Some(&refreshed_at.to_string()));
    let padded = source_sequence.map(padded_sequence);
    put_text(&mut item, SOURCE_SEQUENCE, padded.as_deref());
    item
}

/// Reads the count of an item.
///
/// # Errors
///
/// An attribute is not what [`item`] writes.
pub fn count(item: &Item) -> Result<FromStationCount, ItemError> {
    let reader = Reader::new(TABLE, KEY, item);
    let refreshed_at = reader.instant(REFRESHED_AT)?;
    Ok(FromStationCount {
        from_station_id: reader.required_text(KEY)?.into(),
        from_count: reader.required_number(FROM_COUNT)?,
        trips_version: reader.number(TRIPS_VERSION)?,
        refreshed_at: refreshed_at.ok_or_else(|| reader.unexpected(REFRESHED_AT, "a time"))?,
    })
}

/// Pads a sequence number to 40 digits, so that the texts compare as the numbers.
pub fn padded_sequence(sequence: &str) -> String {
    format!("{sequence:0>SEQUENCE_DIGITS$}")
}

#[cfg(test)]
mod tests {
    use divvy::model::StationId;
    use jiff::Timestamp;
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_count_survives_the_table(
            id in ".{1,12}",
            from_count in any::<u64>(),
            trips_version in of(any::<u64>()),
            second in 0..4_000_000_000_i64,
            sequence in of("[1-9][0-9]{20,39}"),
        ) {
            let count = FromStationCount {
                from_station_id: StationId::from(id),
                from_count,
                trips_version,
                refreshed_at: Timestamp::from_second(second).unwrap(),
            };
            let item = item(&count, sequence.as_deref());
            prop_assert_eq!(super::count(&item).unwrap(), count);
        }

        #[test]
        fn padded_sequences_compare_as_numbers(one in 1..u128::MAX, other in 1..u128::MAX) {
            let padded = |n: u128| padded_sequence(&n.to_string());
            prop_assert_eq!(padded(one).cmp(&padded(other)), one.cmp(&other));
            prop_assert_eq!(padded(one).len(), 40);
        }
    }
}
