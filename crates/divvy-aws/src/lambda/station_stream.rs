//! The handler of the stream of StationData: recounts the origins of changed stations in
//! FromStationCounts. The same on Lambda and in the process.
//!
//! - A record whose station cannot be counted yet, because the index has not caught up or the service
//!   fails, does not delay others: the records behind it are handled, and the response names the first
//!   that failed. Lambda delivers it again with all behind it; for those that are done, only their
//!   counts are read.
//! - A record that cannot be read, or whose station cannot be counted because something stored is
//!   damaged, is not delivered again, since that would change nothing: it is logged, and the scheduled
//!   refresh finds its station once it is repaired.
//! - When the time runs out, the first record that was not begun counts as failed, not the batch.
//! - A record may be delivered twice or late: counts have a version and the number of the record
//!   that caused them, and an older record replaces nothing newer.

use aws_lambda_events::dynamodb::{Event, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use divvy::model::SystemId;
use divvy::refresh::{self, OutdatedCount, Recounter, Uncounted};
use divvy::store::{CountsTable, Departures, StoreError, StoreErrorKind};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::deadline::work_until;
use super::invocation_log::{InvocationLog, Spent, Stopped};
use crate::store::DynamoStore;
use crate::stream::{self, StreamChange};

/// Counts that are stored with the number of the record that they were made for.
pub trait Counts: Send + Sync {
    /// Returns what counts the trips.
    fn departures(&self) -> &dyn Departures;

    /// Returns a counts table that stores counts with a record's number. A count of a newer record
    /// is not replaced.
    fn counts_from<'a>(&'a self, source_sequence: &'a str) -> Box<dyn CountsTable + 'a>;

    /// Returns the capacity that was consumed since the program began.
    fn spent(&self) -> Spent;

    /// Returns the number of counts since the program began that are what the index had, and differ
    /// from the ledger.
    fn inexact(&self) -> u64;
}

impl Counts for DynamoStore {
    fn departures(&self) -> &dyn Departures {
        self
    }

    fn counts_from<'a>(&'a self, source_sequence: &'a str) -> Box<dyn CountsTable + 'a> {
        Box::new(Self::counts_from(self, source_sequence))
    }

    fn spent(&self) -> Spent {
        let used = self.used();
        let mut spent = Spent::default();
        for table in [
            used.station_data,
            used.trip_data,
            used.from_station_counts,
            used.load_ledger,
        ] {
            spent.read_units += table.read + table.index_read;
            spent.write_units += table.write + table.index_write;
            spent.throttles += table.throttles;
        }
        spent
    }

    fn inexact(&self) -> u64 {
        self.inexact_counts()
    }
}

/// Handles an event. The response names at most one record: the first that is not done.
///
/// `deadline` is the end of the invocation; `None` for no limit.
pub async fn handle_event(
    event: Event,
    counts: &dyn Counts,
    system: &SystemId,
    deadline: Option<Instant>,
    now: Timestamp,
) -> (DynamoDbEventResponse, InvocationLog) {
    let started = Instant::now();
    let before = counts.spent();
    let inexact_before = counts.inexact();
    let mut log = InvocationLog {
        records: event.records.len() as u64,
        lag_s: event
            .records
            .iter()
            .filter_map(|record| age_s(record, now))
            .reduce(f64::max),
        ..InvocationLog::default()
    };
    let invocation = Invocation {
        records: &event.records,
        counts,
        system,
        until: deadline.map(work_until),
        now,
    };
    let mut response = DynamoDbEventResponse::default();
    if let Err((index, why)) = invocation.run(&mut log).await {
        let number = event.records[index].change.sequence_number.clone();
        let stopped = Stopped {
            sequence_number: number.unwrap_or_default(),
            is_late: matches!(why, StopReason::Late),
            why: why.to_string(),
        };
        let mut failure = DynamoDbBatchItemFailure::default();
        // Lambda takes an empty identifier for the whole batch.
        failure.item_identifier = Some(stopped.sequence_number.clone());
        response.batch_item_failures.push(failure);
        log.stopped = Some(stopped);
    }
    log.spent = counts.spent().since(&before);
    log.inexact = counts.inexact() - inexact_before;
    log.duration = started.elapsed();
    (response, log)
}

/// Returns the age of a record in seconds. `None` where it has no time.
fn age_s(record: &EventRecord, now: Timestamp) -> Option<f64> {
    let at_ms = record
        .change
        .approximate_creation_date_time
        .timestamp_millis();
    let age_ms = now.as_millisecond() - at_ms;
    (at_ms != 0).then_some(age_ms.max(0) as f64 / 1e3)
}

/// The reason for which a record is not done.
#[derive(Debug, thiserror::Error)]
enum StopReason {
    #[error(transparent)]
    Store(StoreError),
    #[error("the time of the invocation is over")]
    Late,
}

struct Invocation<'a> {
    records: &'a [EventRecord],
    counts: &'a dyn Counts,
    system: &'a SystemId,
    until: Option<Instant>,
    now: Timestamp,
}

impl Invocation<'_> {
    /// Handles the records in order. Fails with the index of the first that is not done.
    async fn run(&self, log: &mut InvocationLog) -> Result<(), (usize, StopReason)> {
        let mut changes = Vec::new();
        let mut indexes = Vec::new();
        let mut numbers = Vec::new();
        let mut first_failure: Option<(usize, StopReason)> = None;
        for (index, record) in self.records.iter().enumerate() {
            match stream::change(record, self.system) {
                Ok(None) => {}
                Ok(Some(StreamChange {
                    change,
                    sequence_number,
                })) => {
                    changes.push(change);
                    indexes.push(index);
                    numbers.push(sequence_number);
                }
                Err(error) => log.unrecoverable.push(Uncounted {
                    system: self.system.clone(),
                    id: error.key.as_str().into(),
                    why: error.to_string(),
                }),
            }
        }
        if let (Some(first), Some(newest)) = (indexes.first(), numbers.last()) {
            // For the whole batch at once: a station that changed often is counted once.
            let counts = self.counts.counts_from(newest);
            let plan = self.in_time(refresh::classify(&*counts, &changes)).await;
            let plan = plan.map_err(|why| (*first, why))?;
            log.stations = plan.refreshed.stations;
            log.skipped = plan.refreshed.skipped;
            for (outdated, index) in plan.outdated.iter().zip(&indexes) {
                let why = match self.recount(outdated, &numbers).await {
                    Ok(recounted) => {
                        log.recounts += recounted;
                        continue;
                    }
                    Err(StopReason::Store(error)) if error.kind == StoreErrorKind::Damaged => {
                        let why = error.to_string();
                        log.unrecoverable
                            .extend(outdated.iter().map(|count| Uncounted {
                                system: self.system.clone(),
                                id: count.id.clone(),
                                why: why.clone(),
                            }));
                        continue;
                    }
                    Err(why) => why,
                };
                let is_late = matches!(why, StopReason::Late);
                log.uncounted += u64::from(!is_late);
                if first_failure
                    .as_ref()
                    .is_none_or(|(first, _)| index < first)
                {
                    first_failure = Some((*index, why));
                }
                if is_late {
                    break;
                }
            }
        }
        match first_failure {
            None => Ok(()),
            Some(failure) => Err(failure),
        }
    }

    /// Counts ids again. Each count is stored with the number of the record of its version.
    async fn recount(
        &self,
        outdated: &[OutdatedCount],
        numbers: &[String],
    ) -> Result<u64, StopReason> {
        let mut recounted = 0;
        for same in outdated.chunk_by(|one, next| one.change_index == next.change_index) {
            let counts = self.counts.counts_from(&numbers[same[0].change_index]);
            let recounter = Recounter {
                departures: self.counts.departures(),
                counts: &*counts,
            };
            let counted = recounter.recount(self.system, same, self.now);
            recounted += self.in_time(counted).await?;
        }
        Ok(recounted)
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StopReason> {
        let done = match self.until {
            None => work.await,
            Some(until) if until <= Instant::now() => return Err(StopReason::Late),
            Some(until) => timeout_at(until, work)
                .await
                .map_err(|_| StopReason::Late)?,
        };
        done.map_err(StopReason::Store)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use divvy::model::{Station, StationAlias, StationId, System};
    use divvy::stations::data::Row;
    use divvy::store::{FromStationCount, StationTable, StoreErrorKind};
    use divvy_testkit::MemoryStore;
    use tokio::time::sleep;

    use super::*;
    use crate::item::{self, station};

    fn divvy() -> System {
        System::named("divvy").unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// Counts that take some time, fail for some stations, and record which record caused them.
    #[derive(Default)]
    struct TestCounts {
        store: MemoryStore,
        seconds_each: u64,
        fails: Mutex<BTreeSet<StationId>>,
        damaged: Mutex<BTreeSet<StationId>>,
        /// Number of the record, and the id counted for it.
        put: Mutex<Vec<(String, String)>>,
        spent: Mutex<Spent>,
    }

    impl TestCounts {
        async fn new(seconds_each: u64) -> Self {
            let counts = Self {
                seconds_each,
                ..Self::default()
            };
            let known = [Station::unknown("1".into())];
            counts.store.describe(&divvy(), &known).await.unwrap();
            counts
        }

        fn put(&self) -> String {
            let put = std::mem::take(&mut *self.put.lock().unwrap());
            let put: Vec<String> = put
                .iter()
                .map(|(number, id)| format!("{number}:{id}"))
                .collect();
            put.join(" ")
        }
    }

    impl Counts for TestCounts {
        fn departures(&self) -> &dyn Departures {
            self
        }

        fn counts_from<'a>(&'a self, source_sequence: &'a str) -> Box<dyn CountsTable + 'a> {
            Box::new(Numbered {
                counts: self,
                number: source_sequence.into(),
            })
        }

        fn spent(&self) -> Spent {
            *self.spent.lock().unwrap()
        }

        fn inexact(&self) -> u64 {
            0
        }
    }

    type Answer<T> = Result<T, StoreError>;

    #[async_trait]
    impl Departures for TestCounts {
        async fn departures(
            &self,
            system: &SystemId,
            ids: &[StationId],
        ) -> Answer<Vec<Option<u64>>> {
            sleep(Duration::from_secs(self.seconds_each)).await;
            self.spent.lock().unwrap().read_units += 0.5;
            let damaged = self.damaged.lock().unwrap().clone();
            if ids.iter().any(|id| damaged.contains(id)) {
                return Err(StoreError::new(StoreErrorKind::Damaged, "damaged"));
            }
            let fails = self.fails.lock().unwrap().clone();
            if ids.iter().any(|id| fails.contains(id)) {
                return Err(StoreError::new(
                    StoreErrorKind::Behind,
                    "the index lags behind",
                ));
            }
            self.store.departures(system, ids).await
        }
    }

    struct Numbered<'a> {
        counts: &'a TestCounts,
        number: String,
    }

    #[async_trait]
    impl CountsTable for Numbered<'_> {
        async fn counts(&self, system: &SystemId) -> Answer<Vec<FromStationCount>> {
            self.counts.store.counts(system).await
        }

        async fn counts_of(
            &self,
            system: &SystemId,
            ids: &[StationId],
        ) -> Answer<Vec<Option<FromStationCount>>> {
            self.counts.store.counts_of(system, ids).await
        }

        async fn put_counts(&self, system: &SystemId, counts: &[FromStationCount]) -> Answer<()> {
            for count in counts {
                let id = count.from_station_id.to_string();
                self.counts
                    .put
                    .lock()
                    .unwrap()
                    .push((self.number.clone(), id));
            }
            self.counts.store.put_counts(system, counts).await
        }
    }

    fn image(id: &str, version: u64, reported: i64) -> serde_dynamo::Item {
        let row = Row {
            station: Station {
                reported_at: Some(at(reported)),
                aliases: [StationAlias::from(id)].into(),
                trips_version: Some(version),
                ..Station::unknown(format!("feed-{id}").as_str().into())
            },
            written_at: None,
        };
        item::to_event(&station::item(&row))
    }

    /// Makes an event with a record for each version of a station, numbered from 1.
    fn event(stations: &[(&str, u64)]) -> Event {
        let mut event = Event::default();
        for (n, (id, version)) in stations.iter().enumerate() {
            let mut record = EventRecord::default();
            record.event_name = "INSERT".into();
            record.change.new_image = image(id, *version, 0);
            record.change.sequence_number = Some((n + 1).to_string());
            let seconds = 1_700_000_000 + n as u64;
            record.change.approximate_creation_date_time += Duration::from_secs(seconds);
            event.records.push(record);
        }
        event
    }

    async fn handled(
        counts: &TestCounts,
        event: Event,
        seconds: Option<u64>,
    ) -> (String, InvocationLog) {
        let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let divvy = divvy().id;
        let (response, log) = handle_event(event, counts, &divvy, deadline, at(60)).await;
        let failures = response.batch_item_failures;
        assert!(failures.len() <= 1);
        let failure = failures.into_iter().next().map(|failure| {
            let name = failure.item_identifier.unwrap_or_default();
            if name.is_empty() { "all".into() } else { name }
        });
        (failure.unwrap_or_default(), log)
    }

    #[tokio::test(start_paused = true)]
    async fn a_station_is_counted_once_a_batch() {
        let counts = TestCounts::new(0).await;
        let batch = event(&[("1", 1), ("2", 1), ("1", 3), ("1", 2)]);
        let (failure, log) = handled(&counts, batch.clone(), None).await;
        assert_eq!(failure, "");
        assert_eq!(counts.put(), "3:1 2:2");
        assert_eq!(
            (log.records, log.stations, log.recounts, log.skipped),
            (4, 2, 2, 0)
        );
        assert_eq!(log.lag_s, Some(60.0));
        assert_eq!(log.spent.read_units, 1.0);

        let (failure, log) = handled(&counts, batch, None).await;
        assert_eq!((failure.as_str(), counts.put().as_str()), ("", ""));
        assert_eq!(
            (log.recounts, log.skipped, log.spent.read_units),
            (0, 2, 0.0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_station_that_cannot_be_counted_holds_up_no_other() {
        let counts = TestCounts::new(0).await;
        counts.fails.lock().unwrap().insert("2".into());
        let batch = event(&[("1", 1), ("2", 1), ("3", 1)]);
        let (failure, log) = handled(&counts, batch.clone(), None).await;
        assert_eq!((failure.as_str(), counts.put().as_str()), ("2", "1:1 3:3"));
        assert_eq!(log.uncounted, 1);
        let stopped = log.stopped.unwrap();
        assert_eq!(stopped.why, "the index lags behind");
        assert!(!stopped.is_late);

        counts.fails.lock().unwrap().clear();
        let again = rest(&batch, 1);
        let (failure, log) = handled(&counts, again, None).await;
        assert_eq!((failure.as_str(), counts.put().as_str()), ("", "2:2"));
        assert_eq!(log.skipped, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreadable_record_is_logged_and_not_delivered_again() {
        let counts = TestCounts::new(0).await;
        let mut batch = event(&[("1", 1), ("2", 1), ("3", 1)]);
        batch.records[1].change.new_image = item::to_event(&item::Item::new());
        let (failure, log) = handled(&counts, batch, None).await;
        assert_eq!((failure.as_str(), counts.put().as_str()), ("", "1:1 3:3"));
        assert_eq!(log.stopped, None);
        assert_eq!(
            log.unrecoverable[0].why,
            "StationData: item ?: station_id: expected a text, found nothing"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_station_that_only_a_repair_helps_is_not_delivered_again() {
        let counts = TestCounts::new(0).await;
        counts.damaged.lock().unwrap().insert("2".into());
        let batch = event(&[("1", 1), ("2", 1), ("3", 1)]);
        let (failure, log) = handled(&counts, batch, None).await;
        assert_eq!((failure.as_str(), counts.put().as_str()), ("", "1:1 3:3"));
        assert_eq!(log.unrecoverable[0].id, "2".into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_record_without_a_number_is_the_whole_batch() {
        let counts = TestCounts::new(0).await;
        counts.fails.lock().unwrap().insert("2".into());
        let mut batch = event(&[("1", 1), ("2", 1)]);
        batch.records[1].change.sequence_number = None;
        let (failure, _) = handled(&counts, batch, None).await;
        assert_eq!(failure, "all");
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_runs_out_is_no_failure_of_the_batch() {
        let counts = TestCounts::new(4).await;
        let batch = event(&[("1", 1), ("2", 1), ("3", 1)]);
        let (failure, log) = handled(&counts, batch.clone(), Some(10)).await;
        assert_eq!((failure.as_str(), counts.put().as_str()), ("3", "1:1 2:2"));
        assert!(log.stopped.unwrap().is_late);
        assert_eq!(log.duration, Duration::from_secs(9));

        let (failure, _) = handled(&counts, rest(&batch, 2), Some(10)).await;
        assert_eq!((failure.as_str(), counts.put().as_str()), ("", "3:3"));
        let (failure, _) = handled(&counts, batch, Some(0)).await;
        assert_eq!(failure, "1");
    }

    #[tokio::test(start_paused = true)]
    async fn what_concerns_no_count_is_dropped() {
        let counts = TestCounts::new(0).await;
        let mut batch = event(&[("1", 1), ("2", 1)]);
        let records = &mut batch.records;
        records[0].event_name = "MODIFY".into();
        records[0].change.old_image = image("1", 1, 30);
        records[1].event_name = "REMOVE".into();
        let (failure, log) = handled(&counts, batch, None).await;
        assert_eq!((failure.as_str(), counts.put().as_str()), ("", ""));
        assert_eq!((log.records, log.stations, log.recounts), (2, 0, 0));
        let (failure, log) = handled(&counts, Event::default(), Some(0)).await;
        assert_eq!((failure.as_str(), log.records), ("", 0));
    }

    /// Returns the records that Lambda delivers again.
    fn rest(event: &Event, first: usize) -> Event {
        let mut rest = Event::default();
        rest.records = event.records[first..].to_vec();
        rest
    }
}
