//! Trips files that belong to the store, and leftover files that do not.

use rusqlite::{Connection, Row, params};

use super::tables::FILE;
use super::{execute, query};
use crate::model::SystemId;
use crate::store::StoreError;
use crate::store::embedded::index::Written;

/// A trips file or duplicates file that the catalog names.
#[derive(Clone, Debug)]
pub(crate) struct FileRow {
    pub(crate) id: i64,
    /// The sequence of its archive.
    pub(crate) archive: u64,
    /// The index of its member in the archive.
    pub(crate) member: usize,
    pub(crate) kind: FileKind,
    /// Relative to the store's folder.
    pub(crate) path: String,
    pub(crate) rows: u64,
    /// The smallest and the largest key of its id index.
    pub(crate) keys: (u64, u64),
    /// The XXH3-128 hash of the file. `None` if an older program wrote it.
    pub(crate) hash: Option<u128>,
    /// The XXH3-128 hash of its id index. `None` if an older program wrote it.
    pub(crate) index_hash: Option<u128>,
}

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileKind {
    /// Stored trips.
    Trips,
    /// Copies of trips that are stored elsewhere.
    Duplicates,
}

impl FileKind {
    /// Returns the name of the kind, in the catalog and as a folder.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trips => "trips",
            Self::Duplicates => "duplicates",
        }
    }

    /// Returns the other kind.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Trips => Self::Duplicates,
            Self::Duplicates => Self::Trips,
        }
    }
}

/// Lists the files of one system, or of all.
pub(crate) fn files(
    catalog: &Connection,
    system: Option<&SystemId>,
) -> Result<Vec<FileRow>, StoreError> {
    let is_intact = FILE.is_intact();
    let select = format!(
        "SELECT file.id, archive, member, kind, path, rows, key_min, key_max, hash, index_hash
         FROM file JOIN archive ON sequence = archive
         WHERE (?1 IS NULL OR system = ?1) AND {is_intact}
         ORDER BY archive, member, file.id"
    );
    query(catalog, &select, [system.map(SystemId::as_str)], |row| {
        Ok(FileRow {
            hash: row.get::<_, Option<[u8; 16]>>(8)?.map(u128::from_be_bytes),
            index_hash: row.get::<_, Option<[u8; 16]>>(9)?.map(u128::from_be_bytes),
            ..file_without_hashes(row)?
        })
    })
}

/// Reads the first eight columns of a file: id, archive, member, kind, path, rows, keys.
pub(super) fn file_without_hashes(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    let kind = match row.get::<_, String>(3)?.as_str() {
        "trips" => FileKind::Trips,
        _ => FileKind::Duplicates,
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

/// Adds a file, which stops being a leftover.
pub(crate) fn put_file(catalog: &Connection, file: &FileRow) -> Result<(), StoreError> {
    execute(
        catalog,
        &FILE.insert(),
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
    delete_leftover(catalog, &file.path)
}

/// Updates a file that has been written again with the same rows, under another name. It stops being
/// a leftover.
pub(crate) fn replace_file(catalog: &Connection, file: &FileRow) -> Result<(), StoreError> {
    execute(
        catalog,
        "UPDATE file SET path = ?1, key_min = ?2, key_max = ?3, hash = ?4, index_hash = ?5,
             checksum = row_checksum(archive, member, kind, ?1, rows, ?2, ?3, ?4, ?5)
         WHERE id = ?6",
        params![
            file.path,
            file.keys.0.to_be_bytes(),
            file.keys.1.to_be_bytes(),
            file.hash.map(u128::to_be_bytes),
            file.index_hash.map(u128::to_be_bytes),
            file.id
        ],
    )?;
    delete_leftover(catalog, &file.path)
}

/// Updates a file whose id index has been rebuilt.
pub(crate) fn put_index(
    catalog: &Connection,
    file: i64,
    index: &Written,
) -> Result<(), StoreError> {
    let (min, max) = index.keys.bounds;
    execute(
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
    )
}

/// Removes a file from the catalog. The caller adds it to the leftovers.
pub(crate) fn delete_file(catalog: &Connection, id: i64) -> Result<(), StoreError> {
    execute(catalog, "DELETE FROM file WHERE id = ?", [id])
}

/// Lists the files that may exist and do not belong to the store, relative to its folder. A file
/// that the catalog names is none, also where a damaged row names it.
pub(crate) fn leftovers(catalog: &Connection) -> Result<Vec<String>, StoreError> {
    let select = "SELECT path FROM leftover
         WHERE path NOT IN (SELECT path FROM file) AND path NOT IN (SELECT path FROM status_part)";
    query(catalog, select, [], |row| Ok(row.get(0)?))
}

/// Adds a file that may exist and does not belong to the store: one about to be moved to `path`,
/// or one that has been superseded.
pub(crate) fn put_leftover(catalog: &Connection, path: &str) -> Result<(), StoreError> {
    execute(catalog, "INSERT OR IGNORE INTO leftover VALUES (?)", [path])
}

/// Removes a file that does not exist any more from the leftovers.
pub(crate) fn delete_leftover(catalog: &Connection, path: &str) -> Result<(), StoreError> {
    execute(catalog, "DELETE FROM leftover WHERE path = ?", [path])
}
