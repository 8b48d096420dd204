//! System calls. On failure they return -1 and set `errno`, as the functions of the C library do.

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
