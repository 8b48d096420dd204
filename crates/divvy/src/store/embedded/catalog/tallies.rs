//! Totals, cubes and departures.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::tables::{CUBE, DEPARTURES, SYSTEM};
use super::{execute, query, query_first, row_checksum};
use crate::model::{StationId, SystemId};
use crate::store::StoreError;
use crate::store::embedded::error::corrupt_catalog;
use crate::tally::{Cube, Part, Parts, Totals};

/// Stands in the column `cube.archive` for all archives together; archives have their sequence,
/// which is at least 1.
pub(crate) const ALL_ARCHIVES: u64 = 0;

/// Packs totals without their cube: Postcard, then Zstandard.
pub(super) fn pack(totals: &mut Totals) -> Vec<u8> {
    let cube = std::mem::take(&mut totals.cube);
    let bytes = postcard::to_stdvec(totals).expect("totals are maps, lists and numbers");
    totals.cube = cube;
    compress(&bytes)
}

/// Unpacks what [`pack`] packed.
pub(super) fn unpack(blob: &[u8]) -> Result<Totals, StoreError> {
    postcard::from_bytes(&decompress(blob)?).map_err(corrupt_catalog)
}

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).expect("compressing in memory does not fail")
}

/// Decompresses a blob, whose frame header states its size.
pub(super) fn decompress(blob: &[u8]) -> Result<Vec<u8>, StoreError> {
    // No blob is larger; a damaged header could ask for any amount of memory.
    const MAX_BYTES: u64 = 1 << 30;
    let size = zstd::zstd_safe::get_frame_content_size(blob).ok().flatten();
    let size = size.filter(|size| *size < MAX_BYTES);
    let no_size = || corrupt_catalog(std::io::Error::other("its size is not stated"));
    zstd::bulk::decompress(blob, size.ok_or_else(no_size)? as usize).map_err(corrupt_catalog)
}

/// Reads the totals of a system, without the cube.
pub(crate) fn totals(catalog: &Connection, system: &SystemId) -> Result<Totals, StoreError> {
    let is_intact = SYSTEM.is_intact();
    let select = format!("SELECT totals FROM system WHERE id = ? AND {is_intact}");
    let blob = query_first(catalog, &select, [system.as_str()], |row| {
        Ok(row.get::<_, Option<Vec<u8>>>(0)?)
    })?;
    match blob.flatten() {
        Some(blob) => unpack(&blob),
        None => Ok(Totals::default()),
    }
}

/// Reads the totals of a system, with the cube.
pub(crate) fn totals_with_cube(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Totals, StoreError> {
    let mut totals = totals(catalog, system)?;
    totals.cube = cube(catalog, system, ALL_ARCHIVES, Parts::ALL)?;
    Ok(totals)
}

/// Writes the totals of a system, and the departures that differ from `before`.
pub(crate) fn put_totals(
    catalog: &Connection,
    system: &SystemId,
    totals: &mut Totals,
    before: &Totals,
) -> Result<(), StoreError> {
    execute(
        catalog,
        "UPDATE system SET totals = ?1, checksum = row_checksum(id, name, time_zone, area, ?1)
         WHERE id = ?2",
        params![pack(totals), system.as_str()],
    )?;
    let put = DEPARTURES.insert()
        + " ON CONFLICT DO UPDATE SET trips = excluded.trips, checksum = excluded.checksum";
    let (now, before) = (
        totals.stations.departures_by_id(),
        before.stations.departures_by_id(),
    );
    let origins: BTreeSet<&StationId> = now.keys().chain(before.keys()).collect();
    for origin in origins {
        let departures = |by_id: &BTreeMap<StationId, i64>| by_id.get(origin).copied().unwrap_or(0);
        let trips = departures(&now);
        let [system, id] = [system.as_str(), origin.as_str()];
        if trips == departures(&before) {
            continue;
        }
        if trips == 0 {
            let delete = "DELETE FROM departures WHERE system = ? AND origin = ?";
            execute(catalog, delete, [system, id])?;
        } else {
            execute(catalog, &put, params![system, id, trips])?;
        }
    }
    Ok(())
}

/// Deletes the departures of a system and its cube over all archives.
pub(crate) fn clear_totals(catalog: &Connection, system: &SystemId) -> Result<(), StoreError> {
    for delete in [
        "DELETE FROM departures WHERE system = ?",
        "DELETE FROM cube WHERE system = ? AND archive = 0",
    ] {
        execute(catalog, delete, [system.as_str()])?;
    }
    Ok(())
}

/// Reads parts of the cube of an archive, or of [`ALL_ARCHIVES`].
pub(crate) fn cube(
    catalog: &Connection,
    system: &SystemId,
    archive: u64,
    parts: Parts,
) -> Result<Cube, StoreError> {
    let rows = query(
        catalog,
        "SELECT rowid, part, month FROM cube WHERE system = ? AND archive = ?",
        params![system.as_str(), archive],
        |row| {
            let month: i32 = row.get(2)?;
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, month))
        },
    )?;
    let select = format!(
        "SELECT {}, checksum FROM cube WHERE rowid = ?",
        CUBE.columns
    );
    let mut cube = Cube::default();
    for (rowid, name, month) in rows {
        let Some(part) = Part::named(&name, month).filter(|part| parts.contain(*part)) else {
            continue;
        };
        // Decompressed from SQLite's own buffer: copying some megabytes first takes as long as
        // reading them.
        let bytes = query_first(catalog, &select, [rowid], |row| {
            let values = (0..5).map(|column| row.get_ref(column));
            let values = values.collect::<rusqlite::Result<Vec<_>>>()?;
            let is_written = row.get::<_, i64>(5)? == row_checksum::of(values.iter().copied());
            // A damaged index may lead to a row of another part, which is intact itself.
            let is_of_part = (row.get::<_, String>(0)? == system.as_str())
                && row.get::<_, u64>(1)? == archive
                && row.get::<_, String>(2)? == name
                && row.get::<_, i32>(3)? == month;
            if !is_written || !is_of_part {
                return Err(row_checksum::mismatch("cube").into());
            }
            let packed = values[4].as_blob().map_err(rusqlite::Error::from)?;
            Ok(decompress(packed)?)
        })?;
        if let Some(bytes) = bytes {
            cube.put(part, bytes).map_err(corrupt_catalog)?;
        }
    }
    Ok(cube)
}

/// Parts of a cube, packed and compressed. One without bytes is to be deleted.
pub(crate) type PackedParts = BTreeMap<Part, Vec<u8>>;

/// Compresses the parts of a cube that differ from `before`.
pub(crate) fn changed_parts(cube: &Cube, before: &Cube) -> PackedParts {
    let before = before.packed();
    let after = cube.packed();
    let changed = (after.iter())
        .filter(|(part, bytes)| before.get(part) != Some(bytes))
        .map(|(part, bytes)| (*part, compress(bytes)));
    let deleted = (before.keys())
        .filter(|part| !after.contains_key(part))
        .map(|part| (*part, Vec::new()));
    changed.chain(deleted).collect()
}

/// Writes or deletes parts of the cube of an archive, or of [`ALL_ARCHIVES`].
pub(crate) fn put_parts(
    catalog: &Connection,
    system: &SystemId,
    archive: u64,
    parts: &PackedParts,
) -> Result<(), StoreError> {
    let insert = CUBE.insert();
    for (part, bytes) in parts {
        execute(
            catalog,
            "DELETE FROM cube WHERE system = ? AND archive = ? AND part = ? AND month = ?",
            params![system.as_str(), archive, part.name(), part.month()],
        )?;
        if !bytes.is_empty() {
            execute(
                catalog,
                &insert,
                params![system.as_str(), archive, part.name(), part.month(), bytes],
            )?;
        }
    }
    Ok(())
}

/// Returns the number of stored trips that start at a station.
pub(crate) fn departures(
    catalog: &Connection,
    system: &SystemId,
    origin: &StationId,
) -> Result<u64, StoreError> {
    let is_intact = DEPARTURES.is_intact();
    let select =
        format!("SELECT trips FROM departures WHERE system = ? AND origin = ? AND {is_intact}");
    let key = [system.as_str(), origin.as_str()];
    Ok(query_first(catalog, &select, key, |row| Ok(row.get(0)?))?.unwrap_or(0))
}

/// Lists the departures of every station that has any.
pub(crate) fn all_departures(
    catalog: &Connection,
    system: &SystemId,
) -> Result<BTreeMap<StationId, u64>, StoreError> {
    let is_intact = DEPARTURES.is_intact();
    let select = format!("SELECT origin, trips FROM departures WHERE system = ? AND {is_intact}");
    let rows = query(catalog, &select, [system.as_str()], |row| {
        Ok((row.get::<_, String>(0)?.into(), row.get(1)?))
    })?;
    Ok(rows.into_iter().collect())
}
