//! Divvy Analyze on DynamoDB and Lambda.

#[cfg(feature = "local")]
pub mod local;
