//! The locks of writers and readers: file locks, which the operating system releases when the
//! process dies.
//!
//! One process writes at a time, for the duration of one archive or snapshot. Readers never wait;
//! superseded files are not removed while a process reads.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::io_error;
use super::folder;
use crate::store::StoreError;

/// How long a writer waits before it reports for which process.
const REPORT_AFTER: Duration = Duration::from_secs(5);

/// Receives one sentence about what takes long: for which process a writer waits, or that an older
/// store is being upgraded.
pub type OnWait = dyn Fn(&str) + Send + Sync;

/// The exclusive right to write. Released when dropped.
pub(super) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Waits for the lock of a store without limit. After five seconds `on_wait` is called with a
    /// sentence that names the process which holds it.
    pub(super) fn wait(root: &Path, on_wait: &dyn Fn(&str)) -> Result<Self, StoreError> {
        let start = Instant::now();
        let mut has_reported = false;
        loop {
            if let Some(lock) = Self::attempt(root)? {
                return Ok(lock);
            }
            if !has_reported && start.elapsed() >= REPORT_AFTER {
                has_reported = true;
                on_wait(&waiting(root));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes the lock. `None` if another process holds it.
    pub(super) fn attempt(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(folder::WRITER_LOCK);
        let Some(mut file) = lock(&path)? else {
            return Ok(None);
        };
        // Read by processes that wait, for their message only.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Some(Self { _file: file }))
    }
}

/// Returns the sentence about the process that holds the writer lock.
fn waiting(root: &Path) -> String {
    let mut holder = String::new();
    let read = File::open(root.join(folder::WRITER_LOCK))
        .and_then(|file| file.take(20).read_to_string(&mut holder));
    let is_process = read.is_ok() && holder.parse::<u32>().is_ok();
    let holder = if is_process {
        format!("process {holder}")
    } else {
        "another process".into()
    };
    format!(
        "waiting for {holder}, which is writing to {}",
        root.display()
    )
}

/// Opens or creates a file and locks it. `None` if another process holds the lock.
pub(super) fn lock(path: &Path) -> Result<Option<File>, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|e| io_error("open", path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(io_error("lock", path, e)),
    }
}

/// Keeps superseded files from being removed. Released when dropped.
pub(super) struct ReadersLock {
    _file: File,
}

impl ReadersLock {
    /// Takes the lock, together with other readers. It has to be taken before the files are read
    /// from the catalog. `None` if the store has no lock file and cannot be written to.
    pub(super) fn share(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(folder::READERS_LOCK);
        // Opened for reading: the folder may not be writable.
        let Ok(file) = File::open(&path).or_else(|_| File::create(&path)) else {
            return Ok(None);
        };
        file.lock_shared().map_err(|e| io_error("lock", &path, e))?;
        Ok(Some(Self { _file: file }))
    }

    /// Takes the lock exclusively, to remove superseded files. `None` if another process reads.
    pub(super) fn exclude(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(folder::READERS_LOCK);
        Ok(lock(&path)?.map(|file| Self { _file: file }))
    }
}
