//! The shards of a stream, and which of them can be read.

use std::collections::{BTreeSet, VecDeque};

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::types::Shard;
use divvy::store::StoreError;

use super::checkpoints::Checkpoints;
use super::read_error;

/// The shards of a stream as the service lists them.
#[derive(Clone, Debug)]
pub(super) struct Shards(Vec<Listed>);

#[derive(Clone, Debug)]
struct Listed {
    id: String,
    parent: Option<String>,
}

impl Listed {
    fn of(shard: &Shard) -> Option<Self> {
        Some(Self {
            id: shard.shard_id.clone()?,
            parent: shard.parent_shard_id.clone(),
        })
    }
}

impl Shards {
    /// Requests the list of shards.
    pub(super) async fn list(client: &Client, stream_arn: &str) -> Result<Self, StoreError> {
        let mut listed = Vec::new();
        let mut start = None;
        loop {
            let request = client.describe_stream().stream_arn(stream_arn);
            let answer = request.set_exclusive_start_shard_id(start).send().await;
            let answer = answer.map_err(|error| read_error(&error, stream_arn))?;
            let Some(described) = answer.stream_description else {
                break;
            };
            listed.extend(described.shards().iter().filter_map(Listed::of));
            start = described.last_evaluated_shard_id;
            if start.is_none() {
                break;
            }
        }
        Ok(Self(listed))
    }

    /// Returns the ids of the shards.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        self.0.iter().map(|shard| shard.id.as_str()).collect()
    }

    /// Lists the shards to be read now: not read to their end, but their parent is.
    pub(super) fn open(&self, reached: &Checkpoints) -> VecDeque<String> {
        let ids = self.ids();
        let open = self.0.iter().filter(|shard| {
            let parent = shard.parent.as_deref();
            let follows = parent.is_none_or(|id| reached.is_read(id) || !ids.contains(id));
            follows && !reached.is_read(&shard.id)
        });
        open.map(|shard| shard.id.clone()).collect()
    }
}
