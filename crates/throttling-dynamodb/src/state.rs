//! What the service keeps from one request to the next.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio::time::Instant;

use crate::faults::{FaultCounts, Faults, Injector};
use crate::meter::{Meter, TableUse};
use crate::table::Table;
use crate::warm_units::WarmTable;

/// The tables that requests have named, and the counters of the meter.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tables: HashMap<String, Table>,
    /// When the capacity of each table was lowered, in order.
    pub(crate) decreases: HashMap<String, Vec<Instant>>,
    /// What tables and their indexes are warm for.
    pub(crate) warm: HashMap<String, WarmTable>,
    /// The tables with point-in-time recovery.
    pub(crate) recoverable: HashSet<String>,
    pub(crate) injector: Injector,
    pub(crate) operations: BTreeMap<String, u64>,
    pub(crate) throttled_requests: u64,
    pub(crate) unprocessed_items: u64,
    pub(crate) faults: FaultCounts,
}

impl State {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            tables: HashMap::new(),
            decreases: HashMap::new(),
            warm: HashMap::new(),
            recoverable: HashSet::new(),
            injector: Injector::new(faults),
            operations: BTreeMap::new(),
            throttled_requests: 0,
            unprocessed_items: 0,
            faults: FaultCounts::default(),
        }
    }

    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.injector = Injector::new(faults);
    }

    pub(crate) fn meter(&self) -> Meter {
        let tables = self.tables.iter().map(|(name, table)| {
            let indexes = table.indexes.iter();
            let used = TableUse {
                own: table.limiters.used(),
                indexes: indexes
                    .map(|index| (index.name.clone(), index.limiters.used()))
                    .collect(),
            };
            (name.clone(), used)
        });
        Meter {
            operations: self.operations.clone(),
            throttled_requests: self.throttled_requests,
            unprocessed_items: self.unprocessed_items,
            tables: tables.collect(),
            faults: self.faults,
        }
    }
}
