//! The end of an invocation.

use std::time::{Duration, SystemTime};

use lambda_runtime::Context;
use tokio::time::Instant;

/// Returns the moment at which Lambda ends an invocation; the present where that is past.
pub fn deadline_of(context: &Context) -> Instant {
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(context.deadline);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left
}
