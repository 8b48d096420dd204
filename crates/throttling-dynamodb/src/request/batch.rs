//! Batches: the items for which there is capacity are processed, and the others returned.

use std::collections::HashMap;

use dynoxide::Item;
use dynoxide::actions::batch_get_item::{
    BatchGetItemRequest, BatchGetItemResponse, KeysAndAttributes,
};
use dynoxide::actions::batch_write_item::{
    BatchWriteItemRequest, BatchWriteItemResponse, WriteRequest,
};
use dynoxide::types::{CapacityDetail, ConsumedCapacity, MAX_ITEM_SIZE, item_size};
use dynoxide::validation::validate_item_attribute_values;
use serde_json::json;

use super::Request;
use crate::capacity::Direction;
use crate::faults::select_unprocessed;
use crate::table::Table;
use crate::throttle::ThrottlingReason;
use crate::wire::{CapacityReport, RequestError, write};
use crate::write_cost::{ItemWrite, ReservedUnits, WriteCost};

/// The most keys of a BatchGetItem.
const MAX_BATCH_KEYS: usize = 100;
/// The most writes of a BatchWriteItem.
const MAX_BATCH_WRITES: usize = 25;

impl Request<'_> {
    pub(super) fn batch_write_item(
        &mut self,
        mut request: BatchWriteItemRequest,
    ) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        if !self.is_valid(&request) {
            // The emulator refuses it. If it does not after all, the batch is charged as a whole.
            let mut response = self.database.batch_write_item(request)?;
            let used = response.consumed_capacity.take().unwrap_or_default();
            self.charge_all(&used, Direction::Write);
            response.consumed_capacity = report.trim_all(used);
            return write(&response);
        }
        // Always in the same order, so that a run can be repeated.
        let mut tables: Vec<_> = request.request_items.into_iter().collect();
        tables.sort_by(|one, other| one.0.cmp(&other.0));
        let injected = self.inject_unprocessed(tables.iter().map(|(_, writes)| writes.len()).sum());
        let mut injected = injected.into_iter();
        let mut response = BatchWriteItemResponse::default();
        let mut used = Vec::new();
        let mut reasons = Vec::new();
        let mut processed = 0;
        for (name, writes) in tables {
            let (skipped, mut pending): (Vec<_>, Vec<_>) = writes
                .into_iter()
                .partition(|_| injected.next().unwrap_or_default());
            loop {
                let (admitted, rest, reserved) = self.admit_writes(&name, pending, &mut reasons);
                pending = rest;
                if admitted.is_empty() {
                    break;
                }
                processed += admitted.len();
                let part = self.database.batch_write_item(BatchWriteItemRequest {
                    request_items: HashMap::from([(name.clone(), admitted)]),
                    return_consumed_capacity: CapacityReport::most_detailed(),
                    return_item_collection_metrics: request.return_item_collection_metrics.clone(),
                })?;
                let part_used = part.consumed_capacity.unwrap_or_default();
                self.charge_all(&part_used, Direction::Write);
                let total: f64 = part_used.iter().map(|one| one.capacity_units).sum();
                merge(&mut used, part_used);
                if let Some(metrics) = part.item_collection_metrics {
                    let all = response.item_collection_metrics.get_or_insert_default();
                    for (name, more) in metrics {
                        all.entry(name).or_default().extend(more);
                    }
                }
                // Writes that have cost less than estimated (an index entry did not change) leave
                // capacity for more.
                if pending.is_empty() || total >= reserved {
                    break;
                }
            }
            let unprocessed: Vec<_> = skipped.iter().chain(&pending).map(write_json).collect();
            if !unprocessed.is_empty() {
                self.state.unprocessed_items += unprocessed.len() as u64;
                response.unprocessed_items.insert(name, unprocessed.into());
            }
        }
        if processed == 0 {
            return Err(RequestError::Throttled(reasons));
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    pub(super) fn batch_get_item(
        &mut self,
        mut request: BatchGetItemRequest,
    ) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let keys: usize = request
            .request_items
            .values()
            .map(|requested| requested.keys.len())
            .sum();
        let valid = (1..=MAX_BATCH_KEYS).contains(&keys)
            && request.return_consumed_capacity == CapacityReport::most_detailed()
            && request.request_items.iter().all(|(name, requested)| {
                self.load_table(name) && {
                    let table = &self.state.tables[name];
                    !requested.keys.is_empty() && have_distinct_keys(table, requested.keys.iter())
                }
            });
        if !valid {
            let mut response = self.database.batch_get_item(request)?;
            let used = response.consumed_capacity.take().unwrap_or_default();
            self.charge_all(&used, Direction::Read);
            response.consumed_capacity = report.trim_all(used);
            return write(&response);
        }
        let mut tables: Vec<_> = request.request_items.into_iter().collect();
        tables.sort_by(|one, other| one.0.cmp(&other.0));
        let mut injected = self.inject_unprocessed(keys).into_iter();
        let mut response = BatchGetItemResponse::default();
        let mut used = Vec::new();
        let mut reasons = Vec::new();
        let mut processed = 0;
        for (name, mut requested) in tables {
            let keys = std::mem::take(&mut requested.keys);
            let (mut unprocessed, mut pending): (Vec<_>, Vec<_>) = keys
                .into_iter()
                .partition(|_| injected.next().unwrap_or_default());
            // The lowest cost of a key: half a unit, twice that for a strongly consistent read.
            let least = if requested.consistent_read == Some(true) {
                1.0
            } else {
                0.5
            };
            while !pending.is_empty() {
                let (admitted, rest) = self.admit_keys(&name, pending, least, &mut reasons);
                pending = rest;
                if admitted.is_empty() {
                    break;
                }
                processed += admitted.len();
                let admitted = with_keys(&requested, admitted);
                let part = self.database.batch_get_item(BatchGetItemRequest {
                    request_items: HashMap::from([(name.clone(), admitted)]),
                    return_consumed_capacity: CapacityReport::most_detailed(),
                })?;
                let part_used = part.consumed_capacity.unwrap_or_default();
                self.charge_all(&part_used, Direction::Read);
                merge(&mut used, part_used);
                for (name, items) in part.responses {
                    response.responses.entry(name).or_default().extend(items);
                }
                for (_, more) in part.unprocessed_keys {
                    // Keys beyond the emulator's own limit of 16 MB a response.
                    let more: Option<Vec<Item>> = more
                        .get("Keys")
                        .and_then(|keys| serde_json::from_value(keys.clone()).ok());
                    unprocessed.extend(more.unwrap_or_default());
                }
            }
            unprocessed.extend(pending);
            if !unprocessed.is_empty() {
                self.state.unprocessed_items += unprocessed.len() as u64;
                let unprocessed = keys_json(&requested, &unprocessed);
                response.unprocessed_keys.insert(name, unprocessed);
            }
        }
        if processed == 0 {
            return Err(RequestError::Throttled(reasons));
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    /// Divides the writes of a batch to one table into those that are admitted and the others.
    /// Returns also the estimated units of those that are admitted.
    fn admit_writes(
        &mut self,
        name: &str,
        writes: Vec<WriteRequest>,
        reasons: &mut Vec<ThrottlingReason>,
    ) -> (Vec<WriteRequest>, Vec<WriteRequest>, f64) {
        let mut reserved = ReservedUnits::none(&self.state.tables[name]);
        let (admitted, rest) = writes.into_iter().partition(|request| {
            let Some(write) = item_write(request) else {
                // A valid batch has no such request, and the emulator refuses it.
                return true;
            };
            let cost = WriteCost::new(&self.state.tables[name], write);
            let exceeded = self.exceeded_limits(name, write, &cost, &reserved);
            if exceeded.is_empty() {
                reserved.add(&cost);
                if let Some(table) = self.state.tables.get_mut(name) {
                    cost.charge_keys(table, self.now);
                }
                return true;
            }
            add_distinct(reasons, exceeded);
            false
        });
        (admitted, rest, reserved.total())
    }

    /// Divides the keys of a batch for one table, each of which costs at least `least` units, into
    /// those that are admitted and the others.
    fn admit_keys(
        &mut self,
        name: &str,
        keys: Vec<Item>,
        least: f64,
        reasons: &mut Vec<ThrottlingReason>,
    ) -> (Vec<Item>, Vec<Item>) {
        let Some(table) = self.state.tables.get_mut(name) else {
            return (keys, Vec::new());
        };
        let mut reserved = 0.0;
        keys.into_iter().partition(|key| {
            let partition = table.partition(key);
            let limiter = &mut table.limiters.read;
            let injected = self.faults.throttle.then(|| limiter.limit());
            let exceeded = limiter.exceeded(partition, reserved, self.now);
            if let Some(limit) = exceeded.or(injected) {
                let reason = ThrottlingReason::new(table, None, Direction::Read, limit);
                add_distinct(reasons, vec![reason]);
                return false;
            }
            reserved += least;
            limiter.charge_key(partition, least, self.now);
            true
        })
    }

    /// Returns for each item of a batch whether an injected fault leaves it unprocessed.
    fn inject_unprocessed(&mut self, items: usize) -> Vec<bool> {
        match self.faults.partial_batch {
            Some(selection) if items > 1 => {
                self.state.faults.partial_batches += 1;
                select_unprocessed(selection, items)
            }
            _ => vec![false; items],
        }
    }

    /// Returns whether a batch can be divided: the emulator refuses an invalid one as a whole.
    fn is_valid(&mut self, request: &BatchWriteItemRequest) -> bool {
        let writes: usize = request.request_items.values().map(Vec::len).sum();
        (1..=MAX_BATCH_WRITES).contains(&writes)
            && request.return_consumed_capacity == CapacityReport::most_detailed()
            && request.request_items.iter().all(|(name, writes)| {
                self.load_table(name) && {
                    let table = &self.state.tables[name];
                    let items = || {
                        writes
                            .iter()
                            .filter_map(|write| Some(item_write(write)?.item()))
                    };
                    !writes.is_empty()
                        && items().count() == writes.len()
                        && items().all(|item| {
                            table.has_valid_keys(item)
                                && validate_item_attribute_values(item).is_ok()
                                && item_size(item) <= MAX_ITEM_SIZE
                        })
                        && have_distinct_keys(table, items())
                }
            })
    }
}

fn item_write(request: &WriteRequest) -> Option<ItemWrite<'_>> {
    match (&request.put_request, &request.delete_request) {
        (Some(put), None) => Some(ItemWrite::Put(&put.item)),
        (None, Some(delete)) => Some(ItemWrite::Delete(&delete.key)),
        _ => None,
    }
}

fn add_distinct(reasons: &mut Vec<ThrottlingReason>, more: Vec<ThrottlingReason>) {
    for reason in more {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
}

/// Returns whether no two items have the same key. A batch has at most
/// [`MAX_BATCH_KEYS`].
fn have_distinct_keys<'a>(table: &Table, items: impl Iterator<Item = &'a Item> + Clone) -> bool {
    let mut rest = items.clone();
    items.into_iter().all(|item| {
        rest.next();
        !rest.clone().any(|other| table.same_key(item, other))
    })
}

/// Adds capacity reports to those of the same tables.
fn merge(all: &mut Vec<ConsumedCapacity>, more: Vec<ConsumedCapacity>) {
    for one in more {
        let Some(sum) = all.iter_mut().find(|sum| sum.table_name == one.table_name) else {
            all.push(one);
            continue;
        };
        sum.capacity_units += one.capacity_units;
        if let Some(table) = one.table {
            sum.table.get_or_insert_default().capacity_units += table.capacity_units;
        }
        add(
            &mut sum.global_secondary_indexes,
            one.global_secondary_indexes,
        );
        add(
            &mut sum.local_secondary_indexes,
            one.local_secondary_indexes,
        );
    }
}

fn add(
    sum: &mut Option<HashMap<String, CapacityDetail>>,
    more: Option<HashMap<String, CapacityDetail>>,
) {
    for (name, detail) in more.into_iter().flatten() {
        let sum = sum.get_or_insert_default().entry(name).or_default();
        sum.capacity_units += detail.capacity_units;
    }
}

/// Returns a write as the client has sent it.
fn write_json(request: &WriteRequest) -> serde_json::Value {
    match (&request.put_request, &request.delete_request) {
        (Some(put), _) => json!({ "PutRequest": { "Item": put.item } }),
        (None, Some(delete)) => json!({ "DeleteRequest": { "Key": delete.key } }),
        (None, None) => json!({}),
    }
}

fn with_keys(requested: &KeysAndAttributes, keys: Vec<Item>) -> KeysAndAttributes {
    KeysAndAttributes {
        keys,
        projection_expression: requested.projection_expression.clone(),
        expression_attribute_names: requested.expression_attribute_names.clone(),
        consistent_read: requested.consistent_read,
        attributes_to_get: requested.attributes_to_get.clone(),
    }
}

/// Returns keys as the client has sent them.
fn keys_json(requested: &KeysAndAttributes, keys: &[Item]) -> serde_json::Value {
    let mut json = json!({ "Keys": keys });
    if let Some(projection) = &requested.projection_expression {
        json["ProjectionExpression"] = json!(projection);
    }
    if let Some(names) = &requested.expression_attribute_names {
        json["ExpressionAttributeNames"] = json!(names);
    }
    if let Some(consistent) = requested.consistent_read {
        json["ConsistentRead"] = json!(consistent);
    }
    if let Some(attributes) = &requested.attributes_to_get {
        json["AttributesToGet"] = json!(attributes);
    }
    json
}
