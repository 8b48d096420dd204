//! Rebuilds the id index of a trips file, and compares the two.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use parquet::errors::ParquetError;
use xxhash_rust::xxh3::xxh3_128;

use super::error::damaged;
use super::index::{BLOCK, Entry, Index, IndexWriter, MAGIC, Written, key_of};
use super::shared_file::SharedFile;
use super::trips_file::TripsFile;
use crate::store::StoreError;

/// An index that has been rebuilt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rebuilt {
    pub(super) written: Written,
    /// Rows whose line is unknown.
    pub(super) lines_lost: u64,
}

/// Writes the index of a trips file to `to`. Lines are taken from the index at `old`, of this version
/// or version 1, as far as they can be read; the others are 0.
///
/// # Errors
///
/// If the trips file cannot be read, or the new index cannot be written.
pub(super) fn rebuild(trips: &TripsFile, old: &Path, to: &Path) -> Result<Rebuilt, StoreError> {
    let old = OldLines::open(old, trips.rows());
    let mut writer = IndexWriter::create(to)?;
    let mut lines_lost = 0;
    for (group, rows) in trips.groups().into_iter().enumerate() {
        let ids = trips.read_ids(group)?;
        let mut lines = Vec::with_capacity(rows.len());
        // Block by block, so that a damaged block costs its own lines only.
        let mut start = rows.start;
        while start < rows.end {
            let block_end = (start / BLOCK as u32 + 1) * BLOCK as u32;
            let end = block_end.min(rows.end);
            old.read(start..end, &mut lines);
            start = end;
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

/// Compares an index with its trips file: it has the key of each row once and no others, and all of
/// it can be read.
///
/// # Errors
///
/// `Damaged` if they differ, or either is damaged.
pub(super) fn compare(index: &Path, trips: &TripsFile) -> Result<(), StoreError> {
    // Entries are in the order of keys and rows in their own, so sums over all are compared.
    let add = |sum: u128, entry: Entry| sum.wrapping_add(xxh3_128(&entry.to_bytes()));
    let opened = Index::open(index)?;
    let mut expected = 0;
    for (group, rows) in trips.groups().into_iter().enumerate() {
        let ids = trips.read_ids(group)?;
        for (n, row) in rows.clone().enumerate() {
            let key = key_of(ids.id_raw(n));
            expected = add(expected, Entry { key, row });
        }
        opened.lines(rows)?;
    }
    let mut found = 0;
    let mut cursor = opened.cursor((0, u64::MAX))?;
    while let Some(entry) = cursor.entry() {
        found = add(found, entry);
        cursor.advance()?;
    }
    if opened.rows() != trips.rows() || found != expected {
        let message = "its keys are not those of its trips file".into();
        return Err(damaged(index, ParquetError::General(message)));
    }
    Ok(())
}

/// The lines of an index, as far as they can be read.
enum OldLines {
    Index(Index),
    /// The line of each row, of an index of version 1.
    Version1(Vec<u32>),
    /// There are none.
    None,
}

impl OldLines {
    fn open(path: &Path, rows: u64) -> Self {
        match Index::open(path) {
            Ok(index) if index.rows() == rows => Self::Index(index),
            Ok(_) => Self::None,
            Err(_) => lines_of_version_1(path, rows).map_or(Self::None, Self::Version1),
        }
    }

    /// Appends the lines of rows of one block; 0 for those that cannot be read.
    fn read(&self, rows: Range<u32>, lines: &mut Vec<u64>) {
        let len = lines.len() + rows.len();
        match self {
            Self::Index(index) => lines.extend(index.lines(rows).unwrap_or_default()),
            Self::Version1(all) => {
                let all = all.get(rows.start as usize..rows.end as usize);
                lines.extend(all.into_iter().flatten().map(|line| u64::from(*line)));
            }
            Self::None => {}
        }
        lines.resize(len, 0);
    }
}

/// Reads the lines of an index of version 1. `None` if it is none, or has another number of rows.
///
/// Format: `DVIX`, version u32, the number of runs u32, the length of each u64; then for each run
/// its keys (u64), its rows (u32) and its lines (u32). It has no checksums.
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
        let len = u64::from_le_bytes(run.try_into().expect("these are 8 bytes"));
        let bytes = read(start.checked_add(8 * len)?, len.checked_mul(8)?)?;
        let (run_rows, run_lines) = bytes.split_at(bytes.len() / 2);
        for (row, line) in run_rows.chunks_exact(4).zip(run_lines.chunks_exact(4)) {
            *lines.get_mut(word(row) as usize)? = word(line);
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
    use crate::store::embedded::testing::{divvy, trip};
    use crate::store::embedded::trips_file::TripsWriter;

    fn trips(n: u64) -> TripBatch {
        let trip = |n: u64| trip(&(n * 7 % 1000).to_string(), (n * 13 % 50) as i64);
        let mut batch: TripBatch = (0..n).map(trip).collect();
        batch.line = (2..n + 2).collect();
        batch
    }

    #[test]
    fn an_index_that_differs_is_found_and_rebuilt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let index_path = path.with_extension("index");
        let mut writer = TripsWriter::create(path.clone(), &divvy().id).unwrap();
        writer.write(&trips(300)).unwrap();
        writer.write(&trips(200)).unwrap();
        let finished = writer.finish().unwrap();
        let trips = TripsFile::open(&path).unwrap();
        compare(&index_path, &trips).unwrap();
        let lines = Index::open(&index_path).unwrap().lines(0..500).unwrap();

        // Intact, but of another file.
        let other = folder.path().join("other");
        let mut writer = IndexWriter::create(&other).unwrap();
        for key in 0..500 {
            writer.push(key, key + 2).unwrap();
        }
        writer.finish().unwrap();
        let error = compare(&other, &trips).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Damaged);

        let again = folder.path().join("again");
        let rebuilt = rebuild(&trips, &index_path, &again).unwrap();
        assert_eq!(rebuilt.written.hash, finished.index_hash);
        assert_eq!(rebuilt.lines_lost, 0);
        let rebuilt = rebuild(&trips, &folder.path().join("none"), &again).unwrap();
        assert_eq!(rebuilt.lines_lost, 500);
        compare(&again, &trips).unwrap();

        // Version 1 has the lines as well.
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
}
