//! Throttling reasons and exceptions, in the words of the service.

use serde::Serialize;
use serde_json::json;

use crate::capacity::{Direction, Limit};
use crate::table::Table;

/// The limit that a request has exceeded, and its table or index.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ThrottlingReason {
    /// Resource, direction and limit, joined to one word.
    reason: String,
    /// The ARN of the table or index.
    resource: String,
    #[serde(skip)]
    exception: Exception,
}

/// The three exceptions of a throttled request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Exception {
    ProvisionedThroughputExceeded,
    /// For on-demand tables.
    Throttling,
    RequestLimitExceeded,
}

impl ThrottlingReason {
    /// Describes a limit of a table or, with its index in `table.indexes`, of a global index.
    pub(crate) fn new(
        table: &Table,
        index: Option<usize>,
        direction: Direction,
        limit: Limit,
    ) -> Self {
        let (resource, arn) = match index {
            None => ("Table", &table.arn),
            Some(index) => ("Index", &table.indexes[index].arn),
        };
        let on_demand = table.limiters(index).of(direction).on_demand();
        Self {
            reason: format!("{resource}{}{}", direction.name(), limit.name()),
            resource: arn.clone(),
            exception: match limit {
                Limit::Account => Exception::RequestLimitExceeded,
                Limit::OnDemandMaximum => Exception::Throttling,
                Limit::KeyRange if on_demand => Exception::Throttling,
                Limit::KeyRange | Limit::Provisioned => Exception::ProvisionedThroughputExceeded,
            },
        }
    }

    /// Returns code and message for an action of a cancelled transaction.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
    pub(crate) fn cancellation(&self) -> (&'static str, &'static str) {
        let code = match self.exception {
            Exception::ProvisionedThroughputExceeded => "ProvisionedThroughputExceeded",
            Exception::Throttling | Exception::RequestLimitExceeded => "ThrottlingError",
        };
        (code, self.exception.message())
    }
}

impl Exception {
    fn message(self) -> &'static str {
        match self {
            Self::ProvisionedThroughputExceeded => {
                "The level of configured provisioned throughput for the table or one of its \
                 global secondary indexes was exceeded. Consider increasing your provisioning \
                 level with the UpdateTable API."
            }
            Self::Throttling => {
                "Throughput exceeds the current capacity of your table or index. DynamoDB is \
                 automatically scaling your table or index so please try again shortly. If \
                 exceptions persist, check if you have a hot key."
            }
            Self::RequestLimitExceeded => {
                "Throughput exceeds the current throughput limit for your account. Please \
                 contact AWS Support to request a limit increase."
            }
        }
    }
}

/// Writes the body of a throttled request, whose status is 400. The first reason decides about
/// the exception.
pub(crate) fn body(reasons: &[ThrottlingReason]) -> Vec<u8> {
    let first = reasons.first().map(|reason| reason.exception);
    let message = first.map_or("", Exception::message);
    let (exception, field) = match first {
        None | Some(Exception::ProvisionedThroughputExceeded) => (
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "ThrottlingReasons",
        ),
        Some(Exception::RequestLimitExceeded) => (
            "com.amazonaws.dynamodb.v20120810#RequestLimitExceeded",
            "ThrottlingReasons",
        ),
        // This exception is not of DynamoDB's own model, in which names begin with a capital.
        Some(Exception::Throttling) => (
            "com.amazon.coral.availability#ThrottlingException",
            "throttlingReasons",
        ),
    };
    let body = json!({ "__type": exception, "message": message, field: reasons });
    body.to_string().into_bytes()
}
