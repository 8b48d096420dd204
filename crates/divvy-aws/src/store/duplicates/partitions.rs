//! Copies and ids partitioned by the hash of the id, in a temporary file.

use std::collections::{BTreeMap, HashMap};

use divvy::model::TripId;
use divvy::store::StoreError;
use xxhash_rust::xxh3::xxh3_64;

use crate::ledger::{decode_ids, encode_ids};
use crate::store::copies::{Copy, copies_of};
use crate::store::temp_file::{Chunk, Scratch};

/// The source of copies or ids, with the index of the archive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SourceKind {
    /// Copies of the incoming archive.
    Incoming,
    /// Stored copies.
    Stored(usize),
    /// Copies that were stored before an unfinished load, which has set them aside.
    SetAside(usize),
    /// Duplicates: copies that are not stored.
    Duplicates(usize),
    /// The ids of a superseded archive, repeated ones included.
    SupersededIds(usize),
    /// The ids of its duplicates.
    SupersededDuplicateIds(usize),
}

/// Copies or ids in memory before they are assigned to the partitions.
const BUFFERED: usize = 1 << 15;
/// The usual number of copies of a partition.
pub(super) const PARTITION_COPIES: u64 = 1 << 14;
/// The most partitions.
const MAX_PARTITIONS: u64 = 1 << 12;

/// Copies and ids by the hash of the id.
pub(super) struct Partitions {
    scratch: Scratch,
    partitions: Vec<Vec<(SourceKind, Chunk)>>,
    /// The source of all that is buffered.
    kind: SourceKind,
    copies: Vec<Copy>,
    ids: Vec<Box<[u8]>>,
}

impl Partitions {
    /// Makes partitions for an expected number of copies.
    pub(super) fn new(scratch: &Scratch, expected: u64) -> Self {
        let n = (expected / PARTITION_COPIES + 1).min(MAX_PARTITIONS) as usize;
        Self {
            scratch: scratch.clone(),
            partitions: vec![Vec::new(); n],
            kind: SourceKind::Incoming,
            copies: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Returns the number of partitions.
    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    fn of(&self, id: &[u8]) -> usize {
        ((u128::from(xxh3_64(id)) * self.partitions.len() as u128) >> 64) as usize
    }

    /// Adds a copy.
    pub(super) fn push(&mut self, kind: SourceKind, copy: Copy) -> Result<(), StoreError> {
        if self.kind != kind || self.copies.len() >= BUFFERED {
            self.assign()?;
            self.kind = kind;
        }
        self.copies.push(copy);
        Ok(())
    }

    /// Adds an id.
    pub(super) fn push_id(&mut self, kind: SourceKind, id: &[u8]) -> Result<(), StoreError> {
        if self.kind != kind || self.ids.len() >= BUFFERED {
            self.assign()?;
            self.kind = kind;
        }
        self.ids.push(id.into());
        Ok(())
    }

    /// Writes what is buffered to the partitions.
    pub(super) fn assign(&mut self) -> Result<(), StoreError> {
        let mut copies: BTreeMap<usize, Vec<Copy>> = BTreeMap::new();
        for copy in std::mem::take(&mut self.copies) {
            let partition = self.of(copy.trip.id.as_str().as_bytes());
            copies.entry(partition).or_default().push(copy);
        }
        for (partition, copies) in copies {
            let chunk = self.scratch.push_copies(&copies)?;
            self.partitions[partition].push((self.kind, chunk));
        }
        let mut ids: BTreeMap<usize, Vec<Box<[u8]>>> = BTreeMap::new();
        for id in std::mem::take(&mut self.ids) {
            ids.entry(self.of(&id)).or_default().push(id);
        }
        for (partition, ids) in ids {
            let ids = encode_ids(ids.iter().map(AsRef::as_ref));
            let chunk = self.scratch.push(&ids)?;
            self.partitions[partition].push((self.kind, chunk));
        }
        Ok(())
    }

    /// Reads a partition.
    pub(super) fn read(&self, partition: usize) -> Result<Partition, StoreError> {
        let mut read = Partition::default();
        let mut set_aside = Vec::new();
        for (kind, chunk) in &self.partitions[partition] {
            let copies = |archive: usize| {
                let rows = self.scratch.rows(*chunk)?;
                Ok::<_, StoreError>(copies_of(&rows, archive).collect::<Vec<_>>())
            };
            let (step, archive) = match *kind {
                SourceKind::Incoming => {
                    for copy in copies(usize::MAX)? {
                        let incoming = read.incoming.entry(copy.trip.id.clone());
                        incoming.or_default().push(copy);
                    }
                    continue;
                }
                SourceKind::Stored(archive) => {
                    let stored = copies(archive)?.into_iter();
                    read.stored
                        .extend(stored.map(|copy| (copy.trip.id.clone(), copy)));
                    continue;
                }
                SourceKind::SetAside(archive) => {
                    set_aside.extend(copies(archive)?);
                    continue;
                }
                SourceKind::Duplicates(archive) => {
                    for copy in copies(archive)? {
                        let duplicates = read.duplicates.entry(copy.trip.id.clone());
                        duplicates.or_default().push(copy);
                    }
                    continue;
                }
                SourceKind::SupersededIds(archive) => (1, archive),
                SourceKind::SupersededDuplicateIds(archive) => (-1, archive),
            };
            decode_ids(&self.scratch.bytes(*chunk)?, |id| {
                *read.superseded.entry((id.into(), archive)).or_default() += step;
            })?;
        }
        for copy in set_aside {
            read.stored.entry(copy.trip.id.clone()).or_insert(copy);
        }
        Ok(read)
    }
}

/// All copies of some ids.
#[derive(Default)]
pub(super) struct Partition {
    /// Copies of the incoming archive; their `archive` is not set.
    pub(super) incoming: BTreeMap<TripId, Vec<Copy>>,
    /// The stored copies of other archives.
    pub(super) stored: HashMap<TripId, Copy>,
    /// The duplicates of other archives.
    pub(super) duplicates: BTreeMap<TripId, Vec<Copy>>,
    /// By the ids of superseded archives and the archive: how many of its copies are stored, 1 or
    /// 0.
    pub(super) superseded: BTreeMap<(Box<[u8]>, usize), i64>,
}
