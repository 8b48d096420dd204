//! The id index: for each trips file, the keys of its ids in order with the row of each, and the
//! line of each row.
//!
//! It finds the trips that are in two archives without reading either, by merging sorted keys.
//! Equal keys are candidates only; ids themselves are compared before anything is decided.
//!
//! Format, version 2, little-endian:
//!
//! ```text
//! head         `DVIX`, version u32
//! line blocks  the lines of 4,096 rows each, in the order of rows
//! key blocks   4,096 keys each, in order, as differences; then their rows
//! directory    for each line block: its length u32, its XXH3-64 u64
//!              for each key block: its length u32, its XXH3-64 u64, its first key u64
//! tail         rows u64; XXH3-64 of head, directory and rows u64; `DVIX`
//! ```
//!
//! Numbers are packed as described in [`packing`]. A line block begins with a byte: 0 for lines as they
//! are, 1 for their differences. Line 0 stands for an unknown line. Every byte is covered by a
//! checksum, which is verified before the byte is used.
//!
//! Beside Postcard and zstd 1 of the same differences in one piece (2026-11-27, April 2020 and January
//! 2021; `scripts/alternatives`): these take 8 to 9 % more bytes, 1.0 to 1.8 times the processor time to
//! sort and write, and 2.2 to 3.4 times to look up 10,000 keys. Of invented numeric ids in order they
//! take 2.3 times the bytes. docs/BENCHMARKS.md has the rest.

mod packing;
mod reader;
mod writer;

use std::io;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

pub(super) use self::reader::{Cursor, Index};
pub(super) use self::writer::IndexWriter;
use super::sorted_runs::Record;

/// Rows of each block but the last.
pub(super) const BLOCK: usize = 4096;
pub(super) const MAGIC: &[u8; 4] = b"DVIX";
const VERSION: u32 = 2;
/// Bytes of the head.
const HEAD: u64 = 8;
/// Bytes of the tail.
const TAIL: u64 = 20;

/// A key, and the row of the trips file whose id has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) row: u32,
}

impl Entry {
    /// Returns key and row, little-endian.
    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..].copy_from_slice(&self.row.to_le_bytes());
        bytes
    }
}

impl Record for Entry {
    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(&self.to_bytes())
    }

    fn read(from: &mut dyn io::Read) -> io::Result<Self> {
        let (mut key, mut row) = ([0; 8], [0; 4]);
        from.read_exact(&mut key)?;
        from.read_exact(&mut row)?;
        Ok(Self {
            key: u64::from_le_bytes(key),
            row: u32::from_le_bytes(row),
        })
    }

    fn sort(entries: &mut [Self]) {
        radsort::sort_by_key(entries, |entry| entry.key);
        for same in entries.chunk_by_mut(|a, b| a.key == b.key) {
            same.sort_unstable();
        }
    }
}

/// Returns the key of a trip id: the number that it is (16 upper-case hexadecimal digits, or a
/// decimal of fewer), else its hash. Ids that were given out in order thus have keys in order.
pub(super) fn key_of(id: &[u8]) -> u64 {
    let hex = |byte: u8| (byte as char).to_digit(16).map(u64::from);
    let upper = !id.iter().any(u8::is_ascii_lowercase);
    if id.len() == 16 && upper {
        let value = id
            .iter()
            .try_fold(0_u64, |value, byte| Some(value << 4 | hex(*byte)?));
        if let Some(value) = value {
            return value;
        }
    }
    if id.len() < 16 && !id.is_empty() && id.iter().all(u8::is_ascii_digit) {
        return id
            .iter()
            .fold(0, |value, byte| value * 10 + u64::from(byte - b'0'));
    }
    xxh3_64(id)
}

/// The keys of an index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// The smallest and the largest. `(u64::MAX, 0)` if there are none.
    pub(super) bounds: (u64, u64),
    /// Whether two rows have the same key.
    pub(super) has_repeated: bool,
}

/// An index that has been written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) keys: Keys,
    /// The XXH3-128 of the file.
    pub(super) hash: u128,
}

/// Returns the tail of an index with this directory.
fn tail(directory: &[u8], rows: u64) -> Vec<u8> {
    let mut hash = Xxh3::new();
    hash.update(MAGIC);
    hash.update(&VERSION.to_le_bytes());
    hash.update(directory);
    hash.update(&rows.to_le_bytes());
    let mut bytes = rows.to_le_bytes().to_vec();
    bytes.extend(hash.digest().to_le_bytes());
    bytes.extend(MAGIC);
    bytes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::embedded::hashed_file::hash_of;
    use crate::store::{StoreError, StoreErrorKind};

    fn index(folder: &Path, name: &str, keys: &[u64]) -> (Index, Written) {
        let path = folder.join(name);
        let mut writer = IndexWriter::create(&path).unwrap();
        for (row, key) in keys.iter().enumerate() {
            writer.push(*key, row as u64 + 2).unwrap();
        }
        let written = writer.finish().unwrap();
        (Index::open(&path).unwrap(), written)
    }

    fn entries(index: &Index, range: (u64, u64)) -> Vec<(u64, u32)> {
        let mut cursor = index.cursor(range).unwrap();
        let mut entries = Vec::new();
        while let Some(entry) = cursor.entry() {
            entries.push((entry.key, entry.row));
            cursor.advance().unwrap();
        }
        entries
    }

    #[test]
    fn numbers_are_their_own_keys() {
        assert_eq!(key_of(b"4118"), 4118);
        assert_eq!(key_of(b"00000000000000FF"), 255);
        assert_ne!(key_of(b"00000000000000ff"), 255);
        assert_ne!(key_of(b"9A"), 0x9a);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, written) = index(folder.path(), "empty", &[]);
        assert_eq!(entries(&empty, (0, u64::MAX)), []);
        assert_eq!(written.keys.bounds, (u64::MAX, 0));
        assert!(!written.keys.has_repeated);

        let (some, written) = index(folder.path(), "some", &[5, 1, 9, 9, 40]);
        assert_eq!(written.keys.bounds, (1, 40));
        assert!(written.keys.has_repeated);
        let all = [(1, 1), (5, 0), (9, 2), (9, 3), (40, 4)];
        assert_eq!(entries(&some, (0, u64::MAX)), all);
        assert_eq!(entries(&some, (2, 9)), all[1..4]);
        assert_eq!(entries(&some, (41, 90)), []);
        assert_eq!(some.lines(0..5).unwrap(), [2, 3, 4, 5, 6]);
        assert_eq!(some.lines(3..4).unwrap(), [5]);
        assert!(some.lines(3..6).is_err());
        let hash = hash_of(&folder.path().join("some"));
        assert_eq!(hash.unwrap(), written.hash);
    }

    #[test]
    fn blocks_are_in_one_order() {
        let folder = tempfile::tempdir().unwrap();
        // Among others, equal keys in two adjacent blocks.
        let keys: Vec<u64> = (0..20_000_u64)
            .map(|n| match n {
                4_000..4_200 => 7,
                n => n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            })
            .collect();
        let (index, written) = index(folder.path(), "many", &keys);
        let mut expected: Vec<(u64, u32)> =
            (0..).zip(&keys).map(|(row, key)| (*key, row)).collect();
        expected.sort_unstable();
        assert_eq!(entries(&index, (0, u64::MAX)), expected);
        assert!(written.keys.has_repeated);
        let between = (expected[6_000].0, expected[13_000].0);
        assert_eq!(entries(&index, between), expected[6_000..=13_000]);
        assert_eq!(entries(&index, (7, 7)).len(), 200);
        let lines: Vec<u64> = (2..20_002).collect();
        assert_eq!(index.lines(0..20_000).unwrap(), lines);
        assert_eq!(index.lines(4_090..8_200).unwrap(), lines[4_090..8_200]);
    }

    proptest::proptest! {
        #[test]
        fn a_join_finds_the_common_keys(
            own in proptest::collection::vec(0_u64..3_000, 0..9_000),
            other in proptest::collection::btree_set(0_u64..3_000, 0..200),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (index, _) = index(folder.path(), "index", &own);
            let other: Vec<u64> = other.into_iter().collect();
            let mut found = Vec::new();
            index.join(&other, |n, row| found.push((n, row))).unwrap();
            let mut expected: Vec<(usize, u32)> = (0..)
                .zip(&own)
                .filter_map(|(row, key)| Some((other.binary_search(key).ok()?, row)))
                .collect();
            expected.sort_unstable();
            proptest::prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn random_ids_take_at_most_12_bytes_and_numbers_9() {
        let folder = tempfile::tempdir().unwrap();
        let n = 300_000_u64;
        let random: Vec<u64> = (0..n).map(|n| xxh3_64(&n.to_le_bytes())).collect();
        // Within a row group rows are ordered by start, so lines are in no order.
        let path = folder.path().join("random");
        let mut writer = IndexWriter::create(&path).unwrap();
        for (row, key) in random.iter().enumerate() {
            let line = row as u64 / 131_072 * 131_072 + key % 131_072;
            writer.push(*key, line).unwrap();
        }
        writer.finish().unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 12 * n, "{} bytes a trip", size as f64 / n as f64);
        let path = folder.path().join("numbers");
        let mut writer = IndexWriter::create(&path).unwrap();
        for (row, key) in random.iter().enumerate() {
            let row = row as u64;
            writer
                .push(10_000_000 + 3 * row + key % 64, row + key % 999)
                .unwrap();
        }
        writer.finish().unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 9 * n, "{} bytes a trip", size as f64 / n as f64);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<u64> = (0..5_000_u64).map(|n| n * n % 9_973).collect();
        let path = folder.path().join("index");
        index(folder.path(), "index", &keys);
        let sound = std::fs::read(&path).unwrap();
        let read_all = || -> Result<(), StoreError> {
            let index = Index::open(&path)?;
            index.lines(0..5_000)?;
            let mut cursor = index.cursor((0, u64::MAX))?;
            while cursor.entry().is_some() {
                cursor.advance()?;
            }
            Ok(())
        };
        read_all().unwrap();
        for offset in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[offset] ^= 1 << (offset % 8);
            std::fs::write(&path, &bytes).unwrap();
            let error = read_all().expect_err("a bit was flipped");
            assert_eq!(error.kind, StoreErrorKind::Damaged);
            assert!(error.message.contains("index"), "{error}");
        }
        for size in [0, 7, 30, sound.len() - 1] {
            std::fs::write(&path, &sound[..size]).unwrap();
            assert!(read_all().is_err());
        }
    }
}
