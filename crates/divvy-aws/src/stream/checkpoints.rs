//! How far a consumer has read a stream.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::records::Delivery;
use crate::item;

/// The places in a stream up to which a consumer has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// The stream. A table that was created again has another one.
    pub stream_arn: String,
    /// The shards that were begun. Others are read from their start.
    pub shards: BTreeMap<String, Place>,
}

/// The place in a shard up to which it has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// After the record with a sequence number.
    After(String),
    /// At its end: the shard is closed.
    End,
}

impl Checkpoints {
    /// Makes the checkpoints of an unread stream.
    pub fn start(stream_arn: impl Into<String>) -> Self {
        Self {
            stream_arn: stream_arn.into(),
            shards: BTreeMap::new(),
        }
    }

    /// Moves past a record that is done. Never moves back.
    pub fn advance(&mut self, delivery: &Delivery) {
        let Some(done) = &delivery.record.change.sequence_number else {
            return;
        };
        self.move_to(&delivery.shard, Place::After(done.clone()));
    }

    /// Moves to a place in a shard. Never moves back.
    pub(super) fn move_to(&mut self, shard: &str, place: Place) {
        let number = |place: &Place| match place {
            Place::After(sequence) => item::count::padded_sequence(sequence),
            // Greater than every digit.
            Place::End => "~".into(),
        };
        let known = self.shards.get(shard);
        if known.is_none_or(|known| number(known) < number(&place)) {
            self.shards.insert(shard.into(), place);
        }
    }

    /// Returns whether a shard was read to its end.
    pub(super) fn is_read(&self, shard: &str) -> bool {
        self.shards.get(shard) == Some(&Place::End)
    }

    /// Drops the checkpoints of shards that no longer exist. Returns whether one of these was not
    /// read to its end.
    pub(super) fn retain(&mut self, existing: &BTreeSet<&str>) -> bool {
        let mut is_lost = false;
        self.shards.retain(|id, place| {
            let exists = existing.contains(id.as_str());
            is_lost |= !exists && *place != Place::End;
            exists
        });
        is_lost
    }
}
