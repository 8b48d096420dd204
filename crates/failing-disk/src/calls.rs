//! The C library's functions, as far as they read and change files.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::{mode_t, off_t, size_t, ssize_t};

use crate::disk::{self, Operation, State, Verdict};

/// The system calls themselves. On failure they return -1 and set `errno`, as the C library's
/// functions do.
pub(crate) mod raw {
    use std::ffi::{CStr, c_int, c_long};
    use std::mem::MaybeUninit;

    use libc::{AT_FDCWD, AT_REMOVEDIR, SYS_fstat, SYS_openat, SYS_pread64};
    use libc::{SYS_ftruncate, SYS_linkat, SYS_mkdirat, SYS_pwrite64, SYS_renameat2, SYS_unlinkat};

    pub(crate) fn open(path: &CStr, flags: c_int, mode: libc::mode_t) -> c_int {
        // SAFETY: the path ends with a zero and outlives the call.
        unsafe { libc::syscall(SYS_openat, AT_FDCWD, path.as_ptr(), flags, mode) as c_int }
    }

    pub(crate) fn rename(from: &CStr, to: &CStr) -> c_int {
        let (from, to) = (from.as_ptr(), to.as_ptr());
        // SAFETY: as in `open`.
        unsafe { libc::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0) as c_int }
    }

    pub(crate) fn link(from: &CStr, to: &CStr) -> c_int {
        let (from, to) = (from.as_ptr(), to.as_ptr());
        // SAFETY: as in `open`.
        unsafe { libc::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0) as c_int }
    }

    pub(crate) fn unlink(path: &CStr) -> c_int {
        // SAFETY: as in `open`.
        unsafe { libc::syscall(SYS_unlinkat, AT_FDCWD, path.as_ptr(), 0) as c_int }
    }

    pub(crate) fn rmdir(path: &CStr) -> c_int {
        // SAFETY: as in `open`.
        unsafe { libc::syscall(SYS_unlinkat, AT_FDCWD, path.as_ptr(), AT_REMOVEDIR) as c_int }
    }

    pub(crate) fn mkdir(path: &CStr, mode: libc::mode_t) -> c_int {
        // SAFETY: as in `open`.
        unsafe { libc::syscall(SYS_mkdirat, AT_FDCWD, path.as_ptr(), mode) as c_int }
    }

    pub(crate) fn fstat(file: c_int) -> Option<libc::stat> {
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the kernel fills the structure, which has the size that it expects.
        let done = unsafe { libc::syscall(SYS_fstat, file, status.as_mut_ptr()) };
        // SAFETY: filled where the call succeeded.
        (done == 0).then(|| unsafe { status.assume_init() })
    }

    /// Returns the number of bytes read; 0 where that failed.
    pub(crate) fn pread(file: c_int, out: &mut [u8], at: u64) -> usize {
        let (start, length) = (out.as_mut_ptr(), out.len());
        // SAFETY: the kernel writes into the slice, at most its length.
        let n = unsafe { libc::syscall(SYS_pread64, file, start, length, at as c_long) };
        usize::try_from(n).unwrap_or(0)
    }

    pub(crate) fn pwrite(file: c_int, bytes: &[u8], at: u64) {
        let (start, length) = (bytes.as_ptr(), bytes.len());
        // SAFETY: the kernel reads the slice.
        unsafe { libc::syscall(SYS_pwrite64, file, start, length, at as c_long) };
    }

    pub(crate) fn ftruncate(file: c_int, length: u64) {
        // SAFETY: takes no memory.
        unsafe { libc::syscall(SYS_ftruncate, file, length as c_long) };
    }
}

fn fail(errno: c_int) -> c_int {
    // SAFETY: the address of the thread's own `errno`.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// Finds the path of an open file. `None` where there is no disk at all.
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

/// Makes a path of a C string and the folder it starts from. `None` where there is no disk at all.
///
/// # Safety
///
/// `path` ends with a zero.
unsafe fn path_at(folder: c_int, path: *const c_char) -> Option<PathBuf> {
    if !disk::is_any() {
        return None;
    }
    // SAFETY: promised by the caller.
    let path = unsafe { CStr::from_ptr(path) };
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    if path.is_absolute() || folder == libc::AT_FDCWD {
        return Some(path.into());
    }
    Some(path_of(folder)?.join(path))
}

/// Makes a system call for a path: as the path's disk decides, and noted by `note` where it
/// succeeded.
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
    if let Verdict::Fail(errno) = state.meet(operation, &path) {
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
            let there = raw::open(&c_path, libc::O_RDWR | libc::O_CLOEXEC, 0);
            let was_there = there >= 0;
            if was_there {
                if flags & libc::O_TRUNC != 0 {
                    state.undo.before_change(there, 0, u64::MAX);
                }
                // SAFETY: opened above.
                unsafe { libc::syscall(libc::SYS_close, there) };
            }
            was_there.then(PathBuf::new)
        },
        call,
        |state, path, was_there| {
            if was_there.is_none() {
                state.undo.made(path);
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

/// Makes a system call that reads or writes bytes of an open file: `call` gets how many bytes may
/// be taken.
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
    let length = match state.meet(operation, &path) {
        Verdict::Fail(errno) => return fail(errno) as ssize_t,
        Verdict::Half if length > 1 => length / 2,
        Verdict::Do | Verdict::Lie | Verdict::Half => length,
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

/// Reads bytes from a place.
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

/// Writes bytes to a place.
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

/// Writes several pieces. On a disk of a test the first that is not empty, alone.
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
        for place in 0..usize::try_from(n).unwrap_or(0) {
            // SAFETY: the caller promises `n` pieces.
            let piece = unsafe { *pieces.add(place) };
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

/// Makes a file or folder durable. On a disk of a test nothing is waited for: what is durable
/// there is a matter of bookkeeping.
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
    match state.meet(Operation::Sync, &path) {
        Verdict::Fail(errno) => return fail(errno),
        Verdict::Lie => {}
        Verdict::Do | Verdict::Half => state.undo.synced(file, &path),
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
        |state, path, _| state.undo.folder_made(path),
    )
}

/// Names the functions above, so that the linker takes them: a program that makes a [`Disk`] must
/// have them.
///
/// [`Disk`]: crate::Disk
pub(crate) fn linked() -> [*const (); 16] {
    [
        openat64 as *const (),
        open64 as *const (),
        open as *const (),
        read as *const (),
        pread64 as *const (),
        write as *const (),
        pwrite64 as *const (),
        writev as *const (),
        ftruncate64 as *const (),
        fsync as *const (),
        fdatasync as *const (),
        rename as *const (),
        unlinkat as *const (),
        unlink as *const (),
        rmdir as *const (),
        mkdir as *const (),
    ]
}
