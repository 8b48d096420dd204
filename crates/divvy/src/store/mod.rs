//! Where trips, stations and counts are kept: four small capabilities, each store has them all.
//!
//! ```text
//!  load ──► Trips::begin ─► Incoming::write … commit ─┐
//!                                                      ├─► changes ─► refresh ─► Tallies::put_counts
//!  poll ──► Stations::apply ──────────────────────────┘
//! ```
//!
//! What every store promises (`conformance` holds each of them to it):
//!
//! - An archive is there whole or not at all. [`Incoming::commit`] stores its trips, its totals,
//!   the new `trips_version` of every station concerned and its ledger entry; a process killed
//!   before it returns leaves only work that repeats harmlessly.
//! - One copy of a trip is stored, whatever the order of loading ([`Trip::cmp_copies`]).
//! - Every station that was inserted or changed gets one entry in the change stream, in order.
//!   The stream may deliver an entry again; a consumer's work must bear that.
//!
//! [`Trip::cmp_copies`]: crate::model::Trip::cmp_copies

#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod conformance;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod memory;
pub mod station_data;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::issue::{RejectSink, RejectedCounts};
use crate::model::{Flag, Snapshot, Station, StationId, System, SystemId, TripBatch};
use crate::tally::{FlagCounts, Parts, Totals};

/// Trips, each stored once.
#[async_trait]
pub trait Trips: Send + Sync {
    /// Opens the way in for one archive. What is written to it does not exist until it is
    /// committed; dropped before that, it leaves nothing.
    async fn begin(&self, archive: &ArchiveId) -> Result<Box<dyn Incoming>, StoreError>;

    /// Hands all stored trips of a system to `visit`, batch by batch, in no promised order, until
    /// it returns `false`. Batches may come from several threads at once where the store has many.
    async fn scan(
        &self,
        system: &SystemId,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError>;

    /// Does what [`scan`](Self::scan) does for who wants less: columns that are not wanted may hold
    /// nothing, and trips that are not wanted may be left out. A store without such means hands
    /// over all.
    async fn scan_some(
        &self,
        system: &SystemId,
        _wanted: &Wanted,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        self.scan(system, visit).await
    }
}

/// What somebody wants of the stored trips.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Starts on the wall clock, milliseconds since 1970-01-01T00:00: from the first, up to the
    /// last, itself left out. `None` for all.
    pub started_ms: Option<(i64, i64)>,
    /// The origins and destinations.
    pub stations: bool,
    /// The ends, and the durations as stated.
    pub ends: bool,
    /// The riders.
    pub riders: bool,
    /// The kinds of bikes.
    pub bikes: bool,
    /// Genders and years of birth.
    pub people: bool,
    /// Coordinates.
    pub positions: bool,
    /// The flags.
    pub flags: bool,
}

/// One archive on its way into a store.
#[async_trait]
pub trait Incoming: Send + Sync {
    /// Takes a batch of the archive's member of that place. Members may be written from several
    /// threads; the batches of one member come in the order of its rows.
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError>;

    /// Says that a member has had its last batch, so that a store need not keep its file open. Not
    /// needed: [`commit`](Self::commit) ends the members that have not been.
    fn end_member(&self, _member: usize) -> Result<(), StoreError> {
        Ok(())
    }

    /// Stores the archive. Copies of trips that are already stored, in this archive or another,
    /// are told to `rejects` and counted as duplicates: here, or in the entry of the archive that
    /// lost its copy.
    async fn commit(
        self: Box<Self>,
        archive: ArchiveRead,
        rejects: &dyn RejectSink,
    ) -> Result<LedgerEntry, StoreError>;
}

/// Stations with the newest that their feeds say, and the stream of their changes.
#[async_trait]
pub trait Stations: Send + Sync {
    /// Lists StationData of a system, by id.
    async fn stations(&self, system: &SystemId) -> Result<Vec<Station>, StoreError>;

    /// Brings StationData up to a snapshot. A snapshot older than the last one of its kind is
    /// refused, one of the same time is repeated; neither changes anything. A full snapshot is of
    /// both kinds: what is news of it is taken.
    ///
    /// Stations that the snapshot lacks are kept; [`feed`](Self::feed) tells them apart.
    async fn apply(
        &self,
        snapshot: &Snapshot,
        fetched_at: Timestamp,
    ) -> Result<Applied, StoreError>;

    /// Returns what is known of a system's feed. `None` where no snapshot has been applied.
    async fn feed(&self, system: &SystemId) -> Result<Option<FeedState>, StoreError>;

    /// Takes over what a published station list says of stations that no feed has named; a feed
    /// is never overridden. Returns how many rows were inserted or changed.
    async fn describe(&self, system: &System, listed: &[Station]) -> Result<u64, StoreError>;

    /// Makes every station of a system appear in the change stream again, as if its trips had
    /// changed: the by-hand refresh of everything.
    async fn touch_all(&self, system: &SystemId) -> Result<u64, StoreError>;

    /// Reads on in the change stream of all systems, from the consumer's checkpoint, oldest first.
    async fn changes(&self, consumer: &str, limit: usize) -> Result<Vec<Change>, StoreError>;

    /// Moves the consumer's checkpoint to behind a change. Never moves it back.
    async fn acknowledge(&self, consumer: &str, sequence: u64) -> Result<(), StoreError>;
}

/// Totals over stored trips, and the counts kept by the stream.
#[async_trait]
pub trait Tallies: Send + Sync {
    /// Returns the totals over all archives of a system.
    async fn totals(&self, system: &SystemId) -> Result<Totals, StoreError>;

    /// Returns the totals with these parts of the cube; others may be empty, where the store can
    /// do without reading them.
    async fn totals_with(&self, system: &SystemId, _parts: Parts) -> Result<Totals, StoreError> {
        self.totals(system).await
    }

    /// Counts the stored trips that start at each of the stations, in the same order.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Behind`] where a store counts by an index that may lag behind its trips,
    /// and finds fewer than its totals have.
    async fn departures(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<u64>, StoreError>;

    /// Lists FromStationCounts of a system, by id.
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError>;

    /// Looks up FromStationCounts of some stations, in the same order.
    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError>;

    /// Replaces counts by key: putting the same twice is the same as once. A count of an older
    /// `trips_version` than the one kept is dropped, so that a late delivery undoes nothing.
    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError>;
}

/// Which archives are loaded.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Lists the systems that the store has heard of, by id.
    async fn systems(&self) -> Result<Vec<System>, StoreError>;

    /// Lists the archives of a system in the order of loading.
    async fn entries(&self, system: &SystemId) -> Result<Vec<LedgerEntry>, StoreError>;

    /// Lists the names of the archives of a system; a sample's says so.
    async fn archives(&self, system: &SystemId) -> Result<Vec<String>, StoreError> {
        let entries = self.entries(system).await?.into_iter();
        Ok(entries.map(|entry| entry.id.name).collect())
    }

    /// Finds a loaded archive by its content, whatever its name. `None` for one not loaded.
    async fn holding(
        &self,
        system: &SystemId,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, StoreError>;

    /// Tells whether all that is stored of a loaded archive is there and is what was written. A
    /// store that cannot look says that it is.
    async fn is_intact(&self, _entry: &LedgerEntry) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// What an unload removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unloaded {
    /// The entries of the archives that go, as they were.
    pub entries: Vec<LedgerEntry>,
    /// Copies of their trips in other archives that are stored instead. `None` where the store does
    /// not count them.
    pub promoted: Option<u64>,
}

/// Takes archives out again.
#[async_trait]
pub trait Unload: Send + Sync {
    /// Removes archives of a system, as if each had been superseded by nothing: copies of their
    /// trips in other archives are stored instead, station lists stay. Archives that are not
    /// loaded are passed over. With `dry_run` nothing is changed.
    ///
    /// Afterwards the store is as if it had never loaded them, versions and times aside, where the
    /// change stream was drained before and is drained again.
    async fn unload(
        &self,
        system: &SystemId,
        archives: &[ContentHash],
        dry_run: bool,
    ) -> Result<Unloaded, StoreError>;
}

/// The consumer of the change stream that keeps FromStationCounts.
pub const REFRESH: &str = "refresh";

/// A whole store.
pub trait Store: Trips + Stations + Tallies + Ledger {}
impl<T: Trips + Stations + Tallies + Ledger> Store for T {}

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

/// What became of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// StationData is as the snapshot says.
    Accepted {
        /// Stations seen for the first time.
        inserted: u64,
        /// Stations of which something besides the report time changed.
        changed: u64,
        /// Stations of which nothing but the report time changed.
        reported: u64,
    },
    /// The last snapshot had the same time.
    Repeated,
    /// The last snapshot is newer.
    Refused {
        /// Its time.
        last: Timestamp,
    },
}

/// What a store knows of a system's feed.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedState {
    /// When the newest snapshot with stations' states was made, by the feed's clock. `None` where
    /// only `station_information` has been seen.
    pub status_at: Option<Timestamp>,
    /// When the newest snapshot with names and places was made.
    pub information_at: Option<Timestamp>,
    /// The stations of the newest snapshot: of the one with states where there is one.
    pub listed: std::collections::BTreeSet<StationId>,
}

/// A station that was inserted or changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its place in the stream. Grows; may skip.
    pub sequence: u64,
    /// Whose station.
    pub system: SystemId,
    /// The station as it is now, or as it was right after the change.
    pub station: Station,
    /// Nothing but the report time changed.
    pub report_time_only: bool,
}

/// One row of FromStationCounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FromStationCount {
    /// The id as the trips use it.
    pub from_station_id: StationId,
    /// Stored trips that start there.
    pub from_count: u64,
    /// The version of the station's trips that was counted. `None` before any trip came.
    pub trips_version: Option<u64>,
    /// When it was counted.
    pub refreshed_at: Timestamp,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What was looked at and holds, one sentence each.
    pub facts: Vec<String>,
    /// What does not hold, one sentence each. Empty for a sound store.
    pub faults: Vec<String>,
    /// What people should know and is no fault, one sentence each.
    pub notes: Vec<String>,
}

impl Checked {
    /// Notes a fault where something does not hold.
    pub fn expect(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }
}

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
    /// Another process writes, or the service asks to slow down: try again later.
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

    /// Makes an error with its cause; the message ends with the cause's.
    pub fn because(
        kind: StoreErrorKind,
        doing: impl fmt::Display,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            message: format!("{doing}: {cause}"),
            source: Some(Box::new(cause)),
        }
    }
}
