//! Paced access to one table: every request waits for the capacity it will use, and what the
//! service could not take is asked again. Nothing above this room sees a throttle.
//!
//! ```text
//!  writes ─► 25 at a time ─► lane of the table ─► lane of the index ─► BatchWriteItem
//!               ▲                                                          │
//!               └────── back off (full jitter) ◄── unprocessed, throttled ◄┘
//! ```

mod calls;
mod lane;
mod paced;
mod writes;

pub use calls::{Failure, Trouble};
pub use lane::{BURST_S, Grant, Lane};
pub use paced::{Consumed, Key, PacedTable, Scanned, Used};
pub use writes::{BATCH_BYTES, Batch, Write, Writer};

use crate::item::Item;

/// Bytes of a write unit.
const WRITE_UNIT: u64 = 1024;
/// Bytes of a read unit where reads need not see the newest write: half a unit is 4 KB.
pub const READ_UNIT_EVENTUAL: f64 = 8192.0;

/// Returns the size of an item by DynamoDB's rule: its names and its values, in UTF-8; numbers
/// about a byte for two digits and one more.
///
/// Source: "DynamoDB item sizes and formats" in the developer guide.
pub fn item_bytes(item: &Item) -> u64 {
    item.iter()
        .map(|(name, value)| name.len() as u64 + value_bytes(value))
        .sum()
}

fn value_bytes(value: &aws_sdk_dynamodb::types::AttributeValue) -> u64 {
    use aws_sdk_dynamodb::types::AttributeValue as V;
    let number = |text: &String| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count() as u64;
        digits.div_ceil(2) + 1
    };
    match value {
        V::S(text) => text.len() as u64,
        V::N(text) => number(text),
        V::B(blob) => blob.as_ref().len() as u64,
        V::Ss(texts) => texts.iter().map(|text| text.len() as u64).sum(),
        V::Ns(texts) => texts.iter().map(number).sum(),
        V::L(values) => 3 + values.iter().map(|v| 1 + value_bytes(v)).sum::<u64>(),
        V::M(values) => 3 + values.len() as u64 + item_bytes(values),
        _ => 1,
    }
}

/// Returns the write units of an item of that size.
pub fn write_units(bytes: u64) -> f64 {
    bytes.div_ceil(WRITE_UNIT).max(1) as f64
}
