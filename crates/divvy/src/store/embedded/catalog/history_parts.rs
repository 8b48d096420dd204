//! The sealed parts of the history of states.

use jiff::Timestamp;
use rusqlite::{Connection, ToSql, params};

use super::history::{pack_states, unpack_states};
use super::tables::STATUS_PART;
use super::{execute, from_ms, query, query_first, to_ms};
use crate::history::States;
use crate::model::SystemId;
use crate::store::StoreError;

/// A sealed part of the history.
#[derive(Clone, Debug)]
pub(crate) struct PartRow {
    /// Relative to the store's folder.
    pub(crate) path: String,
    pub(crate) system: SystemId,
    pub(crate) rows: u64,
    /// The first and the last snapshot with a change in it.
    pub(crate) snapshots: (u64, u64),
    /// The times of these snapshots.
    pub(crate) times: (Timestamp, Timestamp),
    /// The XXH3-128 hash of the file.
    pub(crate) hash: u128,
}

/// Names a part. `before` are all states before its first row.
pub(crate) fn put_part(
    catalog: &Connection,
    part: &PartRow,
    before: &States,
) -> Result<(), StoreError> {
    execute(
        catalog,
        &STATUS_PART.insert(),
        params![
            part.path,
            part.system.as_str(),
            part.rows,
            part.snapshots.0,
            part.snapshots.1,
            to_ms(part.times.0),
            to_ms(part.times.1),
            part.hash.to_be_bytes(),
            pack_states(before)
        ],
    )
}

/// Lists the parts of one system, or of all, in order.
pub(crate) fn history_parts(
    catalog: &Connection,
    system: Option<&SystemId>,
) -> Result<Vec<PartRow>, StoreError> {
    let system = system.map(SystemId::as_str);
    parts_where(catalog, "(?1 IS NULL OR system = ?1)", &[&system])
}

/// Lists the parts of a system with changes made from `from` on and before `to`, in order. The checksums of
/// the others are not verified: they cover all states before each part.
pub(crate) fn history_parts_between(
    catalog: &Connection,
    system: &SystemId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<PartRow>, StoreError> {
    parts_where(
        catalog,
        "system = ?1 AND last_at >= ?2 AND first_at < ?3",
        params![system.as_str(), to_ms(from), to_ms(to)],
    )
}

fn parts_where(
    catalog: &Connection,
    condition: &str,
    params: &[&dyn ToSql],
) -> Result<Vec<PartRow>, StoreError> {
    let is_intact = STATUS_PART.is_intact();
    let select = format!(
        "SELECT path, system, rows, first_snapshot, last_snapshot, first_at, last_at, hash
         FROM status_part WHERE {condition} AND {is_intact}
         ORDER BY system, first_snapshot"
    );
    query(catalog, &select, params, |row| {
        Ok(PartRow {
            path: row.get(0)?,
            system: row.get::<_, String>(1)?.into(),
            rows: row.get(2)?,
            snapshots: (row.get(3)?, row.get(4)?),
            times: (from_ms(row.get(5)?)?, from_ms(row.get(6)?)?),
            hash: u128::from_be_bytes(row.get(7)?),
        })
    })
}

/// Reads all states before the first row of a part.
pub(crate) fn states_before_part(catalog: &Connection, path: &str) -> Result<States, StoreError> {
    let select = "SELECT before FROM status_part WHERE path = ?";
    let blob = query_first(catalog, select, [path], |row| Ok(row.get::<_, Vec<u8>>(0)?))?;
    blob.map_or_else(|| Ok(States::new()), |blob| unpack_states(&blob))
}

/// Deletes the row of a part.
pub(crate) fn delete_part(catalog: &Connection, path: &str) -> Result<(), StoreError> {
    execute(catalog, "DELETE FROM status_part WHERE path = ?", [path])
}
