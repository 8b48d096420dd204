//! Reads an id index.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use xxhash_rust::xxh3::xxh3_64;

use super::{BLOCK, Entry, HEAD, MAGIC, TAIL, VERSION, packing, tail};
use crate::store::StoreError;
use crate::store::embedded::error::{damaged, io_error};
use crate::store::embedded::shared_file::SharedFile;

/// The index of one trips file. Blocks are read when they are needed, and the file is closed
/// between two reads: there may be more indexes than a process may open files.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    path: PathBuf,
    rows: u64,
    line_blocks: Vec<Block>,
    /// Each with its first key.
    key_blocks: Vec<(Block, u64)>,
}

/// A block of the file.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Its offset in the file.
    start: u64,
    /// Its length in bytes.
    len: u32,
    /// The XXH3-64 of its bytes.
    hash: u64,
}

fn damaged_index(path: &Path, what: &str) -> StoreError {
    damaged(path, ParquetError::General(what.into()))
}

impl Index {
    /// Opens an index.
    ///
    /// # Errors
    ///
    /// `Unreachable` if it cannot be opened, `Damaged` if it is no index of this version.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| io_error("open", path, e))?;
        let file = SharedFile::new(file).map_err(|e| io_error("open", path, e))?;
        let read = |start, len| {
            file.exactly(start, len)
                .map_err(|e| io_error("read", path, e))
        };
        let size = file.size();
        if size < HEAD + TAIL {
            return Err(damaged_index(path, "it is no id index"));
        }
        let head = read(0, HEAD as usize)?;
        if head[..4] != *MAGIC {
            return Err(damaged_index(path, "it is no id index"));
        }
        if head[4..] != VERSION.to_le_bytes() {
            return Err(damaged_index(path, "it is no id index of this version"));
        }
        let end = read(size - TAIL, TAIL as usize)?;
        let rows = number(&end[..8]);
        let n = rows.div_ceil(BLOCK as u64);
        let directory_size = n.saturating_mul(32);
        let least = HEAD.saturating_add(directory_size).saturating_add(TAIL);
        if least > size {
            return Err(damaged_index(path, "it is cut off"));
        }
        let directory = read(size - TAIL - directory_size, directory_size as usize)?;
        if tail(&directory, rows) != end {
            return Err(damaged_index(
                path,
                "the checksum of its directory is another",
            ));
        }
        let mut start = HEAD;
        let mut block = |entry: &[u8]| {
            let len = u32::from_le_bytes(entry[..4].try_into().expect("these are 4 bytes"));
            let block = Block {
                start,
                len,
                hash: number(&entry[4..12]),
            };
            start += u64::from(len);
            block
        };
        let (lines, keys) = directory.split_at(n as usize * 12);
        let line_blocks = lines.chunks_exact(12).map(&mut block).collect();
        let key_blocks = keys
            .chunks_exact(20)
            .map(|entry| (block(entry), number(&entry[12..])))
            .collect();
        if start + directory_size + TAIL != size {
            return Err(damaged_index(path, "its length is not what it says"));
        }
        Ok(Self {
            path: path.into(),
            rows,
            line_blocks,
            key_blocks,
        })
    }

    /// Returns the number of rows of the trips file.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns a cursor over the entries with keys from `low` to `high`, both included.
    pub(crate) fn cursor(&self, (low, high): (u64, u64)) -> Result<Cursor<'_>, StoreError> {
        let mut cursor = Cursor {
            index: self,
            next_block: self.first_block(low),
            high,
            entries: Vec::new(),
            current: 0,
        };
        cursor.fill()?;
        while cursor.entry().is_some_and(|entry| entry.key < low) {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    /// Visits the entries whose keys are among `keys`, with the index of the key in `keys` and the
    /// row. `keys` is in order and has no key twice. Blocks without any of these keys are not read.
    pub(crate) fn join(
        &self,
        keys: &[u64],
        mut visit: impl FnMut(usize, u32),
    ) -> Result<(), StoreError> {
        let (Some(low), Some(high)) = (keys.first(), keys.last()) else {
            return Ok(());
        };
        let mut file = None;
        // The number of keys that are smaller than those of the current block.
        let mut passed = 0;
        for n in self.first_block(*low)..self.key_blocks.len() {
            let (block, first) = self.key_blocks[n];
            if first > *high {
                break;
            }
            passed += count_below(&keys[passed..], first);
            let next = self.key_blocks.get(n + 1);
            if next.is_some_and(|(_, next)| keys.get(passed).is_none_or(|key| key > next)) {
                continue;
            }
            let file = match &mut file {
                Some(file) => file,
                None => file.insert(self.open_file()?),
            };
            let bytes = self.read_block(file, block)?;
            let (block_keys, packed_rows) = self.unpack_keys(n, &bytes)?;
            let mut rows = None;
            let mut index = passed;
            for (entry, key) in block_keys.iter().enumerate() {
                index += count_below(&keys[index..], *key);
                match keys.get(index) {
                    None => break,
                    Some(found) if found == key => {
                        let rows = match &mut rows {
                            Some(rows) => rows,
                            None => rows.insert(self.unpack_rows(n, packed_rows)?),
                        };
                        visit(index, rows[entry] as u32);
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Returns the first block that may hold a key: the one before the first block that begins with
    /// it or a larger key.
    fn first_block(&self, key: u64) -> usize {
        let before = self.key_blocks.partition_point(|(_, first)| *first < key);
        before.saturating_sub(1)
    }

    /// Reads the lines of rows, in the order of rows. 0 stands for an unknown line.
    pub(crate) fn lines(&self, rows: Range<u32>) -> Result<Vec<u64>, StoreError> {
        let (start, end) = (rows.start as usize, rows.end as usize);
        if end as u64 > self.rows {
            return Err(damaged_index(
                &self.path,
                "it has fewer rows than its trips file",
            ));
        }
        let blocks = start / BLOCK..end.div_ceil(BLOCK);
        let mut lines = Vec::with_capacity(blocks.len() * BLOCK);
        let file = self.open_file()?;
        for n in blocks.clone() {
            let bytes = self.read_block(&file, self.line_blocks[n])?;
            let (packing, bytes) = bytes.split_first().ok_or_else(|| self.malformed_block())?;
            let unpacked = if *packing == 0 {
                packing::unpack(bytes, self.rows_of_block(n))
            } else {
                packing::unpack_differences(bytes, self.rows_of_block(n))
            };
            let (unpacked, _) = unpacked.ok_or_else(|| self.malformed_block())?;
            lines.extend(unpacked);
        }
        let first = blocks.start * BLOCK;
        lines.truncate(end - first);
        lines.drain(..start - first);
        Ok(lines)
    }

    fn rows_of_block(&self, n: usize) -> usize {
        (self.rows as usize - n * BLOCK).min(BLOCK)
    }

    fn malformed_block(&self) -> StoreError {
        damaged_index(&self.path, "a block is not what this program writes")
    }

    fn open_file(&self) -> Result<SharedFile, StoreError> {
        File::open(&self.path)
            .and_then(SharedFile::new)
            .map_err(|e| io_error("open", &self.path, e))
    }

    /// Reads a block, verifies it, and appends [`packing::PADDING`].
    fn read_block(&self, file: &SharedFile, block: Block) -> Result<Vec<u8>, StoreError> {
        let len = block.len as usize;
        let mut bytes = vec![0; len + packing::PADDING];
        file.fill(block.start, &mut bytes[..len])
            .map_err(|e| io_error("read", &self.path, e))?;
        if xxh3_64(&bytes[..len]) != block.hash {
            return Err(damaged_index(
                &self.path,
                "the checksum of a block is another",
            ));
        }
        Ok(bytes)
    }

    /// Unpacks the keys of the `n`th key block. Returns them with the bytes behind them, which are
    /// the rows.
    fn unpack_keys<'b>(
        &self,
        n: usize,
        bytes: &'b [u8],
    ) -> Result<(Vec<u64>, &'b [u8]), StoreError> {
        let unpacked = packing::unpack_differences(bytes, self.rows_of_block(n));
        let (keys, rest) = unpacked.ok_or_else(|| self.malformed_block())?;
        let (_, first) = self.key_blocks[n];
        if keys.first() != Some(&first) {
            return Err(self.malformed_block());
        }
        Ok((keys, rest))
    }

    /// Unpacks the rows of the `n`th key block.
    fn unpack_rows(&self, n: usize, bytes: &[u8]) -> Result<Vec<u64>, StoreError> {
        let unpacked = packing::unpack(bytes, self.rows_of_block(n));
        let (rows, _) = unpacked.ok_or_else(|| self.malformed_block())?;
        if rows.iter().any(|row| *row >= self.rows) {
            return Err(self.malformed_block());
        }
        Ok(rows)
    }

    /// Reads the entries of the `n`th key block.
    fn read_entries(&self, n: usize, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
        let (block, _) = self.key_blocks[n];
        let bytes = self.read_block(&self.open_file()?, block)?;
        let (keys, packed_rows) = self.unpack_keys(n, &bytes)?;
        let rows = self.unpack_rows(n, packed_rows)?;
        entries.clear();
        entries.extend(keys.iter().zip(&rows).map(|(key, row)| Entry {
            key: *key,
            row: *row as u32,
        }));
        Ok(())
    }
}

/// Counts the keys below `low` at the front of keys in order. Fast if there are few.
fn count_below(keys: &[u64], low: u64) -> usize {
    let mut step = 1;
    let mut below = 0;
    while keys.get(below + step - 1).is_some_and(|key| *key < low) {
        below += step;
        step *= 2;
    }
    let end = (below + step - 1).min(keys.len());
    below + keys[below..end].partition_point(|key| *key < low)
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("these are 8 bytes"))
}

/// Iterates over the entries of an index in the order of their keys. Holds one block.
pub(crate) struct Cursor<'a> {
    index: &'a Index,
    next_block: usize,
    /// The last key to visit.
    high: u64,
    entries: Vec<Entry>,
    /// The index of the current entry in `entries`.
    current: usize,
}

impl Cursor<'_> {
    /// Returns the current entry. `None` after the last.
    pub(crate) fn entry(&self) -> Option<Entry> {
        (self.entries.get(self.current).copied()).filter(|entry| entry.key <= self.high)
    }

    /// Moves to the next entry.
    pub(crate) fn advance(&mut self) -> Result<(), StoreError> {
        self.current += 1;
        if self.current == self.entries.len() {
            self.fill()?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        self.current = 0;
        let next = self.index.key_blocks.get(self.next_block);
        if next.is_none_or(|(_, first)| *first > self.high) {
            self.entries.clear();
            return Ok(());
        }
        self.next_block += 1;
        self.index
            .read_entries(self.next_block - 1, &mut self.entries)
    }
}
