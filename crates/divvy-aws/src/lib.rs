//! Divvy Analyze on DynamoDB and Lambda.

pub mod connect;
pub mod item;
