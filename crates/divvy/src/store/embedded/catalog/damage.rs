//! Damaged rows: found and removed.

use rusqlite::{Connection, params};

use super::tables::{ARCHIVE, CHECKED, CheckedTable, FILE, SYSTEM};
use super::{delete_archive, execute, query, query_first, to_json};
use crate::model::System;
use crate::store::StoreError;

/// Lists what is wrong with the catalog itself, one sentence each: pages that SQLite finds
/// malformed, and rows that are not what was written.
pub(crate) fn faults(catalog: &Connection) -> Vec<String> {
    // On a damaged database the pragma itself may fail.
    let integrity = query(catalog, "PRAGMA integrity_check", [], |row| {
        Ok(row.get::<_, String>(0)?)
    });
    let mut faults = match integrity {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
        Err(error) => vec![error.to_string()],
    };
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

fn count_damaged(catalog: &Connection, table: &CheckedTable) -> rusqlite::Result<u64> {
    let (name, is_damaged) = (table.name, table.is_damaged());
    let count = format!("SELECT count(*) FROM {name} WHERE {is_damaged}");
    catalog.query_row(&count, [], |row| row.get(0))
}

/// An archive whose own row, or a row of one of its files, is damaged.
pub(crate) struct ArchiveWithDamage {
    sequence: u64,
    pub(crate) system: String,
    pub(crate) name: String,
}

/// Lists the archives with damaged rows.
pub(crate) fn archives_with_damaged_rows(
    catalog: &Connection,
) -> Result<Vec<ArchiveWithDamage>, StoreError> {
    let (archive, file) = (ARCHIVE.is_damaged(), FILE.is_damaged());
    let select = format!(
        "SELECT sequence, system, name FROM archive
         WHERE {archive} OR sequence IN (SELECT archive FROM file WHERE {file})"
    );
    query(catalog, &select, [], |row| {
        Ok(ArchiveWithDamage {
            sequence: row.get(0)?,
            system: row.get(1)?,
            name: row.get(2)?,
        })
    })
}

/// Removes every damaged row. Returns the number of damaged rows of each table that has any.
///
/// A damaged archive goes with its files. A damaged system keeps its row without totals, and gets
/// the name and area of the built-in system of its id, if there is one.
pub(crate) fn remove_damaged(catalog: &Connection) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut removed = Vec::new();
    let archives = archives_with_damaged_rows(catalog)?;
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
            "archive" | "file" => {}
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
    Ok(removed)
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
