//! The catalog of a store that cannot be written to: a folder of another user, or a mount that is
//! read-only.
//!
//! SQLite in WAL mode writes to the folder even to read: an index of the log in shared memory. So
//! where there is no log the database is opened as one that does not change (`immutable=1`), and
//! where there is one, both are copied and the copy is opened.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{cannot, catalog, catalog_failed};
use crate::store::{StoreError, StoreErrorKind};

/// A catalog that is only read.
pub(super) struct ReadOnly {
    pub(super) connection: Connection,
    /// The folder of the copy that it reads. `None` where it reads the store's own.
    pub(super) copy: Option<TempDir>,
}

/// Opens a catalog without writing to its folder.
///
/// # Errors
///
/// `Unreachable` where it cannot be read or copied, `Busy` where another process goes on changing
/// it.
pub(super) fn open(path: &Path) -> Result<ReadOnly, StoreError> {
    /// How often to begin again where it changed while it was read.
    const ATTEMPTS: usize = 20;
    let log = log_of(path);
    for _ in 0..ATTEMPTS {
        let before = [stamp(path), stamp(&log)];
        let has_log = before[1].is_some_and(|(len, _)| len > 0);
        let opened = if has_log {
            copied(path, &log)?
        } else {
            unchanging(path)?
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

/// The write-ahead log of a database.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Length and time of the last change. `None` where there is no such file.
fn stamp(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let metadata = path.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

fn unchanging(path: &Path) -> Result<ReadOnly, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let address = format!("file:{}?immutable=1", percent_encoded(path));
    let connection = Connection::open_with_flags(address, flags);
    let connection = connection.map_err(catalog_failed("open the catalog"))?;
    catalog::prepare(&connection)?;
    Ok(ReadOnly {
        connection,
        copy: None,
    })
}

fn copied(path: &Path, log: &Path) -> Result<ReadOnly, StoreError> {
    let making = |e| cannot("make a folder for a copy of", path, e);
    let copy = tempfile::tempdir().map_err(making)?;
    let to = copy.path().join("catalog.db");
    for (from, to) in [(path, &to), (log, &log_of(&to))] {
        match std::fs::copy(from, to) {
            Ok(_) => {}
            // The log has gone since: its changes are in the database, which has changed then.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(cannot("copy", from, e)),
        }
    }
    let connection = Connection::open(&to).map_err(catalog_failed("open the catalog"))?;
    catalog::prepare(&connection)?;
    Ok(ReadOnly {
        connection,
        copy: Some(copy),
    })
}

/// Writes a path as SQLite reads it in an address.
fn percent_encoded(path: &Path) -> String {
    let mut encoded = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("texts are written to without fail");
        }
    }
    encoded
}
