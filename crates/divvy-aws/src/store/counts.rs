//! FromStationCounts: the counts that the handler of the stream keeps.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::{StationId, SystemId};
use divvy::store::{CountsTable, FromStationCount, StoreError};
use tokio::task::JoinSet;

use super::readable::ReadItems;
use super::{DynamoStore, NO_PANIC, Shared, string_key};
use crate::item;

#[async_trait]
impl CountsTable for DynamoStore {
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError> {
        if !self.is_of(system).await? {
            return Ok(Vec::new());
        }
        let counts = self.read_counts().await?;
        self.note_unreadable(&counts);
        Ok(counts.read)
    }

    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError> {
        if origins.is_empty() || !self.is_of(system).await? {
            return Ok(vec![None; origins.len()]);
        }
        let keys = origins
            .iter()
            .map(|id| string_key(item::count::KEY, id.as_str()));
        let mut distinct: Vec<_> = keys.collect();
        distinct.sort_by_key(|key| key[item::count::KEY].as_s().cloned().unwrap_or_default());
        distinct.dedup();
        let items = self.shared.counts.get_all(distinct).await?;
        let counts = ReadItems::of(items, item::count::KEY, item::count::count);
        self.note_unreadable(&counts);
        let mut found = HashMap::new();
        for count in counts.read {
            found.insert(count.from_station_id.clone(), count);
        }
        Ok(origins.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError> {
        let without_record = CountsFrom {
            store: self,
            source_sequence: None,
        };
        without_record.put_counts(system, counts).await
    }
}

impl Shared {
    async fn read_counts(&self) -> Result<ReadItems<FromStationCount>, StoreError> {
        let items = self.counts.scan().all().await?;
        let mut counts = ReadItems::of(items, item::count::KEY, item::count::count);
        let by_id =
            |a: &FromStationCount, b: &FromStationCount| a.from_station_id.cmp(&b.from_station_id);
        counts.read.sort_by(by_id);
        Ok(counts)
    }

    /// Returns a version of the trips that is newer than that of every count. Rows of StationData have
    /// older versions than that where some were deleted by hand: with the next version of the rows
    /// alone, counts would be taken for current.
    pub(super) async fn version_after_counts(&self) -> Result<u64, StoreError> {
        let counts = self.read_counts().await?;
        let newest = counts
            .read
            .iter()
            .filter_map(|count| count.trips_version)
            .max();
        Ok(newest.map_or(1, |newest| newest + 1))
    }
}

impl DynamoStore {
    /// Reads all counts, by id.
    pub(super) async fn read_counts(&self) -> Result<ReadItems<FromStationCount>, StoreError> {
        self.shared.read_counts().await
    }

    fn note_unreadable(&self, counts: &ReadItems<FromStationCount>) {
        for sentence in counts.describe_unreadable(UNREADABLE_COUNT) {
            self.shared.listener.note(&sentence);
        }
    }

    /// Returns the counts table for one record of the stream: its counts are stored with the
    /// record's sequence number.
    pub fn counts_from<'a>(&'a self, source_sequence: &'a str) -> CountsFrom<'a> {
        CountsFrom {
            store: self,
            source_sequence: Some(source_sequence),
        }
    }
}

/// The counts table of a store, written for one record of the stream.
pub struct CountsFrom<'a> {
    store: &'a DynamoStore,
    source_sequence: Option<&'a str>,
}

/// What follows from a count that cannot be read.
pub(super) const UNREADABLE_COUNT: &str =
    "the station has no count until a refresh or divvy check --repair makes it again";

/// The number of counts that are put at a time.
const COUNTS_AT_ONCE: usize = 16;

#[async_trait]
impl CountsTable for CountsFrom<'_> {
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError> {
        self.store.counts(system).await
    }

    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError> {
        self.store.counts_of(system, origins).await
    }

    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError> {
        if counts.is_empty() || !self.store.is_of(system).await? {
            return Ok(());
        }
        let mut running = JoinSet::new();
        for count in counts {
            let table = Arc::clone(&self.store.shared.counts);
            let item = item::count::item(count, self.source_sequence);
            let condition = is_newer_than_stored(&item);
            if running.len() >= COUNTS_AT_ONCE
                && let Some(done) = running.join_next().await
            {
                done.expect(NO_PANIC)?;
            }
            running.spawn(async move {
                // A newer count stays.
                let (text, values) = condition;
                table.put_if(item, Some((&text, values))).await.map(drop)
            });
        }
        while let Some(done) = running.join_next().await {
            done.expect(NO_PANIC)?;
        }
        Ok(())
    }
}

/// Returns the condition that the stored count has an older version, or none that is a number; or the
/// same version, and is not of a later record of the stream.
fn is_newer_than_stored(item: &item::Item) -> (String, HashMap<String, AttributeValue>) {
    use item::count::{SOURCE_SEQUENCE, TRIPS_VERSION};
    let mut values = HashMap::from([(":number".to_owned(), AttributeValue::S("N".into()))]);
    // Also true where it is missing.
    let mut text = format!("(NOT attribute_type({TRIPS_VERSION}, :number))");
    if let Some(version) = item.get(TRIPS_VERSION) {
        values.insert(":version".to_owned(), version.clone());
        let same = match item.get(SOURCE_SEQUENCE) {
            None => format!("{TRIPS_VERSION} = :version"),
            Some(sequence) => {
                values.insert(":sequence".to_owned(), sequence.clone());
                format!(
                    "({TRIPS_VERSION} = :version AND (attribute_not_exists({SOURCE_SEQUENCE}) OR \
                     {SOURCE_SEQUENCE} <= :sequence))"
                )
            }
        };
        text = format!("{text} OR {TRIPS_VERSION} < :version OR {same}");
    }
    (text, values)
}
