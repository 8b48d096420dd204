//! FromStationCounts, and the versions that they are counts of.

use rusqlite::{Connection, Row, params};

use super::tables::FROM_STATION_COUNT;
use super::{ReadError, execute, from_ms, query, query_first, to_ms};
use crate::model::{StationId, SystemId};
use crate::stations::data::StationData;
use crate::store::{FromStationCount, StoreError};

/// Lists the counts of a system, by id.
pub(crate) fn counts(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Vec<FromStationCount>, StoreError> {
    let select = select_counts("TRUE ORDER BY from_station_id");
    query(catalog, &select, [system.as_str()], read_count)
}

/// Looks up the count of one station. `None` if it has none.
pub(crate) fn count(
    catalog: &Connection,
    system: &SystemId,
    origin: &StationId,
) -> Result<Option<FromStationCount>, StoreError> {
    let select = select_counts("from_station_id = ?");
    let key = [system.as_str(), origin.as_str()];
    query_first(catalog, &select, key, read_count)
}

/// The query of a system's counts: its parameters are the system, then those of `rest`.
fn select_counts(rest: &str) -> String {
    let is_intact = FROM_STATION_COUNT.is_intact();
    format!(
        "SELECT from_station_id, from_count, trips_version, refreshed_at FROM from_station_count
         WHERE system = ? AND {is_intact} AND {rest}"
    )
}

fn read_count(row: &Row<'_>) -> Result<FromStationCount, ReadError> {
    Ok(FromStationCount {
        from_station_id: row.get::<_, String>(0)?.into(),
        from_count: row.get(1)?,
        trips_version: row.get(2)?,
        refreshed_at: from_ms(row.get(3)?)?,
    })
}

/// Writes a count, unless it is out of date: of an older version than the one stored, or of trips
/// that [`delete_count`] removed.
pub(crate) fn put_count(
    catalog: &Connection,
    system: &SystemId,
    count: &FromStationCount,
) -> Result<(), StoreError> {
    execute(
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
            to_ms(count.refreshed_at)
        ],
    )
}

/// Deletes the count of an id that no trip uses any more. A count of its trips of a version before
/// `version` that is written later is dropped.
pub(crate) fn delete_count(
    catalog: &Connection,
    system: &SystemId,
    origin: &StationId,
    version: u64,
) -> Result<(), StoreError> {
    let key = [system.as_str(), origin.as_str()];
    let delete = "DELETE FROM from_station_count WHERE system = ? AND from_station_id = ?";
    execute(catalog, delete, key)?;
    execute(
        catalog,
        "INSERT OR REPLACE INTO forgotten VALUES (?, ?, ?)",
        params![key[0], key[1], version],
    )
}

/// Returns a version newer than any of a system's stations and deleted counts.
pub(crate) fn next_version(
    catalog: &Connection,
    system: &SystemId,
    stations: &StationData,
) -> Result<u64, StoreError> {
    let select = "SELECT coalesce(max(trips_version), 0) + 1 FROM forgotten WHERE system = ?";
    let next = query_first(catalog, select, [system.as_str()], |row| Ok(row.get(0)?))?;
    Ok(stations.next_version().max(next.unwrap_or(1)))
}
