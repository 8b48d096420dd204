//! Divvy Analyze on DynamoDB and Lambda.

pub mod blocks;
pub mod connect;
pub mod duplicate_estimate;
pub mod export;
pub mod item;
pub mod lambda;
pub mod ledger;
pub mod pace;
pub mod plan;
pub mod store;
pub mod stream;
pub mod tables;

pub use store::{DynamoStore, OpenOptions};
