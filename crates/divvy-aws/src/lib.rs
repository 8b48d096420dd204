//! Divvy Analyze on DynamoDB and Lambda.

pub mod blocks;
mod buckets;
pub mod export;
pub mod item;
pub mod plan;
pub mod sift;
