//! The store in a folder: no account, no network, no server.
//!
//! ```text
//!  divvy-data/
//!    trips/<system>/<archive>/<member>.parquet        exactly the stored trips
//!    duplicates/<system>/<archive>/<member>.parquet   copies of trips that are stored elsewhere
//!    history/<system>/<date>-<first>-<last>.parquet   changes of what stations report
//!    forecasts/<system>.models, <system>.log          what outlooks are made with; earlier forecasts
//!    index/trips/…, index/duplicates/…                sorted ids of each of these files
//!    catalog.db                                       everything else (SQLite)
//!    staging/                                         files that the catalog does not name yet
//!    writer.lock, readers.lock
//!    divvy-store.txt                                  the marker file
//! ```
//!
//! A file of trips, duplicates or history exists for the store only if a row of `catalog.db` names it;
//! `docs/FORMATS.md` describes the files.

mod catalog;
mod check;
mod commit;
#[cfg(test)]
mod damage_tests;
mod duplicates;
mod error;
mod folder;
mod forecasts_file;
mod hashed_file;
mod history;
mod history_repair;
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
mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trips_file;
mod upgrade;
mod verify;

use std::path::Path;
use std::sync::Arc;

use self::folder::FolderContent;
pub use self::lock::OnWait;
use self::lock::{ReadersLock, WriterLock};
use self::shared::{Access, Catalog, Shared};
use self::sweep::sweep_unless_locked;
use super::{Checked, Repaired, StoreError, StoreErrorKind};

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
}
