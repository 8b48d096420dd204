//! The store in a folder: no account, no network, nothing to install.
//!
//! ```text
//!  divvy-data/
//!    trips/<system>/<archive>/<member>.parquet        exactly the stored trips
//!    duplicates/<system>/<archive>/<member>.parquet   copies that lost to another
//!    index/trips/…, index/duplicates/…                sorted ids of each of these files
//!    catalog.db                                       all the rest (SQLite)
//!    staging/                                         what nothing names yet
//!    writer.lock
//!    divvy-store.txt                                  says that this folder is a store
//! ```
//!
//! A row of `catalog.db` is what makes a file exist; `docs/FORMATS.md` describes them all.

mod catalog;
mod check;
mod checksums;
mod commit;
mod delta;
mod dictionary;
mod duplicates;
mod each_group;
mod folder;
mod hashed_file;
mod incoming;
mod index;
mod lock;
mod packing;
mod pages;
mod read_only;
mod repair;
mod row_checksum;
mod row_set;
mod schema;
mod shared_file;
mod sorted_runs;
mod sweep;
mod trips_file;
mod upgrade;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use self::catalog::{Kind, Which};
use self::each_group::{SCAN_THREADS, each_group};
use self::folder::Standing;
use self::incoming::EmbeddedIncoming;
use self::lock::{ReadersLock, WriterLock};
use super::{
    Applied, ArchiveId, Change, ChangeStream, Check, Checked, ContentHash, CountsTable, Departures,
    FeedState, FromStationCount, Incoming, Ledger, LedgerEntry, Projection, Repair, Repaired,
    Republish, StationTable, StoreError, StoreErrorKind, TotalsReader, Trips, Unload, Unloaded,
};
use crate::model::{Snapshot, Station, StationId, System, SystemId, TripBatch};
use crate::stations::data::StationData;
use crate::tally::{Parts, Totals};

/// A store in a folder. Cheap to share: clone the `Arc` it stands in.
///
/// Its calls block: they read and write local files, so there is nothing to wait for elsewhere.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    /// The folder was there before the store.
    is_old_folder: bool,
    /// There was no store in it when this one was opened.
    was_free: bool,
    /// Folders may have been made for the store.
    has_written: AtomicBool,
    /// In memory, and empty, until the store is made.
    catalog: Mutex<Connection>,
    /// What reads a store that cannot be written to: the folder of a copy of its catalog, if it
    /// was copied. `None` for a store that can be written to.
    read_only: Option<Option<TempDir>>,
    on_wait: Box<OnWait>,
}

/// Takes a sentence that says what takes long: for which process a writer waits, or that an older
/// store is brought up to date.
pub type OnWait = dyn Fn(&str) + Send + Sync;

impl Shared {
    fn catalog(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        let mut catalog = self.catalog.lock().expect("no holder of this lock panics");
        // Another process may have made the store meanwhile.
        if is_in_memory(&catalog) {
            match folder::inspect(&self.root) {
                Ok(Standing::Store) => {
                    *catalog = catalog::open(&self.root.join(folder::CATALOG))?;
                }
                Err(error) if error.kind != StoreErrorKind::NotAStore => return Err(error),
                _ => {}
            }
        }
        Ok(catalog)
    }

    /// Makes the store where there is none yet. Every write begins so.
    fn make(&self) -> Result<(), StoreError> {
        self.expect_writable()?;
        if is_in_memory(&*self.catalog()?) {
            self.has_written.store(true, Ordering::Relaxed);
            let made = make(&self.root, &*self.on_wait)?;
            *self.catalog.lock().expect("no holder of this lock panics") = made;
        }
        Ok(())
    }

    fn expect_writable(&self) -> Result<(), StoreError> {
        if self.read_only.is_none() {
            return Ok(());
        }
        let message = format!("{} cannot be written to", self.root.display());
        Err(StoreError::new(StoreErrorKind::Unreachable, message))
    }

    /// Waits for the right to write.
    fn writer_lock(&self) -> Result<WriterLock, StoreError> {
        self.expect_writable()?;
        let lock = WriterLock::wait(&self.root, &*self.on_wait)?;
        let mut catalog = self.catalog()?;
        if catalog::is_stuck(&catalog) {
            // First closed, then opened: else SQLite uses again what the two share.
            *catalog = catalog::in_memory()?;
            *catalog = catalog::open(&self.root.join(folder::CATALOG))?;
        }
        Ok(lock)
    }

    /// Changes the catalog as the only writer, in one transaction.
    fn write<T>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.make()?;
        let _lock = self.writer_lock()?;
        let mut catalog = self.catalog()?;
        let transaction = catalog::begin(&mut catalog)?;
        let result = change(&transaction)?;
        transaction
            .commit()
            .map_err(catalog_failed("write the catalog"))?;
        Ok(result)
    }
}

impl Drop for Shared {
    /// Leaves nothing of a store that was never made. A folder with something in it stays.
    fn drop(&mut self) {
        let has_written = self.has_written.load(Ordering::Relaxed);
        if self.was_free && has_written && !self.root.join(folder::CATALOG).exists() {
            let _ = std::fs::remove_dir(self.root.join(folder::STAGING));
            if !self.is_old_folder {
                let _ = std::fs::remove_dir(&self.root);
            }
        }
    }
}

fn is_in_memory(catalog: &Connection) -> bool {
    catalog.path().is_none_or(str::is_empty)
}

/// Makes what there is not yet of a store's folder, and opens its catalog.
fn make(root: &Path, on_wait: &OnWait) -> Result<Connection, StoreError> {
    folder::make(root)?;
    let _lock = WriterLock::wait(root, on_wait)?;
    let path = root.join(folder::CATALOG);
    let catalog = catalog::open(&path)?;
    folder::make_names_durable(root, [path.as_path()])?;
    Ok(catalog)
}

impl EmbeddedStore {
    /// Opens the store in a folder. Where there is none it is empty, and made by the first write:
    /// what comes to nothing leaves nothing.
    ///
    /// # Errors
    ///
    /// `NotAStore` where the folder holds other things and no catalog of this program,
    /// `Unreachable` where it cannot be read or written, `Damaged` where its catalog is gone,
    /// damaged or of a newer program.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, Box::new(|_| ()))
    }

    /// Does what [`open`](Self::open) does, and calls `on_wait` where another process has been
    /// writing for five seconds and this one waits, and before a store of an older program is
    /// brought up to date, which reads all its trips.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(root: &Path, on_wait: Box<OnWait>) -> Result<Self, StoreError> {
        let standing = folder::inspect(root)?;
        if standing == Standing::Store && !folder::is_writable(root) {
            return Self::open_read_only(root);
        }
        let catalog = match standing {
            Standing::Store => {
                let mut catalog = catalog::open(&root.join(folder::CATALOG))?;
                if catalog::version(&catalog)? < catalog::VERSION {
                    let _lock = WriterLock::wait(root, &*on_wait)?;
                    folder::make(root)?;
                    upgrade::upgrade(root, &mut catalog, &*on_wait)?;
                }
                tidy(root, &mut catalog)?;
                catalog
            }
            Standing::Free => catalog::in_memory()?,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                root: root.into(),
                is_old_folder: root.exists(),
                was_free: standing == Standing::Free,
                has_written: AtomicBool::new(false),
                catalog: Mutex::new(catalog),
                read_only: None,
                on_wait,
            }),
        })
    }

    /// Opens a store to read it, and writes nothing to its folder: what [`open`](Self::open) does
    /// with a folder that cannot be written to. What is written to the store then fails.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); also `Damaged` for a store that would have to be brought up to
    /// date.
    pub fn open_read_only(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(folder::CATALOG);
        let opened = read_only::open(&path)?;
        let version = catalog::version(&opened.connection)?;
        catalog::expect_known(&path, version)?;
        if version < catalog::VERSION {
            let message = format!(
                "{} was made by an older divvy: it is brought up to date where it can be written to",
                root.display()
            );
            return Err(StoreError::new(StoreErrorKind::Damaged, message));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                root: root.into(),
                is_old_folder: true,
                was_free: false,
                has_written: AtomicBool::new(false),
                catalog: Mutex::new(opened.connection),
                read_only: Some(opened.copy),
                on_wait: Box::new(|_| ()),
            }),
        })
    }

    /// Opens the store in a folder. `None` where there is none: nothing is made.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_existing(root: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_existing_with(root, Box::new(|_| ()))
    }

    /// Does what [`open_existing`](Self::open_existing) does; `on_wait` as for
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
            Standing::Store => Self::open_with(root, on_wait).map(Some),
            Standing::Free => Ok(None),
        }
    }

    /// Returns how many bytes the files of the store take.
    ///
    /// # Errors
    ///
    /// `Unreachable` where a folder cannot be listed.
    pub fn size_bytes(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        if self.shared.root.exists() {
            folder::walk(&self.shared.root, &mut |path| {
                bytes += path.metadata().map_or(0, |metadata| metadata.len());
            })?;
        }
        Ok(bytes)
    }

    /// Returns the folder.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Changes stations of a system under the writer lock, in one transaction.
    fn write_stations<T>(
        &self,
        system: &System,
        taken_at: Option<Timestamp>,
        change: impl FnOnce(
            &Connection,
            &mut StationData,
        ) -> Result<(T, Vec<crate::stations::data::Write>), StoreError>,
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

    /// Reads row groups through all cores: all of them, or those that a projection may concern.
    /// Files are opened when their turn comes: there may be more of them than a process may open.
    fn read_groups(
        &self,
        system: &SystemId,
        projection: Option<&Projection>,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        if is_in_memory(&*self.shared.catalog()?) {
            return Ok(());
        }
        let _reading = ReadersLock::share(&self.shared.root)?;
        let mut files = catalog::files(&*self.shared.catalog()?, Some(system))?;
        files.retain(|file| file.kind == Kind::Trips);
        let paths: Vec<PathBuf> = (files.iter())
            .map(|file| self.shared.root.join(&file.path))
            .collect();
        each_group(
            &paths,
            SCAN_THREADS,
            &|of| projection.is_none_or(|projection| of.trips.may_hold(of.group, projection)),
            &|of| {
                let batch = match projection {
                    None => of.trips.read(of.group)?,
                    Some(projection) => of.trips.read_projection(of.group, projection)?,
                };
                Ok(visit(batch))
            },
        )
    }
}

#[async_trait]
impl Trips for EmbeddedStore {
    async fn begin(&self, _: &ArchiveId) -> Result<Box<dyn Incoming>, StoreError> {
        self.shared.expect_writable()?;
        self.shared.has_written.store(true, Ordering::Relaxed);
        Ok(Box::new(EmbeddedIncoming::new(self.shared.clone())?))
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
        self.write_stations(system, None, |_, stations| {
            let writes = stations.describe(listed);
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
            .map_err(catalog_failed("read the catalog"))?;
        let mut totals = catalog::totals(&catalog, system)?;
        if parts != Parts::NONE {
            totals.cube = catalog::cube(&catalog, system, catalog::ALL_ARCHIVES, parts)?;
        }
        Ok(totals)
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
        let archives = catalog::archives(&*self.shared.catalog()?, system, Which::All)?;
        Ok(archives.into_iter().map(|archive| archive.entry).collect())
    }

    async fn archives(&self, system: &SystemId) -> Result<Vec<String>, StoreError> {
        catalog::archive_names(&*self.shared.catalog()?, system)
    }

    async fn holding(
        &self,
        system: &SystemId,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        let which = Which::Content(content);
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

/// Removes what a killed process left, unless another process is writing: it will do so.
fn tidy(root: &Path, catalog: &mut Connection) -> Result<(), StoreError> {
    if !catalog::leftovers(catalog)?.is_empty()
        && let Some(_lock) = WriterLock::attempt(root)?
    {
        sweep::sweep(root, catalog)?;
    }
    Ok(())
}

/// Where the id index of a file lies.
fn index_path(root: &Path, relative: &str) -> PathBuf {
    root.join(folder::index_of(relative))
}

/// The disk said no.
fn cannot(doing: &str, path: &Path, cause: std::io::Error) -> StoreError {
    let doing = format!("cannot {doing} {}", path.display());
    StoreError::because(StoreErrorKind::Unreachable, doing, cause)
}

/// A file is not what this program wrote.
fn damaged(path: &Path, cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    let doing = format!("{} is damaged", path.display());
    StoreError::because(StoreErrorKind::Damaged, doing, cause)
}

/// SQLite said no.
fn catalog_failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |cause| {
        use rusqlite::ErrorCode;
        let kind = match cause.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Damaged,
            _ => StoreErrorKind::Unreachable,
        };
        StoreError::because(kind, format!("cannot {doing}"), cause)
    }
}

/// A value of the catalog is not what this program wrote.
fn corrupt(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::because(StoreErrorKind::Damaged, "the catalog is damaged", cause)
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    fn divvy() -> System {
        System::named("divvy").unwrap()
    }

    /// Goes in by halves: reads, opens the way in for an archive, and writes a batch.
    fn come_to_nothing(root: &Path) {
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
    fn what_comes_to_nothing_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("divvy-data");
        come_to_nothing(&root);
        assert!(!root.exists());

        let is_empty = |folder: &Path| std::fs::read_dir(folder).unwrap().next().is_none();
        assert!(is_empty(folder.path()));
        come_to_nothing(folder.path());
        assert!(is_empty(folder.path()), "the folder was there before");
    }

    /// Makes a store with a station, and a file in it as a load would leave one when killed.
    fn with_a_left_file(root: &Path) -> PathBuf {
        let store = EmbeddedStore::open(root).unwrap();
        block_on(store.describe(&divvy(), &[Station::unknown("35".into())])).unwrap();
        let left = root.join("trips/divvy/a-0a1b2c3d/a.parquet");
        std::fs::create_dir_all(left.parent().unwrap()).unwrap();
        std::fs::write(&left, "half a file").unwrap();
        let path = "trips/divvy/a-0a1b2c3d/a.parquet";
        catalog::put_leftover(&store.shared.catalog().unwrap(), path).unwrap();
        left
    }

    fn commit_nothing(root: &Path) {
        let store = EmbeddedStore::open(root).unwrap();
        let archive = ArchiveId {
            system: divvy(),
            name: "trips.zip".into(),
            content: ContentHash(1),
        };
        let incoming = block_on(store.begin(&archive)).unwrap();
        let read = crate::store::ArchiveRead {
            id: archive,
            members: Vec::new(),
            rows_read: 0,
            rejected: Default::default(),
            totals: Totals::default(),
            loaded_at: Timestamp::UNIX_EPOCH,
            replace: false,
        };
        block_on(incoming.commit(read, &())).unwrap();
    }

    #[test]
    fn no_file_of_others_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let left = with_a_left_file(root);
        let foreign = [
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
        for path in &foreign {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "mine").unwrap();
        }
        commit_nothing(root);
        let store = EmbeddedStore::open(root).unwrap();
        let checked = store.check(&|_, _| ()).unwrap();
        for path in &foreign {
            assert_eq!(std::fs::read(path).unwrap(), b"mine", "{}", path.display());
        }
        assert!(!left.exists());
        assert_eq!(checked.faults, [""; 0]);
        assert_eq!(checked.notes.len(), 3, "{:?}", checked.notes);
    }

    #[test]
    fn a_folder_with_other_things_is_no_store() {
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
    fn a_creation_that_was_interrupted_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join(folder::MARKER), "").unwrap();
        std::fs::create_dir(root.join("trips")).unwrap();
        std::fs::write(root.join("catalog.db"), "").unwrap();
        assert!(EmbeddedStore::open_existing(root).unwrap().is_none());
        commit_nothing(root);
        assert!(EmbeddedStore::open_existing(root).unwrap().is_some());
    }

    #[test]
    fn a_store_whose_catalog_is_gone_is_not_taken_for_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let trips = with_a_left_file(root);
        std::fs::remove_file(root.join("catalog.db")).unwrap();
        let error = EmbeddedStore::open(root).err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::Damaged);
        std::fs::write(root.join("catalog.db"), "overwritten").unwrap();
        let error = EmbeddedStore::open(root).err().unwrap();
        assert_eq!(error.kind, StoreErrorKind::Damaged, "{error}");
        assert!(trips.exists());
    }

    #[test]
    fn two_that_make_one_store_share_it() {
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
