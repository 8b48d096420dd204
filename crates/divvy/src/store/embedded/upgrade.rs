//! Brings the catalogs of older programs up to date.
//!
//! | version | what changed |
//! |---|---|
//! | 1 | |
//! | 2 | the cube |
//! | 3 | checksums of rows, hashes of files, leftovers; id indexes of version 2 |

use std::path::Path;

use rusqlite::Connection;

use super::repair::rebuild_index;
use super::{catalog, catalog_failed, folder};
use crate::store::{StoreError, StoreErrorKind};

/// Brings a catalog up to [`catalog::VERSION`], in one transaction. Only for the holder of the
/// writer lock.
///
/// # Errors
///
/// `Damaged` for version 1, which lacks what cannot be made from the trips.
pub(super) fn upgrade(root: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    // Read under the lock: another process may have been faster.
    match catalog::version(connection)? {
        1 => Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "{} was made by a divvy that kept less for reports: load its archives again, \
                 into a new store",
                root.display()
            ),
        )),
        2 => from_2(root, connection),
        _ => Ok(()),
    }
}

/// Adds the checksums, computed from what stands there, and notes as leftover each file of a load
/// that was killed.
fn from_2(root: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let failed = catalog_failed("bring the catalog up to date");
    // Each index is exchanged by itself; killed here, the upgrade begins again and finds some of
    // them new.
    let mut indexes = Vec::new();
    for file in catalog::files_before_checksums(connection)? {
        indexes.push((file.id, rebuild_index(root, &file)?.written.hash));
    }
    let transaction = catalog::begin(connection)?;
    let mut statements = String::from(
        "ALTER TABLE file ADD COLUMN hash BLOB;
         ALTER TABLE file ADD COLUMN index_hash BLOB;
         CREATE TABLE leftover (path TEXT PRIMARY KEY) WITHOUT ROWID;
         CREATE TABLE forgotten (
             system TEXT, origin TEXT, trips_version INTEGER NOT NULL, PRIMARY KEY (system, origin)
         ) WITHOUT ROWID;
         DELETE FROM departures WHERE trips = 0;",
    );
    for (table, columns) in catalog::CHECKED {
        statements += &format!(
            "ALTER TABLE {table} ADD COLUMN checksum INTEGER;
             UPDATE {table} SET checksum = row_checksum({columns});"
        );
    }
    statements += &format!("PRAGMA user_version = {};", catalog::VERSION);
    transaction.execute_batch(&statements).map_err(&failed)?;
    for (file, hash) in indexes {
        catalog::put_index_hash(&transaction, file, hash)?;
    }
    for path in folder::unnamed(root, &catalog::files(&transaction, None)?)? {
        catalog::put_leftover(&transaction, &path)?;
    }
    transaction.commit().map_err(&failed)
}
