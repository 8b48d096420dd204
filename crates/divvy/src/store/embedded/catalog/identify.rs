//! Finds out which program a database belongs to.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{BUSY_TIMEOUT, open_read_only};
use crate::store::StoreError;
use crate::store::embedded::error::sqlite_error;

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatabaseContent {
    /// The tables of a catalog.
    Catalog,
    /// No tables.
    Empty,
    /// Tables of another program.
    Other,
    /// Unknown: a process was killed while it wrote without a write-ahead log, as it does when it
    /// creates a catalog. [`roll_back_and_identify`] restores the content from before.
    Interrupted,
}

/// Finds out what a database holds, without writing to it.
///
/// # Errors
///
/// `Damaged` if it is no database or cannot be read as one.
pub(crate) fn identify(path: &Path) -> Result<DatabaseContent, StoreError> {
    let identify = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        content_of(&Connection::open_with_flags(path, flags)?)
    };
    let failed = sqlite_error("open the catalog");
    match identify() {
        Err(error) if needs_writable_folder(&error) => {
            content_of(&open_read_only(path)?.connection).map_err(failed)
        }
        Err(error) if has_hot_journal(&error) => Ok(DatabaseContent::Interrupted),
        content => content.map_err(failed),
    }
}

/// Finds out what a database holds, after undoing what an interrupted process wrote to it.
///
/// # Errors
///
/// As [`identify`].
pub(crate) fn roll_back_and_identify(path: &Path) -> Result<DatabaseContent, StoreError> {
    let identify = || content_of(&Connection::open(path)?);
    identify().map_err(sqlite_error("open the catalog"))
}

/// Returns whether the folder would have to be writable, which WAL mode needs even to read.
fn needs_writable_folder(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_READONLY_CANTINIT, SQLITE_READONLY_DIRECTORY};
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::CannotOpen
            || [SQLITE_READONLY_CANTINIT, SQLITE_READONLY_DIRECTORY].contains(&error.extended_code)
    })
}

fn has_hot_journal(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

fn content_of(connection: &Connection) -> rusqlite::Result<DatabaseContent> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let (all, of_catalogs): (u32, u32) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name IN ('system', 'archive', 'file'))
         FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(match (all, of_catalogs) {
        (_, 3) => DatabaseContent::Catalog,
        (0, _) => DatabaseContent::Empty,
        _ => DatabaseContent::Other,
    })
}
