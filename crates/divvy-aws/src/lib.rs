//! Divvy Analyze on DynamoDB and Lambda.

pub mod blocks;
