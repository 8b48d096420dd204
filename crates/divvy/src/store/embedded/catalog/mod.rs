//! The catalog: everything but the trips themselves, in one SQLite database.
//!
//! A file exists for the store only if a row of `file` names it. A commit is one transaction that
//! names files which are already durable.

mod counts;
mod damage;
mod files;
mod history;
mod history_parts;
mod identify;
mod ledger;
mod past_versions;
mod read_only;
mod row_checksum;
mod stations;
mod tables;
mod tallies;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, Params, Row, Transaction, TransactionBehavior};

use super::error::{corrupt_catalog, sqlite_error};
use crate::store::{StoreError, StoreErrorKind};

pub(super) use self::counts::*;
pub(super) use self::damage::*;
pub(super) use self::files::*;
pub(super) use self::history::*;
pub(super) use self::history_parts::*;
pub(super) use self::identify::*;
pub(super) use self::ledger::*;
pub(super) use self::past_versions::*;
pub(super) use self::read_only::{open_read_only, open_read_only_copy};
pub(super) use self::stations::*;
pub(super) use self::tables::{CHECKED, HISTORY_TABLES};
pub(super) use self::tallies::*;

/// The version of the tables, kept in `user_version`. Older catalogs are upgraded, newer ones
/// refused.
pub(super) const VERSION: i64 = 5;

/// How long SQLite waits for a lock of its own. Another process holds one for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens an empty catalog in memory.
pub(super) fn in_memory() -> Result<Connection, StoreError> {
    let connection = Connection::open_in_memory().map_err(sqlite_error("open the catalog"))?;
    prepare(&connection)?;
    create_tables(&connection)?;
    Ok(connection)
}

/// Opens the catalog of a store, and creates it if there is none. The caller holds the writer lock
/// if it may have to be created.
///
/// # Errors
///
/// `Damaged` if a newer program made it.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let failed = sqlite_error("open the catalog");
    let connection = Connection::open(path).map_err(&failed)?;
    // If opening for writing fails, SQLite opens read-only and all later writes fail.
    if connection.is_readonly("main").map_err(&failed)? {
        let message = format!("{} could not be opened to be written", path.display());
        return Err(StoreError::new(StoreErrorKind::Unreachable, message));
    }
    prepare(&connection)?;
    // EXTRA keeps commits durable even on file systems without write-ahead logs.
    connection
        .execute_batch("PRAGMA synchronous = EXTRA; PRAGMA journal_mode = WAL;")
        .map_err(&failed)?;
    let version = version(&connection)?;
    if version == 0 {
        create_tables(&connection)?;
    }
    reject_newer(path, version)?;
    Ok(connection)
}

/// Sets whether commits return before they are on the disk. With a write-ahead log the catalog stays
/// consistent either way, also after a power cut.
pub(super) fn defer_sync(catalog: &Connection, is_deferred: bool) -> Result<(), StoreError> {
    let pragmas = if is_deferred {
        "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 8000;"
    } else {
        "PRAGMA synchronous = EXTRA; PRAGMA wal_autocheckpoint = 1000;"
    };
    let failed = sqlite_error("prepare the catalog");
    catalog.execute_batch(pragmas).map_err(failed)
}

/// Writes all commits to the disk, into the database itself as far as no reader needs the log.
pub(super) fn sync(catalog: &Connection) -> Result<(), StoreError> {
    let failed = sqlite_error("write the catalog");
    let checkpoint = catalog.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    checkpoint.map_err(failed)
}

/// Sets what every connection needs: timeout, statement cache, SQL functions, foreign keys.
fn prepare(connection: &Connection) -> Result<(), StoreError> {
    let prepare = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        row_checksum::register(connection)?;
        connection.execute_batch("PRAGMA foreign_keys = ON;")
    };
    prepare().map_err(sqlite_error("open the catalog"))
}

fn create_tables(connection: &Connection) -> Result<(), StoreError> {
    let create = format!(
        "BEGIN IMMEDIATE; {} PRAGMA user_version = {VERSION}; COMMIT;",
        [tables::TABLES, HISTORY_TABLES]
            .concat()
            .replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
    );
    connection
        .execute_batch(&create)
        .map_err(sqlite_error("make the catalog"))
}

/// Reads the version of the tables. 0 if there are none.
pub(super) fn version(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(sqlite_error("open the catalog"))
}

/// Sets the version of the tables to [`VERSION`].
pub(super) fn set_version(connection: &Connection) -> Result<(), StoreError> {
    connection
        .pragma_update(None, "user_version", VERSION)
        .map_err(sqlite_error("write the catalog"))
}

/// Checks that a version is not newer than this program's.
///
/// # Errors
///
/// `Damaged` if it is.
pub(super) fn reject_newer(path: &Path, version: i64) -> Result<(), StoreError> {
    if version <= VERSION {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Damaged,
        format!(
            "{} was made by a newer divvy (tables of version {version}, this one reads {VERSION})",
            path.display()
        ),
    ))
}

/// Returns whether SQLite refuses to write through a connection although the file is writable.
///
/// SQLite keeps refusing on a connection that was opened while the disk was full or failing.
pub(super) fn refuses_writes(connection: &Connection) -> bool {
    let begun = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
    begun.is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::ReadOnly))
}

/// Begins a transaction that writes.
///
/// One that begins by reading and then writes fails with `SQLITE_BUSY_SNAPSHOT` if another process
/// has written in between.
pub(super) fn begin(catalog: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    catalog
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sqlite_error("write the catalog"))
}

/// Begins a transaction that reads, so that all its queries are answered of one moment.
pub(super) fn read(catalog: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    catalog
        .transaction()
        .map_err(sqlite_error("read the catalog"))
}

/// Runs `change` in a transaction of its own and commits it.
pub(super) fn in_transaction<T>(
    catalog: &mut Connection,
    change: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = begin(catalog)?;
    let result = change(&transaction)?;
    if let Err(error) = transaction.commit() {
        overwrite_failed_commit(catalog);
        return Err(sqlite_error("write the catalog")(error));
    }
    Ok(result)
}

/// Overwrites what a failed commit has left in the write-ahead log.
///
/// If only its `fsync` failed, all frames of the transaction are in the log. SQLite does not use
/// them, and the next writer overwrites them; but if the process is killed before, recovery takes
/// them for committed, although the caller has been given an error. A small transaction is written
/// in their place. Where that fails, too, they stay: the disk is failing.
fn overwrite_failed_commit(catalog: &Connection) {
    // The same version as before: an upgrade may have failed.
    if let Ok(version) = version(catalog) {
        let _ = catalog.pragma_update(None, "user_version", version);
    }
}

/// Moves what the write-ahead log holds into the database and empties it, so that damage of the
/// log cannot undo a commit that has been acknowledged. Leaves it as it is while another process
/// uses it, or if the disk fails: the commit is durable in the log.
pub(super) fn empty_log(catalog: &Connection) {
    let _ = catalog.busy_timeout(Duration::ZERO);
    let _ = catalog.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    let _ = catalog.busy_timeout(BUSY_TIMEOUT);
}

/// Why a row could not be read.
enum ReadError {
    Sqlite(rusqlite::Error),
    /// A value is not what this program wrote.
    Value(StoreError),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Value(error)
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlite(error) => sqlite_error("read the catalog")(error),
            ReadError::Value(error) => error,
        }
    }
}

/// Reads all rows of a query.
fn query<T>(
    catalog: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T, ReadError>,
) -> Result<Vec<T>, StoreError> {
    let query = || -> Result<Vec<T>, ReadError> {
        let mut statement = catalog.prepare_cached(sql)?;
        statement.query_and_then(params, read)?.collect()
    };
    Ok(query()?)
}

/// Reads the first row of a query. `None` if there is none.
fn query_first<T>(
    catalog: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, ReadError>,
) -> Result<Option<T>, StoreError> {
    let query = || -> Result<Option<T>, ReadError> {
        let mut statement = catalog.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    };
    Ok(query()?)
}

/// Runs a statement that writes.
fn execute(catalog: &Connection, sql: &str, params: impl Params) -> Result<(), StoreError> {
    let execute = || catalog.prepare_cached(sql)?.execute(params);
    execute().map_err(sqlite_error("write the catalog"))?;
    Ok(())
}

/// Returns the last number that was given out in a table with `AUTOINCREMENT`. 0 if none was.
fn last_sequence(catalog: &Connection, table: &str) -> Result<u64, StoreError> {
    // The numbers of the rows too: SQLite's table of the last numbers has no checksums.
    let select = format!(
        "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0),
                    coalesce((SELECT max(sequence) FROM {table}), 0))"
    );
    let last = query_first(catalog, &select, [table], |row| Ok(row.get(0)?))?;
    Ok(last.unwrap_or(0))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(corrupt_catalog)
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("these types have text for keys and no floats but finite ones")
}

fn to_ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn from_ms(ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(ms).map_err(corrupt_catalog)
}
