//! The handler behind the stream of StationData: changed stations in, FromStationCounts up to
//! date. The same on Lambda and in the process.
//!
//! What Lambda is promised in return:
//!
//! - A record whose station cannot be counted, or which cannot be read, holds up no other: those
//!   behind it are handled, and the answer names the first that failed. Lambda delivers it again
//!   with all behind it, and those that are done by then cost one look.
//! - Time that runs out is a failure of the first record not begun, not of the whole batch.
//! - A record may come twice, or late: its counts are of a version, and kept under the number of
//!   the record that asked for them, so that an older one undoes nothing.

use std::time::Duration;

use aws_lambda_events::dynamodb::{Event, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use divvy::model::SystemId;
use divvy::refresh::{self, OutdatedCount, Recounter};
use divvy::store::{CountsTable, Departures, StoreError};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::item::ItemError;
use crate::metrics::{Metric, line};
use crate::store::DynamoStore;
use crate::stream::{self, StreamChange};

/// How long before its end an invocation stops: enough to send the answer.
const RESERVE: Duration = Duration::from_secs(1);

/// Counts that are stored with the number of the record that they were made for.
pub trait Counts: Send + Sync {
    /// Returns what counts the trips.
    fn departures(&self) -> &dyn Departures;

    /// Returns a counts table that stores counts with a record's number. A count of a newer record
    /// is not replaced.
    fn counts_from<'a>(&'a self, source_sequence: &'a str) -> Box<dyn CountsTable + 'a>;

    /// Returns what has been spent since the program began.
    fn spent(&self) -> Spent;
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
}

/// Capacity used, and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
    /// Requests that the service asked to send later.
    pub throttles: u64,
}

/// What an invocation did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InvocationLog {
    /// Records in the event.
    pub records: u64,
    /// Stations that changed in more than their report time.
    pub stations: u64,
    /// Ids counted again.
    pub recounts: u64,
    /// Ids whose count was new enough.
    pub skipped: u64,
    /// Records whose stations could not be counted, those included that cannot be read.
    pub uncounted: u64,
    /// What it took.
    pub spent: Spent,
    /// The age of the oldest record, in seconds. `None` where no record says.
    pub lag_s: Option<f64>,
    /// The first record that is not done, and why. `None` where all are done.
    pub stopped: Option<Stopped>,
    /// How long it took.
    pub duration: Duration,
}

/// The first record that an invocation has not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// The number of the first record that is not done. Empty where the record has none.
    pub sequence_number: String,
    /// Time ran out: nothing is wrong with the record.
    pub is_late: bool,
    /// One sentence.
    pub why: String,
}

impl InvocationLog {
    /// Makes the log line: JSON in CloudWatch's embedded metric format.
    pub fn line(&self, function: &str, at: Timestamp) -> String {
        let is_failed = self
            .stopped
            .as_ref()
            .is_some_and(|stopped| !stopped.is_late);
        let failures = self.uncounted.max(u64::from(is_failed));
        let metrics = [
            Metric::count("records", self.records),
            Metric::count("recounts", self.recounts),
            Metric::of("read_units", self.spent.read_units, "None"),
            Metric::count("throttles", self.spent.throttles),
            Metric::count("failures", failures),
        ];
        let lag = self
            .lag_s
            .map(|lag_s| Metric::of("lag_s", lag_s, "Seconds"));
        let metrics: Vec<Metric> = metrics.into_iter().chain(lag).collect();
        let more = json!({
            "stations": self.stations,
            "skipped": self.skipped,
            "uncounted": self.uncounted,
            "write_units": self.spent.write_units,
            "duration_ms": millis(self.duration),
            "stopped": self.stopped.as_ref().map(|stopped| json!({
                "at": stopped.sequence_number,
                "is_late": stopped.is_late,
                "why": stopped.why,
            })),
        });
        line(function, at, &metrics, more)
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Handles an event. The answer names at most one record: the first that is not done.
///
/// `deadline` is when the invocation ends; `None` for one that may take its time.
pub async fn handle_event(
    event: Event,
    counts: &dyn Counts,
    system: &SystemId,
    deadline: Option<Instant>,
    now: Timestamp,
) -> (DynamoDbEventResponse, InvocationLog) {
    let started = Instant::now();
    let before = counts.spent();
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
        until: deadline.map(|deadline| deadline.checked_sub(RESERVE).unwrap_or(started)),
        now,
    };
    let mut response = DynamoDbEventResponse::default();
    if let Err((place, why)) = invocation.run(&mut log).await {
        let number = event.records[place].change.sequence_number.clone();
        let stopped = Stopped {
            sequence_number: number.unwrap_or_default(),
            is_late: matches!(why, Why::Late),
            why: why.to_string(),
        };
        let mut failure = DynamoDbBatchItemFailure::default();
        // An empty name is the whole batch.
        failure.item_identifier = Some(stopped.sequence_number.clone());
        response.batch_item_failures.push(failure);
        log.stopped = Some(stopped);
    }
    let after = counts.spent();
    log.spent = Spent {
        read_units: after.read_units - before.read_units,
        write_units: after.write_units - before.write_units,
        throttles: after.throttles - before.throttles,
    };
    log.duration = started.elapsed();
    (response, log)
}

/// How old a record is, in seconds. `None` where it does not say.
fn age_s(record: &EventRecord, now: Timestamp) -> Option<f64> {
    let at_ms = record
        .change
        .approximate_creation_date_time
        .timestamp_millis();
    let age_ms = now.as_millisecond() - at_ms;
    (at_ms != 0).then_some(age_ms.max(0) as f64 / 1e3)
}

/// Why work stops at a record.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(transparent)]
    Poison(ItemError),
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
    /// Handles the records in order. Fails with the place of the first that is not done.
    async fn run(&self, log: &mut InvocationLog) -> Result<(), (usize, Why)> {
        let mut changes = Vec::new();
        let mut places = Vec::new();
        let mut numbers = Vec::new();
        let mut first_failure: Option<(usize, Why)> = None;
        for (place, record) in self.records.iter().enumerate() {
            match stream::change(record, self.system) {
                Ok(None) => {}
                Ok(Some(StreamChange {
                    change,
                    sequence_number,
                })) => {
                    changes.push(change);
                    places.push(place);
                    numbers.push(sequence_number);
                }
                Err(error) => {
                    log.uncounted += 1;
                    first_failure.get_or_insert((place, Why::Poison(error)));
                }
            }
        }
        if let (Some(first), Some(newest)) = (places.first(), numbers.last()) {
            // One look for the whole batch: a station that changed often is counted once.
            let counts = self.counts.counts_from(newest);
            let plan = self.in_time(refresh::classify(&*counts, &changes)).await;
            let plan = plan.map_err(|why| (*first, why))?;
            log.stations = plan.refreshed.stations;
            log.skipped = plan.refreshed.skipped;
            for (outdated, place) in plan.outdated.iter().zip(&places) {
                let why = match self.recount(outdated, &numbers).await {
                    Ok(recounted) => {
                        log.recounts += recounted;
                        continue;
                    }
                    Err(why) => why,
                };
                let is_late = matches!(why, Why::Late);
                log.uncounted += u64::from(!is_late);
                if first_failure
                    .as_ref()
                    .is_none_or(|(first, _)| place < first)
                {
                    first_failure = Some((*place, why));
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
    async fn recount(&self, outdated: &[OutdatedCount], numbers: &[String]) -> Result<u64, Why> {
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
    ) -> Result<T, Why> {
        let done = match self.until {
            None => work.await,
            Some(until) if until <= Instant::now() => return Err(Why::Late),
            Some(until) => timeout_at(until, work).await.map_err(|_| Why::Late)?,
        };
        done.map_err(Why::Store)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use divvy::model::{Station, StationId, System};
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

    /// Counts that take their time, fail where they are told to, and write down who asked.
    #[derive(Default)]
    struct Told {
        store: MemoryStore,
        seconds_each: u64,
        fails: Mutex<BTreeSet<StationId>>,
        /// Number of the record, and the id counted for it.
        put: Mutex<Vec<(String, String)>>,
        spent: Mutex<Spent>,
    }

    impl Told {
        async fn new(seconds_each: u64) -> Self {
            let told = Self {
                seconds_each,
                ..Self::default()
            };
            let known = [Station::unknown("1".into())];
            told.store.describe(&divvy(), &known).await.unwrap();
            told
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

    impl Counts for Told {
        fn departures(&self) -> &dyn Departures {
            self
        }

        fn counts_from<'a>(&'a self, source_sequence: &'a str) -> Box<dyn CountsTable + 'a> {
            Box::new(Numbered {
                told: self,
                number: source_sequence.into(),
            })
        }

        fn spent(&self) -> Spent {
            *self.spent.lock().unwrap()
        }
    }

    type Answer<T> = Result<T, StoreError>;

    #[async_trait]
    impl Departures for Told {
        async fn departures(&self, system: &SystemId, ids: &[StationId]) -> Answer<Vec<u64>> {
            sleep(Duration::from_secs(self.seconds_each)).await;
            self.spent.lock().unwrap().read_units += 0.5;
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
        told: &'a Told,
        number: String,
    }

    #[async_trait]
    impl CountsTable for Numbered<'_> {
        async fn counts(&self, system: &SystemId) -> Answer<Vec<FromStationCount>> {
            self.told.store.counts(system).await
        }

        async fn counts_of(
            &self,
            system: &SystemId,
            ids: &[StationId],
        ) -> Answer<Vec<Option<FromStationCount>>> {
            self.told.store.counts_of(system, ids).await
        }

        async fn put_counts(&self, system: &SystemId, counts: &[FromStationCount]) -> Answer<()> {
            for count in counts {
                let id = count.from_station_id.to_string();
                self.told
                    .put
                    .lock()
                    .unwrap()
                    .push((self.number.clone(), id));
            }
            self.told.store.put_counts(system, counts).await
        }
    }

    fn image(id: &str, version: u64, reported: i64) -> serde_dynamo::Item {
        let row = Row {
            station: Station {
                reported_at: Some(at(reported)),
                origin_ids: [StationId::from(id)].into(),
                trips_version: Some(version),
                ..Station::unknown(format!("feed-{id}").as_str().into())
            },
            written_at: None,
        };
        item::to_event(&station::item(&row))
    }

    /// An event of records, each the version of a station; their numbers are 1, 2 and on.
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

    async fn handled(told: &Told, event: Event, seconds: Option<u64>) -> (String, InvocationLog) {
        let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let divvy = divvy().id;
        let (response, log) = handle_event(event, told, &divvy, deadline, at(60)).await;
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
        let told = Told::new(0).await;
        let batch = event(&[("1", 1), ("2", 1), ("1", 3), ("1", 2)]);
        let (failure, log) = handled(&told, batch.clone(), None).await;
        assert_eq!(failure, "");
        assert_eq!(told.put(), "3:1 2:2");
        assert_eq!(
            (log.records, log.stations, log.recounts, log.skipped),
            (4, 2, 2, 0)
        );
        assert_eq!(log.lag_s, Some(60.0));
        assert_eq!(log.spent.read_units, 1.0);

        let (failure, log) = handled(&told, batch, None).await;
        assert_eq!((failure.as_str(), told.put().as_str()), ("", ""));
        assert_eq!(
            (log.recounts, log.skipped, log.spent.read_units),
            (0, 2, 0.0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_station_that_cannot_be_counted_holds_up_no_other() {
        let told = Told::new(0).await;
        told.fails.lock().unwrap().insert("2".into());
        let batch = event(&[("1", 1), ("2", 1), ("3", 1)]);
        let (failure, log) = handled(&told, batch.clone(), None).await;
        assert_eq!((failure.as_str(), told.put().as_str()), ("2", "1:1 3:3"));
        assert_eq!(log.uncounted, 1);
        let stopped = log.stopped.unwrap();
        assert_eq!(stopped.why, "the index lags behind");
        assert!(!stopped.is_late);

        told.fails.lock().unwrap().clear();
        let again = rest(&batch, 1);
        let (failure, log) = handled(&told, again, None).await;
        assert_eq!((failure.as_str(), told.put().as_str()), ("", "2:2"));
        assert_eq!(log.skipped, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poison_record_is_named_and_those_behind_it_are_counted() {
        let told = Told::new(0).await;
        let mut batch = event(&[("1", 1), ("2", 1), ("3", 1)]);
        batch.records[1].change.new_image = item::to_event(&item::Item::new());
        let (failure, log) = handled(&told, batch.clone(), None).await;
        assert_eq!((failure.as_str(), told.put().as_str()), ("2", "1:1 3:3"));
        assert_eq!(
            log.stopped.unwrap().why,
            "StationData: item ?: station_id: expected a text, found nothing"
        );
        batch.records[1].change.sequence_number = None;
        let (failure, _) = handled(&told, batch, None).await;
        assert_eq!(failure, "all");
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_runs_out_is_no_failure_of_the_batch() {
        let told = Told::new(4).await;
        let batch = event(&[("1", 1), ("2", 1), ("3", 1)]);
        let (failure, log) = handled(&told, batch.clone(), Some(10)).await;
        assert_eq!((failure.as_str(), told.put().as_str()), ("3", "1:1 2:2"));
        assert!(log.stopped.unwrap().is_late);
        assert_eq!(log.duration, Duration::from_secs(9));

        let (failure, _) = handled(&told, rest(&batch, 2), Some(10)).await;
        assert_eq!((failure.as_str(), told.put().as_str()), ("", "3:3"));
        let (failure, _) = handled(&told, batch, Some(0)).await;
        assert_eq!(failure, "1");
    }

    #[tokio::test(start_paused = true)]
    async fn what_concerns_no_count_is_dropped() {
        let told = Told::new(0).await;
        let mut batch = event(&[("1", 1), ("2", 1)]);
        let records = &mut batch.records;
        records[0].event_name = "MODIFY".into();
        records[0].change.old_image = image("1", 1, 30);
        records[1].event_name = "REMOVE".into();
        let (failure, log) = handled(&told, batch, None).await;
        assert_eq!((failure.as_str(), told.put().as_str()), ("", ""));
        assert_eq!((log.records, log.stations, log.recounts), (2, 0, 0));
        let (failure, log) = handled(&told, Event::default(), Some(0)).await;
        assert_eq!((failure.as_str(), log.records), ("", 0));
    }

    #[test]
    fn an_invocation_is_one_line() {
        let log = InvocationLog {
            records: 100,
            stations: 40,
            recounts: 2,
            skipped: 38,
            uncounted: 0,
            spent: Spent {
                read_units: 20.5,
                write_units: 2.0,
                throttles: 0,
            },
            lag_s: Some(5.25),
            stopped: Some(Stopped {
                sequence_number: "4421584500000000017450439091".into(),
                is_late: true,
                why: "the time of the invocation is over".into(),
            }),
            duration: Duration::from_micros(1_234_567),
        };
        insta::assert_snapshot!(log.line("divvy-station-stream", at(0)), @r#"{"_aws":{"CloudWatchMetrics":[{"Dimensions":[["function"]],"Metrics":[{"Name":"records","Unit":"Count"},{"Name":"recounts","Unit":"Count"},{"Name":"read_units","Unit":"None"},{"Name":"throttles","Unit":"Count"},{"Name":"failures","Unit":"Count"},{"Name":"lag_s","Unit":"Seconds"}],"Namespace":"DivvyAnalyze"}],"Timestamp":1700000000000},"duration_ms":1234.567,"failures":0,"function":"divvy-station-stream","lag_s":5.25,"read_units":20.5,"records":100,"recounts":2,"skipped":38,"stations":40,"stopped":{"at":"4421584500000000017450439091","is_late":true,"why":"the time of the invocation is over"},"throttles":0,"uncounted":0,"write_units":2.0}"#);
    }

    /// What Lambda delivers again.
    fn rest(event: &Event, first: usize) -> Event {
        let mut rest = Event::default();
        rest.records = event.records[first..].to_vec();
        rest
    }
}
