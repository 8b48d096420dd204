//! More capacity for the time of a load, and back to what it was: at its end, or by the next run
//! after a kill.

use divvy::store::{StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

use super::{DynamoStore, Shared};
use crate::ledger::Note;
use crate::pace::Grant;
use crate::tables::set_capacity;

/// What TripData and its index had before: write units, read units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Before {
    wcu: (i64, i64),
    rcu: (i64, i64),
}

/// Raises the capacity for writing where that is wanted. Returns whether it did. `left` is what
/// there was before a load that was killed: when the tables were asked, they had its capacity.
pub(super) async fn raise(shared: &Shared, left: Option<Before>) -> Result<bool, StoreError> {
    let Some(wcu) = shared.settings.boost else {
        return Ok(false);
    };
    let table = &shared.tables.trip_data;
    if table.on_demand {
        return Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "{} is paid by request and takes what it is given: --boost is for provisioned \
                 tables",
                table.name
            ),
        ));
    }
    let units = |grant: Option<Grant>| grant.map_or(0, |grant| grant.rate as i64);
    let before = left.unwrap_or_else(|| Before {
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
    // Written down first: whoever comes after a kill knows what it was.
    shared.ledger.put_note(Note::Boost, &before).await?;
    let raised = (wcu.max(before.wcu.0), wcu.max(before.wcu.1));
    set_capacity(&shared.connection.steady, table, raised, before.rcu).await?;
    regrant(shared, raised);
    shared.listener.note(&format!(
        "{} and its index have {wcu} write units until the load is done",
        table.name
    ));
    Ok(true)
}

/// Paces by what the table and its index have now, or by the share of it that is ours.
fn regrant(shared: &Shared, (table, index): (i64, i64)) {
    let share = shared.share;
    shared.trips.write.regrant(table as f64 * share);
    if let Some(lane) = &shared.trips.index_write {
        lane.regrant(index as f64 * share);
    }
}

/// Gives the capacity back that a load had raised, if one did. Returns what that is.
pub(super) async fn restore_left_behind(shared: &Shared) -> Result<Option<Before>, StoreError> {
    let Some(before) = shared.ledger.note::<Before>(Note::Boost).await? else {
        return Ok(None);
    };
    let table = &shared.tables.trip_data;
    set_capacity(&shared.connection.steady, table, before.wcu, before.rcu).await?;
    regrant(shared, before.wcu);
    shared.ledger.delete_note(Note::Boost).await?;
    shared
        .listener
        .note(&format!("{} has its capacity back", table.name));
    Ok(Some(before))
}

impl DynamoStore {
    /// Gives back the capacity that a load had raised with `--boost`, if one did and was stopped.
    /// Returns whether there was any.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn restore_capacity(&self) -> Result<bool, StoreError> {
        Ok(restore_left_behind(&self.shared).await?.is_some())
    }
}
