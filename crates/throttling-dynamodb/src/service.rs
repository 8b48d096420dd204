//! Handles one request and returns its response, with the faults that a test injects.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dynoxide::{Database, DynoxideError};
use tokio::time::Instant;

use crate::capacity::LimiterOptions;
use crate::emulator_patches::EmulatorPatches;
use crate::faults::{DrawnFaults, Faults, Slowness};
use crate::meter::Meter;
use crate::request::Request;
use crate::state::State;
use crate::wire::{RequestError, Response};

/// The wait of a client without a timeout of its own for a response that is never sent.
pub(crate) const MAX_SILENCE: Duration = Duration::from_secs(3600);

/// The outcome of a request for its client.
#[derive(Debug)]
pub(crate) enum Outcome {
    Response(Response),
    /// A response that arrives slowly.
    SlowResponse(Response, Slowness),
    /// The connection stays open, and nothing arrives on it.
    NoResponse,
    /// The connection ends without an answer, by a reset.
    ConnectionReset,
    /// The same by a close that looks orderly (FIN).
    ConnectionClosed,
}

/// The emulator behind its limits and faults.
pub(crate) struct Service {
    database: Database,
    patches: EmulatorPatches,
    limits: LimiterOptions,
    state: Mutex<State>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    pub(crate) fn new(
        database: Database,
        patches: EmulatorPatches,
        limits: LimiterOptions,
        faults: Faults,
    ) -> Self {
        Self {
            database,
            patches,
            limits,
            state: Mutex::new(State::new(faults)),
        }
    }

    pub(crate) fn missing_column(&self) -> Option<&str> {
        self.patches.missing_column()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state().set_faults(faults);
    }

    pub(crate) fn meter(&self) -> Meter {
        self.state().meter()
    }

    /// Handles one request. `target` is the value of the header `x-amz-target`, which names the
    /// operation.
    ///
    /// Requests are handled one after another, as the emulator does anyway, so that the capacity
    /// found for a request is still there when it is charged.
    pub(crate) fn call(&self, target: Option<&str>, body: &[u8]) -> Outcome {
        let mut state = self.state();
        let Some(operation) = target.and_then(operation) else {
            return Outcome::Response(RequestError::UnknownOperation.into_response());
        };
        match state.operations.get_mut(operation) {
            Some(n) => *n += 1,
            None => {
                state.operations.insert(operation.to_owned(), 1);
            }
        }
        let faults = draw_faults(&mut state, operation);
        if faults.timeout {
            state.faults.timeouts += 1;
            return Outcome::NoResponse;
        }
        if faults.internal_error {
            state.faults.internal_errors += 1;
            let error = DynoxideError::InternalServerError("injected: try again".to_owned());
            return Outcome::Response(RequestError::from(error).into_response());
        }
        state.faults.throttles += u64::from(faults.throttle);
        let mut request = Request {
            database: &self.database,
            patches: &self.patches,
            limits: self.limits,
            state: &mut state,
            faults,
            now: Instant::now(),
        };
        let response = match request.run(operation, body) {
            Ok(body) => Response { status: 200, body },
            Err(error) => {
                if let RequestError::Throttled(_) = error {
                    state.throttled_requests += 1;
                }
                error.into_response()
            }
        };
        if faults.dropped_reply {
            state.faults.dropped_replies += 1;
            return if faults.closes {
                Outcome::ConnectionClosed
            } else {
                Outcome::ConnectionReset
            };
        }
        if faults.unanswered {
            state.faults.unanswered += 1;
            return Outcome::NoResponse;
        }
        match faults.slow_reply {
            None => Outcome::Response(response),
            Some(slowness) => {
                state.faults.slow_replies += 1;
                Outcome::SlowResponse(response, slowness)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after a panic too: values are only ever added to it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Draws the faults of a request. Requests for data meet all of them, reads of a stream internal
/// errors alone, and requests about tables none.
fn draw_faults(state: &mut State, operation: &str) -> DrawnFaults {
    match operation {
        "PutItem" | "GetItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "BatchGetItem"
        | "Query" | "Scan" | "TransactWriteItems" | "TransactGetItems" => state.injector.draw(),
        "GetRecords" => DrawnFaults {
            internal_error: state.injector.draw().internal_error,
            ..DrawnFaults::default()
        },
        _ => DrawnFaults::default(),
    }
}

/// Returns the operation that a target names. `None` for another service.
fn operation(target: &str) -> Option<&str> {
    let tables = target.strip_prefix("DynamoDB_20120810.");
    tables.or_else(|| target.strip_prefix("DynamoDBStreams_20120810."))
}
