//! The tables, and which columns their checksums cover.

/// The tables of a new catalog.
pub(super) const TABLES: &str = "
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
    members TEXT NOT NULL,          -- names as JSON, by index; or {names, skipped, forced_from}
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
    path TEXT PRIMARY KEY           -- of a file that may exist and does not belong to the store
) WITHOUT ROWID;
CREATE TABLE forgotten (
    -- an id that no trip uses any more: a later count of an older version, unless 0, is out of date
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

/// The tables of the history, which catalogs before version 5 do not have.
pub(in crate::store::embedded) const HISTORY_TABLES: &str = "
CREATE TABLE status_snapshot (
    system TEXT, number INTEGER, taken_at INTEGER NOT NULL,
    fetched_at INTEGER, stations INTEGER,   -- NULL in rows made from catalogs of version 4
    checksum INTEGER,
    PRIMARY KEY (system, number)
) WITHOUT ROWID;
CREATE TABLE status_change (
    -- changes that are in no part yet
    system TEXT, snapshot INTEGER, station TEXT, taken_at INTEGER NOT NULL,
    listed INTEGER NOT NULL,                -- 0: not in the list any more; the state is NULL
    status TEXT, vehicles INTEGER, ebikes INTEGER, vehicles_disabled INTEGER,
    docks INTEGER, docks_disabled INTEGER, by_type TEXT,
    checksum INTEGER,
    PRIMARY KEY (system, snapshot, station)
) WITHOUT ROWID;
CREATE TABLE status_states (
    -- all states: before the first row of status_change, and after the last one
    system TEXT, moment TEXT CHECK (moment IN ('before', 'latest')), states BLOB NOT NULL,
    checksum INTEGER,
    PRIMARY KEY (system, moment)
) WITHOUT ROWID;
CREATE TABLE status_part (
    path TEXT PRIMARY KEY,                  -- below the store's folder
    system TEXT NOT NULL, rows INTEGER NOT NULL,
    first_snapshot INTEGER NOT NULL, last_snapshot INTEGER NOT NULL,
    first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
    hash BLOB NOT NULL,                     -- XXH3-128 of the file
    before BLOB NOT NULL,                   -- all states before its first row
    checksum INTEGER
) WITHOUT ROWID;
";

/// A table whose rows carry a checksum ([`row_checksum`](super::row_checksum)).
pub(crate) struct CheckedTable {
    pub(crate) name: &'static str,
    /// The columns that the checksum covers, separated by `, `.
    pub(crate) columns: &'static str,
}

/// All tables with checksums.
pub(crate) const CHECKED: [&CheckedTable; 14] = [
    &SYSTEM,
    &ARCHIVE,
    &CUBE,
    &FILE,
    &DEPARTURES,
    &STATION,
    &FEED,
    &FROM_STATION_COUNT,
    &STATUS_SNAPSHOT,
    &STATUS_CHANGE,
    &STATUS_STATES,
    &STATUS_PART,
    &CHANGE,
    &CHECKPOINT,
];

pub(super) const SYSTEM: CheckedTable = table("system", "id, name, time_zone, area, totals");
pub(super) const ARCHIVE: CheckedTable = table(
    "archive",
    "sequence, system, name, content, loaded_at, rows_read, rejected, members, totals",
);
pub(super) const CUBE: CheckedTable = table("cube", "system, archive, part, month, cells");
pub(super) const FILE: CheckedTable = table(
    "file",
    "archive, member, kind, path, rows, key_min, key_max, hash, index_hash",
);
pub(super) const DEPARTURES: CheckedTable = table("departures", "system, origin, trips");
pub(super) const STATION: CheckedTable = table("station", "system, id, row, written_at");
pub(super) const FEED: CheckedTable = table("feed", "system, status_at, information_at, listed");
pub(super) const FROM_STATION_COUNT: CheckedTable = table(
    "from_station_count",
    "system, from_station_id, from_count, trips_version, refreshed_at",
);
pub(super) const STATUS_SNAPSHOT: CheckedTable = table(
    "status_snapshot",
    "system, number, taken_at, fetched_at, stations",
);
pub(super) const STATUS_CHANGE: CheckedTable = table(
    "status_change",
    "system, snapshot, station, taken_at, listed, status, vehicles, ebikes, vehicles_disabled, \
     docks, docks_disabled, by_type",
);
pub(super) const STATUS_STATES: CheckedTable = table("status_states", "system, moment, states");
pub(super) const STATUS_PART: CheckedTable = table(
    "status_part",
    "path, system, rows, first_snapshot, last_snapshot, first_at, last_at, hash, before",
);
pub(super) const CHANGE: CheckedTable = table(
    "change",
    "sequence, system, station, report_time_only, made_at",
);
pub(super) const CHECKPOINT: CheckedTable = table("checkpoint", "consumer, sequence");

const fn table(name: &'static str, columns: &'static str) -> CheckedTable {
    CheckedTable { name, columns }
}

impl CheckedTable {
    /// Returns the SQL condition of an intact row. Evaluating it fails with `SQLITE_CORRUPT` on
    /// one that is not.
    pub(super) fn is_intact(&self) -> String {
        let Self { name, columns } = self;
        let columns = columns.replace(", ", &format!(", {name}."));
        format!("is_intact('{name}', {name}.checksum, {name}.{columns})")
    }

    /// Returns the SQL condition of a row that is not what was written.
    pub(super) fn is_damaged(&self) -> String {
        let Self { name, columns } = self;
        format!("{name}.checksum IS NOT row_checksum({columns})")
    }

    /// Returns the SQL statement that inserts a row with its checksum: a parameter for each of
    /// [`columns`](Self::columns).
    pub(super) fn insert(&self) -> String {
        let Self { name, columns } = self;
        let values: Vec<String> = (1..=columns.split(", ").count())
            .map(|n| format!("?{n}"))
            .collect();
        let values = values.join(", ");
        format!(
            "INSERT INTO {name} ({columns}, checksum) VALUES ({values}, row_checksum({values}))"
        )
    }

    /// Returns the SQL statement that does what [`insert`](Self::insert) does, in place of a row
    /// of the same key if there is one.
    pub(super) fn insert_or_replace(&self) -> String {
        self.insert().replacen("INSERT", "INSERT OR REPLACE", 1)
    }
}
