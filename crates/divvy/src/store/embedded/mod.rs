//! The store in a folder: no account, no network, no server.
//!
//! ```text
//!  divvy-data/
//!    trips/<system>/<archive>/<member>.parquet        exactly the stored trips
//!    duplicates/<system>/<archive>/<member>.parquet   copies of trips that are stored elsewhere
//!    index/trips/…, index/duplicates/…                sorted ids of each of these files
//!    catalog.db                                       everything else (SQLite)
//!    staging/                                         files that the catalog does not name yet
//!    writer.lock, readers.lock
//!    divvy-store.txt                                  the marker file
//! ```
//!
//! A file exists for the store only if a row of `catalog.db` names it; `docs/FORMATS.md` describes
//! the files.

mod catalog;
mod check;
mod commit;
#[cfg(test)]
mod damage_tests;
mod duplicates;
mod error;
mod folder;
mod hashed_file;
mod incoming;
mod index;
mod index_rebuild;
mod lock;
mod places_file;
mod repair;
mod rewrite;
mod row_set;
mod shared;
mod shared_file;
mod sorted_runs;
mod staging;
mod sweep;
#[cfg(test)]
mod testing;
mod trips_file;
mod upgrade;
mod verify;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;

use self::catalog::{ArchiveFilter, FileKind};
use self::error::{corrupt_catalog, sqlite_error};
use self::folder::FolderContent;
use self::incoming::EmbeddedIncoming;
pub use self::lock::OnWait;
use self::lock::{ReadersLock, WriterLock};
use self::shared::{Access, Catalog, Shared};
use self::sweep::sweep_unless_locked;
use self::trips_file::{SCAN_THREADS, for_each_row_group};
use super::{
    Applied, ArchiveId, Change, ChangeStream, Check, Checked, ContentHash, Corrections,
    CorrectionsChange, CountsTable, Departures, FeedState, FromStationCount, Incoming, Ledger,
    LedgerEntry, LoadedArchive, PlaceCorrections, Projection, Repair, Repaired, Republish,
    StationTable, StoreError, StoreErrorKind, TotalsReader, Trips, Unload, Unloaded,
};
use crate::model::{Snapshot, Station, StationId, System, SystemId, TripBatch};
use crate::stations::data::{StationData, Write};
use crate::tally::{Parts, Totals};

/// A store in a folder.
///
/// Its calls block: they read and write local files.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
}

impl EmbeddedStore {
    /// Opens the store in a folder. If there is none, the store is empty, and the first write creates
    /// it.
    ///
    /// # Errors
    ///
    /// `NotAStore` if the folder holds other files and no catalog of this program, `Unreachable` if
    /// it cannot be read or written, `Damaged` if its catalog is missing, damaged or of a newer
    /// program.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, Box::new(|_| ()))
    }

    /// Opens a store as [`open`](Self::open) does. `on_wait` is called if another process has been
    /// writing for five seconds while this one waits, and before a store of an older program is
    /// upgraded, which reads all its trips.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(root: &Path, on_wait: Box<OnWait>) -> Result<Self, StoreError> {
        let content = folder::inspect(root)?;
        if content == FolderContent::Store && !folder::is_writable(root) {
            return Self::open_read_only(root);
        }
        let catalog = match content {
            FolderContent::Store => {
                let mut catalog = catalog::open(&root.join(folder::CATALOG))?;
                if catalog::version(&catalog)? < catalog::VERSION {
                    let _lock = WriterLock::wait(root, &*on_wait)?;
                    folder::create(root)?;
                    upgrade::upgrade(root, &mut catalog, &*on_wait)?;
                }
                sweep_unless_locked(root, &mut catalog)?;
                Catalog::of_store(catalog)
            }
            FolderContent::Vacant => Catalog::absent()?,
        };
        let shared = Shared::new(root.into(), content, catalog, Access::ReadWrite, on_wait);
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Opens a store for reading, without writing to its folder, as [`open`](Self::open) does with a
    /// folder that cannot be written to. Writes to the store fail.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); also `Damaged` for a store that would have to be upgraded.
    pub fn open_read_only(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(folder::CATALOG);
        // Taken before the catalog is read, which is not read again: its files must stay.
        let reading = ReadersLock::share(root)?;
        let opened = catalog::open_read_only(&path)?;
        let version = catalog::version(&opened.connection)?;
        catalog::reject_newer(&path, version)?;
        if version < catalog::VERSION {
            let message = format!(
                "{} was made by an older divvy: it is brought up to date where it can be written to",
                root.display()
            );
            return Err(StoreError::new(StoreErrorKind::Damaged, message));
        }
        let access = Access::ReadOnly {
            _copy: opened.copy,
            _reading: reading,
        };
        let on_wait = Box::new(|_: &str| ());
        let store = FolderContent::Store;
        let shared = Shared::new(
            root.into(),
            store,
            Catalog::of_store(opened.connection),
            access,
            on_wait,
        );
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Opens the store in a folder. `None` if there is none: nothing is created.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_existing(root: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_existing_with(root, Box::new(|_| ()))
    }

    /// Opens a store as [`open_existing`](Self::open_existing) does, with `on_wait` as for
    /// [`open_with`](Self::open_with).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_existing_with(
        root: &Path,
        on_wait: Box<OnWait>,
    ) -> Result<Option<Self>, StoreError> {
        match folder::inspect(root)? {
            FolderContent::Store => Self::open_with(root, on_wait).map(Some),
            FolderContent::Vacant => Ok(None),
        }
    }

    /// Checks the laws on this store. Removes what a killed process left, unless another process is
    /// writing; changes nothing else. `on_rows` is called with the rows read so far, and the rows in
    /// all.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be opened. Whatever else is wrong is a fault, not an error.
    pub fn check(&self, on_rows: &dyn Fn(u64, u64)) -> Result<Checked, StoreError> {
        check::check(&self.shared, on_rows)
    }

    /// Repairs what [`check`](Self::check) finds, as far as the trips allow: removes files that the
    /// catalog does not name, rebuilds id indexes, tallies and departures, makes duplicates of trips
    /// that are stored twice, and has every count made again by the next
    /// [`drain`](crate::refresh::drain). With `dry_run` nothing is changed.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read even without its damaged rows: nothing is changed then. If
    /// trips that are stored twice cannot be moved, the rest is repaired.
    pub fn repair(&self, dry_run: bool) -> Result<Repaired, StoreError> {
        repair::repair(&self.shared, dry_run)
    }

    /// Returns the size of the store's files in bytes.
    ///
    /// # Errors
    ///
    /// `Unreachable` if a folder cannot be listed.
    pub fn size_bytes(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        if self.shared.root.exists() {
            folder::walk(&self.shared.root, &mut |path| {
                bytes += path.metadata().map_or(0, |metadata| metadata.len());
            })?;
        }
        Ok(bytes)
    }

    /// Returns whether a folder is a store.
    pub fn is_store(root: &Path) -> bool {
        root.join(folder::MARKER).is_file()
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Changes stations of a system in one transaction, under the writer lock. `taken_at` is the time
    /// of the snapshot that changes them, if one does.
    fn write_stations<T>(
        &self,
        system: &System,
        taken_at: Option<Timestamp>,
        change: impl FnOnce(&Connection, &mut StationData) -> Result<(T, Vec<Write>), StoreError>,
    ) -> Result<T, StoreError> {
        self.shared.write(|catalog| {
            let mut stations = catalog::station_data(catalog, &system.id)?;
            let (result, writes) = change(catalog, &mut stations)?;
            catalog::put_system(catalog, system)?;
            catalog::write_stations(catalog, &system.id, &writes, taken_at)?;
            if let Some(feed) = stations.feed() {
                catalog::put_feed(catalog, &system.id, feed)?;
            }
            catalog::prune_changes(catalog)?;
            Ok(result)
        })
    }

    /// Reads row groups on all cores: all of them, or those that may hold trips of a projection.
    fn read_groups(
        &self,
        system: &SystemId,
        projection: Option<&Projection>,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        if self.shared.is_absent()? {
            return Ok(());
        }
        let _reading = ReadersLock::share(&self.shared.root)?;
        let catalog = self.shared.catalog()?;
        catalog::expect_all_files(&catalog, system, &BTreeSet::new())?;
        let mut files = catalog::files(&catalog, Some(system))?;
        drop(catalog);
        files.retain(|file| file.kind == FileKind::Trips);
        let paths: Vec<PathBuf> = (files.iter())
            .map(|file| self.shared.root.join(&file.path))
            .collect();
        for_each_row_group(
            &paths,
            SCAN_THREADS,
            &|group| projection.is_none_or(|some| group.trips.may_hold(group.group, some)),
            &|group| {
                let batch = match projection {
                    None => group.trips.read(group.group)?,
                    Some(some) => group.trips.read_projection(group.group, some)?,
                };
                Ok(visit(batch))
            },
        )
    }
}

#[async_trait]
impl Trips for EmbeddedStore {
    async fn begin(&self, archive: &ArchiveId) -> Result<Box<dyn Incoming>, StoreError> {
        self.shared.prepare_folder()?;
        Ok(Box::new(EmbeddedIncoming::new(
            self.shared.clone(),
            archive.system.id.clone(),
        )?))
    }

    async fn scan(
        &self,
        system: &SystemId,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        self.read_groups(system, None, visit)
    }

    async fn scan_projection(
        &self,
        system: &SystemId,
        projection: &Projection,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        self.read_groups(system, Some(projection), visit)
    }
}

#[async_trait]
impl StationTable for EmbeddedStore {
    async fn stations(&self, system: &SystemId) -> Result<Vec<Station>, StoreError> {
        let stations = catalog::station_data(&*self.shared.catalog()?, system)?;
        Ok(stations.stations().cloned().collect())
    }

    async fn apply(
        &self,
        snapshot: &Snapshot,
        _fetched_at: Timestamp,
    ) -> Result<Applied, StoreError> {
        let system = &snapshot.system;
        self.write_stations(system, Some(snapshot.taken_at), |catalog, stations| {
            stations.apply(snapshot, || catalog::totals(catalog, &system.id))
        })
    }

    async fn feed(&self, system: &SystemId) -> Result<Option<FeedState>, StoreError> {
        catalog::feed(&*self.shared.catalog()?, system)
    }

    async fn describe(&self, system: &System, listed: &[Station]) -> Result<u64, StoreError> {
        self.write_stations(system, None, |catalog, stations| {
            let writes = stations.describe(listed, || catalog::totals(catalog, &system.id))?;
            Ok((writes.len() as u64, writes))
        })
    }
}

#[async_trait]
impl Republish for EmbeddedStore {
    async fn republish_all(&self, system: &SystemId) -> Result<u64, StoreError> {
        let known = catalog::systems(&*self.shared.catalog()?)?;
        let Some(system) = known.into_iter().find(|known| known.id == *system) else {
            return Ok(0);
        };
        self.write_stations(&system, None, |catalog, stations| {
            let version = catalog::next_version(catalog, &system.id, stations)?;
            let writes = stations.republish_all(version);
            Ok((writes.len() as u64, writes))
        })
    }
}

#[async_trait]
impl ChangeStream for EmbeddedStore {
    async fn changes(&self, consumer: &str, limit: usize) -> Result<Vec<Change>, StoreError> {
        catalog::changes(&*self.shared.catalog()?, consumer, limit)
    }

    async fn acknowledge(&self, consumer: &str, sequence: u64) -> Result<(), StoreError> {
        self.shared
            .write(|catalog| catalog::acknowledge(catalog, consumer, sequence))
    }
}

#[async_trait]
impl TotalsReader for EmbeddedStore {
    async fn totals(&self, system: &SystemId) -> Result<Totals, StoreError> {
        self.totals_with(system, Parts::ALL).await
    }

    async fn totals_with(&self, system: &SystemId, parts: Parts) -> Result<Totals, StoreError> {
        let mut catalog = self.shared.catalog()?;
        // One transaction, so that both are of the same archives.
        let catalog = catalog
            .transaction()
            .map_err(sqlite_error("read the catalog"))?;
        let mut totals = catalog::totals(&catalog, system)?;
        if parts != Parts::NONE {
            totals.cube = catalog::cube(&catalog, system, catalog::ALL_ARCHIVES, parts)?;
            // A damaged page of the catalog can hide rows. Each trip has an hour.
            if parts.day_hours && totals.trips > 0 && totals.cube.day_hours.is_empty() {
                let lost = std::io::Error::other("a part of the cube is not there");
                return Err(corrupt_catalog(lost));
            }
        }
        Ok(totals)
    }
}

#[async_trait]
impl PlaceCorrections for EmbeddedStore {
    async fn corrections(&self, system: &SystemId) -> Result<Corrections, StoreError> {
        let mut by_system = places_file::read(&self.shared.root)?;
        Ok(by_system.remove(system).unwrap_or_default())
    }

    async fn change_corrections(
        &self,
        system: &SystemId,
        change: &CorrectionsChange<'_>,
    ) -> Result<(), StoreError> {
        self.shared.write(|_| {
            let mut by_system = places_file::read(&self.shared.root)?;
            change(by_system.entry(system.clone()).or_default());
            by_system.retain(|_, corrections| !corrections.is_empty());
            places_file::write(&self.shared.root, &by_system)
        })
    }
}

#[async_trait]
impl Departures for EmbeddedStore {
    async fn departures(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<u64>, StoreError> {
        let catalog = self.shared.catalog()?;
        origins
            .iter()
            .map(|origin| catalog::departures(&catalog, system, origin))
            .collect()
    }
}

#[async_trait]
impl CountsTable for EmbeddedStore {
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError> {
        catalog::counts(&*self.shared.catalog()?, system)
    }

    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError> {
        let catalog = self.shared.catalog()?;
        origins
            .iter()
            .map(|origin| catalog::count(&catalog, system, origin))
            .collect()
    }

    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError> {
        self.shared.write(|catalog| {
            let mut counts = counts.iter();
            counts.try_for_each(|count| catalog::put_count(catalog, system, count))
        })
    }
}

#[async_trait]
impl Ledger for EmbeddedStore {
    async fn systems(&self) -> Result<Vec<System>, StoreError> {
        catalog::systems(&*self.shared.catalog()?)
    }

    async fn entries(&self, system: &SystemId) -> Result<Vec<LedgerEntry>, StoreError> {
        let archives = catalog::archives(&*self.shared.catalog()?, system, ArchiveFilter::All)?;
        Ok(archives.into_iter().map(|archive| archive.entry).collect())
    }

    async fn archives(&self, system: &SystemId) -> Result<Vec<LoadedArchive>, StoreError> {
        catalog::loaded_archives(&*self.shared.catalog()?, system)
    }

    async fn holding(
        &self,
        system: &SystemId,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        let which = ArchiveFilter::Content(content);
        let held = catalog::archives(&*self.shared.catalog()?, system, which)?.pop();
        Ok(held.map(|archive| archive.entry))
    }

    async fn is_intact(&self, entry: &LedgerEntry) -> Result<bool, StoreError> {
        let _reading = ReadersLock::share(&self.shared.root)?;
        commit::is_intact(&self.shared, &*self.shared.catalog()?, entry.sequence)
    }
}

#[async_trait]
impl Unload for EmbeddedStore {
    async fn unload(
        &self,
        system: &SystemId,
        archives: &[ContentHash],
        dry_run: bool,
    ) -> Result<Unloaded, StoreError> {
        let known = catalog::systems(&*self.shared.catalog()?)?;
        match known.into_iter().find(|known| known.id == *system) {
            Some(system) => commit::unload(&self.shared, &system, archives, dry_run),
            None => Ok(Unloaded::default()),
        }
    }
}

#[async_trait]
impl Check for EmbeddedStore {
    async fn check(
        &self,
        on_rows: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Checked, StoreError> {
        EmbeddedStore::check(self, on_rows)
    }

    fn size_bytes(&self) -> Result<Option<u64>, StoreError> {
        EmbeddedStore::size_bytes(self).map(Some)
    }
}

#[async_trait]
impl Repair for EmbeddedStore {
    async fn repair(&self, dry_run: bool, _now: Timestamp) -> Result<Repaired, StoreError> {
        EmbeddedStore::repair(self, dry_run)
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::testing::{divvy, load};
    use super::*;

    /// Reads from a new store, and begins an archive without committing it.
    fn begin_without_commit(root: &Path) {
        let store = EmbeddedStore::open(root).unwrap();
        assert_eq!(block_on(store.systems()).unwrap(), []);
        assert_eq!(block_on(store.changes("refresh", 10)).unwrap(), []);
        let archive = ArchiveId {
            system: divvy(),
            name: "trips.zip".into(),
            content: ContentHash(1),
        };
        let incoming = block_on(store.begin(&archive)).unwrap();
        incoming.write(0, TripBatch::default()).unwrap();
        assert!(root.exists());
    }

    #[test]
    fn a_store_without_a_commit_leaves_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("divvy-data");
        begin_without_commit(&root);
        assert!(!root.exists());

        let is_empty = |folder: &Path| std::fs::read_dir(folder).unwrap().next().is_none();
        assert!(is_empty(folder.path()));
        begin_without_commit(folder.path());
        assert!(is_empty(folder.path()), "the folder was there before");
    }

    /// Creates a store with a station, and a file in it that a killed load left.
    fn with_a_leftover(root: &Path) -> PathBuf {
        let store = EmbeddedStore::open(root).unwrap();
        block_on(store.describe(&divvy(), &[Station::unknown("35".into())])).unwrap();
        let left = root.join("trips/divvy/a-0a1b2c3d/a.parquet");
        std::fs::create_dir_all(left.parent().unwrap()).unwrap();
        std::fs::write(&left, "half a file").unwrap();
        let path = "trips/divvy/a-0a1b2c3d/a.parquet";
        catalog::put_leftover(&store.shared.catalog().unwrap(), path).unwrap();
        left
    }

    fn commit_empty_archive(root: &Path) {
        load(&EmbeddedStore::open(root).unwrap(), "trips.zip", &[], false);
    }

    #[test]
    fn files_of_other_programs_are_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let left = with_a_leftover(root);
        let others = [
            "trips/202004-divvy-tripdata.zip",
            "trips/2020/04/mine.parquet",
            "trips/divvy/a-0a1b2c3d/notes.txt",
            "duplicates/mine.csv",
            "index/mine.csv",
            "staging/mine.zip",
            "staging/17-mine/mine.zip",
            "staging/17-4/mine.zip",
        ]
        .map(|name| root.join(name));
        for path in &others {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "mine").unwrap();
        }
        commit_empty_archive(root);
        let store = EmbeddedStore::open(root).unwrap();
        let checked = store.check(&|_, _| ()).unwrap();
        for path in &others {
            assert_eq!(std::fs::read(path).unwrap(), b"mine", "{}", path.display());
        }
        assert!(!left.exists());
        assert_eq!(checked.faults, [""; 0]);
        assert_eq!(checked.notes.len(), 3, "{:?}", checked.notes);
    }

    #[test]
    fn a_folder_with_other_files_is_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("trips")).unwrap();
        std::fs::write(root.join("trips/a.zip"), "mine").unwrap();
        std::fs::write(root.join("letter.txt"), "mine").unwrap();
        let kind = |root: &Path| EmbeddedStore::open(root).err().map(|error| error.kind);
        assert_eq!(kind(root), Some(StoreErrorKind::NotAStore));
        assert_eq!(
            kind(&root.join("letter.txt")),
            Some(StoreErrorKind::NotAStore)
        );
        std::fs::write(root.join("catalog.db"), "").unwrap();
        assert_eq!(kind(root), Some(StoreErrorKind::NotAStore));
        std::fs::write(root.join("catalog.db"), "another program's").unwrap();
        assert_eq!(kind(root), Some(StoreErrorKind::NotAStore));
        std::fs::remove_file(root.join("catalog.db")).unwrap();
        let others = Connection::open(root.join("catalog.db")).unwrap();
        others.execute_batch("CREATE TABLE pictures (id)").unwrap();
        assert_eq!(kind(root), Some(StoreErrorKind::NotAStore));
    }

    #[test]
    fn an_interrupted_creation_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join(folder::MARKER), "").unwrap();
        std::fs::create_dir(root.join("trips")).unwrap();
        std::fs::write(root.join("catalog.db"), "").unwrap();
        assert!(EmbeddedStore::open_existing(root).unwrap().is_none());
        commit_empty_archive(root);
        assert!(EmbeddedStore::open_existing(root).unwrap().is_some());
    }

    #[test]
    fn a_store_without_its_catalog_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let trips = with_a_leftover(root);
        std::fs::remove_file(root.join("catalog.db")).unwrap();
        let error = EmbeddedStore::open(root).err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::Damaged);
        std::fs::write(root.join("catalog.db"), "overwritten").unwrap();
        let error = EmbeddedStore::open(root).err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::Damaged, "{error}");
        assert!(trips.exists());
    }

    #[test]
    fn two_handles_that_create_a_store_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("divvy-data");
        let (one, other) = (
            EmbeddedStore::open(&root).unwrap(),
            EmbeddedStore::open(&root).unwrap(),
        );
        let listed = |id: &str| [Station::unknown(id.into())];
        block_on(one.describe(&divvy(), &listed("35"))).unwrap();
        block_on(other.describe(&divvy(), &listed("76"))).unwrap();
        drop(one);
        let stations = block_on(other.stations(&divvy().id)).unwrap();
        assert_eq!(stations.len(), 2);
    }
}
