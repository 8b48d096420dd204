//! Compares the copies of trips, and decides which of them are stored.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use xxhash_rust::xxh3::xxh3_128;

use super::contested::IndexRange;
use super::files::CommitFile;
use crate::model::{Flags, Trip, TripBatch};
use crate::store::StoreError;
use crate::store::embedded::catalog::FileKind;
use crate::store::embedded::index::key_of;
use crate::store::embedded::row_set::RowSet;
use crate::store::embedded::sorted_runs::{Record, Runs};
use crate::store::embedded::trips_file::for_each_row_group;

/// Bytes of records that are sorted in memory.
const SORT_BYTES: usize = 40 << 20;
/// Row groups that are read at a time, each with all its columns.
const THREADS: usize = 4;

/// The files whose rows are compared, and the decisions so far.
pub(super) struct Comparison<'a> {
    files: &'a [CommitFile],
    indexes: &'a [IndexRange],
    /// The rank of each file in the order of archives and members; files of one member share it.
    member_order: Vec<u32>,
    staging: &'a Path,
    /// The rows of each file that belong into a file of the other kind.
    moving: Vec<RowSet>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        files: &'a [CommitFile],
        indexes: &'a [IndexRange],
        staging: &'a Path,
    ) -> Self {
        Self {
            files,
            indexes,
            member_order: member_order(files),
            staging,
            moving: vec![RowSet::default(); files.len()],
        }
    }

    /// Returns the rows of each file that move between trips and duplicates.
    pub(super) fn into_moving_rows(self) -> Vec<RowSet> {
        self.moving
    }

    /// Decides of what kind a row is.
    fn assign(&mut self, row: Rank, kind: FileKind) {
        let file = row.file as usize;
        if self.files[file].row.kind != kind {
            self.moving[file].insert(row.row);
        }
    }

    /// Decides about copies that are equal, as most are. Returns one row of each content of which
    /// there is another with the same key.
    pub(super) fn resolve_equal_copies(
        &mut self,
        contested: &[RowSet],
    ) -> Result<Vec<RowSet>, StoreError> {
        let mut differing = vec![RowSet::default(); contested.len()];
        let hash = |batch: &TripBatch, row: usize, rank: Rank| HashedRow {
            key: key_of(batch.id_raw(row)),
            content: content_hash(batch, row),
            rank,
        };
        let mut sorted = self.sort(contested, "equal.runs", &hash)?.peekable();
        let mut last_key = None;
        while let Some(first) = sorted.next() {
            let first = first?;
            let mut next_key = None;
            while let Some(next) = sorted.peek() {
                // The error is returned by the outer loop.
                let Ok(next) = next else { break };
                if (next.key, next.content) != (first.key, first.content) {
                    next_key = Some(next.key);
                    break;
                }
                let rank = next.rank;
                sorted.next();
                self.assign(rank, FileKind::Duplicates);
            }
            if last_key == Some(first.key) || next_key == Some(first.key) {
                differing[first.rank.file as usize].insert(first.rank.row);
            } else {
                self.assign(first.rank, FileKind::Trips);
            }
            last_key = Some(first.key);
        }
        Ok(differing)
    }

    /// Decides about copies that differ, and about different ids with the same key.
    pub(super) fn resolve_differing_copies(
        &mut self,
        differing: &[RowSet],
    ) -> Result<(), StoreError> {
        let read = |batch: &TripBatch, row: usize, rank: Rank| FullRow::of(&batch.trip(row), rank);
        let mut last_id: Option<Box<str>> = None;
        for copy in self.sort(differing, "differing.runs", &read)? {
            let FullRow { id, rank, .. } = copy?;
            let kind = if last_id.as_ref() == Some(&id) {
                FileKind::Duplicates
            } else {
                FileKind::Trips
            };
            self.assign(rank, kind);
            last_id = Some(id);
        }
        Ok(())
    }

    /// Reads some rows of each file and returns a record of each, in order. Each row group is read
    /// once. `temporary` is the name of a file in staging.
    fn sort<T: Record + Send>(
        &self,
        rows: &[RowSet],
        temporary: &str,
        to_record: &(dyn Fn(&TripBatch, usize, Rank) -> T + Sync),
    ) -> Result<impl Iterator<Item = Result<T, StoreError>> + use<T>, StoreError> {
        let read: Vec<&IndexRange> = (self.indexes.iter())
            .filter(|range| !rows[range.file].is_empty())
            .collect();
        let paths: Vec<PathBuf> = (read.iter())
            .map(|range| self.files[range.file].path.clone())
            .collect();
        let sorted = Mutex::new(Runs::new(self.staging.join(temporary), SORT_BYTES));
        for_each_row_group(
            &paths,
            THREADS,
            &|group| {
                let rows = &rows[read[group.file].file];
                rows.within(group.rows.clone()).next().is_some()
            },
            &|group| {
                let IndexRange {
                    file, kind, index, ..
                } = read[group.file];
                let batch = group.trips.read(group.group)?;
                let lines = index.lines(group.rows.clone())?;
                let records: Vec<T> = rows[*file]
                    .within(group.rows.clone())
                    .map(|row| {
                        let in_batch = (row - group.rows.start) as usize;
                        let unknown = u32::from(*kind == FileKind::Duplicates);
                        let line = u32::try_from(lines[in_batch]).unwrap_or(u32::MAX);
                        let rank = Rank {
                            member_order: self.member_order[*file],
                            line: line.max(unknown),
                            row,
                            file: *file as u32,
                        };
                        to_record(&batch, in_batch, rank)
                    })
                    .collect();
                drop(batch);
                let mut sorted = sorted.lock().expect("no holder of this lock panics");
                for record in records {
                    sorted.push(record)?;
                }
                Ok(true)
            },
        )?;
        let sorted = sorted.into_inner().expect("no holder of this lock panics");
        sorted.sorted()
    }
}

/// Returns the rank of each file in the order of archives and members.
fn member_order(files: &[CommitFile]) -> Vec<u32> {
    let member_of = |file: &CommitFile| (file.row.archive, file.row.member);
    let members: BTreeSet<(u64, usize)> = files.iter().map(member_of).collect();
    let members: Vec<_> = members.into_iter().collect();
    let rank = |file| members.partition_point(|member| *member < member_of(file));
    files.iter().map(|file| rank(file) as u32).collect()
}

/// A row of a file, in the order of preference among equal copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Of its archive and member, see [`member_order`].
    member_order: u32,
    /// The line of the published file. If it is unknown, 0 for a stored row and 1, which is the line
    /// of the header, for a duplicate: a stored row stays then.
    line: u32,
    row: u32,
    /// The index of the file in the commit.
    file: u32,
}

impl Rank {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = [0; 16];
        let numbers = [self.member_order, self.line, self.row, self.file];
        for (bytes, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        out.write_all(&bytes)
    }

    fn read(from: &mut dyn Read) -> io::Result<Self> {
        let mut number = || read_number(from);
        Ok(Self {
            member_order: number()?,
            line: number()?,
            row: number()?,
            file: number()?,
        })
    }
}

fn read_number(from: &mut dyn Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// A row, with a hash of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HashedRow {
    key: u64,
    /// The two halves of an XXH3-128. Rows with equal hashes are equal.
    content: (u64, u64),
    rank: Rank,
}

impl Record for HashedRow {
    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = [0; 24];
        let numbers = [self.key, self.content.0, self.content.1];
        for (bytes, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        out.write_all(&bytes)?;
        self.rank.write(out)
    }

    fn read(from: &mut dyn Read) -> io::Result<Self> {
        let mut number = || {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)?;
            Ok::<_, io::Error>(u64::from_le_bytes(bytes))
        };
        Ok(Self {
            key: number()?,
            content: (number()?, number()?),
            rank: Rank::read(from)?,
        })
    }
}

/// Hashes everything of a row that [`Trip::cmp_copies`] compares.
fn content_hash(batch: &TripBatch, row: usize) -> (u64, u64) {
    let mut bytes = Vec::with_capacity(192);
    bytes.push(u8::from(batch.flags[row].intersects(Flags::OTHER_WORDS)));
    bytes.extend(batch.started_ms[row].to_le_bytes());
    bytes.extend(batch.ended_ms[row].to_le_bytes());
    for number in [
        batch.started_offset_s[row],
        batch.ended_offset_s[row],
        batch.precision_ms[row],
        batch.reported_s[row],
        i32::from(batch.birth_year[row]),
        batch.from_latitude[row],
        batch.from_longitude[row],
        batch.to_latitude[row],
        batch.to_longitude[row],
    ] {
        bytes.extend(number.to_le_bytes());
    }
    for text in [
        batch.id_raw(row),
        batch.stations.text(batch.origin[row]).as_bytes(),
        batch.stations.text(batch.destination[row]).as_bytes(),
        batch.vehicles.text(batch.vehicle[row]).as_bytes(),
        batch.words.text(batch.bike[row]).as_bytes(),
        batch.words.text(batch.rider[row]).as_bytes(),
        batch.words.text(batch.gender[row]).as_bytes(),
    ] {
        bytes.extend((text.len() as u32).to_le_bytes());
        bytes.extend(text);
    }
    let hash = xxh3_128(&bytes);
    ((hash >> 64) as u64, hash as u64)
}

/// A row, with everything that decides between it and other copies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FullRow {
    id: Box<str>,
    // The fields from here on are in the order of [`Trip::cmp_copies`].
    ends_before_start: bool,
    precision_ms: i32,
    text: Box<str>,
    has_other_words: bool,
    rank: Rank,
}

impl FullRow {
    fn of(trip: &Trip, rank: Rank) -> Self {
        Self {
            id: trip.id.as_str().into(),
            ends_before_start: trip.elapsed_ms() < 0,
            precision_ms: trip.precision_ms,
            text: trip.row_text().into(),
            has_other_words: trip.flags.intersects(Flags::OTHER_WORDS),
            rank,
        }
    }
}

impl Record for FullRow {
    fn size(&self) -> usize {
        // 32 for what the allocator adds to the two texts.
        size_of::<Self>() + self.id.len() + self.text.len() + 32
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write_text(out, &self.id)?;
        out.write_all(&u32::from(self.ends_before_start).to_le_bytes())?;
        out.write_all(&self.precision_ms.to_le_bytes())?;
        write_text(out, &self.text)?;
        out.write_all(&u32::from(self.has_other_words).to_le_bytes())?;
        self.rank.write(out)
    }

    fn read(from: &mut dyn Read) -> io::Result<Self> {
        Ok(Self {
            id: read_text(from)?,
            ends_before_start: read_number(from)? == 1,
            precision_ms: read_number(from)? as i32,
            text: read_text(from)?,
            has_other_words: read_number(from)? == 1,
            rank: Rank::read(from)?,
        })
    }
}

fn write_text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(&(text.len() as u32).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

fn read_text(from: &mut dyn Read) -> io::Result<Box<str>> {
    let mut bytes = vec![0; read_number(from)? as usize];
    from.read_exact(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;
    use crate::model::StationAlias;
    use crate::store::embedded::testing::trip;

    fn a_trip() -> impl proptest::strategy::Strategy<Value = Trip> {
        use proptest::prelude::*;
        (
            "[ab]",
            0_i64..2,
            -1_i64..2,
            1_i32..3,
            proptest::option::of("[a,]{1,2}"),
        )
            .prop_map(|(id, start, lasts, precision_ms, origin)| Trip {
                ended_ms: start + lasts,
                precision_ms,
                origin: origin.as_deref().map(StationAlias::from),
                ..trip(&id, start)
            })
    }

    proptest::proptest! {
        /// Records are sorted as trips are compared, on disk and in memory.
        #[test]
        fn records_are_ordered_as_copies(trips in proptest::collection::vec(a_trip(), 1..12)) {
            let folder = tempfile::tempdir().unwrap();
            let mut full = Runs::new(folder.path().join("full"), 1);
            let mut hashed = Runs::new(folder.path().join("hashed"), 1);
            let batch: TripBatch = trips.iter().cloned().collect();
            for (row, trip) in trips.iter().enumerate() {
                let member_order = 9 - row as u32 % 3;
                let rank = Rank { member_order, line: 7, row: row as u32, file: 1 };
                full.push(FullRow::of(trip, rank)).unwrap();
                let key = key_of(batch.id_raw(row));
                hashed.push(HashedRow { key, content: content_hash(&batch, row), rank }).unwrap();
            }
            let full: Vec<FullRow> = full.sorted().unwrap().collect::<Result<_, _>>().unwrap();
            for pair in full.windows(2) {
                let [a, b] = pair else { unreachable!() };
                let of = |full: &FullRow| &trips[full.rank.row as usize];
                let order = (of(a).id.cmp(&of(b).id))
                    .then_with(|| of(a).cmp_copies(of(b)))
                    .then_with(|| a.rank.cmp(&b.rank));
                proptest::prop_assert_eq!(order, Ordering::Less);
            }
            let hashed: Vec<HashedRow> = hashed.sorted().unwrap().collect::<Result<_, _>>().unwrap();
            proptest::prop_assert_eq!(hashed.len(), trips.len());
            for pair in hashed.windows(2) {
                let [a, b] = pair else { unreachable!() };
                proptest::prop_assert!(a < b);
                let of = |hashed: &HashedRow| &trips[hashed.rank.row as usize];
                proptest::prop_assert_eq!(a.content == b.content, of(a) == of(b));
            }
        }
    }
}
