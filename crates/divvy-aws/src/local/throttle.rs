//! How the service says that it is too much.

use serde::Serialize;

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
        let (kind, resource, lanes) = match index {
            None => ("Table", &table.arn, &mut table.lanes),
            Some(place) => {
                let index = &mut table.indexes[place];
                ("Index", &index.arn, &mut index.lanes)
            }
        };
        Self {
            reason: format!("{kind}{}{}", direction.name(), limit.name()),
            resource: resource.clone(),
            limit,
            on_demand: lanes.of(direction).on_demand(),
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
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(rename = "__type")]
        exception: String,
        message: &'a str,
        #[serde(rename = "ThrottlingReasons")]
        reasons: &'a [Reason],
    }
    let first = reasons.first();
    let exception = match first.map(Reason::kind) {
        None | Some(Kind::Provisioned) => "ProvisionedThroughputExceededException",
        Some(Kind::OnDemand) => "ThrottlingException",
        Some(Kind::Account) => "RequestLimitExceeded",
    };
    let body = Body {
        exception: format!("com.amazonaws.dynamodb.v20120810#{exception}"),
        message: first.map_or("", Reason::message),
        reasons,
    };
    serde_json::to_vec(&body).expect("plain texts are always JSON")
}
