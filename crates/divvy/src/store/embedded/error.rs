//! The errors of the store, by what failed.

use std::io;
use std::path::Path;

use crate::store::{StoreError, StoreErrorKind};

/// Makes the error of a failed file operation: `cannot {doing} {path}`.
pub(super) fn io_error(doing: &str, path: &Path, cause: io::Error) -> StoreError {
    let doing = format!("cannot {doing} {}", path.display());
    StoreError::with_source(StoreErrorKind::Unreachable, doing, cause)
}

/// Makes the error of a file whose content is not what this program wrote.
pub(super) fn damaged(
    path: &Path,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    let doing = format!("{} is damaged", path.display());
    StoreError::with_source(StoreErrorKind::Damaged, doing, cause)
}

/// Returns a function that makes the error of a failed SQLite call: `cannot {doing}`.
pub(super) fn sqlite_error(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |cause| {
        use rusqlite::ErrorCode;
        let kind = match cause.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Damaged,
            _ => StoreErrorKind::Unreachable,
        };
        StoreError::with_source(kind, format!("cannot {doing}"), cause)
    }
}

/// Makes the error of a catalog value that is not what this program wrote.
pub(super) fn corrupt_catalog(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::with_source(StoreErrorKind::Damaged, "the catalog is damaged", cause)
}
