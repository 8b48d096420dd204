//! TripData in the packed layout: one item for the trips of an origin, a month and an archive.
//!
//! | attribute | type | left out |
//! |---|---|---|
//! | `trip_id` | S, the key: `station#month#archive#part` | |
//! | `from_station_id` | S, the key of the index | no origin |
//! | `started_at` | S, the first start of its trips as in [`trip`](super::trip): the sort key of the index | an older program wrote it |
//! | `n` | N, the number of trips; projected to the index | |
//! | `block` | B, see [`blocks`](crate::blocks) | |

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::StationId;

use super::local_time::{read_time, write_time};
use super::size::number_bytes;
use super::trip::{INDEX_KEY, KEY, STARTED_AT, TABLE};
use super::{Item, ItemError, Reader, put_number, put_text};
use crate::blocks::{Month, Packed};

/// The attribute with the number of trips.
pub const N: &str = "n";
/// The attribute with the trips.
pub const BLOCK: &str = "block";

/// Returns the number of trips of the item of a block or of its entry in the index; 1 where the
/// attribute `n`, which only blocks have, is missing or larger than a block can state.
pub fn trips(item: &Item) -> u64 {
    let n = item.get(N).and_then(|n| n.as_n().ok());
    n.and_then(|n| n.parse::<u32>().ok()).unwrap_or(1).into()
}

/// Returns the key of a block: `35#2016-07#0123456789abcdef#000`. The station is empty for trips
/// without an origin, and may contain any character; the others contain no `#`.
pub fn key(origin: Option<&StationId>, month: Month, archive: &str, part: u32) -> String {
    let station = origin.map_or("", StationId::as_str);
    format!("{station}#{month}#{archive}#{part:03}")
}

/// Makes the item of a block. `archive` is the archive's [`tag`](super::trip::archive_tag).
pub fn item(packed: &Packed, archive: &str) -> Item {
    let Packed {
        origin,
        month,
        part,
        n,
        first_start,
        block,
    } = packed;
    let mut item = Item::new();
    let key = key(origin.as_ref(), *month, archive, *part);
    put_text(&mut item, KEY, Some(&key));
    put_text(&mut item, INDEX_KEY, origin.as_ref().map(StationId::as_str));
    put_text(
        &mut item,
        STARTED_AT,
        first_start_text(*first_start).as_deref(),
    );
    put_number(&mut item, N, Some(*n));
    let block = AttributeValue::B(Blob::new(block.clone()));
    item.insert(BLOCK.into(), block);
    item
}

/// Formats the first start of a block.
pub fn first_start_text(first_start: Option<(i64, i32)>) -> Option<String> {
    let (local_ms, offset_s) = first_start?;
    let mut text = String::with_capacity(25);
    write_time(&mut text, local_ms, offset_s);
    Some(text)
}

/// Returns the bytes of the item of a block by DynamoDB's rule.
pub fn bytes(packed: &Packed, archive: &str) -> u64 {
    entry_bytes(packed, archive) + (BLOCK.len() + packed.block.len()) as u64
}

/// Returns the bytes of its entry in the index: the keys, the first start and the count. `None` without an origin.
pub fn index_bytes(packed: &Packed, archive: &str) -> Option<u64> {
    packed.origin.as_ref()?;
    Some(entry_bytes(packed, archive))
}

fn entry_bytes(packed: &Packed, archive: &str) -> u64 {
    let key = key(packed.origin.as_ref(), packed.month, archive, packed.part);
    let origin = packed.origin.as_ref();
    let origin = origin.map_or(0, |id| INDEX_KEY.len() + id.as_str().len());
    let started = first_start_text(packed.first_start);
    let started = started.map_or(0, |text| STARTED_AT.len() + text.len());
    (KEY.len() + key.len() + origin + started + N.len()) as u64
        + number_bytes(&packed.n.to_string())
}

/// Reads the block of an item, and the tag of its archive. The rows are not decoded.
///
/// # Errors
///
/// An attribute is not what [`item`] writes.
pub fn packed(item: &Item) -> Result<(Packed, String), ItemError> {
    let reader = Reader::new(TABLE, KEY, item);
    let origin = reader.text(INDEX_KEY)?.map(StationId::from);
    let text = reader.required_text(KEY)?;
    let parts = || {
        let mut parts = text.rsplitn(4, '#');
        let (part, archive) = (parts.next()?, parts.next()?);
        let month: Month = parts.next()?.parse().ok()?;
        let part: u32 = part.parse().ok()?;
        let same = key(origin.as_ref(), month, archive, part) == text;
        same.then(|| (month, archive.to_owned(), part))
    };
    let expected = "a key of the item's station, such as 35#2016-07#0123456789abcdef#000";
    let (month, archive, part) = parts().ok_or_else(|| reader.unexpected(KEY, expected))?;
    let first_start = match reader.text(STARTED_AT)? {
        None => None,
        Some(text) => Some(read_time(text).ok_or_else(|| {
            reader.unexpected(STARTED_AT, "a local time such as 2016-07-01T00:04:09-05:00")
        })?),
    };
    let packed = Packed {
        month,
        part,
        n: reader.required_number(N)?,
        first_start,
        block: reader.required_bytes(BLOCK)?.to_vec(),
        origin,
    };
    Ok((packed, archive))
}

#[cfg(test)]
mod tests {
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_survives_the_table(
            origin in of(".{1,8}"),
            month in -20_000..40_000_i64,
            part in 0..5000_u32,
            n in any::<u32>(),
            first_start in of((-20_000_000_000_000..90_000_000_000_000_i64, -50_000..50_000_i32)),
            block in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let origin = origin.map(StationId::from);
            let before = Packed { origin, month: Month(month), part, n, first_start, block };
            let item = item(&before, "00ff00ff00ff00ff");
            let weighed: u64 = item
                .iter()
                .map(|(name, value)| {
                    let value = match value {
                        AttributeValue::S(text) => text.len() as u64,
                        AttributeValue::N(text) => number_bytes(text),
                        AttributeValue::B(bytes) => bytes.as_ref().len() as u64,
                        other => panic!("{other:?}"),
                    };
                    name.len() as u64 + value
                })
                .sum();
            prop_assert_eq!(bytes(&before, "00ff00ff00ff00ff"), weighed);
            prop_assert_eq!(packed(&item).unwrap(), (before, "00ff00ff00ff00ff".to_owned()));
        }
    }

    #[test]
    fn a_key_of_another_station_is_refused() {
        let block = Packed {
            origin: Some("35".into()),
            month: Month::of(1_467_331_449_000),
            part: 7,
            n: 1,
            first_start: None,
            block: Vec::new(),
        };
        let mut item = item(&block, "00ff00ff00ff00ff");
        put_text(&mut item, INDEX_KEY, Some("36"));
        insta::assert_snapshot!(packed(&item).unwrap_err(), @r#"TripData: item 35#2016-07#00ff00ff00ff00ff#007: trip_id: expected a key of the item's station, such as 35#2016-07#0123456789abcdef#000, found the text "35#2016-07#00ff00ff00ff00ff#007""#);
    }
}
