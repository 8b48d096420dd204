//! The store in a folder.
mod dictionary;
mod index;
mod schema;
mod trips_file;

use std::fmt::Display;
use std::path::Path;

use super::{StoreError, StoreErrorKind};

/// The disk said no.
fn cannot(doing: &str, path: &Path, cause: std::io::Error) -> StoreError {
    let doing = format!("cannot {doing} {}", path.display());
    StoreError::because(StoreErrorKind::Unreachable, doing, cause)
}

/// A file is not what this program wrote.
fn damaged(
    path: &Path,
    cause: impl std::error::Error + Display + Send + Sync + 'static,
) -> StoreError {
    let doing = format!("{} is damaged", path.display());
    StoreError::because(StoreErrorKind::Damaged, doing, cause)
}
