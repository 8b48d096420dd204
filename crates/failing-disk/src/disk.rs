//! Disks, and the faults of their operations.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::undo::UndoLog;

/// An operation on a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads bytes.
    Read,
    /// Opens a file for writing.
    Open,
    /// Writes bytes.
    Write,
    /// Truncates or extends a file.
    Resize,
    /// Makes a file or folder durable.
    Sync,
    /// Renames a file or folder.
    Rename,
    /// Removes a file or folder.
    Remove,
    /// Creates a folder.
    MakeFolder,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// With EIO, once, and is not executed.
    Error,
    /// A write writes half of its bytes and returns their number, once. Any other operation
    /// succeeds.
    Short,
    /// The disk is full: a write writes half of its bytes, and from then on every operation that
    /// needs space fails with ENOSPC, until [`Disk::clear_faults`].
    Full,
    /// From then on syncs return success and make nothing durable, until [`Disk::cut_power`].
    IgnoreSync,
    /// The process ends: this and all later operations are not executed.
    Kill,
}

/// A fault of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The operation. `None`: any but reads.
    pub operation: Option<Operation>,
    /// How many of these operations succeed before.
    pub after: u64,
    /// How it fails.
    pub kind: FaultKind,
}

/// How one operation is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Execute,
    ExecuteHalf,
    /// Return success without doing anything.
    Ignore,
    /// Fail with this `errno`.
    Fail(c_int),
}

/// The disks of the process.
static DISKS: RwLock<Vec<Arc<Shared>>> = RwLock::new(Vec::new());
/// The number of disks, so that a process without one need not lock the list.
static COUNT: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Shared {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    fault: Option<Fault>,
    is_dead: bool,
    is_full: bool,
    ignores_syncs: bool,
    done: u64,
    injected: Vec<String>,
    pub(crate) undo: UndoLog,
}

impl State {
    /// Decides on an operation.
    pub(crate) fn decide(&mut self, operation: Operation, path: &Path) -> Decision {
        if self.is_dead {
            return Decision::Fail(libc::EIO);
        }
        if let Some(fault) = self.fault {
            let matches = match fault.operation {
                Some(one) => one == operation,
                None => operation != Operation::Read,
            };
            if matches {
                self.done += 1;
                if self.done > fault.after {
                    self.fault = None;
                    self.injected
                        .push(format!("{operation:?} of {}", path.display()));
                    return self.inject(fault.kind, operation);
                }
            }
        }
        let needs_space = matches!(
            operation,
            Operation::Open | Operation::Write | Operation::MakeFolder
        );
        if self.is_full && needs_space {
            return Decision::Fail(libc::ENOSPC);
        }
        self.without_fault(operation)
    }

    fn without_fault(&self, operation: Operation) -> Decision {
        if self.ignores_syncs && operation == Operation::Sync {
            Decision::Ignore
        } else {
            Decision::Execute
        }
    }

    fn inject(&mut self, kind: FaultKind, operation: Operation) -> Decision {
        match kind {
            FaultKind::Error => Decision::Fail(libc::EIO),
            FaultKind::Short if operation == Operation::Write => Decision::ExecuteHalf,
            FaultKind::Short => Decision::Execute,
            FaultKind::Full => {
                self.is_full = true;
                match operation {
                    Operation::Write => Decision::ExecuteHalf,
                    Operation::Open | Operation::MakeFolder => Decision::Fail(libc::ENOSPC),
                    _ => self.without_fault(operation),
                }
            }
            FaultKind::IgnoreSync => {
                self.ignores_syncs = true;
                self.without_fault(operation)
            }
            FaultKind::Kill => {
                self.is_dead = true;
                Decision::Fail(libc::EIO)
            }
        }
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the disk that contains a path.
pub(crate) fn disk_of(path: &Path) -> Option<Arc<Shared>> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    let disks = DISKS.read().unwrap_or_else(PoisonError::into_inner);
    disks
        .iter()
        .find(|disk| path.starts_with(&disk.root))
        .cloned()
}

/// Returns whether there is any disk.
pub(crate) fn is_any() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

/// A folder whose files are on a disk that may fail, until it is dropped.
pub struct Disk {
    shared: Arc<Shared>,
}

impl Disk {
    /// Makes a disk of the folder `root`: an absolute path without links, which need not exist yet.
    /// `kept` is an existing folder elsewhere on the same file system; it holds removed files until
    /// their removal is durable.
    pub fn new(root: &Path, kept: &Path) -> Self {
        std::hint::black_box(crate::link());
        let shared = Arc::new(Shared {
            root: root.into(),
            state: Mutex::new(State {
                undo: UndoLog::new(kept),
                ..State::default()
            }),
        });
        let mut disks = DISKS.write().unwrap_or_else(PoisonError::into_inner);
        disks.push(Arc::clone(&shared));
        COUNT.fetch_add(1, Ordering::Release);
        Self { shared }
    }

    /// Injects a fault from now on, in place of an earlier one that has not occurred.
    pub fn arm(&self, fault: Fault) {
        let mut state = self.shared.state();
        state.fault = Some(fault);
        state.done = 0;
    }

    /// Removes a fault that has not occurred, and frees space on a full disk. Returns the operations
    /// that have failed since the last call.
    pub fn clear_faults(&self) -> Vec<String> {
        let mut state = self.shared.state();
        state.fault = None;
        state.is_full = false;
        std::mem::take(&mut state.injected)
    }

    /// Returns whether the process has ended, so that its operations are not executed.
    pub fn is_dead(&self) -> bool {
        self.shared.state().is_dead
    }

    /// Begins a new process on the disk in its present state.
    pub fn revive(&self) {
        self.shared.state().is_dead = false;
    }

    /// Cuts the power: undoes the last changes of each file and of the names that are not durable,
    /// how many is drawn by the seed. No file may be open. Returns whether syncs have been ignored
    /// since the last cut.
    pub fn cut_power(&self, seed: u64) -> bool {
        let mut state = self.shared.state();
        state.undo.run(&mut fastrand::Rng::with_seed(seed));
        std::mem::take(&mut state.ignores_syncs)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut disks = DISKS.write().unwrap_or_else(PoisonError::into_inner);
        disks.retain(|disk| !Arc::ptr_eq(disk, &self.shared));
        COUNT.fetch_sub(1, Ordering::Release);
    }
}
