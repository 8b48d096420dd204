//! Reasons why a load is refused.

use divvy::store::{StoreError, StoreErrorKind};

/// A reason why a load is refused. The source of a [`StoreError`] with the same message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadRefusal {
    /// The capacity of a table that is paid by request cannot be raised.
    #[error("{table} is paid by request: it has no provisioned capacity to be raised")]
    OnDemand {
        /// The table.
        table: String,
    },
    /// The warm throughput of a table with provisioned capacity does not decide what it takes.
    #[error("{table} has provisioned capacity, which limits it whatever its warm throughput")]
    Provisioned {
        /// The table.
        table: String,
    },
    /// The table or its index cannot take as many units as it was to be warmed for.
    #[error(
        "{table} or its index takes at most {most} write units a second (a maximum that is configured, or the \
         quota of an account): to be warm for more would be paid for in vain"
    )]
    WarmAboveMaximum {
        /// The table.
        table: String,
        /// The smaller one of the maxima of table and index.
        most: u64,
    },
    /// A load that supersedes other archives was interrupted, and can only be finished.
    #[error("{archive}: its load, which supersedes archives, was interrupted: finish it first")]
    UnfinishedLoad {
        /// The archive.
        archive: String,
    },
    /// The unloading of an archive was interrupted, and can only be finished.
    #[error("{archive}: its unloading was interrupted: finish it first")]
    UnfinishedUnload {
        /// The archive.
        archive: String,
    },
    /// A trip of the archive is not in the table as an import would have written it.
    #[error("{table}: trip {trip} {fault}: the import is not of this archive, or not done")]
    NotImported {
        /// The table.
        table: String,
        /// The key of the trip.
        trip: String,
        /// How the table differs.
        fault: &'static str,
    },
}

impl From<LoadRefusal> for StoreError {
    fn from(refusal: LoadRefusal) -> Self {
        let kind = match refusal {
            LoadRefusal::UnfinishedLoad { .. } | LoadRefusal::UnfinishedUnload { .. } => {
                StoreErrorKind::Busy
            }
            LoadRefusal::OnDemand { .. }
            | LoadRefusal::Provisioned { .. }
            | LoadRefusal::WarmAboveMaximum { .. }
            | LoadRefusal::NotImported { .. } => StoreErrorKind::Damaged,
        };
        Self {
            kind,
            message: refusal.to_string(),
            source: Some(Box::new(refusal)),
        }
    }
}
