//! The catalog: everything but the trips themselves, in one SQLite database.
//!
//! What no row of `file` names does not exist: a commit is one transaction that names files which
//! are durable already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Row as SqlRow, Transaction,
    TransactionBehavior, params,
};

use super::index::Written;
use super::{catalog_failed, corrupt, read_only, row_checksum};
use crate::issue::{Reason, RejectedCounts};
use crate::model::{BoundingBox, Rider, Station, StationId, System, SystemId};
use crate::stations::data::{Row, StationData, Write};
use crate::store::{
    ArchiveId, COUNTS_CONSUMER, Change, ContentHash, FeedState, FromStationCount, LedgerEntry,
    StoreError, StoreErrorKind,
};
use crate::tally::{Cube, Days, FlagCounts, Hours, Names, Part, Parts, Riders, Stations, Totals};

/// The version of the tables. Older ones are upgraded ([`upgrade`](super::upgrade)), newer ones
/// refused.
pub(super) const VERSION: i64 = 3;

const TABLES: &str = "
CREATE TABLE system (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, time_zone TEXT NOT NULL,
    area TEXT,            -- south, west, north, east as JSON
    totals BLOB,          -- over all archives, without the cube
    checksum INTEGER
) WITHOUT ROWID;
CREATE TABLE archive (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    system TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL,
    loaded_at INTEGER NOT NULL,     -- ms since 1970
    rows_read INTEGER NOT NULL,
    rejected TEXT NOT NULL,         -- {reason: n} as JSON, without the duplicates
    members TEXT NOT NULL,          -- names as JSON, by place
    totals BLOB NOT NULL,           -- of the trips that are stored under it, without the cube
    checksum INTEGER,
    UNIQUE (system, content)
);
CREATE TABLE cube (
    system TEXT NOT NULL,
    archive INTEGER NOT NULL,       -- 0 for all of them together
    part TEXT NOT NULL, month INTEGER NOT NULL,
    cells BLOB NOT NULL,
    checksum INTEGER,
    UNIQUE (system, archive, part, month)
);
CREATE TABLE file (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    archive INTEGER NOT NULL REFERENCES archive, member INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('trips', 'duplicates')),
    path TEXT NOT NULL UNIQUE,      -- below the store's folder
    rows INTEGER NOT NULL,
    key_min BLOB NOT NULL, key_max BLOB NOT NULL,  -- of the id index, big-endian
    hash BLOB, index_hash BLOB,     -- XXH3-128 of the file and of its id index; NULL if not known
    checksum INTEGER
);
CREATE TABLE leftover (
    path TEXT PRIMARY KEY           -- of a file that may be there and is no part of the store
) WITHOUT ROWID;
CREATE TABLE forgotten (
    -- an id that no trip uses any more: counts of it before this version, but 0, are of trips that are gone
    system TEXT, origin TEXT, trips_version INTEGER NOT NULL, PRIMARY KEY (system, origin)
) WITHOUT ROWID;
CREATE TABLE departures (
    system TEXT, origin TEXT, trips INTEGER NOT NULL, checksum INTEGER,
    PRIMARY KEY (system, origin)
) WITHOUT ROWID;
CREATE TABLE station (
    system TEXT, id TEXT, row TEXT NOT NULL, written_at INTEGER, checksum INTEGER,
    PRIMARY KEY (system, id)
) WITHOUT ROWID;
CREATE TABLE feed (
    system TEXT PRIMARY KEY, status_at INTEGER, information_at INTEGER,
    listed TEXT NOT NULL, -- ids as JSON
    checksum INTEGER
) WITHOUT ROWID;
CREATE TABLE status_history (
    system TEXT, station TEXT, taken_at INTEGER, status TEXT,
    vehicles INTEGER, ebikes INTEGER, vehicles_disabled INTEGER,
    docks INTEGER, docks_disabled INTEGER, reported_at INTEGER, checksum INTEGER,
    PRIMARY KEY (system, station, taken_at)
) WITHOUT ROWID;
CREATE TABLE change (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    system TEXT NOT NULL, station TEXT NOT NULL, report_time_only INTEGER NOT NULL,
    made_at INTEGER,     -- of the snapshot; NULL for a change that no feed made
    checksum INTEGER
);
CREATE TABLE checkpoint (
    consumer TEXT PRIMARY KEY, sequence INTEGER NOT NULL, checksum INTEGER
) WITHOUT ROWID;
CREATE TABLE from_station_count (
    system TEXT, from_station_id TEXT, from_count INTEGER NOT NULL,
    trips_version INTEGER, refreshed_at INTEGER NOT NULL, checksum INTEGER,
    PRIMARY KEY (system, from_station_id)
) WITHOUT ROWID;
";

/// Each table whose rows carry a checksum ([`row_checksum`]), with the columns that it is of.
pub(super) const CHECKED: [(&str, &str); 11] = [
    ("system", "id, name, time_zone, area, totals"),
    (
        "archive",
        "sequence, system, name, content, loaded_at, rows_read, rejected, members, totals",
    ),
    ("cube", "system, archive, part, month, cells"),
    (
        "file",
        "archive, member, kind, path, rows, key_min, key_max, hash, index_hash",
    ),
    ("departures", "system, origin, trips"),
    ("station", "system, id, row, written_at"),
    ("feed", "system, status_at, information_at, listed"),
    (
        "from_station_count",
        "system, from_station_id, from_count, trips_version, refreshed_at",
    ),
    (
        "status_history",
        "system, station, taken_at, status, vehicles, ebikes, vehicles_disabled, docks, \
         docks_disabled, reported_at",
    ),
    (
        "change",
        "sequence, system, station, report_time_only, made_at",
    ),
    ("checkpoint", "consumer, sequence"),
];

/// How long to wait for a lock of SQLite. Another process holds one for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Whose tables a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// Those of a catalog.
    Ours,
    /// None at all.
    None,
    /// Those of another program.
    Others,
    /// Not to be seen: a process was killed while it wrote them without a write-ahead log, as it
    /// does when it makes a catalog. [`tables_rolled_back`] makes them what they were before.
    Interrupted,
}

fn has_hot_journal(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

/// Looks whose database a file is, without writing to it.
///
/// # Errors
///
/// `Damaged` where it is no database or cannot be read as one.
pub(super) fn tables_of(path: &Path) -> Result<Tables, StoreError> {
    let look = || {
        count_tables(&Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY,
        )?)
    };
    let failed = catalog_failed("open the catalog");
    match look() {
        // As where the folder cannot be written to.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            count_tables(&read_only::open(path)?.connection).map_err(failed)
        }
        Err(error) if has_hot_journal(&error) => Ok(Tables::Interrupted),
        counted => counted.map_err(failed),
    }
}

/// Looks whose database a file is, and takes back what an interrupted process wrote to it.
///
/// # Errors
///
/// As [`tables_of`].
pub(super) fn tables_rolled_back(path: &Path) -> Result<Tables, StoreError> {
    let look = || count_tables(&Connection::open(path)?);
    look().map_err(catalog_failed("open the catalog"))
}

fn count_tables(connection: &Connection) -> rusqlite::Result<Tables> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let (all, ours): (u32, u32) = connection.query_row(
        "SELECT count(*), count(*) FILTER (WHERE name IN ('system', 'archive', 'file'))
         FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(match (all, ours) {
        (_, 3) => Tables::Ours,
        (0, _) => Tables::None,
        _ => Tables::Others,
    })
}

/// Lists what is wrong with the catalog itself, one sentence each: pages that SQLite finds
/// malformed, rows that are not what was written.
pub(super) fn faults(catalog: &Connection) -> Result<Vec<String>, StoreError> {
    let text = |row: &SqlRow<'_>| row.get::<_, String>(0);
    // A damaged database may also fail to say so.
    let mut faults = match all(catalog, "PRAGMA integrity_check", [], text) {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
        Err(error) => vec![error.to_string()],
    };
    for (table, columns) in CHECKED {
        let count =
            format!("SELECT count(*) FROM {table} WHERE checksum IS NOT row_checksum({columns})");
        match catalog.query_row(&count, [], |row| row.get::<_, u64>(0)) {
            Ok(0) => {}
            Ok(n) => faults.push(format!(
                "{n} rows of its table {table} are not what was written"
            )),
            Err(error) => faults.push(format!("its table {table} cannot be read: {error}")),
        }
    }
    Ok(faults)
}

/// Lists the name and the system of every archive whose own row, or a row of one of its files, is
/// not what was written.
pub(super) fn damaged_archives(catalog: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let [archive, file] = ["archive", "file"].map(is_damaged);
    all(
        catalog,
        &format!(
            "SELECT name, system FROM archive
             WHERE {archive} OR sequence IN (SELECT archive FROM file WHERE {file})"
        ),
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// The SQL condition of a row that is not what was written.
fn is_damaged(table: &str) -> String {
    let columns = CHECKED.iter().find(|(name, _)| *name == table);
    let columns = columns.map_or("", |(_, columns)| columns);
    format!("{table}.checksum IS NOT row_checksum({columns})")
}

/// Removes every row that is not what was written, and with an archive's row, or one of its files',
/// the archive; of a system the totals alone, and its name and place are made those of the table
/// where it is one of it. Returns how many rows of which table.
pub(super) fn drop_damaged(catalog: &Connection) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut dropped = Vec::new();
    let archives: Vec<u64> = all(
        catalog,
        &format!(
            "SELECT sequence FROM archive
             WHERE {} OR sequence IN (SELECT archive FROM file WHERE {})",
            is_damaged("archive"),
            is_damaged("file")
        ),
        [],
        |row| row.get(0),
    )?;
    for (table, columns) in CHECKED {
        let condition = is_damaged(table);
        let count = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let n: Vec<u64> = all(catalog, &count, [], |row| row.get(0))?;
        if n == [0] {
            continue;
        }
        dropped.extend(n.into_iter().map(|n| (table, n)));
        if table == "system" {
            let ids: Vec<String> = all(
                catalog,
                &format!("SELECT id FROM system WHERE {condition}"),
                [],
                |row| row.get(0),
            )?;
            for id in ids {
                run(
                    catalog,
                    "UPDATE system SET totals = NULL WHERE id = ?",
                    [&id],
                )?;
                if let Some(known) = System::named(&id) {
                    run(
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
                let checksum =
                    format!("UPDATE system SET checksum = row_checksum({columns}) WHERE id = ?");
                run(catalog, &checksum, [&id])?;
            }
        } else if table != "archive" && table != "file" {
            run(
                catalog,
                &format!("DELETE FROM {table} WHERE {condition}"),
                [],
            )?;
        }
    }
    for archive in archives {
        run(
            catalog,
            "INSERT OR IGNORE INTO leftover SELECT path FROM file WHERE archive = ?",
            [archive],
        )?;
        delete_archive(catalog, archive)?;
    }
    Ok(dropped)
}

/// Forgets the totals of a system, its cube and its departures.
pub(super) fn clear_totals(catalog: &Connection, system: &SystemId) -> Result<(), StoreError> {
    for delete in [
        "DELETE FROM departures WHERE system = ?",
        "DELETE FROM cube WHERE system = ? AND archive = 0",
    ] {
        run(catalog, delete, [system.as_str()])?;
    }
    Ok(())
}

/// Writes what is known of an id index that was built again.
pub(super) fn put_index(
    catalog: &Connection,
    file: i64,
    index: &Written,
) -> Result<(), StoreError> {
    let (min, max) = index.keys.bounds;
    run(
        catalog,
        "UPDATE file SET index_hash = ?1, key_min = ?2, key_max = ?3, checksum = row_checksum(
             archive, member, kind, path, rows, ?2, ?3, hash, ?1)
         WHERE id = ?4",
        params![
            index.hash.to_be_bytes(),
            min.to_be_bytes(),
            max.to_be_bytes(),
            file
        ],
    )?;
    Ok(())
}

/// Begins a transaction that writes. One that begins by reading and then writes fails where another
/// process has written in between (`SQLITE_BUSY_SNAPSHOT`).
pub(super) fn begin(catalog: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    catalog
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(catalog_failed("write the catalog"))
}

/// Makes a catalog in memory, empty.
pub(super) fn in_memory() -> Result<Connection, StoreError> {
    let connection = Connection::open_in_memory().map_err(catalog_failed("open the catalog"))?;
    prepare(&connection)?;
    make_tables(&connection)?;
    Ok(connection)
}

/// Opens the catalog of a store, and makes it where there is none. For the holder of the writer
/// lock, where it may have to be made.
///
/// # Errors
///
/// `Damaged` for one that a newer program has made.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let failed = catalog_failed("open the catalog");
    let connection = Connection::open(path).map_err(&failed)?;
    // Where opening fails SQLite opens to read alone, and all later writes fail.
    if connection.is_readonly("main").map_err(&failed)? {
        let message = format!("{} could not be opened to be written", path.display());
        return Err(StoreError::new(StoreErrorKind::Unreachable, message));
    }
    prepare(&connection)?;
    // EXTRA: where a file system has no write-ahead log, a commit is durable too.
    connection
        .execute_batch("PRAGMA synchronous = EXTRA; PRAGMA journal_mode = WAL;")
        .map_err(&failed)?;
    let version = version(&connection)?;
    if version == 0 {
        make_tables(&connection)?;
    }
    expect_known(path, version)?;
    Ok(connection)
}

/// Tells whether a connection cannot write, although its file can be written to: so it stays for
/// SQLite where the disk was full, or failed, when it was opened.
pub(super) fn is_stuck(connection: &Connection) -> bool {
    let begun = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
    begun.is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::ReadOnly))
}

/// Sets what every connection needs.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    let prepare = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(64);
        row_checksum::register(connection)?;
        connection.execute_batch("PRAGMA foreign_keys = ON;")
    };
    prepare().map_err(catalog_failed("open the catalog"))
}

fn make_tables(connection: &Connection) -> Result<(), StoreError> {
    let make = format!(
        "BEGIN IMMEDIATE; {} PRAGMA user_version = {VERSION}; COMMIT;",
        TABLES.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
    );
    connection
        .execute_batch(&make)
        .map_err(catalog_failed("make the catalog"))
}

/// Reads the version of the tables. 0 where there are none.
pub(super) fn version(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(catalog_failed("open the catalog"))
}

/// Refuses the tables of a newer program.
pub(super) fn expect_known(path: &Path, version: i64) -> Result<(), StoreError> {
    if version <= VERSION {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Damaged,
        format!(
            "{} was made by a newer divvy (tables of version {version}, this one knows {VERSION})",
            path.display()
        ),
    ))
}

/// A trips file or duplicates file that the catalog names.
#[derive(Clone, Debug)]
pub(super) struct FileRow {
    pub(super) id: i64,
    pub(super) archive: u64,
    pub(super) member: usize,
    pub(super) kind: Kind,
    /// Below the store's folder.
    pub(super) path: String,
    pub(super) rows: u64,
    pub(super) keys: (u64, u64),
    /// The XXH3-128 hash of the file. `None` where an older program wrote it.
    pub(super) hash: Option<u128>,
    /// The XXH3-128 hash of its id index. `None` as for `hash`.
    pub(super) index_hash: Option<u128>,
}

/// What a file of trips is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Stored trips.
    Trips,
    /// Copies that lost to another.
    Duplicates,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Trips => "trips",
            Self::Duplicates => "duplicates",
        }
    }
}

fn all<T, P: Params>(
    catalog: &Connection,
    sql: &str,
    params: P,
    row: impl FnMut(&SqlRow<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let read = || -> rusqlite::Result<Vec<T>> {
        let mut statement = catalog.prepare_cached(sql)?;
        statement.query_map(params, row)?.collect()
    };
    read().map_err(catalog_failed("read the catalog"))
}

fn run(catalog: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    let run = || catalog.prepare_cached(sql)?.execute(params);
    run().map_err(catalog_failed("write the catalog"))
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(corrupt)
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("these types have text for keys and no floats but finite ones")
}

fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn instant(ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(ms).map_err(corrupt)
}

/// Packs totals as the catalog keeps them: Postcard, then Zstandard. The cube is kept apart.
fn pack(totals: &mut Totals) -> Vec<u8> {
    let cube = std::mem::take(&mut totals.cube);
    let bytes = postcard::to_stdvec(totals).expect("totals are maps, lists and numbers");
    totals.cube = cube;
    zstd::bulk::compress(&bytes, 1).expect("memory is written to without fail")
}

fn unpack(blob: &[u8]) -> Result<Totals, StoreError> {
    postcard::from_bytes(&decompressed(blob)?).map_err(corrupt)
}

/// Decompresses at once: each blob tells how much it is.
fn decompressed(blob: &[u8]) -> Result<Vec<u8>, StoreError> {
    // More is not kept, and a damaged blob could ask for all the memory there is.
    const MOST: u64 = 1 << 30;
    let size = zstd::zstd_safe::get_frame_content_size(blob).ok().flatten();
    let size = size.filter(|size| *size < MOST);
    let size = size.ok_or_else(|| corrupt(std::io::Error::other("it does not tell its size")))?;
    zstd::bulk::decompress(blob, size as usize).map_err(corrupt)
}

// Systems

pub(super) fn systems(catalog: &Connection) -> Result<Vec<System>, StoreError> {
    let rows = all(
        catalog,
        "SELECT id, name, time_zone, area FROM system
         WHERE is_intact('system', checksum, id, name, time_zone, area, totals) ORDER BY id",
        [],
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get::<_, Option<String>>(3)?,
            ))
        },
    )?;
    rows.into_iter()
        .map(|(id, name, time_zone, area)| {
            let area: Option<BoundingBox> = area.as_deref().map(json).transpose()?;
            Ok(System {
                id: id.into(),
                name,
                time_zone,
                area,
            })
        })
        .collect()
}

pub(super) fn put_system(catalog: &Connection, system: &System) -> Result<(), StoreError> {
    run(
        catalog,
        "INSERT INTO system (id, name, time_zone, area, checksum)
         VALUES (?1, ?2, ?3, ?4, row_checksum(?1, ?2, ?3, ?4, NULL))
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, area = excluded.area, checksum =
             row_checksum(system.id, excluded.name, time_zone, excluded.area, totals)",
        params![
            system.id.as_str(),
            system.name,
            system.time_zone,
            system.area.as_ref().map(to_json)
        ],
    )?;
    Ok(())
}

// Totals

/// Reads the totals of a system, without the cube.
pub(super) fn totals(catalog: &Connection, system: &SystemId) -> Result<Totals, StoreError> {
    let blob: Option<Option<Vec<u8>>> = catalog
        .query_row(
            "SELECT totals FROM system
             WHERE id = ? AND is_intact('system', checksum, id, name, time_zone, area, totals)",
            [system.as_str()],
            |row| row.get(0),
        )
        .optional()
        .map_err(catalog_failed("read the catalog"))?;
    match blob.flatten() {
        Some(blob) => unpack(&blob),
        None => Ok(Totals::default()),
    }
}

/// Writes the totals of a system, and the departures that differ from `before`.
pub(super) fn put_totals(
    catalog: &Connection,
    system: &SystemId,
    totals: &mut Totals,
    before: &Totals,
) -> Result<(), StoreError> {
    run(
        catalog,
        "UPDATE system SET totals = ?1, checksum = row_checksum(id, name, time_zone, area, ?1)
         WHERE id = ?2",
        params![pack(totals), system.as_str()],
    )?;
    let origins: BTreeSet<&StationId> = (totals.stations.0.keys())
        .chain(before.stations.0.keys())
        .collect();
    for origin in origins {
        let trips = totals.stations.departures(origin);
        if trips == before.stations.departures(origin) {
            continue;
        }
        let key = [system.as_str(), origin.as_str()];
        if trips == 0 {
            run(
                catalog,
                "DELETE FROM departures WHERE system = ? AND origin = ?",
                key,
            )?;
            continue;
        }
        run(
            catalog,
            "INSERT INTO departures VALUES (?1, ?2, ?3, row_checksum(?1, ?2, ?3))
             ON CONFLICT DO UPDATE SET trips = excluded.trips, checksum = excluded.checksum",
            params![key[0], key[1], trips],
        )?;
    }
    Ok(())
}

/// The place of the cube over all archives, where archives have their sequence.
pub(super) const ALL_ARCHIVES: u64 = 0;

/// Reads parts of the cube of an archive, or of [`ALL_ARCHIVES`].
pub(super) fn cube(
    catalog: &Connection,
    system: &SystemId,
    archive: u64,
    parts: Parts,
) -> Result<Cube, StoreError> {
    let kept = all(
        catalog,
        "SELECT rowid, part, month FROM cube WHERE system = ? AND archive = ?",
        params![system.as_str(), archive],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get(2)?)),
    )?;
    let mut cube = Cube::default();
    for (rowid, name, month) in kept {
        let Some(part) = Part::named(&name, month).filter(|part| parts.contain(*part)) else {
            continue;
        };
        // Decompressed where it lies: a copy of some megabytes would cost as much as to read them.
        let opened = all(
            catalog,
            "SELECT system, archive, part, month, cells, checksum FROM cube WHERE rowid = ?",
            [rowid],
            |row| {
                let values = (0..5).map(|place| row.get_ref(place));
                let values = values.collect::<rusqlite::Result<Vec<_>>>()?;
                if row.get::<_, i64>(5)? != row_checksum::of(values.iter().copied()) {
                    return Err(row_checksum::mismatch("cube"));
                }
                Ok(decompressed(values[4].as_blob()?))
            },
        )?;
        for bytes in opened {
            cube.put(part, bytes?).map_err(corrupt)?;
        }
    }
    Ok(cube)
}

/// The parts of a cube as they are kept: packed, and compressed.
pub(super) type Cells = BTreeMap<Part, Vec<u8>>;

/// Compresses the parts of a cube that are not the same in `before`.
pub(super) fn cells(cube: &Cube, before: &Cube) -> Cells {
    let before = before.packed();
    let packed = cube.packed();
    let changed = packed
        .iter()
        .filter(|(part, bytes)| before.get(part) != Some(bytes));
    let compress =
        |bytes: &[u8]| zstd::bulk::compress(bytes, 1).expect("memory is written to without fail");
    let gone = before.keys().filter(|part| !packed.contains_key(part));
    changed
        .map(|(part, bytes)| (*part, compress(bytes)))
        .chain(gone.map(|part| (*part, Vec::new())))
        .collect()
}

/// Writes parts of the cube of an archive, or of [`ALL_ARCHIVES`]; one without cells goes.
pub(super) fn put_cells(
    catalog: &Connection,
    system: &SystemId,
    archive: u64,
    cells: &Cells,
) -> Result<(), StoreError> {
    for (part, cells) in cells {
        run(
            catalog,
            "DELETE FROM cube WHERE system = ? AND archive = ? AND part = ? AND month = ?",
            params![system.as_str(), archive, part.name(), part.month()],
        )?;
        if !cells.is_empty() {
            run(
                catalog,
                "INSERT INTO cube VALUES (?1, ?2, ?3, ?4, ?5, row_checksum(?1, ?2, ?3, ?4, ?5))",
                params![system.as_str(), archive, part.name(), part.month(), cells],
            )?;
        }
    }
    Ok(())
}

pub(super) fn departures(
    catalog: &Connection,
    system: &SystemId,
    origin: &StationId,
) -> Result<u64, StoreError> {
    let found = all(
        catalog,
        "SELECT trips FROM departures WHERE system = ? AND origin = ?
         AND is_intact('departures', checksum, system, origin, trips)",
        [system.as_str(), origin.as_str()],
        |row| row.get(0),
    )?;
    Ok(found.first().copied().unwrap_or(0))
}

/// Lists the departures of every station that has some.
pub(super) fn all_departures(
    catalog: &Connection,
    system: &SystemId,
) -> Result<BTreeMap<StationId, u64>, StoreError> {
    let rows = all(
        catalog,
        "SELECT origin, trips FROM departures
         WHERE system = ? AND is_intact('departures', checksum, system, origin, trips)",
        [system.as_str()],
        |row| Ok((row.get::<_, String>(0)?, row.get(1)?)),
    )?;
    Ok(rows
        .into_iter()
        .map(|(origin, trips)| (origin.into(), trips))
        .collect())
}

// Archives and files

/// An archive with what only its own store needs to know.
pub(super) struct ArchiveRow {
    pub(super) entry: LedgerEntry,
    pub(super) members: Vec<String>,
    /// Without the cube, as [`archives`] reads them.
    pub(super) totals: Totals,
}

/// What tells the archives of a system apart.
pub(super) struct ArchiveKey {
    pub(super) sequence: u64,
    pub(super) name: String,
    pub(super) content: ContentHash,
}

/// Lists what tells the archives of a system apart, by sequence.
pub(super) fn archive_keys(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Vec<ArchiveKey>, StoreError> {
    let rows = all(
        catalog,
        "SELECT sequence, name, content FROM archive WHERE system = ? ORDER BY sequence",
        [system.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)),
    )?;
    rows.into_iter()
        .map(|(sequence, name, content)| {
            Ok(ArchiveKey {
                sequence,
                name,
                content: content_hash(&content)?,
            })
        })
        .collect()
}

fn content_hash(text: &str) -> Result<ContentHash, StoreError> {
    u128::from_str_radix(text, 16)
        .map(ContentHash)
        .map_err(corrupt)
}

/// Which archives of a system to read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// All of them.
    All,
    /// The one of that content.
    Content(ContentHash),
    /// The one of that sequence.
    Sequence(u64),
}

/// Reads archives of a system, by sequence.
pub(super) fn archives(
    catalog: &Connection,
    system: &SystemId,
    which: Which,
) -> Result<Vec<ArchiveRow>, StoreError> {
    let (content, sequence) = match which {
        Which::All => (None, None),
        Which::Content(content) => (Some(content.to_string()), None),
        Which::Sequence(sequence) => (None, Some(sequence)),
    };
    let found = systems(catalog)?.into_iter().find(|s| s.id == *system);
    let Some(found) = found else {
        return Ok(Vec::new());
    };
    let rows = all(
        catalog,
        "SELECT sequence, name, content, loaded_at, rows_read, rejected, members, totals,
                (SELECT coalesce(sum(rows), 0) FROM file
                 WHERE file.archive = sequence AND kind = 'duplicates')
         FROM archive
         WHERE system = ?1 AND (?2 IS NULL OR content = ?2) AND (?3 IS NULL OR sequence = ?3)
             AND is_intact('archive', checksum, sequence, system, name, content, loaded_at,
                 rows_read, rejected, members, totals)
         ORDER BY sequence",
        params![system.as_str(), content, sequence],
        |row| {
            Ok((
                row.get::<_, u64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, u64>(4)?,
                row.get::<_, String>(5)?,
                row.get::<_, String>(6)?,
                row.get::<_, Vec<u8>>(7)?,
                row.get::<_, u64>(8)?,
            ))
        },
    )?;
    rows.into_iter()
        .map(|row| {
            let (sequence, name, content, loaded_at, rows_read, rejected, members, totals, losers) =
                row;
            let totals = unpack(&totals)?;
            let by_name: BTreeMap<String, u64> = json(&rejected)?;
            let mut rejected: RejectedCounts = by_name
                .into_iter()
                .filter_map(|(name, n)| Some((Reason::named(&name)?, n)))
                .collect();
            if losers > 0 {
                rejected.insert(Reason::Duplicate, losers);
            }
            let entry = LedgerEntry {
                id: ArchiveId {
                    system: found.clone(),
                    name,
                    content: content_hash(&content)?,
                },
                sequence,
                loaded_at: instant(loaded_at)?,
                rows_read,
                stored: u64::try_from(totals.trips).map_err(corrupt)?,
                rejected,
                flagged: totals.flags.clone(),
            };
            Ok(ArchiveRow {
                entry,
                members: json(&members)?,
                totals,
            })
        })
        .collect()
}

pub(super) fn archive_names(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Vec<String>, StoreError> {
    all(
        catalog,
        "SELECT name FROM archive WHERE system = ? AND is_intact('archive', checksum, sequence,
             system, name, content, loaded_at, rows_read, rejected, members, totals)",
        [system.as_str()],
        |row| row.get(0),
    )
}

pub(super) fn next_sequence(catalog: &Connection) -> Result<u64, StoreError> {
    Ok(last_of(catalog, "archive")? + 1)
}

/// Returns the last number that was given out in a table with `AUTOINCREMENT`. 0 where none was.
fn last_of(catalog: &Connection, table: &str) -> Result<u64, StoreError> {
    let last: Vec<u64> = all(
        catalog,
        "SELECT seq FROM sqlite_sequence WHERE name = ?",
        [table],
        |row| row.get(0),
    )?;
    Ok(last.first().copied().unwrap_or(0))
}

pub(super) fn put_archive(
    catalog: &Connection,
    archive: &mut ArchiveRow,
) -> Result<(), StoreError> {
    let LedgerEntry {
        id,
        sequence,
        loaded_at,
        rows_read,
        stored: _,
        rejected,
        flagged: _,
    } = &archive.entry;
    let rejected: BTreeMap<&str, u64> = rejected
        .iter()
        .filter(|(reason, _)| **reason != Reason::Duplicate)
        .map(|(reason, n)| (reason.as_str(), *n))
        .collect();
    run(
        catalog,
        "INSERT INTO archive VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
             row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9))",
        params![
            sequence,
            id.system.id.as_str(),
            id.name,
            id.content.to_string(),
            ms(*loaded_at),
            rows_read,
            to_json(&rejected),
            to_json(&archive.members),
            pack(&mut archive.totals)
        ],
    )?;
    Ok(())
}

pub(super) fn put_archive_totals(
    catalog: &Connection,
    sequence: u64,
    totals: &mut Totals,
) -> Result<(), StoreError> {
    run(
        catalog,
        "UPDATE archive SET totals = ?1, checksum = row_checksum(sequence, system, name, content,
             loaded_at, rows_read, rejected, members, ?1)
         WHERE sequence = ?2",
        params![pack(totals), sequence],
    )?;
    Ok(())
}

/// Forgets a system of which nothing is left: no archive and no station.
pub(super) fn delete_system_if_empty(
    catalog: &Connection,
    system: &SystemId,
) -> Result<(), StoreError> {
    let left: Vec<bool> = all(
        catalog,
        "SELECT EXISTS (SELECT 1 FROM archive WHERE system = ?1)
             OR EXISTS (SELECT 1 FROM station WHERE system = ?1)
             OR EXISTS (SELECT 1 FROM feed WHERE system = ?1)",
        [system.as_str()],
        |row| row.get(0),
    )?;
    if left == [false] {
        for table in ["system", "cube", "departures", "from_station_count"] {
            let key = if table == "system" { "id" } else { "system" };
            let delete = format!("DELETE FROM {table} WHERE {key} = ?");
            run(catalog, &delete, [system.as_str()])?;
        }
    }
    Ok(())
}

/// Forgets an archive and its files.
pub(super) fn delete_archive(catalog: &Connection, sequence: u64) -> Result<(), StoreError> {
    run(catalog, "DELETE FROM file WHERE archive = ?", [sequence])?;
    run(catalog, "DELETE FROM cube WHERE archive = ?", [sequence])?;
    run(
        catalog,
        "DELETE FROM archive WHERE sequence = ?",
        [sequence],
    )?;
    Ok(())
}

/// Lists the files of one system, or of all.
pub(super) fn files(
    catalog: &Connection,
    system: Option<&SystemId>,
) -> Result<Vec<FileRow>, StoreError> {
    all(
        catalog,
        "SELECT file.id, archive, member, kind, path, rows, key_min, key_max, hash, index_hash
         FROM file JOIN archive ON sequence = archive
         WHERE (?1 IS NULL OR system = ?1) AND is_intact('file', file.checksum, archive, member,
             kind, path, rows, key_min, key_max, hash, index_hash)
         ORDER BY archive, member, file.id",
        [system.map(SystemId::as_str)],
        |row| {
            Ok(FileRow {
                hash: row.get::<_, Option<[u8; 16]>>(8)?.map(u128::from_be_bytes),
                index_hash: row.get::<_, Option<[u8; 16]>>(9)?.map(u128::from_be_bytes),
                ..file_row(row)?
            })
        },
    )
}

/// The table of the cube as version 2 had it, for catalogs of version 1.
pub(super) const CUBE_BEFORE_CHECKSUMS: &str = "
CREATE TABLE cube (
    system TEXT NOT NULL, archive INTEGER NOT NULL, part TEXT NOT NULL, month INTEGER NOT NULL,
    cells BLOB NOT NULL, UNIQUE (system, archive, part, month)
);
";

/// An archive in a catalog of version 1 or 2.
pub(super) struct OldArchive {
    pub(super) sequence: u64,
    pub(super) system: String,
    pub(super) name: String,
    /// As that version packed them.
    totals: Vec<u8>,
}

/// Lists all archives in a catalog of version 1 or 2, by sequence.
pub(super) fn archives_before_checksums(
    catalog: &Connection,
) -> Result<Vec<OldArchive>, StoreError> {
    all(
        catalog,
        "SELECT sequence, system, name, totals FROM archive ORDER BY sequence",
        [],
        |row| {
            Ok(OldArchive {
                sequence: row.get(0)?,
                system: row.get(1)?,
                name: row.get(2)?,
                totals: row.get(3)?,
            })
        },
    )
}

/// Reads what the files of an archive call their stations.
pub(super) fn names_before_checksums(
    archive: &OldArchive,
    version: i64,
) -> Result<Names, StoreError> {
    /// The totals of version 1, field by field; the fifth are durations by rider.
    type Totals1 = (
        i64,
        Stations,
        Hours,
        Days,
        BTreeMap<Rider, BTreeMap<i64, i64>>,
        Riders,
        FlagCounts,
        Names,
    );
    if version > 1 {
        return Ok(unpack(&archive.totals)?.names);
    }
    let totals: Totals1 = postcard::from_bytes(&decompressed(&archive.totals)?).map_err(corrupt)?;
    Ok(totals.7)
}

/// Lists all files in a catalog of version 1 or 2, which has no checksums and no hashes.
pub(super) fn files_before_checksums(catalog: &Connection) -> Result<Vec<FileRow>, StoreError> {
    all(
        catalog,
        "SELECT id, archive, member, kind, path, rows, key_min, key_max FROM file",
        [],
        file_row,
    )
}

fn file_row(row: &SqlRow<'_>) -> rusqlite::Result<FileRow> {
    let kind = match row.get::<_, String>(3)?.as_str() {
        "trips" => Kind::Trips,
        _ => Kind::Duplicates,
    };
    Ok(FileRow {
        id: row.get(0)?,
        archive: row.get(1)?,
        member: row.get(2)?,
        kind,
        path: row.get(4)?,
        rows: row.get(5)?,
        keys: (
            u64::from_be_bytes(row.get(6)?),
            u64::from_be_bytes(row.get(7)?),
        ),
        hash: None,
        index_hash: None,
    })
}

pub(super) fn put_file(catalog: &Connection, file: &FileRow) -> Result<(), StoreError> {
    run(
        catalog,
        "INSERT INTO file
             (archive, member, kind, path, rows, key_min, key_max, hash, index_hash, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
             row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9))",
        params![
            file.archive,
            file.member,
            file.kind.as_str(),
            file.path,
            file.rows,
            file.keys.0.to_be_bytes(),
            file.keys.1.to_be_bytes(),
            file.hash.map(u128::to_be_bytes),
            file.index_hash.map(u128::to_be_bytes)
        ],
    )?;
    run(catalog, "DELETE FROM leftover WHERE path = ?", [&file.path])?;
    Ok(())
}

// Files that are no part of the store

/// Lists the files that may be there and are no part of the store.
pub(super) fn leftovers(catalog: &Connection) -> Result<Vec<String>, StoreError> {
    all(catalog, "SELECT path FROM leftover", [], |row| row.get(0))
}

/// Notes a file that may be there and is no part of the store: one about to be moved into its
/// place, or one that has been superseded.
pub(super) fn put_leftover(catalog: &Connection, path: &str) -> Result<(), StoreError> {
    run(catalog, "INSERT OR IGNORE INTO leftover VALUES (?)", [path])?;
    Ok(())
}

/// Forgets a file that is not there any more.
pub(super) fn delete_leftover(catalog: &Connection, path: &str) -> Result<(), StoreError> {
    run(catalog, "DELETE FROM leftover WHERE path = ?", [path])?;
    Ok(())
}

pub(super) fn delete_file(catalog: &Connection, id: i64) -> Result<(), StoreError> {
    run(catalog, "DELETE FROM file WHERE id = ?", [id])?;
    Ok(())
}

// Stations and their changes

pub(super) fn station_data(
    catalog: &Connection,
    system: &SystemId,
) -> Result<StationData, StoreError> {
    let rows = all(
        catalog,
        "SELECT row, written_at FROM station
         WHERE system = ? AND is_intact('station', checksum, system, id, row, written_at)
         ORDER BY id",
        [system.as_str()],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?)),
    )?;
    let rows: Vec<Row> = rows
        .into_iter()
        .map(|(station, written_at)| {
            Ok(Row {
                station: json(&station)?,
                written_at: written_at.map(instant).transpose()?,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(StationData::new(rows, feed(catalog, system)?))
}

pub(super) fn feed(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Option<FeedState>, StoreError> {
    let rows = all(
        catalog,
        "SELECT status_at, information_at, listed FROM feed WHERE system = ?
         AND is_intact('feed', checksum, system, status_at, information_at, listed)",
        [system.as_str()],
        |row| {
            Ok((
                row.get::<_, Option<i64>>(0)?,
                row.get::<_, Option<i64>>(1)?,
                row.get::<_, String>(2)?,
            ))
        },
    )?;
    let Some((status_at, information_at, listed)) = rows.into_iter().next() else {
        return Ok(None);
    };
    Ok(Some(FeedState {
        status_at: status_at.map(instant).transpose()?,
        information_at: information_at.map(instant).transpose()?,
        listed: json(&listed)?,
    }))
}

pub(super) fn put_feed(
    catalog: &Connection,
    system: &SystemId,
    feed: &FeedState,
) -> Result<(), StoreError> {
    run(
        catalog,
        "INSERT OR REPLACE INTO feed VALUES (?1, ?2, ?3, ?4, row_checksum(?1, ?2, ?3, ?4))",
        params![
            system.as_str(),
            feed.status_at.map(ms),
            feed.information_at.map(ms),
            to_json(&feed.listed)
        ],
    )?;
    Ok(())
}

/// Writes stations, and all but deletions into the change stream. `taken_at` is the time of the
/// snapshot, if one is the cause: the states that it changed become history.
pub(super) fn write_stations(
    catalog: &Connection,
    system: &SystemId,
    writes: &[Write],
    taken_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    // Given out here and not by SQLite, so that the checksum covers it.
    let mut sequence = last_of(catalog, "change")?;
    for write in writes {
        let row = match write {
            Write::Delete(id) => {
                run(
                    catalog,
                    "DELETE FROM station WHERE system = ? AND id = ?",
                    [system.as_str(), id.as_str()],
                )?;
                continue;
            }
            Write::Insert(row) | Write::Change(row) | Write::Report(row) => row,
        };
        let station = &row.station;
        let text = to_json(station);
        run(
            catalog,
            "INSERT OR REPLACE INTO station VALUES (?1, ?2, ?3, ?4, row_checksum(?1, ?2, ?3, ?4))",
            params![
                system.as_str(),
                station.id.as_str(),
                text,
                row.written_at.map(ms)
            ],
        )?;
        sequence += 1;
        run(
            catalog,
            "INSERT INTO change VALUES (?1, ?2, ?3, ?4, ?5, row_checksum(?1, ?2, ?3, ?4, ?5))",
            params![
                sequence,
                system.as_str(),
                text,
                matches!(write, Write::Report(_)),
                taken_at.map(ms)
            ],
        )?;
        if let Some(taken_at) = taken_at.filter(|_| station.status.is_some()) {
            let available = &station.available;
            run(
                catalog,
                "INSERT OR REPLACE INTO status_history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                     ?10, row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10))",
                params![
                    system.as_str(),
                    station.id.as_str(),
                    ms(taken_at),
                    station.status.as_ref().map(|status| status.as_str()),
                    available.vehicles,
                    available.ebikes,
                    available.vehicles_disabled,
                    available.docks,
                    available.docks_disabled,
                    station.reported_at.map(ms)
                ],
            )?;
        }
    }
    Ok(())
}

/// Drops changes that every consumer has acknowledged, the one that keeps the counts among them.
pub(super) fn prune_changes(catalog: &Connection) -> Result<(), StoreError> {
    run(
        catalog,
        "DELETE FROM change WHERE sequence <= (SELECT min(sequence) FROM checkpoint
                 WHERE is_intact('checkpoint', checksum, consumer, sequence))
             AND EXISTS (SELECT 1 FROM checkpoint WHERE consumer = ?)",
        [COUNTS_CONSUMER],
    )?;
    Ok(())
}

pub(super) fn changes(
    catalog: &Connection,
    consumer: &str,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let rows = all(
        catalog,
        "SELECT sequence, system, station, report_time_only FROM change
         WHERE sequence > coalesce((SELECT sequence FROM checkpoint WHERE consumer = ?
                 AND is_intact('checkpoint', checksum, consumer, sequence)), 0)
             AND is_intact('change', checksum, sequence, system, station, report_time_only, made_at)
         ORDER BY sequence LIMIT ?",
        params![consumer, limit],
        |row| {
            Ok((
                row.get::<_, u64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, bool>(3)?,
            ))
        },
    )?;
    rows.into_iter()
        .map(|(sequence, system, station, report_time_only)| {
            let station: Station = json(&station)?;
            Ok(Change {
                sequence,
                system: system.into(),
                station,
                report_time_only,
            })
        })
        .collect()
}

pub(super) fn acknowledge(
    catalog: &Connection,
    consumer: &str,
    sequence: u64,
) -> Result<(), StoreError> {
    run(
        catalog,
        "INSERT INTO checkpoint VALUES (?1, ?2, row_checksum(?1, ?2))
         ON CONFLICT DO UPDATE SET sequence = excluded.sequence, checksum = excluded.checksum
         WHERE excluded.sequence > sequence",
        params![consumer, sequence],
    )?;
    Ok(())
}

// Counts

/// Lists the counts of a system, by id.
pub(super) fn counts(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Vec<FromStationCount>, StoreError> {
    let rows = all(
        catalog,
        "SELECT from_station_id, from_count, trips_version, refreshed_at FROM from_station_count
         WHERE system = ? AND is_intact('from_station_count', checksum, system, from_station_id,
             from_count, trips_version, refreshed_at)
         ORDER BY from_station_id",
        [system.as_str()],
        count_row,
    )?;
    rows.into_iter().map(count_of).collect()
}

/// Looks up the count of one station. `None` where it has none.
pub(super) fn count(
    catalog: &Connection,
    system: &SystemId,
    origin: &StationId,
) -> Result<Option<FromStationCount>, StoreError> {
    let rows = all(
        catalog,
        "SELECT from_station_id, from_count, trips_version, refreshed_at FROM from_station_count
         WHERE system = ? AND from_station_id = ? AND is_intact('from_station_count', checksum,
             system, from_station_id, from_count, trips_version, refreshed_at)",
        [system.as_str(), origin.as_str()],
        count_row,
    )?;
    rows.into_iter().next().map(count_of).transpose()
}

/// A row of `from_station_count` as SQLite gives it.
type CountRow = (String, u64, Option<u64>, i64);

fn count_row(row: &SqlRow<'_>) -> rusqlite::Result<CountRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn count_of((id, from_count, trips_version, at): CountRow) -> Result<FromStationCount, StoreError> {
    Ok(FromStationCount {
        from_station_id: id.into(),
        from_count,
        trips_version,
        refreshed_at: instant(at)?,
    })
}

/// Removes the count of an id that no trip uses any more. A count of trips that is on its
/// way, of a version before `version`, is dropped when it comes.
pub(super) fn forget_count(
    catalog: &Connection,
    system: &SystemId,
    origin: &StationId,
    version: u64,
) -> Result<(), StoreError> {
    run(
        catalog,
        "DELETE FROM from_station_count WHERE system = ? AND from_station_id = ?",
        [system.as_str(), origin.as_str()],
    )?;
    run(
        catalog,
        "INSERT OR REPLACE INTO forgotten VALUES (?, ?, ?)",
        params![system.as_str(), origin.as_str(), version],
    )?;
    Ok(())
}

/// Returns a version newer than any of a system's stations, those forgotten included.
pub(super) fn next_version(
    catalog: &Connection,
    system: &SystemId,
    stations: &StationData,
) -> Result<u64, StoreError> {
    let forgotten: Vec<u64> = all(
        catalog,
        "SELECT coalesce(max(trips_version), 0) + 1 FROM forgotten WHERE system = ?",
        [system.as_str()],
        |row| row.get(0),
    )?;
    let forgotten = forgotten.first().copied().unwrap_or(1);
    Ok(stations.next_version().max(forgotten))
}

pub(super) fn put_count(
    catalog: &Connection,
    system: &SystemId,
    count: &FromStationCount,
) -> Result<(), StoreError> {
    run(
        catalog,
        "INSERT INTO from_station_count
         SELECT ?1, ?2, ?3, ?4, ?5, row_checksum(?1, ?2, ?3, ?4, ?5)
         WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE system = ?1 AND origin = ?2
             AND trips_version > coalesce(?4, 0) AND ?3 > 0)
         ON CONFLICT DO UPDATE SET from_count = excluded.from_count,
             trips_version = excluded.trips_version, refreshed_at = excluded.refreshed_at,
             checksum = excluded.checksum
         WHERE coalesce(excluded.trips_version, 0) >= coalesce(trips_version, 0)",
        params![
            system.as_str(),
            count.from_station_id.as_str(),
            count.from_count,
            count.trips_version,
            ms(count.refreshed_at)
        ],
    )?;
    Ok(())
}
