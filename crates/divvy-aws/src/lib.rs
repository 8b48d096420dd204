//! Divvy Analyze on DynamoDB and Lambda.

pub mod connect;
pub mod item;
pub mod metrics;
pub mod scheduled_poll;
pub mod station_stream;
pub mod stream;
