//! Bike-share trips and stations: read, tally, store, report.

#[cfg(feature = "alarms")]
pub mod alarms;
pub mod attribution;
#[cfg(feature = "export")]
pub mod export;
pub mod forecast;
pub mod history;
pub mod ingest;
pub mod issue;
pub mod model;
pub mod new_folder;
pub mod numerals;
pub mod outlook;
pub mod refresh;
pub mod reports;
pub mod sample;
pub mod sources;
pub mod stations;
pub mod store;
pub mod tally;
pub mod varint;
