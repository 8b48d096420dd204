//! Counts of departures: by the index of TripData, and in FromStationCounts.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::{StationId, SystemId};
use divvy::store::{CountsTable, Departures, FromStationCount, StoreError, StoreErrorKind};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::{DynamoStore, NO_PANIC, Shared, damaged_item, string_key};
use crate::item;
use crate::ledger::{IndexLag, Note, State};
use crate::tables::Layout;

/// The longest wait for the index. It usually follows within a second.
const MAX_WAIT: SignedDuration = SignedDuration::from_mins(15);

impl DynamoStore {
    /// Returns a sentence for each count that is what the index had after [`MAX_WAIT`], where the
    /// index did not catch up with the stored trips.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn lagging_counts(&self) -> Result<Vec<String>, StoreError> {
        let Some(state) = self.shared.ledger.state().await? else {
            return Ok(Vec::new());
        };
        let counts = self.counts(&state.system.id).await?;
        let stored: HashMap<&str, u64> = counts
            .iter()
            .map(|count| (count.from_station_id.as_str(), count.from_count))
            .collect();
        let lags = self.shared.ledger.index_lags().await?.into_iter();
        Ok(lags
            .filter(|(_, lag)| lag.revision == state.revision && lag.counted.is_some())
            .filter(|(origin, lag)| stored.get(origin.as_str()).copied() == lag.counted)
            .map(|(origin, lag)| lag_sentence(&origin, &lag))
            .collect())
    }
}

/// Describes a count that is what the index had.
fn lag_sentence(origin: &str, lag: &IndexLag) -> String {
    let IndexLag {
        stored, counted, ..
    } = lag;
    format!(
        "from_count of {origin} is {}, as counted by the index, and {stored} trips are stored: it \
         had not caught up after {} minutes; divvy check --repair corrects it",
        counted.unwrap_or(0),
        MAX_WAIT.as_mins()
    )
}

impl Shared {
    /// Returns whether an index that counts fewer trips than are stored has lagged for
    /// [`MAX_WAIT`]: then its count is accepted. Stores when the lag was first seen; a process that
    /// may not write the ledger leaves that to another.
    async fn is_lag_accepted(
        &self,
        state: &State,
        origin: &StationId,
        counted: u64,
        stored: u64,
    ) -> Result<bool, StoreError> {
        let note = Note::Behind(origin.as_str());
        let now = Timestamp::now();
        let known = self.ledger.note::<IndexLag>(note).await?;
        let known = known.filter(|lag| lag.revision == state.revision && lag.stored == stored);
        let Some(lag) = known else {
            let lag = IndexLag {
                since: now,
                revision: state.revision,
                stored,
                counted: None,
            };
            let _ = self.ledger.put_note(note, &lag).await;
            return Ok(false);
        };
        if now.duration_since(lag.since) < MAX_WAIT {
            return Ok(false);
        }
        let lag = IndexLag {
            counted: Some(counted),
            ..lag
        };
        self.listener.note(&lag_sentence(origin.as_str(), &lag));
        let _ = self.ledger.put_note(note, &lag).await;
        Ok(true)
    }
}

#[async_trait]
impl Departures for DynamoStore {
    async fn departures(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<u64>, StoreError> {
        let Some((state, load)) = self.shared.state_and_load().await? else {
            return Ok(vec![0; origins.len()]);
        };
        if state.system.id != *system {
            return Ok(vec![0; origins.len()]);
        }
        // At the end of a load all its trips are written.
        let is_ending = load.is_some_and(|load| load.is_ending);
        let pending = state.pending_totals.filter(|_| is_ending);
        let expected = self.shared.totals(pending.or(state.totals)).await?;
        let packed = self.shared.tables.trip_data.layout == Layout::Packed;
        let mut counts = Vec::with_capacity(origins.len());
        for origin in origins {
            let trips = &self.shared.trips;
            let n = trips
                .count(item::count::KEY, origin.as_str(), packed)
                .await?;
            let stored = expected.stations.departures(origin).max(0) as u64;
            // There are more trips where a load is unfinished: these do not count yet. There are
            // fewer where it has overwritten trips of which the origin was another.
            let is_behind = n < stored && self.shared.ledger.load().await?.is_none();
            if !is_behind {
                counts.push(stored);
            } else if self
                .shared
                .is_lag_accepted(&state, origin, n, stored)
                .await?
            {
                counts.push(n);
            } else {
                return Err(StoreError::new(
                    StoreErrorKind::Behind,
                    format!(
                        "the index of {} has {n} trips from {origin}, and {stored} are stored: it \
                         has not caught up",
                        trips.name
                    ),
                ));
            }
        }
        Ok(counts)
    }
}

#[async_trait]
impl CountsTable for DynamoStore {
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError> {
        if !self.is_of(system).await? {
            return Ok(Vec::new());
        }
        let items = self.shared.counts.scan().all().await?;
        let counts: Result<Vec<_>, _> = items.iter().map(item::count::count).collect();
        let mut counts = counts.map_err(damaged_item)?;
        counts.sort_by(|a, b| a.from_station_id.cmp(&b.from_station_id));
        Ok(counts)
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
        let mut found = HashMap::new();
        for item in &items {
            let count = item::count::count(item).map_err(damaged_item)?;
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

impl DynamoStore {
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

/// Returns the condition that the stored count has an older version; or the same version, and is
/// not of a later record of the stream.
fn is_newer_than_stored(item: &item::Item) -> (String, HashMap<String, AttributeValue>) {
    use item::count::{SOURCE_SEQUENCE, TRIPS_VERSION};
    let mut values = HashMap::new();
    let mut text = format!("attribute_not_exists({TRIPS_VERSION})");
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
