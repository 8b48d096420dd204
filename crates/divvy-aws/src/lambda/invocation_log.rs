//! What an invocation of the handler did, as a log line.

use std::time::Duration;

use divvy::refresh::Uncounted;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::metrics::{Dimensions, Metric, line};

/// The most stations of a log line.
const LOGGED: usize = 20;

/// Makes the list of stations that could not be counted, of at most [`LOGGED`].
pub(super) fn uncounted_json(uncounted: &[Uncounted]) -> Value {
    let logged = uncounted.iter().take(LOGGED);
    logged
        .map(|uncounted| json!({"id": uncounted.id.as_str(), "why": uncounted.why}))
        .collect()
}

/// Consumed capacity and throttled requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Read units.
    pub read_units: f64,
    /// Write units.
    pub write_units: f64,
    /// Throttled requests.
    pub throttles: u64,
}

impl Spent {
    /// Returns what was consumed since an earlier moment.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            read_units: self.read_units - before.read_units,
            write_units: self.write_units - before.write_units,
            throttles: self.throttles - before.throttles,
        }
    }
}

/// The outcome of an invocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InvocationLog {
    /// Records in the event.
    pub records: u64,
    /// Stations that changed in more than their report time.
    pub stations: u64,
    /// Ids that were counted again.
    pub recounts: u64,
    /// Ids whose count was not older than the trips.
    pub skipped: u64,
    /// Records whose stations could not be counted, and which are delivered again.
    pub uncounted: u64,
    /// Stations of records that cannot be read, or that cannot be counted before a repair. They are not
    /// delivered again.
    pub unrecoverable: Vec<Uncounted>,
    /// Counts that are what the index had, and differ from the ledger.
    pub inexact: u64,
    /// The consumed capacity.
    pub spent: Spent,
    /// The age of the oldest record, in seconds. `None` where no record has a time.
    pub lag_s: Option<f64>,
    /// The first record that is not done. `None` where all are done.
    pub stopped: Option<Stopped>,
    /// The run time.
    pub duration: Duration,
}

/// The first record that an invocation has not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// The sequence number of the record. Empty where it has none.
    pub sequence_number: String,
    /// Whether the time ran out before the record.
    pub is_late: bool,
    /// The reason, one sentence.
    pub why: String,
}

impl InvocationLog {
    /// Makes the log line: JSON in CloudWatch's embedded metric format.
    pub fn line(&self, of: &Dimensions, at: Timestamp) -> String {
        let is_failed = self
            .stopped
            .as_ref()
            .is_some_and(|stopped| !stopped.is_late);
        let failures = self.uncounted.max(u64::from(is_failed)) + self.unrecoverable.len() as u64;
        let metrics = [
            Metric::count("records", self.records),
            Metric::count("recounts", self.recounts),
            Metric::of("read_units", self.spent.read_units, "None"),
            Metric::count("throttles", self.spent.throttles),
            Metric::count("failures", failures),
            Metric::count("inexact_counts", self.inexact),
        ];
        let lag = self
            .lag_s
            .map(|lag_s| Metric::of("lag_s", lag_s, "Seconds"));
        let metrics: Vec<Metric> = metrics.into_iter().chain(lag).collect();
        let more = json!({
            "stations": self.stations,
            "skipped": self.skipped,
            "uncounted": self.uncounted,
            "unrecoverable": uncounted_json(&self.unrecoverable),
            "write_units": self.spent.write_units,
            "duration_ms": millis(self.duration),
            "stopped": self.stopped.as_ref().map(|stopped| json!({
                "at": stopped.sequence_number,
                "is_late": stopped.is_late,
                "why": stopped.why,
            })),
        });
        line(of, at, &metrics, more)
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_one_line() {
        let log = InvocationLog {
            records: 100,
            stations: 40,
            recounts: 2,
            skipped: 38,
            uncounted: 0,
            unrecoverable: Vec::new(),
            inexact: 0,
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
        let of = Dimensions {
            system: "divvy".into(),
            function: "divvy-station-stream".into(),
            ..Dimensions::default()
        };
        insta::assert_snapshot!(log.line(&of, Timestamp::from_second(1_700_000_000).unwrap()), @r#"{"_aws":{"CloudWatchMetrics":[{"Dimensions":[["system","prefix","function"]],"Metrics":[{"Name":"records","Unit":"Count"},{"Name":"recounts","Unit":"Count"},{"Name":"read_units","Unit":"None"},{"Name":"throttles","Unit":"Count"},{"Name":"failures","Unit":"Count"},{"Name":"inexact_counts","Unit":"Count"},{"Name":"lag_s","Unit":"Seconds"}],"Namespace":"DivvyAnalyze"}],"Timestamp":1700000000000},"duration_ms":1234.567,"failures":0,"function":"divvy-station-stream","inexact_counts":0,"lag_s":5.25,"prefix":"-","read_units":20.5,"records":100,"recounts":2,"skipped":38,"stations":40,"stopped":{"at":"4421584500000000017450439091","is_late":true,"why":"the time of the invocation is over"},"system":"divvy","throttles":0,"uncounted":0,"unrecoverable":[],"write_units":2.0}"#);
    }
}
