//! What a disk does: which operation fails, and how.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::undo::Undo;

/// An operation on a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bytes are read.
    Read,
    /// A file is opened to be written.
    Open,
    /// Bytes are written.
    Write,
    /// A file is cut or extended.
    Resize,
    /// A file or folder is made durable.
    Sync,
    /// A file or folder gets another name.
    Rename,
    /// A file or folder is removed.
    Remove,
    /// A folder is made.
    MakeFolder,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With EIO, once. Nothing is done.
    Error,
    /// A write takes half of its bytes and returns their number, once; any other operation is
    /// done.
    Short,
    /// The disk is full: of the write half is done, and what needs room fails with ENOSPC from
    /// then on, until [`Disk::calm`].
    Full,
    /// Nothing is made durable from then on, and each sync returns success, until
    /// [`Disk::cut_power`].
    Lie,
    /// The process ends: the operation and everything after it is not done.
    Kill,
}

/// Which operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The operation; `None` for all but reads.
    pub operation: Option<Operation>,
    /// So many of these are done first.
    pub after: u64,
    /// How it fails.
    pub kind: Kind,
}

/// What is done with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Do,
    Half,
    Lie,
    Fail(c_int),
}

/// The disks of the process.
static DISKS: RwLock<Vec<Arc<Shared>>> = RwLock::new(Vec::new());
/// How many there are, so that a process without one pays nothing.
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
    lies: bool,
    done: u64,
    struck: Vec<String>,
    pub(crate) undo: Undo,
}

impl State {
    /// Decides on an operation.
    pub(crate) fn meet(&mut self, operation: Operation, path: &Path) -> Verdict {
        if self.is_dead {
            return Verdict::Fail(libc::EIO);
        }
        if let Some(fault) = self.fault {
            let concerns = match fault.operation {
                Some(one) => one == operation,
                None => operation != Operation::Read,
            };
            if concerns {
                self.done += 1;
                if self.done > fault.after {
                    self.fault = None;
                    self.struck
                        .push(format!("{operation:?} of {}", path.display()));
                    return self.strike(fault.kind, operation);
                }
            }
        }
        let needs_room = matches!(
            operation,
            Operation::Open | Operation::Write | Operation::MakeFolder
        );
        if self.is_full && needs_room {
            return Verdict::Fail(libc::ENOSPC);
        }
        self.as_usual(operation)
    }

    fn as_usual(&self, operation: Operation) -> Verdict {
        if self.lies && operation == Operation::Sync {
            Verdict::Lie
        } else {
            Verdict::Do
        }
    }

    fn strike(&mut self, kind: Kind, operation: Operation) -> Verdict {
        match kind {
            Kind::Error => Verdict::Fail(libc::EIO),
            Kind::Short if operation == Operation::Write => Verdict::Half,
            Kind::Short => Verdict::Do,
            Kind::Full => {
                self.is_full = true;
                match operation {
                    Operation::Write => Verdict::Half,
                    Operation::Open | Operation::MakeFolder => Verdict::Fail(libc::ENOSPC),
                    _ => self.as_usual(operation),
                }
            }
            Kind::Lie => {
                self.lies = true;
                self.as_usual(operation)
            }
            Kind::Kill => {
                self.is_dead = true;
                Verdict::Fail(libc::EIO)
            }
        }
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the disk that a path lies on.
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

/// Tells whether there is any disk.
pub(crate) fn is_any() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

/// A folder whose files are on a disk that may fail. As usual once it is dropped.
pub struct Disk {
    shared: Arc<Shared>,
}

impl Disk {
    /// Takes over what lies below a folder: an absolute path, without links, of a folder that need
    /// not exist yet. Files that are removed before that is durable are kept in `kept`, an
    /// existing folder elsewhere on the same file system.
    pub fn new(root: &Path, kept: &Path) -> Self {
        std::hint::black_box(crate::calls::linked());
        let shared = Arc::new(Shared {
            root: root.into(),
            state: Mutex::new(State {
                undo: Undo::new(kept),
                ..State::default()
            }),
        });
        let mut disks = DISKS.write().unwrap_or_else(PoisonError::into_inner);
        disks.push(Arc::clone(&shared));
        COUNT.fetch_add(1, Ordering::Release);
        Self { shared }
    }

    /// Arms a fault; an earlier one that has not struck is forgotten.
    pub fn arm(&self, fault: Fault) {
        let mut state = self.shared.state();
        state.fault = Some(fault);
        state.done = 0;
    }

    /// Forgets a fault that has not struck, and makes room on a full disk. Returns what was struck
    /// since the last call.
    pub fn calm(&self) -> Vec<String> {
        let mut state = self.shared.state();
        state.fault = None;
        state.is_full = false;
        std::mem::take(&mut state.struck)
    }

    /// Tells whether the process has ended: what it does is not done any more.
    pub fn is_dead(&self) -> bool {
        self.shared.state().is_dead
    }

    /// Begins a new process on the disk as the last one left it.
    pub fn revive(&self) {
        self.shared.state().is_dead = false;
    }

    /// Cuts the power: of what is not durable a part is undone, as the seed decides: of each file
    /// the last writes, of the names the last changes. No file may be open. Returns whether a
    /// sync had lied since the last cut.
    pub fn cut_power(&self, seed: u64) -> bool {
        let mut state = self.shared.state();
        state.undo.run(&mut fastrand::Rng::with_seed(seed));
        std::mem::take(&mut state.lies)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut disks = DISKS.write().unwrap_or_else(PoisonError::into_inner);
        disks.retain(|disk| !Arc::ptr_eq(disk, &self.shared));
        COUNT.fetch_sub(1, Ordering::Release);
    }
}
