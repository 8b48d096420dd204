//! What a write will cost, as far as that can be known before it is executed.

use std::collections::BTreeSet;

use dynoxide::Item;
use dynoxide::types::{item_size, write_capacity_units};
use tokio::time::Instant;

use crate::table::{Index, Table};

/// The kind of a write to an item.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ItemWrite<'a> {
    /// The whole new item.
    Put(&'a Item),
    /// The key of the deleted item.
    Delete(&'a Item),
    /// The key of the item, and the names of the attributes that may change.
    Update(&'a Item, &'a BTreeSet<String>),
    /// The key of an item on which a transaction checks a condition.
    Check(&'a Item),
}

impl<'a> ItemWrite<'a> {
    /// Returns the item, or its key.
    pub(crate) fn item(self) -> &'a Item {
        match self {
            Self::Put(item) => item,
            Self::Delete(key) | Self::Update(key, _) | Self::Check(key) => key,
        }
    }
}

/// The cost of a write, without regard to the item that it replaces.
#[derive(Debug)]
pub(crate) struct WriteCost {
    /// The hash of the partition key.
    pub(crate) key: Option<u64>,
    pub(crate) units: f64,
    /// One for each index that the write may change.
    pub(crate) entries: Vec<EntryCost>,
}

/// The cost of a write to one index.
#[derive(Debug)]
pub(crate) struct EntryCost {
    /// The index in [`Table::indexes`].
    pub(crate) index: usize,
    /// The hash of the partition key in the index. `None`: not known beforehand.
    pub(crate) key: Option<u64>,
    pub(crate) units: f64,
}

impl WriteCost {
    /// Estimates the cost of a write.
    pub(crate) fn new(table: &Table, write: ItemWrite<'_>) -> Self {
        let entry = |(index, one): (usize, &Index)| match write {
            ItemWrite::Put(item) => one.contains(item).then(|| EntryCost {
                index,
                key: one.partition(item),
                units: write_capacity_units(one.entry_size(item)),
            }),
            // The cost of a removed or moved entry depends on the old item.
            ItemWrite::Delete(_) => Some(EntryCost {
                index,
                key: None,
                units: 0.0,
            }),
            ItemWrite::Update(_, changed) => {
                let projected = changed.iter().any(|name| one.projects(name));
                projected.then_some(EntryCost {
                    index,
                    key: None,
                    units: 1.0,
                })
            }
            ItemWrite::Check(_) => None,
        };
        let units = match write {
            ItemWrite::Put(item) => write_capacity_units(item_size(item)),
            ItemWrite::Delete(_) | ItemWrite::Update(..) | ItemWrite::Check(_) => 1.0,
        };
        Self {
            key: table.partition(write.item()),
            units,
            entries: table.indexes.iter().enumerate().filter_map(entry).collect(),
        }
    }

    /// Charges the cost to the partition keys of the table and its indexes.
    pub(crate) fn charge_keys(&self, table: &mut Table, now: Instant) {
        let limiter = &mut table.limiters.write;
        limiter.charge_key(self.key, self.units, now);
        for entry in &self.entries {
            let limiter = &mut table.indexes[entry.index].limiters.write;
            limiter.charge_key(entry.key, entry.units, now);
        }
    }
}

/// The estimated units of those writes of a batch that are admitted and not yet executed.
#[derive(Debug)]
pub(crate) struct ReservedUnits {
    pub(crate) table: f64,
    /// By index of the table.
    pub(crate) indexes: Vec<f64>,
}

impl ReservedUnits {
    pub(crate) fn none(table: &Table) -> Self {
        Self {
            table: 0.0,
            indexes: vec![0.0; table.indexes.len()],
        }
    }

    pub(crate) fn add(&mut self, cost: &WriteCost) {
        self.table += cost.units;
        for entry in &cost.entries {
            self.indexes[entry.index] += entry.units;
        }
    }

    pub(crate) fn total(&self) -> f64 {
        self.table + self.indexes.iter().sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::table::tests::{item, orders};

    #[test]
    fn a_write_costs_the_table_its_item_and_the_index_its_entry() {
        let table = orders(json!({"ProjectionType": "KEYS_ONLY"}));
        let order = item(json!({
            "order_id": {"S": "1"}, "customer_id": {"S": "35"}, "note": {"S": "x".repeat(3000)}
        }));
        let cost = WriteCost::new(&table, ItemWrite::Put(&order));
        assert_eq!(cost.units, 3.0);
        assert_eq!(cost.entries[0].units, 1.0);
        let without_customer = item(json!({"order_id": {"S": "1"}}));
        let cost = WriteCost::new(&table, ItemWrite::Put(&without_customer));
        assert!(cost.entries.is_empty());
        let changed = BTreeSet::from(["note".to_owned()]);
        let update = ItemWrite::Update(&without_customer, &changed);
        assert!(WriteCost::new(&table, update).entries.is_empty());
    }
}
