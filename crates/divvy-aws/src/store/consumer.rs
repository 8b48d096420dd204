//! The change stream of StationData for consumers in the process, with their checkpoints.

use async_trait::async_trait;
use divvy::store::{Change, ChangeStream, StoreError};
use serde::{Deserialize, Serialize};

use super::DynamoStore;
use crate::ledger::Note;
use crate::stream::{self, Checkpoints, StreamReader};

/// The changes that a consumer has read and not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// The sequence of each change that it has, and the checkpoints after it.
    unacknowledged: Vec<(u64, Checkpoints)>,
}

/// The checkpoints of a consumer, as stored in the ledger.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Acknowledged {
    /// The sequence of the last acknowledged change.
    sequence: u64,
    shards: Checkpoints,
}

#[async_trait]
impl ChangeStream for DynamoStore {
    async fn changes(&self, consumer: &str, limit: usize) -> Result<Vec<Change>, StoreError> {
        let Some(stream) = &self.shared.tables.station_data.stream else {
            return Ok(Vec::new());
        };
        let Some(system) = self.system().await? else {
            return Ok(Vec::new());
        };
        let note = Note::Consumer(consumer);
        let acknowledged: Option<Acknowledged> = self.shared.ledger.note(note).await?;
        let Acknowledged {
            mut sequence,
            mut shards,
        } = acknowledged.unwrap_or_default();
        if shards.stream_arn != *stream {
            shards = Checkpoints::start(stream.as_str()); // the table was created again
        }
        let streams = self.shared.connection.streams.clone();
        let mut reader = StreamReader::new(streams, shards.clone());
        let mut changes: Vec<Change> = Vec::new();
        let mut unacknowledged: Vec<(u64, Checkpoints)> = Vec::new();
        while changes.len() < limit {
            let read = reader.read(limit - changes.len()).await?;
            if read.is_empty() {
                break;
            }
            for delivery in &read {
                shards.advance(delivery);
                sequence += 1;
                let change = match stream::change(&delivery.record, &system.id) {
                    Ok(change) => change,
                    // It would hold up all later records.
                    Err(error) => {
                        let note = format!("a record of the stream is left out: {error}");
                        self.shared.listener.note(&note);
                        None
                    }
                };
                if let Some(read) = change {
                    changes.push(Change {
                        sequence,
                        ..read.change
                    });
                    unacknowledged.push((sequence, shards.clone()));
                } else if let Some((_, after_last)) = unacknowledged.last_mut() {
                    after_last.clone_from(&shards); // a record without a change
                }
            }
        }
        let mut consumers = self.shared.consumers.lock().await;
        consumers.insert(consumer.into(), Consumer { unacknowledged });
        Ok(changes)
    }

    async fn acknowledge(&self, consumer: &str, sequence: u64) -> Result<(), StoreError> {
        let consumers = self.shared.consumers.lock().await;
        let read = consumers.get(consumer);
        let found = read.and_then(|read| {
            let mut changes = read.unacknowledged.iter();
            changes.find(|(read, _)| *read == sequence)
        });
        let Some((sequence, shards)) = found else {
            return Ok(());
        };
        let note = Note::Consumer(consumer);
        let kept: Option<Acknowledged> = self.shared.ledger.note(note).await?;
        if kept.is_some_and(|kept| kept.sequence >= *sequence) {
            return Ok(());
        }
        let acknowledged = Acknowledged {
            sequence: *sequence,
            shards: shards.clone(),
        };
        self.shared.ledger.put_note(note, &acknowledged).await
    }
}
