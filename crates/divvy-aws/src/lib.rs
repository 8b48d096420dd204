//! Divvy Analyze on DynamoDB and Lambda.

pub mod blocks;
mod buckets;
pub mod connect;
pub mod export;
pub mod item;
pub mod ledger;
pub mod metrics;
pub mod pace;
pub mod plan;
pub mod scheduled_poll;
pub mod settings;
pub mod sift;
pub mod station_stream;
pub mod store;
pub mod stream;
pub mod tables;

pub use store::{DynamoStore, OpenOptions};
