//! What all handles of an open store share: its folder, its catalog and its locks.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use rusqlite::Connection;
use tempfile::TempDir;

use super::folder::FolderContent;
use super::lock::{OnWait, ReadersLock, WriterLock};
use super::{catalog, folder};
use crate::store::{StoreError, StoreErrorKind};

/// How a store was opened.
pub(super) enum Access {
    ReadWrite,
    /// Reads only, from a copy of the catalog if it had to be copied.
    ReadOnly {
        _copy: Option<TempDir>,
        /// Keeps the files that the catalog names.
        _reading: Option<ReadersLock>,
    },
}

/// The catalog of a store.
pub(super) struct Catalog {
    connection: Connection,
    /// The store has not been created yet: the catalog is an empty one in memory.
    is_absent: bool,
}

impl Catalog {
    /// Makes a catalog of a database in the store's folder.
    pub(super) fn of_store(connection: Connection) -> Self {
        Self {
            connection,
            is_absent: false,
        }
    }

    /// Makes the empty catalog of a store that does not exist yet.
    pub(super) fn absent() -> Result<Self, StoreError> {
        Ok(Self {
            connection: catalog::in_memory()?,
            is_absent: true,
        })
    }
}

impl Deref for Catalog {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Catalog {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// An open store.
pub(super) struct Shared {
    pub(super) root: PathBuf,
    /// Whether the folder existed when the store was opened.
    folder_existed: bool,
    /// Whether the folder held a store when it was opened.
    store_existed: bool,
    /// Whether this process may have created folders for the store.
    may_have_created: AtomicBool,
    catalog: Mutex<Catalog>,
    access: Access,
    /// Commits need not be on the disk when they return.
    sync_is_deferred: AtomicBool,
    on_wait: Box<OnWait>,
}

impl Shared {
    pub(super) fn new(
        root: PathBuf,
        content: FolderContent,
        catalog: Catalog,
        access: Access,
        on_wait: Box<OnWait>,
    ) -> Self {
        Self {
            folder_existed: root.exists(),
            root,
            store_existed: content == FolderContent::Store,
            may_have_created: AtomicBool::new(false),
            catalog: Mutex::new(catalog),
            access,
            sync_is_deferred: AtomicBool::new(false),
            on_wait,
        }
    }

    /// Locks the catalog for this thread.
    pub(super) fn catalog(&self) -> Result<MutexGuard<'_, Catalog>, StoreError> {
        let mut catalog = self.catalog.lock().expect("no holder of this lock panics");
        // Another process may have created the store meanwhile.
        if catalog.is_absent {
            match folder::inspect(&self.root) {
                Ok(FolderContent::Store) => {
                    let opened = catalog::open(&self.root.join(folder::CATALOG))?;
                    *catalog = Catalog::of_store(opened);
                }
                Err(error) if error.kind != StoreErrorKind::NotAStore => return Err(error),
                _ => {}
            }
        }
        Ok(catalog)
    }

    /// Returns whether the store has not been created yet.
    pub(super) fn is_absent(&self) -> Result<bool, StoreError> {
        Ok(self.catalog()?.is_absent)
    }

    /// Returns whether the store was opened for reading only.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self.access, Access::ReadOnly { .. })
    }

    /// Prepares a write that needs the folder but not yet a catalog.
    pub(super) fn prepare_folder(&self) -> Result<(), StoreError> {
        self.expect_writable()?;
        self.may_have_created.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Creates the store if there is none yet.
    pub(super) fn create(&self) -> Result<(), StoreError> {
        self.expect_writable()?;
        if self.is_absent()? {
            self.may_have_created.store(true, Ordering::Relaxed);
            let created = self.create_catalog()?;
            let mut catalog = self.catalog.lock().expect("no holder of this lock panics");
            *catalog = Catalog::of_store(created);
        }
        Ok(())
    }

    fn create_catalog(&self) -> Result<Connection, StoreError> {
        folder::create(&self.root)?;
        let _lock = WriterLock::wait(&self.root, &*self.on_wait)?;
        let path = self.root.join(folder::CATALOG);
        let catalog = catalog::open(&path)?;
        folder::sync_names(&self.root, [path.as_path()])?;
        Ok(catalog)
    }

    fn expect_writable(&self) -> Result<(), StoreError> {
        if !self.is_read_only() {
            return Ok(());
        }
        let message = format!("{} cannot be written to", self.root.display());
        Err(StoreError::new(StoreErrorKind::Unreachable, message))
    }

    /// Waits for the writer lock.
    pub(super) fn writer_lock(&self) -> Result<WriterLock, StoreError> {
        self.expect_writable()?;
        let lock = WriterLock::wait(&self.root, &*self.on_wait)?;
        let mut catalog = self.catalog()?;
        if catalog::refuses_writes(&catalog) {
            // Closed before it is opened again: SQLite would reuse what two connections share.
            *catalog = Catalog::absent()?;
            let opened = catalog::open(&self.root.join(folder::CATALOG))?;
            *catalog = Catalog::of_store(opened);
        }
        Ok(lock)
    }

    /// Changes the catalog in one transaction, under the writer lock. Creates the store if there is
    /// none yet.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.create()?;
        let _lock = self.writer_lock()?;
        let mut catalog = self.catalog()?;
        catalog::defer_sync(&catalog, self.sync_is_deferred.load(Ordering::Relaxed))?;
        catalog::in_transaction(&mut catalog, change)
    }

    /// See [`StationTable::defer_sync`](crate::store::StationTable::defer_sync).
    pub(super) fn defer_sync(&self, is_deferred: bool) -> Result<(), StoreError> {
        let was_deferred = self.sync_is_deferred.swap(is_deferred, Ordering::Relaxed);
        if was_deferred && !is_deferred && !self.is_absent()? {
            let catalog = self.catalog()?;
            catalog::defer_sync(&catalog, false)?;
            catalog::sync(&catalog)?;
        }
        Ok(())
    }
}

impl Drop for Shared {
    /// Removes the empty folders of a store that was never created.
    fn drop(&mut self) {
        let may_have_created = self.may_have_created.load(Ordering::Relaxed);
        if !self.store_existed && may_have_created && !self.root.join(folder::CATALOG).exists() {
            let _ = std::fs::remove_dir(self.root.join(folder::STAGING));
            if !self.folder_existed {
                let _ = std::fs::remove_dir(&self.root);
            }
        }
    }
}
