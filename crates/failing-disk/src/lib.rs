//! A disk whose operations fail as a test has armed it. Linux only; elsewhere the crate is empty.
//!
//! The crate defines the functions of the C library that change files: `write`, `fsync`, `rename`
//! and so on. A program that is linked with it calls these instead of the C library's, whatever
//! part of it the call comes from: Rust's standard library, SQLite and zlib alike. Each makes the
//! system call, except for paths below the folder of a [`Disk`], where a [`Fault`] may be armed.
//!
//! A [`Disk`] also remembers how to undo what has not been made durable (`fsync` of the file; for
//! its name, of the folder), so that a power cut can be played: [`Disk::cut_power`].
//!
//! # Limits
//!
//! - Memory maps are not seen. SQLite maps only its `-shm` file, which it makes anew.
//! - Of a renamed file, the folder it goes to decides when the new name is durable.
//! - What one thread does before another is not part of a plan: the n-th operation of a program
//!   with several threads may be another in the next run.
#![cfg(target_os = "linux")]

mod calls;
mod disk;
mod undo;

pub use disk::{Disk, Fault, Kind, Operation};
