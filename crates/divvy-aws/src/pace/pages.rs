//! Queries and scans: reads of many items, page by page.

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Select};
use divvy::store::StoreError;

use super::consumption::Consumed;
use super::table::{Key, NO_CONDITION, PacedTable};
use crate::item::Item;
use crate::item::size::{PAGE_BYTES, READ_UNIT_BYTES};
use crate::tables::INDEX;

/// The usual size of an index entry, for the limit of a page.
const ENTRY_BYTES: f64 = 60.0;

impl PacedTable {
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
