//! What a ledger holds about the archives that were loaded.

use std::fmt;

use jiff::Timestamp;

use crate::issue::{RejectedCounts, Skipped};
use crate::model::{Flag, System, SystemId};
use crate::tally::{FlagCounts, Totals};

/// The XXH3-128 of an archive's bytes, as published.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub u128);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What makes an archive the same archive.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchiveId {
    /// Whose trips these are.
    pub system: System,
    /// The file name, without folders.
    pub name: String,
    /// The content.
    pub content: ContentHash,
}

/// An archive of the ledger, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedArchive {
    /// The file name, without folders. That of a sample ends with its sample label.
    pub name: String,
    /// The content.
    pub content: ContentHash,
}

/// An archive that has been read to its end, and is about to be committed.
#[derive(Clone, Debug)]
pub struct ArchiveRead {
    /// Which one.
    pub id: ArchiveId,
    /// The names of the members that hold trips, by their places.
    pub members: Vec<String>,
    /// Data rows read, over all members.
    pub rows_read: u64,
    /// Rows that did not become trips, without the duplicates, which the store decides.
    pub rejected: RejectedCounts,
    /// Members that may be tables and were not loaded.
    pub skipped: Vec<Skipped>,
    /// The system in whose area most coordinates lie, where the user forced another one. `None`
    /// otherwise.
    pub forced_from: Option<SystemId>,
    /// The totals over all batches written. The store takes back what it does not keep.
    pub totals: Totals,
    /// When the load began.
    pub loaded_at: Timestamp,
    /// Supersedes every archive of the same name.
    pub replace: bool,
}

/// One loaded archive.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// Which one.
    pub id: ArchiveId,
    /// Its place in the order of loading.
    pub sequence: u64,
    /// When.
    pub loaded_at: Timestamp,
    /// Data rows read.
    pub rows_read: u64,
    /// Trips stored under this archive now; less when a later archive brought a better copy.
    pub stored: u64,
    /// Rows without a trip of their own, by reason. `rows_read = stored + rejected`.
    pub rejected: RejectedCounts,
    /// Stored trips by flag.
    pub flagged: FlagCounts,
    /// Members that may be tables and were not loaded. Empty for archives that older programs loaded.
    pub skipped: Vec<Skipped>,
    /// The system in whose area most coordinates lie, where the user forced another one. `None`
    /// otherwise.
    pub forced_from: Option<SystemId>,
}

impl LedgerEntry {
    /// Returns the number of rejected rows.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Returns the stored trips with a flag.
    pub fn flagged(&self, flag: Flag) -> u64 {
        self.flagged.get(flag).try_into().unwrap_or(0)
    }
}
