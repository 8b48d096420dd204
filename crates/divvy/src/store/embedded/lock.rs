//! Who may write, and who reads: locks of files, which end when the process dies.
//!
//! One process writes at a time, for as long as one archive or snapshot takes. Readers are never
//! held up; while one reads, superseded files stay.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{cannot, folder};
use crate::store::StoreError;

/// After how long a writer that waits says for whom.
const QUIET: Duration = Duration::from_secs(5);

/// The right to write. Ends when dropped.
pub(super) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Waits for the lock of a store, as long as it takes. After five seconds `on_wait` gets a
    /// sentence that names the process that writes.
    pub(super) fn wait(root: &Path, on_wait: &dyn Fn(&str)) -> Result<Self, StoreError> {
        let start = Instant::now();
        let mut is_silent = true;
        loop {
            if let Some(lock) = Self::attempt(root)? {
                return Ok(lock);
            }
            if is_silent && start.elapsed() >= QUIET {
                is_silent = false;
                on_wait(&waiting(root));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes the lock, unless another process has it.
    pub(super) fn attempt(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(folder::WRITER_LOCK);
        let Some(mut file) = lock(&path)? else {
            return Ok(None);
        };
        // For those who wait; nothing depends on it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Some(Self { _file: file }))
    }
}

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

/// Opens a file and locks it. `None` where another has it locked.
fn lock(path: &Path) -> Result<Option<File>, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|e| cannot("open", path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(cannot("lock", path, e)),
    }
}

/// Keeps superseded files where they are. Ends when dropped.
pub(super) struct ReadersLock {
    _file: File,
}

impl ReadersLock {
    /// Takes the lock beside other readers. It has to be taken before the catalog is asked which
    /// files there are. `None` where the store cannot be written to and has no such file.
    pub(super) fn share(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(folder::READERS_LOCK);
        // Opened for reading alone, as in a folder that cannot be written to.
        let Ok(file) = File::open(&path).or_else(|_| File::create(&path)) else {
            return Ok(None);
        };
        file.lock_shared().map_err(|e| cannot("lock", &path, e))?;
        Ok(Some(Self { _file: file }))
    }

    /// Takes the lock to remove superseded files. `None` while another process reads.
    pub(super) fn exclude(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(folder::READERS_LOCK);
        Ok(lock(&path)?.map(|file| Self { _file: file }))
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
        /// No name is given twice: a sweeper that is about to remove a folder would take the next
        /// of its name instead.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let all = root.join(folder::STAGING);
        let mut n = 0;
        loop {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = all.join(format!("{}-{next}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => {
                    let file = path.join(OWNER);
                    // Between these lines a sweeper may take the folder away, with the file that
                    // is locked: then again.
                    match lock(&file) {
                        Ok(Some(owner)) if file.exists() => {
                            return Ok(Self {
                                path,
                                _owner: owner,
                            });
                        }
                        _ if n < 1000 => {}
                        Ok(_) => {
                            let cause = ErrorKind::AlreadyExists.into();
                            return Err(cannot("lock", &file, cause));
                        }
                        Err(e) => return Err(e),
                    }
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                // Also gone where another process gives up making the store.
                Err(e) if e.kind() == ErrorKind::NotFound && n < 1000 => folder::make_folder(&all)?,
                Err(e) => return Err(cannot("make", &path, e)),
            }
            n += 1;
        }
    }

    /// Removes the folders of processes that died. Others, and all files, are left alone.
    pub(super) fn sweep(root: &Path) -> Result<(), StoreError> {
        let all = root.join(folder::STAGING);
        let entries = match std::fs::read_dir(&all) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(cannot("list", &all, e)),
        };
        for entry in entries {
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
