//! What may go wrong with a request, and which of it time mends.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use divvy::store::StoreError;
use tokio::time::sleep;

use crate::connect::{self, Limit};

/// What to do about a failure.
#[derive(Debug)]
pub enum Trouble {
    /// The service asks to slow down.
    Throttled(Shortage),
    /// It, or the way to it, failed for the moment.
    Passing,
    /// The condition of a write does not hold.
    Condition,
    /// Nothing that time mends.
    Final,
}

/// Of which capacity there is too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// That of the table.
    pub table: bool,
    /// That of an index.
    pub index: bool,
    /// That of one range of keys: the table as a whole has enough.
    pub key_range: bool,
}

impl Shortage {
    fn of<E>(error: &SdkError<E>) -> Self {
        let reasons = connect::throttles(error);
        let all_said = !reasons.is_empty();
        let ranges = reasons
            .iter()
            .filter(|reason| reason.limit == Limit::KeyRange);
        let key_range = all_said && ranges.count() == reasons.len();
        let of_index = |reason: &connect::Throttle| reason.index.is_some();
        Self {
            // A throttle without a reason may be of either.
            table: !key_range && (!all_said || !reasons.iter().all(of_index)),
            index: !key_range && (!all_said || reasons.iter().any(of_index)),
            key_range,
        }
    }
}

/// An error of an operation.
pub trait Failure: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static {}
impl<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static> Failure for E {}

/// Tells what to do about a failure.
pub fn trouble<E: Failure>(error: &SdkError<E>) -> Trouble {
    let Some(service) = error.as_service_error() else {
        return match error {
            SdkError::ConstructionFailure(_) => Trouble::Final,
            SdkError::DispatchFailure(failure) if failure.is_other() || failure.is_user() => {
                Trouble::Final
            }
            _ => Trouble::Passing,
        };
    };
    match service.code().unwrap_or_default() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded" => Trouble::Throttled(Shortage::of(error)),
        "ConditionalCheckFailedException" => Trouble::Condition,
        "TransactionCanceledException" => {
            let message = service.message().unwrap_or_default();
            match message {
                m if m.contains("ConditionalCheckFailed") => Trouble::Condition,
                m if m.contains("ThrottlingError") || m.contains("ProvisionedThroughput") => {
                    Trouble::Throttled(Shortage::of(error))
                }
                m if m.contains("TransactionConflict") => Trouble::Passing,
                _ => Trouble::Final,
            }
        }
        "InternalServerError"
        | "ServiceUnavailable"
        | "InternalFailure"
        | "TransactionInProgressException"
        | "TransactionConflictException"
        | "ReplicatedWriteConflictException"
        | "LimitExceededException" => Trouble::Passing,
        _ => match error.raw_response().map(|r| r.status().as_u16()) {
            Some(500..) => Trouble::Passing,
            _ => Trouble::Final,
        },
    }
}

/// Consecutive failures that are taken for the end: some minutes.
const PATIENCE: u32 = 12;

/// How often in a row a request has failed.
#[derive(Debug, Default)]
pub struct Attempts {
    failures: u32,
    throttles: u32,
}

impl Attempts {
    /// Waits before the next attempt: full jitter below an exponentially growing bound.
    async fn wait(n: u32) {
        const FIRST_MS: u64 = 25;
        const MOST_MS: u64 = 20_000;
        let bound = FIRST_MS.saturating_mul(1 << n.min(16)).min(MOST_MS);
        sleep(Duration::from_millis(fastrand::u64(1..=bound))).await;
    }

    /// After a throttle: as often as it takes, for capacity comes back.
    pub async fn throttled(&mut self) {
        self.throttles += 1;
        Self::wait(self.throttles + 2).await;
    }

    /// After a failure that may pass.
    ///
    /// # Errors
    ///
    /// The failure, when there were too many.
    pub async fn failed<E: Failure>(
        &mut self,
        error: &SdkError<E>,
        doing: &str,
    ) -> Result<(), StoreError> {
        self.failures += 1;
        if self.failures >= PATIENCE || is_nobody_there(error) && self.failures >= 4 {
            return Err(connect::sentence(error, doing));
        }
        Self::wait(self.failures + 1).await;
        Ok(())
    }

    /// Progress was made: the next failure is a first one.
    pub fn progressed(&mut self) {
        *self = Self::default();
    }
}

/// Tells whether no connection could be made at all. One that was cut is another matter: it was
/// there.
fn is_nobody_there<E>(error: &SdkError<E>) -> bool {
    let SdkError::DispatchFailure(failure) = error else {
        return false;
    };
    let error = failure.as_connector_error();
    error.is_some_and(|error| connect::is_nobody_there(error))
}
