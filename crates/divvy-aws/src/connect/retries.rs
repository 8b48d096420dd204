//! What is not worth trying again: nobody listens at the address, or it has no meaning. Without
//! this, a wrong endpoint is told after half a minute.

use std::io;

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use super::refusal::causes;

/// Forbids to try such addresses again.
#[derive(Debug)]
pub(super) struct NobodyThere;

impl ClassifyRetry for NobodyThere {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else {
            return RetryAction::NoActionIndicated;
        };
        let connection = error.as_connector_error();
        match connection.is_some_and(|error| is_nobody_there(error)) {
            true => RetryAction::RetryForbidden,
            false => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "nobody there"
    }
}

/// Tells whether the cause of a failure is that no connection could be made.
pub(crate) fn is_nobody_there(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) || is_unknown_name(cause)
    })
}

/// Tells whether the name of a host has no meaning. The resolver says so in words only.
pub(super) fn is_unknown_name(cause: &(dyn std::error::Error + 'static)) -> bool {
    let text = cause.to_string();
    text.contains("dns error") || text.contains("failed to lookup address")
}
