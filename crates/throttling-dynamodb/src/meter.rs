//! Counters of requests, capacity units and faults.

use std::collections::BTreeMap;

use crate::faults::FaultCounts;

/// The counts of an emulator since it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// Requests by the name of their operation.
    pub operations: BTreeMap<String, u64>,
    /// Requests refused for lack of capacity, or by an injected throttle.
    pub throttled_requests: u64,
    /// Items and keys of batches that were returned unprocessed.
    pub unprocessed_items: u64,
    /// Capacity units by table, without deleted tables.
    pub tables: BTreeMap<String, TableUse>,
    /// Faults that were injected.
    pub faults: FaultCounts,
}

/// The capacity units that one table has used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableUse {
    /// By the table itself and its local indexes.
    pub own: Units,
    /// By global index.
    pub indexes: BTreeMap<String, Units>,
}

/// Capacity units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    /// RCU.
    pub read: f64,
    /// WCU.
    pub write: f64,
}
