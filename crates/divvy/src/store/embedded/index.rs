//! The id index: for each trips file, the keys of its ids in order with the row of each, and the
//! line of each row.
//!
//! It finds the trips that stand in two archives without reading either: sorted keys are merged.
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
//! Numbers are packed as [`packing`](super::packing) says. A line block begins with a byte: 0 for
//! lines as they are, 1 for their differences. Line 0 is a line that is not known. Every byte is
//! covered by a checksum, which is verified before the byte is used.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

use super::hashed_file::HashedFile;
use super::packing;
use super::shared_file::SharedFile;
use super::sorted_runs::{Record, Runs};
use super::trips_file::TripsFile;
use super::{cannot, damaged};
use crate::store::StoreError;

/// Rows of a block, but the last.
const BLOCK: usize = 4096;
/// Memory for entries that are being sorted. Sorting takes as much again.
const SORTED_AT_A_TIME: usize = 16 << 20;
const MAGIC: &[u8; 4] = b"DVIX";
const VERSION: u32 = 2;
const HEAD: u64 = 8;
const TAIL: u64 = 20;

/// A key, and the row of the trips file whose id has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) row: u32,
}

impl Record for Entry {
    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..].copy_from_slice(&self.row.to_le_bytes());
        out.write_all(&bytes)
    }

    fn read(from: &mut dyn io::Read) -> io::Result<Self> {
        let mut bytes = [0; 12];
        from.read_exact(&mut bytes)?;
        let (key, row) = bytes.split_at(8);
        Ok(Self {
            key: u64::from_le_bytes(key.try_into().expect("these are 8 bytes")),
            row: u32::from_le_bytes(row.try_into().expect("these are 4 bytes")),
        })
    }

    fn sort(entries: &mut [Self]) {
        radsort::sort_by_key(entries, |entry| entry.key);
        for same in entries.chunk_by_mut(|a, b| a.key == b.key) {
            same.sort_unstable();
        }
    }
}

/// Returns the key of a trip id: its own number where it is one (16 hexadecimal digits, or a
/// decimal), so that ids given out in order lie in order; else its hash.
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

/// What is known of an index without reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// The smallest and the largest. `(u64::MAX, 0)` where there is none.
    pub(super) bounds: (u64, u64),
    /// Some key stands twice.
    pub(super) twice: bool,
}

/// An index that has been written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) keys: Keys,
    /// The XXH3-128 of the file.
    pub(super) hash: u128,
}

/// A block of the file: where it lies, and the XXH3-64 of its bytes.
#[derive(Clone, Copy, Debug)]
struct Block {
    start: u64,
    len: u32,
    hash: u64,
}

/// Writes the index of a trips file, whose rows come in order, in bounded memory.
pub(super) struct IndexWriter {
    out: HashedFile,
    /// Bytes written.
    at: u64,
    rows: u64,
    /// Lines of the block at hand.
    lines: Vec<u64>,
    line_blocks: Vec<Block>,
    entries: Runs<Entry>,
}

impl IndexWriter {
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let mut out = HashedFile::create(path)?;
        out.append(MAGIC)?;
        out.append(&VERSION.to_le_bytes())?;
        Ok(Self {
            out,
            at: HEAD,
            rows: 0,
            lines: Vec::with_capacity(BLOCK),
            line_blocks: Vec::new(),
            entries: Runs::new(path.with_extension("runs"), SORTED_AT_A_TIME),
        })
    }

    /// Counts the rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the key and the line of the next row.
    pub(super) fn push(&mut self, key: u64, line: u64) -> Result<(), StoreError> {
        let row = self.rows as u32;
        self.rows += 1;
        self.entries.push(Entry { key, row })?;
        self.lines.push(line);
        if self.lines.len() == BLOCK {
            self.end_line_block()?;
        }
        Ok(())
    }

    fn end_line_block(&mut self) -> Result<(), StoreError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let (mut plain, mut differences) = (vec![0], vec![1]);
        packing::plain(&mut plain, &self.lines);
        packing::differences(&mut differences, &self.lines);
        self.lines.clear();
        let smaller = if differences.len() < plain.len() {
            differences
        } else {
            plain
        };
        let block = self.append(&smaller)?;
        self.line_blocks.push(block);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<Block, StoreError> {
        self.out.append(bytes)?;
        let block = Block {
            start: self.at,
            len: bytes.len() as u32,
            hash: xxh3_64(bytes),
        };
        self.at += bytes.len() as u64;
        Ok(block)
    }

    /// Ends the index and makes it durable.
    pub(super) fn finish(mut self) -> Result<Written, StoreError> {
        self.end_line_block()?;
        let entries = self.entries.take();
        let mut keys = Keys {
            bounds: (u64::MAX, 0),
            twice: false,
        };
        let mut blocks: Vec<(Block, u64)> = Vec::new();
        let mut block: (Vec<u64>, Vec<u64>) = Default::default();
        let mut bytes = Vec::new();
        let mut end = |writer: &mut Self, block: &mut (Vec<u64>, Vec<u64>)| {
            let Some(first) = block.0.first().copied() else {
                return Ok(());
            };
            bytes.clear();
            packing::differences(&mut bytes, &block.0);
            packing::plain(&mut bytes, &block.1);
            blocks.push((writer.append(&bytes)?, first));
            block.0.clear();
            block.1.clear();
            Ok::<_, StoreError>(())
        };
        for entry in entries.sorted()? {
            let Entry { key, row } = entry?;
            keys.twice |= keys.bounds.0 != u64::MAX && keys.bounds.1 == key;
            keys.bounds = (keys.bounds.0.min(key), key);
            block.0.push(key);
            block.1.push(u64::from(row));
            if block.0.len() == BLOCK {
                end(&mut self, &mut block)?;
            }
        }
        end(&mut self, &mut block)?;
        let directory = directory(&self.line_blocks, &blocks);
        let tail = tail(&directory, self.rows);
        self.out.append(&directory)?;
        self.out.append(&tail)?;
        let hash = self.out.finish()?;
        Ok(Written { keys, hash })
    }
}

fn directory(line_blocks: &[Block], key_blocks: &[(Block, u64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(line_blocks.len() * 12 + key_blocks.len() * 20);
    for block in line_blocks {
        bytes.extend(block.len.to_le_bytes());
        bytes.extend(block.hash.to_le_bytes());
    }
    for (block, first) in key_blocks {
        bytes.extend(block.len.to_le_bytes());
        bytes.extend(block.hash.to_le_bytes());
        bytes.extend(first.to_le_bytes());
    }
    bytes
}

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

/// The index of one trips file. Its blocks are read when they are wanted, and between two of them
/// the file is closed: there may be very many.
#[derive(Clone, Debug)]
pub(super) struct Index {
    path: PathBuf,
    rows: u64,
    line_blocks: Vec<Block>,
    /// Each with its first key.
    key_blocks: Vec<(Block, u64)>,
}

fn wrong(path: &Path, what: &str) -> StoreError {
    damaged(path, ParquetError::General(what.into()))
}

impl Index {
    /// Opens an index.
    ///
    /// # Errors
    ///
    /// `Unreachable` where it cannot be opened, `Damaged` where it is no index of this version.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| cannot("open", path, e))?;
        let file = SharedFile::new(file).map_err(|e| cannot("open", path, e))?;
        let read = |start, len| {
            file.exactly(start, len)
                .map_err(|e| cannot("read", path, e))
        };
        let size = file.size();
        if size < HEAD + TAIL {
            return Err(wrong(path, "it is no id index"));
        }
        let head = read(0, HEAD as usize)?;
        if head[..4] != *MAGIC {
            return Err(wrong(path, "it is no id index"));
        }
        if head[4..] != VERSION.to_le_bytes() {
            return Err(wrong(path, "it is no id index of this version"));
        }
        let end = read(size - TAIL, TAIL as usize)?;
        let rows = number(&end[..8]);
        let n = rows.div_ceil(BLOCK as u64);
        let directory_size = n.saturating_mul(32);
        let behind = HEAD.saturating_add(directory_size).saturating_add(TAIL);
        if behind > size {
            return Err(wrong(path, "it is cut off"));
        }
        let mut start = HEAD;
        let directory = read(size - TAIL - directory_size, directory_size as usize)?;
        if tail(&directory, rows) != end {
            return Err(wrong(path, "the checksum of its directory is another"));
        }
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
            return Err(wrong(path, "its length is not what it says"));
        }
        Ok(Self {
            path: path.into(),
            rows,
            line_blocks,
            key_blocks,
        })
    }

    /// Counts the rows of the trips file.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Opens a cursor over the entries whose keys lie between two keys, these included.
    pub(super) fn cursor(&self, (low, high): (u64, u64)) -> Result<Cursor<'_>, StoreError> {
        let mut cursor = Cursor {
            index: self,
            next_block: self.first_block(low),
            high,
            entries: Vec::new(),
            at: 0,
        };
        cursor.fill()?;
        while cursor.entry().is_some_and(|entry| entry.key < low) {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    /// Visits the entries whose keys are among some keys, which are in order and each there once:
    /// the place of the key among them, and the row. Blocks that can have none are not read.
    pub(super) fn join(
        &self,
        keys: &[u64],
        mut visit: impl FnMut(usize, u32),
    ) -> Result<(), StoreError> {
        let (Some(low), Some(high)) = (keys.first(), keys.last()) else {
            return Ok(());
        };
        let start = self.first_block(*low);
        let mut file = None;
        let mut wanted = 0;
        for place in start..self.key_blocks.len() {
            let (block, first) = self.key_blocks[place];
            if first > *high {
                break;
            }
            wanted += until(&keys[wanted..], first);
            let next = self.key_blocks.get(place + 1);
            if next.is_some_and(|(_, next)| keys.get(wanted).is_none_or(|key| key > next)) {
                continue;
            }
            let file = match &mut file {
                Some(file) => file,
                None => file.insert(self.reopen()?),
            };
            let bytes = self.read(file, block)?;
            let (own, used) = self.keys(place, &bytes)?;
            let mut rows = None;
            let mut at = wanted;
            for (entry, key) in own.iter().enumerate() {
                at += until(&keys[at..], *key);
                match keys.get(at) {
                    None => break,
                    Some(found) if found == key => {
                        let rows = match &mut rows {
                            Some(rows) => rows,
                            None => rows.insert(self.rows_at(place, &bytes[used..])?),
                        };
                        visit(at, rows[entry] as u32);
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Returns the first block that may hold a key: it may begin in the one before the first that
    /// begins with it.
    fn first_block(&self, key: u64) -> usize {
        let before = self.key_blocks.partition_point(|(_, first)| *first < key);
        before.saturating_sub(1)
    }

    /// Reads the lines of some rows, in their order; 0 for one that is not known.
    pub(super) fn lines(&self, rows: Range<u32>) -> Result<Vec<u64>, StoreError> {
        let (start, end) = (rows.start as usize, rows.end as usize);
        if end as u64 > self.rows {
            return Err(wrong(&self.path, "it has fewer rows than its trips file"));
        }
        let blocks = start / BLOCK..end.div_ceil(BLOCK);
        let mut lines = Vec::with_capacity(blocks.len() * BLOCK);
        let file = self.reopen()?;
        for place in blocks.clone() {
            let bytes = self.read(&file, self.line_blocks[place])?;
            let (kind, bytes) = bytes.split_first().ok_or_else(|| self.unreadable())?;
            let n = self.rows_of_block(place);
            let read = match *kind {
                0 => packing::unpack(bytes, n),
                _ => packing::unpack_differences(bytes, n),
            };
            let (read, _) = read.ok_or_else(|| self.unreadable())?;
            lines.extend(read);
        }
        let first = blocks.start * BLOCK;
        lines.truncate(end - first);
        lines.drain(..start - first);
        Ok(lines)
    }

    fn rows_of_block(&self, place: usize) -> usize {
        (self.rows as usize - place * BLOCK).min(BLOCK)
    }

    fn unreadable(&self) -> StoreError {
        wrong(&self.path, "a block is not what this program writes")
    }

    fn reopen(&self) -> Result<SharedFile, StoreError> {
        File::open(&self.path)
            .and_then(SharedFile::new)
            .map_err(|e| cannot("open", &self.path, e))
    }

    /// Reads a block, verifies it, and appends [`packing::PADDING`].
    fn read(&self, file: &SharedFile, block: Block) -> Result<Vec<u8>, StoreError> {
        let len = block.len as usize;
        let mut bytes = vec![0; len + packing::PADDING];
        file.fill(block.start, &mut bytes[..len])
            .map_err(|e| cannot("read", &self.path, e))?;
        if xxh3_64(&bytes[..len]) != block.hash {
            return Err(wrong(&self.path, "the checksum of a block is another"));
        }
        Ok(bytes)
    }

    /// Reads the keys of a block, and how many of its bytes they take.
    fn keys(&self, place: usize, bytes: &[u8]) -> Result<(Vec<u64>, usize), StoreError> {
        let unpacked = packing::unpack_differences(bytes, self.rows_of_block(place));
        let (keys, used) = unpacked.ok_or_else(|| self.unreadable())?;
        let (_, first) = self.key_blocks[place];
        if keys.first() != Some(&first) {
            return Err(self.unreadable());
        }
        Ok((keys, used))
    }

    /// Reads the rows of a block, which lie behind its keys.
    fn rows_at(&self, place: usize, bytes: &[u8]) -> Result<Vec<u64>, StoreError> {
        let unpacked = packing::unpack(bytes, self.rows_of_block(place));
        let (rows, _) = unpacked.ok_or_else(|| self.unreadable())?;
        if rows.iter().any(|row| *row >= self.rows) {
            return Err(self.unreadable());
        }
        Ok(rows)
    }

    fn entries(&self, place: usize, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
        let (block, _) = self.key_blocks[place];
        let bytes = self.read(&self.reopen()?, block)?;
        let (keys, used) = self.keys(place, &bytes)?;
        let rows = self.rows_at(place, &bytes[used..])?;
        entries.clear();
        entries.extend(keys.iter().zip(&rows).map(|(key, row)| Entry {
            key: *key,
            row: *row as u32,
        }));
        Ok(())
    }
}

/// Counts the keys before the first that is not smaller than `low`: they are in order, and it is
/// mostly near.
fn until(keys: &[u64], low: u64) -> usize {
    let mut step = 1;
    let mut before = 0;
    while keys.get(before + step - 1).is_some_and(|key| *key < low) {
        before += step;
        step *= 2;
    }
    let behind = (before + step - 1).min(keys.len());
    before + keys[before..behind].partition_point(|key| *key < low)
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("these are 8 bytes"))
}

/// Walks the entries of an index in the order of their keys. It holds one block.
pub(super) struct Cursor<'a> {
    index: &'a Index,
    next_block: usize,
    /// The last key that matters.
    high: u64,
    entries: Vec<Entry>,
    at: usize,
}

impl Cursor<'_> {
    /// Returns the entry at hand. `None` behind the last.
    pub(super) fn entry(&self) -> Option<Entry> {
        (self.entries.get(self.at).copied()).filter(|entry| entry.key <= self.high)
    }

    /// Goes on to the next entry.
    pub(super) fn advance(&mut self) -> Result<(), StoreError> {
        self.at += 1;
        if self.at == self.entries.len() {
            self.fill()?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        self.at = 0;
        let next = self.index.key_blocks.get(self.next_block);
        if next.is_none_or(|(_, first)| *first > self.high) {
            self.entries.clear();
            return Ok(());
        }
        let place = self.next_block;
        self.next_block += 1;
        self.index.entries(place, &mut self.entries)
    }
}

/// An index that has been made anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rebuilt {
    pub(super) written: Written,
    /// Rows whose line is not known any more.
    pub(super) lines_lost: u64,
}

/// Makes the index of a trips file anew, at `to`. Lines are taken from the index at `old`, of this
/// version or version 1, as far as they can be read there; the others are 0.
///
/// # Errors
///
/// Where the trips file cannot be read, or the new index not be written.
pub(super) fn rebuild(trips: &TripsFile, old: &Path, to: &Path) -> Result<Rebuilt, StoreError> {
    let old = OldLines::open(old, trips.rows());
    let mut writer = IndexWriter::create(to)?;
    let mut lines_lost = 0;
    for (group, rows) in trips.groups().into_iter().enumerate() {
        let ids = trips.read_ids(group)?;
        let mut lines = Vec::with_capacity(rows.len());
        // Block by block: where one is damaged, the others are not.
        let mut start = rows.start;
        while start < rows.end {
            let behind = (start / BLOCK as u32 + 1) * BLOCK as u32;
            let some = start..behind.min(rows.end);
            start = some.end;
            old.read(some, &mut lines);
        }
        for (row, line) in lines.into_iter().enumerate() {
            lines_lost += u64::from(line == 0);
            writer.push(key_of(ids.id_raw(row)), line)?;
        }
    }
    let written = writer.finish()?;
    Ok(Rebuilt {
        written,
        lines_lost,
    })
}

/// Compares an index with its trips file: that it has the key of each row once, nothing else, and
/// all of it can be read.
///
/// # Errors
///
/// `Damaged` where they do not agree, or either is damaged.
pub(super) fn compare(index: &Path, trips: &TripsFile) -> Result<(), StoreError> {
    // The order of the two is not the same, so what is compared is a sum over all entries.
    let sum = |sum: u128, entry: Entry| {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&entry.key.to_le_bytes());
        bytes[8..].copy_from_slice(&entry.row.to_le_bytes());
        sum.wrapping_add(xxh3_128(&bytes))
    };
    let opened = Index::open(index)?;
    let mut wanted = 0;
    for (group, rows) in trips.groups().into_iter().enumerate() {
        let ids = trips.read_ids(group)?;
        for (place, row) in rows.clone().enumerate() {
            let key = key_of(ids.id_raw(place));
            wanted = sum(wanted, Entry { key, row });
        }
        opened.lines(rows)?;
    }
    let mut found = 0;
    let mut cursor = opened.cursor((0, u64::MAX))?;
    while let Some(entry) = cursor.entry() {
        found = sum(found, entry);
        cursor.advance()?;
    }
    if opened.rows() != trips.rows() || found != wanted {
        return Err(wrong(index, "its keys are not those of its trips file"));
    }
    Ok(())
}

/// The lines that an index has, whatever can still be read of it.
enum OldLines {
    Blocks(Index),
    /// Version 1, which has no checksums: the line of each row.
    Rows(Vec<u32>),
    Lost,
}

impl OldLines {
    fn open(path: &Path, rows: u64) -> Self {
        match Index::open(path) {
            Ok(index) if index.rows() == rows => Self::Blocks(index),
            Ok(_) => Self::Lost,
            Err(_) => lines_of_version_1(path, rows).map_or(Self::Lost, Self::Rows),
        }
    }

    /// Appends the lines of rows of one block.
    fn read(&self, rows: Range<u32>, lines: &mut Vec<u64>) {
        let len = lines.len() + rows.len();
        match self {
            Self::Blocks(index) => lines.extend(index.lines(rows).unwrap_or_default()),
            Self::Rows(all) => {
                let all = all.get(rows.start as usize..rows.end as usize);
                lines.extend(all.into_iter().flatten().map(|line| u64::from(*line)));
            }
            Self::Lost => {}
        }
        lines.resize(len, 0);
    }
}

/// Reads the lines of an index of version 1: the number of runs u32, the length of each u64, then
/// for each run its keys (u64), its rows (u32) and its lines (u32). `None` where it is none, or is
/// not that of so many rows.
fn lines_of_version_1(path: &Path, rows: u64) -> Option<Vec<u32>> {
    let file = File::open(path).and_then(SharedFile::new).ok()?;
    let read = |start, len: u64| file.exactly(start, usize::try_from(len).ok()?).ok();
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("these are 4 bytes"));
    let head = read(0, 12)?;
    if head[..4] != *MAGIC || word(&head[4..8]) != 1 {
        return None;
    }
    let n = u64::from(word(&head[8..]));
    let size = n.checked_mul(8)?.checked_add(12)?;
    if file.size() != rows.checked_mul(16)?.checked_add(size)? {
        return None;
    }
    let mut lines = vec![0; rows as usize];
    let mut start = size;
    for run in read(12, n * 8)?.chunks_exact(8) {
        let len = number(run);
        let bytes = read(start.checked_add(8 * len)?, len.checked_mul(8)?)?;
        let (places, said) = bytes.split_at(bytes.len() / 2);
        for (place, line) in places.chunks_exact(4).zip(said.chunks_exact(4)) {
            *lines.get_mut(word(place) as usize)? = word(line);
        }
        start = start.checked_add(len.checked_mul(16)?)?;
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TripBatch;
    use crate::store::StoreErrorKind;
    use crate::store::embedded::trips_file::TripsWriter;
    use crate::store::embedded::trips_file::tests::trip;

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
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, written) = index(folder.path(), "empty", &[]);
        assert_eq!(entries(&empty, (0, u64::MAX)), []);
        assert_eq!(written.keys.bounds, (u64::MAX, 0));
        assert!(!written.keys.twice);

        let (some, written) = index(folder.path(), "some", &[5, 1, 9, 9, 40]);
        assert_eq!(written.keys.bounds, (1, 40));
        assert!(written.keys.twice);
        let all = [(1, 1), (5, 0), (9, 2), (9, 3), (40, 4)];
        assert_eq!(entries(&some, (0, u64::MAX)), all);
        assert_eq!(entries(&some, (2, 9)), all[1..4]);
        assert_eq!(entries(&some, (41, 90)), []);
        assert_eq!(some.lines(0..5).unwrap(), [2, 3, 4, 5, 6]);
        assert_eq!(some.lines(3..4).unwrap(), [5]);
        assert!(some.lines(3..6).is_err());
        let hash = crate::store::embedded::hashed_file::hash_of(&folder.path().join("some"));
        assert_eq!(hash.unwrap(), written.hash);
    }

    #[test]
    fn many_blocks_are_one_order() {
        let folder = tempfile::tempdir().unwrap();
        // Equal keys across the border of blocks, among others.
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
        assert!(written.keys.twice);
        let between = (expected[6_000].0, expected[13_000].0);
        assert_eq!(entries(&index, between), expected[6_000..=13_000]);
        assert_eq!(entries(&index, (7, 7)).len(), 200);
        let lines: Vec<u64> = (2..20_002).collect();
        assert_eq!(index.lines(0..20_000).unwrap(), lines);
        assert_eq!(index.lines(4_090..8_200).unwrap(), lines[4_090..8_200]);
    }

    proptest::proptest! {
        #[test]
        fn a_join_finds_what_both_have(
            own in proptest::collection::vec(0_u64..3_000, 0..9_000),
            other in proptest::collection::btree_set(0_u64..3_000, 0..200),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (index, _) = index(folder.path(), "index", &own);
            let other: Vec<u64> = other.into_iter().collect();
            let mut found = Vec::new();
            index.join(&other, |place, row| found.push((place, row))).unwrap();
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
        // Rows are in order of their start within a group of rows, and lines are in none.
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

    fn trips(n: u64) -> TripBatch {
        let trip = |n: u64| trip(&(n * 7 % 1000).to_string(), (n * 13 % 50) as i64);
        let mut batch: TripBatch = (0..n).map(trip).collect();
        batch.line = (2..n + 2).collect();
        batch
    }

    #[test]
    fn an_index_that_says_anything_else_is_found_and_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let index_path = path.with_extension("index");
        let mut writer = TripsWriter::create(path.clone()).unwrap();
        writer.write(&trips(300)).unwrap();
        writer.write(&trips(200)).unwrap();
        let finished = writer.finish().unwrap();
        let trips = TripsFile::open(&path).unwrap();
        compare(&index_path, &trips).unwrap();
        let lines = Index::open(&index_path).unwrap().lines(0..500).unwrap();

        // Sound, but of another file.
        let (_, _) = index(folder.path(), "other", &(0..500).collect::<Vec<_>>());
        let other = folder.path().join("other");
        let error = compare(&other, &trips).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Damaged);

        let again = folder.path().join("again");
        let rebuilt = rebuild(&trips, &index_path, &again).unwrap();
        assert_eq!(rebuilt.written.hash, finished.index_hash);
        assert_eq!(rebuilt.lines_lost, 0);
        let rebuilt = rebuild(&trips, &folder.path().join("none"), &again).unwrap();
        assert_eq!(rebuilt.lines_lost, 500);
        compare(&again, &trips).unwrap();

        // Version 1 has the lines, too.
        let mut old = b"DVIX".to_vec();
        old.extend(1_u32.to_le_bytes());
        old.extend(2_u32.to_le_bytes());
        old.extend([300_u64, 200].map(u64::to_le_bytes).concat());
        for run in [0..300_u32, 300..500] {
            old.extend(run.clone().flat_map(|_| 0_u64.to_le_bytes()));
            old.extend(run.clone().rev().flat_map(u32::to_le_bytes));
            let lines = run.rev().map(|row| lines[row as usize] as u32);
            old.extend(lines.flat_map(u32::to_le_bytes));
        }
        let old_path = folder.path().join("old");
        std::fs::write(&old_path, old).unwrap();
        assert!(Index::open(&old_path).is_err());
        let rebuilt = rebuild(&trips, &old_path, &again).unwrap();
        assert_eq!(rebuilt.written.hash, finished.index_hash);
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
        for place in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[place] ^= 1 << (place % 8);
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
