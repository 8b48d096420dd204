//! The end of an invocation.

use std::time::{Duration, SystemTime};

use lambda_runtime::Context;
use tokio::time::Instant;

/// The time before its deadline at which an invocation stops: enough to write the log line and to send
/// the response.
const RESERVE: Duration = Duration::from_secs(1);

/// Returns the moment at which the work of an invocation stops, from its deadline.
pub(super) fn work_until(deadline: Instant) -> Instant {
    deadline.checked_sub(RESERVE).unwrap_or(deadline)
}

/// Returns the moment at which Lambda ends an invocation; the present where that is past.
pub fn deadline_of(context: &Context) -> Instant {
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(context.deadline);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left
}
