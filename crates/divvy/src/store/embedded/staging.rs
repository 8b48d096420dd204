//! Folders for files that the catalog does not name yet.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::io_error;
use super::folder;
use super::lock::lock;
use crate::store::StoreError;

/// The file in each staging folder that its process keeps locked.
const OWNER_LOCK: &str = "owner.lock";

/// A folder for files that the catalog does not name yet. Removed when dropped; the next writer
/// removes one whose process died.
pub(super) struct Staging {
    pub(super) path: PathBuf,
    _owner: File,
}

impl Staging {
    /// Creates a new folder in the store's staging folder.
    pub(super) fn create(root: &Path) -> Result<Self, StoreError> {
        /// Numbers are not reused: [`sweep`](Self::sweep) could remove a new folder in place of
        /// the old one with its name.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        const MAX_ATTEMPTS: usize = 1000;
        let all = root.join(folder::STAGING);
        let mut attempts = 0;
        loop {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = all.join(format!("{}-{next}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => {
                    let file = path.join(OWNER_LOCK);
                    match lock(&file) {
                        Ok(Some(owner)) if file.exists() => {
                            return Ok(Self {
                                path,
                                _owner: owner,
                            });
                        }
                        // Another process swept the folder before it was locked.
                        _ if attempts < MAX_ATTEMPTS => {}
                        Ok(_) => {
                            let cause = ErrorKind::AlreadyExists.into();
                            return Err(io_error("lock", &file, cause));
                        }
                        Err(e) => return Err(e),
                    }
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                // Also removed by a process that drops a store which it has not created.
                Err(e) if e.kind() == ErrorKind::NotFound && attempts < MAX_ATTEMPTS => {
                    folder::create_folder(&all)?;
                }
                Err(e) => return Err(io_error("make", &path, e)),
            }
            attempts += 1;
        }
    }

    /// Removes the folders of processes that died, and nothing else.
    pub(super) fn sweep(root: &Path) -> Result<(), StoreError> {
        let all = root.join(folder::STAGING);
        let entries = match std::fs::read_dir(&all) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(io_error("list", &all, e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| io_error("list", &all, e))?;
            if !entry.file_name().to_str().is_some_and(is_staging) {
                continue;
            }
            let path = entry.path();
            // A folder that cannot be removed is left to the next sweep.
            match File::open(path.join(OWNER_LOCK)) {
                Ok(file) if file.try_lock().is_ok() => {
                    let _ = std::fs::remove_dir_all(&path);
                }
                Ok(_) => {}
                // Perhaps being created and not locked yet: its process then creates another. Only
                // an empty folder is removed.
                Err(_) => {
                    let _ = std::fs::remove_dir(&path);
                }
            }
        }
        Ok(())
    }
}

/// Returns whether a folder has a name as [`Staging::create`] gives: `PROCESS-N`.
fn is_staging(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.split_once('-')
        .is_some_and(|(process, n)| is_number(process) && is_number(n))
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
