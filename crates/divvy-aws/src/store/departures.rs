//! Departures, counted by the index of TripData and compared with the totals in the ledger.
//!
//! An entry of the index counts if its trip belongs to an archive of the ledger, or if another
//! program has put it there without an archive. Where the first of these are not as many as the
//! totals state, the reason decides:
//!
//! | reason | result |
//! |---|---|
//! | a load overwrites or deletes rows, and its commit has not begun | no count: the stored one stays, and the load's last step causes another |
//! | a load is being undone | an error |
//! | the index lags behind the table, or trips were added or deleted by hand | an error for [`MAX_WAIT`], then the count of the index |
//!
//! An index without archives ([`IndexShape::Compared`]) is only compared: the counts are those of
//! the ledger.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use divvy::model::{StationId, SystemId};
use divvy::store::{Departures, StoreError, StoreErrorKind};
use divvy::tally::Totals;
use jiff::SignedDuration;

use super::committed_items::{CommittedItems, Membership};
use super::{DynamoStore, NO_PANIC, Shared};
use crate::item::{Item, packed};
use crate::ledger::{IndexLag, LoadRecord, Note, State};
use crate::pace::IndexQuery;
use crate::tables::{IndexShape, Layout};

/// The longest wait for the index. It usually follows within a second.
const MAX_WAIT: SignedDuration = SignedDuration::from_mins(15);

/// The number of trips that start at a station, by what they belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StationCount {
    /// Trips of archives of the ledger.
    pub(super) committed: u64,
    /// Trips without an archive, which another program has put into the table.
    pub(super) foreign: u64,
}

impl StationCount {
    /// Adds an item of a layout, or its entry of the index.
    fn add(&mut self, layout: Layout, item: &Item, membership: Membership) {
        let n = trips_of(layout, item);
        match membership {
            Membership::Committed => self.committed += n,
            Membership::Foreign => self.foreign += n,
            Membership::Uncommitted => {}
        }
    }

    /// Returns the number of trips that count.
    pub(super) fn counted(self) -> u64 {
        self.committed + self.foreign
    }
}

/// Returns the number of trips of an item, or of an entry of the index.
pub(super) fn trips_of(layout: Layout, item: &Item) -> u64 {
    match layout {
        Layout::Rows => 1,
        Layout::Packed => packed::trips(item),
    }
}

/// What the ledger states at one moment.
struct LedgerView {
    state: State,
    /// The totals over all archives; those that a commit is about to make current where a load is
    /// in its last step.
    totals: Arc<Totals>,
    /// The items that belong to the archives of these totals.
    items: Arc<CommittedItems>,
    /// Whether these are what a load is about to commit.
    is_pending: bool,
}

/// The items that belong to the archives of a revision of the store, after the commit of the load
/// that is in its last step. `None` as the owner where there is no such load.
pub(super) type CachedItems = (u64, Option<String>, Arc<CommittedItems>);

impl Shared {
    /// Reads the ledger. `None` before the first write.
    async fn ledger_view(&self) -> Result<Option<LedgerView>, StoreError> {
        loop {
            let Some((state, load)) = self.state_and_load().await? else {
                return Ok(None);
            };
            let ending = load.filter(|load| load.is_ending);
            match self.view_of(&state, ending.as_ref()).await {
                Ok(Some(view)) => return Ok(Some(view)),
                // A commit has replaced what the state named.
                Ok(None) => {}
                Err(error) => match self.ledger.state().await? {
                    Some(now) if now != state => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Reads what the ledger has beside its state. `None` where the state has changed meanwhile.
    async fn view_of(
        &self,
        state: &State,
        ending: Option<&LoadRecord>,
    ) -> Result<Option<LedgerView>, StoreError> {
        let pending = state.pending_totals.filter(|_| ending.is_some());
        let ending = ending.filter(|_| pending.is_some());
        let totals = self.totals(pending.or(state.totals)).await?;
        let owner = ending.map(|load| load.owner.clone());
        let is_same = |cached: &&CachedItems| cached.0 == state.revision && cached.1 == owner;
        let cached = || self.items.lock().expect("no holder of this lock panics");
        let known = cached()
            .as_ref()
            .filter(is_same)
            .map(|known| Arc::clone(&known.2));
        let items = match known {
            Some(items) => items,
            None => {
                let changes = match ending {
                    None => Default::default(),
                    Some(load) => load.changes.clone().ok_or_else(|| is_committing(load))?,
                };
                let archives = self.ledger.archives().await?;
                let items = CommittedItems::after(self, &archives, &changes).await?;
                if self.ledger.state().await?.as_ref() != Some(state) {
                    return Ok(None);
                }
                let items = Arc::new(items);
                *cached() = Some((state.revision, owner, Arc::clone(&items)));
                items
            }
        };
        Ok(Some(LedgerView {
            state: state.clone(),
            totals,
            items,
            is_pending: pending.is_some(),
        }))
    }

    /// Counts the entries of the index of an origin.
    async fn count_entries(
        &self,
        origin: &StationId,
        items: &CommittedItems,
    ) -> Result<StationCount, StoreError> {
        let mut count = StationCount::default();
        let layout = self.tables.trip_data.layout;
        let query = IndexQuery::of(origin.as_str());
        self.trips
            .query_index(&query, &mut |entry| {
                count.add(layout, entry, items.membership(entry));
            })
            .await?;
        Ok(count)
    }

    /// Counts the trips from an origin. `None` where the stored count is to stay.
    async fn departures_of(
        &self,
        view: &LedgerView,
        origin: &StationId,
    ) -> Result<Option<u64>, StoreError> {
        let stored = view.totals.stations.departures(origin);
        if self.tables.trip_data.index_shape == IndexShape::Compared {
            return self.compared_departures(view, origin, stored).await;
        }
        let count = self.count_entries(origin, &view.items).await?;
        if count.committed == stored {
            let behind = || self.behind.lock().expect(NO_PANIC);
            let was_behind = behind().remove(origin);
            if was_behind {
                self.ledger
                    .delete_note(Note::Behind(origin.as_str()))
                    .await?;
            }
            return Ok(Some(count.counted()));
        }
        match self.ledger.load().await? {
            Some(load) if load.is_undone => Err(self.is_behind(origin, count.committed, stored)),
            Some(load) if load.overwrites() && !view.is_pending => Ok(None),
            _ => {
                self.accept_lag(&view.state, origin, count, stored).await?;
                Ok(Some(count.counted()))
            }
        }
    }

    /// Returns the departures that the ledger states, if an index without archives has as many
    /// trips or more.
    async fn compared_departures(
        &self,
        view: &LedgerView,
        origin: &StationId,
        stored: u64,
    ) -> Result<Option<u64>, StoreError> {
        let mut found = 0;
        let layout = self.tables.trip_data.layout;
        let query = IndexQuery::of(origin.as_str());
        self.trips
            .query_index(&query, &mut |entry| found += trips_of(layout, entry))
            .await?;
        // There are more trips where a load is unfinished: these do not count yet. There are fewer
        // where it has overwritten trips of which the origin was another.
        if found >= stored || self.ledger.load().await?.is_some() {
            return Ok(Some(stored));
        }
        let count = StationCount {
            committed: found,
            foreign: 0,
        };
        self.accept_lag(&view.state, origin, count, stored).await?;
        Ok(Some(found))
    }

    /// Accepts a count of the index that differs from the stored trips where it has done so for
    /// [`MAX_WAIT`]. Stores when that was first seen; a process that may not write the ledger leaves
    /// that to another.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Behind`] before.
    async fn accept_lag(
        &self,
        state: &State,
        origin: &StationId,
        count: StationCount,
        stored: u64,
    ) -> Result<(), StoreError> {
        let note = Note::Behind(origin.as_str());
        let now = self.connection.clock.now();
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
            let mut behind = self.behind.lock().expect(NO_PANIC);
            behind.insert(origin.clone());
            return Err(self.is_behind(origin, count.committed, stored));
        };
        if now.duration_since(lag.since) < MAX_WAIT {
            return Err(self.is_behind(origin, count.committed, stored));
        }
        let lag = IndexLag {
            counted: Some(count.counted()),
            ..lag
        };
        self.inexact_counts.fetch_add(1, Ordering::Relaxed);
        self.listener.note(&lag_sentence(origin.as_str(), &lag));
        let _ = self.ledger.put_note(note, &lag).await;
        Ok(())
    }

    fn is_behind(&self, origin: &StationId, found: u64, stored: u64) -> StoreError {
        let why = if found < stored {
            "it has not caught up"
        } else {
            "trips were added by another program, or deleted ones are still in it"
        };
        StoreError::new(
            StoreErrorKind::Behind,
            format!(
                "the index of {} has {found} trips from {origin}, and the ledger {stored}: {why}",
                self.trips.name
            ),
        )
    }
}

/// Makes the error for a load of an older program that is in its last step, and whose record does
/// not state what it changes.
fn is_committing(load: &LoadRecord) -> StoreError {
    StoreError::new(
        StoreErrorKind::Behind,
        format!("{} is being committed by an older divvy", load.archive),
    )
}

#[async_trait]
impl Departures for DynamoStore {
    async fn departures(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<u64>>, StoreError> {
        let view = self.shared.ledger_view().await?;
        let Some(view) = view.filter(|view| view.state.system.id == *system) else {
            return Ok(vec![Some(0); origins.len()]);
        };
        let mut counts = Vec::with_capacity(origins.len());
        for origin in origins {
            counts.push(self.shared.departures_of(&view, origin).await?);
        }
        Ok(counts)
    }
}

impl DynamoStore {
    /// Returns the number of counts, since the store was opened, that are what the index had and
    /// differ from the ledger.
    pub fn inexact_counts(&self) -> u64 {
        self.shared.inexact_counts.load(Ordering::Relaxed)
    }

    /// Returns a sentence for each count that is what the index had after [`MAX_WAIT`], where that
    /// differs from the stored trips.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn lagging_counts(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.lags().await?.into_values().collect())
    }

    /// Returns the same sentences by origin.
    pub(super) async fn lags(&self) -> Result<HashMap<String, String>, StoreError> {
        let Some(state) = self.shared.ledger.state().await? else {
            return Ok(HashMap::new());
        };
        let counts = self.read_counts().await?;
        let stored: HashMap<&str, u64> = counts
            .read
            .iter()
            .map(|count| (count.from_station_id.as_str(), count.from_count))
            .collect();
        let lags = self.shared.ledger.index_lags().await?.into_iter();
        Ok(lags
            .filter(|(_, lag)| lag.revision == state.revision && lag.counted.is_some())
            .filter(|(origin, lag)| stored.get(origin.as_str()).copied() == lag.counted)
            .map(|(origin, lag)| {
                let sentence = lag_sentence(&origin, &lag);
                (origin, sentence)
            })
            .collect())
    }
}

/// Describes a count that is what the index had.
fn lag_sentence(origin: &str, lag: &IndexLag) -> String {
    let IndexLag {
        stored, counted, ..
    } = lag;
    format!(
        "from_count of {origin} is {}, as counted by the index, and the ledger has {stored} trips: \
         they still differed after {} minutes; divvy check --repair mends what it can",
        counted.unwrap_or(0),
        MAX_WAIT.as_mins()
    )
}
