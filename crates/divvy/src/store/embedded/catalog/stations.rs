//! Stations, feeds, and the stream of station changes.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::tables::{CHANGE, CHECKPOINT, FEED, STATION};
use super::{execute, from_json, from_ms, last_sequence, query, query_first, to_json, to_ms};
use crate::model::SystemId;
use crate::stations::data::{Row, StationData, Write};
use crate::store::{COUNTS_CONSUMER, Change, FeedState, StoreError};

/// Reads the stations of a system and the state of its feed.
pub(crate) fn station_data(
    catalog: &Connection,
    system: &SystemId,
) -> Result<StationData, StoreError> {
    let is_intact = STATION.is_intact();
    let select =
        format!("SELECT row, written_at FROM station WHERE system = ? AND {is_intact} ORDER BY id");
    let rows = query(catalog, &select, [system.as_str()], |row| {
        let written_at: Option<i64> = row.get(1)?;
        Ok(Row {
            station: from_json(&row.get::<_, String>(0)?)?,
            written_at: written_at.map(from_ms).transpose()?,
        })
    })?;
    Ok(StationData::new(rows, feed(catalog, system)?))
}

/// Reads the state of a system's feed. `None` if no snapshot has been applied.
pub(crate) fn feed(
    catalog: &Connection,
    system: &SystemId,
) -> Result<Option<FeedState>, StoreError> {
    let is_intact = FEED.is_intact();
    let select = format!(
        "SELECT status_at, information_at, listed FROM feed WHERE system = ? AND {is_intact}"
    );
    query_first(catalog, &select, [system.as_str()], |row| {
        let instant = |column| row.get::<_, Option<i64>>(column);
        Ok(FeedState {
            status_at: instant(0)?.map(from_ms).transpose()?,
            information_at: instant(1)?.map(from_ms).transpose()?,
            listed: from_json(&row.get::<_, String>(2)?)?,
        })
    })
}

/// Writes the state of a system's feed.
pub(crate) fn put_feed(
    catalog: &Connection,
    system: &SystemId,
    feed: &FeedState,
) -> Result<(), StoreError> {
    execute(
        catalog,
        &FEED.insert_or_replace(),
        params![
            system.as_str(),
            feed.status_at.map(to_ms),
            feed.information_at.map(to_ms),
            to_json(&feed.listed)
        ],
    )
}

/// Writes or deletes stations, and appends all but deletions to the change stream.
///
/// `taken_at` is the time of the snapshot that caused the changes. `None` if no snapshot did.
pub(crate) fn write_stations(
    catalog: &Connection,
    system: &SystemId,
    writes: &[Write],
    taken_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let put = STATION.insert_or_replace();
    let append = CHANGE.insert();
    // Not left to SQLite: the checksum covers the sequence.
    let mut sequence = last_sequence(catalog, "change")?;
    for write in writes {
        let row = match write {
            Write::Delete(id) => {
                let delete = "DELETE FROM station WHERE system = ? AND id = ?";
                execute(catalog, delete, [system.as_str(), id.as_str()])?;
                continue;
            }
            Write::Insert(row) | Write::Change(row) | Write::Report(row) => row,
        };
        let station = &row.station;
        let text = to_json(station);
        let written_at = row.written_at.map(to_ms);
        execute(
            catalog,
            &put,
            params![system.as_str(), station.id.as_str(), text, written_at],
        )?;
        sequence += 1;
        let report_time_only = matches!(write, Write::Report(_));
        let made_at = taken_at.map(to_ms);
        execute(
            catalog,
            &append,
            params![sequence, system.as_str(), text, report_time_only, made_at],
        )?;
    }
    Ok(())
}

/// Deletes the changes that every consumer has acknowledged, [`COUNTS_CONSUMER`] among them.
pub(crate) fn prune_changes(catalog: &Connection) -> Result<(), StoreError> {
    let is_intact = CHECKPOINT.is_intact();
    let delete = format!(
        "DELETE FROM change
         WHERE sequence <= (SELECT min(sequence) FROM checkpoint WHERE {is_intact})
             AND EXISTS (SELECT 1 FROM checkpoint WHERE consumer = ?)"
    );
    execute(catalog, &delete, [COUNTS_CONSUMER])
}

/// Reads at most `limit` changes after a consumer's checkpoint, oldest first.
pub(crate) fn changes(
    catalog: &Connection,
    consumer: &str,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let (checkpoint_is_intact, is_intact) = (CHECKPOINT.is_intact(), CHANGE.is_intact());
    let select = format!(
        "SELECT sequence, system, station, report_time_only FROM change
         WHERE sequence > coalesce((SELECT sequence FROM checkpoint
                 WHERE consumer = ? AND {checkpoint_is_intact}), 0)
             AND {is_intact}
         ORDER BY sequence LIMIT ?"
    );
    query(catalog, &select, params![consumer, limit], |row| {
        Ok(Change {
            sequence: row.get(0)?,
            system: row.get::<_, String>(1)?.into(),
            station: from_json(&row.get::<_, String>(2)?)?,
            report_time_only: row.get(3)?,
        })
    })
}

/// Moves a consumer's checkpoint forward to a change; never back.
pub(crate) fn acknowledge(
    catalog: &Connection,
    consumer: &str,
    sequence: u64,
) -> Result<(), StoreError> {
    let put = CHECKPOINT.insert()
        + " ON CONFLICT DO UPDATE SET sequence = excluded.sequence, checksum = excluded.checksum
           WHERE excluded.sequence > sequence";
    execute(catalog, &put, params![consumer, sequence])
}
