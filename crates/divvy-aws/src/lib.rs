//! Divvy Analyze on DynamoDB and Lambda.

pub mod connect;
pub mod item;
pub mod ledger;
pub mod pace;
pub mod tables;
