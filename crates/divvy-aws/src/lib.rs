//! Divvy Analyze on DynamoDB and Lambda.

pub mod blocks;
pub mod item;
