//! Consumed capacity: of a table so far, and of one request.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::ConsumedCapacity;

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
    /// Units of the table.
    pub table: f64,
    /// Units of the index.
    pub index: f64,
}

impl Consumed {
    /// Reads the consumed capacity of a response. `None` where the response has none.
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
