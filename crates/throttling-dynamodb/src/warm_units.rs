//! Warm throughput of tables and of their indexes, as requests and descriptions state it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Warm units of a table or of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WarmUnits {
    pub(crate) read: Option<u64>,
    pub(crate) write: Option<u64>,
}

impl WarmUnits {
    /// Reads the field `WarmThroughput` of an object, and removes it. `None` where there is none.
    pub(crate) fn take(of: &mut Value) -> Option<Self> {
        let warm = of.as_object_mut()?.remove("WarmThroughput")?;
        Some(Self {
            read: warm["ReadUnitsPerSecond"].as_u64(),
            write: warm["WriteUnitsPerSecond"].as_u64(),
        })
    }

    pub(crate) fn description(self) -> Value {
        json!({
            "ReadUnitsPerSecond": self.read,
            "WriteUnitsPerSecond": self.write,
            "Status": "ACTIVE",
        })
    }
}

/// Warm units of a table and of its indexes: `None` is the table.
pub(crate) type WarmTable = BTreeMap<Option<String>, WarmUnits>;
