//! The history of states: the snapshots, and recent changes.

use jiff::Timestamp;
use rusqlite::{Connection, Row, ToSql, params};

use super::tables::{CHECKED, STATUS_CHANGE, STATUS_SNAPSHOT, STATUS_STATES};
use super::tallies::{compress, decompress};
use super::{ReadError, execute, from_json, from_ms, query, query_first, to_ms};
use crate::history::part_file::by_type_text;
use crate::history::{SnapshotEntry, StateChange, States, StationState};
use crate::model::{Availability, StationId, StationStatus, SystemId};
use crate::store::StoreError;
use crate::store::embedded::error::corrupt_catalog;

/// Sets the checksums of all rows of a table of the history.
pub(crate) fn put_checksums(catalog: &Connection, table: &str) -> Result<(), StoreError> {
    for checked in CHECKED.iter().filter(|checked| checked.name == table) {
        let columns = checked.columns;
        let update = format!("UPDATE {table} SET checksum = row_checksum({columns})");
        execute(catalog, &update, [])?;
    }
    Ok(())
}

/// Which states of all stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Those before the first change that is in no part.
    Before,
    /// Those after the last change.
    Latest,
}

impl Moment {
    fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Latest => "latest",
        }
    }
}

pub(super) fn pack_states(states: &States) -> Vec<u8> {
    let bytes = postcard::to_allocvec(states).expect("states have no types that Postcard lacks");
    compress(&bytes)
}

pub(super) fn unpack_states(blob: &[u8]) -> Result<States, StoreError> {
    postcard::from_bytes(&decompress(blob)?).map_err(corrupt_catalog)
}

/// Reads the states of all listed stations. Empty before the first snapshot.
pub(crate) fn states(
    catalog: &Connection,
    system: &SystemId,
    moment: Moment,
) -> Result<States, StoreError> {
    let is_intact = STATUS_STATES.is_intact();
    let select =
        format!("SELECT states FROM status_states WHERE system = ? AND moment = ? AND {is_intact}");
    let params = params![system.as_str(), moment.as_str()];
    let blob = query_first(
        catalog,
        &select,
        params,
        |row| Ok(row.get::<_, Vec<u8>>(0)?),
    )?;
    blob.map_or_else(|| Ok(States::new()), |blob| unpack_states(&blob))
}

/// Writes the states of all listed stations.
pub(crate) fn put_states(
    catalog: &Connection,
    system: &SystemId,
    moment: Moment,
    states: &States,
) -> Result<(), StoreError> {
    execute(
        catalog,
        &STATUS_STATES.insert_or_replace(),
        params![system.as_str(), moment.as_str(), pack_states(states)],
    )
}

const SNAPSHOT_COLUMNS: &str = "number, taken_at, fetched_at, stations";

fn snapshot_of(row: &Row<'_>) -> Result<SnapshotEntry, ReadError> {
    let fetched_at: Option<i64> = row.get(2)?;
    Ok(SnapshotEntry {
        number: row.get(0)?,
        taken_at: from_ms(row.get(1)?)?,
        fetched_at: fetched_at.map(from_ms).transpose()?,
        stations: row.get(3)?,
    })
}

/// Returns the last snapshot of a system. `None` before the first.
pub(crate) fn last_snapshot(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Option<SnapshotEntry>, StoreError> {
    let is_intact = STATUS_SNAPSHOT.is_intact();
    let select = format!(
        "SELECT {SNAPSHOT_COLUMNS} FROM status_snapshot WHERE system = ? AND {is_intact}
         ORDER BY number DESC LIMIT 1"
    );
    query_first(catalog, &select, [system.as_str()], snapshot_of)
}

/// Returns the first snapshot whose number is not smaller. `None` if there is none.
pub(crate) fn snapshot_from(
    catalog: &Connection,
    system: &SystemId,
    number: u64,
) -> Result<Option<SnapshotEntry>, StoreError> {
    let is_intact = STATUS_SNAPSHOT.is_intact();
    let select = format!(
        "SELECT {SNAPSHOT_COLUMNS} FROM status_snapshot
         WHERE system = ? AND number >= ? AND {is_intact} ORDER BY number LIMIT 1"
    );
    query_first(
        catalog,
        &select,
        params![system.as_str(), number],
        snapshot_of,
    )
}

/// Returns the smallest number from which on no snapshot was made at `at` or before.
pub(crate) fn first_snapshot_after(
    catalog: &Connection,
    system: &SystemId,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let last = last_snapshot(catalog, system)?.map_or(0, |last| last.number);
    // By halves: numbers grow with the times. All numbers below `low` are made at `at` or before.
    let (mut low, mut high) = (1, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match snapshot_from(catalog, system, middle)? {
            Some(found) if found.taken_at <= at => low = found.number + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Returns the last snapshot with a smaller number. `None` if there is none.
pub(crate) fn snapshot_before(
    catalog: &Connection,
    system: &SystemId,
    number: u64,
) -> Result<Option<SnapshotEntry>, StoreError> {
    let is_intact = STATUS_SNAPSHOT.is_intact();
    let select = format!(
        "SELECT {SNAPSHOT_COLUMNS} FROM status_snapshot
         WHERE system = ? AND number < ? AND {is_intact} ORDER BY number DESC LIMIT 1"
    );
    query_first(
        catalog,
        &select,
        params![system.as_str(), number],
        snapshot_of,
    )
}

/// Lists the snapshots with numbers from `from` on and below `to`.
pub(crate) fn snapshots(
    catalog: &Connection,
    system: &SystemId,
    from: u64,
    to: u64,
) -> Result<Vec<SnapshotEntry>, StoreError> {
    let is_intact = STATUS_SNAPSHOT.is_intact();
    let select = format!(
        "SELECT {SNAPSHOT_COLUMNS} FROM status_snapshot
         WHERE system = ? AND number >= ? AND number < ? AND {is_intact} ORDER BY number"
    );
    query(
        catalog,
        &select,
        params![system.as_str(), from, to],
        snapshot_of,
    )
}

/// Adds a snapshot.
pub(crate) fn put_snapshot(
    catalog: &Connection,
    system: &SystemId,
    entry: &SnapshotEntry,
) -> Result<(), StoreError> {
    execute(
        catalog,
        &STATUS_SNAPSHOT.insert(),
        params![
            system.as_str(),
            entry.number,
            to_ms(entry.taken_at),
            entry.fetched_at.map(to_ms),
            entry.stations
        ],
    )
}

/// Adds a snapshot, unless one of its number is stored.
pub(crate) fn put_snapshot_unless_there(
    catalog: &Connection,
    system: &SystemId,
    entry: &SnapshotEntry,
) -> Result<(), StoreError> {
    match snapshot_from(catalog, system, entry.number)? {
        Some(found) if found.number == entry.number => Ok(()),
        _ => put_snapshot(catalog, system, entry),
    }
}

/// Adds a change.
pub(crate) fn put_state_change(
    catalog: &Connection,
    system: &SystemId,
    change: &StateChange,
) -> Result<(), StoreError> {
    let state = change.state.clone().unwrap_or_default();
    let available = &state.available;
    execute(
        catalog,
        &STATUS_CHANGE.insert(),
        params![
            system.as_str(),
            change.snapshot,
            change.station.as_str(),
            to_ms(change.taken_at),
            change.state.is_some(),
            state.status.as_ref().map(StationStatus::as_str),
            available.vehicles,
            available.ebikes,
            available.vehicles_disabled,
            available.docks,
            available.docks_disabled,
            by_type_text(&state)
        ],
    )
}

/// Lists the changes in no part of snapshots with numbers below `to`, those of one station or of all,
/// by snapshot and station.
pub(crate) fn recent_changes(
    catalog: &Connection,
    system: &SystemId,
    station: Option<&StationId>,
    to: u64,
) -> Result<Vec<StateChange>, StoreError> {
    let station = station.map(StationId::as_str);
    changes_where(
        catalog,
        "system = ?1 AND snapshot < ?2 AND (?3 IS NULL OR station = ?3)",
        params![system.as_str(), to, station],
    )
}

/// Lists the changes in no part, from a snapshot on.
pub(crate) fn recent_changes_from(
    catalog: &Connection,
    system: &SystemId,
    from: u64,
) -> Result<Vec<StateChange>, StoreError> {
    changes_where(
        catalog,
        "system = ?1 AND snapshot >= ?2",
        params![system.as_str(), from],
    )
}

/// Lists the changes in no part that fulfil a condition, by snapshot and station.
fn changes_where(
    catalog: &Connection,
    condition: &str,
    params: &[&dyn ToSql],
) -> Result<Vec<StateChange>, StoreError> {
    let is_intact = STATUS_CHANGE.is_intact();
    let select = format!(
        "SELECT snapshot, station, taken_at, listed, status, vehicles, ebikes, vehicles_disabled,
             docks, docks_disabled, by_type
         FROM status_change WHERE {condition} AND {is_intact} ORDER BY snapshot, station"
    );
    query(catalog, &select, params, |row| {
        let listed: bool = row.get(3)?;
        let state = StationState {
            status: row.get::<_, Option<String>>(4)?.map(StationStatus::from),
            available: Availability {
                vehicles: row.get(5)?,
                ebikes: row.get(6)?,
                vehicles_disabled: row.get(7)?,
                docks: row.get(8)?,
                docks_disabled: row.get(9)?,
            },
            by_type: match row.get::<_, Option<String>>(10)? {
                None => Default::default(),
                Some(json) => from_json(&json)?,
            },
        };
        Ok(StateChange {
            snapshot: row.get(0)?,
            station: row.get::<_, String>(1)?.into(),
            taken_at: from_ms(row.get(2)?)?,
            state: listed.then_some(state),
        })
    })
}

/// Returns the number and the time of the first snapshot with a change in no part. `None` if there is no such
/// change.
pub(crate) fn first_recent(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Option<(u64, Timestamp)>, StoreError> {
    let select = "SELECT snapshot, taken_at FROM status_change WHERE system = ?
                  ORDER BY snapshot LIMIT 1";
    query_first(catalog, select, [system.as_str()], |row| {
        Ok((row.get(0)?, from_ms(row.get(1)?)?))
    })
}

/// Counts the changes in no part.
pub(crate) fn count_recent(catalog: &Connection, system: &SystemId) -> Result<u64, StoreError> {
    let select = "SELECT count(*) FROM status_change WHERE system = ?";
    let count = query_first(catalog, select, [system.as_str()], |row| Ok(row.get(0)?))?;
    Ok(count.unwrap_or(0))
}

/// Returns the number of the first snapshot whose changes come after `changes` others that are in no part.
/// `None` if there are not that many.
pub(crate) fn recent_after(
    catalog: &Connection,
    system: &SystemId,
    changes: u64,
) -> Result<Option<u64>, StoreError> {
    let select = "SELECT snapshot FROM status_change AS it
                  WHERE system = ?1 AND snapshot >
                      (SELECT snapshot FROM status_change WHERE system = ?1
                       ORDER BY snapshot LIMIT 1 OFFSET ?2)
                  ORDER BY snapshot LIMIT 1";
    let params = params![system.as_str(), changes];
    query_first(catalog, select, params, |row| Ok(row.get(0)?))
}

/// Deletes the changes in no part of snapshots with numbers below `end`, which a part has now.
pub(crate) fn delete_recent(
    catalog: &Connection,
    system: &SystemId,
    end: u64,
) -> Result<(), StoreError> {
    let delete = "DELETE FROM status_change WHERE system = ? AND snapshot < ?";
    execute(catalog, delete, params![system.as_str(), end])
}

/// Lists the last change of each station that is in no part.
pub(crate) fn last_changes(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Vec<StateChange>, StoreError> {
    changes_where(
        catalog,
        "system = ?1 AND (station, snapshot) IN
             (SELECT station, max(snapshot) FROM status_change WHERE system = ?1 GROUP BY station)",
        params![system.as_str()],
    )
}

/// Deletes the snapshots with numbers from `from` on and below `to`.
pub(crate) fn delete_snapshots(
    catalog: &Connection,
    system: &SystemId,
    from: u64,
    to: u64,
) -> Result<(), StoreError> {
    let delete = "DELETE FROM status_snapshot WHERE system = ? AND number >= ? AND number < ?";
    execute(catalog, delete, params![system.as_str(), from, to])
}

/// Returns whether the states of a moment are stored.
pub(crate) fn has_states(
    catalog: &Connection,
    system: &SystemId,
    moment: Moment,
) -> Result<bool, StoreError> {
    let select = "SELECT 1 FROM status_states WHERE system = ? AND moment = ?";
    let params = params![system.as_str(), moment.as_str()];
    Ok(query_first(catalog, select, params, |_| Ok(()))?.is_some())
}
