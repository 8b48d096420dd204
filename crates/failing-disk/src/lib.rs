//! A disk whose operations fail as a test has configured. Linux only; elsewhere the crate is empty.
//!
//! The crate defines the functions of the C library that change files: `write`, `fsync`, `rename`
//! and so on. All parts of a program that is linked with it call these instead of the C library's:
//! Rust's standard library, SQLite and zlib alike. Each makes the system call, except for paths
//! below the folder of a [`Disk`], where a [`Fault`] may be injected.
//!
//! A [`Disk`] also keeps a log of the changes that are not durable (by `fsync` of the file; of the
//! folder for names), so that a power cut can be simulated: [`Disk::cut_power`].
//!
//! # Limits
//!
//! - Memory maps are not covered. SQLite maps only its `-shm` file, which it creates anew.
//! - A rename is durable when the folder of the new name is synced.
//! - The order of operations of several threads is not controlled: the n-th operation of a program
//!   may be another one in the next run.
#![cfg(target_os = "linux")]

mod calls;
mod disk;
mod system_calls;
mod undo;

pub use disk::{Disk, Fault, FaultKind, Operation};

/// Refers to the functions of the C library that are redefined, so that the linker includes them in
/// each program that has a [`Disk`].
fn link() -> [*const (); 16] {
    [
        calls::openat64 as *const (),
        calls::open64 as *const (),
        calls::open as *const (),
        calls::read as *const (),
        calls::pread64 as *const (),
        calls::write as *const (),
        calls::pwrite64 as *const (),
        calls::writev as *const (),
        calls::ftruncate64 as *const (),
        calls::fsync as *const (),
        calls::fdatasync as *const (),
        calls::rename as *const (),
        calls::unlinkat as *const (),
        calls::unlink as *const (),
        calls::rmdir as *const (),
        calls::mkdir as *const (),
    ]
}
