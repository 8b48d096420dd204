//! More capacity while an archive is loaded. At the end of the load, or by the next command after a
//! kill, the capacity is restored.

use divvy::store::StoreError;
use serde::{Deserialize, Serialize};

use super::refusal::LoadRefusal;
use crate::ledger::Note;
use crate::store::{DynamoStore, Shared};
use crate::tables::{Grant, set_capacity};

/// The capacity of TripData and of its index before a load raised it: write units, read units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct Before {
    wcu: (i64, i64),
    rcu: (i64, i64),
}

/// Raises the write capacity if the settings demand it. Returns whether it did. `restored` is the
/// capacity that was restored after the tables had been described.
pub(super) async fn raise(shared: &Shared, restored: Option<Before>) -> Result<bool, StoreError> {
    let Some(wcu) = shared.settings.boost else {
        return Ok(false);
    };
    let table = &shared.tables.trip_data;
    if table.on_demand {
        let table = table.name.clone();
        return Err(LoadRefusal::OnDemand { table }.into());
    }
    let units = |grant: Option<Grant>| grant.map_or(0, |grant| grant.rate as i64);
    let before = restored.unwrap_or_else(|| Before {
        wcu: (
            units(Some(table.table.write)),
            units(table.index.map(|index| index.write)),
        ),
        rcu: (
            units(Some(table.table.read)),
            units(table.index.map(|index| index.read)),
        ),
    });
    let wcu = i64::from(wcu);
    if wcu <= before.wcu.0.min(before.wcu.1) {
        return Ok(false);
    }
    // Before the change, so that it can be restored after a kill.
    shared.ledger.put_note(Note::Boost, &before).await?;
    let raised = (wcu.max(before.wcu.0), wcu.max(before.wcu.1));
    set_capacity(&shared.connection.retrying, table, raised, before.rcu).await?;
    set_rates(shared, raised);
    shared.listener.note(&format!(
        "{} and its index have {wcu} write units until the load is done",
        table.name
    ));
    Ok(true)
}

/// Sets the rates of the limiters of the table and of its index to the used share of the capacity.
fn set_rates(shared: &Shared, (table, index): (i64, i64)) {
    let share = shared.share;
    shared.trips.write.set_rate(table as f64 * share);
    if let Some(limiter) = &shared.trips.index_write {
        limiter.set_rate(index as f64 * share);
    }
}

/// Restores the capacity that a load has raised. Returns it; `None` where none was raised.
pub(in crate::store) async fn restore(shared: &Shared) -> Result<Option<Before>, StoreError> {
    let Some(before) = shared.ledger.note::<Before>(Note::Boost).await? else {
        return Ok(None);
    };
    let table = &shared.tables.trip_data;
    set_capacity(&shared.connection.retrying, table, before.wcu, before.rcu).await?;
    set_rates(shared, before.wcu);
    shared.ledger.delete_note(Note::Boost).await?;
    shared
        .listener
        .note(&format!("{} has its capacity back", table.name));
    Ok(Some(before))
}

impl DynamoStore {
    /// Restores the capacity that a stopped load had raised. Returns whether one had.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn restore_capacity(&self) -> Result<bool, StoreError> {
        Ok(restore(&self.shared).await?.is_some())
    }
}
