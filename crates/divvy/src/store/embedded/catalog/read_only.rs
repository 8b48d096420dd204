//! Opens the catalog of a store that cannot be written to, such as a folder of another user or a
//! read-only mount.
//!
//! SQLite in WAL mode writes an index of the log to the folder even to read. A database without a
//! log is therefore opened as one that does not change (`immutable=1`); one with a log is copied
//! together with it, and the copy is opened.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::prepare;
use crate::store::embedded::error::{io_error, sqlite_error};
use crate::store::{StoreError, StoreErrorKind};

/// A catalog opened for reading only.
pub(crate) struct ReadOnlyCatalog {
    pub(crate) connection: Connection,
    /// The folder of the copy that is read. `None` if the store's own catalog is read.
    pub(crate) copy: Option<TempDir>,
}

/// Opens a catalog without writing to its folder.
///
/// # Errors
///
/// `Unreachable` if it cannot be read or copied, `Busy` if another process keeps changing it.
pub(crate) fn open_read_only(path: &Path) -> Result<ReadOnlyCatalog, StoreError> {
    open_stable(path, false)
}

/// Opens a copy of a catalog without writing to its folder: other processes may write to the catalog
/// for as long as it is read.
///
/// # Errors
///
/// As [`open_read_only`].
pub(crate) fn open_read_only_copy(path: &Path) -> Result<ReadOnlyCatalog, StoreError> {
    open_stable(path, true)
}

fn open_stable(path: &Path, copied: bool) -> Result<ReadOnlyCatalog, StoreError> {
    /// How often to try again when the catalog changed while it was opened.
    const ATTEMPTS: usize = 20;
    let log = log_of(path);
    for _ in 0..ATTEMPTS {
        let before = [stamp(path), stamp(&log)];
        let has_log = before[1].is_some_and(|(len, _)| len > 0);
        let opened = if has_log || copied {
            open_copy(path, &log)?
        } else {
            open_immutable(path)?
        };
        if before == [stamp(path), stamp(&log)] {
            return Ok(opened);
        }
    }
    Err(StoreError::new(
        StoreErrorKind::Busy,
        format!(
            "{} cannot be written to and goes on changing: try again later",
            path.display()
        ),
    ))
}

/// Returns the path of a database's write-ahead log.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Reads the length of a file and the time of its last change. `None` if there is none.
fn stamp(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let metadata = path.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

fn open_immutable(path: &Path) -> Result<ReadOnlyCatalog, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let address = format!("file:{}?immutable=1", percent_encoded(path));
    let connection = Connection::open_with_flags(address, flags);
    let connection = connection.map_err(sqlite_error("open the catalog"))?;
    prepare(&connection)?;
    Ok(ReadOnlyCatalog {
        connection,
        copy: None,
    })
}

fn open_copy(path: &Path, log: &Path) -> Result<ReadOnlyCatalog, StoreError> {
    let making = |e| io_error("make a folder for a copy of", path, e);
    let copy = tempfile::tempdir().map_err(making)?;
    let to = copy.path().join("catalog.db");
    for (from, to) in [(path, &to), (log, &log_of(&to))] {
        match std::fs::copy(from, to) {
            Ok(_) => {}
            // The log was removed meanwhile: its changes are in the database, whose stamp differs.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_error("copy", from, e)),
        }
    }
    let connection = Connection::open(&to).map_err(sqlite_error("open the catalog"))?;
    prepare(&connection)?;
    Ok(ReadOnlyCatalog {
        connection,
        copy: Some(copy),
    })
}

/// Percent-encodes a path for a SQLite URI.
fn percent_encoded(path: &Path) -> String {
    let mut encoded = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    encoded
}
