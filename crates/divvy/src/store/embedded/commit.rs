//! How archives become part of the store, and how they go again: duplicates decided, files put in
//! their places, and then one transaction that names them.
//!
//! ```text
//!  writer lock ─► sweep ─► plan: contested keys, fates of rows ─► write: files split, tallies
//!  ─► publish: leftovers noted ─► files renamed, fsynced ─► transaction: names ─► superseded removed
//! ```
//!
//! Files are noted as leftovers before they are moved into their places, and the transaction that
//! names them takes the notes back. So a process killed before it leaves the store as it was, and
//! notes of what the next writer has to remove; killed after it, the archive is there, and the
//! files that it superseded are noted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::catalog::{self, ArchiveRow, Cells, FileRow, Kind, Which};
use super::duplicates::decide;
use super::index::Index;
use super::lock::Staging;
use super::row_set::RowSet;
use super::trips_file::{Finished, TripsFile, TripsWriter};
use super::{Shared, cannot, catalog_failed, folder, index_path, sweep};
use crate::issue::{Reason, RejectSink, Rejected};
use crate::model::{StationId, System, TripBatch};
use crate::store::{ArchiveRead, ContentHash, LedgerEntry, StoreError, StoreErrorKind, Unloaded};
use crate::tally::{Cube, Parts, Tally, Totals};

/// A member's trips file that nothing names yet.
pub(super) struct Staged {
    pub(super) member: usize,
    pub(super) path: PathBuf,
    pub(super) index_path: PathBuf,
    /// What was written: the number of rows, the keys, the hashes of both files.
    pub(super) finished: Finished,
}

/// The XXH3-128 of a trips file and of its index, taken while they were written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashes {
    pub(super) trips: u128,
    pub(super) index: u128,
}

impl Hashes {
    fn of(finished: &Finished) -> Self {
        Self {
            trips: finished.hash,
            index: finished.index_hash,
        }
    }
}

/// A file that takes part: stored already, or on its way in.
pub(super) struct Part {
    pub(super) archive: u64,
    pub(super) member: usize,
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    pub(super) index_path: PathBuf,
    pub(super) rows: u64,
    pub(super) keys: (u64, u64),
    /// It comes, or is decided about again: its rows are compared with those of every other such
    /// file. What is stored already was decided when it came.
    pub(super) undecided: bool,
    /// Some id may stand twice in it. Of no interest where it is decided about.
    pub(super) twice: bool,
    /// The row of the catalog. `None` for a file on its way in.
    pub(super) row: Option<FileRow>,
    /// The hashes of a file on its way in. `None` for one that is stored: the catalog has them.
    pub(super) hashes: Option<Hashes>,
    /// Rows that change sides: from trips to duplicates, or back.
    pub(super) moving: RowSet,
}

impl Part {
    /// Makes that of a file that is stored, and decided about.
    fn stored(root: &Path, row: FileRow) -> Self {
        Self {
            archive: row.archive,
            member: row.member,
            kind: row.kind,
            path: root.join(&row.path),
            index_path: index_path(root, &row.path),
            rows: row.rows,
            keys: row.keys,
            undecided: false,
            twice: false,
            row: Some(row),
            hashes: None,
            moving: RowSet::default(),
        }
    }
}

/// Stores an archive whose files are in `staging`.
pub(super) fn commit(
    store: &Shared,
    staging: &Staging,
    archive: ArchiveRead,
    staged: Vec<Staged>,
    rejects: &dyn RejectSink,
) -> Result<LedgerEntry, StoreError> {
    store.make()?;
    let _lock = store.writer_lock()?;
    let mut connection = store.catalog()?;
    sweep::sweep(&store.root, &mut connection)?;
    let system = archive.id.system.clone();
    let content = archive.id.content;
    let held = catalog::archives(&connection, &system.id, Which::Content(content))?.pop();
    if let Some(held) = held
        && (!archive.replace || is_intact(store, &connection, held.entry.sequence)?)
    {
        return Ok(held.entry);
    }
    let replaced = catalog::archive_keys(&connection, &system.id)?
        .into_iter()
        .filter(|key| archive.replace && (key.name == archive.id.name || key.content == content))
        .map(|key| key.sequence)
        .collect();
    let exchange = Exchange {
        store,
        staging,
        sequence: catalog::next_sequence(&connection)?,
        system,
        replaced,
    };
    let parts = exchange.plan(&connection, staged)?;
    let written = exchange.write(&connection, &parts, Some(archive), rejects)?;
    let entry = exchange.publish(&mut connection, &parts, written)?;
    Ok(entry.expect("an archive came, so it has an entry"))
}

/// Removes archives, as if each had been superseded by nothing. With `dry_run` nothing is changed.
pub(super) fn unload(
    store: &Shared,
    system: &System,
    contents: &[ContentHash],
    dry_run: bool,
) -> Result<Unloaded, StoreError> {
    let _lock = store.writer_lock()?;
    let mut connection = store.catalog()?;
    if !dry_run {
        sweep::sweep(&store.root, &mut connection)?;
    }
    let mut entries = Vec::new();
    for content in contents {
        let held = catalog::archives(&connection, &system.id, Which::Content(*content))?;
        entries.extend(held.into_iter().map(|archive| archive.entry));
    }
    let mut unloaded = Unloaded {
        entries,
        promoted: Some(0),
    };
    if unloaded.entries.is_empty() {
        return Ok(unloaded);
    }
    let staging = Staging::make(&store.root)?;
    let exchange = Exchange {
        store,
        staging: &staging,
        sequence: 0,
        system: system.clone(),
        replaced: (unloaded.entries.iter())
            .map(|entry| entry.sequence)
            .collect(),
    };
    let parts = exchange.plan(&connection, Vec::new())?;
    let promoted = parts.iter().filter(|part| part.kind == Kind::Duplicates);
    unloaded.promoted = Some(promoted.map(|part| part.moving.len()).sum());
    if !dry_run {
        let written = exchange.write(&connection, &parts, None, &())?;
        exchange.publish(&mut connection, &parts, written)?;
    }
    Ok(unloaded)
}

/// The trips of a system that are stored twice, and which of their copies go.
pub(super) struct Again<'a> {
    exchange: Exchange<'a>,
    parts: Vec<Part>,
}

impl<'a> Again<'a> {
    /// Decides about all stored trips as if they all came now, in the order of loading. For the
    /// holder of the writer lock. Temporary files go into `staging`.
    ///
    /// Archives of `left_out` are not looked at. `indexes` has the index to use for a file, by its
    /// row in the catalog, where that is not its own.
    pub(super) fn decide(
        store: &'a Shared,
        catalog: &Connection,
        staging: &'a Staging,
        system: &System,
        left_out: &BTreeSet<u64>,
        indexes: &BTreeMap<i64, PathBuf>,
    ) -> Result<Self, StoreError> {
        let files = catalog::files(catalog, Some(&system.id))?.into_iter();
        let trips =
            files.filter(|file| file.kind == Kind::Trips && !left_out.contains(&file.archive));
        let undecided = |row: FileRow| {
            let index = indexes.get(&row.id).cloned();
            let mut part = Part::stored(&store.root, row);
            part.index_path = index.unwrap_or(part.index_path);
            part.undecided = true;
            part.twice = true;
            part
        };
        let mut parts: Vec<Part> = trips.map(undecided).collect();
        let replaced = BTreeSet::new();
        decide(&mut parts, &replaced, &staging.path)?;
        let exchange = Exchange {
            store,
            staging,
            sequence: 0,
            system: system.clone(),
            replaced,
        };
        Ok(Self { exchange, parts })
    }

    /// Counts the copies that become duplicates, by the sequence of their archive.
    pub(super) fn going(&self) -> BTreeMap<u64, u64> {
        let mut going = BTreeMap::new();
        for part in self.parts.iter().filter(|part| !part.moving.is_empty()) {
            *going.entry(part.archive).or_default() += part.moving.len();
        }
        going
    }

    /// Moves them, and brings tallies and counts after them. The tallies have to be those of the
    /// files.
    pub(super) fn publish(self, connection: &mut Connection) -> Result<(), StoreError> {
        let Self { exchange, parts } = self;
        let written = exchange.write(connection, &parts, None, &())?;
        exchange.publish(connection, &parts, written)?;
        Ok(())
    }
}

/// Tells whether every file of an archive is there, and is what was written.
pub(super) fn is_intact(
    store: &Shared,
    catalog: &Connection,
    archive: u64,
) -> Result<bool, StoreError> {
    let files = catalog::files(catalog, None)?;
    let mut files = files.iter().filter(|file| file.archive == archive);
    Ok(files.all(|file| file.faults(&store.root).is_empty()))
}

/// Archives that go, and one that comes in their place.
struct Exchange<'a> {
    store: &'a Shared,
    /// The folder for files that are not yet in their places.
    staging: &'a Staging,
    /// The place of the archive that comes in the order of loading. 0 where none comes.
    sequence: u64,
    system: System,
    /// The sequences of the archives that go.
    replaced: BTreeSet<u64>,
}

/// What an exchange has written to staging, and what the catalog is to say of it.
struct Written {
    ready: Vec<Ready>,
    changes: Changes,
    /// The totals over all archives before the exchange, with the whole cube.
    before: Totals,
}

impl Exchange<'_> {
    /// Lists the files concerned, and decides which of their rows change sides.
    fn plan(&self, catalog: &Connection, staged: Vec<Staged>) -> Result<Vec<Part>, StoreError> {
        let root = &self.store.root;
        let files = catalog::files(catalog, Some(&self.system.id))?;
        let stored = files.into_iter().map(|row| Part::stored(root, row));
        // A replaced archive's duplicates go with it: nothing is to be decided about them.
        let stored = stored.filter(|part| {
            !(self.replaced.contains(&part.archive) && part.kind == Kind::Duplicates)
        });
        let new = staged.into_iter().map(|staged| Part {
            archive: self.sequence,
            member: staged.member,
            kind: Kind::Trips,
            path: staged.path,
            index_path: staged.index_path,
            rows: staged.finished.rows,
            keys: staged.finished.keys.bounds,
            undecided: true,
            twice: staged.finished.keys.twice,
            row: None,
            hashes: Some(Hashes::of(&staged.finished)),
            moving: RowSet::default(),
        });
        let mut parts: Vec<Part> = stored.chain(new).collect();
        decide(&mut parts, &self.replaced, &self.staging.path)?;
        Ok(parts)
    }

    /// Splits the files in which rows change sides, and counts what that changes. Writes to
    /// staging only.
    fn write(
        &self,
        catalog: &Connection,
        parts: &[Part],
        archive: Option<ArchiveRead>,
        rejects: &dyn RejectSink,
    ) -> Result<Written, StoreError> {
        let mut before = catalog::totals(catalog, &self.system.id)?;
        before.cube = self.cube_of(catalog, catalog::ALL_ARCHIVES)?;
        let mut changes = Changes {
            after: before.clone(),
            ..Changes::default()
        };
        let moved = parts.iter().filter(|part| !part.moving.is_empty());
        let moved: BTreeSet<u64> = moved.map(|part| part.archive).collect();
        if self.replaced.is_empty() {
            for archive in moved.into_iter().filter(|old| *old != self.sequence) {
                changes.touch(self.archive(catalog, archive)?);
            }
        } else {
            self.add_up_what_stays(catalog, &moved, &mut changes)?;
        }
        if let Some(archive) = archive {
            changes.add(self.sequence, archive);
        }
        let mut ready = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            if !part.moving.is_empty() {
                ready.extend(split(part, place, self.staging, &mut changes, rejects)?);
            } else if let Some(hashes) = part.hashes.filter(|_| part.rows > 0) {
                ready.push(Ready {
                    archive: part.archive,
                    member: part.member,
                    kind: part.kind,
                    path: part.path.clone(),
                    index_path: part.index_path.clone(),
                    rows: part.rows,
                    keys: part.keys,
                    hashes,
                });
            }
        }
        changes.seal();
        Ok(Written {
            ready,
            changes,
            before,
        })
    }

    /// Adds up the totals of the archives that stay: what files call their stations cannot be
    /// taken back from a sum.
    fn add_up_what_stays(
        &self,
        catalog: &Connection,
        moved: &BTreeSet<u64>,
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        changes.after = Totals::default();
        for key in catalog::archive_keys(catalog, &self.system.id)? {
            let row = self.archive(catalog, key.sequence)?;
            if self.replaced.contains(&key.sequence) {
                changes.origins.extend(row.totals.stations.origins());
                continue;
            }
            changes.after.merge(&row.totals);
            if moved.contains(&key.sequence) {
                changes.touch(row);
            }
        }
        Ok(())
    }

    /// Reads an archive with its cube.
    fn archive(&self, catalog: &Connection, sequence: u64) -> Result<ArchiveRow, StoreError> {
        let found = catalog::archives(catalog, &self.system.id, Which::Sequence(sequence))?;
        let mut row = found.into_iter().next().ok_or_else(|| {
            let message = format!("the catalog is damaged: its archive {sequence} is gone");
            StoreError::new(StoreErrorKind::Damaged, message)
        })?;
        row.totals.cube = self.cube_of(catalog, sequence)?;
        Ok(row)
    }

    /// Reads the whole cube of an archive, or of all.
    fn cube_of(&self, catalog: &Connection, archive: u64) -> Result<Cube, StoreError> {
        catalog::cube(catalog, &self.system.id, archive, Parts::ALL)
    }

    /// Moves the files into their places and names them in one transaction. Returns the entry of
    /// the archive that came.
    fn publish(
        &self,
        connection: &mut Connection,
        parts: &[Part],
        written: Written,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        let Written {
            ready,
            mut changes,
            before,
        } = written;
        let (named, moves) = name(self.store, self.system.id.as_str(), ready, &changes);
        // Compressed before the transaction begins, to keep it short.
        let cells = changes.cells(&before);
        note_leftovers(connection, &named)?;
        let published = (|| {
            let transaction = catalog::begin(connection)?;
            self.forget_files(&transaction, parts)?;
            self.write_ledger(&transaction, &mut changes, &named, &cells)?;
            self.write_counts(&transaction, &mut changes, &before)?;
            // Last of all: between this and the commit, another engine counts files that no row
            // names.
            put_in_place(self.store, &moves)?;
            transaction
                .commit()
                .map_err(catalog_failed("commit the archive"))
        })();
        if let Err(error) = published {
            // What cannot be removed now is noted, and removed by the next writer.
            let _ = sweep::sweep(&self.store.root, connection);
            return Err(error);
        }
        sweep::sweep(&self.store.root, connection)?;
        Ok(changes.into_entry(self.sequence, &named))
    }

    /// Forgets the files of archives that go and those that were split; they are left over.
    fn forget_files(&self, catalog: &Connection, parts: &[Part]) -> Result<(), StoreError> {
        let split: BTreeSet<i64> = parts
            .iter()
            .filter(|part| !part.moving.is_empty())
            .filter_map(|part| part.row.as_ref())
            .map(|row| row.id)
            .collect();
        for file in catalog::files(catalog, Some(&self.system.id))? {
            if split.contains(&file.id) || self.replaced.contains(&file.archive) {
                catalog::delete_file(catalog, file.id)?;
                catalog::put_leftover(catalog, &file.path)?;
            }
        }
        Ok(())
    }

    /// Writes the archives and their files, and all cubes that change.
    fn write_ledger(
        &self,
        catalog: &Connection,
        changes: &mut Changes,
        named: &[FileRow],
        cells: &[(u64, Cells)],
    ) -> Result<(), StoreError> {
        catalog::put_system(catalog, &self.system)?;
        for archive in &self.replaced {
            catalog::delete_archive(catalog, *archive)?;
        }
        for (sequence, changed) in &mut changes.archives {
            if *sequence == self.sequence {
                catalog::put_archive(catalog, &mut changed.row)?;
            } else {
                catalog::put_archive_totals(catalog, *sequence, &mut changed.row.totals)?;
            }
        }
        for file in named {
            catalog::put_file(catalog, file)?;
        }
        for (archive, cells) in cells {
            catalog::put_cells(catalog, &self.system.id, *archive, cells)?;
        }
        Ok(())
    }

    /// Writes the totals, and the stations whose trips changed.
    fn write_counts(
        &self,
        catalog: &Connection,
        changes: &mut Changes,
        before: &Totals,
    ) -> Result<(), StoreError> {
        let id = &self.system.id;
        catalog::put_totals(catalog, id, &mut changes.after, before)?;
        let mut stations = catalog::station_data(catalog, id)?;
        let version = catalog::next_version(catalog, id, &stations)?;
        if self.sequence == 0 {
            for origin in stations.forget_unused(&changes.after, version) {
                catalog::forget_count(catalog, id, &origin, version)?;
            }
        }
        let writes = stations.trips_changed(&changes.origins, version, &changes.after);
        catalog::write_stations(catalog, id, &writes, None)?;
        catalog::prune_changes(catalog)?;
        catalog::delete_system_if_empty(catalog, id)
    }
}

/// Notes files that are about to be moved into their places, durably.
fn note_leftovers(connection: &mut Connection, named: &[FileRow]) -> Result<(), StoreError> {
    if named.is_empty() {
        return Ok(());
    }
    let transaction = catalog::begin(connection)?;
    for file in named {
        catalog::put_leftover(&transaction, &file.path)?;
    }
    let failed = catalog_failed("write the catalog");
    transaction.commit().map_err(failed)
}

/// A file that is written and waits for its place.
struct Ready {
    archive: u64,
    member: usize,
    kind: Kind,
    path: PathBuf,
    index_path: PathBuf,
    rows: u64,
    keys: (u64, u64),
    hashes: Hashes,
}

/// What an exchange changes in the tallies.
#[derive(Default)]
struct Changes {
    /// The archive that comes and those in which rows change sides, by sequence.
    archives: BTreeMap<u64, Changed>,
    /// The totals over all archives afterwards.
    after: Totals,
    /// The origins of trips that come, go or change sides.
    origins: BTreeSet<StationId>,
}

/// An archive whose totals change.
struct Changed {
    row: ArchiveRow,
    /// Its cube before. Empty for the archive that comes.
    cube_before: Cube,
}

impl Changes {
    /// Takes in an archive in which rows change sides.
    fn touch(&mut self, row: ArchiveRow) {
        let changed = Changed {
            cube_before: row.totals.cube.clone(),
            row,
        };
        self.archives.insert(changed.row.entry.sequence, changed);
    }

    /// Takes in the archive that comes.
    fn add(&mut self, sequence: u64, archive: ArchiveRead) {
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
            },
            members: archive.members,
            totals: archive.totals,
        };
        let changed = Changed {
            row,
            cube_before: Cube::default(),
        };
        self.archives.insert(sequence, changed);
    }

    /// Counts rows that change sides.
    fn moved(&mut self, part: &Part, batch: &TripBatch) {
        let times = match part.kind {
            Kind::Trips => -1,
            Kind::Duplicates => 1,
        };
        let changed = self
            .archives
            .get_mut(&part.archive)
            .expect("rows of replaced archives do not move");
        changed.row.totals.count(batch, times);
        self.after.count(batch, times);
        origins_of(batch, &mut self.origins);
    }

    /// Packs the cubes: what is packed once is shared by the comparisons and the writing.
    fn seal(&mut self) {
        for changed in self.archives.values_mut() {
            changed.row.totals.cube.seal();
        }
        self.after.cube.seal();
    }

    /// Compresses the parts of the cubes that change: by archive, and over all.
    fn cells(&self, before: &Totals) -> Vec<(u64, Cells)> {
        let mut cells: Vec<(u64, Cells)> = (self.archives.iter())
            .map(|(sequence, changed)| {
                let cube = &changed.row.totals.cube;
                (*sequence, catalog::cells(cube, &changed.cube_before))
            })
            .collect();
        let first = match cells.as_slice() {
            // The first archive: over all there is what it has.
            [(sequence, own)]
                if before.trips == 0
                    && self.archives[sequence].row.totals.cube == self.after.cube =>
            {
                Some(own.clone())
            }
            _ => None,
        };
        let all = first.unwrap_or_else(|| catalog::cells(&self.after.cube, &before.cube));
        cells.push((catalog::ALL_ARCHIVES, all));
        cells
    }

    /// Returns the ledger entry of the archive that came. `None` where none did.
    fn into_entry(mut self, sequence: u64, named: &[FileRow]) -> Option<LedgerEntry> {
        let ArchiveRow {
            mut entry, totals, ..
        } = self.archives.remove(&sequence)?.row;
        let duplicates: u64 = named
            .iter()
            .filter(|file| file.archive == sequence && file.kind == Kind::Duplicates)
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

fn origins_of(batch: &TripBatch, origins: &mut BTreeSet<StationId>) {
    let places: BTreeSet<u32> = batch.origin.iter().copied().collect();
    origins.extend(
        places
            .into_iter()
            .filter_map(|place| batch.stations.get(place))
            .map(StationId::from),
    );
}

/// Splits a file into the rows that stay and those that change sides.
fn split(
    part: &Part,
    place: usize,
    staging: &Staging,
    changes: &mut Changes,
    rejects: &dyn RejectSink,
) -> Result<Vec<Ready>, StoreError> {
    let other = match part.kind {
        Kind::Trips => Kind::Duplicates,
        Kind::Duplicates => Kind::Trips,
    };
    let member = changes.archives[&part.archive].row.members.get(part.member);
    let member = member.cloned().unwrap_or_default();
    let index = Index::open(&part.index_path)?;
    let file = TripsFile::open(&part.path)?;
    let path = |kind: Kind| {
        staging
            .path
            .join(format!("split-{place}-{}.parquet", kind.as_str()))
    };
    // A file on its way in of which all rows go is what is to be written already.
    let whole = part.hashes.filter(|_| part.moving.len() == part.rows);
    let mut writers = match whole {
        Some(_) => None,
        None => Some((
            TripsWriter::create(path(part.kind))?,
            TripsWriter::create(path(other))?,
        )),
    };
    for (group, rows) in file.groups().into_iter().enumerate() {
        let mut batch = file.read(group)?;
        batch.line = index.lines(rows.clone())?;
        let going = if let Some((stay, go)) = &mut writers {
            let (going, staying): (Vec<u32>, Vec<u32>) =
                rows.clone().partition(|row| part.moving.contains(*row));
            let within = |rows_: Vec<u32>| -> Vec<u32> {
                rows_.into_iter().map(|row| row - rows.start).collect()
            };
            stay.write(&batch.select(&within(staying)))?;
            let going = batch.select(&within(going));
            go.write(&going)?;
            going
        } else {
            batch
        };
        changes.moved(part, &going);
        if other == Kind::Duplicates {
            for row in 0..going.len() {
                rejects.reject(Rejected {
                    file: member.clone(),
                    line: going.line[row],
                    column: String::new(),
                    reason: Reason::Duplicate,
                    expected: "a trip that no other row tells better".into(),
                    found: going.id(row).into(),
                });
            }
        }
    }
    let mut ready = Vec::new();
    if let Some(hashes) = whole {
        ready.push(Ready {
            archive: part.archive,
            member: part.member,
            kind: other,
            path: part.path.clone(),
            index_path: part.index_path.clone(),
            rows: part.rows,
            keys: part.keys,
            hashes,
        });
    }
    let writers = writers.map(|(stay, go)| [(part.kind, stay), (other, go)]);
    for (kind, writer) in writers.into_iter().flatten() {
        let finished = writer.finish()?;
        if finished.rows > 0 {
            ready.push(Ready {
                archive: part.archive,
                member: part.member,
                kind,
                path: path(kind),
                index_path: path(kind).with_extension("index"),
                rows: finished.rows,
                keys: finished.keys.bounds,
                hashes: Hashes::of(&finished),
            });
        }
    }
    Ok(ready)
}

/// Gives files their names: the rows of the catalog, and what is to be moved where.
fn name(
    store: &Shared,
    system: &str,
    ready: Vec<Ready>,
    changes: &Changes,
) -> (Vec<FileRow>, Vec<(PathBuf, PathBuf)>) {
    let mut named: Vec<FileRow> = Vec::new();
    let mut moves = Vec::new();
    for file in ready {
        let archive = &changes.archives[&file.archive].row;
        let id = &archive.entry.id;
        let folder = format!(
            "{}/{system}/{}-{}",
            file.kind.as_str(),
            plain(stem(&id.name)),
            short(id.content)
        );
        let member = archive.members.get(file.member).map_or("", String::as_str);
        let member = plain(stem(member.rsplit('/').next().unwrap_or_default()));
        let free = |place: &str| {
            !store.root.join(place).exists()
                && !index_path(&store.root, place).exists()
                && named.iter().all(|file| file.path != place)
        };
        let path = free_place(&folder, &member, free);
        moves.push((file.index_path, index_path(&store.root, &path)));
        moves.push((file.path, store.root.join(&path)));
        named.push(FileRow {
            id: 0,
            archive: file.archive,
            member: file.member,
            kind: file.kind,
            path,
            rows: file.rows,
            keys: file.keys,
            hash: Some(file.hashes.trips),
            index_hash: Some(file.hashes.index),
        });
    }
    (named, moves)
}

/// Moves files to their places and makes that durable.
fn put_in_place(store: &Shared, moves: &[(PathBuf, PathBuf)]) -> Result<(), StoreError> {
    for (from, to) in moves {
        let folder = to.parent().expect("it has been joined to a folder");
        folder::make_folder(folder)?;
        std::fs::rename(from, to).map_err(|e| cannot("move to", to, e))?;
    }
    folder::make_names_durable(&store.root, moves.iter().map(|(_, to)| to.as_path()))
}

/// Finds a name that no file has: the member's own, or that with a number.
fn free_place(folder: &str, member: &str, free: impl Fn(&str) -> bool) -> String {
    let mut place = format!("{folder}/{member}.parquet");
    let mut revision = 1;
    while !free(&place) {
        revision += 1;
        place = format!("{folder}/{member}-r{revision}.parquet");
    }
    place
}

fn stem(name: &str) -> &str {
    let end = name.find('.').filter(|dot| *dot > 0);
    &name[..end.unwrap_or(name.len())]
}

fn short(content: ContentHash) -> String {
    content.to_string()[..8].to_owned()
}

/// Keeps letters, digits, `-` and `_` of a name: it becomes a folder or a file, whose name may have
/// 255 bytes, with a hash, a number and an ending behind it.
fn plain(name: &str) -> String {
    const MOST_BYTES: usize = 200;
    let mut plain = String::new();
    for c in name.chars() {
        let c = if c.is_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '_'
        };
        if plain.len() + c.len_utf8() > MOST_BYTES {
            break;
        }
        plain.push(c);
    }
    if plain.is_empty() {
        "trips".into()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_to_what_a_file_system_takes() {
        assert_eq!(plain("2020/04 trips.é"), "2020_04_trips_é");
        assert_eq!(plain(""), "trips");
        let long = plain(&"駅".repeat(83));
        assert_eq!(long.len(), 198);
        assert_eq!(plain(&"a".repeat(300)).len(), 200);
    }
}
