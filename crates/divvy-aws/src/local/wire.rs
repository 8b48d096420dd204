//! Requests read, answers and refusals written.

use dynoxide::DynoxideError;
use dynoxide::types::ConsumedCapacity;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::throttle::{self, Reason};

/// An answer with the status of HTTP and a body of JSON.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why a request is refused.
pub(super) enum Refusal {
    Emulator(DynoxideError),
    Throttled(Vec<Reason>),
    UnknownOperation,
}

impl From<DynoxideError> for Refusal {
    fn from(error: DynoxideError) -> Self {
        Self::Emulator(error)
    }
}

/// Writes a refusal as the service does.
pub(super) fn refuse(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Emulator(error) => Answer {
            status: error.status_code(),
            body: error.to_json().into_bytes(),
        },
        Refusal::Throttled(reasons) => Answer {
            status: 400,
            body: throttle::body(reasons),
        },
        Refusal::UnknownOperation => Answer {
            status: 400,
            body: br#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#.to_vec(),
        },
    }
}

/// Reads a request. The emulator marks what it refuses while reading by the class of the error.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        let text = text.rfind(" at line ").map_or(&*text, |end| &text[..end]);
        let after = |marks: &[&str]| marks.iter().find_map(|mark| text.strip_prefix(mark));
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

/// Writes an answer.
pub(super) fn write<T: Serialize>(response: &T) -> Result<Vec<u8>, Refusal> {
    let written = serde_json::to_vec(response);
    written.map_err(|error| DynoxideError::InternalServerError(error.to_string()).into())
}

/// How much of the capacity report a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Nothing,
    Total,
    Indexes,
}

impl Report {
    /// Takes down what a client wants; the emulator is always asked for everything.
    pub(super) fn replace(wanted: &mut Option<String>) -> Self {
        let report = match wanted.as_deref() {
            None | Some("NONE") => Self::Nothing,
            Some("TOTAL") => Self::Total,
            Some("INDEXES") => Self::Indexes,
            // Left for the emulator to refuse.
            Some(_) => return Self::Nothing,
        };
        *wanted = everything();
        report
    }

    /// Leaves of a report what the client wants.
    pub(super) fn trim(self, used: Option<ConsumedCapacity>) -> Option<ConsumedCapacity> {
        match self {
            Self::Nothing => None,
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

    /// Leaves of reports by table what the client wants.
    pub(super) fn trim_all(self, used: Vec<ConsumedCapacity>) -> Option<Vec<ConsumedCapacity>> {
        if self == Self::Nothing {
            return None;
        }
        Some(
            used.into_iter()
                .filter_map(|one| self.trim(Some(one)))
                .collect(),
        )
    }
}

/// Asks the emulator for its whole capacity report.
pub(super) fn everything() -> Option<String> {
    Some("INDEXES".to_owned())
}
