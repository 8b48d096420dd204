//! Which copy of each trip is stored after a load.
//!
//! Only ids with several copies are resolved one by one: ids that the incoming archive has twice,
//! that another archive has too, or that a superseded archive leaves behind. All other rows are
//! stored.
//!
//! ```text
//!  rows of the archive with such ids ─┐
//!  their stored copies ───────────────┤                             ┌─► puts, demoted, promoted,
//!  duplicates of other archives ──────┼─► partitions, by the hash ──┤   duplicates, deletes: lists
//!  ids of superseded archives ────────┘   of the id: a file         └─► origins
//! ```
//!
//! An archive may share millions of ids with another. In memory are a bit for each row, and one
//! partition.

mod candidates;
mod changes;
mod partitions;
mod section;

use std::collections::{BTreeMap, BTreeSet};

use divvy::issue::{Reason, Rejected};
use divvy::model::{StationAlias, StationId, TripId};
use divvy::store::StoreError;

use self::candidates::{
    add_duplicates, add_incoming, add_set_aside, add_superseded, archives_with_duplicates,
    expected_copies, find_shared_ids, rows_to_resolve, unstored, unstored_id,
};
use self::changes::Changes;
use self::partitions::{Partition, Partitions, SourceKind};
pub(super) use self::section::{
    IdSum, count_duplicates, put_duplicates, stored_ids, visit_duplicates, visit_ids,
    visit_set_aside,
};
use super::copies::Copies;
use super::spool::{Bits, SharedIds, SpooledRows};
use super::temp_file::{Chunk, Scratch};
use super::{Shared, layout};
use crate::ledger::{Archive, LoadRecord, decode_ids, encode_ids};
use crate::tables::Layout;

/// The archives in the ledger when another is loaded.
#[derive(Clone, Copy)]
pub(super) struct Existing<'a> {
    /// The archives that stay.
    pub kept: &'a [Archive],
    /// Those that the incoming one supersedes.
    pub superseded: &'a [Archive],
    /// The record of the load. An unfinished load of the same archive may have overwritten stored
    /// copies of `kept`, and has set them aside before.
    pub load: &'a LoadRecord,
}

/// The copies that are stored after a load, and the changes to be made. Archives are named by their
/// index in [`Existing::kept`], the incoming one by the length of it. The lists of copies are in a
/// temporary file.
#[derive(Debug)]
pub(super) struct DuplicateResolution {
    /// The rows of the incoming archive that were resolved one by one, by their indexes in the
    /// order of arrival.
    pub resolved: Bits,
    /// Of these, the copies to be written.
    pub puts: Copies,
    /// Copies of other archives that are no longer stored, by archive.
    pub demoted: BTreeMap<usize, Copies>,
    /// Copies of other archives that become stored, by archive.
    pub promoted: BTreeMap<usize, Copies>,
    /// The duplicates of each archive where these change, and of the incoming one.
    pub duplicates: BTreeMap<usize, Copies>,
    /// Ids of superseded archives without any remaining copy.
    pub deletes: Ids,
    /// The origins of copies that become stored or are no longer stored, without those that are
    /// stored from the incoming archive without being resolved.
    pub origins: BTreeSet<StationId>,
    scratch: Scratch,
}

/// A list of ids in a temporary file.
#[derive(Debug, Default)]
pub(super) struct Ids {
    chunks: Vec<Chunk>,
    n: u64,
}

impl Ids {
    /// Returns the number of ids.
    pub(super) fn len(&self) -> u64 {
        self.n
    }
}

impl DuplicateResolution {
    /// Resolves the duplicates of an incoming archive `name`. The listener is shown how many of the
    /// stored copies have been read.
    ///
    /// # Errors
    ///
    /// Those of the service; a copy is stored under no archive of the ledger.
    pub(super) async fn make(
        shared: &Shared,
        rows: &mut SpooledRows,
        name: &str,
        existing: Existing<'_>,
    ) -> Result<Self, StoreError> {
        let Existing { kept, .. } = existing;
        let (ranks, archives) = find_shared_ids(shared, rows, kept).await?;
        let resolved = rows_to_resolve(rows, &ranks);
        let mut resolution = Self::new(resolved)?;

        let duplicates_of = archives_with_duplicates(existing, &archives);
        let expected = expected_copies(existing, &resolution.resolved, &ranks, &duplicates_of);
        let mut partitions = Partitions::new(&resolution.scratch, expected);
        add_incoming(rows, &resolution.resolved, kept.len(), &mut partitions)?;
        for archive in duplicates_of {
            add_duplicates(shared, &kept[archive], archive, &mut partitions).await?;
        }
        for (index, archive) in existing.superseded.iter().enumerate() {
            add_superseded(shared, archive, index, rows, &mut partitions).await?;
        }
        if shared.tables.trip_data.layout == Layout::Rows {
            add_set_aside(shared, existing, rows, &mut partitions).await?;
        }
        let ids = SharedIds {
            rows,
            ranks: &ranks,
            archives: &archives,
        };
        layout::visit_stored(shared, name, kept, &ids, &mut |copies| {
            copies
                .into_iter()
                .try_for_each(|copy| partitions.push(SourceKind::Stored(copy.archive), copy))
        })
        .await?;
        partitions.assign()?;

        for n in 0..partitions.len() {
            let partition = partitions.read(n)?;
            if let Some(id) = unstored_id(&partition, &ids) {
                return Err(unstored(shared, kept, &ids, id).await?);
            }
            resolution.resolve(partition, kept.len())?;
            tokio::task::yield_now().await; // so that the lease is renewed
        }
        resolution.retain_changed_duplicates(kept.len());
        Ok(resolution)
    }

    fn new(resolved: Bits) -> Result<Self, StoreError> {
        let scratch = Scratch::new()?;
        Ok(Self {
            resolved,
            puts: Copies::new(&scratch),
            demoted: BTreeMap::new(),
            promoted: BTreeMap::new(),
            duplicates: BTreeMap::new(),
            deletes: Ids::default(),
            origins: BTreeSet::new(),
            scratch,
        })
    }

    /// Resolves the trips of a partition.
    fn resolve(&mut self, partition: Partition, incoming: usize) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        let mut duplicates = partition.duplicates;
        for (id, mut copies) in partition.incoming {
            copies.iter_mut().for_each(|copy| copy.archive = incoming);
            let duplicates = duplicates.remove(&id).unwrap_or_default();
            changes.resolve(copies, partition.stored.get(&id), duplicates);
        }
        let mut deletes: BTreeSet<Box<[u8]>> = BTreeSet::new();
        for ((id, _), stored) in partition.superseded {
            if stored == 0 {
                continue; // the copy of another archive is stored
            }
            let text = TripId::from(&*String::from_utf8_lossy(&id));
            match duplicates.remove(&text) {
                Some(duplicates) => changes.resolve(Vec::new(), None, duplicates),
                None => {
                    deletes.insert(id);
                }
            }
        }
        changes.keep_duplicates(duplicates.into_values().flatten());
        self.add(changes, deletes)
    }

    /// Appends the changes of a partition to the lists.
    fn add(&mut self, changes: Changes, deletes: BTreeSet<Box<[u8]>>) -> Result<(), StoreError> {
        let copies = changes.demoted.values().chain(changes.promoted.values());
        for copy in copies.flatten().chain(&changes.puts) {
            self.origins
                .extend(copy.trip.origin.as_ref().map(StationAlias::id));
        }
        self.puts.push(&changes.puts)?;
        for (lists, copies) in [
            (&mut self.demoted, changes.demoted),
            (&mut self.promoted, changes.promoted),
            (&mut self.duplicates, changes.duplicates),
        ] {
            for (archive, copies) in copies {
                let list = lists.entry(archive);
                list.or_insert_with(|| Copies::new(&self.scratch))
                    .push(&copies)?;
            }
        }
        if !deletes.is_empty() {
            let ids = encode_ids(deletes.iter().map(AsRef::as_ref));
            self.deletes.chunks.push(self.scratch.push(&ids)?);
            self.deletes.n += deletes.len() as u64;
        }
        Ok(())
    }

    /// Drops the lists of duplicates that do not change. The list of an archive whose duplicates
    /// were all promoted is empty.
    fn retain_changed_duplicates(&mut self, incoming: usize) {
        let mut changed: BTreeSet<usize> = self.demoted.keys().copied().collect();
        changed.extend(self.promoted.keys());
        changed.insert(incoming);
        self.duplicates
            .retain(|archive, _| changed.contains(archive));
        for archive in changed {
            let none = || Copies::new(&self.scratch);
            self.duplicates.entry(archive).or_insert_with(none);
        }
    }

    /// Iterates over the ids to be deleted, some thousands at a time.
    pub(super) fn deleted(&self) -> impl Iterator<Item = Result<Vec<String>, StoreError>> {
        self.deletes.chunks.iter().map(|chunk| {
            let mut ids = Vec::new();
            decode_ids(&self.scratch.bytes(*chunk)?, |id| {
                ids.push(String::from_utf8_lossy(id).into_owned());
            })?;
            Ok(ids)
        })
    }

    /// Passes a rejected row to `each` for every copy that was stored or incoming and is not
    /// stored. `members` are those of the incoming archive.
    pub(super) fn visit_rejected(
        &self,
        members: &[String],
        kept: &[Archive],
        each: &mut dyn FnMut(Rejected),
    ) -> Result<(), StoreError> {
        let demoted = self.demoted.iter();
        let demoted = demoted.map(|(archive, copies)| (&kept[*archive].members[..], copies));
        let incoming = self.duplicates.get(&kept.len());
        let incoming = incoming.map(|copies| (members, copies));
        for (members, copies) in demoted.chain(incoming) {
            for rows in copies.chunks() {
                let rows = rows?;
                for row in 0..rows.len() {
                    let member = members.get(rows.member[row] as usize);
                    each(Rejected {
                        file: member.cloned().unwrap_or_default(),
                        line: rows.batch.line[row],
                        column: String::new(),
                        reason: Reason::Duplicate,
                        expected: "one copy of each trip".into(),
                        found: rows.batch.id(row).to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Returns whether the stored copies of an archive in `kept` change.
    pub(super) fn changes(&self, archive: usize) -> bool {
        self.demoted.contains_key(&archive) || self.promoted.contains_key(&archive)
    }
}
