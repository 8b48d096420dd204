//! One table with its capacity limiters: single requests, queries and scans.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Mutex;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemOutput;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::put_item::PutItemOutput;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsOutput;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity, Select,
    TransactWriteItem,
};
use divvy::store::StoreError;
use tokio::time::Instant;

use super::capacity_limiter::CapacityLimiter;
use super::failures::{Attempts, FailureKind, OperationError, classify};
use crate::connect;
use crate::item::Item;
use crate::item::size::{PAGE_BYTES, READ_UNIT_BYTES, item_bytes, write_units};
use crate::tables::{Described, Grant, INDEX};

/// The key of an item.
pub type Key = Item;

/// The usual size of an index entry, for the limit of a page.
const ENTRY_BYTES: f64 = 60.0;

/// A table whose requests wait for its capacity.
#[derive(Debug)]
pub struct PacedTable {
    pub(super) client: Client,
    /// Its name.
    pub name: String,
    /// The write capacity of the table.
    pub write: CapacityLimiter,
    /// The read capacity of the table.
    pub read: CapacityLimiter,
    /// The write capacity of its index. `None` where it has none.
    pub index_write: Option<CapacityLimiter>,
    /// The read capacity of its index. `None` where it has none.
    pub index_read: Option<CapacityLimiter>,
    /// When a write was last given up without an answer.
    unanswered: Mutex<Option<Instant>>,
}

/// Consumed units of a table, and its throttled requests.
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
    /// Throttled requests of all four capacities.
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

/// The units that one request consumed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Consumed {
    /// Of the table.
    pub table: f64,
    /// Of the index.
    pub index: f64,
}

impl Consumed {
    /// Reads the consumed capacity of an answer. `None` where the answer has none.
    pub(super) fn of(capacity: Option<&ConsumedCapacity>) -> Option<Self> {
        let capacity = capacity?;
        let index = capacity.global_secondary_indexes();
        let index: f64 = index
            .into_iter()
            .flat_map(HashMap::values)
            .filter_map(|capacity| capacity.capacity_units())
            .sum();
        let all = capacity.capacity_units().unwrap_or_default();
        let table = capacity.table().and_then(|table| table.capacity_units());
        Some(Self {
            table: table.unwrap_or(all - index),
            index,
        })
    }

    /// Adds up the consumed capacity of a batch.
    pub(super) fn of_all(capacities: &[ConsumedCapacity]) -> Option<Self> {
        let capacities = capacities.iter();
        capacities
            .filter_map(|one| Self::of(Some(one)))
            .reduce(|a, b| Self {
                table: a.table + b.table,
                index: a.index + b.index,
            })
    }
}

impl PacedTable {
    /// Makes a table that uses a share, up to 1, of its described capacity.
    pub fn new(client: Client, described: &Described, share: f64) -> Self {
        let limiter = |grant: Grant| {
            CapacityLimiter::new(Grant {
                rate: grant.rate * share,
                ceiling: grant.ceiling * share,
                burst: grant.burst && share >= 1.0,
            })
        };
        Self {
            client,
            name: described.name.clone(),
            write: limiter(described.table.write),
            read: limiter(described.table.read),
            index_write: described.index.map(|index| limiter(index.write)),
            index_read: described.index.map(|index| limiter(index.read)),
            unanswered: Mutex::new(None),
        }
    }

    /// Returns when a batch of writes was last given up without an answer: its writes may still
    /// arrive. `None` where all were answered.
    pub fn unanswered_at(&self) -> Option<Instant> {
        *self
            .unanswered
            .lock()
            .expect("no holder of this lock panics")
    }

    pub(super) fn record_unanswered(&self) {
        let mut unanswered = self
            .unanswered
            .lock()
            .expect("no holder of this lock panics");
        *unanswered = Some(Instant::now());
    }

    /// Returns what was consumed so far.
    pub fn used(&self) -> Used {
        let index_write = self.index_write.as_ref();
        let index_read = self.index_read.as_ref();
        let limiters = [Some(&self.write), Some(&self.read), index_write, index_read];
        let throttles = limiters.into_iter().flatten();
        Used {
            write: self.write.used(),
            index_write: index_write.map_or(0.0, CapacityLimiter::used),
            read: self.read.used(),
            index_read: index_read.map_or(0.0, CapacityLimiter::used),
            throttles: throttles.map(CapacityLimiter::throttles).sum(),
        }
    }

    /// Sends a request until it succeeds, charging its units to a limiter. `None` where its
    /// condition does not hold.
    async fn repeat<T, E: OperationError, F: Future<Output = Result<T, SdkError<E>>>>(
        &self,
        doing: &str,
        (limiter, units): (&CapacityLimiter, f64),
        mut request: impl FnMut() -> F,
        consumed: impl Fn(&T) -> Option<Consumed>,
    ) -> Result<Option<T>, StoreError> {
        let mut attempts = Attempts::default();
        loop {
            limiter.acquire(units).await;
            let result = request().await;
            let failure = result.as_ref().err().map(classify);
            limiter.correct(
                units,
                match &result {
                    Ok(done) => consumed(done).map_or(units, |used| used.table + used.index),
                    // A write whose condition does not hold is charged; other failures mostly not.
                    Err(_) if matches!(failure, Some(FailureKind::Condition)) => units,
                    Err(_) => 0.0,
                },
            );
            let (error, failure) = match (result, failure) {
                (Err(error), Some(failure)) => (error, failure),
                (result, _) => return Ok(result.ok()),
            };
            match failure {
                FailureKind::Condition => return Ok(None),
                FailureKind::Throttled(exceeded) => {
                    if !exceeded.key_range {
                        limiter.record_throttle();
                    }
                    attempts.throttled().await;
                }
                FailureKind::Transient => attempts.failed(&error, doing).await?,
                FailureKind::Permanent => return Err(connect::store_error(&error, doing)),
            }
        }
    }

    /// Puts one item, if `condition` holds of the item that it replaces. Returns whether it did.
    ///
    /// A put whose answer was lost is repeated, and then its condition may fail because of its own
    /// item: on `false` the caller has to compare the stored item.
    pub async fn put_if(
        &self,
        item: Item,
        condition: Option<Condition<'_>>,
    ) -> Result<bool, StoreError> {
        let units = write_units(item_bytes(&item)) as f64;
        let doing = format!("write to {}", self.name);
        let condition = ConditionFields::of(condition);
        let request = || {
            self.client
                .put_item()
                .table_name(&self.name)
                .set_item(Some(item.clone()))
                .set_condition_expression(condition.expression.clone())
                .set_expression_attribute_names(condition.names.clone())
                .set_expression_attribute_values(condition.values.clone())
                .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                .send()
        };
        let consumed = |done: &PutItemOutput| Consumed::of(done.consumed_capacity());
        let done = self.repeat(&doing, (&self.write, units), request, consumed);
        Ok(done.await?.is_some())
    }

    /// Deletes one item, if `condition` holds of it. Returns whether it did.
    pub async fn delete_if(
        &self,
        key: Key,
        condition: Option<Condition<'_>>,
    ) -> Result<bool, StoreError> {
        let doing = format!("delete from {}", self.name);
        let condition = ConditionFields::of(condition);
        let request = || {
            self.client
                .delete_item()
                .table_name(&self.name)
                .set_key(Some(key.clone()))
                .set_condition_expression(condition.expression.clone())
                .set_expression_attribute_names(condition.names.clone())
                .set_expression_attribute_values(condition.values.clone())
                .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                .send()
        };
        let consumed = |done: &DeleteItemOutput| Consumed::of(done.consumed_capacity());
        let done = self.repeat(&doing, (&self.write, 1.0), request, consumed);
        Ok(done.await?.is_some())
    }

    /// Gets one item by a strongly consistent read. `None` where there is none.
    pub async fn get(&self, key: Key) -> Result<Option<Item>, StoreError> {
        let request = || {
            self.client
                .get_item()
                .table_name(&self.name)
                .set_key(Some(key.clone()))
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                .send()
        };
        let consumed = |done: &GetItemOutput| Consumed::of(done.consumed_capacity());
        let doing = self.reading();
        let done = self.repeat(&doing, (&self.read, 1.0), request, consumed);
        Ok(done.await?.and_then(|done| done.item))
    }

    /// Gets many items by strongly consistent reads, in any order, without those that are missing.
    pub async fn get_all(&self, keys: Vec<Key>) -> Result<Vec<Item>, StoreError> {
        /// The most keys of one request.
        const MAX_KEYS: usize = 100;
        let doing = self.reading();
        let batch = ((self.read.rate() * 2.0) as usize).clamp(1, MAX_KEYS);
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(batch) {
            let mut wanted = keys.to_vec();
            let mut attempts = Attempts::default();
            while !wanted.is_empty() {
                let keys = KeysAndAttributes::builder()
                    .set_keys(Some(wanted.clone()))
                    .consistent_read(true)
                    .build()
                    .expect("keys are given");
                let request = || {
                    self.client
                        .batch_get_item()
                        .request_items(&self.name, keys.clone())
                        .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                        .send()
                };
                let consumed =
                    |done: &BatchGetItemOutput| Consumed::of_all(done.consumed_capacity());
                let units = wanted.len() as f64;
                let done = self.repeat(&doing, (&self.read, units), request, consumed);
                let done = done.await?.expect(NO_CONDITION);
                let items = done.responses.unwrap_or_default().remove(&self.name);
                found.extend(items.unwrap_or_default());
                let left = done.unprocessed_keys.unwrap_or_default().remove(&self.name);
                let left: Vec<Key> = left.map(|left| left.keys).unwrap_or_default();
                if !left.is_empty() {
                    self.read.record_throttle();
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

    /// Begins a strongly consistent scan of the table.
    pub fn scan(&self) -> Scan<'_> {
        Scan {
            table: self,
            start: None,
            is_done: false,
        }
    }

    /// Reads all items with a hash key, in the order of their range keys; with `prefix`, those
    /// whose range key (attribute, value) begins with it. `bytes` is the usual size of an item.
    pub async fn query(
        &self,
        (hash, value): (&str, &str),
        prefix: Option<(&str, &str)>,
        bytes: f64,
    ) -> Result<Vec<Item>, StoreError> {
        let doing = self.reading();
        let (limit, _) = page_size(self.read.rate(), bytes);
        let text = |text: &str| AttributeValue::S(text.into());
        let mut items = Vec::new();
        let mut start: Option<Key> = None;
        loop {
            let request = || {
                let mut request = self
                    .client
                    .query()
                    .table_name(&self.name)
                    .key_condition_expression("#h = :h")
                    .expression_attribute_names("#h", hash)
                    .expression_attribute_values(":h", text(value))
                    .consistent_read(true)
                    .limit(limit)
                    .set_exclusive_start_key(start.clone())
                    .return_consumed_capacity(ReturnConsumedCapacity::Indexes);
                if let Some((name, prefix)) = prefix {
                    request = request
                        .key_condition_expression("#h = :h AND begins_with(#r, :r)")
                        .expression_attribute_names("#r", name)
                        .expression_attribute_values(":r", text(prefix));
                }
                request.send()
            };
            let consumed = |done: &QueryOutput| Consumed::of(done.consumed_capacity());
            let done = self.repeat(&doing, (&self.read, 1.0), request, consumed);
            let done = done.await?.expect(NO_CONDITION);
            items.extend(done.items.unwrap_or_default());
            start = done.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// Writes several items or none. Returns whether all conditions held.
    ///
    /// `token` identifies the request when it is repeated: at most 36 characters.
    pub async fn transact(
        &self,
        actions: Vec<TransactWriteItem>,
        token: &str,
    ) -> Result<bool, StoreError> {
        let doing = format!("commit to {}", self.name);
        let units = 2.0 * actions.len() as f64;
        let request = || {
            self.client
                .transact_write_items()
                .set_transact_items(Some(actions.clone()))
                .client_request_token(token)
                .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                .send()
        };
        let consumed = |done: &TransactWriteItemsOutput| Consumed::of_all(done.consumed_capacity());
        let done = self.repeat(&doing, (&self.write, units), request, consumed);
        Ok(done.await?.is_some())
    }

    /// Counts the entries of the index with a key, page by page; the cost of a page is at most the
    /// units of one second. In the packed layout, adds up the attribute `n` of the entries.
    pub async fn count(&self, key: &str, value: &str, packed: bool) -> Result<u64, StoreError> {
        let doing = format!("read the index of {}", self.name);
        let limiter = self.index_read.as_ref().unwrap_or(&self.read);
        let mut n = 0;
        let mut start: Option<Key> = None;
        loop {
            let (limit, units) = page_size(limiter.rate(), ENTRY_BYTES);
            // Most keys have one small page, and half a unit is the least that is charged.
            let units = if start.is_none() { 0.5 } else { units };
            let request = || {
                self.client
                    .query()
                    .table_name(&self.name)
                    .index_name(INDEX)
                    .key_condition_expression("#k = :k")
                    .expression_attribute_names("#k", key)
                    .expression_attribute_values(":k", AttributeValue::S(value.into()))
                    .set_select((!packed).then_some(Select::Count))
                    .limit(limit)
                    .set_exclusive_start_key(start.clone())
                    .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                    .send()
            };
            let consumed = |done: &QueryOutput| Consumed::of(done.consumed_capacity());
            let done = self.repeat(&doing, (limiter, units), request, consumed);
            let done = done.await?.expect(NO_CONDITION);
            n += if packed {
                let items = done.items.iter().flatten();
                items
                    .filter_map(|item| item.get("n")?.as_n().ok()?.parse::<u64>().ok())
                    .sum()
            } else {
                done.count.max(0) as u64
            };
            start = done.last_evaluated_key;
            if start.is_none() {
                return Ok(n);
            }
        }
    }

    fn reading(&self) -> String {
        format!("read {}", self.name)
    }
}

/// A scan of a whole table, page by page.
#[derive(Debug)]
pub struct Scan<'a> {
    table: &'a PacedTable,
    start: Option<Key>,
    is_done: bool,
}

impl Scan<'_> {
    /// Reads the next page. `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Item>>, StoreError> {
        /// The usual size of an item.
        const ITEM_BYTES: f64 = 400.0;
        if self.is_done {
            return Ok(None);
        }
        let table = self.table;
        let (limit, units) = page_size(table.read.rate(), ITEM_BYTES);
        let request = || {
            table
                .client
                .scan()
                .table_name(&table.name)
                .set_exclusive_start_key(self.start.clone())
                .limit(limit)
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
                .send()
        };
        let consumed = |done: &ScanOutput| Consumed::of(done.consumed_capacity());
        let doing = table.reading();
        let done = table.repeat(&doing, (&table.read, units), request, consumed);
        let done = done.await?.expect(NO_CONDITION);
        self.is_done = done.last_evaluated_key.is_none();
        self.start = done.last_evaluated_key;
        Ok(Some(done.items.unwrap_or_default()))
    }

    /// Reads all pages.
    pub async fn all(mut self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        while let Some(page) = self.next().await? {
            items.extend(page);
        }
        Ok(items)
    }
}

/// Why a read returns no `None`.
const NO_CONDITION: &str = "a read has no condition";

/// The expression of a condition, and its values. `#name` in it is the attribute `name`, for names
/// that DynamoDB reserves.
pub type Condition<'a> = (&'a str, HashMap<String, AttributeValue>);

/// A condition as the fields of a request. The service refuses empty maps.
#[derive(Default)]
struct ConditionFields {
    expression: Option<String>,
    names: Option<HashMap<String, String>>,
    values: Option<HashMap<String, AttributeValue>>,
}

impl ConditionFields {
    fn of(condition: Option<Condition<'_>>) -> Self {
        let Some((expression, values)) = condition else {
            return Self::default();
        };
        let words = expression.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '#'));
        let names: HashMap<String, String> = words
            .filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned())))
            .collect();
        Self {
            expression: Some(expression.to_owned()),
            names: (!names.is_empty()).then_some(names),
            values: (!values.is_empty()).then_some(values),
        }
    }
}

/// Returns the limit of a page, in items of a usual size, and its units: about what the rate gives
/// in one second, at most the service's own limit of 1 MB.
///
/// There is always a limit: without one an emulator may read the whole table for each page.
fn page_size(rate: f64, bytes: f64) -> (i32, f64) {
    const FULL_PAGE: f64 = PAGE_BYTES as f64 / READ_UNIT_BYTES as f64;
    let limit = |units: f64| (units * READ_UNIT_BYTES as f64 / bytes).floor().max(1.0) as i32;
    if rate >= FULL_PAGE {
        (limit(FULL_PAGE), FULL_PAGE / 2.0)
    } else {
        (limit(rate), rate)
    }
}
