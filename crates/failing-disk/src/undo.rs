//! The changes since the last sync, which a power cut may undo.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CString, c_int};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::system_calls as raw;

/// A file, by device and inode.
type FileId = (u64, u64);

/// A change of the bytes of a file.
struct ByteChange {
    /// The length of the file before.
    length: u64,
    /// The offset of the first changed byte.
    offset: u64,
    /// The bytes before.
    old: Vec<u8>,
}

/// Changes of one file that are not durable, oldest first.
struct FileLog {
    /// An open descriptor: the file exists also without a name.
    file: OwnedFd,
    changes: Vec<ByteChange>,
}

/// A change of names.
enum NameChange {
    Created(PathBuf),
    /// Old name, new name, and a link to the file that had the new name before.
    Renamed(PathBuf, PathBuf, Option<PathBuf>),
    /// The name, and a link to the file.
    Removed(PathBuf, PathBuf),
    FolderCreated(PathBuf),
    FolderRemoved(PathBuf),
}

impl NameChange {
    /// Returns the path whose folder must be synced.
    fn path(&self) -> &Path {
        match self {
            Self::Created(path)
            | Self::Renamed(_, path, _)
            | Self::Removed(path, _)
            | Self::FolderCreated(path)
            | Self::FolderRemoved(path) => path,
        }
    }

    /// Undoes the change, unless a later change that is not undone depends on it.
    fn undo(&self) {
        match self {
            Self::Created(path) => drop(raw::unlink(&c(path))),
            Self::Renamed(from, to, replaced) => {
                raw::rename(&c(to), &c(from));
                if let Some(replaced) = replaced {
                    raw::rename(&c(replaced), &c(to));
                }
            }
            Self::Removed(path, kept) => drop(raw::rename(&c(kept), &c(path))),
            Self::FolderCreated(path) => drop(raw::rmdir(&c(path))),
            Self::FolderRemoved(path) => drop(raw::mkdir(&c(path), 0o755)),
        }
    }
}

/// All changes that are not durable.
#[derive(Default)]
pub(crate) struct UndoLog {
    /// The folder of the links to removed files.
    kept: PathBuf,
    next_kept: u64,
    files: HashMap<FileId, FileLog>,
    names: Vec<NameChange>,
}

fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn id_and_length(file: RawFd) -> Option<(FileId, u64)> {
    let status = raw::fstat(file)?;
    (status.st_mode & libc::S_IFMT == libc::S_IFREG)
        .then_some(((status.st_dev, status.st_ino), status.st_size as u64))
}

impl UndoLog {
    pub(crate) fn new(kept: &Path) -> Self {
        Self {
            kept: kept.into(),
            ..Self::default()
        }
    }

    /// Records `length` bytes from the offset `at` before they are written, or before the file is
    /// truncated there.
    pub(crate) fn before_change(&mut self, file: RawFd, at: u64, length: u64) {
        let Some((id, size)) = id_and_length(file) else {
            return;
        };
        let log = match self.files.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let path = c(Path::new(&format!("/proc/self/fd/{file}")));
                let fd = raw::open(&path, libc::O_RDWR | libc::O_CLOEXEC, 0);
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
        log.changes.push(ByteChange {
            length: size,
            offset: at,
            old,
        });
    }

    /// Removes the changes of a file or folder, which are durable now.
    pub(crate) fn synced(&mut self, file: RawFd, path: &Path) {
        match id_and_length(file) {
            Some((id, _)) => drop(self.files.remove(&id)),
            None => self
                .names
                .retain(|names| names.path().parent() != Some(path)),
        }
    }

    /// Links a file into the folder of removed files, before its name is removed. `None`: there is no
    /// such file.
    pub(crate) fn keep(&mut self, path: &Path) -> Option<PathBuf> {
        self.next_kept += 1;
        let kept = self.kept.join(self.next_kept.to_string());
        (raw::link(&c(path), &c(&kept)) == 0).then_some(kept)
    }

    pub(crate) fn created(&mut self, path: PathBuf) {
        self.names.push(NameChange::Created(path));
    }

    pub(crate) fn renamed(&mut self, from: PathBuf, to: PathBuf, replaced: Option<PathBuf>) {
        self.names.push(NameChange::Renamed(from, to, replaced));
    }

    pub(crate) fn removed(&mut self, path: PathBuf, kept: PathBuf) {
        self.names.push(NameChange::Removed(path, kept));
    }

    pub(crate) fn folder_created(&mut self, path: PathBuf) {
        self.names.push(NameChange::FolderCreated(path));
    }

    pub(crate) fn folder_removed(&mut self, path: PathBuf) {
        self.names.push(NameChange::FolderRemoved(path));
    }

    /// Undoes the last changes of each file, and of the names: all, none, or a random number.
    pub(crate) fn run(&mut self, random: &mut fastrand::Rng) {
        let mut files: Vec<(FileId, FileLog)> = self.files.drain().collect();
        files.sort_by_key(|(id, _)| *id);
        for (_, log) in files {
            let kept = draw_kept(log.changes.len(), random);
            for change in log.changes[kept..].iter().rev() {
                let file: c_int = log.file.as_raw_fd();
                raw::pwrite(file, &change.old, change.offset);
                raw::ftruncate(file, change.length);
            }
        }
        let kept = draw_kept(self.names.len(), random);
        for names in self.names[kept..].iter().rev() {
            names.undo();
        }
        self.names.clear();
    }
}

/// Draws how many of `n` changes are not undone.
fn draw_kept(n: usize, random: &mut fastrand::Rng) -> usize {
    match random.u8(0..3) {
        0 => 0,
        1 => n,
        _ => random.usize(0..=n),
    }
}
