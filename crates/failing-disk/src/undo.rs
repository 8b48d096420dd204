//! What a power cut would take back: everything since the last sync.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CString, c_int};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::calls::raw;

/// A file, by device and inode.
type FileId = (u64, u64);

/// A change of the bytes of a file.
struct Bytes {
    /// The length before.
    length: u64,
    /// Where the change begins.
    at: u64,
    /// What stood there.
    old: Vec<u8>,
}

/// Changes of one file that are not durable, oldest first.
struct FileLog {
    /// Keeps the inode, whatever becomes of the name.
    file: OwnedFd,
    changes: Vec<Bytes>,
}

/// A change of names.
enum Names {
    Made(PathBuf),
    /// With the file that had the new name before, kept elsewhere.
    Renamed(PathBuf, PathBuf, Option<PathBuf>),
    /// With the file, kept elsewhere.
    Removed(PathBuf, PathBuf),
    FolderMade(PathBuf),
    FolderRemoved(PathBuf),
}

impl Names {
    /// Returns the path whose folder must be synced.
    fn path(&self) -> &Path {
        match self {
            Self::Made(path)
            | Self::Renamed(_, path, _)
            | Self::Removed(path, _)
            | Self::FolderMade(path)
            | Self::FolderRemoved(path) => path,
        }
    }

    /// Undoes it. What cannot be undone, because a later change that stays needs it, stays.
    fn undo(&self) {
        match self {
            Self::Made(path) => drop(raw::unlink(&c(path))),
            Self::Renamed(from, to, replaced) => {
                raw::rename(&c(to), &c(from));
                if let Some(replaced) = replaced {
                    raw::rename(&c(replaced), &c(to));
                }
            }
            Self::Removed(path, kept) => drop(raw::rename(&c(kept), &c(path))),
            Self::FolderMade(path) => drop(raw::rmdir(&c(path))),
            Self::FolderRemoved(path) => drop(raw::mkdir(&c(path), 0o755)),
        }
    }
}

/// Everything that is not durable.
#[derive(Default)]
pub(crate) struct Undo {
    kept: PathBuf,
    next_kept: u64,
    files: HashMap<FileId, FileLog>,
    names: Vec<Names>,
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn id_and_length(file: RawFd) -> Option<(FileId, u64)> {
    let status = raw::fstat(file)?;
    (status.st_mode & libc::S_IFMT == libc::S_IFREG)
        .then_some(((status.st_dev, status.st_ino), status.st_size as u64))
}

impl Undo {
    pub(crate) fn new(kept: &Path) -> Self {
        Self {
            kept: kept.into(),
            ..Self::default()
        }
    }

    /// Notes that `length` bytes from `at` are about to be written, or that the file is about to
    /// be cut there.
    pub(crate) fn before_change(&mut self, file: RawFd, at: u64, length: u64) {
        let Some((id, size)) = id_and_length(file) else {
            return;
        };
        let log = match self.files.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let again = c(Path::new(&format!("/proc/self/fd/{file}")));
                let fd = raw::open(&again, libc::O_RDWR | libc::O_CLOEXEC, 0);
                if fd < 0 {
                    return;
                }
                // SAFETY: the descriptor was opened a line ago, and nothing else has it.
                let file = unsafe { OwnedFd::from_raw_fd(fd) };
                let changes = Vec::new();
                new.insert(FileLog { file, changes })
            }
        };
        let end = at.saturating_add(length).min(size);
        let mut old = vec![0; end.saturating_sub(at) as usize];
        let n = raw::pread(log.file.as_raw_fd(), &mut old, at);
        old.truncate(n);
        log.changes.push(Bytes {
            length: size,
            at,
            old,
        });
    }

    /// Notes that a file or folder has been made durable.
    pub(crate) fn synced(&mut self, file: RawFd, path: &Path) {
        match id_and_length(file) {
            Some((id, _)) => drop(self.files.remove(&id)),
            None => self
                .names
                .retain(|names| names.path().parent() != Some(path)),
        }
    }

    /// Keeps a file that is about to lose its name. `None` where there is none.
    pub(crate) fn keep(&mut self, path: &Path) -> Option<PathBuf> {
        self.next_kept += 1;
        let kept = self.kept.join(self.next_kept.to_string());
        (raw::link(&c(path), &c(&kept)) == 0).then_some(kept)
    }

    pub(crate) fn made(&mut self, path: PathBuf) {
        self.names.push(Names::Made(path));
    }

    pub(crate) fn renamed(&mut self, from: PathBuf, to: PathBuf, replaced: Option<PathBuf>) {
        self.names.push(Names::Renamed(from, to, replaced));
    }

    pub(crate) fn removed(&mut self, path: PathBuf, kept: PathBuf) {
        self.names.push(Names::Removed(path, kept));
    }

    pub(crate) fn folder_made(&mut self, path: PathBuf) {
        self.names.push(Names::FolderMade(path));
    }

    pub(crate) fn folder_removed(&mut self, path: PathBuf) {
        self.names.push(Names::FolderRemoved(path));
    }

    /// Takes back the last changes of each file and of the names: all, none, or some.
    pub(crate) fn run(&mut self, random: &mut fastrand::Rng) {
        let mut files: Vec<(FileId, FileLog)> = self.files.drain().collect();
        files.sort_by_key(|(id, _)| *id);
        for (_, log) in files {
            let stay = stays(log.changes.len(), random);
            for change in log.changes[stay..].iter().rev() {
                let file: c_int = log.file.as_raw_fd();
                raw::pwrite(file, &change.old, change.at);
                raw::ftruncate(file, change.length);
            }
        }
        let stay = stays(self.names.len(), random);
        for names in self.names[stay..].iter().rev() {
            names.undo();
        }
        self.names.clear();
    }
}

/// Draws how many of `n` changes stay.
fn stays(n: usize, random: &mut fastrand::Rng) -> usize {
    match random.u8(0..3) {
        0 => 0,
        1 => n,
        _ => random.usize(0..=n),
    }
}
