//! StationData: rows are written under the condition that they have not changed since they were
//! read (optimistic locking).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::{Snapshot, Station, StationId, System, SystemId};
use divvy::stations::data::{Row, StationData, Write};
use divvy::store::{
    Applied, Corrections, CorrectionsChange, FeedState, PlaceCorrections, Republish, StationTable,
    StoreError, StoreErrorKind,
};
use divvy::tally::Totals;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{DynamoStore, NO_PANIC, Shared, damaged_item, string_key};
use crate::item::{self, Item};
use crate::ledger::{Note, SectionRef};
use crate::pace::PacedTable;

/// Rows that are written at a time.
const AT_ONCE: usize = 16;
/// The number of times that rows are read again because another process has changed them.
const ATTEMPTS: usize = 20;

/// The times of a feed, as stored in the ledger. Both are `None` before the first snapshot: every
/// change of the rows writes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct FeedTimes {
    status_at: Option<Timestamp>,
    information_at: Option<Timestamp>,
    /// Grows with each write, so that a process notices what another has written, also of the same
    /// times. 0 and absent in ledgers of older programs: what is written is compared as text.
    #[serde(default, skip_serializing_if = "is_zero")]
    version: u64,
}

fn is_zero(version: &u64) -> bool {
    *version == 0
}

/// The state of the feed as it was read: a write is conditional on its times.
#[derive(Clone, Debug, Default)]
struct StoredFeed {
    times: Option<FeedTimes>,
    state: Option<FeedState>,
}

impl Shared {
    async fn station_rows(&self) -> Result<HashMap<StationId, Row>, StoreError> {
        let items = self.stations.scan().all().await?;
        let mut rows = HashMap::with_capacity(items.len());
        for item in &items {
            let row = item::station::row(item).map_err(damaged_item)?;
            rows.insert(row.station.id.clone(), row);
        }
        Ok(rows)
    }

    /// Returns the version of the trips of every id that trips use for a station, and of the id of
    /// stations that no trip uses. Of an id that two rows have, the newer one.
    pub(super) async fn station_versions(
        &self,
    ) -> Result<HashMap<StationId, Option<u64>>, StoreError> {
        let rows = self.station_rows().await?;
        let mut versions = HashMap::new();
        for row in rows.values().map(|row| &row.station) {
            for id in row.counted_ids() {
                let newest: &mut Option<u64> = versions.entry(id).or_default();
                *newest = row.trips_version.max(*newest);
            }
        }
        Ok(versions)
    }

    async fn feed(&self) -> Result<StoredFeed, StoreError> {
        // The times first: they are the older ones if another process writes meanwhile, and the
        // condition of a write then fails.
        let Some(times) = self.ledger.note::<FeedTimes>(Note::Clock).await? else {
            return Ok(StoredFeed::default());
        };
        let listed = self.ledger.note::<Vec<String>>(Note::Listed).await?;
        let listed = listed.unwrap_or_default().into_iter();
        let is_known = times.status_at.is_some() || times.information_at.is_some();
        let state = is_known.then(|| FeedState {
            status_at: times.status_at,
            information_at: times.information_at,
            listed: listed.map(StationId::from).collect(),
        });
        Ok(StoredFeed {
            times: Some(times),
            state,
        })
    }

    /// Stores the state of the feed, if it has not changed since it was read. Returns whether that
    /// is so.
    async fn put_feed(
        &self,
        before: &StoredFeed,
        now: Option<&FeedState>,
    ) -> Result<bool, StoreError> {
        let times = FeedTimes {
            status_at: now.and_then(|now| now.status_at),
            information_at: now.and_then(|now| now.information_at),
            version: before.times.as_ref().map_or(0, |times| times.version) + 1,
        };
        // The list is long and rarely changes, unlike the times.
        let listed = now.map(|now| &now.listed);
        let is_new = before.state.as_ref().map(|feed| &feed.listed) != listed;
        let listed: Option<Vec<&str>> = listed
            .filter(|_| is_new)
            .map(|listed| listed.iter().map(StationId::as_str).collect());
        self.ledger
            .replace_note(
                Note::Clock,
                (before.times.as_ref(), &times),
                listed.as_ref().map(|listed| (Note::Listed, listed)),
            )
            .await
    }

    fn too_many_writers(&self) -> StoreError {
        StoreError::new(
            StoreErrorKind::Busy,
            format!(
                "{} is being written by others all the time: try again",
                self.stations.name
            ),
        )
    }

    /// Writes rows. Returns whether none of the rows had changed since it was read; some may not be
    /// written then.
    ///
    /// Those that name stations come after the others, see [`Write::names_station`], and deletions last: a
    /// process that ends before leaves an id in two rows, which the next one notices. A deleted row
    /// would have been the only one with the version of its trips.
    async fn write_rows(
        &self,
        before: &HashMap<StationId, Row>,
        writes: &[Write],
    ) -> Result<bool, StoreError> {
        let wave = |write: &Write| match write.row() {
            Some(row) if write.names_station(before.get(&row.station.id)) => 1,
            Some(_) => 0,
            None => 2,
        };
        for current in 0..=2 {
            let writes: Vec<&Write> = writes
                .iter()
                .filter(|write| wave(write) == current)
                .collect();
            if !self.write_all(before, &writes).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes rows, many at once. Returns whether none of them had changed since it was read.
    async fn write_all(
        &self,
        before: &HashMap<StationId, Row>,
        writes: &[&Write],
    ) -> Result<bool, StoreError> {
        let mut running: JoinSet<Result<bool, StoreError>> = JoinSet::new();
        let mut all = true;
        for write in writes {
            let table = Arc::clone(&self.stations);
            let (id, item) = match write {
                Write::Delete(id) => (id, None),
                Write::Insert(row) | Write::Change(row) | Write::Report(row) => {
                    (&row.station.id, Some(item::station::item(row)))
                }
            };
            let known = before.get(id).map(item::station::item);
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
            let rows = self.station_rows().await?;
            let feed = self.feed().await?;
            let fresh = || {
                let data = StationData::new(rows.values().cloned(), feed.state.clone());
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
            let mut is_done = self.write_rows(&rows, &writes).await?;
            if is_done && (!writes.is_empty() || feed.state.as_ref() != data.feed()) {
                is_done = self.put_feed(&feed, data.feed()).await?;
            }
            if let Some(used) = used.filter(|_| is_done) {
                is_done = used == self.newest_totals().await?;
            }
            if is_done {
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
        // One version for all attempts: rows that have it are done. With a new one for each attempt,
        // all rows would have to be written between two writes of a poll.
        let mut version = None;
        self.change_rows(|data, _| {
            let version = *version.get_or_insert_with(|| data.next_version());
            Some(((), data.trips_changed(origins, version, totals)))
        })
        .await
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
    // A write that is repeated because its response was lost fails on its own row.
    let row = |item: &Item| item::station::row(item).map_err(damaged_item);
    let found = table.get(key).await?.as_ref().map(row).transpose()?;
    Ok(found == item.as_ref().map(row).transpose()?)
}

/// Returns the condition that a row has not changed. `None`: that it does not exist.
fn is_unchanged(known: Option<&Item>) -> (String, HashMap<String, AttributeValue>) {
    let Some(known) = known else {
        let new = format!("attribute_not_exists({})", item::station::KEY);
        return (new, HashMap::new());
    };
    let mut values = HashMap::new();
    let attributes = item::station::OPTIMISTIC_LOCK_ATTRIBUTES.iter();
    let clauses = attributes.map(|name| match known.get(*name) {
        None => format!("attribute_not_exists(#{name})"),
        Some(value) => {
            values.insert(format!(":{name}"), value.clone());
            format!("#{name} = :{name}")
        }
    });
    let text = clauses.collect::<Vec<_>>().join(" AND ");
    (
        format!("attribute_exists({}) AND {text}", item::station::KEY),
        values,
    )
}

#[async_trait]
impl StationTable for DynamoStore {
    async fn stations(&self, system: &SystemId) -> Result<Vec<Station>, StoreError> {
        if !self.is_of(system).await? {
            return Ok(Vec::new());
        }
        let rows = self.shared.station_rows().await?.into_values();
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
            let also: Option<(Note<'_>, &())> = None;
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
        let mut version = None;
        self.shared
            .change_rows(|data, _| {
                let version = *version.get_or_insert_with(|| data.next_version());
                let writes = data.republish_all(version);
                Some((writes.len() as u64, writes))
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times are the condition of a write, as text.
    #[test]
    fn times_of_older_programs_keep_their_text() {
        for old in [
            r#"{"status_at":"2024-01-01T00:00:00Z","information_at":null}"#,
            r#"{"status_at":null,"information_at":"2024-01-01T00:00:00Z"}"#,
        ] {
            let times: FeedTimes = serde_json::from_str(old).unwrap();
            assert_eq!(serde_json::to_string(&times).unwrap(), old);
        }
    }
}
