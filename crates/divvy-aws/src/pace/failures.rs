//! Failed requests: what kind of failure it is, and how long to wait before the next attempt.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::DispatchFailure;
use aws_smithy_types::retry::ErrorKind;
use divvy::store::StoreError;
use tokio::time::sleep;

use crate::connect::{self, Limit};

/// The kind of a failure: it decides on the next attempt.
#[derive(Debug)]
pub(super) enum FailureKind {
    /// The request was throttled.
    Throttled(Exceeded),
    /// The service or the network failed; a later attempt may succeed.
    Transient,
    /// The condition of a write does not hold.
    Condition,
    /// A later attempt would fail as well.
    Permanent,
}

/// The capacities that a throttled request exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// That of the table.
    pub table: bool,
    /// That of an index.
    pub index: bool,
    /// That of one partition alone.
    pub key_range: bool,
}

impl Exceeded {
    fn of<E>(error: &SdkError<E>) -> Self {
        let reasons = connect::throttles(error);
        let has_reasons = !reasons.is_empty();
        let mut limits = reasons.iter().map(|reason| reason.limit);
        let key_range = has_reasons && limits.all(|limit| limit == Limit::KeyRange);
        let of_index = |reason: &connect::Throttle| reason.index.is_some();
        Self {
            // A throttle without a reason may be of either.
            table: !key_range && (!has_reasons || !reasons.iter().all(of_index)),
            index: !key_range && (!has_reasons || reasons.iter().any(of_index)),
            key_range,
        }
    }
}

/// The error type of an operation.
pub(super) trait OperationError:
    ProvideErrorMetadata + std::error::Error + Send + Sync + 'static
{
}
impl<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static> OperationError for E {}

/// Classifies a failure.
pub(super) fn classify<E: OperationError>(error: &SdkError<E>) -> FailureKind {
    let Some(service) = error.as_service_error() else {
        return match error {
            SdkError::ConstructionFailure(_) => FailureKind::Permanent,
            SdkError::DispatchFailure(failure) if is_permanent(failure) => FailureKind::Permanent,
            _ => FailureKind::Transient,
        };
    };
    match service.code().unwrap_or_default() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded" => FailureKind::Throttled(Exceeded::of(error)),
        "ConditionalCheckFailedException" => FailureKind::Condition,
        "TransactionCanceledException" => {
            let message = service.message().unwrap_or_default();
            match message {
                m if m.contains("ConditionalCheckFailed") => FailureKind::Condition,
                m if m.contains("ThrottlingError") || m.contains("ProvisionedThroughput") => {
                    FailureKind::Throttled(Exceeded::of(error))
                }
                m if m.contains("TransactionConflict") => FailureKind::Transient,
                _ => FailureKind::Permanent,
            }
        }
        "InternalServerError"
        | "ServiceUnavailable"
        | "InternalFailure"
        | "TransactionInProgressException"
        | "TransactionConflictException"
        | "ReplicatedWriteConflictException"
        | "LimitExceededException" => FailureKind::Transient,
        _ => match error.raw_response().map(|r| r.status().as_u16()) {
            Some(500..) => FailureKind::Transient,
            _ => FailureKind::Permanent,
        },
    }
}

/// Returns whether a request that was not sent, or not answered, would fail again. A connection that the
/// other end closes before it answers is an "other" failure, which the SDK declares transient.
fn is_permanent(failure: &DispatchFailure) -> bool {
    let kind = failure.as_other();
    let is_temporary = kind.is_some_and(|kind| kind != ErrorKind::ClientError);
    failure.is_user() || failure.is_other() && !is_temporary
}

/// Consecutive transient failures after which a request fails: some minutes.
const MAX_FAILURES: u32 = 12;
/// The same where no connection can be made.
const MAX_UNREACHABLE: u32 = 4;

/// Counts consecutive failures of a request, and waits between its attempts.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: u32,
    throttles: u32,
}

impl Attempts {
    /// Waits for a random time below a bound that grows exponentially with `n` (full jitter).
    async fn wait(n: u32) {
        const FIRST_MS: u64 = 25;
        const MOST_MS: u64 = 20_000;
        let bound = FIRST_MS.saturating_mul(1 << n.min(16)).min(MOST_MS);
        sleep(Duration::from_millis(fastrand::u64(1..=bound))).await;
    }

    /// Waits after a throttled request. There is no limit of attempts: the capacity refills.
    pub(super) async fn throttled(&mut self) {
        self.throttles += 1;
        Self::wait(self.throttles + 2).await;
    }

    /// Waits after a transient failure.
    ///
    /// # Errors
    ///
    /// The failure, after too many in a row.
    pub(super) async fn failed<E: OperationError>(
        &mut self,
        error: &SdkError<E>,
        doing: &str,
    ) -> Result<(), StoreError> {
        self.failures += 1;
        let unreachable = is_unreachable(error) && self.failures >= MAX_UNREACHABLE;
        if unreachable || self.failures >= MAX_FAILURES {
            return Err(connect::store_error(error, doing));
        }
        Self::wait(self.failures + 1).await;
        Ok(())
    }

    /// Resets the counts after progress.
    pub(super) fn progressed(&mut self) {
        *self = Self::default();
    }
}

/// Returns whether no connection could be made.
fn is_unreachable<E>(error: &SdkError<E>) -> bool {
    let SdkError::DispatchFailure(failure) = error else {
        return false;
    };
    let error = failure.as_connector_error();
    error.is_some_and(|error| connect::is_unreachable(error))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    #[test]
    fn a_connection_that_is_closed_is_tried_again_and_a_wrong_request_is_not() {
        let kind_of = |error: ConnectorError| {
            let error: SdkError<PutItemError, HttpResponse> = SdkError::dispatch_failure(error);
            format!("{:?}", classify(&error))
        };
        let closed = || "connection closed before message completed".into();
        let other = |kind| kind_of(ConnectorError::other(closed(), kind));
        assert_eq!(other(Some(ErrorKind::TransientError)), "Transient");
        assert_eq!(other(Some(ErrorKind::ServerError)), "Transient");
        assert_eq!(other(Some(ErrorKind::ClientError)), "Permanent");
        assert_eq!(other(None), "Permanent");
        assert_eq!(kind_of(ConnectorError::io(closed())), "Transient");
        assert_eq!(kind_of(ConnectorError::timeout(closed())), "Transient");
        assert_eq!(kind_of(ConnectorError::user(closed())), "Permanent");
    }
}
