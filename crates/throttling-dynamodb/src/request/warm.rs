//! Warm throughput: what a table and its indexes take at once. The emulator does not keep it; here it lives as long
//! as the process.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html>

use dynoxide::DynoxideError;
use dynoxide::actions::TableDescription;
use serde_json::{Value, json};

use super::Request;
use crate::warm_units::{WarmTable, WarmUnits};
use crate::wire::RequestError;

/// Reads the warm units of a request for a table, and removes them: the emulator does not have them.
pub(super) fn take(request: &mut Value) -> WarmTable {
    let mut warm = WarmTable::new();
    warm.extend(WarmUnits::take(request).map(|units| (None, units)));
    let mut take_of = |index: &mut Value| {
        let name = index["IndexName"].as_str().map(str::to_owned);
        warm.extend(WarmUnits::take(index).map(|units| (name, units)));
    };
    let indexes = |request: &mut Value, field: &str| -> Vec<Value> {
        let indexes = request.get_mut(field).and_then(Value::as_array_mut);
        indexes.map(std::mem::take).unwrap_or_default()
    };
    let mut created = indexes(request, "GlobalSecondaryIndexes");
    created.iter_mut().for_each(&mut take_of);
    if !created.is_empty() {
        request["GlobalSecondaryIndexes"] = created.into();
    }
    let mut updates = indexes(request, "GlobalSecondaryIndexUpdates");
    for update in &mut updates {
        if let Some(update) = update.get_mut("Update") {
            take_of(update);
        }
    }
    // An update of an index that only warmed it.
    updates.retain(|update| {
        update["Update"]
            .as_object()
            .is_none_or(|update| update.len() > 1)
    });
    if updates.is_empty() {
        request
            .as_object_mut()
            .and_then(|request| request.remove("GlobalSecondaryIndexUpdates"));
    } else {
        request["GlobalSecondaryIndexUpdates"] = updates.into();
    }
    warm
}

impl Request<'_> {
    /// Warms a table that exists. Refuses fewer units than before.
    pub(super) fn warm(&mut self, name: &str, warm: &WarmTable) -> Result<(), RequestError> {
        let now = self.now;
        let before = self.state.warm.entry(name.to_owned()).or_default();
        for (index, units) in warm {
            let known = before.get(index).copied().unwrap_or_default();
            if units.read < known.read.filter(|_| units.read.is_some())
                || units.write < known.write.filter(|_| units.write.is_some())
            {
                let message = "One or more parameter values were invalid: Requested warm throughput is lower \
                               than the current one";
                return Err(DynoxideError::ValidationException(message.into()).into());
            }
            let units = WarmUnits {
                read: units.read.or(known.read),
                write: units.write.or(known.write),
            };
            before.insert(index.clone(), units);
            let Some(table) = self.state.tables.get_mut(name) else {
                continue;
            };
            let limiters = match index {
                None => Some(&mut table.limiters),
                Some(index) => {
                    let mut indexes = table.indexes.iter_mut();
                    let index = indexes.find(|other| other.name == *index);
                    index.map(|index| &mut index.limiters)
                }
            };
            if let Some(limiters) = limiters {
                limiters.read.warm(units.read, now);
                limiters.write.warm(units.write, now);
            }
        }
        Ok(())
    }

    /// Returns a description with the warm units.
    pub(super) fn with_warm_units(&self, description: &TableDescription) -> Value {
        let mut described = json!(description);
        let Some(warm) = self.state.warm.get(&description.table_name) else {
            return described;
        };
        for (index, units) in warm {
            match index {
                None => described["WarmThroughput"] = units.description(),
                Some(name) => {
                    let indexes = described["GlobalSecondaryIndexes"].as_array_mut();
                    let mut indexes = indexes.into_iter().flatten();
                    if let Some(index) = indexes.find(|index| index["IndexName"] == **name) {
                        index["WarmThroughput"] = units.description();
                    }
                }
            }
        }
        described
    }
}
