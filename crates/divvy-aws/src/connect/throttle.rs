//! Which capacity a throttled request exceeded.

use aws_sdk_dynamodb::error::SdkError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Deserialize;

/// One reason why a request was throttled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Throttle {
    /// The name of the table, without the rest of its ARN.
    pub table: String,
    /// The index. `None` where the capacity of the table was exceeded.
    pub index: Option<String>,
    /// Read or write capacity.
    pub access: Access,
    /// The limit that was exceeded.
    pub limit: Limit,
}

/// Read or write capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read units.
    Read,
    /// Write units.
    Write,
}

/// The limits of a capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The provisioned units.
    Provisioned,
    /// The capacity of one partition: a hot key.
    KeyRange,
    /// The maximum that is configured for an on-demand table.
    OnDemandCeiling,
    /// The quota of the account.
    Account,
    /// Any other.
    Unknown,
}

impl std::fmt::Display for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = match self.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        match self.limit {
            Limit::Provisioned => write!(f, "the provisioned {access} capacity of "),
            Limit::KeyRange => write!(
                f,
                "the {access} capacity of one partition (a hot key range) of "
            ),
            Limit::OnDemandCeiling => write!(f, "the on-demand {access} ceiling of "),
            Limit::Account => write!(f, "the account's {access} quota for "),
            Limit::Unknown => write!(f, "some {access} bound of "),
        }?;
        match &self.index {
            Some(index) => write!(f, "index {index} of table {}", self.table),
            None => write!(f, "table {}", self.table),
        }
    }
}

/// The body of the response to a throttled request. The SDK exposes the reasons only through the
/// error type of each operation.
#[derive(Deserialize)]
struct Body {
    #[serde(alias = "throttlingReasons", default)]
    #[serde(rename = "ThrottlingReasons")]
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    resource: String,
}

/// Returns the reasons of a throttled request. Empty where it was not throttled, or where the
/// response has no reasons.
pub fn throttles<E>(error: &SdkError<E, HttpResponse>) -> Vec<Throttle> {
    let body = error
        .raw_response()
        .and_then(|response| response.body().bytes());
    let body: Option<Body> = body.and_then(|bytes| serde_json::from_slice(bytes).ok());
    let reasons = body.map(|body| body.reasons).unwrap_or_default();
    reasons.iter().filter_map(Throttle::parse).collect()
}

impl Throttle {
    /// Reads a reason such as `IndexWriteProvisionedThroughputExceeded` and a resource such as
    /// `arn:aws:dynamodb:R:A:table/T/index/I`. `None` where the reason has another form.
    fn parse(reason: &Reason) -> Option<Self> {
        let Reason { reason, resource } = reason;
        let (is_index, rest) = match reason.strip_prefix("Index") {
            Some(rest) => (true, rest),
            None => (false, reason.strip_prefix("Table")?),
        };
        let (access, rest) = match rest.strip_prefix("Write") {
            Some(rest) => (Access::Write, rest),
            None => (Access::Read, rest.strip_prefix("Read")?),
        };
        let limit = match rest {
            "ProvisionedThroughputExceeded" => Limit::Provisioned,
            "KeyRangeThroughputExceeded" => Limit::KeyRange,
            "MaxOnDemandThroughputExceeded" => Limit::OnDemandCeiling,
            "AccountLimitExceeded" => Limit::Account,
            _ => Limit::Unknown,
        };
        let name = resource.split_once("table/").map_or("", |(_, name)| name);
        let (table, index) = match name.split_once("/index/") {
            Some((table, index)) => (table, Some(index)),
            None => (name, is_index.then_some("")),
        };
        Some(Self {
            table: table.into(),
            index: index.map(str::to_owned),
            access,
            limit,
        })
    }
}
