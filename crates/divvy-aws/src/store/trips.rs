//! Scans of the trips: of the whole table, or of some stations and some time by the index, without
//! reading the whole table.

use std::sync::Arc;

use async_trait::async_trait;
use divvy::model::{StationId, SystemId, TripBatch};
use divvy::store::{ArchiveId, ContentHash, Incoming, Projection, StoreError, Trips};

use super::committed_items::CommittedItems;
use super::layout::{key_of, rows_of_items, scan};
use super::load::DynamoIncoming;
use super::{DynamoStore, Shared, string_key};
use crate::blocks::Rows;
use crate::item::trip::{KEY, local_text};
use crate::ledger::Archive;
use crate::pace::{IndexQuery, MAX_BATCH_KEYS};
use crate::tables::{IndexShape, Layout};

/// The most stations that are looked up one by one.
const MAX_STATIONS: usize = 200;
/// A trip that is read by its key costs as much as this many trips of a scan: an item of some 230 bytes
/// is charged as 4 KB.
const SCANNED_FOR_ONE: u64 = 18;
/// The longest month, in milliseconds.
const MONTH_MS: i64 = 31 * 86_400_000;
/// Items that are read and decoded at a time.
const ITEMS_AT_ONCE: usize = 10 * MAX_BATCH_KEYS;

#[async_trait]
impl Trips for DynamoStore {
    async fn begin(&self, _: &ArchiveId) -> Result<Box<dyn Incoming>, StoreError> {
        let incoming = DynamoIncoming::new(Arc::clone(&self.shared))?;
        Ok(Box::new(incoming))
    }

    async fn scan_by_archive(
        &self,
        system: &SystemId,
        visit: &(dyn Fn(ContentHash, TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        if !self.is_of(system).await? {
            return Ok(());
        }
        let (committed, archives) = self.shared.committed_items().await?;
        let visit = &mut |archive, rows: Rows| visit(archive, rows.batch);
        scan(&self.shared, &|item| committed.has(item), &archives, visit).await
    }

    async fn scan_projection(
        &self,
        system: &SystemId,
        projection: &Projection,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        if !self.is_of(system).await? {
            return Ok(());
        }
        let shared = &self.shared;
        let (committed, archives) = shared.committed_items().await?;
        if shared.visit_selected(projection, &committed, visit).await? {
            return Ok(());
        }
        let visit = &mut |_, rows: Rows| visit(projection.apply(rows.batch));
        scan(shared, &|item| committed.has(item), &archives, visit).await
    }
}

impl Shared {
    /// Lists the archives, and reads which items of TripData belong to them.
    async fn committed_items(&self) -> Result<(CommittedItems, Vec<Archive>), StoreError> {
        loop {
            let archives = self.ledger.archives().await?;
            match CommittedItems::of(self, &archives).await {
                Ok(committed) => return Ok((committed, archives)),
                // A commit has replaced the lists of keys.
                Err(_) if self.ledger.archives().await? != archives => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Passes the committed trips of a projection's stations and time to `visit`. Returns `false`,
    /// without reading trips, where a scan of the table costs less: the projection names no stations,
    /// or so many trips start there.
    pub(super) async fn visit_selected(
        &self,
        projection: &Projection,
        committed: &CommittedItems,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<bool, StoreError> {
        let is_counted = self.tables.trip_data.index_shape == IndexShape::Counted;
        let stations = projection.origins.as_ref();
        let stations = stations.filter(|ids| is_counted && ids.len() <= MAX_STATIONS);
        let Some(stations) = stations else {
            return Ok(false);
        };
        let state = self.ledger.state().await?;
        let totals = self.totals(state.and_then(|state| state.totals)).await?;
        let layout = self.tables.trip_data.layout;
        let trips = totals.trips.max(0) as u64;
        let most = match layout {
            Layout::Rows => trips / SCANNED_FOR_ONE,
            // A block is as large as what is charged for it.
            Layout::Packed => trips,
        };
        let departures = stations.iter().map(|id| totals.stations.departures(id));
        let is_of_all_times = projection.started_ms.is_none();
        if layout == Layout::Rows && is_of_all_times && departures.sum::<u64>() > most {
            return Ok(false);
        }
        let keys = self.keys_of_stations(stations, projection, committed, most);
        let Some(keys) = keys.await? else {
            return Ok(false);
        };
        for some in keys.chunks(ITEMS_AT_ONCE) {
            let wanted = some.iter().map(|key| string_key(KEY, key));
            let mut items = self.trips.get_all(wanted.collect()).await?;
            // A load may have overwritten some of them meanwhile.
            items.retain(|item| committed.has(item));
            for rows in rows_of_items(layout, &items)?.into_values() {
                if !visit(projection.apply(rows.batch)) {
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    /// Lists the keys of committed items of some stations. `None` where there are more than `most`.
    async fn keys_of_stations(
        &self,
        stations: &[StationId],
        projection: &Projection,
        committed: &CommittedItems,
        most: u64,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let started = self.started_range(projection);
        let mut keys = Vec::new();
        for station in stations {
            let query = IndexQuery {
                origin: station.as_str(),
                started: started
                    .as_ref()
                    .map(|(first, last)| (first.as_str(), last.as_str())),
            };
            self.trips
                .query_index(&query, &mut |entry| {
                    if keys.len() as u64 <= most && committed.has(entry) {
                        keys.extend(key_of(entry).map(str::to_owned));
                    }
                })
                .await?;
            if keys.len() as u64 > most {
                return Ok(None);
            }
        }
        Ok(Some(keys))
    }

    /// Returns the first and the last text of `started_at` of a projection. `None` for all times.
    ///
    /// Years with more than four digits, which no archive has, sort before others, and are found only
    /// without a range.
    fn started_range(&self, projection: &Projection) -> Option<(String, String)> {
        let (from_ms, until_ms) = projection.started_ms?;
        let first = match self.tables.trip_data.layout {
            Layout::Rows => from_ms,
            // A block has the trips of a month, and is sorted by the first.
            Layout::Packed => from_ms.saturating_sub(MONTH_MS),
        };
        // Texts before and behind all times.
        let first = local_text(first).unwrap_or_else(|| " ".into());
        let last = local_text(until_ms).unwrap_or_else(|| "~".into());
        Some((first, last))
    }
}
