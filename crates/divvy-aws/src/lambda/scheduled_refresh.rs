//! The handler that a daily schedule calls: counts every station whose count is missing or older than
//! its trips. The mapping of the stream filters out the records that change neither trips nor ids, so
//! a count that could not be made when its record was delivered is found here.

use std::time::Duration;

use divvy::model::SystemId;
use divvy::refresh::Refreshed;
use divvy::store::StoreError;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::deadline::work_until;
use super::invocation_log::uncounted_json;
use super::metrics::{Dimensions, Metric, line};
use crate::store::DynamoStore;

/// The outcome of an invocation.
#[derive(Clone, Debug, PartialEq)]
pub struct RefreshLog {
    /// What was counted.
    pub refreshed: Refreshed,
    /// Whether all stations were compared. Otherwise the time was over, and the next call begins again:
    /// what is counted is stored.
    pub is_complete: bool,
    /// The time at which it began.
    pub at: Timestamp,
    /// The run time.
    pub duration: Duration,
}

/// Counts what is missing or outdated, until `deadline`.
///
/// # Errors
///
/// Those of the service.
pub async fn refresh(
    store: &DynamoStore,
    system: &SystemId,
    deadline: Instant,
    now: Timestamp,
) -> Result<RefreshLog, StoreError> {
    let started = Instant::now();
    let until = work_until(deadline);
    let mut refreshed = Refreshed::default();
    let counted = timeout_at(
        until,
        store.refresh_missing_into(system, now, &mut refreshed),
    )
    .await;
    let is_complete = counted.is_ok();
    counted.unwrap_or(Ok(()))?;
    Ok(RefreshLog {
        refreshed,
        is_complete,
        at: now,
        duration: started.elapsed(),
    })
}

impl RefreshLog {
    /// Makes the log line: JSON in CloudWatch's embedded metric format.
    pub fn line(&self, of: &Dimensions) -> String {
        let Refreshed {
            stations,
            recounted,
            skipped,
            uncounted,
            ..
        } = &self.refreshed;
        let metrics = [
            Metric::count("recounts", *recounted),
            Metric::count("failures", uncounted.len() as u64),
        ];
        let more = json!({
            "stations": stations,
            "skipped": skipped,
            "uncounted": uncounted_json(uncounted),
            "is_complete": self.is_complete,
            "duration_ms": self.duration.as_millis() as u64,
        });
        line(of, self.at, &metrics, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_one_line() {
        let log = RefreshLog {
            refreshed: Refreshed {
                changes: 1811,
                stations: 1811,
                recounted: 3,
                skipped: 1800,
                uncounted: Vec::new(),
            },
            is_complete: true,
            at: Timestamp::from_second(1_700_000_000).unwrap(),
            duration: Duration::from_millis(1500),
        };
        insta::assert_snapshot!(log.line(&Dimensions::default()), @r#"{"_aws":{"CloudWatchMetrics":[{"Dimensions":[["system","prefix","function"]],"Metrics":[{"Name":"recounts","Unit":"Count"},{"Name":"failures","Unit":"Count"}],"Namespace":"DivvyAnalyze"}],"Timestamp":1700000000000},"duration_ms":1500,"failures":0,"function":"-","is_complete":true,"prefix":"-","recounts":3,"skipped":1800,"stations":1811,"system":"-","uncounted":[]}"#);
    }
}
