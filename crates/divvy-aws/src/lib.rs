//! Divvy Analyze on DynamoDB and Lambda.

pub mod blocks;
pub mod connect;
pub mod item;
pub mod ledger;
pub mod pace;
pub mod store;
pub mod stream;
pub mod tables;

pub use store::{DynamoStore, OpenOptions};
