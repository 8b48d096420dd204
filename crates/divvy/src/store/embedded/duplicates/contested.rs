//! Finds the rows of which there may be another copy: those whose key is in the indexes twice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::files::Role;
use crate::store::StoreError;
use crate::store::embedded::catalog::FileKind;
use crate::store::embedded::index::{Cursor, Index};
use crate::store::embedded::row_set::RowSet;

/// Keys that are looked up at a time.
const MAX_KEYS: usize = 1 << 20;

/// An index, and the range of its keys that other files may have, too.
pub(super) struct IndexRange {
    pub(super) role: Role,
    /// Whether the rows of the file are stored now.
    pub(super) kind: FileKind,
    /// The index of the file in the commit.
    pub(super) file: usize,
    pub(super) index: Index,
    pub(super) keys: (u64, u64),
}

/// Finds the contested rows of each file of a commit, except of those that are removed.
///
/// The keys of new and removed files are merged, a slice at a time, and each slice is looked up in
/// the indexes of the other files.
pub(super) fn contested_rows(
    indexes: &[IndexRange],
    files: usize,
) -> Result<Vec<RowSet>, StoreError> {
    let mut merged = MergedKeys::open(indexes)?;
    let mut rows = vec![RowSet::default(); files];
    loop {
        let mut slice = merged.next_slice()?;
        if slice.keys.is_empty() {
            return Ok(rows);
        }
        slice.look_up_stored(indexes, &mut rows)?;
        slice.look_up_new(indexes, &mut rows)?;
    }
}

/// Keys in order, each once, of new and removed files.
#[derive(Default)]
struct Slice {
    keys: Vec<u64>,
    /// Which rows have each key.
    found: Vec<Found>,
}

#[derive(Clone, Copy, Default)]
struct Found {
    in_new: bool,
    in_removed: bool,
    /// There is another copy.
    is_contested: bool,
}

impl Slice {
    /// Looks the keys up in stored trips, and those of removed files in duplicates.
    fn look_up_stored(
        &mut self,
        indexes: &[IndexRange],
        rows: &mut [RowSet],
    ) -> Result<(), StoreError> {
        for range in indexes {
            let of_removed = range.role == Role::Duplicates;
            if !of_removed && range.role != Role::Stored {
                continue;
            }
            range.join(&self.keys, |n, row| {
                if !of_removed || self.found[n].in_removed {
                    self.found[n].is_contested = true;
                    rows[range.file].insert(row);
                }
            })?;
        }
        Ok(())
    }

    /// Looks the contested keys up in new files.
    fn look_up_new(&self, indexes: &[IndexRange], rows: &mut [RowSet]) -> Result<(), StoreError> {
        for range in indexes.iter().filter(|range| range.role == Role::New) {
            range.join(&self.keys, |n, row| {
                if self.found[n].is_contested {
                    rows[range.file].insert(row);
                }
            })?;
        }
        Ok(())
    }
}

impl IndexRange {
    /// Visits the entries of the range whose keys are among `keys`, with the index of the key.
    fn join(&self, keys: &[u64], mut visit: impl FnMut(usize, u32)) -> Result<(), StoreError> {
        let start = keys.partition_point(|key| *key < self.keys.0);
        let end = keys.partition_point(|key| *key <= self.keys.1);
        if start >= end {
            return Ok(());
        }
        self.index
            .join(&keys[start..end], |n, row| visit(start + n, row))
    }
}

/// The entries of the new and the removed files, merged by key.
struct MergedKeys<'a> {
    cursors: Vec<(&'a IndexRange, Cursor<'a>)>,
    /// The current key of each cursor that is not at its end, with the cursor's index.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
}

impl<'a> MergedKeys<'a> {
    fn open(indexes: &'a [IndexRange]) -> Result<Self, StoreError> {
        let mut cursors = Vec::new();
        for range in indexes {
            if matches!(range.role, Role::New | Role::Removed) {
                cursors.push((range, range.index.cursor(range.keys)?));
            }
        }
        let heads = (cursors.iter().enumerate())
            .filter_map(|(n, (_, cursor))| Some(Reverse((cursor.entry()?.key, n))))
            .collect();
        Ok(Self { cursors, heads })
    }

    /// Returns the next keys; none at the end.
    fn next_slice(&mut self) -> Result<Slice, StoreError> {
        let mut slice = Slice::default();
        while let Some(mut head) = self.heads.peek_mut() {
            let Reverse((key, n)) = *head;
            let (range, cursor) = &mut self.cursors[n];
            if slice.keys.last() != Some(&key) {
                if slice.keys.len() == MAX_KEYS {
                    break;
                }
                slice.keys.push(key);
                slice.found.push(Found::default());
            }
            if let Some(found) = slice.found.last_mut() {
                if range.role == Role::New {
                    // A duplicate is stored if there is no other copy.
                    let is_duplicate = range.kind == FileKind::Duplicates;
                    found.is_contested |= found.in_new || is_duplicate;
                    found.in_new = true;
                } else {
                    found.in_removed = true;
                }
            }
            cursor.advance()?;
            match cursor.entry() {
                Some(entry) => head.0.0 = entry.key,
                None => {
                    PeekMut::pop(head);
                }
            }
        }
        Ok(slice)
    }
}
