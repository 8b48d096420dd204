//! The change stream of StationData: its records as changes, and a reader of its shards.
//!
//! A stream consists of shards. A shard that closes has children, which continue it. Records of one
//! station are in order within a shard and from parent to child. The reader returns them in that
//! order, as Lambda does.

mod checkpoints;
mod reader;
mod records;
mod shards;

use aws_sdk_dynamodbstreams::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use divvy::store::{StoreError, StoreErrorKind};

pub use self::checkpoints::{Checkpoints, Place};
pub use self::reader::StreamReader;
pub use self::records::{Delivery, StreamChange, change};
use crate::connect;
use crate::item::station;

/// Makes the error of a failed request to a stream.
fn read_error<E>(error: &SdkError<E, HttpResponse>, stream_arn: &str) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let table = stream_arn.split("table/").nth(1);
    let table = table.and_then(|rest| rest.split('/').next());
    let doing = format!("reading the stream of {}", table.unwrap_or(station::TABLE));
    match error.code() {
        // The code of streams for too many readers of a shard.
        Some("LimitExceededException") => StoreError::new(
            StoreErrorKind::Busy,
            format!("{doing}: more than two consumers read it at once"),
        ),
        _ => connect::store_error(error, &doing),
    }
}
