//! Rows of trips as blocks: compressed bytes with a checksum, for items of the packed layout, for
//! temporary files of a load, and for duplicates in the ledger.
//!
//! ```text
//!  version (1 byte), XXH3-64 of all that follows (8, little-endian), varint(raw length), zstd frame
//! ```
//!
//! The same rows give the same bytes, whatever batch they come from: dictionaries hold only the
//! texts that the rows use. Columns hold differences from predictions: starts from the previous
//! start, ends from the start, stated durations from the elapsed time, numeric ids from a straight
//! line over the lines of the file, positions from the previous position at the same station.
//! `byte_planes` describes how numbers become bytes.
//!
//! Beside Postcard of the columns, cut and compressed in the same way (zstd 19; 2026-11-27, April 2020
//! and January 2021; `scripts/alternatives`): 1.5 to 1.6 times the bytes and 1.4 to 1.5 times the write
//! units, 2.3 to 3.4 times the processor time to encode, as much to decode. With simple differences in place of
//! the columns 1.3 to 1.4 times the bytes and the units. docs/BENCHMARKS.md has the rest.

#[cfg(test)]
pub(crate) mod any;
mod byte_planes;
mod decode;
mod encode;
mod gather;
mod month;
mod pack;
mod predictors;

use divvy::model::TripBatch;
use xxhash_rust::xxh3::xxh3_64;

pub use gather::Gatherer;
pub use month::Month;
pub use pack::{MAX_BLOCK, PACKED_LEVEL, Packed, TARGET_BLOCK, first_start, pack, pack_some};

/// The version that [`encode()`] writes.
const VERSION: u8 = 1;

/// The zstd level of temporary files.
pub const SPOOL_LEVEL: i32 = 1;

/// Rows of trips with their locations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The trips, with their lines. Blocks do not keep its station names.
    pub batch: TripBatch,
    /// The archive's member of each row, by its index among the members with trips.
    pub member: Vec<u32>,
}

impl Rows {
    /// Makes the rows of a batch from one member.
    pub fn of_member(batch: TripBatch, member: u32) -> Self {
        Self {
            member: vec![member; batch.len()],
            batch,
        }
    }

    /// Counts the rows.
    pub fn len(&self) -> usize {
        self.member.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.member.is_empty()
    }
}

/// The reason for which a block cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A newer version wrote it.
    #[error("the block has version {0}, and this program reads version {VERSION}: use a newer one")]
    Version(u8),
    /// The bytes were changed.
    #[error("the block is damaged: its checksum does not match")]
    Checksum,
    /// The checksum matches, but the content is not that of a block.
    #[error("the block is damaged: {0} cannot be read")]
    Damaged(&'static str),
}

/// Encodes rows in their order. `level` is that of zstd.
pub fn encode(rows: &Rows, level: i32) -> Vec<u8> {
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    encode_some(&rows.batch, |row| rows.member[row], &all, level)
}

/// Encodes some rows of a batch, in the given order. `member` returns the member of a row.
pub fn encode_some(
    batch: &TripBatch,
    member: impl Fn(usize) -> u32,
    rows: &[u32],
    level: i32,
) -> Vec<u8> {
    let columns = encode::Columns::new(batch, rows).write(member);
    let mut block = vec![VERSION; 9];
    columns.compress(&mut block, level);
    let checksum = xxh3_64(&block[9..]);
    block[1..9].copy_from_slice(&checksum.to_le_bytes());
    block
}

/// Decodes a block.
///
/// # Errors
///
/// [`BlockError`]. Never panics, and never takes more memory than the unpacked bytes.
pub fn decode(block: &[u8]) -> Result<Rows, BlockError> {
    let (version, rest) = block.split_first().ok_or(BlockError::Damaged("the head"))?;
    if *version != VERSION {
        return Err(BlockError::Version(*version));
    }
    let (checksum, packed) = rest
        .split_first_chunk()
        .ok_or(BlockError::Damaged("the head"))?;
    if u64::from_le_bytes(*checksum) != xxh3_64(packed) {
        return Err(BlockError::Checksum);
    }
    decode::read(&byte_planes::unpack(packed)?)
}

/// Forms of ids: texts, decimal numbers, hexadecimal digits.
const ID_FORM_TEXT: u8 = 0;
const ID_FORM_DECIMAL: u8 = 1;
/// The hexadecimal forms with their digits.
const HEX_FORMS: [(u8, &[u8; 16]); 2] = [(3, b"0123456789ABCDEF"), (2, b"0123456789abcdef")];

/// Units of time columns, in milliseconds.
const TIME_UNITS_MS: [i64; 3] = [60_000, 1000, 1];

/// Returns the elapsed time in whole seconds, from the difference of two wall clocks and the
/// difference of their offsets.
fn elapsed_s(clocks_ms: i64, offsets_s: i64) -> i64 {
    clocks_ms.wrapping_sub(1000 * offsets_s).div_euclid(1000)
}

#[cfg(test)]
mod tests;
