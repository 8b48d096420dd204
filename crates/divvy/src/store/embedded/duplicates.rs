//! Which copy of a trip is stored, where it stands in several archives or twice in one.
//!
//! ```text
//!  indexes ─► rows whose key stands twice ─► a hash of each row's content, sorted by key
//!          ─► equal copies: the first stays ─► copies that differ: compared whole, sorted by id
//! ```
//!
//! Each row group that has such rows is read once, and once more where copies differ. What is
//! sorted goes to disk where it is too much for memory, so neither time nor memory depends on how
//! often a trip has been published before.
//!
//! A stored trip is better than every copy of it among the duplicates: these matter only where
//! stored trips go.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeSet, BinaryHeap};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use xxhash_rust::xxh3::xxh3_128;

use super::catalog::Kind;
use super::commit::Part;
use super::each_group::each_group;
use super::index::{Cursor, Index, key_of};
use super::row_set::RowSet;
use super::sorted_runs::{Record, Runs};
use crate::model::{Flags, Trip, TripBatch};
use crate::store::StoreError;

/// Memory for what is being sorted.
const SORTED_AT_A_TIME: usize = 40 << 20;
/// Row groups that are read at a time, each with all its columns.
const THREADS: usize = 4;

impl Part {
    fn overlaps(&self, other: &Self) -> bool {
        self.keys.0 <= other.keys.1 && other.keys.0 <= self.keys.1
    }
}

/// What a file is to a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Comes, or stored trips that are decided about again.
    New,
    /// Goes: stored trips of an archive that is replaced.
    Going,
    /// Stored trips that stay unless a better copy comes.
    Kept,
    /// Copies that lost.
    Lost,
}

impl Role {
    fn of(part: &Part, replaced: &BTreeSet<u64>) -> Self {
        match part.kind {
            _ if replaced.contains(&part.archive) => Self::Going,
            _ if part.undecided => Self::New,
            Kind::Trips => Self::Kept,
            Kind::Duplicates => Self::Lost,
        }
    }

    /// Tells whether keys of a file are looked at because files of another role have them.
    fn concerns(self, other: Self) -> bool {
        match self {
            Self::New => other != Self::Lost,
            Self::Kept => other == Self::New,
            Self::Going => other == Self::Lost,
            Self::Lost => other == Self::Going,
        }
    }
}

/// An index, and between which of its keys others may have the same.
struct Ranged {
    role: Role,
    /// The place of the file in the list.
    place: usize,
    index: Index,
    range: (u64, u64),
}

/// Decides which copy of each trip is stored, and so which rows change sides. Temporary files go
/// into `staging`.
pub(super) fn decide(
    parts: &mut [Part],
    replaced: &BTreeSet<u64>,
    staging: &Path,
) -> Result<(), StoreError> {
    let roles: Vec<Role> = (parts.iter())
        .map(|part| Role::of(part, replaced))
        .collect();
    let mut indexes = Vec::new();
    for place in 0..parts.len() {
        if let Some(range) = shared_keys(parts, &roles, place) {
            indexes.push(Ranged {
                role: roles[place],
                place,
                index: Index::open(&parts[place].index_path)?,
                range,
            });
        }
    }
    let contested = contested(&indexes, parts.len())?;
    let judged = Judged {
        parts,
        indexes: &indexes,
        order: order(parts),
    };
    let mut moving = vec![RowSet::default(); parts.len()];
    let mut belongs = |place: u32, row: u32, kind: Kind| {
        if parts[place as usize].kind != kind {
            moving[place as usize].insert(row);
        }
    };
    let differing = equal_copies(&judged, &contested, staging, &mut belongs)?;
    differing_copies(&judged, &differing, staging, &mut belongs)?;
    for (part, moving) in parts.iter_mut().zip(moving) {
        part.moving = moving;
    }
    Ok(())
}

/// Finds the keys between which a part may share some with others, or hold one twice. Nothing is to
/// be decided about ids that stand nowhere else, and most months are such.
fn shared_keys(parts: &[Part], roles: &[Role], place: usize) -> Option<(u64, u64)> {
    let part = &parts[place];
    if part.rows == 0 {
        return None;
    }
    let shared = (parts.iter().zip(roles).enumerate())
        .filter(|(other, (_, role))| *other != place && roles[place].concerns(**role))
        .filter(|(_, (other, _))| other.rows > 0 && part.overlaps(other))
        .map(|(_, (other, _))| (part.keys.0.max(other.keys.0), part.keys.1.min(other.keys.1)))
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    (part.twice && roles[place] == Role::New)
        .then_some(part.keys)
        .or(shared)
}

/// Gives each part its place in the order of archives and members; files of one member share it.
fn order(parts: &[Part]) -> Vec<u32> {
    let members: BTreeSet<(u64, usize)> = (parts.iter())
        .map(|part| (part.archive, part.member))
        .collect();
    let members: Vec<_> = members.into_iter().collect();
    let place = |part: &Part| members.partition_point(|m| *m < (part.archive, part.member));
    parts.iter().map(|part| place(part) as u32).collect()
}

/// Finds the rows of which another copy may be: those whose key stands twice. For each file, but
/// those that go, the rows.
fn contested(indexes: &[Ranged], files: usize) -> Result<Vec<RowSet>, StoreError> {
    /// Keys that are looked for at a time.
    const SLICE: usize = 1 << 20;
    const NEW: u8 = 1;
    const GOING: u8 = 2;
    const CONTESTED: u8 = 4;
    let comes_or_goes = |ranged: &&Ranged| matches!(ranged.role, Role::New | Role::Going);
    let mut cursors: Vec<(u8, Cursor<'_>)> = Vec::new();
    for ranged in indexes.iter().filter(comes_or_goes) {
        let flag = if ranged.role == Role::New { NEW } else { GOING };
        cursors.push((flag, ranged.index.cursor(ranged.range)?));
    }
    // The next key of each cursor.
    let mut next: BinaryHeap<Reverse<(u64, usize)>> = (cursors.iter().enumerate())
        .filter_map(|(place, (_, cursor))| Some(Reverse((cursor.entry()?.key, place))))
        .collect();
    let mut rows = vec![RowSet::default(); files];
    let (mut keys, mut flags) = (Vec::new(), Vec::new());
    loop {
        keys.clear();
        flags.clear();
        while let Some(mut head) = next.peek_mut() {
            let Reverse((key, place)) = *head;
            let (flag, cursor) = &mut cursors[place];
            match (keys.last(), flags.last_mut()) {
                (Some(last), Some(flags)) if *last == key => {
                    let twice = *flags & *flag & NEW == NEW;
                    *flags |= *flag | if twice { CONTESTED } else { 0 };
                }
                _ if keys.len() == SLICE => break,
                _ => {
                    keys.push(key);
                    flags.push(*flag);
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
        if keys.is_empty() {
            return Ok(rows);
        }
        for ranged in indexes.iter().filter(|ranged| !comes_or_goes(ranged)) {
            let lost = ranged.role == Role::Lost;
            ranged.join(&keys, |place, row| {
                if !lost || flags[place] & GOING == GOING {
                    flags[place] |= CONTESTED;
                    rows[ranged.place].insert(row);
                }
            })?;
        }
        for ranged in indexes.iter().filter(|ranged| ranged.role == Role::New) {
            ranged.join(&keys, |place, row| {
                if flags[place] & CONTESTED == CONTESTED {
                    rows[ranged.place].insert(row);
                }
            })?;
        }
    }
}

impl Ranged {
    fn join(&self, keys: &[u64], mut visit: impl FnMut(usize, u32)) -> Result<(), StoreError> {
        let first = keys.partition_point(|key| *key < self.range.0);
        let behind = keys.partition_point(|key| *key <= self.range.1);
        if first >= behind {
            return Ok(());
        }
        self.index
            .join(&keys[first..behind], |place, row| visit(first + place, row))
    }
}

/// The files whose rows are compared.
struct Judged<'a> {
    parts: &'a [Part],
    indexes: &'a [Ranged],
    /// See [`order`].
    order: Vec<u32>,
}

impl Judged<'_> {
    /// Reads some rows of each file, each row group once, and sorts what is made of them.
    fn sort<T: Record + Send>(
        &self,
        rows: &[RowSet],
        temporary: PathBuf,
        make: &(dyn Fn(&TripBatch, usize, Rank) -> T + Sync),
    ) -> Result<impl Iterator<Item = Result<T, StoreError>> + use<T>, StoreError> {
        let read: Vec<&Ranged> = (self.indexes.iter())
            .filter(|ranged| !rows[ranged.place].is_empty())
            .collect();
        let paths: Vec<PathBuf> = (read.iter())
            .map(|ranged| self.parts[ranged.place].path.clone())
            .collect();
        let sorted = Mutex::new(Runs::new(temporary, SORTED_AT_A_TIME));
        each_group(
            &paths,
            THREADS,
            &|of| (rows[read[of.file].place].within(of.rows.clone()).next()).is_some(),
            &|of| {
                let Ranged { place, index, .. } = read[of.file];
                let batch = of.trips.read(of.group)?;
                let lines = index.lines(of.rows.clone())?;
                let made: Vec<T> = rows[*place]
                    .within(of.rows.clone())
                    .map(|row| {
                        let within = (row - of.rows.start) as usize;
                        let rank = Rank {
                            order: self.order[*place],
                            line: u32::try_from(lines[within]).unwrap_or(u32::MAX),
                            row,
                            place: *place as u32,
                        };
                        make(&batch, within, rank)
                    })
                    .collect();
                drop(batch);
                let mut sorted = sorted.lock().expect("no holder of this lock panics");
                for record in made {
                    sorted.push(record)?;
                }
                Ok(true)
            },
        )?;
        let sorted = sorted.into_inner().expect("no holder of this lock panics");
        sorted.sorted()
    }
}

/// Where a row stands: equal copies stay with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Of the archive and member, see [`order`].
    order: u32,
    /// The line of the published file; 0 where it is not known.
    line: u32,
    row: u32,
    place: u32,
}

impl Rank {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = [0; 16];
        let numbers = [self.order, self.line, self.row, self.place];
        for (bytes, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        out.write_all(&bytes)
    }

    fn read(from: &mut dyn Read) -> io::Result<Self> {
        let mut number = || read_number(from);
        Ok(Self {
            order: number()?,
            line: number()?,
            row: number()?,
            place: number()?,
        })
    }
}

fn read_number(from: &mut dyn Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// One row, identified by a hash of all that is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hashed {
    key: u64,
    /// The two halves of an XXH3-128: rows of which it is equal are equal.
    content: (u64, u64),
    rank: Rank,
}

impl Record for Hashed {
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

/// Hashes all of a row that [`Trip::cmp_copies`] looks at.
fn content(batch: &TripBatch, row: usize) -> (u64, u64) {
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

/// Decides about copies that are equal, which most are. Returns the rows of the others, one for
/// each content.
fn equal_copies(
    judged: &Judged<'_>,
    contested: &[RowSet],
    staging: &Path,
    belongs: &mut dyn FnMut(u32, u32, Kind),
) -> Result<Vec<RowSet>, StoreError> {
    let mut differing = vec![RowSet::default(); contested.len()];
    let make = |batch: &TripBatch, row: usize, rank: Rank| Hashed {
        key: key_of(batch.id_raw(row)),
        content: content(batch, row),
        rank,
    };
    let sorted = judged.sort(contested, staging.join("equal.runs"), &make)?;
    // The first copy of a content, and whether its key has had another content before.
    let mut first: Option<(Hashed, bool)> = None;
    let mut settle = |first: Option<(Hashed, bool)>, differs: bool| match first {
        Some((Hashed { rank, .. }, differed)) if differs || differed => {
            differing[rank.place as usize].insert(rank.row);
            None
        }
        first => first.map(|(winner, _)| winner.rank),
    };
    for copy in sorted {
        let copy = copy?;
        let same_key = first.is_some_and(|(before, _)| before.key == copy.key);
        if same_key && first.is_some_and(|(before, _)| before.content == copy.content) {
            belongs(copy.rank.place, copy.rank.row, Kind::Duplicates);
            continue;
        }
        if let Some(winner) = settle(first.replace((copy, same_key)), same_key) {
            belongs(winner.place, winner.row, Kind::Trips);
        }
    }
    if let Some(winner) = settle(first, false) {
        belongs(winner.place, winner.row, Kind::Trips);
    }
    Ok(differing)
}

/// One row with all that decides between it and other copies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Whole {
    id: Box<str>,
    // From here on the order of [`Trip::cmp_copies`].
    ends_before_start: bool,
    precision_ms: i32,
    text: Box<str>,
    has_other_words: bool,
    rank: Rank,
}

impl Whole {
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

impl Record for Whole {
    fn size(&self) -> usize {
        // What the allocator adds to each text is about as much.
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

/// Decides about copies that differ, and about ids that only have their key in common.
fn differing_copies(
    judged: &Judged<'_>,
    differing: &[RowSet],
    staging: &Path,
    belongs: &mut dyn FnMut(u32, u32, Kind),
) -> Result<(), StoreError> {
    let make = |batch: &TripBatch, row: usize, rank: Rank| Whole::of(&batch.trip(row), rank);
    let mut winner: Option<Box<str>> = None;
    for copy in judged.sort(differing, staging.join("differing.runs"), &make)? {
        let Whole { id, rank, .. } = copy?;
        let kind = if winner.as_ref() == Some(&id) {
            Kind::Duplicates
        } else {
            Kind::Trips
        };
        belongs(rank.place, rank.row, kind);
        winner = Some(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use futures_executor::block_on;
    use jiff::Timestamp;

    use super::super::trips_file::tests::trip;
    use super::*;
    use crate::issue::Reason;
    use crate::model::{StationId, System};
    use crate::store::embedded::EmbeddedStore;
    use crate::store::{ArchiveId, ArchiveRead, ContentHash, LedgerEntry, Trips};
    use crate::tally::{Tally, Totals};

    fn divvy() -> System {
        System::named("divvy").unwrap()
    }

    /// Loads an archive of one member, in batches of some rows.
    fn load(store: &EmbeddedStore, name: &str, trips: &[Trip], replace: bool) -> LedgerEntry {
        let mut bytes = name.as_bytes().to_vec();
        bytes.extend(trips.iter().flat_map(|trip| trip.row_text().into_bytes()));
        let id = ArchiveId {
            system: divvy(),
            name: name.into(),
            content: ContentHash(xxh3_128(&bytes)),
        };
        let incoming = block_on(store.begin(&id)).unwrap();
        let mut totals = Totals::default();
        let mut line = 2;
        for trips in trips.chunks(7) {
            let mut batch: TripBatch = trips.iter().cloned().collect();
            batch.line = (line..).take(trips.len()).collect();
            line += trips.len() as u64;
            totals.count(&batch, 1);
            incoming.write(0, batch).unwrap();
        }
        incoming.end_member(0).unwrap();
        let read = ArchiveRead {
            id,
            members: vec!["trips.csv".into()],
            rows_read: trips.len() as u64,
            rejected: Default::default(),
            totals,
            loaded_at: Timestamp::UNIX_EPOCH,
            replace,
        };
        block_on(incoming.commit(read, &())).unwrap()
    }

    fn stored(store: &EmbeddedStore) -> Vec<Trip> {
        let all = Mutex::new(Vec::new());
        let visit = |batch: TripBatch| {
            all.lock().unwrap().extend(batch.trips());
            true
        };
        block_on(store.scan(&divvy().id, &visit)).unwrap();
        let mut all = all.into_inner().unwrap();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    #[test]
    fn each_publication_again_stores_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let trips: Vec<Trip> = (0..60)
            .map(|n| trip(&format!("R{n}"), n * 60_000))
            .collect();
        for n in 1..=6 {
            let entry = load(&store, &format!("{n}.zip"), &trips[..n * 10], false);
            assert_eq!(entry.stored, 10);
            let again = entry.rejected.get(&Reason::Duplicate).copied();
            assert_eq!(again.unwrap_or(0), (n as u64 - 1) * 10);
        }
        let mut expected = trips.clone();
        expected.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(stored(&store), expected);
        // The first one goes: the second stores what only it had stored.
        load(&store, "1.zip", &trips[..3], true);
        assert_eq!(stored(&store), expected);
        let checked = store.check(&|_, _| ()).unwrap();
        assert_eq!(checked.faults, Vec::<String>::new());
    }

    #[test]
    fn ids_that_share_a_key_are_not_copies_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        assert_eq!(key_of(b"7"), key_of(b"007"));
        let seven = trip("7", 5_000);
        let mut better = trip("7", 5_000);
        better.precision_ms = 1;
        load(&store, "a.zip", &[trip("007", 1), seven.clone()], false);
        let entry = load(&store, "b.zip", &[trip("07", 2), better.clone()], false);
        assert_eq!(entry.stored, 2);
        let expected = [trip("007", 1), trip("07", 2), better];
        assert_eq!(stored(&store), expected);
        load(&store, "b.zip", &[trip("07", 3)], true);
        assert_eq!(stored(&store), [trip("007", 1), trip("07", 3), seven]);
        assert_eq!(
            store.check(&|_, _| ()).unwrap().faults,
            Vec::<String>::new()
        );
    }

    #[test]
    fn of_equal_rows_the_first_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let mut better = trip("A", 1);
        better.precision_ms = 1;
        let worse = trip("A", 1);
        // In several row groups.
        let mut rows = vec![worse.clone(); 20];
        rows.push(better.clone());
        rows.extend(vec![worse; 10]);
        rows.extend(vec![better.clone(); 3]);
        let entry = load(&store, "a.zip", &rows, false);
        assert_eq!((entry.stored, entry.rejected[&Reason::Duplicate]), (1, 33));
        assert_eq!(stored(&store), [better]);
    }

    #[test]
    fn an_index_that_is_damaged_stores_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let trips: Vec<Trip> = (0..50).map(|n| trip(&format!("R{n}"), n)).collect();
        load(&store, "a.zip", &trips, false);
        let index = super::super::index_path(
            folder.path(),
            &super::super::catalog::files(&store.shared.catalog().unwrap(), None).unwrap()[0].path,
        );
        let sound = std::fs::read(&index).unwrap();
        for place in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&index, bytes).unwrap();
            let opened = Index::open(&index).and_then(|index| {
                let keys: BTreeSet<u64> = trips
                    .iter()
                    .map(|t| key_of(t.id.as_str().as_bytes()))
                    .collect();
                let mut found = 0;
                index.join(&keys.into_iter().collect::<Vec<_>>(), |_, _| found += 1)?;
                Ok(found)
            });
            // The lines are in a block of their own, which nothing is read from here.
            if let Ok(found) = opened {
                assert_eq!(found, 50, "byte {place}");
            }
        }
    }

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
                origin: origin.as_deref().map(StationId::from),
                ..trip(&id, start)
            })
    }

    proptest::proptest! {
        /// What is sorted is sorted as trips are compared, on disk or in memory.
        #[test]
        fn records_are_ordered_as_copies(trips in proptest::collection::vec(a_trip(), 1..12)) {
            let folder = tempfile::tempdir().unwrap();
            let mut whole = Runs::new(folder.path().join("whole"), 1);
            let mut hashed = Runs::new(folder.path().join("hashed"), 1);
            let batch: TripBatch = trips.iter().cloned().collect();
            for (row, trip) in trips.iter().enumerate() {
                let rank = Rank { order: 9 - row as u32 % 3, line: 7, row: row as u32, place: 1 };
                whole.push(Whole::of(trip, rank)).unwrap();
                let key = key_of(batch.id_raw(row));
                hashed.push(Hashed { key, content: content(&batch, row), rank }).unwrap();
            }
            let whole: Vec<Whole> = whole.sorted().unwrap().collect::<Result<_, _>>().unwrap();
            for pair in whole.windows(2) {
                let [a, b] = pair else { unreachable!() };
                let of = |whole: &Whole| &trips[whole.rank.row as usize];
                let order = (of(a).id.cmp(&of(b).id))
                    .then_with(|| of(a).cmp_copies(of(b)))
                    .then_with(|| a.rank.cmp(&b.rank));
                proptest::prop_assert_eq!(order, Ordering::Less);
            }
            let hashed: Vec<Hashed> = hashed.sorted().unwrap().collect::<Result<_, _>>().unwrap();
            proptest::prop_assert_eq!(hashed.len(), trips.len());
            for pair in hashed.windows(2) {
                let [a, b] = pair else { unreachable!() };
                proptest::prop_assert!(a < b);
                let of = |hashed: &Hashed| &trips[hashed.rank.row as usize];
                proptest::prop_assert_eq!(a.content == b.content, of(a) == of(b));
            }
        }
    }
}
