//! Upgrades the catalogs of older programs.
//!
//! | version | what changed |
//! |---|---|
//! | 1 | |
//! | 2 | the cube |
//! | 3 | checksums of rows, hashes of files, leftovers; id indexes of version 2 |
//! | 4 | trips files of layout 3 |
//! | 5 | the history of states: changes only, snapshots, sealed parts |
//!
//! ```text
//!  old catalog ─► names of stations ─┐
//!  trips files ─► tallies ───────────┴─► one transaction: tables, tallies, checksums, version 3
//!              └► id indexes, each in its place
//!
//!  trips files ─► new ones, each named by a transaction ─► the history in new tables ─► version 5
//! ```
//!
//! For versions 1 and 2 tallies are counted again from the trips: version 2 was written with different
//! packings of the cube. Station names cannot be counted, and are taken from the old catalog.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::catalog::{self, Moment, OldArchive, PackedParts};
use super::error::sqlite_error;
use super::folder;
use super::index::Written;
use super::lock::OnWait;
use super::repair::{count_again, count_file, put_system_totals, rebuild_index};
use super::rewrite::rewrite_old_files;
use crate::history::{States, apply_change};
use crate::model::SystemId;
use crate::store::{StoreError, StoreErrorKind};
use crate::tally::{Cube, Tally, Totals};

/// Upgrades a catalog to [`catalog::VERSION`]; calls `on_wait` before. The caller holds the writer
/// lock.
///
/// If it is killed or fails, the next call repeats or continues the upgrade; some id indexes and trips
/// files may be new. Of a catalog of version 3, trips files that cannot be read keep their layout, and
/// `on_wait` is called with the reason.
///
/// # Errors
///
/// `Damaged` if a trips file of a catalog of version 1 or 2 cannot be read: the totals would lack its
/// trips. Only id indexes have been changed then.
pub(super) fn upgrade(
    root: &Path,
    connection: &mut Connection,
    on_wait: &OnWait,
) -> Result<(), StoreError> {
    // Read again under the lock: another process may have upgraded the catalog.
    let version = catalog::version(connection)?;
    if version >= catalog::VERSION {
        return Ok(());
    }
    let trips_are = match version {
        ..CHECKSUMS => "trips are counted and written again",
        CHECKSUMS..HISTORY => "trips files are written again",
        _ => "history of states is written again",
    };
    on_wait(&format!(
        "{} was made by an older divvy: its {trips_are}, to bring it up to date",
        root.display()
    ));
    if version < CHECKSUMS {
        let rebuilt = Rebuilt::of(root, connection, version)?;
        catalog::in_transaction(connection, |catalog| rebuilt.write(root, catalog, version))?;
    }
    create_history_tables(connection)?;
    for why in rewrite_old_files(root, connection)?.left {
        on_wait(&format!("a trips file could not be written again: {why}"));
    }
    catalog::in_transaction(connection, |catalog| {
        write_history(catalog)?;
        catalog::set_version(catalog)
    })
}

/// The version of the catalog that first had trips files of layout 3, and still the old history.
const HISTORY: i64 = 4;

/// Creates the tables of the history, unless an upgrade that was killed has done so. A sweep reads them.
fn create_history_tables(connection: &mut Connection) -> Result<(), StoreError> {
    let failed = sqlite_error("bring the catalog up to date");
    catalog::in_transaction(connection, |catalog| {
        let exist = catalog.table_exists(None, "status_part").map_err(&failed)?;
        if exist {
            return Ok(());
        }
        let created = catalog.execute_batch(catalog::HISTORY_TABLES);
        created.map_err(&failed)
    })
}

/// Makes the history of states from that of older programs, which has a row for each station that a
/// snapshot wrote, and no list of snapshots: the times of the rows are taken for theirs.
fn write_history(catalog: &Connection) -> Result<(), StoreError> {
    const COPY: &str = "
INSERT INTO status_snapshot (system, number, taken_at)
    SELECT system, row_number() OVER (PARTITION BY system ORDER BY taken_at), taken_at
    FROM (SELECT DISTINCT system, taken_at FROM status_history);
INSERT INTO status_change
    (system, snapshot, station, taken_at, listed, status, vehicles, ebikes, vehicles_disabled, docks,
     docks_disabled)
    SELECT system, number, station, taken_at, 1, status, vehicles, ebikes, vehicles_disabled, docks,
        docks_disabled
    FROM (SELECT *, json_array(status, vehicles, ebikes, vehicles_disabled, docks, docks_disabled) AS state,
              lag(json_array(status, vehicles, ebikes, vehicles_disabled, docks, docks_disabled))
                  OVER (PARTITION BY system, station ORDER BY taken_at) AS state_before
          FROM status_history)
        JOIN status_snapshot USING (system, taken_at)
    WHERE state IS NOT state_before;
DROP TABLE status_history;";
    let failed = sqlite_error("bring the catalog up to date");
    catalog.execute_batch(COPY).map_err(&failed)?;
    for table in ["status_snapshot", "status_change"] {
        catalog::put_checksums(catalog, table)?;
    }
    for system in catalog::systems(catalog)? {
        let mut latest = States::new();
        for change in catalog::last_changes(catalog, &system.id)? {
            apply_change(&mut latest, change);
        }
        catalog::put_states(catalog, &system.id, Moment::Latest, &latest)?;
    }
    Ok(())
}

/// The version of the catalog that first had checksums.
const CHECKSUMS: i64 = 3;

/// What is rebuilt before the transaction.
struct Rebuilt {
    /// By the id of their file.
    indexes: Vec<(i64, Written)>,
    archives: Vec<Archive>,
    /// Over all archives of each system.
    sums: BTreeMap<SystemId, Totals>,
}

struct Archive {
    sequence: u64,
    system: SystemId,
    /// Without the cube.
    totals: Totals,
    parts: PackedParts,
}

impl Rebuilt {
    fn of(root: &Path, connection: &Connection, version: i64) -> Result<Self, StoreError> {
        let files = catalog::files_before_checksums(connection)?;
        let mut rebuilt = Self {
            indexes: Vec::new(),
            archives: Vec::new(),
            sums: BTreeMap::new(),
        };
        for old in catalog::archives_before_checksums(connection)? {
            let mut totals = Totals::default();
            for file in files.iter().filter(|file| file.archive == old.sequence) {
                let index = count_file(root, file, &mut totals)
                    .and_then(|()| rebuild_index(root, file))
                    .map_err(|error| unreadable(root, &old, error))?;
                rebuilt.indexes.push((file.id, index.written));
            }
            totals.names = catalog::names_before_checksums(&old, version)?;
            totals.cube.seal();
            let system = SystemId::from(old.system.as_str());
            let sum = rebuilt.sums.entry(system.clone()).or_default();
            sum.merge(&totals);
            let parts = catalog::changed_parts(&totals.cube, &Cube::default());
            totals.cube = Cube::default();
            rebuilt.archives.push(Archive {
                sequence: old.sequence,
                system,
                totals,
                parts,
            });
        }
        Ok(rebuilt)
    }

    fn write(self, root: &Path, catalog: &Connection, version: i64) -> Result<(), StoreError> {
        let failed = sqlite_error("bring the catalog up to date");
        let mut tables = String::new();
        if version == 1 {
            tables += catalog::CUBE_BEFORE_CHECKSUMS;
        }
        tables += "ALTER TABLE file ADD COLUMN hash BLOB;
             ALTER TABLE file ADD COLUMN index_hash BLOB;
             CREATE TABLE leftover (path TEXT PRIMARY KEY) WITHOUT ROWID;
             CREATE TABLE forgotten (
                 system TEXT, origin TEXT, trips_version INTEGER NOT NULL,
                 PRIMARY KEY (system, origin)
             ) WITHOUT ROWID;
             DELETE FROM cube;
             DELETE FROM departures;";
        let is_new = |name| catalog::HISTORY_TABLES.contains(&format!("CREATE TABLE {name} ("));
        for table in catalog::CHECKED.iter().filter(|it| !is_new(it.name)) {
            let (table, columns) = (table.name, table.columns);
            tables += &format!(
                "ALTER TABLE {table} ADD COLUMN checksum INTEGER;
                 UPDATE {table} SET checksum = row_checksum({columns});"
            );
        }
        tables += &format!("PRAGMA user_version = {CHECKSUMS};");
        catalog.execute_batch(&tables).map_err(&failed)?;
        for (file, index) in self.indexes {
            catalog::put_index(catalog, file, &index)?;
        }
        for mut archive in self.archives {
            catalog::put_archive_totals(catalog, archive.sequence, &mut archive.totals)?;
            catalog::put_parts(catalog, &archive.system, archive.sequence, &archive.parts)?;
        }
        for (system, mut sum) in self.sums {
            put_system_totals(catalog, &system, &mut sum)?;
            count_again(catalog, &system, &sum)?;
        }
        for path in folder::unnamed(root, &catalog::files(catalog, None)?)? {
            catalog::put_leftover(catalog, &path)?;
        }
        Ok(())
    }
}

/// Makes the error of an archive whose trips cannot be counted again.
fn unreadable(root: &Path, archive: &OldArchive, cause: StoreError) -> StoreError {
    let message = format!(
        "{} was made by an older divvy and cannot be brought up to date, because trips of {} cannot \
         be read: bring the file back from a copy, or load the archives again into a new folder",
        root.display(),
        archive.name
    );
    StoreError::with_source(StoreErrorKind::Damaged, message, cause)
}

#[cfg(test)]
mod tests;
