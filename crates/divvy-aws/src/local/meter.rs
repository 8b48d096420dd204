//! What went through the front, counted.

use std::collections::BTreeMap;

use super::faults::FaultCounts;

/// What went through the front since it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// How often each operation was asked for, by its name.
    pub operations: BTreeMap<String, u64>,
    /// Requests that were refused for want of capacity, or by an injected throttle.
    pub throttled_requests: u64,
    /// Items and keys that came back from batches unprocessed.
    pub unprocessed_items: u64,
    /// Capacity units by table; tables that are gone are left out.
    pub tables: BTreeMap<String, TableUse>,
    /// Faults that struck.
    pub faults: FaultCounts,
}

/// The capacity units that one table used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableUse {
    /// Of the table itself, its local indexes included.
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
