//! Storage of trips, stations and counts: one small trait for each capability, and the stores that
//! implement them.
//!
//! ```text
//!  load ──► Trips::begin ─► Incoming::write … commit ─┐
//!                                                      ├─► changes ─► refresh ─► CountsTable::put_counts
//!  poll ──► StationTable::apply ──────────────────────┘
//! ```
//!
//! Guarantees of every store, tested by the crate `divvy-testkit`:
//!
//! - An archive is stored completely or not at all. [`Incoming::commit`] stores its trips, its
//!   totals, the new `trips_version` of every station concerned and its ledger entry; a process
//!   killed before it returns leaves only work that can be repeated without harm.
//! - One copy of a trip is stored, whatever the order of loading ([`Trip::cmp_copies`]).
//! - Every station that was inserted or changed gets one entry in the change stream, in order.
//!   The stream may deliver an entry more than once, so a consumer's work must be repeatable.
//!
//! [`Trip::cmp_copies`]: crate::model::Trip::cmp_copies

#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod ledger;
mod projection;

use async_trait::async_trait;
use jiff::Timestamp;

pub use self::error::{StoreError, StoreErrorKind};
pub use self::ledger::{ArchiveId, ArchiveRead, ContentHash, LedgerEntry, LoadedArchive};
pub use self::projection::Projection;
use crate::history::{AsOf, SnapshotEntry, StateChange};
use crate::issue::RejectSink;
use crate::model::{Snapshot, Station, StationId, System, SystemId, TripBatch};
pub use crate::stations::corrections::{Corrections, CorrectionsChange};
pub use crate::stations::{Applied, Change, FeedState, FromStationCount};
use crate::tally::{Parts, Totals};

/// Trips, each stored once.
#[async_trait]
pub trait Trips: Send + Sync {
    /// Begins the load of one archive. Nothing that is written exists until it is committed; a
    /// load that is dropped before that leaves nothing.
    async fn begin(&self, archive: &ArchiveId) -> Result<Box<dyn Incoming>, StoreError>;

    /// Passes all stored trips of a system to `visit`, batch by batch, in any order, until it
    /// returns `false`. The trips of a batch are all of the archive with that content. Several threads
    /// may call `visit` at the same time.
    async fn scan_by_archive(
        &self,
        system: &SystemId,
        visit: &(dyn Fn(ContentHash, TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError>;

    /// Does what [`scan_by_archive`](Self::scan_by_archive) does, whatever the archives.
    async fn scan(
        &self,
        system: &SystemId,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        self.scan_by_archive(system, &|_, batch| visit(batch)).await
    }

    /// Does what [`scan`](Self::scan) does with some columns of the trips; the columns that are not
    /// in the projection are empty. Trips outside of its time range, or of other stations than its
    /// origins, may be left out.
    async fn scan_projection(
        &self,
        system: &SystemId,
        projection: &Projection,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        self.scan(system, &|batch| visit(projection.apply(batch)))
            .await
    }
}

/// One archive that is being stored.
#[async_trait]
pub trait Incoming: Send + Sync {
    /// Takes a batch of the member with that index. Members may be written from several
    /// threads; the batches of one member come in the order of its rows.
    fn write(&self, member: usize, batch: TripBatch) -> Result<(), StoreError>;

    /// Ends a member, so that a store need not keep its file open. Not
    /// needed: [`commit`](Self::commit) ends the members that have not been.
    fn end_member(&self, _member: usize) -> Result<(), StoreError> {
        Ok(())
    }

    /// Stores the archive. Copies of trips that are already stored, in this archive or another,
    /// are passed to `rejects` and counted as duplicates: here, or in the entry of the archive that
    /// lost its copy.
    async fn commit(
        self: Box<Self>,
        archive: ArchiveRead,
        rejects: &dyn RejectSink,
    ) -> Result<LedgerEntry, StoreError>;
}

/// StationData: the stations with the newest state from their feeds.
#[async_trait]
pub trait StationTable: Send + Sync {
    /// Lists the stations of a system, by id.
    async fn stations(&self, system: &SystemId) -> Result<Vec<Station>, StoreError>;

    /// Updates the stations from a snapshot of their feed. One that changes nothing is a repetition if
    /// it is of the time of the last one. One that is older than the last is refused: its states are
    /// not taken, but stations that no newer one names get its names and positions. Of a snapshot of
    /// both files the states are taken if they are newer than those of the last one.
    ///
    /// Stations that the snapshot lacks are kept; [`feed`](Self::feed) lists those of the newest one.
    async fn apply(
        &self,
        snapshot: &Snapshot,
        fetched_at: Timestamp,
    ) -> Result<Applied, StoreError>;

    /// Allows the store to acknowledge snapshots before they are on the disk, or ends that: what was
    /// acknowledged is on the disk then. In between a killed process loses nothing, but a power cut loses
    /// the last snapshots. Many snapshots are applied faster so. Without effect on stores that have no
    /// such choice.
    ///
    /// # Errors
    ///
    /// The snapshots cannot be written.
    async fn defer_sync(&self, _is_deferred: bool) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns the state of a system's feed. `None` before the first snapshot.
    async fn feed(&self, system: &SystemId) -> Result<Option<FeedState>, StoreError>;

    /// Returns the history of what stations report. `None` where the store keeps none.
    fn history(&self) -> Option<&dyn StatusHistory> {
        None
    }

    /// Returns where forecasts are kept. `None` where the store keeps none.
    fn forecasts(&self) -> Option<&dyn Forecasts> {
        None
    }

    /// Stores the names, positions and capacities of a published station list beside those of other
    /// lists ([`Station::listed_as`]); values from a feed are never overwritten. Returns how many rows
    /// were inserted or changed.
    async fn describe(&self, system: &System, listed: &[Station]) -> Result<u64, StoreError>;
}

/// The history of states. [`StationTable::apply`] appends to it in the same transaction.
#[async_trait]
pub trait StatusHistory: Send + Sync {
    /// Returns the states of the last snapshot that was made at an instant or before. `None` if there
    /// is none.
    async fn as_of(&self, system: &SystemId, at: Timestamp) -> Result<Option<AsOf>, StoreError>;

    /// Lists the changes of a station made from `from` on and before `to`, in order.
    async fn state_changes(
        &self,
        system: &SystemId,
        station: &StationId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StateChange>, StoreError>;

    /// Passes the changes of all stations made from `from` on and before `to`. Those of a station are in
    /// order.
    async fn each_state_change(
        &self,
        system: &SystemId,
        from: Timestamp,
        to: Timestamp,
        pass: &mut (dyn for<'c> FnMut(&'c StateChange) + Send),
    ) -> Result<(), StoreError>;

    /// Lists the snapshots made from `from` on and before `to`, in order.
    async fn snapshots(
        &self,
        system: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SnapshotEntry>, StoreError>;

    /// Returns the first snapshot made at an instant or after. `None` if there is none.
    async fn first_snapshot_from(
        &self,
        system: &SystemId,
        from: Timestamp,
    ) -> Result<Option<SnapshotEntry>, StoreError>;

    /// Counts the changes of all stations.
    async fn count_state_changes(&self, system: &SystemId) -> Result<u64, StoreError>;
}

/// What is kept of forecasts: a few megabytes of bytes, which their writer alone reads.
#[async_trait]
pub trait Forecasts: Send + Sync {
    /// Returns what was kept last. `None` if nothing was kept, or the file is damaged: all but the record of
    /// earlier forecasts can be made again.
    async fn kept_forecasts(
        &self,
        system: &SystemId,
        part: ForecastPart,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces what is kept: all of it or nothing.
    async fn keep_forecasts(
        &self,
        system: &SystemId,
        part: ForecastPart,
        bytes: &[u8],
    ) -> Result<(), StoreError>;
}

/// What is kept of forecasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ForecastPart {
    /// The trained models.
    Models,
    /// Forecasts that are not due yet, and how good those before were.
    Log,
}

impl ForecastPart {
    /// Returns its name, which is stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Log => "log",
        }
    }
}

/// Corrections of the join between trips and stations, made by hand.
#[async_trait]
pub trait PlaceCorrections: Send + Sync {
    /// Returns the corrections of a system.
    async fn corrections(&self, system: &SystemId) -> Result<Corrections, StoreError>;

    /// Changes the corrections of a system, so that no change of another process is lost. `change` may be
    /// called more than once.
    async fn change_corrections(
        &self,
        system: &SystemId,
        change: &CorrectionsChange<'_>,
    ) -> Result<(), StoreError>;
}

/// The stream of changes of stations, of all systems.
#[async_trait]
pub trait ChangeStream: Send + Sync {
    /// Reads up to `limit` changes behind the consumer's checkpoint, oldest first. Empty at the end
    /// of the stream.
    async fn changes(&self, consumer: &str, limit: usize) -> Result<Vec<Change>, StoreError>;

    /// Moves the consumer's checkpoint behind a change. Never moves it back.
    async fn acknowledge(&self, consumer: &str, sequence: u64) -> Result<(), StoreError>;
}

/// Repetition of the change stream.
#[async_trait]
pub trait Republish: Send + Sync {
    /// Appends every station of a system to the change stream, as if its trips had changed, so
    /// that every count is made again. Returns the number of stations.
    async fn republish_all(&self, system: &SystemId) -> Result<u64, StoreError>;
}

/// Totals over stored trips.
#[async_trait]
pub trait TotalsReader: Send + Sync {
    /// Returns the totals over all archives of a system.
    async fn totals(&self, system: &SystemId) -> Result<Totals, StoreError>;

    /// Returns the totals with some parts of the cube. The other parts may be empty.
    async fn totals_with(&self, system: &SystemId, _parts: Parts) -> Result<Totals, StoreError> {
        self.totals(system).await
    }
}

/// Counts of stored trips by origin.
#[async_trait]
pub trait Departures: Send + Sync {
    /// Counts the stored trips that start at each of the stations, in the same order. `None` for a
    /// station whose trips a load is replacing at this moment: its count stays as it is, and the
    /// last step of the load causes another.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Behind`] where the store counts by an index that lags behind its trips,
    /// and finds another number of trips than its totals have.
    async fn departures(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<u64>>, StoreError>;
}

/// FromStationCounts: the counts that are kept up to date from the change stream.
#[async_trait]
pub trait CountsTable: Send + Sync {
    /// Lists the counts of a system, by id.
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError>;

    /// Looks up the counts of some stations, in the same order. `None` for a station without.
    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError>;

    /// Replaces counts by station id, so that putting one twice is the same as once. A count of an
    /// older `trips_version` than the stored one is dropped, so that a late delivery changes
    /// nothing.
    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError>;
}

/// Which archives are loaded.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Lists the systems that have data in the store, by id.
    async fn systems(&self) -> Result<Vec<System>, StoreError>;

    /// Lists the archives of a system in the order of loading.
    async fn entries(&self, system: &SystemId) -> Result<Vec<LedgerEntry>, StoreError>;

    /// Lists the archives of a system in short, in the order of loading.
    async fn archives(&self, system: &SystemId) -> Result<Vec<LoadedArchive>, StoreError> {
        let entries = self.entries(system).await?.into_iter();
        let in_short = |entry: LedgerEntry| LoadedArchive {
            name: entry.id.name,
            content: entry.id.content,
        };
        Ok(entries.map(in_short).collect())
    }

    /// Finds a loaded archive by its content, whatever its name. `None` for one not loaded.
    async fn holding(
        &self,
        system: &SystemId,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, StoreError>;

    /// Returns whether everything that is stored of a loaded archive is there, as it was written.
    /// `true` for a store that cannot verify it.
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

/// Removal of loaded archives.
#[async_trait]
pub trait Unload: Send + Sync {
    /// Removes archives of a system. Copies of their trips in other archives are stored instead;
    /// station lists stay. Archives that are not loaded are ignored. With `dry_run` nothing is
    /// changed.
    ///
    /// If the change stream is drained before and after, the store is then as if the archives had
    /// never been loaded, except for versions and times.
    async fn unload(
        &self,
        system: &SystemId,
        archives: &[ContentHash],
        dry_run: bool,
    ) -> Result<Unloaded, StoreError>;
}

/// Verification of a store, and its size.
#[async_trait]
pub trait Check: Send + Sync {
    /// Verifies the laws of docs/ARCHITECTURE.md on this store by reading all of it. A store that
    /// can report its progress calls `on_rows` with the number of rows read and the number of all.
    async fn check(
        &self,
        on_rows: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Checked, StoreError>;

    /// Returns the size of the store's files in bytes. `None` for a store without files.
    fn size_bytes(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }
}

/// Repair of what [`Check`] finds.
#[async_trait]
pub trait Repair: Send + Sync {
    /// Rebuilds what can be rebuilt from the trips, and lists the archives that have to be loaded
    /// again. With `dry_run` nothing is changed.
    async fn repair(&self, dry_run: bool, now: Timestamp) -> Result<Repaired, StoreError>;
}

/// The consumer of the change stream that keeps FromStationCounts.
pub const COUNTS_CONSUMER: &str = "refresh";

/// A store with every capability that loads, polls, refreshes and reports use.
pub trait Store:
    Trips
    + StationTable
    + PlaceCorrections
    + ChangeStream
    + Republish
    + TotalsReader
    + Departures
    + CountsTable
    + Ledger
    + Unload
{
}

impl<T> Store for T where
    T: Trips
        + StationTable
        + PlaceCorrections
        + ChangeStream
        + Republish
        + TotalsReader
        + Departures
        + CountsTable
        + Ledger
        + Unload
{
}

/// What a repair did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was rebuilt or removed, one sentence each.
    pub done: Vec<String>,
    /// Archives whose trips are missing or cannot be read.
    pub to_load_again: Vec<DamagedArchive>,
}

/// An archive that has to be loaded again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedArchive {
    /// The system.
    pub system: SystemId,
    /// The file name.
    pub name: String,
    /// It has to be unloaded before; otherwise loading it again replaces it.
    pub unload_first: bool,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What was looked at and holds, one sentence each.
    pub facts: Vec<String>,
    /// What does not hold, one sentence each. Empty for a sound store.
    pub faults: Vec<String>,
    /// What is worth printing and is no fault, one sentence each.
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
