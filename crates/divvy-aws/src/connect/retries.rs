//! Requests that the SDK must not retry: no connection can be made to the address. With the
//! retries of the SDK, a wrong endpoint would be reported after half a minute.

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use super::cause::is_unreachable;

/// Forbids retries where no connection can be made.
#[derive(Debug)]
pub(super) struct NoRetryIfUnreachable;

impl ClassifyRetry for NoRetryIfUnreachable {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let connection = error.and_then(|error| error.as_connector_error());
        if connection.is_some_and(|error| is_unreachable(error)) {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "no retry if unreachable"
    }
}
