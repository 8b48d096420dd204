//! How the service says that it is too much.

use serde::Serialize;
use serde_json::json;

use super::capacity::{Direction, Limit};
use super::table::Table;

/// What a request ran into, and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Reason {
    /// Which resource, direction and limit, in one word.
    reason: String,
    /// The name of the table or index.
    resource: String,
    #[serde(skip)]
    limit: Limit,
    #[serde(skip)]
    on_demand: bool,
}

impl Reason {
    /// Tells what stands in the way at a table or, with its place, at one of its indexes.
    pub(super) fn new(
        table: &mut Table,
        index: Option<usize>,
        direction: Direction,
        limit: Limit,
    ) -> Self {
        let (kind, resource) = match index {
            None => ("Table", table.arn.clone()),
            Some(place) => ("Index", table.indexes[place].arn.clone()),
        };
        let lane = table.lanes_of(index).of(direction);
        Self {
            reason: format!("{kind}{}{}", direction.name(), limit.name()),
            resource,
            limit,
            on_demand: lane.on_demand(),
        }
    }

    /// Returns the code and the text of an action of a transaction that was throttled.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
    pub(super) fn cancellation(&self) -> (&'static str, &'static str) {
        match self.kind() {
            Kind::Provisioned => ("ProvisionedThroughputExceeded", self.message()),
            Kind::OnDemand | Kind::Account => ("ThrottlingError", self.message()),
        }
    }

    fn kind(&self) -> Kind {
        match self.limit {
            Limit::Provisioned => Kind::Provisioned,
            Limit::Account => Kind::Account,
            Limit::OnDemandMaximum => Kind::OnDemand,
            Limit::KeyRange if self.on_demand => Kind::OnDemand,
            Limit::KeyRange => Kind::Provisioned,
        }
    }

    fn message(&self) -> &'static str {
        match self.kind() {
            Kind::Provisioned => {
                "The level of configured provisioned throughput for the table or one of its \
                 global secondary indexes was exceeded. Consider increasing your provisioning \
                 level with the UpdateTable API."
            }
            Kind::OnDemand => {
                "Throughput exceeds the current capacity of your table or index. DynamoDB is \
                 automatically scaling your table or index so please try again shortly. If \
                 exceptions persist, check if you have a hot key."
            }
            Kind::Account => {
                "Throughput exceeds the current throughput limit for your account. Please \
                 contact AWS Support to request a limit increase."
            }
        }
    }
}

/// The three exceptions of a throttle.
enum Kind {
    Provisioned,
    OnDemand,
    Account,
}

/// Writes the body of a throttled request, which has status 400. The first reason decides which
/// exception it is.
pub(super) fn body(reasons: &[Reason]) -> Vec<u8> {
    let first = reasons.first();
    let message = first.map_or("", Reason::message);
    let (exception, field) = match first.map(Reason::kind) {
        None | Some(Kind::Provisioned) => (
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "ThrottlingReasons",
        ),
        Some(Kind::Account) => (
            "com.amazonaws.dynamodb.v20120810#RequestLimitExceeded",
            "ThrottlingReasons",
        ),
        // This one is not of the service's own model, where names begin with a capital.
        Some(Kind::OnDemand) => (
            "com.amazon.coral.availability#ThrottlingException",
            "throttlingReasons",
        ),
    };
    let body = json!({ "__type": exception, "message": message, field: reasons });
    body.to_string().into_bytes()
}
