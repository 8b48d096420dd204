//! Divvy Analyze on DynamoDB and Lambda.
