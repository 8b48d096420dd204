//! Trips files and id indexes, from the sources of `divvy`.

pub mod beside_index;
pub mod beside_trips;

#[allow(dead_code, unused_imports)]
#[path = "../../../../../crates/divvy/src/store/embedded/hashed_file.rs"]
mod hashed_file;
#[allow(dead_code, unused_imports)]
#[path = "../../../../../crates/divvy/src/store/embedded/index/mod.rs"]
mod id_index;
#[path = "../../../../../crates/divvy/src/store/embedded/shared_file.rs"]
mod shared_file;
#[path = "../../../../../crates/divvy/src/store/embedded/sorted_runs.rs"]
mod sorted_runs;
#[allow(dead_code, unused_imports)]
#[path = "../../../../../crates/divvy/src/store/embedded/trips_file/mod.rs"]
mod trips_file;
#[path = "../../../../../crates/divvy/src/store/embedded/varint.rs"]
mod varint;

/// As `error.rs`, but for SQLite.
mod error {
    use std::io;
    use std::path::Path;

    use crate::store::{StoreError, StoreErrorKind};

    pub(super) fn io_error(doing: &str, path: &Path, cause: io::Error) -> StoreError {
        let doing = format!("cannot {doing} {}", path.display());
        StoreError::because(StoreErrorKind::Unreachable, doing, cause)
    }

    pub(super) fn damaged(
        path: &Path,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> StoreError {
        let doing = format!("{} is damaged", path.display());
        StoreError::because(StoreErrorKind::Damaged, doing, cause)
    }
}

/// An index that keeps nothing: writing a trips file writes the index beside it, which is measured by
/// itself.
mod index {
    use std::path::Path;

    pub(super) use super::id_index::Keys;
    use super::id_index::Written;
    use crate::store::StoreError;

    pub(super) struct IndexWriter(u64);

    impl IndexWriter {
        pub(super) fn create(_: &Path) -> Result<Self, StoreError> {
            Ok(Self(0))
        }

        pub(super) fn rows(&self) -> u64 {
            self.0
        }

        pub(super) fn push(&mut self, _: u64, _: u64) -> Result<(), StoreError> {
            self.0 += 1;
            Ok(())
        }

        pub(super) fn finish(self) -> Result<Written, StoreError> {
            let keys = Keys {
                bounds: (u64::MAX, 0),
                has_repeated: false,
            };
            Ok(Written { keys, hash: 0 })
        }
    }

    pub(super) fn key_of(_: &[u8]) -> u64 {
        0
    }
}
