//! For tests of stores, and never part of a program: the laws that every store obeys, a store in
//! memory to compare with, a simulator of faults, and a server of feeds that misbehaves.
//!
//! A new store needs one line in a test, [`conforms!`], which calls each law of [`conformance`] on
//! it with generated [`cases`]:
//!
//! ```
//! use divvy_testkit::{MemoryStore, conforms};
//!
//! conforms!(memory, (MemoryStore::default(), ()), block_on: futures_executor::block_on, cases: 8);
//! # fn main() {}
//! ```

mod assertions;
pub mod cases;
pub mod conformance;
mod contents;
mod driver;
pub mod feed_server;
pub mod inputs;
mod memory;
mod memory_history;
mod model;
pub mod simulator;
pub mod webhook_server;

pub use self::contents::{Contents, contents};
pub use self::memory::MemoryStore;
