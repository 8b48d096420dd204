//! Tests of the library.
//!
//! They are one binary, because linking takes longer than compiling a file of tests.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod any_bytes;
mod architecture;
mod conformance;
mod divvy_history;
mod embedded_store;
mod export;
mod formats_doc;
mod ingest;
mod real_archives;
mod real_feeds;
mod real_loads;
mod real_reports;
mod refresh;
mod reports;
mod simulator;
mod watch;
