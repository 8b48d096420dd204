//! Damaged rows: found and removed.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use super::tables::{ARCHIVE, CHECKED, CheckedTable, FILE, SYSTEM};
use super::{delete_archive, execute, put_system, query, query_first, to_json};
use crate::model::{System, SystemId};
use crate::store::embedded::error::sqlite_error;
use crate::store::{StoreError, StoreErrorKind};

/// Lists what is wrong with the catalog itself, one sentence each: pages that SQLite finds
/// malformed, and rows that are not what was written.
pub(crate) fn faults(catalog: &Connection) -> Vec<String> {
    let mut faults = malformed_pages(catalog);
    for table in CHECKED {
        let name = table.name;
        match count_damaged(catalog, table) {
            Ok(0) => {}
            Ok(n) => faults.push(format!(
                "{n} rows of its table {name} are not what was written"
            )),
            Err(error) => faults.push(format!("its table {name} cannot be read: {error}")),
        }
    }
    faults
}

/// Lists the pages and indexes that SQLite finds malformed, one sentence each.
pub(crate) fn malformed_pages(catalog: &Connection) -> Vec<String> {
    // On a damaged database the pragma itself may fail.
    let integrity = query(catalog, "PRAGMA integrity_check", [], |row| {
        Ok(row.get::<_, String>(0)?)
    });
    match integrity {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// Writes all tables anew from the rows that can be read, and all indexes from the tables.
///
/// # Errors
///
/// If a page is so damaged that SQLite cannot read a table.
pub(crate) fn write_anew(catalog: &Connection) -> Result<(), StoreError> {
    catalog
        .execute_batch("REINDEX; VACUUM")
        .map_err(sqlite_error("write the catalog anew"))
}

fn count_damaged(catalog: &Connection, table: &CheckedTable) -> rusqlite::Result<u64> {
    let (name, is_damaged) = (table.name, table.is_damaged());
    let count = format!("SELECT count(*) FROM {name} WHERE {is_damaged}");
    catalog.query_row(&count, [], |row| row.get(0))
}

/// Returns the SQL that joins `archive` with its rows in files, and the condition that the catalog
/// does not name all of them: the rows read are not those of the files and the rejected ones.
///
/// `intact` is the condition of a row of `file` that counts. The row of the archive may be damaged.
fn join_of_lost_files(intact: &str) -> (String, &'static str) {
    let join = format!(
        "LEFT JOIN (SELECT archive AS owner, sum(rows) AS named FROM file WHERE {intact}
                    GROUP BY archive) ON owner = sequence"
    );
    let condition = "rows_read IS NOT coalesce(named, 0)
        + (SELECT coalesce(sum(value), 0)
           FROM json_each(CASE WHEN json_valid(rejected) THEN rejected ELSE '{}' END))";
    (join, condition)
}

/// Lists the archives of a system of which the catalog does not name all files. A damaged page of the
/// catalog can hide rows of `file`, and the checksums of those that remain do not show it.
pub(crate) fn archives_without_all_files(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Vec<ArchiveWithDamage>, StoreError> {
    let (join, lacks_files) = join_of_lost_files("TRUE");
    let select = format!(
        "SELECT sequence, system, name FROM archive {join} WHERE system = ? AND {lacks_files}"
    );
    query(catalog, &select, [system.as_str()], |row| {
        Ok(ArchiveWithDamage::from_row(row)?)
    })
}

/// The files whose archive has no row, as the end of an SQL statement.
const ORPHANS: &str = "FROM file WHERE archive NOT IN (SELECT sequence FROM archive)";

/// Returns an error if a file has no archive, or if an archive of a system, other than those in
/// `except`, lacks rows of its files: trips would be left out, or stored a second time.
///
/// # Errors
///
/// `Damaged` with the path of the file or the name of the archive.
pub(crate) fn expect_all_files(
    catalog: &Connection,
    system: &SystemId,
    except: &BTreeSet<u64>,
) -> Result<(), StoreError> {
    let select = format!("SELECT path {ORPHANS}");
    let orphan = query_first(catalog, &select, [], |row| Ok(row.get::<_, String>(0)?))?;
    if let Some(path) = orphan {
        let message = format!(
            "the catalog is damaged: the archive of {path} is not in it any more; divvy check \
             --repair lists what to load again"
        );
        return Err(StoreError::new(StoreErrorKind::Damaged, message));
    }
    let mut incomplete = archives_without_all_files(catalog, system)?.into_iter();
    let Some(archive) = incomplete.find(|archive| !except.contains(&archive.sequence)) else {
        return Ok(());
    };
    let message = format!(
        "the catalog is damaged: it does not name all files of {}; divvy check --repair lists what \
         to load again",
        archive.name
    );
    Err(StoreError::new(StoreErrorKind::Damaged, message))
}

/// An archive whose own row is damaged, or that lacks rows of its files.
pub(crate) struct ArchiveWithDamage {
    pub(crate) sequence: u64,
    pub(crate) system: String,
    pub(crate) name: String,
}

impl ArchiveWithDamage {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            sequence: row.get(0)?,
            system: row.get(1)?,
            name: row.get(2)?,
        })
    }
}

/// Lists the archives whose own row is damaged, or that have lost intact rows of their files.
pub(crate) fn archives_with_damage(
    catalog: &Connection,
) -> Result<Vec<ArchiveWithDamage>, StoreError> {
    // The archive that a damaged row of `file` names may not be its own.
    let is_intact = format!("NOT ({})", FILE.is_damaged());
    let (join, lacks_files) = join_of_lost_files(&is_intact);
    let is_damaged = ARCHIVE.is_damaged();
    let select = format!(
        "SELECT sequence, system, name FROM archive {join} WHERE {is_damaged} OR {lacks_files}"
    );
    query(catalog, &select, [], |row| {
        Ok(ArchiveWithDamage::from_row(row)?)
    })
}

/// Removes every damaged row. Returns the number of damaged and lost rows of each table that has any.
///
/// An archive with damage goes with the files that it still has. A damaged system keeps its row without totals, and gets
/// the name and area of the built-in system of its id, if there is one; so does a system whose row
/// is lost.
pub(crate) fn remove_damaged(catalog: &Connection) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut removed = Vec::new();
    let archives = archives_with_damage(catalog)?;
    for table in CHECKED {
        let (name, is_damaged) = (table.name, table.is_damaged());
        let count = format!("SELECT count(*) FROM {name} WHERE {is_damaged}");
        let damaged = query_first(catalog, &count, [], |row| Ok(row.get::<_, u64>(0)?))?;
        let damaged = damaged.unwrap_or(0);
        if damaged == 0 {
            continue;
        }
        removed.push((name, damaged));
        match name {
            "system" => restore_damaged_systems(catalog)?,
            "archive" => {}
            _ => execute(
                catalog,
                &format!("DELETE FROM {name} WHERE {is_damaged}"),
                [],
            )?,
        }
    }
    for archive in archives {
        execute(
            catalog,
            "INSERT OR IGNORE INTO leftover SELECT path FROM file WHERE archive = ?",
            [archive.sequence],
        )?;
        delete_archive(catalog, archive.sequence)?;
    }
    execute(catalog, &format!("DELETE {ORPHANS}"), [])?;
    if catalog.changes() > 0 {
        removed.push(("archive", 1));
    }
    let restored = restore_lost_systems(catalog)?;
    if restored > 0 {
        removed.push(("system", restored));
    }
    Ok(removed)
}

/// Lists the systems of which archives exist, and whose own row does not.
pub(crate) fn systems_without_row(catalog: &Connection) -> Result<Vec<String>, StoreError> {
    let select = "SELECT DISTINCT system FROM archive WHERE system NOT IN (SELECT id FROM system)";
    query(catalog, select, [], |row| Ok(row.get(0)?))
}

/// Adds the rows of built-in systems that are lost. Returns the number of those added.
fn restore_lost_systems(catalog: &Connection) -> Result<u64, StoreError> {
    let mut restored = 0;
    for known in systems_without_row(catalog)?
        .iter()
        .filter_map(|id| System::named(id))
    {
        put_system(catalog, &known)?;
        restored += 1;
    }
    Ok(restored)
}

fn restore_damaged_systems(catalog: &Connection) -> Result<(), StoreError> {
    let select = format!("SELECT id FROM system WHERE {}", SYSTEM.is_damaged());
    let ids: Vec<String> = query(catalog, &select, [], |row| Ok(row.get(0)?))?;
    for id in ids {
        execute(
            catalog,
            "UPDATE system SET totals = NULL WHERE id = ?",
            [&id],
        )?;
        if let Some(known) = System::named(&id) {
            execute(
                catalog,
                "UPDATE system SET name = ?, time_zone = ?, area = ? WHERE id = ?",
                params![
                    known.name,
                    known.time_zone,
                    known.area.as_ref().map(to_json),
                    id
                ],
            )?;
        }
        let columns = SYSTEM.columns;
        let update = format!("UPDATE system SET checksum = row_checksum({columns}) WHERE id = ?");
        execute(catalog, &update, [&id])?;
    }
    Ok(())
}
