//! One table with its capacity limiters: single requests.

use std::future::Future;
use std::sync::Mutex;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemOutput;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::put_item::PutItemOutput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsOutput;
use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity, TransactWriteItem};
use divvy::store::StoreError;
use tokio::time::Instant;

use super::capacity_limiter::CapacityLimiter;
use super::condition::{Condition, ConditionFields};
use super::consumption::{Consumed, Used};
use super::failures::{Attempts, FailureKind, OperationError, classify};
use super::stalls::{StallReport, Stalls};
use crate::connect;
use crate::item::Item;
use crate::item::size::{item_bytes, write_units};
use crate::tables::{Described, Grant};

/// The most keys of one request:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>.
pub const MAX_BATCH_KEYS: usize = 100;
/// The most actions of one transaction:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>.
pub const MAX_TRANSACTION_ACTIONS: usize = 100;

/// The key of an item.
pub type Key = Item;

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
    /// The time at which a write last failed without a response.
    unanswered: Mutex<Option<Instant>>,
    pub(super) stalls: Stalls,
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
            stalls: Stalls::default(),
        }
    }

    /// Returns when a batch of writes last failed without a response: its writes may still
    /// arrive. `None` where all got a response.
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

    /// Returns a sentence where no request has succeeded for a minute although some are open: with the reasons,
    /// and again after five minutes; and one when such a stall has ended. `None` otherwise.
    pub fn stall_report(&self) -> Option<String> {
        let name = &self.name;
        let minutes = |duration: tokio::time::Duration| match duration.as_secs() / 60 {
            0 => format!("{} s", duration.as_secs()),
            minutes => format!("{minutes} min"),
        };
        Some(match self.stalls.report()? {
            StallReport::Ended(lasted) => {
                format!("{name}: requests succeed again, after {}", minutes(lasted))
            }
            StallReport::Stalled(lasts, reasons) => {
                let why = if reasons.is_empty() {
                    format!("they wait for capacity ({})", self.rates())
                } else {
                    reasons.to_string()
                };
                format!(
                    "{name}: no request has succeeded for {}: {why}; they are repeated, and nothing is lost",
                    minutes(lasts)
                )
            }
        })
    }

    /// Describes the current rates.
    fn rates(&self) -> String {
        let mut rates = format!(
            "{:.1} write and {:.1} read units a second",
            self.write.rate(),
            self.read.rate()
        );
        if let (Some(write), Some(read)) = (&self.index_write, &self.index_read) {
            let index = format!(", of the index {:.1} and {:.1}", write.rate(), read.rate());
            rates.push_str(&index);
        }
        rates
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
    pub(super) async fn repeat<T, E: OperationError, F: Future<Output = Result<T, SdkError<E>>>>(
        &self,
        doing: &str,
        (limiter, units): (&CapacityLimiter, f64),
        mut request: impl FnMut() -> F,
        consumed: impl Fn(&T) -> Option<Consumed>,
    ) -> Result<Option<T>, StoreError> {
        let mut attempts = Attempts::default();
        let _open = self.stalls.begin();
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
                (result, _) => {
                    self.stalls.progressed();
                    return Ok(result.ok());
                }
            };
            match failure {
                FailureKind::Condition => {
                    self.stalls.progressed();
                    return Ok(None);
                }
                FailureKind::Throttled(exceeded) => {
                    if !exceeded.key_range {
                        limiter.record_throttle();
                    }
                    let reasons = connect::throttles(&error);
                    self.stalls.throttled(&reasons, &self.unnamed_capacity());
                    attempts.throttled().await;
                }
                FailureKind::Transient => {
                    self.stalls.failed(connect::cause(&error));
                    attempts.failed(&error, doing).await?;
                }
                FailureKind::Permanent => return Err(connect::store_error(&error, doing)),
            }
        }
    }

    /// Puts one item, if `condition` holds of the item that it replaces. Returns whether it did.
    ///
    /// A put whose response was lost is repeated, and then its condition may fail because of its own
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
        let doing = self.reading();
        let batch = ((self.read.rate() * 2.0) as usize).clamp(1, MAX_BATCH_KEYS);
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

    /// Describes the capacity that was exceeded where the response does not name it.
    pub(super) fn unnamed_capacity(&self) -> String {
        format!(
            "a capacity of table {} that the response does not name",
            self.name
        )
    }

    /// Returns what a read does, for its error.
    pub(super) fn reading(&self) -> String {
        format!("read {}", self.name)
    }
}

/// The reason for which a read returns no `None`.
pub(super) const NO_CONDITION: &str = "a read has no condition";
