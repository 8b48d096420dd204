//! Requests to a table that make no progress: since when, and for which reasons.

use std::fmt;
use std::sync::{Mutex, MutexGuard};

use tokio::time::{Duration, Instant};

use crate::connect::Throttle;

/// The time without a successful request after which a stall is reported.
const REPORTED_AFTER: Duration = Duration::from_secs(60);
/// The least time between two reports of stalls of one table.
const REPORTED_AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// The open requests to a table, and why none of them has succeeded lately.
#[derive(Debug, Default)]
pub(super) struct Stalls(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests that wait for capacity, were sent, or will be repeated.
    open: usize,
    /// The last success, or the begin of the first open request if that is later. `None` where no request is
    /// open.
    since: Option<Instant>,
    reasons: Reasons,
    reported_at: Option<Instant>,
    /// Whether the current stall was reported.
    is_reported: bool,
    /// How long the last reported stall lasted. `None` where its end was reported.
    ended_after: Option<Duration>,
}

impl State {
    fn end_stall(&mut self, now: Instant) {
        let since = self.since.unwrap_or(now);
        if std::mem::take(&mut self.is_reported) {
            self.ended_after = Some(now.duration_since(since));
        }
        self.reasons = Reasons::default();
    }
}

/// Why requests did not succeed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reasons {
    /// Exceeded capacities, with the number of throttled requests.
    throttles: Vec<(String, u64)>,
    /// Requests that failed otherwise.
    failures: u64,
    /// The last of these failures.
    last_failure: Option<String>,
}

/// A stall of the requests to a table, or its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum StallReport {
    /// No request has succeeded for some time.
    Stalled(Duration, Reasons),
    /// Requests succeed again, after a stall of some time that was reported.
    Ended(Duration),
}

impl Stalls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Counts an open request until the returned value is dropped.
    pub(super) fn begin(&self) -> OpenRequest<'_> {
        let mut state = self.state();
        state.open += 1;
        state.since.get_or_insert_with(Instant::now);
        OpenRequest(self)
    }

    /// Records that a request has succeeded, at least in part.
    pub(super) fn progressed(&self) {
        let now = Instant::now();
        let mut state = self.state();
        state.end_stall(now);
        state.since = state.since.map(|_| now);
    }

    /// Records a throttled request. `unnamed` is the capacity where the response states no reason.
    pub(super) fn throttled(&self, reasons: &[Throttle], unnamed: &str) {
        let mut state = self.state();
        let throttles = &mut state.reasons.throttles;
        let mut count = |capacity: String| match throttles.iter_mut().find(|(c, _)| *c == capacity)
        {
            Some((_, n)) => *n += 1,
            None => throttles.push((capacity, 1)),
        };
        if reasons.is_empty() {
            count(unnamed.to_owned());
        }
        reasons.iter().for_each(|reason| count(reason.to_string()));
    }

    /// Records a request that failed and will be repeated.
    pub(super) fn failed(&self, why: String) {
        let mut state = self.state();
        state.reasons.failures += 1;
        state.reasons.last_failure = Some(why);
    }

    /// Returns the end of a stall that was reported, or else a stall of at least [`REPORTED_AFTER`]. `None` where
    /// there is neither, and for [`REPORTED_AGAIN_AFTER`] after a report.
    pub(super) fn report(&self) -> Option<StallReport> {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(lasted) = state.ended_after.take() {
            return Some(StallReport::Ended(lasted));
        }
        let lasts = now.duration_since(state.since?);
        let is_recent = |at: Instant| now.duration_since(at) < REPORTED_AGAIN_AFTER;
        if lasts < REPORTED_AFTER || state.reported_at.is_some_and(is_recent) {
            return None;
        }
        state.reported_at = Some(now);
        state.is_reported = true;
        Some(StallReport::Stalled(lasts, state.reasons.clone()))
    }
}

/// A request that is not done.
#[derive(Debug)]
pub(super) struct OpenRequest<'a>(&'a Stalls);

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        if state.open == 0 {
            // After a failure the caller gets an error: there is nothing more to report.
            state.is_reported = false;
            state.since = None;
            state.reasons = Reasons::default();
        }
    }
}

impl Reasons {
    /// Returns whether no request was throttled, and none has failed.
    pub(super) fn is_empty(&self) -> bool {
        self.throttles.is_empty() && self.failures == 0
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = |n: u64| match n {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        };
        let throttles = self.throttles.iter();
        let throttles =
            throttles.map(|(capacity, n)| format!("throttled {} by {capacity}", times(*n)));
        let failures = self.last_failure.iter();
        let failures = failures.map(|last| match self.failures {
            1 => format!("a request failed ({last})"),
            n => format!("{n} requests failed (the last: {last})"),
        });
        let all: Vec<String> = throttles.chain(failures).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_reported_after_a_minute_then_each_five_and_at_its_end() {
        let stalls = Stalls::default();
        let request = stalls.begin();
        let mut reports = Vec::new();
        for second in 0..700 {
            stalls.throttled(&[], "the write capacity of T");
            reports.extend(stalls.report().map(|report| (second, report)));
            sleep(Duration::from_secs(1)).await;
        }
        let lines: Vec<String> = (reports.iter())
            .map(|(second, report)| match report {
                StallReport::Stalled(lasts, reasons) => format!("{second}: {lasts:?} {reasons}"),
                StallReport::Ended(_) => unreachable!("it goes on"),
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        60: 60s throttled 61 times by the write capacity of T
        360: 360s throttled 361 times by the write capacity of T
        660: 660s throttled 661 times by the write capacity of T
        ");
        stalls.progressed();
        assert_eq!(
            stalls.report(),
            Some(StallReport::Ended(Duration::from_secs(700)))
        );
        assert_eq!(stalls.report(), None);
        // The next stall is reported no sooner than five minutes after the last report.
        sleep(Duration::from_secs(200)).await;
        assert_eq!(stalls.report(), None);
        sleep(Duration::from_secs(61)).await;
        assert!(matches!(stalls.report(), Some(StallReport::Stalled(..))));
        drop(request);
        sleep(Duration::from_secs(1000)).await;
        assert_eq!(stalls.report(), None, "no request is open");
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_that_succeeds_is_progress_of_all() {
        let stalls = Stalls::default();
        let (_one, _other) = (stalls.begin(), stalls.begin());
        for _ in 0..100 {
            sleep(Duration::from_secs(50)).await;
            assert_eq!(stalls.report(), None);
            stalls.progressed();
        }
    }
}
