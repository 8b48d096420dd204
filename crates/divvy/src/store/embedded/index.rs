//! The id index: for each trips file, the keys of its ids in order, with the row and line of each.
//!
//! It finds the trips that stand in two archives without reading either: sorted keys are merged.
//! Equal keys are candidates only; ids themselves are compared before anything is decided.
//!
//! Format, little-endian: `DVIX`, version u32, number of runs u32, the length of each run u64;
//! then for each run its keys (u64), rows (u32) and lines (u32). A run holds at most [`RUN`]
//! entries, so that an index is made in bounded memory.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use super::{cannot, damaged};
use crate::store::StoreError;

/// Entries of a run.
const RUN: usize = 2 << 20;
const MAGIC: &[u8; 4] = b"DVIX";
const VERSION: u32 = 1;

/// One row of a trips file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) row: u32,
    /// The line of the published file.
    pub(super) line: u32,
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
    xxhash_rust::xxh3::xxh3_64(id)
}

/// What is known of an index without reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// The smallest and the largest.
    pub(super) bounds: (u64, u64),
    /// Some key stands twice, or may.
    pub(super) twice: bool,
}

/// Writes the index of a trips file and makes it durable.
pub(super) fn write(path: &Path, mut entries: Vec<Entry>) -> Result<Keys, StoreError> {
    let failed = |e| cannot("write", path, e);
    let file = File::create(path).map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(failed);
    let runs = entries.len().div_ceil(RUN);
    write(MAGIC)?;
    write(&VERSION.to_le_bytes())?;
    write(&(runs as u32).to_le_bytes())?;
    for run in entries.chunks(RUN) {
        write(&(run.len() as u64).to_le_bytes())?;
    }
    let (mut low, mut high) = (u64::MAX, 0);
    // Equal keys in two runs lie apart: not looked for here.
    let mut twice = runs > 1;
    for run in entries.chunks_mut(RUN) {
        radsort::sort_by_key(run, |entry| entry.key);
        twice |= run.windows(2).any(|pair| pair[0].key == pair[1].key);
        low = low.min(run[0].key);
        high = high.max(run[run.len() - 1].key);
        let mut bytes = Vec::with_capacity(run.len() * 8);
        bytes.extend(run.iter().flat_map(|entry| entry.key.to_le_bytes()));
        write(&bytes)?;
        bytes.clear();
        bytes.extend(run.iter().flat_map(|entry| entry.row.to_le_bytes()));
        write(&bytes)?;
        bytes.clear();
        bytes.extend(run.iter().flat_map(|entry| entry.line.to_le_bytes()));
        write(&bytes)?;
    }
    let file = out
        .into_inner()
        .map_err(|e| cannot("write", path, e.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(Keys {
        bounds: (low, high),
        twice,
    })
}

/// The index of one trips file.
#[derive(Clone, Debug)]
pub(super) struct Index {
    path: PathBuf,
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    start: u64,
    len: u64,
}

impl Index {
    /// Opens an index.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut file = File::open(path).map_err(|e| cannot("open", path, e))?;
        let size = file.metadata().map_err(|e| cannot("open", path, e))?.len();
        let wrong = |what: &str| damaged(path, ParquetError::General(what.into()));
        let mut head = [0; 12];
        file.read_exact(&mut head)
            .map_err(|_| wrong("it is no id index"))?;
        let version = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if head[..4] != *MAGIC || version != VERSION {
            return Err(wrong("it is no id index of this version"));
        }
        let n = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        let mut start = 12 + 8 * u64::from(n);
        let mut runs = Vec::new();
        for _ in 0..n {
            let mut len = [0; 8];
            file.read_exact(&mut len)
                .map_err(|_| wrong("it is cut off"))?;
            let len = u64::from_le_bytes(len);
            runs.push(Run { start, len });
            start = start.saturating_add(len.saturating_mul(16));
        }
        if start != size {
            return Err(wrong("its length is not what it says"));
        }
        Ok(Self {
            path: path.into(),
            runs,
        })
    }

    /// Opens a cursor over the keys of each run that lie between two keys, these included.
    pub(super) fn cursors(&self, (low, high): (u64, u64)) -> Result<Vec<Cursor>, StoreError> {
        let failed = |e| cannot("read", &self.path, e);
        let mut cursors = Vec::new();
        for run in &self.runs {
            let mut file = File::open(&self.path).map_err(|e| cannot("open", &self.path, e))?;
            let mut key_at = |place: u64| {
                let mut key = [0; 8];
                file.seek(SeekFrom::Start(run.start + 8 * place))?;
                file.read_exact(&mut key).map(|()| u64::from_le_bytes(key))
            };
            let (mut first, mut behind) = (0, run.len);
            while first < behind {
                let middle = first.midpoint(behind);
                if key_at(middle).map_err(failed)? < low {
                    first = middle + 1;
                } else {
                    behind = middle;
                }
            }
            file.seek(SeekFrom::Start(run.start + 8 * first))
                .map_err(failed)?;
            let mut cursor = Cursor {
                path: self.path.clone(),
                input: BufReader::with_capacity(1 << 16, file),
                left: run.len - first,
                high,
                key: None,
            };
            cursor.advance()?;
            cursors.push(cursor);
        }
        Ok(cursors)
    }

    /// Returns the entries whose keys are among the (sorted) keys, in the order of rows.
    pub(super) fn among(&self, keys: &[u64]) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        for run in &self.runs {
            self.each(run, |entry| {
                if keys.binary_search(&entry.key).is_ok() {
                    found.push(entry);
                }
            })?;
        }
        found.sort_unstable_by_key(|entry| entry.row);
        Ok(found)
    }

    /// Returns the line of each row.
    pub(super) fn lines(&self) -> Result<Vec<u32>, StoreError> {
        let rows: u64 = self.runs.iter().map(|run| run.len).sum();
        let mut lines = vec![0; rows as usize];
        for run in &self.runs {
            self.each(run, |entry| {
                if let Some(line) = lines.get_mut(entry.row as usize) {
                    *line = entry.line;
                }
            })?;
        }
        Ok(lines)
    }

    fn each(&self, run: &Run, mut visit: impl FnMut(Entry)) -> Result<(), StoreError> {
        let open = |offset: u64| -> std::io::Result<BufReader<File>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(run.start + offset))?;
            Ok(BufReader::with_capacity(1 << 16, file))
        };
        let mut read = || -> std::io::Result<()> {
            let mut keys = open(0)?;
            let mut rows = open(8 * run.len)?;
            let mut lines = open(12 * run.len)?;
            let (mut key, mut row, mut line) = ([0; 8], [0; 4], [0; 4]);
            for _ in 0..run.len {
                keys.read_exact(&mut key)?;
                rows.read_exact(&mut row)?;
                lines.read_exact(&mut line)?;
                visit(Entry {
                    key: u64::from_le_bytes(key),
                    row: u32::from_le_bytes(row),
                    line: u32::from_le_bytes(line),
                });
            }
            Ok(())
        };
        read().map_err(|e| cannot("read", &self.path, e))
    }
}

/// Walks the keys of a run in order.
pub(super) struct Cursor {
    path: PathBuf,
    input: BufReader<File>,
    left: u64,
    /// The last key that matters.
    high: u64,
    /// The key at hand; `None` behind the last.
    key: Option<u64>,
}

impl Cursor {
    fn advance(&mut self) -> Result<(), StoreError> {
        self.key = None;
        if self.left > 0 {
            self.left -= 1;
            let mut key = [0; 8];
            self.input
                .read_exact(&mut key)
                .map_err(|e| cannot("read", &self.path, e))?;
            self.key = Some(u64::from_le_bytes(key)).filter(|key| *key <= self.high);
        }
        Ok(())
    }
}

/// An index, and between which of its keys others may have the same.
pub(super) type Ranged = (Index, (u64, u64));

/// Finds the keys that occur twice: within `new`, or in `new` and in `old`. Sorted, each once.
pub(super) fn contested(new: &[Ranged], old: &[Ranged]) -> Result<Vec<u64>, StoreError> {
    /// Keys of the new archive that are held at a time.
    const SLICE: usize = 2 << 20;
    let mut news = Vec::new();
    for (index, range) in new {
        news.extend(index.cursors(*range)?);
    }
    let mut olds = Vec::new();
    for (index, range) in old {
        olds.extend(index.cursors(*range)?);
    }
    let mut twice = Vec::new();
    let mut slice: Vec<u64> = Vec::new();
    loop {
        let last = slice.last().copied();
        slice.clear();
        while slice.len() < SLICE {
            let Some(next) = news
                .iter_mut()
                .filter(|cursor| cursor.key.is_some())
                .min_by_key(|cursor| cursor.key)
            else {
                break;
            };
            slice.extend(next.key);
            next.advance()?;
        }
        let Some(high) = slice.last().copied() else {
            break;
        };
        if last == slice.first().copied() {
            twice.extend(last);
        }
        twice.extend(
            slice
                .windows(2)
                .filter(|pair| pair[0] == pair[1])
                .map(|pair| pair[0]),
        );
        for cursor in &mut olds {
            let mut place = 0;
            while let Some(key) = cursor.key.filter(|key| *key <= high) {
                while slice[place] < key {
                    place += 1;
                }
                if slice[place] == key {
                    twice.push(key);
                }
                // An equal key may open the next slice: the cursor waits for it.
                if key == high {
                    break;
                }
                cursor.advance()?;
            }
        }
    }
    twice.sort_unstable();
    twice.dedup();
    Ok(twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(folder: &Path, name: &str, keys: &[u64]) -> Index {
        let path = folder.join(name);
        let entries = keys
            .iter()
            .enumerate()
            .map(|(row, key)| Entry {
                key: *key,
                row: row as u32,
                line: row as u32 + 2,
            })
            .collect();
        write(&path, entries).unwrap();
        Index::open(&path).unwrap()
    }

    #[test]
    fn numbers_are_their_own_keys() {
        assert_eq!(key_of(b"4118"), 4118);
        assert_eq!(key_of(b"00000000000000FF"), 255);
        assert_ne!(key_of(b"00000000000000ff"), 255);
        assert_ne!(key_of(b"9A"), 0x9a);
    }

    #[test]
    fn keys_that_stand_twice_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let a = index(folder.path(), "a", &[5, 1, 9, 9, 40]);
        let b = index(folder.path(), "b", &[2, 40, 7]);
        let c = index(folder.path(), "c", &[1, 7, 8, 9]);
        let all = |index: &Index| (index.clone(), (0, u64::MAX));
        assert_eq!(contested(&[all(&a), all(&b)], &[]).unwrap(), [9, 40]);
        let (new, old) = ([all(&a), all(&b)], [all(&c)]);
        assert_eq!(contested(&new, &old).unwrap(), [1, 7, 9, 40]);
        let some = |index: &Index| (index.clone(), (2, 39));
        assert_eq!(contested(&[some(&a), some(&b)], &old).unwrap(), [7, 9]);
        let found = a.among(&[5, 9]).unwrap();
        assert_eq!(
            found.iter().map(|e| (e.row, e.line)).collect::<Vec<_>>(),
            [(0, 2), (2, 4), (3, 5)]
        );
        assert_eq!(a.lines().unwrap(), [2, 3, 4, 5, 6]);
    }
}
