//! Reads the catalogs of versions 1 and 2, which have no checksums and no hashes.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::files::file_without_hashes;
use super::tallies::{decompress, unpack};
use super::{FileRow, query};
use crate::model::Rider;
use crate::store::StoreError;
use crate::store::embedded::error::corrupt_catalog;
use crate::tally::{Days, FlagCounts, Names, Riders, Stations, UnusedHours};

/// The table of the cube as version 2 had it, for catalogs of version 1.
pub(crate) const CUBE_BEFORE_CHECKSUMS: &str = "
CREATE TABLE cube (
    system TEXT NOT NULL, archive INTEGER NOT NULL, part TEXT NOT NULL, month INTEGER NOT NULL,
    cells BLOB NOT NULL, UNIQUE (system, archive, part, month)
);
";

/// An archive in a catalog of version 1 or 2.
pub(crate) struct OldArchive {
    pub(crate) sequence: u64,
    pub(crate) system: String,
    pub(crate) name: String,
    /// Packed as in that version.
    totals: Vec<u8>,
}

/// Lists all archives in a catalog of version 1 or 2, by sequence.
pub(crate) fn archives_before_checksums(
    catalog: &Connection,
) -> Result<Vec<OldArchive>, StoreError> {
    let select = "SELECT sequence, system, name, totals FROM archive ORDER BY sequence";
    query(catalog, select, [], |row| {
        Ok(OldArchive {
            sequence: row.get(0)?,
            system: row.get(1)?,
            name: row.get(2)?,
            totals: row.get(3)?,
        })
    })
}

/// Reads the station names in the files of an archive from a catalog of version 1 or 2.
pub(crate) fn names_before_checksums(
    archive: &OldArchive,
    version: i64,
) -> Result<Names, StoreError> {
    /// The totals of version 1, field by field; the fifth are durations by rider.
    type Totals1 = (
        i64,
        Stations,
        UnusedHours,
        Days,
        BTreeMap<Rider, BTreeMap<i64, i64>>,
        Riders,
        FlagCounts,
        Names,
    );
    if version > 1 {
        return Ok(unpack(&archive.totals)?.names);
    }
    let bytes = decompress(&archive.totals)?;
    let totals: Totals1 = postcard::from_bytes(&bytes).map_err(corrupt_catalog)?;
    Ok(totals.7)
}

/// Lists all files in a catalog of version 1 or 2.
pub(crate) fn files_before_checksums(catalog: &Connection) -> Result<Vec<FileRow>, StoreError> {
    let select = "SELECT id, archive, member, kind, path, rows, key_min, key_max FROM file";
    query(catalog, select, [], |row| Ok(file_without_hashes(row)?))
}
