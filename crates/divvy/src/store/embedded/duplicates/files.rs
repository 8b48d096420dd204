//! The files that a commit is about.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::store::embedded::catalog::{FileKind, FileRow};
use crate::store::embedded::row_set::RowSet;

/// A file of a commit: stored already, or of the archive that is being added.
pub(crate) struct CommitFile {
    /// The row of the catalog. That of a staged file has neither id nor path yet.
    pub(crate) row: FileRow,
    /// Whether the file is in staging.
    pub(crate) is_staged: bool,
    pub(crate) path: PathBuf,
    pub(crate) index_path: PathBuf,
    pub(crate) resolution: Resolution,
    /// Rows that change between trips and duplicates.
    pub(crate) moving: RowSet,
}

/// With which other rows the rows of a file are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// With those of every unresolved file, and all stored trips.
    Unresolved {
        /// Whether two of its rows may have the same key.
        has_repeated_keys: bool,
    },
    /// With those of unresolved files: against the others it was resolved by an earlier commit.
    Resolved,
}

impl CommitFile {
    /// Returns whether the ranges of keys of two files overlap.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (own, other) = (self.row.keys, other.row.keys);
        own.0 <= other.1 && other.0 <= own.1
    }
}

/// What a commit does with a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Unresolved trips: added, or resolved again whether they are stored now or not.
    New,
    /// Stored trips of an archive that is removed.
    Removed,
    /// Stored trips that stay unless a better copy is added.
    Stored,
    /// Copies that are not stored.
    Duplicates,
}

impl Role {
    pub(super) fn of(file: &CommitFile, removed: &BTreeSet<u64>) -> Self {
        if removed.contains(&file.row.archive) {
            return Self::Removed;
        }
        match (file.resolution, file.row.kind) {
            (Resolution::Unresolved { .. }, _) => Self::New,
            (Resolution::Resolved, FileKind::Trips) => Self::Stored,
            (Resolution::Resolved, FileKind::Duplicates) => Self::Duplicates,
        }
    }

    /// Returns whether rows of a file have to be compared with those of a file of another role.
    pub(super) fn is_compared_with(self, other: Self) -> bool {
        match self {
            Self::New => other != Self::Duplicates,
            Self::Stored => other == Self::New,
            Self::Removed => other == Self::Duplicates,
            Self::Duplicates => other == Self::Removed,
        }
    }
}
