//! Invocations that fail: their payload, their log line, and the error that the caller of the function gets.

use divvy::ingest::PollError;
use divvy::store::{StoreError, StoreErrorKind};
use jiff::Timestamp;
use lambda_runtime::Diagnostic;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::metrics::{Dimensions, Metric, line};

/// The payload of an invocation, or why it cannot be read. The runtime itself would answer to such a payload
/// without a log line of the function.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload<T>(Result<T, String>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Payload<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            T::deserialize(deserializer).map_err(|error| error.to_string()),
        ))
    }
}

impl<T> Payload<T> {
    /// Returns the payload. `expected` is what it should have been, such as `an event of a DynamoDB stream`.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(self, expected: &'static str) -> Result<T, Failure> {
        let Self(payload) = self;
        payload.map_err(|why| Failure::Payload { expected, why })
    }
}

/// Why an invocation has failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The payload is something else.
    #[error("the payload of the invocation is not {expected}: {why}")]
    Payload {
        /// What was expected.
        expected: &'static str,
        /// How it differs.
        why: String,
    },
    /// The store failed, or its tables are of another system.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The poll failed.
    #[error(transparent)]
    Poll(#[from] PollError),
}

impl Failure {
    /// Returns the name of the error: the `errorType` of the answer, and a field of the log line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Payload { .. } => "InvalidPayload",
            Self::Store(error) | Self::Poll(PollError::Store(error)) => match error.kind {
                StoreErrorKind::Busy => "StoreBusy",
                StoreErrorKind::Damaged => "StoreDamaged",
                StoreErrorKind::NotAStore => "NotAStore",
                StoreErrorKind::Unreachable => "StoreUnreachable",
                StoreErrorKind::Behind => "StoreBehind",
            },
            Self::Poll(PollError::Http(_) | PollError::Read { .. }) => "FeedUnreachable",
            Self::Poll(_) => "InvalidFeed",
        }
    }

    /// Makes the log line: JSON in CloudWatch's embedded metric format.
    pub fn line(&self, of: &Dimensions, at: Timestamp) -> String {
        let metrics = [Metric::count("failures", 1)];
        let more = json!({
            "outcome": "failed",
            "error_type": self.name(),
            "error": self.to_string(),
        });
        line(of, at, &metrics, more)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self {
            error_type: failure.name().into(),
            error_message: failure.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::dynamodb::Event;

    use super::*;

    fn read(body: &str) -> Result<Event, Failure> {
        let payload: Payload<Event> = serde_json::from_str(body).unwrap();
        payload.read("an event of a DynamoDB stream")
    }

    #[test]
    fn a_payload_is_read_or_fails_in_one_line() {
        assert_eq!(read(r#"{"Records":[]}"#).unwrap(), Event::default());
        let of = Dimensions {
            system: "divvy".into(),
            ..Dimensions::default()
        };
        let failure = read(r#"{"source":"aws.events"}"#).unwrap_err();
        insta::assert_snapshot!(failure.line(&of, Timestamp::UNIX_EPOCH), @r#"{"_aws":{"CloudWatchMetrics":[{"Dimensions":[["system","prefix","function"]],"Metrics":[{"Name":"failures","Unit":"Count"}],"Namespace":"DivvyAnalyze"}],"Timestamp":0},"error":"the payload of the invocation is not an event of a DynamoDB stream: missing field `Records` at line 1 column 23","error_type":"InvalidPayload","failures":1,"function":"-","outcome":"failed","prefix":"-","system":"divvy"}"#);
        let diagnostic = Diagnostic::from(failure);
        assert_eq!(diagnostic.error_type, "InvalidPayload");
        insta::assert_snapshot!(diagnostic.error_message, @"the payload of the invocation is not an event of a DynamoDB stream: missing field `Records` at line 1 column 23");
    }
}
