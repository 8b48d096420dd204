//! How an archive becomes part of the store: duplicates decided, files put in their places, and
//! then one transaction that names them.
//!
//! ```text
//!  writer lock ─► sweep ─► contested keys ─► fates of rows ─► files split
//!  ─► transaction: names ─► files renamed, fsynced ─► committed ─► the superseded removed
//! ```
//!
//! Killed before the transaction is committed, the store is as it was: files that no row names are
//! swept by the next writer. Killed after it, the archive is there, and superseded files are swept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rusqlite::Connection;

use super::catalog::{self, ArchiveRow, FileRow, Kind};
use super::duplicates::decide;
use super::index::{self, Index, Keys};
use super::lock::{Staging, WriterLock};
use super::trips_file::{TripsFile, TripsWriter};
use super::{Shared, cannot, catalog_failed, index_path, sweep};
use crate::issue::{Reason, RejectSink, Rejected};
use crate::model::{StationId, SystemId, TripBatch};
use crate::store::{ArchiveRead, ContentHash, LedgerEntry, StoreError};
use crate::tally::{Cube, Parts, Tally, Totals};

/// A member's trips file that nothing names yet.
pub(super) struct Staged {
    pub(super) member: usize,
    pub(super) path: PathBuf,
    pub(super) index_path: PathBuf,
    pub(super) rows: u64,
    pub(super) keys: Keys,
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
    /// Some id may stand twice in it. What is stored already was decided when it came.
    pub(super) twice: bool,
    /// The row of the catalog. `None` for a file on its way in.
    pub(super) row: Option<FileRow>,
    /// Rows that change sides: from trips to duplicates, or back. Sorted.
    pub(super) moving: Vec<u32>,
}

pub(super) fn commit(
    store: &Shared,
    staging: &Staging,
    archive: ArchiveRead,
    staged: Vec<Staged>,
    rejects: &dyn RejectSink,
) -> Result<LedgerEntry, StoreError> {
    store.make()?;
    let _lock = WriterLock::wait(&store.root)?;
    let mut connection = store.catalog();
    sweep::sweep(&store.root, &connection)?;
    let system = &archive.id.system;
    let archives = catalog::archives(&connection, &system.id)?;
    if let Some(held) = archives
        .iter()
        .find(|held| held.entry.id.content == archive.id.content)
    {
        return Ok(held.entry.clone());
    }
    let sequence = catalog::next_sequence(&connection)?;
    let replaced: BTreeSet<u64> = archives
        .iter()
        .filter(|old| archive.replace && old.entry.id.name == archive.id.name)
        .map(|old| old.entry.sequence)
        .collect();
    let files = catalog::files(&connection, Some(&system.id))?;
    let mut parts = parts(store, files, staged, sequence, &replaced);
    decide(&mut parts, &replaced)?;

    // From here on files are written: first beside, then into their places.
    let mut totals = Changes::default();
    for old in archives {
        match replaced.contains(&old.entry.sequence) {
            true => totals.origins.extend(old.totals.stations.origins()),
            false => totals.keep(old),
        }
    }
    let mut before = catalog::totals(&connection, &system.id)?;
    before.cube = cube_of(&connection, &system.id, catalog::ALL_ARCHIVES)?;
    // Only cubes that change are read: those of archives that rows move in, or all if one goes.
    let moved: BTreeSet<u64> = (parts.iter())
        .filter(|part| !part.moving.is_empty())
        .map(|part| part.archive)
        .collect();
    let anew = !replaced.is_empty() || moved.iter().any(|archive| *archive != sequence);
    let mut cubes_before: BTreeMap<u64, Cube> = BTreeMap::new();
    if anew {
        for (old, (row, _)) in &mut totals.archives {
            row.totals.cube = cube_of(&connection, &system.id, *old)?;
            if moved.contains(old) {
                cubes_before.insert(*old, row.totals.cube.clone());
            }
        }
    }
    let mut entry = LedgerEntry {
        id: archive.id.clone(),
        sequence,
        loaded_at: archive.loaded_at,
        rows_read: archive.rows_read,
        stored: 0,
        rejected: archive.rejected.clone(),
        flagged: Default::default(),
    };
    totals.origins.extend(archive.totals.stations.origins());
    totals.keep(ArchiveRow {
        entry: entry.clone(),
        members: archive.members.clone(),
        totals: archive.totals,
    });

    let mut ready = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        if part.moving.is_empty() {
            if part.row.is_none() && part.rows > 0 {
                ready.push(Ready::of(
                    part,
                    part.kind,
                    part.path.clone(),
                    part.index_path.clone(),
                ));
            }
            continue;
        }
        ready.extend(split(part, place, staging, &mut totals, rejects)?);
    }
    let (named, moves) = name(store, &archive.id.system.id.to_string(), ready, &totals);

    let superseded: Vec<&FileRow> = parts
        .iter()
        .filter(|part| !part.moving.is_empty() || replaced.contains(&part.archive))
        .filter_map(|part| part.row.as_ref())
        .collect();
    if let Some((row, _)) = totals.archives.get_mut(&sequence) {
        row.totals.cube.seal(); // what is packed once is shared from here on
    }
    let mut after = totals.sum(&before, anew);
    after.cube.seal();
    let mut cells = Vec::new();
    for (archive, (row, touched)) in &totals.archives {
        if *archive == sequence || *touched {
            let before = cubes_before.remove(archive).unwrap_or_default();
            cells.push((*archive, catalog::cells(&row.totals.cube, &before)));
        }
    }
    let own = &totals.archives[&sequence].0.totals.cube;
    let all = match before.trips == 0 && after.cube == *own {
        // The first archive: all is what it is.
        true => cells
            .iter()
            .find(|(archive, _)| *archive == sequence)
            .map(|(_, own)| own.clone()),
        false => None,
    };
    let all = all.unwrap_or_else(|| catalog::cells(&after.cube, &before.cube));
    cells.push((catalog::ALL_ARCHIVES, all));
    let failed = catalog_failed("commit the archive");
    let transaction = connection.transaction().map_err(&failed)?;
    catalog::put_system(&transaction, system)?;
    for file in &superseded {
        catalog::delete_file(&transaction, file.id)?;
    }
    for old in &replaced {
        catalog::delete_archive(&transaction, *old)?;
    }
    for (old, (row, touched)) in &mut totals.archives {
        if *old == sequence {
            catalog::put_archive(&transaction, row)?;
        } else if *touched {
            catalog::put_archive_totals(&transaction, *old, &mut row.totals)?;
        }
    }
    for (archive, cells) in &cells {
        catalog::put_cells(&transaction, &system.id, *archive, cells)?;
    }
    for file in &named {
        catalog::put_file(&transaction, file)?;
    }
    catalog::put_totals(&transaction, &system.id, &mut after, &before)?;
    let mut stations = catalog::station_data(&transaction, &system.id)?;
    let version = stations.next_version();
    let writes = stations.trips_changed(&totals.origins, version, &after);
    catalog::write_stations(&transaction, &system.id, &writes, None)?;
    // Last of all, and the transaction waits only for this: between the two, another engine would
    // count files that no row names.
    put_in_place(store, &moves)?;
    transaction.commit().map_err(&failed)?;

    for file in superseded {
        sweep::remove(&store.root, &file.path);
    }
    let (row, _) = &totals.archives[&sequence];
    let duplicates: u64 = named
        .iter()
        .filter(|file| file.archive == sequence && file.kind == Kind::Duplicates)
        .map(|file| file.rows)
        .sum();
    if duplicates > 0 {
        entry.rejected.insert(Reason::Duplicate, duplicates);
    }
    entry.stored = row.totals.trips.try_into().unwrap_or(0);
    entry.flagged = row.totals.flags.clone();
    Ok(entry)
}

fn parts(
    store: &Shared,
    files: Vec<FileRow>,
    staged: Vec<Staged>,
    sequence: u64,
    replaced: &BTreeSet<u64>,
) -> Vec<Part> {
    let stored = files.into_iter().map(|row| Part {
        archive: row.archive,
        member: row.member,
        kind: row.kind,
        path: store.root.join(&row.path),
        index_path: index_path(&store.root, &row.path),
        rows: row.rows,
        keys: row.keys,
        twice: false,
        row: Some(row),
        moving: Vec::new(),
    });
    // A replaced archive's duplicates go with it: nothing is to be decided about them.
    let stored =
        stored.filter(|part| !(replaced.contains(&part.archive) && part.kind == Kind::Duplicates));
    let new = staged.into_iter().map(|staged| Part {
        archive: sequence,
        member: staged.member,
        kind: Kind::Trips,
        path: staged.path,
        index_path: staged.index_path,
        rows: staged.rows,
        keys: staged.keys.bounds,
        twice: staged.keys.twice,
        row: None,
        moving: Vec::new(),
    });
    stored.chain(new).collect()
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
}

impl Ready {
    fn of(part: &Part, kind: Kind, path: PathBuf, index_path: PathBuf) -> Self {
        Self {
            archive: part.archive,
            member: part.member,
            kind,
            path,
            index_path,
            rows: part.rows,
            keys: part.keys,
        }
    }
}

/// What a commit changes in the tallies.
#[derive(Default)]
struct Changes {
    /// Every archive that stays, and whether its totals changed.
    archives: BTreeMap<u64, (ArchiveRow, bool)>,
    /// The origins of trips that come, go or change sides.
    origins: BTreeSet<StationId>,
}

impl Changes {
    fn keep(&mut self, archive: ArchiveRow) {
        self.archives
            .insert(archive.entry.sequence, (archive, false));
    }

    /// Counts rows that change sides.
    fn moved(&mut self, part: &Part, batch: &TripBatch) {
        let times = match part.kind {
            Kind::Trips => -1,
            Kind::Duplicates => 1,
        };
        let (archive, touched) = self
            .archives
            .get_mut(&part.archive)
            .expect("rows of replaced archives do not move");
        archive.totals.count(batch, times);
        *touched = true;
        origins_of(batch, &mut self.origins);
    }

    /// Adds up the totals over all archives: from what they were where nothing but a new one comes,
    /// else anew.
    fn sum(&self, before: &Totals, anew: bool) -> Totals {
        if !anew && let Some((_, (new, _))) = self.archives.last_key_value() {
            let mut totals = before.clone();
            totals.merge(&new.totals);
            return totals;
        }
        let mut totals = Totals::default();
        for (archive, _) in self.archives.values() {
            totals.merge(&archive.totals);
        }
        totals
    }
}

/// Reads the whole cube of an archive, or of all.
fn cube_of(catalog: &Connection, system: &SystemId, archive: u64) -> Result<Cube, StoreError> {
    catalog::cube(catalog, system, archive, Parts::ALL)
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
    totals: &mut Changes,
    rejects: &dyn RejectSink,
) -> Result<Vec<Ready>, StoreError> {
    let other = match part.kind {
        Kind::Trips => Kind::Duplicates,
        Kind::Duplicates => Kind::Trips,
    };
    let member = totals.archives[&part.archive].0.members.get(part.member);
    let member = member.cloned().unwrap_or_default();
    let lines = Index::open(&part.index_path)?.lines()?;
    let file = TripsFile::open(&part.path)?;
    let path = |kind: Kind| {
        staging
            .path
            .join(format!("split-{place}-{}.parquet", kind.as_str()))
    };
    let mut stay = TripsWriter::create(path(part.kind))?;
    let mut go = TripsWriter::create(path(other))?;
    for (group, rows) in file.groups().into_iter().enumerate() {
        let mut batch = file.read(group)?;
        for (line, known) in batch.line.iter_mut().zip(&lines[rows.start as usize..]) {
            *line = u64::from(*known);
        }
        let (going, staying): (Vec<u32>, Vec<u32>) = rows
            .clone()
            .partition(|row| part.moving.binary_search(row).is_ok());
        let within = |rows_: Vec<u32>| -> Vec<u32> {
            rows_.into_iter().map(|row| row - rows.start).collect()
        };
        stay.write(&batch.select(&within(staying)))?;
        let going = batch.select(&within(going));
        go.write(&going)?;
        totals.moved(part, &going);
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
    for (kind, writer) in [(part.kind, stay), (other, go)] {
        let entries = writer.finish()?;
        if entries.is_empty() {
            continue;
        }
        let rows = entries.len() as u64;
        let index_path = path(kind).with_extension("index");
        let keys = index::write(&index_path, entries)?;
        ready.push(Ready {
            rows,
            keys: keys.bounds,
            ..Ready::of(part, kind, path(kind), index_path)
        });
    }
    Ok(ready)
}

/// Gives files their names: the rows of the catalog, and what is to be moved where.
fn name(
    store: &Shared,
    system: &str,
    ready: Vec<Ready>,
    totals: &Changes,
) -> (Vec<FileRow>, Vec<(PathBuf, PathBuf)>) {
    let mut named: Vec<FileRow> = Vec::new();
    let mut moves = Vec::new();
    for file in ready {
        let (archive, _) = &totals.archives[&file.archive];
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
        });
    }
    (named, moves)
}

/// Moves files to their places and makes that durable.
fn put_in_place(store: &Shared, moves: &[(PathBuf, PathBuf)]) -> Result<(), StoreError> {
    let mut folders = BTreeSet::new();
    for (from, to) in moves {
        let mut folder = to.parent().expect("it has been joined to a folder");
        std::fs::create_dir_all(folder).map_err(|e| cannot("make", folder, e))?;
        std::fs::rename(from, to).map_err(|e| cannot("move to", to, e))?;
        while folder.starts_with(&store.root) && folders.insert(folder.to_path_buf()) {
            folder = folder.parent().unwrap_or(folder);
        }
    }
    for folder in folders {
        // Windows cannot open a folder as a file, and needs no such thing.
        #[cfg(unix)]
        std::fs::File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| cannot("make durable", &folder, e))?;
    }
    Ok(())
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

/// Keeps letters, digits, `-` and `_` of a name: it becomes a folder or a file.
fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| match c {
            c if c.is_alphanumeric() || c == '-' || c == '_' => c,
            _ => '_',
        })
        .take(100)
        .collect();
    if plain.is_empty() {
        "trips".into()
    } else {
        plain
    }
}
