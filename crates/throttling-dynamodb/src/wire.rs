//! The JSON of requests, responses and errors.

use dynoxide::DynoxideError;
use dynoxide::types::ConsumedCapacity;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::throttle::{self, ThrottlingReason};

/// The content type of all responses.
pub(crate) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// An HTTP status and a body of JSON.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The reason for which a request fails.
pub(crate) enum RequestError {
    Emulator(DynoxideError),
    Throttled(Vec<ThrottlingReason>),
    UnknownOperation,
}

impl From<DynoxideError> for RequestError {
    fn from(error: DynoxideError) -> Self {
        Self::Emulator(error)
    }
}

impl RequestError {
    /// Writes the error as the service does.
    pub(crate) fn into_response(self) -> Response {
        match self {
            Self::Emulator(error) => Response {
                status: error.status_code(),
                body: error.to_json().into_bytes(),
            },
            Self::Throttled(reasons) => Response {
                status: 400,
                body: throttle::body(&reasons),
            },
            Self::UnknownOperation => Response {
                status: 400,
                body: br#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#
                    .to_vec(),
            },
        }
    }
}

/// Parses a request. The emulator puts the class of an error in front of the texts of its parsers.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        let text = text.rfind(" at line ").map_or(&*text, |end| &text[..end]);
        let after = |classes: &[&str]| classes.iter().find_map(|class| text.strip_prefix(class));
        if let Some(text) = after(&["VALIDATION:", "VALIDATION_REQUEST:", "VALIDATION_AS_READ:"]) {
            DynoxideError::ValidationException(text.to_owned())
        } else if let Some(text) = after(&["SERIALIZATION:", "SERIALIZATION_AS_READ:"]) {
            DynoxideError::SerializationException(text.to_owned())
        } else if [
            "missing field",
            "unknown variant",
            "invalid type: null",
            "AttributeValue",
        ]
        .iter()
        .any(|known| text.contains(known))
        {
            DynoxideError::ValidationException(text.to_owned())
        } else {
            DynoxideError::SerializationException(text.to_owned())
        }
    })
}

/// Writes the body of a successful response.
pub(crate) fn write<T: Serialize>(response: &T) -> Result<Vec<u8>, RequestError> {
    let written = serde_json::to_vec(response);
    written.map_err(|error| DynoxideError::InternalServerError(error.to_string()).into())
}

/// The detail of the capacity report that a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CapacityReport {
    None,
    Total,
    Indexes,
}

impl CapacityReport {
    /// Returns what the client requests, and requests the most detailed report of the emulator, by
    /// which requests are charged. An unknown value stays, for the emulator to refuse.
    pub(crate) fn replace(requested: &mut Option<String>) -> Self {
        let report = match requested.as_deref() {
            None | Some("NONE") => Self::None,
            Some("TOTAL") => Self::Total,
            Some("INDEXES") => Self::Indexes,
            Some(_) => return Self::None,
        };
        *requested = Self::most_detailed();
        report
    }

    /// Returns the value of `ReturnConsumedCapacity` for the most detailed report.
    pub(crate) fn most_detailed() -> Option<String> {
        Some("INDEXES".to_owned())
    }

    /// Removes from a report what the client did not request.
    pub(crate) fn trim(self, used: Option<ConsumedCapacity>) -> Option<ConsumedCapacity> {
        match self {
            Self::None => None,
            Self::Indexes => used,
            Self::Total => used.map(|used| ConsumedCapacity {
                table: None,
                global_secondary_indexes: None,
                local_secondary_indexes: None,
                vector_indexes: None,
                ..used
            }),
        }
    }

    /// Removes from reports by table what the client did not request.
    pub(crate) fn trim_all(self, used: Vec<ConsumedCapacity>) -> Option<Vec<ConsumedCapacity>> {
        if self == Self::None {
            return None;
        }
        Some(
            used.into_iter()
                .filter_map(|one| self.trim(Some(one)))
                .collect(),
        )
    }
}
