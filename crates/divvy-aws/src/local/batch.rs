//! Batches: what fits goes, and the rest comes back.

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

use super::capacity::Direction;
use super::faults::set_aside;
use super::front::Request;
use super::table::{Change, Promised, Table};
use super::throttle::Reason;
use super::wire::{Refusal, Report, everything, write};

impl Request<'_> {
    /// Writes what there is capacity for.
    pub(super) fn batch_write_item(
        &mut self,
        mut request: BatchWriteItemRequest,
    ) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        if !self.is_sound(&request) {
            // The emulator says what is wrong with it. Were it nothing, it would be paid for.
            let mut response = self.database.batch_write_item(request)?;
            let used = response.consumed_capacity.take().unwrap_or_default();
            self.charge_all(&used, Direction::Write);
            response.consumed_capacity = report.trim_all(used);
            return write(&response);
        }
        // In one order, so that a run can be repeated.
        let mut tables: Vec<_> = request.request_items.into_iter().collect();
        tables.sort_by(|one, other| one.0.cmp(&other.0));
        let aside = self.aside(tables.iter().map(|(_, writes)| writes.len()).sum());
        let mut aside = aside.into_iter();
        let mut response = BatchWriteItemResponse::default();
        let mut used = Vec::new();
        let mut reasons = Vec::new();
        let mut done = 0;
        for (name, writes) in tables {
            let (set_aside, mut pending): (Vec<_>, Vec<_>) = writes
                .into_iter()
                .partition(|_| aside.next().unwrap_or_default());
            loop {
                let (admitted, rest, promised) = self.split(&name, pending, &mut reasons);
                pending = rest;
                if admitted.is_empty() {
                    break;
                }
                done += admitted.len();
                let part = self.database.batch_write_item(BatchWriteItemRequest {
                    request_items: HashMap::from([(name.clone(), admitted)]),
                    return_consumed_capacity: everything(),
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
                // What cost less than it seemed (an entry that did not change) leaves room.
                if pending.is_empty() || total >= promised {
                    break;
                }
            }
            let unprocessed: Vec<_> = set_aside.iter().chain(&pending).map(again).collect();
            if !unprocessed.is_empty() {
                self.state.unprocessed_items += unprocessed.len() as u64;
                response.unprocessed_items.insert(name, unprocessed.into());
            }
        }
        if done == 0 {
            return Err(Refusal::Throttled(reasons));
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    /// Reads what there is capacity for.
    pub(super) fn batch_get_item(
        &mut self,
        mut request: BatchGetItemRequest,
    ) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let keys: usize = request
            .request_items
            .values()
            .map(|wanted| wanted.keys.len())
            .sum();
        let sound = (1..=100).contains(&keys)
            && request.return_consumed_capacity == everything()
            && request.request_items.iter().all(|(name, wanted)| {
                self.know(name) && {
                    let table = &self.state.tables[name];
                    !wanted.keys.is_empty() && distinct(table, wanted.keys.iter())
                }
            });
        if !sound {
            let mut response = self.database.batch_get_item(request)?;
            let used = response.consumed_capacity.take().unwrap_or_default();
            self.charge_all(&used, Direction::Read);
            response.consumed_capacity = report.trim_all(used);
            return write(&response);
        }
        let mut tables: Vec<_> = request.request_items.into_iter().collect();
        tables.sort_by(|one, other| one.0.cmp(&other.0));
        let mut aside = self.aside(keys).into_iter();
        let mut response = BatchGetItemResponse::default();
        let mut used = Vec::new();
        let mut reasons = Vec::new();
        let mut done = 0;
        for (name, mut wanted) in tables {
            let (mut unprocessed, mut pending): (Vec<_>, Vec<_>) = std::mem::take(&mut wanted.keys)
                .into_iter()
                .partition(|_| aside.next().unwrap_or_default());
            // The least that a key can cost: half a unit, twice that when strongly consistent.
            let least = if wanted.consistent_read == Some(true) {
                1.0
            } else {
                0.5
            };
            while !pending.is_empty() {
                let (admitted, rest) = self.split_keys(&name, pending, least, &mut reasons);
                pending = rest;
                if admitted.is_empty() {
                    break;
                }
                done += admitted.len();
                let part = self.database.batch_get_item(BatchGetItemRequest {
                    request_items: HashMap::from([(name.clone(), with_keys(&wanted, admitted))]),
                    return_consumed_capacity: everything(),
                })?;
                let part_used = part.consumed_capacity.unwrap_or_default();
                self.charge_all(&part_used, Direction::Read);
                merge(&mut used, part_used);
                for (name, items) in part.responses {
                    response.responses.entry(name).or_default().extend(items);
                }
                for (_, more) in part.unprocessed_keys {
                    // Its own bound of 16 MB: the emulator gives them back in the same form.
                    let more: Option<Vec<Item>> = more
                        .get("Keys")
                        .and_then(|keys| serde_json::from_value(keys.clone()).ok());
                    unprocessed.extend(more.unwrap_or_default());
                }
            }
            unprocessed.extend(pending);
            if !unprocessed.is_empty() {
                self.state.unprocessed_items += unprocessed.len() as u64;
                let again = keys_again(&wanted, &unprocessed);
                response.unprocessed_keys.insert(name, again);
            }
        }
        if done == 0 {
            return Err(Refusal::Throttled(reasons));
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    /// Parts the writes of a batch to one table into those that go now and the rest, and adds up
    /// what those that go seem to cost.
    fn split(
        &mut self,
        name: &str,
        writes: Vec<WriteRequest>,
        reasons: &mut Vec<Reason>,
    ) -> (Vec<WriteRequest>, Vec<WriteRequest>, f64) {
        let mut promised = Promised::nothing(&self.state.tables[name]);
        let (admitted, rest) = writes.into_iter().partition(|write| {
            let Some(change) = change(write) else {
                // A sound batch has no such request, and the emulator refuses it.
                return true;
            };
            let want = self.state.tables[name].want(change);
            let obstacles = self.obstacles(name, change, &want, &promised);
            if obstacles.is_empty() {
                promised.add(&want);
                if let Some(table) = self.state.tables.get_mut(name) {
                    table.charge_keys(&want, self.now);
                }
                return true;
            }
            remember(reasons, obstacles);
            false
        });
        (admitted, rest, promised.total())
    }

    /// Parts the keys of a batch in the same way, each of which costs `least` or more.
    fn split_keys(
        &mut self,
        name: &str,
        keys: Vec<Item>,
        least: f64,
        reasons: &mut Vec<Reason>,
    ) -> (Vec<Item>, Vec<Item>) {
        let Some(table) = self.state.tables.get_mut(name) else {
            return (keys, Vec::new());
        };
        let mut promised = 0.0;
        keys.into_iter().partition(|key| {
            let partition = table.partition(key);
            let lane = &mut table.lanes.read;
            let forced = self.strike.throttle.then(|| lane.limit());
            if let Some(limit) = lane.closed(partition, promised, self.now).or(forced) {
                let reason = Reason::new(table, None, Direction::Read, limit);
                remember(reasons, vec![reason]);
                return false;
            }
            promised += least;
            lane.charge_key(partition, least, self.now);
            true
        })
    }

    /// Tells of each part of a batch whether a fault sets it aside.
    fn aside(&mut self, parts: usize) -> Vec<bool> {
        match self.strike.partial_batch {
            Some(which) if parts > 1 => {
                self.state.faults.partial_batches += 1;
                set_aside(which, parts)
            }
            _ => vec![false; parts],
        }
    }

    /// Tells whether a batch can be taken apart: the emulator refuses a faulty one whole.
    fn is_sound(&mut self, request: &BatchWriteItemRequest) -> bool {
        let writes: usize = request.request_items.values().map(Vec::len).sum();
        (1..=25).contains(&writes)
            && request.return_consumed_capacity == everything()
            && request.request_items.iter().all(|(name, writes)| {
                self.know(name) && {
                    let table = &self.state.tables[name];
                    let items = || {
                        writes
                            .iter()
                            .filter_map(|write| Some(change(write)?.item()))
                    };
                    !writes.is_empty()
                        && items().count() == writes.len()
                        && items().all(|item| {
                            table.has_sound_keys(item)
                                && validate_item_attribute_values(item).is_ok()
                                && item_size(item) <= MAX_ITEM_SIZE
                        })
                        && distinct(table, items())
                }
            })
    }
}

fn change(write: &WriteRequest) -> Option<Change<'_>> {
    match (&write.put_request, &write.delete_request) {
        (Some(put), None) => Some(Change::Put(&put.item)),
        (None, Some(delete)) => Some(Change::Delete(&delete.key)),
        _ => None,
    }
}

fn remember(reasons: &mut Vec<Reason>, more: Vec<Reason>) {
    for reason in more {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
}

/// Tells whether all items name different ones. They are few.
fn distinct<'a>(table: &Table, items: impl Iterator<Item = &'a Item> + Clone) -> bool {
    let mut rest = items.clone();
    items.into_iter().all(|item| {
        rest.next();
        !rest.clone().any(|other| table.same_key(item, other))
    })
}

/// Adds up capacity reports by table.
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

/// Writes a request of a batch as it came.
fn again(write: &WriteRequest) -> serde_json::Value {
    match (&write.put_request, &write.delete_request) {
        (Some(put), _) => json!({ "PutRequest": { "Item": put.item } }),
        (None, Some(delete)) => json!({ "DeleteRequest": { "Key": delete.key } }),
        (None, None) => json!({}),
    }
}

fn with_keys(wanted: &KeysAndAttributes, keys: Vec<Item>) -> KeysAndAttributes {
    KeysAndAttributes {
        keys,
        projection_expression: wanted.projection_expression.clone(),
        expression_attribute_names: wanted.expression_attribute_names.clone(),
        consistent_read: wanted.consistent_read,
        attributes_to_get: wanted.attributes_to_get.clone(),
    }
}

/// Writes the rest of a batch of keys as it came.
fn keys_again(wanted: &KeysAndAttributes, keys: &[Item]) -> serde_json::Value {
    let mut again = json!({ "Keys": keys });
    if let Some(projection) = &wanted.projection_expression {
        again["ProjectionExpression"] = json!(projection);
    }
    if let Some(names) = &wanted.expression_attribute_names {
        again["ExpressionAttributeNames"] = json!(names);
    }
    if let Some(consistent) = wanted.consistent_read {
        again["ConsistentRead"] = json!(consistent);
    }
    if let Some(attributes) = &wanted.attributes_to_get {
        again["AttributesToGet"] = json!(attributes);
    }
    again
}
