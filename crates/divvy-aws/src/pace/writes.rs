//! Many writes: in batches, many batches at once, the lowest unfinished one known at any time.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, PutRequest, ReturnConsumedCapacity, WriteRequest,
};
use divvy::store::StoreError;
use tokio::task::JoinSet;

use super::calls::{Attempts, Trouble, trouble};
use super::paced::{Consumed, Key, PacedTable, Shared};
use super::write_units;
use crate::connect;
use crate::item::Item;
use crate::item::size::item_bytes;

/// One write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Puts an item in the place of any of its key.
    Put(Item),
    /// Deletes the item of a key.
    Delete(Key),
}

/// Writes that go together, at most [`Writer::batch`] of them, no key twice.
pub type Batch = Vec<Write>;

/// Bytes that go together at most; the service takes 16 MB, and a slow line less.
pub const BATCH_BYTES: u64 = 1 << 20;

/// Writes batch after batch; several are under way at once.
#[derive(Debug)]
pub struct Writer {
    table: Shared,
    under_way: JoinSet<Result<u64, StoreError>>,
    /// Where the batches begin that are not done, by their places.
    unfinished: BTreeMap<u64, u64>,
    next: u64,
    /// Writes handed in, those skipped included.
    position: u64,
}

impl Writer {
    /// Opens a writer whose first write is the one at `position`.
    pub fn new(table: Arc<PacedTable>, position: u64) -> Self {
        Self {
            table,
            under_way: JoinSet::new(),
            unfinished: BTreeMap::new(),
            next: 0,
            position,
        }
    }

    /// Returns how many writes to put into a batch: what two seconds give, 25 at most.
    pub fn batch(&self) -> usize {
        let index = self.table.index_write.as_ref();
        let rate = index.map_or(self.table.write.rate(), |index| {
            index.rate().min(self.table.write.rate())
        });
        ((rate * 2.0) as usize).clamp(1, 25)
    }

    /// Returns how many batches to have under way: one for each hundred units a second.
    fn width(&self) -> usize {
        ((self.table.write.rate() / 100.0) as usize).clamp(1, 64)
    }

    /// Returns the number of writes before which all are done.
    pub fn done(&self) -> u64 {
        let lowest = self.unfinished.first_key_value();
        lowest.map_or(self.position, |(_, begin)| *begin)
    }

    /// Hands in a batch; waits while too many are under way.
    ///
    /// # Errors
    ///
    /// The first failure of any batch.
    pub async fn write(&mut self, batch: Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        while self.under_way.len() >= self.width() {
            self.join().await?;
        }
        let place = self.next;
        self.next += 1;
        self.unfinished.insert(place, self.position);
        self.position += batch.len() as u64;
        let table = Arc::clone(&self.table);
        self.under_way
            .spawn(async move { table.write_batch(batch).await.map(|()| place) });
        Ok(())
    }

    /// Waits until all is done.
    ///
    /// # Errors
    ///
    /// The first failure of any batch.
    pub async fn finish(&mut self) -> Result<(), StoreError> {
        while !self.under_way.is_empty() {
            self.join().await?;
        }
        Ok(())
    }

    async fn join(&mut self) -> Result<(), StoreError> {
        if let Some(done) = self.under_way.join_next().await {
            let place = done.expect("a batch neither panics nor is it aborted")?;
            self.unfinished.remove(&place);
        }
        Ok(())
    }
}

impl PacedTable {
    /// Writes up to 25 items, however often it takes.
    async fn write_batch(&self, batch: Batch) -> Result<(), StoreError> {
        let doing = format!("write to {}", self.name);
        let mut attempts = Attempts::default();
        let mut requests: Vec<WriteRequest> = batch.into_iter().map(request).collect();
        while !requests.is_empty() {
            let (units, index_units) = cost(&requests);
            self.write.take(units).await;
            if let Some(index) = &self.index_write {
                index.take(index_units).await;
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
            self.write.settle(units, used.table);
            if let Some(index) = &self.index_write {
                index.settle(index_units, used.index);
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
                    }
                    if !left.is_empty() {
                        // Which of the two was short is not said; the dearer lane will show.
                        self.write.throttled();
                        if let Some(index) = &self.index_write {
                            index.throttled();
                        }
                        attempts.throttled().await;
                    }
                    requests = left;
                }
                Err(error) => match trouble(&error) {
                    Trouble::Throttled(shortage) => {
                        if shortage.table {
                            self.write.throttled();
                        }
                        if let Some(index) = self.index_write.as_ref().filter(|_| shortage.index) {
                            index.throttled();
                        }
                        attempts.throttled().await;
                    }
                    Trouble::Passing => {
                        self.give_up();
                        attempts.failed(&error, &doing).await?;
                    }
                    Trouble::Condition | Trouble::Final => {
                        return Err(connect::sentence(&error, &doing));
                    }
                },
            }
        }
        Ok(())
    }

    /// Writes all of these, in no promised order.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub async fn write_all(self: &Arc<Self>, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut writer = Writer::new(Arc::clone(self), 0);
        let mut batch = Vec::new();
        let mut bytes = 0;
        for write in writes {
            let size = match &write {
                Write::Put(item) => item_bytes(item),
                Write::Delete(_) => 0,
            };
            if batch.len() >= writer.batch() || bytes + size > BATCH_BYTES {
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

/// Guesses the units of some writes: of the table and of the index.
fn cost(requests: &[WriteRequest]) -> (f64, f64) {
    let indexed = |item: &HashMap<String, AttributeValue>| {
        f64::from(u8::from(item.contains_key(crate::tables::INDEX_KEY)))
    };
    requests.iter().fold((0.0, 0.0), |(table, index), request| {
        match request.put_request() {
            Some(put) => (
                table + write_units(item_bytes(put.item())),
                index + indexed(put.item()),
            ),
            // What is deleted costs its size, which only the answer tells.
            None => (table + 1.0, index + 1.0),
        }
    })
}
