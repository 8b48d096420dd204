//! What a commit changes in the tallies.

use std::collections::{BTreeMap, BTreeSet};

use crate::issue::Reason;
use crate::model::{StationAlias, StationId, TripBatch};
use crate::store::embedded::catalog::{self, ArchiveRow, FileKind, FileRow, PackedParts};
use crate::store::embedded::duplicates::CommitFile;
use crate::store::{ArchiveRead, LedgerEntry};
use crate::tally::{Cube, Tally, Totals};

/// The changes of a system's tallies.
pub(super) struct TallyChanges {
    /// The archive that is added and those in which rows move, by sequence.
    pub(super) archives: BTreeMap<u64, ChangedArchive>,
    /// The totals over all archives before the commit, with the whole cube.
    pub(super) before: Totals,
    /// The totals over all archives after it.
    pub(super) after: Totals,
    /// The origins of trips that are added, removed or moved.
    pub(super) origins: BTreeSet<StationId>,
}

/// An archive whose totals change.
pub(super) struct ChangedArchive {
    pub(super) row: ArchiveRow,
    /// Its cube before the commit. Empty for the archive that is added.
    cube_before: Cube,
}

impl TallyChanges {
    pub(super) fn new(before: Totals) -> Self {
        Self {
            archives: BTreeMap::new(),
            after: before.clone(),
            before,
            origins: BTreeSet::new(),
        }
    }

    /// Adds a stored archive in which rows move.
    pub(super) fn change_archive(&mut self, row: ArchiveRow) {
        let cube_before = row.totals.cube.clone();
        let changed = ChangedArchive { row, cube_before };
        self.archives.insert(changed.row.entry.sequence, changed);
    }

    /// Adds a new archive.
    pub(super) fn add_archive(&mut self, sequence: u64, archive: ArchiveRead) {
        self.origins.extend(archive.totals.stations.origins());
        self.after.merge(&archive.totals);
        let row = ArchiveRow {
            entry: LedgerEntry {
                id: archive.id,
                sequence,
                loaded_at: archive.loaded_at,
                rows_read: archive.rows_read,
                stored: 0,
                rejected: archive.rejected,
                flagged: Default::default(),
                skipped: archive.skipped,
                forced_from: archive.forced_from,
            },
            members: archive.members,
            totals: archive.totals,
        };
        let cube_before = Cube::default();
        self.archives
            .insert(sequence, ChangedArchive { row, cube_before });
    }

    /// Counts rows of a file that move to a file of the other kind.
    pub(super) fn count_moved(&mut self, file: &CommitFile, batch: &TripBatch) {
        let times = match file.row.kind {
            FileKind::Trips => -1,
            FileKind::Duplicates => 1,
        };
        let changed = self
            .archives
            .get_mut(&file.row.archive)
            .expect("rows of removed archives do not move");
        changed.row.totals.count(batch, times);
        self.after.count(batch, times);
        let origins: BTreeSet<u32> = batch.origin.iter().copied().collect();
        let origins = origins.into_iter().filter_map(|n| batch.stations.get(n));
        let ids = origins.map(|alias| StationAlias::from(alias).id());
        self.origins.extend(ids);
    }

    /// Packs the cubes, once for comparing and for writing.
    pub(super) fn seal(&mut self) {
        for changed in self.archives.values_mut() {
            changed.row.totals.cube.seal();
        }
        self.after.cube.seal();
    }

    /// Compresses the parts of cubes that change, by archive; [`catalog::ALL_ARCHIVES`] among them.
    pub(super) fn changed_parts(&self) -> Vec<(u64, PackedParts)> {
        let mut parts: Vec<(u64, PackedParts)> = (self.archives.iter())
            .map(|(sequence, changed)| {
                let cube = &changed.row.totals.cube;
                (
                    *sequence,
                    catalog::changed_parts(cube, &changed.cube_before),
                )
            })
            .collect();
        let of_all = match parts.as_slice() {
            // The first archive of a system: its cube is that of all archives.
            [(sequence, own)]
                if self.before.trips == 0
                    && self.archives[sequence].row.totals.cube == self.after.cube =>
            {
                own.clone()
            }
            _ => catalog::changed_parts(&self.after.cube, &self.before.cube),
        };
        parts.push((catalog::ALL_ARCHIVES, of_all));
        parts
    }

    /// Returns the entry of the archive that was added. `None` if there is none of this sequence.
    pub(super) fn into_entry(mut self, sequence: u64, named: &[FileRow]) -> Option<LedgerEntry> {
        let ArchiveRow {
            mut entry, totals, ..
        } = self.archives.remove(&sequence)?.row;
        let duplicates: u64 = named
            .iter()
            .filter(|file| file.archive == sequence && file.kind == FileKind::Duplicates)
            .map(|file| file.rows)
            .sum();
        if duplicates > 0 {
            entry.rejected.insert(Reason::Duplicate, duplicates);
        }
        entry.stored = totals.trips.try_into().unwrap_or(0);
        entry.flagged = totals.flags;
        Some(entry)
    }
}
