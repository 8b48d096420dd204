//! Rows of StationData: read, kept between polls, and written under the condition that they have not
//! changed since they were read (optimistic locking).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::StationId;
use divvy::stations::data::{Row, Write};
use divvy::store::StoreError;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::feed::{FeedTimes, StoredFeed};
use crate::item::station::{cause, put_cause};
use crate::item::{self, Item};
use crate::pace::{Consistency, PacedTable, unchanged};
use crate::store::readable::ReadItems;
use crate::store::{NO_PANIC, Shared, damaged_item, string_key};

/// Rows that are written at a time.
const AT_ONCE: usize = 16;

/// The time for which rows are kept in memory. A process that was killed while it wrote rows leaves
/// the times of the feed as they were, and only rows that are read again show what it has written.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// What follows from a row that cannot be read.
pub(in crate::store) const UNREADABLE_STATION: &str = "the station is left out until a snapshot of \
     its feed, a load of its trips or divvy check --repair makes it again";

/// The versions of the trips of stations, by the ids that trips use for them. `None` for a station of
/// which no trip was loaded.
pub(in crate::store) type Versions = HashMap<StationId, Option<u64>>;

/// Returns the version of the trips of every id that trips use for a station, and of the id of
/// stations that no trip uses. Of an id that two rows have, the newer one.
pub(in crate::store) fn versions_of<'a>(rows: impl Iterator<Item = &'a Row>) -> Versions {
    let mut versions = Versions::new();
    for row in rows.map(|row| &row.station) {
        for id in row.counted_ids() {
            let newest: &mut Option<u64> = versions.entry(id).or_default();
            *newest = row.trips_version.max(*newest);
        }
    }
    versions
}

/// The rows of StationData with the state of the feed of the same moment.
#[derive(Debug, Default)]
pub(in crate::store) struct StationRows {
    pub(super) rows: HashMap<StationId, Row>,
    /// The rows that cannot be read. A new row of the same id replaces them.
    pub(super) unreadable: HashMap<StationId, Item>,
    pub(super) feed: StoredFeed,
    /// When the rows were read from the table. `None` where they were not.
    read_at: Option<Instant>,
}

impl StationRows {
    /// Returns whether the rows are those of some times of the feed: each change has others.
    fn is_of(&self, times: Option<&FeedTimes>) -> bool {
        times.is_some_and(FeedTimes::has_version) && self.feed.times.as_ref() == times
    }
}

impl Shared {
    /// Reads all rows by strongly consistent reads.
    pub(in crate::store) async fn read_station_rows(&self) -> Result<ReadItems<Row>, StoreError> {
        self.read_rows(Consistency::Strong).await
    }

    /// Reads all rows as [`read_station_rows`](Self::read_station_rows) does, and notes those that cannot
    /// be read.
    pub(super) async fn station_rows(&self) -> Result<Vec<Row>, StoreError> {
        let rows = self.read_station_rows().await?;
        self.note_unreadable(&rows);
        Ok(rows.read)
    }

    async fn read_rows(&self, consistency: Consistency) -> Result<ReadItems<Row>, StoreError> {
        let items = self.stations.scan_with(consistency).all().await?;
        Ok(ReadItems::of(items, item::station::KEY, item::station::row))
    }

    fn note_unreadable(&self, rows: &ReadItems<Row>) {
        for sentence in rows.describe_unreadable(UNREADABLE_STATION) {
            self.listener.note(&sentence);
        }
    }

    /// Returns the version of the trips of every station; see [`versions_of`].
    pub(in crate::store) async fn station_versions(&self) -> Result<Versions, StoreError> {
        let rows = self.read_station_rows().await?;
        Ok(versions_of(rows.read.iter()))
    }

    /// Returns the rows and the state of the feed, for a change of them. Of a first attempt these are
    /// the ones that this process has written last, if no other process has changed them and they were
    /// read within [`MAX_AGE`]; else they
    /// are read eventually consistently, at half the units, if the last change is some time ago. Rows
    /// that are not the newest ones make the write of them fail, and a further attempt reads strongly
    /// consistently.
    pub(super) async fn rows_to_change(&self, is_first: bool) -> Result<StationRows, StoreError> {
        // What is kept is taken out, so that a poll that ends in the middle leaves nothing outdated.
        let kept = self.station_rows.lock().expect(NO_PANIC).take();
        let mut times = self.feed_times().await?;
        let is_current = |kept: &StationRows| {
            let age = kept.read_at.map(|at| at.elapsed());
            is_first && age < Some(MAX_AGE) && kept.is_of(times.as_ref())
        };
        if let Some(kept) = kept.filter(is_current) {
            return Ok(kept);
        }
        for attempt in 0..super::ATTEMPTS {
            let is_settled = times.as_ref();
            let is_settled =
                is_settled.is_some_and(|times| times.is_settled(self.connection.clock.now()));
            let consistency = if is_first && is_settled && attempt == 0 {
                Consistency::Eventual
            } else {
                Consistency::Strong
            };
            // The times were read before the rows: if another process changes rows meanwhile, these
            // times are no longer the stored ones, and the write of the feed fails.
            let rows = self.read_rows(consistency).await?;
            if let Some(feed) = self.feed_of(times).await? {
                self.note_unreadable(&rows);
                let by_id = |row: Row| (row.station.id.clone(), row);
                let unreadable = rows.unreadable.into_iter();
                return Ok(StationRows {
                    rows: rows.read.into_iter().map(by_id).collect(),
                    unreadable: unreadable.map(|(id, it)| (id, it.item)).collect(),
                    feed,
                    read_at: Some(Instant::now()),
                });
            }
            times = self.feed_times().await?;
        }
        Err(self.too_many_writers())
    }

    /// Returns the state of the feed that this process has written last. `None` where it is not of these
    /// times.
    pub(super) fn kept_feed(&self, times: Option<&FeedTimes>) -> Option<StoredFeed> {
        let kept = self.station_rows.lock().expect(NO_PANIC);
        let kept = kept.as_ref().filter(|kept| kept.is_of(times))?;
        Some(kept.feed.clone())
    }

    /// Drops the rows that are kept, so that they are read again.
    pub(in crate::store) fn forget_rows(&self) {
        *self.station_rows.lock().expect(NO_PANIC) = None;
    }

    /// Keeps the rows and the state of the feed after a change.
    pub(super) fn keep_rows(&self, mut kept: StationRows, writes: Vec<Write>, times: FeedTimes) {
        for write in writes {
            match write {
                Write::Delete(id) => {
                    kept.rows.remove(&id);
                }
                Write::Insert(row) | Write::Change(row) | Write::Report(row) => {
                    kept.unreadable.remove(&row.station.id);
                    kept.rows.insert(row.station.id.clone(), row);
                }
            }
        }
        kept.feed.times = Some(times);
        *self.station_rows.lock().expect(NO_PANIC) = Some(kept);
    }

    /// Writes rows. Returns whether none of the rows had changed since it was read; some may not be
    /// written then.
    ///
    /// Those that name stations come after the others, see [`Write::names_station`], and deletions last: a
    /// process that ends before leaves an id in two rows, which the next one notices. A deleted row
    /// would have been the only one with the version of its trips.
    ///
    /// Of the others, report times alone come last, and rows that were written long ago before others:
    /// where the capacity is too small for all, none is left out for ever.
    pub(super) async fn write_rows(
        &self,
        known: &StationRows,
        writes: &[Write],
    ) -> Result<bool, StoreError> {
        let before = &known.rows;
        let mut waves: [Vec<&Write>; 3] = Default::default();
        for write in writes {
            let wave = match write.row() {
                Some(row) if write.names_station(before.get(&row.station.id)) => 1,
                Some(_) => 0,
                None => 2,
            };
            waves[wave].push(write);
        }
        for mut wave in waves {
            wave.sort_by_key(|write| {
                let row = write.row().and_then(|row| before.get(&row.station.id));
                let is_report = matches!(write, Write::Report(_));
                (is_report, row.and_then(|row| row.written_at))
            });
            if !self.write_all(known, &wave).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes rows, many at once. Returns whether none of them had changed since it was read.
    async fn write_all(&self, rows: &StationRows, writes: &[&Write]) -> Result<bool, StoreError> {
        let mut running: JoinSet<Result<bool, StoreError>> = JoinSet::new();
        let mut all = true;
        for write in writes {
            let table = Arc::clone(&self.stations);
            let (id, item) = match write {
                Write::Delete(id) => (id, None),
                Write::Insert(row) | Write::Change(row) | Write::Report(row) => {
                    let id = &row.station.id;
                    let mut item = item::station::item(row);
                    put_cause(&mut item, cause(rows.rows.get(id), row));
                    (id, Some(item))
                }
            };
            let known = rows.rows.get(id).map(item::station::item);
            let known = known.or_else(|| rows.unreadable.get(id).cloned());
            let id = id.clone();
            if running.len() >= AT_ONCE
                && let Some(done) = running.join_next().await
            {
                all &= done.expect(NO_PANIC)?;
            }
            running.spawn(async move { put_row(&table, &id, item, known).await });
        }
        while let Some(done) = running.join_next().await {
            all &= done.expect(NO_PANIC)?;
        }
        Ok(all)
    }
}

/// Writes or deletes one row, if it is still `known`. Returns whether it was.
async fn put_row(
    table: &PacedTable,
    id: &StationId,
    item: Option<Item>,
    known: Option<Item>,
) -> Result<bool, StoreError> {
    let (text, values) = is_unchanged(known.as_ref());
    let condition = Some((text.as_str(), values));
    let key = string_key(item::station::KEY, id.as_str());
    let written = match item.clone() {
        Some(item) => table.put_if(item, condition).await?,
        None => table.delete_if(key.clone(), condition).await?,
    };
    if written {
        return Ok(true);
    }
    let row = |item: &Item| item::station::row(item);
    let stored = table.get(key.clone()).await?;
    let Ok(found) = stored.as_ref().map(row).transpose() else {
        // Another program has written it meanwhile, in a form that cannot be read.
        return Ok(false);
    };
    if found == item.as_ref().map(row).transpose().map_err(damaged_item)? {
        // A write that is repeated because its response was lost fails on its own row.
        return Ok(true);
    }
    let in_our_form = found.as_ref().map(item::station::item);
    let is_known = match (&in_our_form, &known) {
        (Some(stored), Some(known)) => item::station::are_same(stored, known),
        _ => false,
    };
    if !is_known {
        return Ok(false);
    }
    // It is the same row, which another program has written in another form, such as a time with
    // trailing zeros.
    let (text, values) = is_unchanged(stored.as_ref());
    let condition = Some((text.as_str(), values));
    match item {
        Some(item) => table.put_if(item, condition).await,
        None => table.delete_if(key, condition).await,
    }
}

/// Returns the condition that a row has not changed. `None`: that it does not exist.
fn is_unchanged(known: Option<&Item>) -> (String, HashMap<String, AttributeValue>) {
    let Some(known) = known else {
        let new = format!("attribute_not_exists({})", item::station::KEY);
        return (new, HashMap::new());
    };
    let names = item::station::OPTIMISTIC_LOCK_ATTRIBUTES.into_iter();
    unchanged(item::station::KEY, names, known)
}
