//! One table with its lanes: single requests, pages and whole scans.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity, Select,
    TransactWriteItem,
};
use divvy::store::StoreError;
use tokio::time::Instant;

use super::calls::{Attempts, Failure, Trouble, trouble};
use super::lane::Lane;
use super::{READ_UNIT_EVENTUAL, write_units};
use crate::connect;
use crate::item::Item;
use crate::item::size::item_bytes;
use crate::tables::{Described, INDEX};

/// The key of an item.
pub type Key = Item;

/// Bytes of an index entry, about: what a page limit is guessed from.
const ENTRY_BYTES: f64 = 60.0;

/// A table, paced.
#[derive(Debug)]
pub struct PacedTable {
    pub(super) client: Client,
    /// Its name.
    pub name: String,
    /// Writes of the table.
    pub write: Lane,
    /// Reads of the table.
    pub read: Lane,
    /// Writes of its index. `None` where it has none.
    pub index_write: Option<Lane>,
    /// Reads of its index.
    pub index_read: Option<Lane>,
    /// When a write was last sent whose answer did not come.
    pub(super) given_up: Mutex<Option<Instant>>,
}

/// Units that the service has charged to a table, and how often it refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Used {
    /// Write units of the table.
    pub write: f64,
    /// Write units of its index.
    pub index_write: f64,
    /// Read units of the table.
    pub read: f64,
    /// Read units of its index.
    pub index_read: f64,
    /// Throttled requests, of all four.
    pub throttles: u64,
}

impl Used {
    /// Returns what was used since an earlier moment.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            write: self.write - before.write,
            index_write: self.index_write - before.index_write,
            read: self.read - before.read,
            index_read: self.index_read - before.index_read,
            throttles: self.throttles - before.throttles,
        }
    }
}

/// What one request consumed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consumed {
    /// Of the table.
    pub table: f64,
    /// Of the index.
    pub index: f64,
}

impl Consumed {
    /// Reads what the service says. `None` where it says nothing.
    pub fn of(said: Option<&ConsumedCapacity>) -> Option<Self> {
        let said = said?;
        let index = said.global_secondary_indexes();
        let index: f64 = index
            .into_iter()
            .flat_map(HashMap::values)
            .filter_map(|capacity| capacity.capacity_units())
            .sum();
        let all = said.capacity_units().unwrap_or_default();
        let table = said.table().and_then(|table| table.capacity_units());
        Some(Self {
            table: table.unwrap_or(all - index),
            index,
        })
    }

    /// Adds up what the service says of a batch.
    pub fn of_all(said: &[ConsumedCapacity]) -> Option<Self> {
        said.iter()
            .filter_map(|one| Self::of(Some(one)))
            .reduce(|a, b| Self {
                table: a.table + b.table,
                index: a.index + b.index,
            })
    }
}

/// A page of a scan or query.
pub type Scanned = (Vec<Item>, Option<Key>);

impl PacedTable {
    /// Opens a table with the capacity it was described to have; `share` of it.
    pub fn new(client: Client, described: &Described, share: f64) -> Self {
        let lane = |grant: super::Grant| {
            Lane::new(super::Grant {
                rate: grant.rate * share,
                ceiling: grant.ceiling * share,
                burst: grant.burst && share >= 1.0,
            })
        };
        Self {
            client,
            name: described.name.clone(),
            write: lane(described.table.write),
            read: lane(described.table.read),
            index_write: described.index.map(|index| lane(index.write)),
            index_read: described.index.map(|index| lane(index.read)),
            given_up: Mutex::new(None),
        }
    }

    /// Returns when the last write of a batch was given up because no answer came: it may still
    /// arrive. `None` where all were answered.
    pub fn given_up_at(&self) -> Option<Instant> {
        *self.given_up.lock().expect("no holder of this lock panics")
    }

    pub(super) fn give_up(&self) {
        let mut given_up = self.given_up.lock().expect("no holder of this lock panics");
        *given_up = Some(Instant::now());
    }

    /// Returns what has been charged so far.
    pub fn used(&self) -> Used {
        let of = |lane: &Option<Lane>, get: fn(&Lane) -> f64| lane.as_ref().map_or(0.0, get);
        let lanes = [
            Some(&self.write),
            Some(&self.read),
            self.index_write.as_ref(),
            self.index_read.as_ref(),
        ];
        Used {
            write: self.write.used(),
            index_write: of(&self.index_write, Lane::used),
            read: self.read.used(),
            index_read: of(&self.index_read, Lane::used),
            throttles: lanes.into_iter().flatten().map(Lane::throttles).sum(),
        }
    }

    /// Repeats a request until it is done, on the given lanes. `None` where its condition does
    /// not hold.
    async fn repeat<T, E: Failure, F: Future<Output = Result<T, SdkError<E>>>>(
        &self,
        doing: &str,
        (lane, units): (&Lane, f64),
        index: Option<(&Lane, f64)>,
        mut request: impl FnMut() -> F,
        consumed: impl Fn(&T) -> Option<Consumed>,
    ) -> Result<Option<T>, StoreError> {
        let mut attempts = Attempts::default();
        loop {
            lane.take(units).await;
            if let Some((index, units)) = index {
                index.take(units).await;
            }
            let result = request().await;
            let used = match &result {
                Ok(done) => consumed(done).unwrap_or(Consumed {
                    table: units,
                    index: index.map_or(0.0, |(_, units)| units),
                }),
                // A condition that does not hold is charged; what failed mostly is not.
                Err(error) if matches!(trouble(error), Trouble::Condition) => Consumed {
                    table: units,
                    index: 0.0,
                },
                Err(_) => Consumed::default(),
            };
            match index {
                Some((index, charged)) => {
                    lane.settle(units, used.table);
                    index.settle(charged, used.index);
                }
                None => lane.settle(units, used.table + used.index),
            }
            let error = match result {
                Ok(done) => return Ok(Some(done)),
                Err(error) => error,
            };
            match trouble(&error) {
                Trouble::Condition => return Ok(None),
                Trouble::Throttled(shortage) => {
                    if !shortage.key_range {
                        lane.throttled();
                        if let Some((index, _)) = index.filter(|_| shortage.index) {
                            index.throttled();
                        }
                    }
                    attempts.throttled().await;
                }
                Trouble::Passing => attempts.failed(&error, doing).await?,
                Trouble::Final => return Err(connect::sentence(&error, doing)),
            }
        }
    }

    /// Puts one item, if `condition` holds of the one it replaces. Returns whether it did.
    ///
    /// A put whose answer was lost is repeated, and then finds its own item: the caller must bear
    /// that by looking at the item when it is told that the condition does not hold.
    pub async fn put_if(
        &self,
        item: Item,
        condition: Option<(&str, HashMap<String, AttributeValue>)>,
    ) -> Result<bool, StoreError> {
        let units = write_units(item_bytes(&item));
        let doing = format!("write to {}", self.name);
        let done = self
            .repeat(
                &doing,
                (&self.write, units),
                None,
                || {
                    let mut request = self
                        .client
                        .put_item()
                        .table_name(&self.name)
                        .set_item(Some(item.clone()))
                        .return_consumed_capacity(ReturnConsumedCapacity::Indexes);
                    if let Some((text, values)) = &condition {
                        let values = (!values.is_empty()).then(|| values.clone());
                        request = request
                            .condition_expression(*text)
                            .set_expression_attribute_values(values);
                    }
                    request.send()
                },
                |done| Consumed::of(done.consumed_capacity()),
            )
            .await?;
        Ok(done.is_some())
    }

    /// Deletes one item, if `condition` holds of it. Returns whether it did.
    pub async fn delete_if(
        &self,
        key: Key,
        condition: Option<(&str, HashMap<String, AttributeValue>)>,
    ) -> Result<bool, StoreError> {
        let doing = format!("delete from {}", self.name);
        let done = self
            .repeat(
                &doing,
                (&self.write, 1.0),
                None,
                || {
                    let mut request = self
                        .client
                        .delete_item()
                        .table_name(&self.name)
                        .set_key(Some(key.clone()))
                        .return_consumed_capacity(ReturnConsumedCapacity::Indexes);
                    if let Some((text, values)) = &condition {
                        let values = (!values.is_empty()).then(|| values.clone());
                        request = request
                            .condition_expression(*text)
                            .set_expression_attribute_values(values);
                    }
                    request.send()
                },
                |done| Consumed::of(done.consumed_capacity()),
            )
            .await?;
        Ok(done.is_some())
    }

    /// Gets one item, with all that was written before. `None` where there is none.
    pub async fn get(&self, key: Key) -> Result<Option<Item>, StoreError> {
        let doing = format!("read {}", self.name);
        let done = self
            .repeat(
                &doing,
                (&self.read, 1.0),
                None,
                || {
                    self.client
                        .get_item()
                        .table_name(&self.name)
                        .set_key(Some(key.clone()))
                        .consistent_read(true)
                        .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                        .send()
                },
                |done| Consumed::of(done.consumed_capacity()),
            )
            .await?;
        Ok(done.and_then(|done| done.item))
    }

    /// Gets many items, in no promised order; those that are not there are left out.
    pub async fn get_all(&self, keys: Vec<Key>) -> Result<Vec<Item>, StoreError> {
        /// As many as the service takes at once.
        const MOST: usize = 100;
        let doing = format!("read {}", self.name);
        let at_once = ((self.read.rate() * 2.0) as usize).clamp(1, MOST);
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(at_once) {
            let mut wanted = keys.to_vec();
            let mut attempts = Attempts::default();
            while !wanted.is_empty() {
                let request = KeysAndAttributes::builder()
                    .set_keys(Some(wanted.clone()))
                    .consistent_read(true)
                    .build()
                    .expect("keys are given");
                let done = self
                    .repeat(
                        &doing,
                        (&self.read, wanted.len() as f64),
                        None,
                        || {
                            self.client
                                .batch_get_item()
                                .request_items(&self.name, request.clone())
                                .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                                .send()
                        },
                        |done| Consumed::of_all(done.consumed_capacity()),
                    )
                    .await?
                    .expect("a read has no condition");
                let some = done.responses.unwrap_or_default().remove(&self.name);
                found.extend(some.unwrap_or_default());
                let left = done.unprocessed_keys.unwrap_or_default().remove(&self.name);
                let left: Vec<Key> = left.map(|left| left.keys).unwrap_or_default();
                if !left.is_empty() {
                    self.read.throttled();
                    if left.len() < wanted.len() {
                        attempts.progressed();
                    }
                    attempts.throttled().await;
                }
                wanted = left;
            }
        }
        Ok(found)
    }

    /// Reads one page of a scan. `segment` is one of how many parts.
    pub async fn scan_page(
        &self,
        (segment, segments): (i32, i32),
        from: Option<Key>,
        consistent: bool,
    ) -> Result<Scanned, StoreError> {
        let doing = format!("read {}", self.name);
        let (limit, units) = page(self.read.rate(), 400.0);
        let done = self
            .repeat(
                &doing,
                (&self.read, units),
                None,
                || {
                    self.client
                        .scan()
                        .table_name(&self.name)
                        .set_exclusive_start_key(from.clone())
                        .segment(segment)
                        .total_segments(segments)
                        .limit(limit)
                        .consistent_read(consistent)
                        .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                        .send()
                },
                |done| Consumed::of(done.consumed_capacity()),
            )
            .await?
            .expect("a read has no condition");
        Ok((done.items.unwrap_or_default(), done.last_evaluated_key))
    }

    /// Reads a whole table, page by page.
    pub async fn scan(&self, consistent: bool) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let (some, next) = self.scan_page((0, 1), from, consistent).await?;
            items.extend(some);
            from = next;
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    /// Reads all items under one hash key whose range key begins with a prefix, in their order.
    /// `bytes` is about how large one is.
    pub async fn query(
        &self,
        (hash, value): (&str, &str),
        range: Option<(&str, &str)>,
        bytes: f64,
    ) -> Result<Vec<Item>, StoreError> {
        let doing = format!("read {}", self.name);
        let (limit, _) = page(self.read.rate(), bytes);
        let mut items = Vec::new();
        let mut from: Option<Key> = None;
        loop {
            let done = self
                .repeat(
                    &doing,
                    (&self.read, 1.0),
                    None,
                    || {
                        let mut request = self
                            .client
                            .query()
                            .table_name(&self.name)
                            .key_condition_expression("#h = :h")
                            .expression_attribute_names("#h", hash)
                            .expression_attribute_values(":h", AttributeValue::S(value.into()))
                            .consistent_read(true)
                            .limit(limit)
                            .set_exclusive_start_key(from.clone())
                            .return_consumed_capacity(ReturnConsumedCapacity::Indexes);
                        if let Some((name, prefix)) = range {
                            request = request
                                .key_condition_expression("#h = :h AND begins_with(#r, :r)")
                                .expression_attribute_names("#r", name)
                                .expression_attribute_values(
                                    ":r",
                                    AttributeValue::S(prefix.into()),
                                );
                        }
                        request.send()
                    },
                    |done| Consumed::of(done.consumed_capacity()),
                )
                .await?
                .expect("a read has no condition");
            items.extend(done.items.unwrap_or_default());
            from = done.last_evaluated_key;
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    /// Writes several items or none. Returns whether all conditions did hold.
    ///
    /// `token` makes a repeated request the same one: at most 36 letters.
    pub async fn transact(
        &self,
        actions: Vec<TransactWriteItem>,
        token: &str,
    ) -> Result<bool, StoreError> {
        let doing = format!("commit to {}", self.name);
        let units = 2.0 * actions.len() as f64;
        let done = self
            .repeat(
                &doing,
                (&self.write, units),
                None,
                || {
                    self.client
                        .transact_write_items()
                        .set_transact_items(Some(actions.clone()))
                        .client_request_token(token)
                        .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                        .send()
                },
                |done| Consumed::of_all(done.consumed_capacity()),
            )
            .await?;
        Ok(done.is_some())
    }

    /// Counts the entries of the index under one key, page by page, none dearer than what a
    /// second gives. Where entries carry a number `n` of rows (the packed layout), adds these up.
    pub async fn count(&self, key: &str, value: &str, packed: bool) -> Result<u64, StoreError> {
        let doing = format!("read the index of {}", self.name);
        let lane = self.index_read.as_ref().unwrap_or(&self.read);
        let mut n = 0;
        let mut from: Option<Key> = None;
        loop {
            let (limit, units) = page(lane.rate(), ENTRY_BYTES);
            let done = self
                .repeat(
                    &doing,
                    // A first page is mostly the last: half a unit is the least.
                    (lane, if from.is_none() { 0.5 } else { units }),
                    None,
                    || {
                        self.client
                            .query()
                            .table_name(&self.name)
                            .index_name(INDEX)
                            .key_condition_expression("#k = :k")
                            .expression_attribute_names("#k", key)
                            .expression_attribute_values(":k", AttributeValue::S(value.into()))
                            .set_select((!packed).then_some(Select::Count))
                            .limit(limit)
                            .set_exclusive_start_key(from.clone())
                            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                            .send()
                    },
                    |done| Consumed::of(done.consumed_capacity()),
                )
                .await?
                .expect("a read has no condition");
            n += match packed {
                false => done.count.max(0) as u64,
                true => done
                    .items
                    .iter()
                    .flatten()
                    .filter_map(|item| item.get("n")?.as_n().ok()?.parse::<u64>().ok())
                    .sum(),
            };
            from = done.last_evaluated_key;
            if from.is_none() {
                return Ok(n);
            }
        }
    }
}

/// Chooses a page that costs about what a second gives, at most as much as the service hands out
/// (1 MB): its limit, and the units it may cost. There is a limit always: without one an emulator
/// may read a whole table for each page of it.
fn page(rate: f64, bytes: f64) -> (i32, f64) {
    const WHOLE_PAGE: f64 = 1_048_576.0 / READ_UNIT_EVENTUAL;
    let limit = |units: f64| (units * READ_UNIT_EVENTUAL / bytes).floor().max(1.0) as i32;
    match rate >= WHOLE_PAGE {
        true => (limit(WHOLE_PAGE), WHOLE_PAGE / 2.0),
        false => (limit(rate), rate),
    }
}

/// Shared by the batches under way.
pub(super) type Shared = Arc<PacedTable>;
