//! Tests of the library.
//!
//! They are one binary, because linking takes longer than compiling a file of tests.
#![expect(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod any_bytes;
mod architecture;
#[cfg(feature = "embedded")]
mod as_of;
mod conformance;
mod divvy_history;
mod embedded_store;
mod export;
mod flows;
mod forecast;
mod formats_doc;
#[cfg(feature = "embedded")]
mod history;
mod ingest;
mod real_archives;
mod real_feeds;
mod real_loads;
mod real_reports;
mod recordings;
mod refresh;
mod replay;
mod reports;
mod service;
mod simulator;
mod watch;
