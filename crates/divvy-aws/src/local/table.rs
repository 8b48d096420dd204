//! What the front knows of a table: its keys, its indexes and their capacity.

use std::collections::{BTreeSet, HashMap};

use dynoxide::actions::{GlobalSecondaryIndexDescription, TableDescription};
use dynoxide::types::{
    ConsumedCapacity, KeySchemaElement, KeyType, ProjectionType, ScalarAttributeType, item_size,
    write_capacity_units,
};
use dynoxide::{AttributeValue, Item};
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

use super::capacity::{Burst, Direction, Lane, Mode};
use super::meter::Units;

/// How capacity is kept in a new table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) burst: Burst,
    pub(super) key_caps: bool,
}

/// Both directions of a table or an index.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) read: Lane,
    pub(super) write: Lane,
}

impl Lanes {
    fn new(modes: (Mode, Mode), rules: Rules, now: Instant) -> Self {
        let lane = |direction, mode| Lane::new(direction, mode, rules.burst, rules.key_caps, now);
        Self {
            read: lane(Direction::Read, modes.0),
            write: lane(Direction::Write, modes.1),
        }
    }

    fn settle(&mut self, modes: (Mode, Mode), now: Instant) {
        self.read.settle(modes.0, now);
        self.write.settle(modes.1, now);
    }

    pub(super) fn used(&self) -> Units {
        Units {
            read: self.read.used,
            write: self.write.used,
        }
    }

    pub(super) fn of(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

/// What a write is about to do to an item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'a> {
    /// The whole new item.
    Put(&'a Item),
    /// The key of an item that goes.
    Delete(&'a Item),
    /// The key of an item, and the names of the attributes that may change.
    Update(&'a Item, &'a BTreeSet<String>),
    /// The key of an item that is only looked at.
    Check(&'a Item),
}

impl<'a> Change<'a> {
    /// Returns the item, or its key.
    pub(super) fn item(self) -> &'a Item {
        match self {
            Self::Put(item) => item,
            Self::Delete(key) | Self::Update(key, _) | Self::Check(key) => key,
        }
    }
}

/// What a write asks of the buckets, as far as it can be told without the old item.
#[derive(Debug)]
pub(super) struct Want {
    /// The key as a partition of the table.
    pub(super) key: Option<u64>,
    pub(super) units: f64,
    pub(super) entries: Vec<EntryWant>,
}

/// What a write asks of one index that it may concern.
#[derive(Debug)]
pub(super) struct EntryWant {
    /// Its place among the indexes of the table.
    pub(super) index: usize,
    /// The key as a partition of the index. `None`: not known beforehand.
    pub(super) key: Option<u64>,
    pub(super) units: f64,
}

/// Units promised to the parts of a batch that go through, before the emulator has counted them.
#[derive(Debug)]
pub(super) struct Promised {
    pub(super) table: f64,
    pub(super) indexes: Vec<f64>,
}

impl Promised {
    pub(super) fn nothing(table: &Table) -> Self {
        Self {
            table: 0.0,
            indexes: vec![0.0; table.indexes.len()],
        }
    }

    pub(super) fn add(&mut self, want: &Want) {
        self.table += want.units;
        for entry in &want.entries {
            self.indexes[entry.index] += entry.units;
        }
    }

    pub(super) fn total(&self) -> f64 {
        self.table + self.indexes.iter().sum::<f64>()
    }
}

/// A table of the emulator.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) arn: String,
    /// The partition key, then the sort key if there is one.
    key: Vec<String>,
    types: HashMap<String, ScalarAttributeType>,
    pub(super) lanes: Lanes,
    pub(super) indexes: Vec<Index>,
}

impl Table {
    pub(super) fn new(description: &TableDescription, rules: Rules, now: Instant) -> Self {
        let mut table = Self {
            arn: description.table_arn.clone(),
            key: Vec::new(),
            types: HashMap::new(),
            lanes: Lanes::new(modes(description), rules, now),
            indexes: Vec::new(),
        };
        table.settle(description, rules, now);
        table
    }

    /// Takes over what has changed in a table. What its buckets hold stays.
    pub(super) fn settle(&mut self, description: &TableDescription, rules: Rules, now: Instant) {
        self.key = names(&description.key_schema, KeyType::HASH);
        self.key
            .extend(names(&description.key_schema, KeyType::RANGE));
        self.types = description
            .attribute_definitions
            .iter()
            .map(|d| (d.attribute_name.clone(), d.attribute_type.clone()))
            .collect();
        self.lanes.settle(modes(description), now);
        let indexes = description.global_secondary_indexes.as_deref();
        let mut before = std::mem::take(&mut self.indexes);
        for index in indexes.unwrap_or_default() {
            let modes = index_modes(description, index);
            let lanes = match before.iter().position(|b| b.name == index.index_name) {
                Some(place) => {
                    let mut lanes = before.swap_remove(place).lanes;
                    lanes.settle(modes, now);
                    lanes
                }
                None => Lanes::new(modes, rules, now),
            };
            self.indexes.push(Index::new(index, &self.key, lanes));
        }
    }

    /// Returns the key attributes of an item; those it lacks are left out.
    pub(super) fn key_of(&self, item: &Item) -> Item {
        let attribute = |name: &String| Some((name.clone(), item.get(name)?.clone()));
        self.key.iter().filter_map(attribute).collect()
    }

    /// Tells whether two items or keys name the same item.
    pub(super) fn same_key(&self, one: &Item, other: &Item) -> bool {
        self.key.iter().all(|name| one.get(name) == other.get(name))
    }

    /// Tells whether an item has its key, and keys of the declared types wherever it has any.
    pub(super) fn has_sound_keys(&self, item: &Item) -> bool {
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

    /// Returns the key of an item as a partition.
    pub(super) fn partition(&self, item: &Item) -> Option<u64> {
        partition(&self.key[..1], item)
    }

    /// Returns the attribute whose value is a partition of the table, or of one of its indexes.
    /// `None`: it takes more than one.
    pub(super) fn partition_key(&self, index: Option<usize>) -> Option<&str> {
        match index.map(|place| self.indexes[place].hash.as_slice()) {
            None => self.key.first().map(String::as_str),
            Some([only]) => Some(only),
            Some(_) => None,
        }
    }

    /// Returns what a write asks for.
    pub(super) fn want(&self, change: Change<'_>) -> Want {
        let entry = |(index, one): (usize, &Index)| match change {
            Change::Put(item) => one.holds(item).then(|| EntryWant {
                index,
                key: partition(&one.hash, item),
                units: write_capacity_units(one.entry_size(item)),
            }),
            // What is removed or moved cannot be told without the old item.
            Change::Delete(_) => Some(EntryWant {
                index,
                key: None,
                units: 0.0,
            }),
            Change::Update(_, changed) => {
                let concerned = changed.iter().any(|name| one.projects(name));
                concerned.then_some(EntryWant {
                    index,
                    key: None,
                    units: 1.0,
                })
            }
            Change::Check(_) => None,
        };
        let (item, units) = match change {
            Change::Put(item) => (item, write_capacity_units(item_size(item))),
            Change::Delete(key) | Change::Update(key, _) | Change::Check(key) => (key, 1.0),
        };
        Want {
            key: self.partition(item),
            units,
            entries: self.indexes.iter().enumerate().filter_map(entry).collect(),
        }
    }

    /// Returns the lanes of the table, or of one of its indexes.
    pub(super) fn lanes_of(&mut self, index: Option<usize>) -> &mut Lanes {
        match index {
            None => &mut self.lanes,
            Some(place) => &mut self.indexes[place].lanes,
        }
    }

    /// Takes what an operation used, as the emulator counted it. What local indexes used is the
    /// table's.
    pub(super) fn charge(&mut self, used: &ConsumedCapacity, direction: Direction, now: Instant) {
        let mut rest = used.capacity_units;
        for (name, detail) in used.global_secondary_indexes.iter().flatten() {
            if let Some(index) = self.indexes.iter_mut().find(|index| index.name == *name) {
                rest -= detail.capacity_units;
                index.lanes.of(direction).charge(detail.capacity_units, now);
            }
        }
        self.lanes.of(direction).charge(rest, now);
    }

    /// Takes from the keys of a write what it used.
    pub(super) fn charge_keys(&mut self, want: &Want, now: Instant) {
        self.lanes.write.charge_key(want.key, want.units, now);
        for entry in &want.entries {
            self.indexes[entry.index]
                .lanes
                .write
                .charge_key(entry.key, entry.units, now);
        }
    }
}

/// A global index of a table.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) name: String,
    pub(super) arn: String,
    hash: Vec<String>,
    range: Vec<String>,
    /// What an entry holds. `None`: everything.
    projected: Option<BTreeSet<String>>,
    pub(super) lanes: Lanes,
}

impl Index {
    fn new(
        description: &GlobalSecondaryIndexDescription,
        table_key: &[String],
        lanes: Lanes,
    ) -> Self {
        let hash = names(&description.key_schema, KeyType::HASH);
        let range = names(&description.key_schema, KeyType::RANGE);
        let projection = &description.projection;
        let projected = match projection.projection_type {
            None | Some(ProjectionType::ALL) => None,
            Some(ProjectionType::KEYS_ONLY | ProjectionType::INCLUDE) => {
                let keys = hash.iter().chain(&range).chain(table_key);
                let others = projection.non_key_attributes.iter().flatten();
                Some(keys.chain(others).cloned().collect())
            }
        };
        Self {
            name: description.index_name.clone(),
            arn: description.index_arn.clone(),
            hash,
            range,
            projected,
            lanes,
        }
    }

    fn projects(&self, attribute: &str) -> bool {
        let projected = self.projected.as_ref();
        projected.is_none_or(|projected| projected.contains(attribute))
    }

    /// Tells whether the index has an entry for an item: it has one when no key is missing.
    fn holds(&self, item: &Item) -> bool {
        let mut keys = self.hash.iter().chain(&self.range);
        keys.all(|name| item.contains_key(name))
    }

    fn entry_size(&self, item: &Item) -> usize {
        let Some(projected) = &self.projected else {
            return item_size(item);
        };
        let held = projected.iter().filter_map(|name| {
            let value = item.get(name)?;
            Some(name.len() + value.size())
        });
        held.sum()
    }

    /// Tells whether the entry of an item changes with it.
    pub(super) fn touched(&self, old: Option<&Item>, new: Option<&Item>) -> bool {
        let old = old.filter(|item| self.holds(item));
        let new = new.filter(|item| self.holds(item));
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

fn names(schema: &[KeySchemaElement], kind: KeyType) -> Vec<String> {
    schema
        .iter()
        .filter(|element| element.key_type == kind)
        .map(|element| element.attribute_name.clone())
        .collect()
}

/// Returns the modes of a table's reads and writes.
fn modes(description: &TableDescription) -> (Mode, Mode) {
    if on_demand(description) {
        let most = description.on_demand_throughput.as_ref();
        // -1 takes a maximum away.
        let units = |n: Option<i64>| n.filter(|&n| n > 0).map(|n| n as f64);
        return (
            Mode::OnDemand(units(most.and_then(|most| most.max_read_request_units))),
            Mode::OnDemand(units(most.and_then(|most| most.max_write_request_units))),
        );
    }
    let given = description.provisioned_throughput.as_ref();
    (
        Mode::Provisioned(given.map_or(0, |given| given.read_capacity_units) as f64),
        Mode::Provisioned(given.map_or(0, |given| given.write_capacity_units) as f64),
    )
}

fn index_modes(table: &TableDescription, index: &GlobalSecondaryIndexDescription) -> (Mode, Mode) {
    let given = index.provisioned_throughput.as_ref();
    match given.filter(|given| given.write_capacity_units > 0) {
        Some(given) if !on_demand(table) => (
            Mode::Provisioned(given.read_capacity_units as f64),
            Mode::Provisioned(given.write_capacity_units as f64),
        ),
        // An index follows its table where nothing of its own is said.
        _ => modes(table),
    }
}

fn on_demand(description: &TableDescription) -> bool {
    let mode = description.billing_mode_summary.as_ref();
    mode.is_some_and(|mode| mode.billing_mode == "PAY_PER_REQUEST")
}

/// Returns the values of key attributes as one number. `None` when one is missing.
fn partition(names: &[String], item: &Item) -> Option<u64> {
    let mut hash = Xxh3::new();
    for name in names {
        add(&mut hash, item.get(name)?)?;
    }
    Some(hash.digest())
}

/// Returns the one value of a partition key as a number, the same as of an item that has it.
pub(super) fn partition_of(value: &AttributeValue) -> Option<u64> {
    let mut hash = Xxh3::new();
    add(&mut hash, value)?;
    Some(hash.digest())
}

fn add(hash: &mut Xxh3, value: &AttributeValue) -> Option<()> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => hash.update(text.as_bytes()),
        AttributeValue::B(bytes) => hash.update(bytes),
        _ => return None,
    }
    hash.update(&[0xff]);
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trips(projection: serde_json::Value) -> Table {
        let description = serde_json::from_value(json!({
            "TableName": "TripData",
            "TableArn": "arn:table/TripData",
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "trip_id", "KeyType": "HASH"}],
            "AttributeDefinitions": [
                {"AttributeName": "trip_id", "AttributeType": "S"},
                {"AttributeName": "from_station_id", "AttributeType": "S"},
            ],
            "ProvisionedThroughput":
                {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5, "NumberOfDecreasesToday": 0},
            "GlobalSecondaryIndexes": [{
                "IndexName": "from_station_id-index",
                "IndexArn": "arn:table/TripData/index/from_station_id-index",
                "IndexStatus": "ACTIVE",
                "KeySchema": [{"AttributeName": "from_station_id", "KeyType": "HASH"}],
                "Projection": projection,
                "ProvisionedThroughput":
                    {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5, "NumberOfDecreasesToday": 0},
            }],
        }));
        let rules = Rules {
            burst: Burst::Empty,
            key_caps: true,
        };
        Table::new(&description.unwrap(), rules, Instant::now())
    }

    fn item(attributes: serde_json::Value) -> Item {
        serde_json::from_value(attributes).unwrap()
    }

    #[test]
    fn an_index_is_touched_only_by_what_it_holds() {
        let table = trips(json!({"ProjectionType": "KEYS_ONLY"}));
        let index = &table.indexes[0];
        let old = item(json!({"trip_id": {"S": "1"}, "from_station_id": {"S": "35"}}));
        let mut new = old.clone();
        new.insert("gender".into(), AttributeValue::S("Female".into()));
        assert!(!index.touched(Some(&old), Some(&new)));
        assert!(index.touched(None, Some(&new)));
        assert!(index.touched(Some(&old), None));
        let all = trips(json!({"ProjectionType": "ALL"}));
        assert!(all.indexes[0].touched(Some(&old), Some(&new)));
        new.insert("from_station_id".into(), AttributeValue::S("36".into()));
        assert!(index.touched(Some(&old), Some(&new)));
        let nowhere = item(json!({"trip_id": {"S": "1"}}));
        assert!(!index.touched(None, Some(&nowhere)));
    }

    #[test]
    fn a_write_asks_the_table_for_the_item_and_the_index_for_its_entry() {
        let table = trips(json!({"ProjectionType": "KEYS_ONLY"}));
        let trip = item(json!({
            "trip_id": {"S": "1"}, "from_station_id": {"S": "35"}, "block": {"S": "x".repeat(3000)}
        }));
        let want = table.want(Change::Put(&trip));
        assert_eq!(want.units, 3.0);
        assert_eq!(want.entries[0].units, 1.0);
        let nowhere = item(json!({"trip_id": {"S": "1"}}));
        assert!(table.want(Change::Put(&nowhere)).entries.is_empty());
        let changed = BTreeSet::from(["gender".to_owned()]);
        let update = table.want(Change::Update(&nowhere, &changed));
        assert!(update.entries.is_empty());
    }

    #[test]
    fn keys_of_another_type_are_not_sound() {
        let table = trips(json!({"ProjectionType": "ALL"}));
        assert!(table.has_sound_keys(&item(json!({"trip_id": {"S": "1"}}))));
        assert!(!table.has_sound_keys(&item(json!({"trip_id": {"N": "1"}}))));
        assert!(!table.has_sound_keys(&item(json!({"from_station_id": {"S": "1"}}))));
        let number = json!({"trip_id": {"S": "1"}, "from_station_id": {"N": "1"}});
        assert!(!table.has_sound_keys(&item(number)));
    }
}
