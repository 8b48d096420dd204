//! Keys, indexes and capacity of a table, taken from its description.

use std::collections::{BTreeSet, HashMap};

use dynoxide::actions::{GlobalSecondaryIndexDescription, TableDescription};
use dynoxide::types::{
    ConsumedCapacity, KeySchemaElement, KeyType, ProjectionType, ScalarAttributeType, item_size,
};
use dynoxide::{AttributeValue, Item};
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

use crate::capacity::{Direction, LimiterOptions, Limiters, Mode, Modes};

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) arn: String,
    /// The attributes of the key: the partition key, then the sort key if there is one.
    key: Vec<String>,
    /// The declared types of key attributes, also of those of indexes.
    types: HashMap<String, ScalarAttributeType>,
    pub(crate) limiters: Limiters,
    /// The global indexes.
    pub(crate) indexes: Vec<Index>,
}

impl Table {
    pub(crate) fn new(
        description: &TableDescription,
        options: LimiterOptions,
        now: Instant,
    ) -> Self {
        let mut table = Self {
            arn: description.table_arn.clone(),
            key: Vec::new(),
            types: HashMap::new(),
            limiters: Limiters::new(modes(description), options, now),
            indexes: Vec::new(),
        };
        table.update(description, options, now);
        table
    }

    /// Applies a changed description. The balances of table and indexes stay.
    pub(crate) fn update(
        &mut self,
        description: &TableDescription,
        options: LimiterOptions,
        now: Instant,
    ) {
        self.key = attributes(&description.key_schema, KeyType::HASH);
        self.key
            .extend(attributes(&description.key_schema, KeyType::RANGE));
        self.types = description
            .attribute_definitions
            .iter()
            .map(|d| (d.attribute_name.clone(), d.attribute_type.clone()))
            .collect();
        self.limiters.set_modes(modes(description), now);
        let indexes = description.global_secondary_indexes.as_deref();
        let mut before = std::mem::take(&mut self.indexes);
        for index in indexes.unwrap_or_default() {
            let modes = index_modes(description, index);
            let limiters = match before.iter().position(|b| b.name == index.index_name) {
                Some(position) => {
                    let mut limiters = before.swap_remove(position).limiters;
                    limiters.set_modes(modes, now);
                    limiters
                }
                None => Limiters::new(modes, options, now),
            };
            self.indexes.push(Index::new(index, &self.key, limiters));
        }
    }

    /// Returns the key attributes of an item, without those that it lacks.
    pub(crate) fn key_of(&self, item: &Item) -> Item {
        let attribute = |name: &String| Some((name.clone(), item.get(name)?.clone()));
        self.key.iter().filter_map(attribute).collect()
    }

    /// Returns whether two items or keys have the same key.
    pub(crate) fn same_key(&self, one: &Item, other: &Item) -> bool {
        self.key.iter().all(|name| one.get(name) == other.get(name))
    }

    /// Returns whether an item has its key, and whether all its key attributes, also those of
    /// indexes, are of the declared types.
    pub(crate) fn has_valid_keys(&self, item: &Item) -> bool {
        self.key.iter().all(|name| item.contains_key(name))
            && item.iter().all(|(name, value)| {
                self.types.get(name).is_none_or(|declared| {
                    matches!(
                        (declared, value),
                        (ScalarAttributeType::S, AttributeValue::S(_))
                            | (ScalarAttributeType::N, AttributeValue::N(_))
                            | (ScalarAttributeType::B, AttributeValue::B(_))
                    )
                })
            })
    }

    /// Returns the hash of an item's partition key. `None`: the item lacks it.
    pub(crate) fn partition(&self, item: &Item) -> Option<u64> {
        hash_of(&self.key[..1], item)
    }

    /// Returns the attribute that is the partition key of the table, or of one of its indexes.
    /// `None`: the key has several attributes.
    pub(crate) fn partition_key(&self, index: Option<usize>) -> Option<&str> {
        match index.map(|index| self.indexes[index].partition_key.as_slice()) {
            None => self.key.first().map(String::as_str),
            Some([only]) => Some(only),
            Some(_) => None,
        }
    }

    /// Returns the limiters of the table, or of one of its indexes.
    pub(crate) fn limiters(&self, index: Option<usize>) -> &Limiters {
        match index {
            None => &self.limiters,
            Some(index) => &self.indexes[index].limiters,
        }
    }

    /// Returns the limiters of the table, or of one of its indexes.
    pub(crate) fn limiters_mut(&mut self, index: Option<usize>) -> &mut Limiters {
        match index {
            None => &mut self.limiters,
            Some(index) => &mut self.indexes[index].limiters,
        }
    }

    /// Charges what the emulator has counted for an operation. The units of local indexes are the
    /// table's.
    pub(crate) fn charge(&mut self, used: &ConsumedCapacity, direction: Direction, now: Instant) {
        let mut rest = used.capacity_units;
        for (name, detail) in used.global_secondary_indexes.iter().flatten() {
            if let Some(index) = self.indexes.iter_mut().find(|index| index.name == *name) {
                rest -= detail.capacity_units;
                let limiter = index.limiters.of_mut(direction);
                limiter.charge(detail.capacity_units, now);
            }
        }
        self.limiters.of_mut(direction).charge(rest, now);
    }
}

/// A global index of a table.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) arn: String,
    partition_key: Vec<String>,
    sort_key: Vec<String>,
    /// The attributes of an entry. `None`: all of the item.
    projected: Option<BTreeSet<String>>,
    pub(crate) limiters: Limiters,
}

impl Index {
    fn new(
        description: &GlobalSecondaryIndexDescription,
        table_key: &[String],
        limiters: Limiters,
    ) -> Self {
        let partition_key = attributes(&description.key_schema, KeyType::HASH);
        let sort_key = attributes(&description.key_schema, KeyType::RANGE);
        let projection = &description.projection;
        let projected = match projection.projection_type {
            None | Some(ProjectionType::ALL) => None,
            Some(ProjectionType::KEYS_ONLY | ProjectionType::INCLUDE) => {
                let keys = partition_key.iter().chain(&sort_key).chain(table_key);
                let others = projection.non_key_attributes.iter().flatten();
                Some(keys.chain(others).cloned().collect())
            }
        };
        Self {
            name: description.index_name.clone(),
            arn: description.index_arn.clone(),
            partition_key,
            sort_key,
            projected,
            limiters,
        }
    }

    /// Returns whether the entries of the index contain an attribute.
    pub(crate) fn projects(&self, attribute: &str) -> bool {
        let projected = self.projected.as_ref();
        projected.is_none_or(|projected| projected.contains(attribute))
    }

    /// Returns whether the index has an entry for an item, which must have all key attributes.
    pub(crate) fn contains(&self, item: &Item) -> bool {
        let mut keys = self.partition_key.iter().chain(&self.sort_key);
        keys.all(|name| item.contains_key(name))
    }

    /// Returns the hash of an item's partition key in the index. `None`: the item lacks it.
    pub(crate) fn partition(&self, item: &Item) -> Option<u64> {
        hash_of(&self.partition_key, item)
    }

    /// Returns the size of an item's entry in bytes.
    pub(crate) fn entry_size(&self, item: &Item) -> usize {
        let Some(projected) = &self.projected else {
            return item_size(item);
        };
        let sizes = projected.iter().filter_map(|name| {
            let value = item.get(name)?;
            Some(name.len() + value.size())
        });
        sizes.sum()
    }

    /// Returns whether the entry of an item changes when the item does. `None`: there is no item.
    pub(crate) fn entry_changes(&self, old: Option<&Item>, new: Option<&Item>) -> bool {
        let old = old.filter(|item| self.contains(item));
        let new = new.filter(|item| self.contains(item));
        match (old, new) {
            (None, None) => false,
            (Some(old), Some(new)) => match &self.projected {
                Some(projected) => projected.iter().any(|name| old.get(name) != new.get(name)),
                None => old != new,
            },
            _ => true,
        }
    }
}

fn attributes(schema: &[KeySchemaElement], key_type: KeyType) -> Vec<String> {
    schema
        .iter()
        .filter(|element| element.key_type == key_type)
        .map(|element| element.attribute_name.clone())
        .collect()
}

/// Returns the modes of a table.
fn modes(description: &TableDescription) -> Modes {
    if on_demand(description) {
        let most = description.on_demand_throughput.as_ref();
        // -1 means no maximum.
        let units = |n: Option<i64>| n.filter(|&n| n > 0).map(|n| n as f64);
        return Modes {
            read: Mode::OnDemand(units(most.and_then(|most| most.max_read_request_units))),
            write: Mode::OnDemand(units(most.and_then(|most| most.max_write_request_units))),
        };
    }
    let given = description.provisioned_throughput.as_ref();
    Modes {
        read: Mode::Provisioned(given.map_or(0, |given| given.read_capacity_units) as f64),
        write: Mode::Provisioned(given.map_or(0, |given| given.write_capacity_units) as f64),
    }
}

fn index_modes(table: &TableDescription, index: &GlobalSecondaryIndexDescription) -> Modes {
    let given = index.provisioned_throughput.as_ref();
    match given.filter(|given| given.write_capacity_units > 0) {
        Some(given) if !on_demand(table) => Modes {
            read: Mode::Provisioned(given.read_capacity_units as f64),
            write: Mode::Provisioned(given.write_capacity_units as f64),
        },
        // An index without capacity of its own has the modes of its table.
        _ => modes(table),
    }
}

fn on_demand(description: &TableDescription) -> bool {
    let mode = description.billing_mode_summary.as_ref();
    mode.is_some_and(|mode| mode.billing_mode == "PAY_PER_REQUEST")
}

/// Returns one hash of the values of key attributes. `None`: the item lacks one.
fn hash_of(names: &[String], item: &Item) -> Option<u64> {
    let mut hash = Xxh3::new();
    for name in names {
        update(&mut hash, item.get(name)?)?;
    }
    Some(hash.digest())
}

/// Returns the hash of a partition key of one attribute, the same as of an item that has it.
pub(crate) fn hash_of_value(value: &AttributeValue) -> Option<u64> {
    let mut hash = Xxh3::new();
    update(&mut hash, value)?;
    Some(hash.digest())
}

fn update(hash: &mut Xxh3, value: &AttributeValue) -> Option<()> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => hash.update(text.as_bytes()),
        AttributeValue::B(bytes) => hash.update(bytes),
        _ => return None,
    }
    hash.update(&[0xff]);
    Some(())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::capacity::Burst;

    /// Returns a table of orders with an index by customer.
    pub(crate) fn orders(projection: serde_json::Value) -> Table {
        let throughput = json!({
            "ReadCapacityUnits": 5, "WriteCapacityUnits": 5, "NumberOfDecreasesToday": 0
        });
        let description = serde_json::from_value(json!({
            "TableName": "Orders",
            "TableArn": "arn:table/Orders",
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "order_id", "KeyType": "HASH"}],
            "AttributeDefinitions": [
                {"AttributeName": "order_id", "AttributeType": "S"},
                {"AttributeName": "customer_id", "AttributeType": "S"},
            ],
            "ProvisionedThroughput": throughput,
            "GlobalSecondaryIndexes": [{
                "IndexName": "customer_id-index",
                "IndexArn": "arn:table/Orders/index/customer_id-index",
                "IndexStatus": "ACTIVE",
                "KeySchema": [{"AttributeName": "customer_id", "KeyType": "HASH"}],
                "Projection": projection,
                "ProvisionedThroughput": throughput,
            }],
        }));
        let options = LimiterOptions {
            burst: Burst::Empty,
            key_caps: true,
        };
        Table::new(&description.unwrap(), options, Instant::now())
    }

    pub(crate) fn item(attributes: serde_json::Value) -> Item {
        serde_json::from_value(attributes).unwrap()
    }

    #[test]
    fn an_entry_changes_only_with_projected_attributes() {
        let table = orders(json!({"ProjectionType": "KEYS_ONLY"}));
        let index = &table.indexes[0];
        let old = item(json!({"order_id": {"S": "1"}, "customer_id": {"S": "35"}}));
        let mut new = old.clone();
        new.insert("note".into(), AttributeValue::S("urgent".into()));
        assert!(!index.entry_changes(Some(&old), Some(&new)));
        assert!(index.entry_changes(None, Some(&new)));
        assert!(index.entry_changes(Some(&old), None));
        let all = orders(json!({"ProjectionType": "ALL"}));
        assert!(all.indexes[0].entry_changes(Some(&old), Some(&new)));
        new.insert("customer_id".into(), AttributeValue::S("36".into()));
        assert!(index.entry_changes(Some(&old), Some(&new)));
        let without_customer = item(json!({"order_id": {"S": "1"}}));
        assert!(!index.entry_changes(None, Some(&without_customer)));
    }

    #[test]
    fn keys_of_another_type_are_invalid() {
        let table = orders(json!({"ProjectionType": "ALL"}));
        assert!(table.has_valid_keys(&item(json!({"order_id": {"S": "1"}}))));
        assert!(!table.has_valid_keys(&item(json!({"order_id": {"N": "1"}}))));
        assert!(!table.has_valid_keys(&item(json!({"customer_id": {"S": "1"}}))));
        let number = json!({"order_id": {"S": "1"}, "customer_id": {"N": "1"}});
        assert!(!table.has_valid_keys(&item(number)));
    }
}
