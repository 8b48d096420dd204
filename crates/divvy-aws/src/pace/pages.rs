//! Queries and scans: reads of many items, page by page.

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use divvy::store::StoreError;

use super::consumption::Consumed;
use super::table::{Key, NO_CONDITION, PacedTable};
use crate::item::Item;
use crate::item::size::{PAGE_BYTES, READ_UNIT_BYTES};
use crate::item::trip::{INDEX_KEY, STARTED_AT};
use crate::tables::INDEX;

/// The usual size of an index entry, for the limit of a page.
const ENTRY_BYTES: f64 = 100.0;

/// What a read returns of recent writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// All writes that were acknowledged before.
    Strong,
    /// Not those of the last second or so. Costs half as much.
    Eventual,
}

/// A query of the index of TripData.
#[derive(Clone, Copy, Debug)]
pub struct IndexQuery<'a> {
    /// The id of the station at which the trips start.
    pub origin: &'a str,
    /// The first and the last text of `started_at`. `None` for all trips. Only for an index that is
    /// sorted by it.
    pub started: Option<(&'a str, &'a str)>,
}

impl<'a> IndexQuery<'a> {
    /// Makes the query of all trips from a station.
    pub fn of(origin: &'a str) -> Self {
        Self {
            origin,
            started: None,
        }
    }
}

impl PacedTable {
    /// Begins a strongly consistent scan of the table.
    pub fn scan(&self) -> Scan<'_> {
        self.scan_with(Consistency::Strong)
    }

    /// Begins a scan of the table.
    pub fn scan_with(&self, consistency: Consistency) -> Scan<'_> {
        Scan {
            table: self,
            consistency,
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

    /// Passes the entries of the index that a query selects to `each`, page by page; the cost of a
    /// page is at most the units of one second.
    pub async fn query_index(
        &self,
        query: &IndexQuery<'_>,
        each: &mut (dyn FnMut(&Item) + Send),
    ) -> Result<(), StoreError> {
        let doing = format!("read the index of {}", self.name);
        let limiter = self.index_read.as_ref().unwrap_or(&self.read);
        let text = |text: &str| AttributeValue::S(text.into());
        let mut start: Option<Key> = None;
        loop {
            let (limit, units) = page_size(limiter.rate(), ENTRY_BYTES);
            // Most keys have one small page, and half a unit is the least that is charged.
            let units = if start.is_none() { 0.5 } else { units };
            let request = || {
                let request = self
                    .client
                    .query()
                    .table_name(&self.name)
                    .index_name(INDEX)
                    .key_condition_expression("#k = :k")
                    .expression_attribute_names("#k", INDEX_KEY)
                    .expression_attribute_values(":k", text(query.origin))
                    .limit(limit)
                    .set_exclusive_start_key(start.clone())
                    .return_consumed_capacity(ReturnConsumedCapacity::Indexes);
                let request = match query.started {
                    None => request,
                    Some((first, last)) => request
                        .key_condition_expression("#k = :k AND #s BETWEEN :first AND :last")
                        .expression_attribute_names("#s", STARTED_AT)
                        .expression_attribute_values(":first", text(first))
                        .expression_attribute_values(":last", text(last)),
                };
                request.send()
            };
            let consumed = |done: &QueryOutput| Consumed::of(done.consumed_capacity());
            let done = self.repeat(&doing, (limiter, units), request, consumed);
            let done = done.await?.expect(NO_CONDITION);
            done.items.iter().flatten().for_each(&mut *each);
            start = done.last_evaluated_key;
            if start.is_none() {
                return Ok(());
            }
        }
    }
}

/// A scan of a whole table, page by page.
#[derive(Debug)]
pub struct Scan<'a> {
    table: &'a PacedTable,
    consistency: Consistency,
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
                .consistent_read(self.consistency == Consistency::Strong)
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
