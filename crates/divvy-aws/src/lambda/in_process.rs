//! The handler of the stream run in the process, for stores without Lambda functions; and the
//! refresh of counts by command.

use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::dynamodb::Event;
use divvy::model::SystemId;
use divvy::refresh::{self, Recounter, RefreshCounts, Refreshed, Uncounted};
use divvy::store::{Change, StationTable as _, StoreError};
use jiff::Timestamp;

use super::station_stream::handle_event;
use crate::ledger::Note;
use crate::store::DynamoStore;
use crate::stream::{self, Checkpoints, Delivery, StreamReader};

/// The consumer whose checkpoints the ledger keeps.
const CONSUMER: Note<'static> = Note::Consumer("station-stream");
/// The number of records of a batch.
const RECORDS: usize = 100;
/// The number of attempts for a batch without progress, as in the stack of the Lambda functions.
const ATTEMPTS: u32 = 10;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

impl DynamoStore {
    /// Counts every station again whose trips have a newer version than its count, without reading
    /// the stream.
    ///
    /// # Errors
    ///
    /// Those of [`refresh::handle`].
    pub async fn refresh_missing(&self, now: Timestamp) -> Result<Refreshed, StoreError> {
        let Some(system) = self.system().await? else {
            return Ok(Refreshed::default());
        };
        let mut refreshed = Refreshed::default();
        self.refresh_missing_into(&system.id, now, &mut refreshed)
            .await?;
        Ok(refreshed)
    }

    /// Counts as [`refresh_missing`](Self::refresh_missing), and adds what is done to `refreshed`: some
    /// stations at a time, so that the counts of those are stored where the call is ended in the middle.
    pub(super) async fn refresh_missing_into(
        &self,
        system: &SystemId,
        now: Timestamp,
        refreshed: &mut Refreshed,
    ) -> Result<(), StoreError> {
        /// Stations at a time.
        const STATIONS: usize = 50;
        let stations = self.stations(system).await?;
        for some in stations.chunks(STATIONS) {
            let changes: Vec<Change> = some
                .iter()
                .map(|station| Change {
                    sequence: 0,
                    system: system.clone(),
                    station: station.clone(),
                    report_time_only: false,
                })
                .collect();
            refreshed.add(refresh::handle(Recounter::of(self), &changes, now).await?);
        }
        Ok(())
    }

    /// Reads the stream to its end as Lambda does: passes batches to the same handler, and stores
    /// the checkpoints. A record that fails [`ATTEMPTS`] times is skipped and reported; its station
    /// is found by [`refresh_missing`](Self::refresh_missing).
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub async fn handle_stream(&self, now: Timestamp) -> Result<Refreshed, StoreError> {
        let mut refreshed = Refreshed::default();
        let stream = self.tables().station_data.stream.as_ref();
        let (Some(stream), Some(system)) = (stream, self.system().await?) else {
            return Ok(refreshed);
        };
        let stored: Option<Checkpoints> = self.ledger().note(CONSUMER).await?;
        let stored = stored.filter(|stored| stored.stream_arn == *stream);
        let mut checkpoints = stored.unwrap_or_else(|| Checkpoints::start(stream.as_str()));
        let streams = self.connection().streams.clone();
        let mut reader = StreamReader::new(streams, checkpoints.clone());
        loop {
            let batch = reader.read(RECORDS).await?;
            if reader.has_lost() {
                // Records are kept for 24 hours; the stations of lost ones are found by version.
                self.refresh_missing_into(&system.id, now, &mut refreshed)
                    .await?;
                self.ledger().put_note(CONSUMER, reader.reached()).await?;
                return Ok(refreshed);
            }
            if batch.is_empty() {
                return Ok(refreshed);
            }
            let mut handling = Handling {
                store: self,
                system: &system.id,
                now,
                checkpoints: &mut checkpoints,
                refreshed: &mut refreshed,
            };
            handling.handle(batch).await;
            self.ledger().put_note(CONSUMER, &checkpoints).await?;
        }
    }
}

/// The handling of one batch.
struct Handling<'a> {
    store: &'a DynamoStore,
    system: &'a SystemId,
    now: Timestamp,
    checkpoints: &'a mut Checkpoints,
    refreshed: &'a mut Refreshed,
}

impl Handling<'_> {
    /// Passes a batch to the handler until all its records are done or skipped.
    async fn handle(&mut self, mut batch: Vec<Delivery>) {
        let mut failures = 0;
        while !batch.is_empty() {
            let mut event = Event::default();
            event.records = batch.iter().map(|read| read.record.clone()).collect();
            let (response, log) =
                handle_event(event, self.store, self.system, None, self.now).await;
            let failed = response.batch_item_failures.first();
            let failed = failed.and_then(|failure| failure.item_identifier.as_ref());
            let is_failed = |read: &Delivery| {
                failed.is_some() && read.record.change.sequence_number.as_ref() == failed
            };
            let done = batch.iter().position(is_failed).unwrap_or(batch.len());
            let done: Vec<Delivery> = batch.drain(..done).collect();
            done.iter().for_each(|read| self.checkpoints.advance(read));
            self.refreshed.changes += done.len() as u64;
            self.refreshed.stations += log.stations;
            self.refreshed.recounted += log.recounts;
            self.refreshed.skipped += log.skipped;
            self.refreshed.uncounted.extend(log.unrecoverable);
            failures = if done.is_empty() { failures + 1 } else { 1 };
            if let Some(stopped) = log.stopped.filter(|_| failures >= ATTEMPTS) {
                self.skip(&batch.remove(0), stopped.why);
                failures = 0;
            } else if !batch.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Skips a record, and reports its station.
    fn skip(&mut self, read: &Delivery, why: String) {
        self.checkpoints.advance(read);
        self.refreshed.changes += 1;
        let change = stream::change(&read.record, self.system).ok().flatten();
        self.refreshed.uncounted.push(Uncounted {
            system: self.system.clone(),
            id: change.map_or("?".into(), |read| read.change.station.id),
            why,
        });
    }
}

#[async_trait]
impl RefreshCounts for DynamoStore {
    async fn follow_stream(&self, now: Timestamp) -> Result<Option<Refreshed>, StoreError> {
        if self.has_lambda() {
            Ok(None)
        } else {
            self.handle_stream(now).await.map(Some)
        }
    }

    async fn refresh_outdated(&self, now: Timestamp) -> Result<Refreshed, StoreError> {
        let followed = self.follow_stream(now).await?;
        let missing = self.refresh_missing(now).await?;
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
        let mut warnings = self.lagging_counts().await?;
        warnings.extend(self.index_warning());
        Ok(warnings)
    }
}
