//! The handler that a schedule calls: polls a feed and updates StationData.

use std::time::Duration;

use divvy::ingest::{self, PollError, PollOptions, Polled};
use divvy::model::System;
use divvy::sources::http::Client;
use divvy::store::{Applied, Store};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::deadline::work_until;
use super::metrics::{Dimensions, Metric, line};

/// The outcome of an invocation.
#[derive(Clone, Debug)]
pub struct PollLog {
    /// The snapshot and what it changed. `None` where the time was over before all was written: what
    /// is written is stored, and the next poll goes on.
    pub polled: Option<Polled>,
    /// The time at which the feed was fetched.
    pub fetched_at: Timestamp,
    /// The run time.
    pub duration: Duration,
}

/// Takes one snapshot of a feed, until `deadline`; `None` for no limit.
///
/// # Errors
///
/// [`PollError`]; the next call may succeed.
pub async fn poll(
    feed: &str,
    store: &dyn Store,
    system: Option<&System>,
    deadline: Option<Instant>,
    now: Timestamp,
) -> Result<PollLog, PollError> {
    let started = Instant::now();
    // A discovery file names further addresses. They must be public, unless the feed itself is
    // configured to be on this machine, as in a local stack.
    let local = ["http://127.", "http://localhost", "http://[::1]"];
    let client = if local.iter().any(|address| feed.starts_with(address)) {
        Client::new()
    } else {
        Client::public_only()
    };
    let options = PollOptions {
        system: system.cloned(),
        client,
        ..PollOptions::new(now)
    };
    let sources = [feed];
    let polling = ingest::poll(&sources, store, &options);
    let until = deadline.map(work_until);
    let polled = match until {
        None => Some(polling.await),
        // A future that is ready at once would be done after its time.
        Some(until) if until <= started => None,
        Some(until) => timeout_at(until, polling).await.ok(),
    };
    Ok(PollLog {
        polled: polled.transpose()?,
        fetched_at: now,
        duration: started.elapsed(),
    })
}

impl PollLog {
    /// Makes the log line: JSON in CloudWatch's embedded metric format.
    pub fn line(&self, of: &Dimensions) -> String {
        let duration_ms = self.duration.as_millis() as u64;
        let Some(polled) = &self.polled else {
            let metrics = [Metric::count("changed", 0)];
            let more = json!({"outcome": "unfinished", "duration_ms": duration_ms});
            return line(of, self.fetched_at, &metrics, more);
        };
        let (outcome, inserted, changed, reported) = match polled.applied {
            Applied::Accepted {
                inserted,
                changed,
                reported,
            } => ("accepted", inserted, changed, reported),
            Applied::Repeated => ("repeated", 0, 0, 0),
            Applied::Refused { added, .. } => ("refused", added, 0, 0),
        };
        let age = self.fetched_at.duration_since(polled.time.taken_at);
        let metrics = [
            Metric::count("changed", inserted + changed),
            Metric::of("feed_age_s", age.as_secs_f64().max(0.0), "Seconds"),
        ];
        let more = json!({
            "outcome": outcome,
            "taken_at": polled.time.taken_at.to_string(),
            "stations": polled.stations,
            "inserted": inserted,
            "reported": reported,
            "faults": polled.faults.len(),
            "duration_ms": duration_ms,
        });
        line(of, self.fetched_at, &metrics, more)
    }
}

#[cfg(test)]
mod tests {
    use divvy::store::StationTable;
    use divvy_testkit::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_snapshot_gives_one_log_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stations.json");
        let feed = r#"{"executionTime":"2016-10-01 12:00:00 PM","stationBeanList":[{"id":35,
            "stationName":"Streeter Dr","availableDocks":3,"totalDocks":10,"latitude":41.881032,
            "longitude":-87.624084,"statusValue":"In Service","availableBikes":7}]}"#;
        std::fs::write(&path, feed).unwrap();
        let store = MemoryStore::default();
        let now: Timestamp = "2016-10-01T17:00:30Z".parse().unwrap();
        let divvy = System::named("divvy").unwrap();
        let path = path.to_str().unwrap();
        let mut log = poll(path, &store, Some(&divvy), None, now).await.unwrap();
        log.duration = Duration::from_millis(5);
        let of = Dimensions {
            system: "divvy".into(),
            prefix: "prod".into(),
            function: "divvy-poll".into(),
        };
        insta::assert_snapshot!(log.line(&of), @r#"{"_aws":{"CloudWatchMetrics":[{"Dimensions":[["system","prefix","function"]],"Metrics":[{"Name":"changed","Unit":"Count"},{"Name":"feed_age_s","Unit":"Seconds"}],"Namespace":"DivvyAnalyze"}],"Timestamp":1475341230000},"changed":1,"duration_ms":5,"faults":0,"feed_age_s":30.0,"function":"divvy-poll","inserted":1,"outcome":"accepted","prefix":"prod","reported":0,"stations":1,"system":"divvy","taken_at":"2016-10-01T17:00:00Z"}"#);
        assert_eq!(store.stations(&divvy.id).await.unwrap().len(), 1);
        let again = poll(path, &store, None, None, now).await.unwrap();
        assert!(again.line(&of).contains(r#""outcome":"repeated""#));
        let late = poll(path, &store, None, Some(Instant::now()), now).await;
        assert!(
            late.unwrap()
                .line(&of)
                .contains(r#""outcome":"unfinished""#)
        );
    }
}
