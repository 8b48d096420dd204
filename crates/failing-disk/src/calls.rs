//! The functions of the C library that read and change files, redefined.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::{mode_t, off_t, size_t, ssize_t};

use crate::disk::{self, Decision, Operation, State};
use crate::system_calls as raw;

fn fail(errno: c_int) -> c_int {
    // SAFETY: the address of the thread's own `errno`.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// Returns the path of an open file. `None`: there is no disk.
fn path_of(file: c_int) -> Option<PathBuf> {
    if !disk::is_any() {
        return None;
    }
    let link = format!("/proc/self/fd/{file}\0");
    let mut out = [0_u8; 4096];
    let (link, start) = (link.as_ptr(), out.as_mut_ptr());
    // SAFETY: the link ends with a zero; the kernel writes at most the length of `out`.
    let n = unsafe { libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, link, start, out.len()) };
    let n = usize::try_from(n).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(&out[..n])))
}

/// Joins a C string to the path of the folder that it is relative to. `None`: there is no disk.
///
/// # Safety
///
/// `path` ends with a zero.
unsafe fn path_at(folder: c_int, path: *const c_char) -> Option<PathBuf> {
    if !disk::is_any() {
        return None;
    }
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) };
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    if path.is_absolute() || folder == libc::AT_FDCWD {
        return Some(path.into());
    }
    Some(path_of(folder)?.join(path))
}

/// Makes a system call for a path, unless the disk of the path decides that it fails. `prepare`
/// runs before the call, and `note` after a successful one.
fn on_path(
    operation: Operation,
    path: Option<PathBuf>,
    prepare: impl FnOnce(&mut State, &Path) -> Option<PathBuf>,
    call: impl FnOnce() -> c_int,
    note: impl FnOnce(&mut State, PathBuf, Option<PathBuf>),
) -> c_int {
    let Some((path, disk)) = path.and_then(|path| disk::disk_of(&path).map(|disk| (path, disk)))
    else {
        return call();
    };
    let mut state = disk.state();
    if let Decision::Fail(errno) = state.decide(operation, &path) {
        return fail(errno);
    }
    let prepared = prepare(&mut state, &path);
    let done = call();
    if done >= 0 {
        note(&mut state, path, prepared);
    }
    done
}

/// Opens a file.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(
    folder: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: the caller's promise.
    let call = || unsafe { libc::syscall(libc::SYS_openat, folder, path, flags, mode) as c_int };
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_CREAT != 0;
    if !writes {
        return call();
    }
    // SAFETY: the caller's promise.
    let full = unsafe { path_at(folder, path) };
    on_path(
        Operation::Open,
        full,
        |state, path| {
            let c_path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
            let file = raw::open(&c_path, libc::O_RDWR | libc::O_CLOEXEC, 0);
            let existed = file >= 0;
            if existed {
                if flags & libc::O_TRUNC != 0 {
                    state.undo.before_change(file, 0, u64::MAX);
                }
                // SAFETY: opened above.
                unsafe { libc::syscall(libc::SYS_close, file) };
            }
            existed.then(PathBuf::new)
        },
        call,
        |state, path, existed| {
            if existed.is_none() {
                state.undo.created(path);
            }
        },
    )
}

/// Opens a file.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { openat64(libc::AT_FDCWD, path, flags, mode) }
}

/// Opens a file.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { openat64(libc::AT_FDCWD, path, flags, mode) }
}

/// Makes a system call that reads or writes bytes of an open file. `call` gets the number of bytes
/// that it may read or write.
fn on_bytes(
    operation: Operation,
    file: c_int,
    at: Option<off_t>,
    length: size_t,
    call: impl FnOnce(size_t) -> ssize_t,
) -> ssize_t {
    let path = path_of(file);
    let Some((path, disk)) = path.and_then(|path| disk::disk_of(&path).map(|disk| (path, disk)))
    else {
        return call(length);
    };
    let mut state = disk.state();
    let length = match state.decide(operation, &path) {
        Decision::Fail(errno) => return fail(errno) as ssize_t,
        Decision::ExecuteHalf if length > 1 => length / 2,
        Decision::Execute | Decision::Ignore | Decision::ExecuteHalf => length,
    };
    if operation == Operation::Write {
        let at = at.unwrap_or_else(|| {
            // SAFETY: takes no memory.
            unsafe { libc::syscall(libc::SYS_lseek, file, 0, libc::SEEK_CUR) as off_t }
        });
        let at = u64::try_from(at).unwrap_or(0);
        state.undo.before_change(file, at, length as u64);
    }
    call(length)
}

/// Reads bytes.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(file: c_int, out: *mut c_void, length: size_t) -> ssize_t {
    on_bytes(Operation::Read, file, None, length, |length| {
        // SAFETY: the caller's promise; the length is at most the caller's.
        unsafe { libc::syscall(libc::SYS_read, file, out, length) as ssize_t }
    })
}

/// Reads bytes at an offset.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread64(
    file: c_int,
    out: *mut c_void,
    length: size_t,
    at: off_t,
) -> ssize_t {
    on_bytes(Operation::Read, file, Some(at), length, |length| {
        // SAFETY: as in `read`.
        unsafe { libc::syscall(libc::SYS_pread64, file, out, length, at) as ssize_t }
    })
}

/// Writes bytes.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(file: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    on_bytes(Operation::Write, file, None, length, |length| {
        // SAFETY: as in `read`.
        unsafe { libc::syscall(libc::SYS_write, file, bytes, length) as ssize_t }
    })
}

/// Writes bytes at an offset.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    file: c_int,
    bytes: *const c_void,
    length: size_t,
    at: off_t,
) -> ssize_t {
    on_bytes(Operation::Write, file, Some(at), length, |length| {
        // SAFETY: as in `read`.
        unsafe { libc::syscall(libc::SYS_pwrite64, file, bytes, length, at) as ssize_t }
    })
}

/// Writes several buffers; to a file on a [`Disk`](crate::Disk) only the first that is not empty.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(file: c_int, pieces: *const libc::iovec, n: c_int) -> ssize_t {
    if path_of(file)
        .and_then(|path| disk::disk_of(&path))
        .is_some()
    {
        for index in 0..usize::try_from(n).unwrap_or(0) {
            // SAFETY: the caller promises `n` pieces.
            let piece = unsafe { *pieces.add(index) };
            if piece.iov_len > 0 {
                // SAFETY: the caller promises that each piece is readable.
                return unsafe { write(file, piece.iov_base, piece.iov_len) };
            }
        }
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_writev, file, pieces, n) as ssize_t }
}

/// Cuts or extends a file.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(file: c_int, length: off_t) -> c_int {
    let prepare = |state: &mut State, _: &Path| {
        let at = u64::try_from(length).unwrap_or(0);
        state.undo.before_change(file, at, u64::MAX);
        None
    };
    // SAFETY: takes no memory.
    let call = || unsafe { libc::syscall(libc::SYS_ftruncate, file, length) as c_int };
    on_path(
        Operation::Resize,
        path_of(file),
        prepare,
        call,
        |_, _, _| (),
    )
}

/// Makes a file or folder durable. On a [`Disk`](crate::Disk) this only removes the changes from the
/// undo log, and writes nothing to the physical disk.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(file: c_int) -> c_int {
    let path = path_of(file);
    let Some((path, disk)) = path.and_then(|path| disk::disk_of(&path).map(|disk| (path, disk)))
    else {
        // SAFETY: takes no memory.
        return unsafe { libc::syscall(libc::SYS_fsync, file) as c_int };
    };
    let mut state = disk.state();
    match state.decide(Operation::Sync, &path) {
        Decision::Fail(errno) => return fail(errno),
        Decision::Ignore => {}
        Decision::Execute | Decision::ExecuteHalf => state.undo.synced(file, &path),
    }
    0
}

/// Makes a file durable.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    // SAFETY: as of `fsync`.
    unsafe { fsync(file) }
}

/// Gives a file another name.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's promise, here and below.
    let (old, new) = unsafe { (path_at(libc::AT_FDCWD, from), path_at(libc::AT_FDCWD, to)) };
    // SAFETY: as above.
    let call = || unsafe { raw::rename(CStr::from_ptr(from), CStr::from_ptr(to)) };
    let keep = |state: &mut State, path: &Path| state.undo.keep(path);
    on_path(Operation::Rename, new, keep, call, |state, to, replaced| {
        if let Some(from) = old {
            state.undo.renamed(from, to, replaced);
        }
    })
}

/// Removes a file, or a folder with `AT_REMOVEDIR`.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let full = unsafe { path_at(folder, path) };
    // SAFETY: the caller's promise.
    let call = || unsafe { libc::syscall(libc::SYS_unlinkat, folder, path, flags) as c_int };
    let keep = |state: &mut State, path: &Path| state.undo.keep(path);
    on_path(
        Operation::Remove,
        full,
        keep,
        call,
        |state, path, kept| match kept {
            Some(kept) => state.undo.removed(path, kept),
            None => state.undo.folder_removed(path),
        },
    )
}

/// Removes a file.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

/// Removes a folder.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

/// Makes a folder.
///
/// # Safety
///
/// As of the C library's function of the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's promise, here and below.
    let full = unsafe { path_at(libc::AT_FDCWD, path) };
    // SAFETY: as above.
    let call = || raw::mkdir(unsafe { CStr::from_ptr(path) }, mode as c_uint);
    on_path(
        Operation::MakeFolder,
        full,
        |_, _| None,
        call,
        |state, path, _| state.undo.folder_created(path),
    )
}
