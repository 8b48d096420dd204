//! Why a store could not do what it was asked to.

use std::fmt;

/// Why a store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What code decides on.
    pub kind: StoreErrorKind,
    /// What people read: one sentence.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Another process writes, or the service throttles: try again later.
    Busy,
    /// What is stored cannot be read: damaged, or made by a newer program.
    Damaged,
    /// What was named as a store is something else.
    NotAStore,
    /// The disk, the network or the rights to them failed.
    Unreachable,
    /// A count lags behind the trips it counts: try again later.
    Behind,
}

impl StoreError {
    /// Makes an error without a cause.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Makes an error with its source; the message ends with that of the source.
    pub fn with_source(
        kind: StoreErrorKind,
        doing: impl fmt::Display,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            message: format!("{doing}: {source}"),
            source: Some(Box::new(source)),
        }
    }
}
