//! StationData: what feeds and loads write, each row under the condition that nobody else has
//! changed it since it was read; and the stream of its changes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use aws_lambda_events::dynamodb::Event;
use aws_sdk_dynamodb::types::AttributeValue;
use divvy::model::{Snapshot, Station, StationId, System, SystemId};
use divvy::refresh::{self, Recounter, RefreshCounts, Refreshed, Uncounted};
use divvy::stations::data::{Row, StationData, Write};
use divvy::store::{
    Applied, Change, ChangeStream, FeedState, Republish, StationTable, StoreError, StoreErrorKind,
};
use divvy::tally::Totals;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{DynamoStore, Shared, foreign, joined, string_key};
use crate::item::{self, Item};
use crate::ledger::{Note, Stored};
use crate::pace::PacedTable;
use crate::station_stream::handle_event;
use crate::stream::{self, Checkpoints, Delivery, StreamReader};

/// Rows written at once.
const AT_ONCE: usize = 16;
/// How often rows are read again because somebody else has written them meanwhile.
const ATTEMPTS: usize = 20;

/// The clocks of a feed, as the ledger keeps them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Clock {
    status_at: Option<Timestamp>,
    information_at: Option<Timestamp>,
}

impl Clock {
    fn of(feed: &FeedState) -> Self {
        Self {
            status_at: feed.status_at,
            information_at: feed.information_at,
        }
    }
}

/// Takes of two states of a feed the newest of each kind. The list of stations is that of the
/// newest snapshot with states, where there is one.
fn newest(one: &FeedState, other: &FeedState) -> FeedState {
    let order = |feed: &FeedState| (feed.status_at, feed.information_at);
    let newer = match order(one) > order(other) {
        true => one,
        false => other,
    };
    FeedState {
        status_at: one.status_at.max(other.status_at),
        information_at: one.information_at.max(other.information_at),
        listed: newer.listed.clone(),
    }
}

impl Shared {
    /// Reads the rows, and what is known of the feed.
    async fn station_rows(
        &self,
    ) -> Result<(HashMap<StationId, Row>, Option<FeedState>), StoreError> {
        let items = self.stations.scan(true).await?;
        let mut rows = HashMap::with_capacity(items.len());
        for item in &items {
            let row = item::station::row(item).map_err(foreign)?;
            rows.insert(row.station.id.clone(), row);
        }
        Ok((rows, self.feed().await?))
    }

    /// Tells the version of the trips of every id that they use, and of stations without any.
    pub(super) async fn station_versions(
        &self,
    ) -> Result<HashMap<StationId, Option<u64>>, StoreError> {
        let (rows, _) = self.station_rows().await?;
        let mut versions = HashMap::new();
        for row in rows.values().map(|row| &row.station) {
            let own = row.origin_ids.is_empty().then_some(&row.id);
            for id in row.origin_ids.iter().chain(own) {
                versions.insert(id.clone(), row.trips_version);
            }
        }
        Ok(versions)
    }

    async fn feed(&self) -> Result<Option<FeedState>, StoreError> {
        let Some(clock) = self.ledger.note::<Clock>(Note::Clock).await? else {
            return Ok(None);
        };
        let listed = self.ledger.note::<Vec<String>>(Note::Listed).await?;
        Ok(Some(FeedState {
            status_at: clock.status_at,
            information_at: clock.information_at,
            listed: listed
                .unwrap_or_default()
                .into_iter()
                .map(StationId::from)
                .collect(),
        }))
    }

    /// Brings what is known of the feed up to what a snapshot says. Of each kind the newer one
    /// stays, where another snapshot was faster.
    async fn put_feed(&self, before: Option<FeedState>, now: FeedState) -> Result<(), StoreError> {
        let mut before = before;
        for _ in 0..ATTEMPTS {
            let next = match &before {
                Some(before) => newest(before, &now),
                None => now.clone(),
            };
            if before.as_ref() == Some(&next) {
                return Ok(());
            }
            // The list is long and hardly ever changes; the clock always does.
            let is_listed = before.as_ref().map(|feed| &feed.listed) == Some(&next.listed);
            let listed: Vec<&str> = next.listed.iter().map(StationId::as_str).collect();
            let clocks = (before.as_ref().map(Clock::of), Clock::of(&next));
            let is_done = self
                .ledger
                .replace_note(
                    Note::Clock,
                    (clocks.0.as_ref(), &clocks.1),
                    (!is_listed).then_some((Note::Listed, &listed)),
                )
                .await?;
            if is_done {
                return Ok(());
            }
            before = self.feed().await?;
        }
        Err(self.is_busy())
    }

    fn is_busy(&self) -> StoreError {
        StoreError::new(
            StoreErrorKind::Busy,
            format!(
                "{} is being written by others all the time: try again",
                self.stations.name
            ),
        )
    }

    /// Writes rows. Returns whether all of them were as they had been read.
    async fn write_rows(
        &self,
        before: &HashMap<StationId, Row>,
        writes: &[Write],
    ) -> Result<bool, StoreError> {
        let mut under_way: JoinSet<Result<bool, StoreError>> = JoinSet::new();
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
            if under_way.len() >= AT_ONCE {
                all &= held(under_way.join_next().await)?;
            }
            under_way.spawn(async move { put_row(&table, &id, item, known).await });
        }
        while let Some(done) = under_way.join_next().await {
            all &= held(Some(done))?;
        }
        Ok(all)
    }

    /// Brings StationData up to something, as often as somebody else is faster. Returns what
    /// `change` said of the first attempt, and the feed before and after.
    ///
    /// `change` is asked without totals first; where it cannot do without (`None`), it is asked
    /// again with those that lie at `totals`.
    async fn change_rows<T>(
        &self,
        totals: Option<Stored>,
        mut change: impl FnMut(&mut StationData, Option<&Totals>) -> Option<(T, Vec<Write>)>,
    ) -> Result<(T, Option<FeedState>, Option<FeedState>), StoreError> {
        let mut first = None;
        for _ in 0..ATTEMPTS {
            let (rows, feed) = self.station_rows().await?;
            let fresh = || StationData::new(rows.values().cloned(), feed.clone());
            let mut data = fresh();
            let (said, writes) = match change(&mut data, None) {
                Some(changed) => changed,
                None => {
                    let totals = self.totals(totals).await?;
                    data = fresh();
                    change(&mut data, Some(&totals)).expect("totals are all that was wanting")
                }
            };
            let all = self.write_rows(&rows, &writes).await?;
            let said = first.unwrap_or(said);
            if all {
                return Ok((said, feed, data.feed().cloned()));
            }
            first = Some(said);
        }
        Err(self.is_busy())
    }

    /// Gives the stations of these origins a new version: what wakes the refresh.
    pub(super) async fn trips_changed(
        &self,
        origins: &BTreeSet<StationId>,
        totals: &Totals,
    ) -> Result<(), StoreError> {
        // One version for all attempts: what has it is done. Were there a new one each time, all
        // rows would have to be written between two writes of a poll.
        let mut version = None;
        self.change_rows(None, |data, _| {
            let version = *version.get_or_insert_with(|| data.next_version());
            Some(((), data.trips_changed(origins, version, totals)))
        })
        .await?;
        Ok(())
    }
}

/// Writes or deletes one row, if it is as it was known. Returns whether it was.
async fn put_row(
    table: &PacedTable,
    id: &StationId,
    item: Option<Item>,
    known: Option<Item>,
) -> Result<bool, StoreError> {
    let (text, values) = as_known(known.as_ref());
    let condition = Some((text.as_str(), values));
    let key = string_key(item::station::KEY, id.as_str());
    let held = match item.clone() {
        Some(item) => table.put_if(item, condition).await?,
        None => table.delete_if(key.clone(), condition).await?,
    };
    if held {
        return Ok(true);
    }
    // The answer to a write may have been lost: when it is asked for again, it is in its own way.
    let row = |item: &Item| item::station::row(item).map_err(foreign);
    let found = table.get(key).await?.as_ref().map(row).transpose()?;
    Ok(found == item.as_ref().map(row).transpose()?)
}

/// The attributes of which each writer changes one at least: a feed the time of writing, a load
/// the version or the ids.
const WITNESSES: [&str; 3] = ["written_at", "trips_version", "origin_ids"];

fn as_known(known: Option<&Item>) -> (String, HashMap<String, AttributeValue>) {
    let Some(known) = known else {
        let new = format!("attribute_not_exists({})", item::station::KEY);
        return (new, HashMap::new());
    };
    let mut values = HashMap::new();
    let clauses = WITNESSES.iter().map(|name| match known.get(*name) {
        None => format!("attribute_not_exists({name})"),
        Some(value) => {
            values.insert(format!(":{name}"), value.clone());
            format!("{name} = :{name}")
        }
    });
    let text = clauses.collect::<Vec<_>>().join(" AND ");
    (
        format!("attribute_exists({}) AND {text}", item::station::KEY),
        values,
    )
}

fn held(
    done: Option<Result<Result<bool, StoreError>, tokio::task::JoinError>>,
) -> Result<bool, StoreError> {
    let mut was = true;
    joined(done.map(|done| done.map(|result| result.map(|held| was = held))))?;
    Ok(was)
}

/// What a consumer has read: the changes, and where it stands once they are acknowledged.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// Of each change handed out, by its sequence: the checkpoints behind it.
    behind: Vec<(u64, Checkpoints)>,
}

/// How far a consumer has read, as the ledger keeps it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Position {
    /// The sequence given to the last change acknowledged.
    sequence: u64,
    shards: Checkpoints,
}

#[async_trait]
impl StationTable for DynamoStore {
    async fn stations(&self, system: &SystemId) -> Result<Vec<Station>, StoreError> {
        if !self.is_of(system).await? {
            return Ok(Vec::new());
        }
        let items = self.shared.stations.scan(true).await?;
        let rows: Result<Vec<Row>, _> = items.iter().map(item::station::row).collect();
        let rows = rows.map_err(foreign)?.into_iter();
        let mut stations: Vec<Station> = rows.map(|row| row.station).collect();
        stations.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(stations)
    }

    async fn apply(&self, snapshot: &Snapshot, _: Timestamp) -> Result<Applied, StoreError> {
        let shared = &self.shared;
        let state = shared.ledger.begin(&snapshot.system).await?;
        // In force or about to be: an id is never taken for gone.
        let totals = state.pending_totals.or(state.totals);
        let (applied, before, now) = shared
            .change_rows(totals, |data, totals| {
                data.apply(snapshot, || totals.ok_or(())).ok()
            })
            .await?;
        if let (Applied::Accepted { .. }, Some(now)) = (&applied, now) {
            shared.put_feed(before, now).await?;
        }
        Ok(applied)
    }

    async fn feed(&self, system: &SystemId) -> Result<Option<FeedState>, StoreError> {
        match self.is_of(system).await? {
            true => self.shared.feed().await,
            false => Ok(None),
        }
    }

    async fn describe(&self, system: &System, listed: &[Station]) -> Result<u64, StoreError> {
        self.shared.ledger.begin(system).await?;
        let (n, _, _) = self
            .shared
            .change_rows(None, |data, _| {
                let writes = data.describe(listed);
                Some((writes.len() as u64, writes))
            })
            .await?;
        Ok(n)
    }
}

#[async_trait]
impl Republish for DynamoStore {
    async fn republish_all(&self, system: &SystemId) -> Result<u64, StoreError> {
        if !self.is_of(system).await? {
            return Ok(0);
        }
        let mut version = None;
        let (n, _, _) = self
            .shared
            .change_rows(None, |data, _| {
                let version = *version.get_or_insert_with(|| data.next_version());
                let writes = data.republish_all(version);
                Some((writes.len() as u64, writes))
            })
            .await?;
        Ok(n)
    }
}

#[async_trait]
impl ChangeStream for DynamoStore {
    async fn changes(&self, consumer: &str, limit: usize) -> Result<Vec<Change>, StoreError> {
        let Some(stream) = &self.shared.tables.station_data.stream else {
            return Ok(Vec::new());
        };
        let Some(system) = self.system().await? else {
            return Ok(Vec::new());
        };
        let note = Note::Consumer(consumer);
        let position: Option<Position> = self.shared.ledger.note(note).await?;
        let mut position = position.unwrap_or_default();
        if position.shards.stream_arn != *stream {
            position.shards = Checkpoints::start(stream.as_str()); // the table was made anew
        }
        let streams = self.shared.connection.streams.clone();
        let mut reader = StreamReader::new(streams, position.shards.clone());
        let mut shards = position.shards;
        let mut sequence = position.sequence;
        let mut changes: Vec<Change> = Vec::new();
        let mut behind: Vec<(u64, Checkpoints)> = Vec::new();
        while changes.len() < limit {
            let read = reader.read(limit - changes.len()).await?;
            if read.is_empty() {
                break;
            }
            for delivery in &read {
                shards.advance(delivery);
                sequence += 1;
                let change = stream::change(&delivery.record, &system.id).map_err(foreign)?;
                if let Some(read) = change {
                    changes.push(Change {
                        sequence,
                        ..read.change
                    });
                    behind.push((sequence, shards.clone()));
                } else if let Some((_, before)) = behind.last_mut() {
                    before.clone_from(&shards); // nothing to be done for this one
                }
            }
        }
        let mut consumers = self.shared.consumers.lock().await;
        consumers.insert(consumer.into(), Consumer { behind });
        Ok(changes)
    }

    async fn acknowledge(&self, consumer: &str, sequence: u64) -> Result<(), StoreError> {
        let consumers = self.shared.consumers.lock().await;
        let read = consumers.get(consumer);
        let behind = read.and_then(|read| {
            let mut behind = read.behind.iter();
            behind.find(|(known, _)| *known == sequence)
        });
        let Some((sequence, shards)) = behind else {
            return Ok(());
        };
        let note = Note::Consumer(consumer);
        let kept: Option<Position> = self.shared.ledger.note(note).await?;
        if kept.is_some_and(|kept| kept.sequence >= *sequence) {
            return Ok(());
        }
        let position = Position {
            sequence: *sequence,
            shards: shards.clone(),
        };
        self.shared.ledger.put_note(note, &position).await
    }
}

/// The name under which the consumer in the process keeps its place.
const LAMBDA: &str = "station-stream";
/// Records that it takes at once.
const RECORDS: usize = 100;

impl DynamoStore {
    /// Counts again every station whose trips are of a newer version than its count, without
    /// waiting for the stream: by hand, where a Lambda reads it.
    ///
    /// # Errors
    ///
    /// Those of [`refresh::handle`].
    pub async fn refresh_by_hand(&self, now: Timestamp) -> Result<Refreshed, StoreError> {
        let Some(system) = self.system().await? else {
            return Ok(Refreshed::default());
        };
        refresh::count_missing(self, Recounter::of(self), &system.id, now).await
    }

    /// Plays the Lambda behind the stream: reads on, hands batches to the same handler in the same
    /// form, and keeps its place behind what is done. A record that fails again and again is passed
    /// over and reported; [`refresh_by_hand`](Self::refresh_by_hand) finds its station. Returns what
    /// was refreshed.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub async fn play_lambda(&self, now: Timestamp) -> Result<Refreshed, StoreError> {
        /// How often a batch is tried, as the stack does.
        const ATTEMPTS: u32 = 10;
        let mut refreshed = Refreshed::default();
        let stream = self.shared.tables.station_data.stream.as_ref();
        let (Some(stream), Some(system)) = (stream, self.system().await?) else {
            return Ok(refreshed);
        };
        let ledger = &self.shared.ledger;
        let kept: Option<Checkpoints> = ledger.note(Note::Consumer(LAMBDA)).await?;
        let kept = kept.filter(|kept| kept.stream_arn == *stream);
        let mut place = kept.unwrap_or_else(|| Checkpoints::start(stream.as_str()));
        let streams = self.shared.connection.streams.clone();
        let mut reader = StreamReader::new(streams, place.clone());
        loop {
            let mut batch = reader.read(RECORDS).await?;
            if reader.has_lost() {
                // Records are kept for a day; what they were about is looked up instead.
                let refreshed = self.refresh_by_hand(now).await?;
                ledger
                    .put_note(Note::Consumer(LAMBDA), reader.reached())
                    .await?;
                return Ok(refreshed);
            }
            if batch.is_empty() {
                return Ok(refreshed);
            }
            let mut failures = 0;
            while !batch.is_empty() {
                let mut event = Event::default();
                event.records = batch.iter().map(|read| read.record.clone()).collect();
                let (response, log) = handle_event(event, self, &system.id, None, now).await;
                let failed = response.batch_item_failures.first();
                let failed = failed.and_then(|failure| failure.item_identifier.as_ref());
                let is_failed = |read: &Delivery| {
                    failed.is_some() && read.record.change.sequence_number.as_ref() == failed
                };
                let done = batch.iter().position(is_failed).unwrap_or(batch.len());
                let done: Vec<Delivery> = batch.drain(..done).collect();
                done.iter().for_each(|read| place.advance(read));
                refreshed.changes += done.len() as u64;
                refreshed.stations += log.stations;
                refreshed.recounted += log.recounts;
                refreshed.skipped += log.skipped;
                failures = if done.is_empty() { failures + 1 } else { 1 };
                if let Some(stopped) = log.stopped.filter(|_| failures >= ATTEMPTS) {
                    let read = batch.remove(0);
                    place.advance(&read);
                    refreshed.changes += 1;
                    let change = stream::change(&read.record, &system.id).ok().flatten();
                    let id = change.map_or("?".into(), |read| read.change.station.id);
                    refreshed.uncounted.push(Uncounted {
                        system: system.id.clone(),
                        id,
                        why: stopped.why,
                    });
                    failures = 0;
                } else if !batch.is_empty() {
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
            ledger.put_note(Note::Consumer(LAMBDA), &place).await?;
        }
    }
}

#[async_trait]
impl RefreshCounts for DynamoStore {
    async fn follow_stream(&self, now: Timestamp) -> Result<Option<Refreshed>, StoreError> {
        if self.shared.has_lambda {
            Ok(None)
        } else {
            self.play_lambda(now).await.map(Some)
        }
    }

    async fn refresh_outdated(&self, now: Timestamp) -> Result<Refreshed, StoreError> {
        let followed = self.follow_stream(now).await?;
        let missing = self.refresh_by_hand(now).await?;
        Ok(match followed {
            None => missing,
            Some(followed) => Refreshed {
                recounted: followed.recounted + missing.recounted,
                uncounted: missing.uncounted,
                ..followed
            },
        })
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        self.given_up().await
    }
}
