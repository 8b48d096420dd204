//! StationData: changes of its rows together with the state of the feed.

mod feed;
mod rows;

use std::collections::BTreeSet;

use async_trait::async_trait;
use divvy::model::{Snapshot, Station, StationId, System, SystemId};
use divvy::stations::data::{StationData, Write};
use divvy::store::{
    Applied, Corrections, CorrectionsChange, FeedState, PlaceCorrections, Republish, StationTable,
    StoreError,
};
use divvy::tally::Totals;
use jiff::Timestamp;

pub(super) use self::rows::{StationRows, UNREADABLE_STATION, Versions, versions_of};
use super::{DynamoStore, Shared};
use crate::ledger::{Note, SectionRef};

/// The number of times that rows are read again because another process has changed them.
const ATTEMPTS: usize = 20;

impl Shared {
    /// Returns where the totals over all archives are: those of a load that is being committed if
    /// there is one, so that no id of its trips is taken for unused.
    async fn newest_totals(&self) -> Result<Option<SectionRef>, StoreError> {
        let state = self.ledger.state().await?;
        Ok(state.and_then(|state| state.pending_totals.or(state.totals)))
    }

    /// Changes StationData; tries again when another process has changed its rows or the state of the
    /// feed. Returns the result of the first call of `change`.
    ///
    /// The rows are written before the state of the feed, so that a process that ends between them
    /// can apply the same snapshot again. It is written whenever rows were, even if it is the same: of
    /// two processes that change rows at the same time, each of which assigned the ids of trips by the
    /// rows and the list of stations that it had read, the write of the later one then fails, and it
    /// tries again.
    ///
    /// `change` is called without totals first; where it needs them (`None`), it is called again
    /// with those over all archives. If a load replaces the totals meanwhile, which may have read the
    /// rows before they were written here, everything is tried again.
    async fn change_rows<T>(
        &self,
        mut change: impl FnMut(&mut StationData, Option<&Totals>) -> Option<(T, Vec<Write>)>,
    ) -> Result<T, StoreError> {
        let mut first = None;
        for _ in 0..ATTEMPTS {
            let mut known = self.rows_to_change(first.is_none()).await?;
            let fresh = || {
                let rows = known.rows.values().cloned();
                let data = StationData::new(rows, known.feed.state.clone());
                if first.is_some() {
                    data.with_partial_writes()
                } else {
                    data
                }
            };
            let mut data = fresh();
            // The totals that were used, if any were.
            let mut used = None;
            let (result, writes) = match change(&mut data, None) {
                Some(changed) => changed,
                None => {
                    let section = self.newest_totals().await?;
                    let totals = match self.totals(section).await {
                        Ok(totals) => totals,
                        Err(_) if self.newest_totals().await? != section => continue,
                        Err(error) => return Err(error),
                    };
                    used = Some(section);
                    data = fresh();
                    change(&mut data, Some(&totals)).expect("only totals were missing")
                }
            };
            let result = first.unwrap_or(result);
            let mut is_done = self.write_rows(&known, &writes).await?;
            let mut times = known.feed.times.clone();
            if is_done && (!writes.is_empty() || known.feed.state.as_ref() != data.feed()) {
                times = self.put_feed(&known.feed, data.feed()).await?;
                is_done = times.is_some();
            }
            if let Some(used) = used.filter(|_| is_done) {
                is_done = used == self.newest_totals().await?;
            }
            if is_done {
                known.feed.state = data.feed().cloned();
                if let Some(times) = times {
                    self.keep_rows(known, writes, times);
                }
                return Ok(result);
            }
            first = Some(result);
        }
        Err(self.too_many_writers())
    }

    /// Gives the stations of some origins a new version of their trips, which causes a refresh of
    /// their counts.
    pub(super) async fn trips_changed(
        &self,
        origins: &BTreeSet<StationId>,
        totals: &Totals,
    ) -> Result<(), StoreError> {
        let after_counts = self.version_after_counts().await?;
        // One version for all attempts: rows that have it are done. With a new one for each attempt,
        // all rows would have to be written between two writes of a poll.
        let mut version = None;
        self.change_rows(|data, _| {
            let version = *version.get_or_insert_with(|| data.next_version().max(after_counts));
            Some(((), data.trips_changed(origins, version, totals)))
        })
        .await
    }
}

#[async_trait]
impl StationTable for DynamoStore {
    async fn stations(&self, system: &SystemId) -> Result<Vec<Station>, StoreError> {
        if !self.is_of(system).await? {
            return Ok(Vec::new());
        }
        let rows = self.shared.station_rows().await?;
        // As the rules have them: rows of older programs lack the forms of lists.
        let data = StationData::new(rows, None);
        Ok(data.stations().cloned().collect())
    }

    async fn apply(&self, snapshot: &Snapshot, _: Timestamp) -> Result<Applied, StoreError> {
        let shared = &self.shared;
        shared.ledger.begin(&snapshot.system).await?;
        shared
            .change_rows(|data, totals| data.apply(snapshot, || totals.ok_or(())).ok())
            .await
    }

    async fn feed(&self, system: &SystemId) -> Result<Option<FeedState>, StoreError> {
        if self.is_of(system).await? {
            Ok(self.shared.feed().await?.state)
        } else {
            Ok(None)
        }
    }

    async fn describe(&self, system: &System, listed: &[Station]) -> Result<u64, StoreError> {
        self.shared.ledger.begin(system).await?;
        self.shared
            .change_rows(|data, totals| {
                let writes = data.describe(listed, || totals.ok_or(())).ok()?;
                Some((writes.len() as u64, writes))
            })
            .await
    }
}

#[async_trait]
impl PlaceCorrections for DynamoStore {
    async fn corrections(&self, system: &SystemId) -> Result<Corrections, StoreError> {
        if !self.is_of(system).await? {
            return Ok(Corrections::default());
        }
        let note = self.shared.ledger.note(Note::Places).await?;
        Ok(note.unwrap_or_default())
    }

    async fn change_corrections(
        &self,
        system: &SystemId,
        change: &CorrectionsChange<'_>,
    ) -> Result<(), StoreError> {
        if !self.is_of(system).await? {
            return Ok(());
        }
        let ledger = &self.shared.ledger;
        for _ in 0..ATTEMPTS {
            let before: Option<Corrections> = ledger.note(Note::Places).await?;
            let mut now = before.clone().unwrap_or_default();
            change(&mut now);
            let also: &[(Note<'_>, &())] = &[];
            if ledger
                .replace_note(Note::Places, (before.as_ref(), &now), also)
                .await?
            {
                return Ok(());
            }
        }
        Err(self.shared.too_many_writers())
    }
}

#[async_trait]
impl Republish for DynamoStore {
    async fn republish_all(&self, system: &SystemId) -> Result<u64, StoreError> {
        if !self.is_of(system).await? {
            return Ok(0);
        }
        let after_counts = self.shared.version_after_counts().await?;
        let mut version = None;
        self.shared
            .change_rows(|data, _| {
                let version = *version.get_or_insert_with(|| data.next_version().max(after_counts));
                let writes = data.republish_all(version);
                Some((writes.len() as u64, writes))
            })
            .await
    }
}
