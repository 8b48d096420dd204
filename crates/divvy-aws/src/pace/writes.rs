//! Many writes: in batches, several batches at a time, with the number of completed writes.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, PutRequest, ReturnConsumedCapacity, WriteRequest,
};
use divvy::store::StoreError;
use tokio::task::JoinSet;

use super::consumption::Consumed;
use super::failures::{Attempts, FailureKind, classify};
use super::table::{Key, PacedTable};
use crate::connect;
use crate::item::Item;
use crate::item::size::{item_bytes, write_units};
use crate::item::trip::INDEX_KEY;

/// One write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Puts an item; replaces the one with the same key.
    Put(Item),
    /// Deletes the item with a key.
    Delete(Key),
}

impl Write {
    /// Returns the bytes of the item; 0 for a delete.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Put(item) => item_bytes(item),
            Self::Delete(_) => 0,
        }
    }
}

/// Writes of one request: at most [`Writer::batch_size`], each with another key.
pub type Batch = Vec<Write>;

/// The most writes of one request:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>.
const MAX_BATCH_WRITES: usize = 25;
/// The largest size of a batch. The service takes 16 MB; a slow network would not finish these in
/// time.
pub const BATCH_BYTES: u64 = 1 << 20;

/// Writes batches, several at a time.
#[derive(Debug)]
pub struct Writer {
    table: Arc<PacedTable>,
    running: JoinSet<Result<u64, StoreError>>,
    /// The number of writes before each unfinished batch, by the batch's own number.
    unfinished: BTreeMap<u64, u64>,
    next_batch: u64,
    /// The number of writes that were passed to the writer, including skipped ones.
    handed_in: u64,
}

impl Writer {
    /// Makes a writer; `skipped` writes before its first were done earlier.
    pub fn new(table: Arc<PacedTable>, skipped: u64) -> Self {
        Self {
            table,
            running: JoinSet::new(),
            unfinished: BTreeMap::new(),
            next_batch: 0,
            handed_in: skipped,
        }
    }

    /// Returns the number of writes of a batch: what the capacity gives in two seconds, at most as
    /// many as a request may have.
    pub fn batch_size(&self) -> usize {
        let index = self.table.index_write.as_ref();
        let rate = index.map_or(self.table.write.rate(), |index| {
            index.rate().min(self.table.write.rate())
        });
        ((rate * 2.0) as usize).clamp(1, MAX_BATCH_WRITES)
    }

    /// Returns the number of batches to send at a time: one for each 100 units a second.
    fn concurrency(&self) -> usize {
        ((self.table.write.rate() / 100.0) as usize).clamp(1, 64)
    }

    /// Returns the number of writes, from the first on, that are all done.
    pub fn done(&self) -> u64 {
        let first = self.unfinished.first_key_value();
        first.map_or(self.handed_in, |(_, before)| *before)
    }

    /// Starts to write a batch; waits first while too many are running.
    ///
    /// # Errors
    ///
    /// The first failure of any batch.
    pub async fn write(&mut self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        while self.running.len() >= self.concurrency() {
            self.join().await?;
        }
        let number = self.next_batch;
        self.next_batch += 1;
        self.unfinished.insert(number, self.handed_in);
        self.handed_in += batch.len() as u64;
        let table = Arc::clone(&self.table);
        self.running
            .spawn(async move { table.write_batch(batch).await.map(|()| number) });
        Ok(())
    }

    /// Waits until all batches are written.
    ///
    /// # Errors
    ///
    /// The first failure of any batch.
    pub async fn finish(&mut self) -> Result<(), StoreError> {
        while !self.running.is_empty() {
            self.join().await?;
        }
        Ok(())
    }

    async fn join(&mut self) -> Result<(), StoreError> {
        if let Some(done) = self.running.join_next().await {
            let number = done.expect("a batch neither panics nor is it aborted")?;
            self.unfinished.remove(&number);
        }
        Ok(())
    }
}

impl PacedTable {
    /// Writes a batch; repeats the request for those that the service did not process.
    async fn write_batch(&self, batch: Batch) -> Result<(), StoreError> {
        let doing = format!("write to {}", self.name);
        let mut attempts = Attempts::default();
        let _open = self.stalls.begin();
        let mut requests: Vec<WriteRequest> = batch.into_iter().map(request).collect();
        while !requests.is_empty() {
            let (units, index_units) = expected_units(&requests);
            self.write.acquire(units).await;
            if let Some(index) = &self.index_write {
                index.acquire(index_units).await;
            }
            let result = self
                .client
                .batch_write_item()
                .request_items(&self.name, requests.clone())
                .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                .send()
                .await;
            let used = match &result {
                Ok(done) => Consumed::of_all(done.consumed_capacity()).unwrap_or(Consumed {
                    table: units,
                    index: index_units,
                }),
                Err(_) => Consumed::default(),
            };
            self.write.correct(units, used.table);
            if let Some(index) = &self.index_write {
                index.correct(index_units, used.index);
            }
            match result {
                Ok(done) => {
                    let left = done
                        .unprocessed_items
                        .unwrap_or_default()
                        .remove(&self.name);
                    let left = left.unwrap_or_default();
                    if left.len() < requests.len() {
                        attempts.progressed();
                        self.stalls.progressed();
                    }
                    if !left.is_empty() {
                        self.stalls.throttled(&[], &self.unnamed_capacity());
                        // The response does not contain which of the two capacities was exceeded.
                        self.write.record_throttle();
                        if let Some(index) = &self.index_write {
                            index.record_throttle();
                        }
                        attempts.throttled().await;
                    }
                    requests = left;
                }
                Err(error) => match classify(&error) {
                    FailureKind::Throttled(exceeded) => {
                        if exceeded.table {
                            self.write.record_throttle();
                        }
                        if let Some(index) = self.index_write.as_ref().filter(|_| exceeded.index) {
                            index.record_throttle();
                        }
                        let reasons = connect::throttles(&error);
                        self.stalls.throttled(&reasons, &self.unnamed_capacity());
                        attempts.throttled().await;
                    }
                    FailureKind::Transient => {
                        self.record_unanswered();
                        self.stalls.failed(connect::cause(&error));
                        attempts.failed(&error, &doing).await?;
                    }
                    FailureKind::Condition | FailureKind::Permanent => {
                        return Err(connect::store_error(&error, &doing));
                    }
                },
            }
        }
        Ok(())
    }

    /// Writes all of these, in any order.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub async fn write_all(self: &Arc<Self>, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut writer = Writer::new(Arc::clone(self), 0);
        let mut batch = Vec::new();
        let mut bytes = 0;
        for write in writes {
            let size = write.bytes();
            if batch.len() >= writer.batch_size() || bytes + size > BATCH_BYTES {
                writer.write(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += size;
            batch.push(write);
        }
        writer.write(batch).await?;
        writer.finish().await
    }
}

fn request(write: Write) -> WriteRequest {
    match write {
        Write::Put(item) => {
            let put = PutRequest::builder().set_item(Some(item)).build();
            WriteRequest::builder()
                .put_request(put.expect("an item is given"))
                .build()
        }
        Write::Delete(key) => {
            let delete = DeleteRequest::builder().set_key(Some(key)).build();
            WriteRequest::builder()
                .delete_request(delete.expect("a key is given"))
                .build()
        }
    }
}

/// Returns the expected units of some writes: of the table and of the index.
fn expected_units(requests: &[WriteRequest]) -> (f64, f64) {
    let indexed =
        |item: &HashMap<String, AttributeValue>| f64::from(u8::from(item.contains_key(INDEX_KEY)));
    requests.iter().fold((0.0, 0.0), |(table, index), request| {
        match request.put_request() {
            Some(put) => (
                table + write_units(item_bytes(put.item())) as f64,
                index + indexed(put.item()),
            ),
            // A delete consumes the size of the item, which only the response states.
            None => (table + 1.0, index + 1.0),
        }
    })
}
