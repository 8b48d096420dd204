//! Who may write: one process at a time, for as long as one archive or snapshot takes.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{cannot, folder};
use crate::store::{StoreError, StoreErrorKind};

/// How long to wait for another writer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The right to write. Ends when dropped, and when the process dies.
pub(super) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Waits for the lock of a store.
    ///
    /// # Errors
    ///
    /// `Busy` when another process keeps it for a minute.
    pub(super) fn wait(root: &Path) -> Result<Self, StoreError> {
        let start = Instant::now();
        loop {
            match Self::attempt(root)? {
                Some(lock) => return Ok(lock),
                None if start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                None => {
                    return Err(StoreError::new(
                        StoreErrorKind::Busy,
                        format!(
                            "another divvy has been writing to {} for a minute: try again when it \
                             is done",
                            root.display()
                        ),
                    ));
                }
            }
        }
    }

    /// Takes the lock if nobody has it.
    pub(super) fn attempt(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(folder::WRITER_LOCK);
        Ok(lock(&path)?.map(|file| Self { _file: file }))
    }
}

fn lock(path: &Path) -> Result<Option<File>, StoreError> {
    let file = File::create(path).map_err(|e| cannot("open", path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(cannot("lock", path, e)),
    }
}

/// A folder for files that nothing names yet. It goes when dropped; one whose process died is
/// swept by the next writer.
pub(super) struct Staging {
    pub(super) path: PathBuf,
    _owner: File,
}

const OWNER: &str = "owner.lock";

impl Staging {
    /// Makes a folder that no other has.
    pub(super) fn make(root: &Path) -> Result<Self, StoreError> {
        let all = root.join(folder::STAGING);
        let mut n = 0;
        loop {
            let path = all.join(format!("{}-{n}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => {
                    let file = path.join(OWNER);
                    // Between these lines a sweeper may take the empty folder away: then again.
                    match lock(&file) {
                        Ok(Some(owner)) => {
                            return Ok(Self {
                                path,
                                _owner: owner,
                            });
                        }
                        Ok(None) | Err(_) if n < 1000 => {}
                        Ok(None) => {
                            let cause = std::io::ErrorKind::AlreadyExists.into();
                            return Err(cannot("lock", &file, cause));
                        }
                        Err(e) => return Err(e),
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(cannot("make", &path, e)),
            }
            n += 1;
        }
    }

    /// Removes the folders of processes that died. Others, and all files, are left alone.
    pub(super) fn sweep(root: &Path) -> Result<(), StoreError> {
        let all = root.join(folder::STAGING);
        for entry in std::fs::read_dir(&all).map_err(|e| cannot("list", &all, e))? {
            let entry = entry.map_err(|e| cannot("list", &all, e))?;
            if !entry.file_name().to_str().is_some_and(is_staging) {
                continue;
            }
            let path = entry.path();
            // What cannot be removed is swept the next time.
            match File::open(path.join(OWNER)) {
                Ok(file) if file.try_lock().is_ok() => {
                    let _ = std::fs::remove_dir_all(&path);
                }
                Ok(_) => {}
                // Not locked yet, perhaps just being made: its maker takes another if this one
                // goes. A folder with something in it is not removed by this.
                Err(_) => {
                    let _ = std::fs::remove_dir(&path);
                }
            }
        }
        Ok(())
    }
}

/// Tells whether a folder in `staging` has a name as [`Staging::make`] gives: `PROCESS-N`.
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
