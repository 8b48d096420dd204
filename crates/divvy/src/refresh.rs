//! Keeps FromStationCounts up to date from the change stream. The same handler runs in the command
//! and in the Lambda.
//!
//! A change carries the ids that trips use for a station, and the version of its trips. An id is
//! counted again only if its stored count is of an older version; the new count is stored under
//! the version of the change and replaces the old one. So a change that is delivered twice costs
//! nothing, one that is delivered late changes nothing, and a station of which only the number of
//! available bikes changes is not counted again.
//!
//! If a station cannot be counted, it is reported and its change stays in the stream; the other
//! stations are counted.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{StationId, SystemId};
use crate::stations::recount::Requests;
pub use crate::stations::recount::{OutdatedCount, RefreshPlan, Refreshed, Uncounted};
use crate::store::{
    COUNTS_CONSUMER, Change, ChangeStream, CountsTable, Departures, FromStationCount, StationTable,
    Store, StoreError, StoreErrorKind,
};

/// The name under which a program refreshes counts of its own store.
pub const CONSUMER: &str = COUNTS_CONSUMER;

/// The number of changes read at once: enough for a snapshot of most systems.
const CHUNK: usize = 4096;

/// What a refresh counts, and where it keeps the results.
#[derive(Clone, Copy)]
pub struct Recounter<'a> {
    /// Counts stored trips.
    pub departures: &'a dyn Departures,
    /// Keeps the counts.
    pub counts: &'a dyn CountsTable,
}

impl<'a> Recounter<'a> {
    /// Makes a recounter of a store.
    pub fn of(store: &'a dyn Store) -> Self {
        Self {
            departures: store,
            counts: store,
        }
    }

    /// Counts ids again, and keeps each count under its version. Returns the number of counts; an id
    /// whose trips are being replaced keeps its stored count.
    ///
    /// # Errors
    ///
    /// Those of the store, such as [`Behind`](StoreErrorKind::Behind) if its index lags behind its
    /// trips.
    pub async fn recount(
        &self,
        system: &SystemId,
        outdated: &[OutdatedCount],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        if outdated.is_empty() {
            return Ok(0);
        }
        let ids: Vec<StationId> = outdated.iter().map(|count| count.id.clone()).collect();
        let departures = self.departures.departures(system, &ids).await?;
        let counts: Vec<FromStationCount> = outdated
            .iter()
            .zip(departures)
            .filter_map(|(outdated, from_count)| {
                Some(FromStationCount {
                    from_station_id: outdated.id.clone(),
                    from_count: from_count?,
                    trips_version: outdated.version,
                    refreshed_at: now,
                })
            })
            .collect();
        self.counts.put_counts(system, &counts).await?;
        Ok(counts.len() as u64)
    }
}

/// Reads the change stream of a store to its end and refreshes its counts: see [`follow`].
///
/// # Errors
///
/// Those of [`follow`].
pub async fn drain(
    store: &dyn Store,
    consumer: &str,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    follow(store, consumer, Recounter::of(store), now).await
}

/// Reads the change stream to its end and refreshes the counts. If a station cannot be counted,
/// its change and those behind it are not acknowledged, and the next call tries them again.
///
/// # Errors
///
/// Those of the store that do not concern a single station. Changes that have not been
/// acknowledged are delivered again.
pub async fn follow(
    stream: &dyn ChangeStream,
    consumer: &str,
    recounter: Recounter<'_>,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let mut refreshed = Refreshed::default();
    let mut limit = CHUNK;
    loop {
        let changes = stream.changes(consumer, limit).await?;
        let Some(last) = changes.last() else {
            return Ok(refreshed);
        };
        let handled = handle(recounter, &changes, now).await?;
        let first_failed = changes.iter().position(|change| handled.is_held_by(change));
        let Some(first_failed) = first_failed else {
            refreshed.add(handled);
            stream.acknowledge(consumer, last.sequence).await?;
            limit = CHUNK;
            continue;
        };
        if changes.len() < limit {
            refreshed.add(handled);
            if first_failed > 0 {
                let done = changes[first_failed - 1].sequence;
                stream.acknowledge(consumer, done).await?;
            }
            return Ok(refreshed);
        }
        // The checkpoint cannot move past the failed change, so that reading on means reading these
        // changes again together with those behind them.
        refreshed.recounted += handled.recounted;
        limit *= 2;
    }
}

/// Counts every station of a system again, changed or not.
///
/// # Errors
///
/// Those of [`follow`].
pub async fn refresh_all(
    store: &dyn Store,
    system: &SystemId,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    store.republish_all(system).await?;
    drain(store, CONSUMER, now).await
}

/// Counts every station that has no count or one older than its trips, independently of the change
/// stream: for counts that were lost.
///
/// # Errors
///
/// Those of [`handle`].
pub async fn count_missing(
    stations: &dyn StationTable,
    recounter: Recounter<'_>,
    system: &SystemId,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let stations = stations.stations(system).await?.into_iter();
    let changes: Vec<Change> = stations
        .map(|station| Change {
            sequence: 0,
            system: system.clone(),
            station,
            report_time_only: false,
        })
        .collect();
    handle(recounter, &changes, now).await
}

/// Refreshes the counts that the changes concern. An id that the store cannot count, because its
/// index lags behind its trips ([`Behind`](StoreErrorKind::Behind)) or because something about the
/// id cannot be read ([`Damaged`](StoreErrorKind::Damaged)), is reported in
/// [`uncounted`](Refreshed::uncounted).
///
/// # Errors
///
/// The other errors of the store.
pub async fn handle(
    recounter: Recounter<'_>,
    changes: &[Change],
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let RefreshPlan {
        mut refreshed,
        outdated,
    } = classify(recounter.counts, changes).await?;
    let mut by_system: BTreeMap<&SystemId, Vec<OutdatedCount>> = BTreeMap::new();
    for (change, outdated) in changes.iter().zip(outdated) {
        by_system
            .entry(&change.system)
            .or_default()
            .extend(outdated);
    }
    for (system, outdated) in by_system {
        match recounter.recount(system, &outdated, now).await {
            Ok(recounted) => refreshed.recounted += recounted,
            Err(error) if is_of_single_id(&error) => {
                for one in outdated {
                    match recounter
                        .recount(system, std::slice::from_ref(&one), now)
                        .await
                    {
                        Ok(recounted) => refreshed.recounted += recounted,
                        Err(error) if is_of_single_id(&error) => {
                            refreshed.uncounted.push(Uncounted {
                                system: system.clone(),
                                id: one.id,
                                why: error.to_string(),
                            });
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refreshed)
}

/// Returns whether an error may concern a single id, so that the others can be counted.
fn is_of_single_id(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::Behind | StoreErrorKind::Damaged)
}

/// Finds out which ids have to be counted again. Writes nothing.
///
/// # Errors
///
/// Those of the store.
pub async fn classify(
    counts: &dyn CountsTable,
    changes: &[Change],
) -> Result<RefreshPlan, StoreError> {
    let requests = Requests::of(changes);
    let mut stored = BTreeMap::new();
    for (system, ids) in requests.ids() {
        let counts = counts.counts_of(system, &ids).await?;
        stored.extend(
            ids.into_iter()
                .zip(counts)
                .map(|(id, count)| ((system, id), count)),
        );
    }
    Ok(requests.plan(|system, id| stored.get(&(system, id.clone())).and_then(Option::as_ref)))
}

/// Upkeep of the counts by a command that has opened a store.
#[async_trait]
pub trait RefreshCounts: Send + Sync {
    /// Refreshes the counts from the change stream. `None` if another process, such as a Lambda,
    /// reads the stream.
    async fn follow_stream(&self, now: Timestamp) -> Result<Option<Refreshed>, StoreError>;

    /// Refreshes the counts from the change stream, if this process reads it, and counts every
    /// station whose count is missing or outdated.
    async fn refresh_outdated(&self, now: Timestamp) -> Result<Refreshed, StoreError>;

    /// Lists the counts that are known to be too low, one sentence each.
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

#[cfg(feature = "embedded")]
#[async_trait]
impl RefreshCounts for crate::store::embedded::EmbeddedStore {
    async fn follow_stream(&self, now: Timestamp) -> Result<Option<Refreshed>, StoreError> {
        drain(self, CONSUMER, now).await.map(Some)
    }

    /// Returns what was read from the change stream alone.
    async fn refresh_outdated(&self, now: Timestamp) -> Result<Refreshed, StoreError> {
        use crate::store::Ledger;
        let followed = drain(self, CONSUMER, now).await?;
        for system in self.systems().await? {
            count_missing(self, Recounter::of(self), &system.id, now).await?;
        }
        Ok(followed)
    }
}
