//! Admits requests for which there is capacity, and charges what they have used.

use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::types::ConsumedCapacity;
use dynoxide::{Database, Item};

use super::Request;
use crate::capacity::Direction;
use crate::table::Table;
use crate::throttle::ThrottlingReason;
use crate::wire::RequestError;
use crate::write_cost::{ItemWrite, ReservedUnits, WriteCost};

impl Request<'_> {
    /// Returns the hash of a partition key. `None`: there is no such table, or the key is
    /// incomplete.
    pub(super) fn partition(&mut self, name: &str, key: &Item) -> Option<u64> {
        self.load_table(name)
            .then(|| self.state.tables[name].partition(key))?
    }

    /// Admits a write. Returns its estimated cost; `None` if there is no such table, which the
    /// emulator then reports.
    pub(super) fn admit(
        &mut self,
        name: &str,
        write: ItemWrite<'_>,
    ) -> Result<Option<WriteCost>, RequestError> {
        if !self.load_table(name) {
            return Ok(None);
        }
        let table = &self.state.tables[name];
        let cost = WriteCost::new(table, write);
        let reserved = ReservedUnits::none(table);
        let reasons = self.exceeded_limits(name, write, &cost, &reserved);
        if reasons.is_empty() {
            Ok(Some(cost))
        } else {
            Err(RequestError::Throttled(reasons))
        }
    }

    /// Returns why a write to a loaded table is throttled; empty if it is admitted.
    pub(super) fn exceeded_limits(
        &mut self,
        name: &str,
        write: ItemWrite<'_>,
        cost: &WriteCost,
        reserved: &ReservedUnits,
    ) -> Vec<ThrottlingReason> {
        let mut reasons = Vec::new();
        let Some(table) = self.state.tables.get_mut(name) else {
            return reasons;
        };
        let limiter = &mut table.limiters.write;
        let exceeded = limiter.exceeded(cost.key, reserved.table, self.now);
        let injected = self.faults.throttle.then(|| limiter.limit());
        if let Some(limit) = exceeded.or(injected) {
            reasons.push(ThrottlingReason::new(table, None, Direction::Write, limit));
        }
        for entry in &cost.entries {
            let limiter = &mut table.indexes[entry.index].limiters.write;
            let reserved = reserved.indexes[entry.index];
            let Some(limit) = limiter.exceeded(entry.key, reserved, self.now) else {
                continue;
            };
            // An index without capacity does not throttle a write that leaves its entry as it is.
            // The old item is read only where that decides.
            if !reasons.is_empty() || changes_entry(self.database, name, table, write, entry.index)
            {
                reasons.push(ThrottlingReason::new(
                    table,
                    Some(entry.index),
                    Direction::Write,
                    limit,
                ));
            }
        }
        reasons
    }

    /// Admits a read of a table, or of one of its global indexes.
    pub(super) fn admit_read(
        &mut self,
        name: &str,
        index: Option<usize>,
        key: Option<u64>,
    ) -> Result<(), RequestError> {
        self.load_table(name);
        let Some(table) = self.state.tables.get_mut(name) else {
            return Ok(());
        };
        let limiter = &mut table.limiters_mut(index).read;
        let injected = self.faults.throttle.then(|| limiter.limit());
        match limiter.exceeded(key, 0.0, self.now).or(injected) {
            Some(limit) => {
                let reason = ThrottlingReason::new(table, index, Direction::Read, limit);
                Err(RequestError::Throttled(vec![reason]))
            }
            None => Ok(()),
        }
    }

    pub(super) fn charge_write(
        &mut self,
        name: &str,
        cost: Option<&WriteCost>,
        used: Option<&ConsumedCapacity>,
    ) {
        let (Some(table), Some(used)) = (self.state.tables.get_mut(name), used) else {
            return;
        };
        table.charge(used, Direction::Write, self.now);
        if let Some(cost) = cost {
            cost.charge_keys(table, self.now);
        }
    }

    pub(super) fn charge_read(
        &mut self,
        name: &str,
        index: Option<usize>,
        key: Option<u64>,
        used: Option<&ConsumedCapacity>,
    ) {
        let (Some(table), Some(used)) = (self.state.tables.get_mut(name), used) else {
            return;
        };
        table.charge(used, Direction::Read, self.now);
        let limiter = &mut table.limiters_mut(index).read;
        limiter.charge_key(key, used.capacity_units, self.now);
    }

    /// Charges the reports of a request on several tables.
    pub(super) fn charge_all(&mut self, used: &[ConsumedCapacity], direction: Direction) {
        for one in used {
            if let Some(table) = self.state.tables.get_mut(&one.table_name) {
                table.charge(one, direction, self.now);
            }
        }
    }
}

/// Returns whether a write changes the entry of one index.
fn changes_entry(
    database: &Database,
    name: &str,
    table: &Table,
    write: ItemWrite<'_>,
    index: usize,
) -> bool {
    let new = match write {
        ItemWrite::Put(item) => Some(item),
        ItemWrite::Delete(_) => None,
        // The new item is not known.
        ItemWrite::Update(..) => return true,
        ItemWrite::Check(_) => return false,
    };
    let old = stored(database, name, table.key_of(write.item()));
    table.indexes[index].entry_changes(old.as_ref(), new)
}

/// Reads an item without charging for it. `None` also when it cannot be read.
pub(super) fn stored(database: &Database, name: &str, key: Item) -> Option<Item> {
    let request = GetItemRequest {
        table_name: name.to_owned(),
        key,
        ..GetItemRequest::default()
    };
    database.get_item(request).ok()?.item
}
