//! Adds archives to the store, and removes them: duplicates are resolved, files are moved into
//! place, and one transaction names them.
//!
//! ```text
//!  writer lock ─► sweep ─► plan: duplicates resolved ─► write: files split, tallies changed
//!  ─► publish: leftovers noted ─► files renamed, synced ─► transaction: names ─► old files removed
//! ```
//!
//! Files are added to the leftovers before they are moved into place, and the transaction that
//! names them removes them from there. A process killed before it leaves the store as it was, and
//! leftovers that the next writer removes; killed after it, the archive is stored, and the files
//! that it superseded are leftovers.

mod naming;
mod split;
mod tally_changes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rusqlite::Connection;

use self::naming::NamedFiles;
pub(super) use self::naming::{free_path, move_into_place};
use self::split::{StagedFile, file_row, split};
use self::tally_changes::TallyChanges;
use super::catalog::{self, ArchiveFilter, ArchiveRow, FileKind, FileRow};
use super::duplicates::{CommitFile, Resolution, resolve_duplicates};
use super::folder::index_path;
use super::row_set::RowSet;
use super::shared::Shared;
use super::staging::Staging;
use super::sweep::sweep;
use super::trips_file::Finished;
use super::verify;
use crate::issue::RejectSink;
use crate::model::System;
use crate::store::{ArchiveRead, ContentHash, LedgerEntry, StoreError, StoreErrorKind, Unloaded};
use crate::tally::{Tally, Totals};

/// A member's trips file and its id index in staging.
pub(super) struct StagedMember {
    /// The index of the member in the archive.
    pub(super) member: usize,
    pub(super) path: PathBuf,
    pub(super) index_path: PathBuf,
    pub(super) finished: Finished,
}

/// Stores an archive whose files are in `staging`.
pub(super) fn commit(
    store: &Shared,
    staging: &Staging,
    archive: ArchiveRead,
    members: Vec<StagedMember>,
    rejects: &dyn RejectSink,
) -> Result<LedgerEntry, StoreError> {
    store.create()?;
    let _lock = store.writer_lock()?;
    let mut connection = store.catalog()?;
    sweep(&store.root, &mut connection)?;
    let system = archive.id.system.clone();
    let content = archive.id.content;
    let stored = ArchiveFilter::Content(content);
    let stored = catalog::archives(&connection, &system.id, stored)?.pop();
    if let Some(stored) = stored
        && (!archive.replace || is_intact(store, &connection, stored.entry.sequence)?)
    {
        return Ok(stored.entry);
    }
    let removed = catalog::archive_keys(&connection, &system.id)?
        .into_iter()
        .filter(|key| archive.replace && (key.name == archive.id.name || key.content == content))
        .map(|key| key.sequence)
        .collect();
    let commit = Commit {
        store,
        staging,
        system,
        removed,
        added: Some(catalog::next_sequence(&connection)?),
    };
    let resolution = commit.plan(&connection, members)?;
    let changes = commit.write(&connection, &resolution, Some(archive), rejects)?;
    let entry = commit.publish(&mut connection, &resolution, changes)?;
    Ok(entry.expect("an archive was added, so it has an entry"))
}

/// Removes archives, as if each were superseded by an empty one. With `dry_run` nothing is changed.
pub(super) fn unload(
    store: &Shared,
    system: &System,
    contents: &[ContentHash],
    dry_run: bool,
) -> Result<Unloaded, StoreError> {
    let _lock = store.writer_lock()?;
    let mut connection = store.catalog()?;
    if !dry_run {
        sweep(&store.root, &mut connection)?;
    }
    let mut unloaded = Unloaded {
        entries: Vec::new(),
        promoted: Some(0),
    };
    for content in contents {
        let stored = ArchiveFilter::Content(*content);
        let stored = catalog::archives(&connection, &system.id, stored)?.into_iter();
        unloaded.entries.extend(stored.map(|archive| archive.entry));
    }
    if unloaded.entries.is_empty() {
        return Ok(unloaded);
    }
    let staging = Staging::create(&store.root)?;
    let commit = Commit {
        store,
        staging: &staging,
        system: system.clone(),
        removed: (unloaded.entries.iter())
            .map(|entry| entry.sequence)
            .collect(),
        added: None,
    };
    let resolution = commit.plan(&connection, Vec::new())?;
    unloaded.promoted = Some(resolution.promoted());
    if !dry_run {
        let changes = commit.write(&connection, &resolution, None, &())?;
        commit.publish(&mut connection, &resolution, changes)?;
    }
    Ok(unloaded)
}

/// Returns whether every file of an archive exists and is what was written.
pub(super) fn is_intact(
    store: &Shared,
    catalog: &Connection,
    archive: u64,
) -> Result<bool, StoreError> {
    for system in catalog::systems(catalog)? {
        let mut incomplete = catalog::archives_without_all_files(catalog, &system.id)?.into_iter();
        if incomplete.any(|incomplete| incomplete.sequence == archive) {
            return Ok(false);
        }
    }
    let files = catalog::files(catalog, None)?;
    let mut files = files.iter().filter(|file| file.archive == archive);
    Ok(files.all(|file| verify::faults(&store.root, file).is_empty()))
}

/// Copies of trips of a system of which not exactly one is stored, and which one is to be.
pub(super) struct Deduplication<'a> {
    commit: Commit<'a>,
    resolution: DuplicateResolution,
}

/// What [`Deduplication::plan`] does not take from the catalog.
#[derive(Default)]
pub(super) struct DeduplicationInput {
    /// The sequences of archives to leave out.
    pub(super) unreadable: BTreeSet<u64>,
    /// Id indexes to use in place of the file's own, by the file's id in the catalog.
    pub(super) indexes: BTreeMap<i64, PathBuf>,
}

impl<'a> Deduplication<'a> {
    /// Resolves the copies of all trips as if all archives were loaded now, in the order of loading.
    /// The caller holds the writer lock.
    pub(super) fn plan(
        store: &'a Shared,
        catalog: &Connection,
        staging: &'a Staging,
        system: &System,
        input: &DeduplicationInput,
    ) -> Result<Self, StoreError> {
        let commit = Commit {
            store,
            staging,
            system: system.clone(),
            removed: BTreeSet::new(),
            added: None,
        };
        let mut files = commit.stored_files(catalog)?;
        // With a file that cannot be read, the only other copy of a duplicate may be in it.
        let all_are_readable = input.unreadable.is_empty();
        files.retain(|CommitFile { row, .. }| {
            let is_wanted = row.kind == FileKind::Trips || all_are_readable;
            is_wanted && !input.unreadable.contains(&row.archive)
        });
        for file in &mut files {
            file.resolution = Resolution::Unresolved {
                has_repeated_keys: true,
            };
            if let Some(index) = input.indexes.get(&file.row.id) {
                file.index_path = index.clone();
            }
        }
        let resolution = commit.resolve(files)?;
        Ok(Self { commit, resolution })
    }

    /// Counts the copies of a kind that become ones of the other kind, by the sequence of their
    /// archive.
    pub(super) fn moving(&self, kind: FileKind) -> BTreeMap<u64, u64> {
        let mut moving = BTreeMap::new();
        for file in self
            .resolution
            .split_files()
            .filter(|file| file.row.kind == kind)
        {
            *moving.entry(file.row.archive).or_default() += file.moving.len();
        }
        moving
    }

    /// Moves these copies, and changes tallies and counts accordingly. The tallies must be those of
    /// the files.
    pub(super) fn publish(self, connection: &mut Connection) -> Result<(), StoreError> {
        let Self { commit, resolution } = self;
        let changes = commit.write(connection, &resolution, None, &())?;
        commit.publish(connection, &resolution, changes)?;
        Ok(())
    }
}

/// A change of the set of stored archives.
struct Commit<'a> {
    store: &'a Shared,
    /// The folder of files that are not in place yet.
    staging: &'a Staging,
    system: System,
    /// The sequences of the archives that are removed.
    removed: BTreeSet<u64>,
    /// The sequence of the archive that is added. `None` if none is.
    added: Option<u64>,
}

/// Which copies of trips are stored: what [`Commit::plan`] decides.
struct DuplicateResolution {
    /// All files concerned, each with the rows that move between trips and duplicates.
    files: Vec<CommitFile>,
}

impl DuplicateResolution {
    /// Returns the files of which rows move.
    fn split_files(&self) -> impl Iterator<Item = &CommitFile> {
        self.files.iter().filter(|file| !file.moving.is_empty())
    }

    /// Counts the duplicates that become stored trips.
    fn promoted(&self) -> u64 {
        self.split_files()
            .filter(|file| file.row.kind == FileKind::Duplicates)
            .map(|file| file.moving.len())
            .sum()
    }
}

/// What [`Commit::write`] has written to staging, and what it changes in the catalog.
struct StagedChanges {
    files: Vec<StagedFile>,
    tallies: TallyChanges,
}

impl Commit<'_> {
    /// Lists the files concerned, and decides which of their rows move.
    fn plan(
        &self,
        catalog: &Connection,
        members: Vec<StagedMember>,
    ) -> Result<DuplicateResolution, StoreError> {
        let mut files = self.stored_files(catalog)?;
        // The duplicates of a removed archive are removed with it.
        files.retain(|CommitFile { row, .. }| {
            !(self.removed.contains(&row.archive) && row.kind == FileKind::Duplicates)
        });
        let archive = self.added.unwrap_or_default();
        files.extend(members.into_iter().map(|member| {
            let finished = &member.finished;
            CommitFile {
                row: file_row(finished, archive, member.member, FileKind::Trips),
                is_staged: true,
                resolution: Resolution::Unresolved {
                    has_repeated_keys: finished.keys.has_repeated,
                },
                path: member.path,
                index_path: member.index_path,
                moving: RowSet::default(),
            }
        }));
        self.resolve(files)
    }

    fn stored_files(&self, catalog: &Connection) -> Result<Vec<CommitFile>, StoreError> {
        let root = &self.store.root;
        catalog::expect_all_files(catalog, &self.system.id, &self.removed)?;
        let files = catalog::files(catalog, Some(&self.system.id))?.into_iter();
        Ok(files
            .map(|row| CommitFile {
                is_staged: false,
                path: root.join(&row.path),
                index_path: index_path(root, &row.path),
                resolution: Resolution::Resolved,
                moving: RowSet::default(),
                row,
            })
            .collect())
    }

    fn resolve(&self, mut files: Vec<CommitFile>) -> Result<DuplicateResolution, StoreError> {
        resolve_duplicates(&mut files, &self.removed, &self.staging.path)?;
        Ok(DuplicateResolution { files })
    }

    /// Splits the files of which rows move, and changes the tallies. Writes to staging only.
    fn write(
        &self,
        catalog: &Connection,
        resolution: &DuplicateResolution,
        archive: Option<ArchiveRead>,
        rejects: &dyn RejectSink,
    ) -> Result<StagedChanges, StoreError> {
        let mut tallies = self.tallies_before(catalog, resolution)?;
        if let Some((sequence, archive)) = self.added.zip(archive) {
            tallies.add_archive(sequence, archive);
        }
        let mut files = Vec::new();
        for (n, file) in resolution.files.iter().enumerate() {
            if !file.moving.is_empty() {
                let name = self.staging.path.join(format!("split-{n}"));
                files.extend(split(file, &self.system.id, &name, &mut tallies, rejects)?);
            } else if file.is_staged && file.row.rows > 0 {
                files.push(StagedFile {
                    row: file.row.clone(),
                    path: file.path.clone(),
                    index_path: file.index_path.clone(),
                });
            }
        }
        tallies.seal();
        Ok(StagedChanges { files, tallies })
    }

    /// Reads the tallies, and takes out those of the archives that are removed.
    fn tallies_before(
        &self,
        catalog: &Connection,
        resolution: &DuplicateResolution,
    ) -> Result<TallyChanges, StoreError> {
        let before = catalog::totals_with_cube(catalog, &self.system.id)?;
        let mut tallies = TallyChanges::new(before);
        let split = resolution.split_files().map(|file| file.row.archive);
        let split: BTreeSet<u64> = split
            .filter(|archive| Some(*archive) != self.added)
            .collect();
        if self.removed.is_empty() {
            for archive in split {
                tallies.change_archive(self.archive(catalog, archive)?);
            }
            return Ok(tallies);
        }
        // Added up from the other archives: station names cannot be subtracted from a sum.
        tallies.after = Totals::default();
        for key in catalog::archive_keys(catalog, &self.system.id)? {
            let archive = self.archive(catalog, key.sequence)?;
            if self.removed.contains(&key.sequence) {
                tallies.origins.extend(archive.totals.stations.origins());
                continue;
            }
            tallies.after.merge(&archive.totals);
            if split.contains(&key.sequence) {
                tallies.change_archive(archive);
            }
        }
        Ok(tallies)
    }

    /// Reads an archive with its cube.
    fn archive(&self, catalog: &Connection, sequence: u64) -> Result<ArchiveRow, StoreError> {
        let filter = ArchiveFilter::Sequence(sequence);
        let mut found = catalog::archives_with_cubes(catalog, &self.system.id, filter)?;
        found.pop().ok_or_else(|| {
            let message = format!("the catalog is damaged: its archive {sequence} is gone");
            StoreError::new(StoreErrorKind::Damaged, message)
        })
    }

    /// Moves the files into place, and names them in one transaction. Returns the entry of the
    /// archive that was added.
    fn publish(
        &self,
        connection: &mut Connection,
        resolution: &DuplicateResolution,
        changes: StagedChanges,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        let StagedChanges { files, mut tallies } = changes;
        let named = NamedFiles::new(&self.store.root, self.system.id.as_str(), files, &tallies);
        // Compressed before the transaction begins, to keep it short.
        let parts = tallies.changed_parts();
        add_leftovers(connection, &named.rows)?;
        let published = catalog::in_transaction(connection, |catalog| {
            self.retire_files(catalog, resolution)?;
            self.write_ledger(catalog, &mut tallies, &named.rows)?;
            for (archive, parts) in &parts {
                catalog::put_parts(catalog, &self.system.id, *archive, parts)?;
            }
            self.write_counts(catalog, &mut tallies)?;
            // Last: from here to the commit, other programs see files that the catalog does not
            // name.
            move_into_place(&self.store.root, &named.moves)
        });
        if let Err(error) = published {
            // A file that cannot be removed now stays a leftover for the next writer.
            let _ = sweep(&self.store.root, connection);
            return Err(error);
        }
        sweep(&self.store.root, connection)?;
        catalog::empty_log(connection);
        Ok(self
            .added
            .and_then(|sequence| tallies.into_entry(sequence, &named.rows)))
    }

    /// Makes leftovers of the files of removed archives, and of those that were split.
    fn retire_files(
        &self,
        catalog: &Connection,
        resolution: &DuplicateResolution,
    ) -> Result<(), StoreError> {
        // A staged file has no id: 0 is none of the catalog's.
        let split = resolution.split_files().map(|file| file.row.id);
        let split: BTreeSet<i64> = split.collect();
        for file in catalog::files(catalog, Some(&self.system.id))? {
            if split.contains(&file.id) || self.removed.contains(&file.archive) {
                catalog::delete_file(catalog, file.id)?;
                catalog::put_leftover(catalog, &file.path)?;
            }
        }
        Ok(())
    }

    /// Writes the archives and their files.
    fn write_ledger(
        &self,
        catalog: &Connection,
        tallies: &mut TallyChanges,
        named: &[FileRow],
    ) -> Result<(), StoreError> {
        catalog::put_system(catalog, &self.system)?;
        for archive in &self.removed {
            catalog::delete_archive(catalog, *archive)?;
        }
        for (sequence, changed) in &mut tallies.archives {
            if Some(*sequence) == self.added {
                catalog::put_archive(catalog, &mut changed.row)?;
            } else {
                catalog::put_archive_totals(catalog, *sequence, &mut changed.row.totals)?;
            }
        }
        let mut named = named.iter();
        named.try_for_each(|file| catalog::put_file(catalog, file))
    }

    /// Writes the totals, and the stations whose trips changed.
    fn write_counts(
        &self,
        catalog: &Connection,
        tallies: &mut TallyChanges,
    ) -> Result<(), StoreError> {
        let id = &self.system.id;
        catalog::put_totals(catalog, id, &mut tallies.after, &tallies.before)?;
        let mut stations = catalog::station_data(catalog, id)?;
        let version = catalog::next_version(catalog, id, &stations)?;
        if self.added.is_none() {
            for origin in stations.forget_unused(&tallies.after, version) {
                catalog::delete_count(catalog, id, &origin, version)?;
            }
        }
        let writes = stations.trips_changed(&tallies.origins, version, &tallies.after);
        catalog::write_stations(catalog, id, &writes, None)?;
        catalog::prune_changes(catalog)?;
        catalog::delete_system_if_empty(catalog, id)
    }
}

/// Makes leftovers, durably, of files that are about to be moved into place.
fn add_leftovers(connection: &mut Connection, named: &[FileRow]) -> Result<(), StoreError> {
    if named.is_empty() {
        return Ok(());
    }
    catalog::in_transaction(connection, |catalog| {
        let mut named = named.iter();
        named.try_for_each(|file| catalog::put_leftover(catalog, &file.path))
    })
}
