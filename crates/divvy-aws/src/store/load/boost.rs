//! More capacity while archives are loaded: raised once by a command, with its first archive, and
//! restored when it ends; or by any later command, where the one that raised it was killed.
//!
//! DynamoDB lets a table's capacity be lowered four times a day, and then once an hour. So it is not
//! restored between the archives of a command.

use std::time::Duration;

use divvy::store::StoreError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::refusal::LoadRefusal;
use crate::ledger::Note;
use crate::store::{DynamoStore, Shared};
use crate::tables::{Grant, set_capacity};

/// The time after which a command that has raised the capacity, and has not written that it still
/// loads, has ended. Loads write it with each renewal of their lease; in between lie at most the
/// reading of an archive. The times are by the clock of the service.
const ABANDONED_AFTER: Duration = Duration::from_secs(15 * 60);

/// The capacity of TripData and of its index before a load raised it: write units, read units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct Before {
    wcu: (i64, i64),
    rcu: (i64, i64),
    /// When the load last wrote this. `None` where an older program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen_at: Option<Timestamp>,
}

impl Before {
    /// Returns whether the command that has raised the capacity may still load.
    fn is_loading(&self, now: Timestamp) -> bool {
        let age = self.seen_at.map(|at| now.duration_since(at).unsigned_abs());
        age.is_some_and(|age| age < ABANDONED_AFTER)
    }
}

/// Raises the write capacity if the settings demand it and this process has not done so. If they do not,
/// restores what a killed command has left raised. `has_unfinished` is whether the ledger has a load that
/// was not finished, whose lease this process has taken over: then its command was killed.
pub(super) async fn raise(shared: &Shared, has_unfinished: bool) -> Result<(), StoreError> {
    let left = shared.ledger.note::<Before>(Note::Boost).await?;
    let Some(wcu) = shared.settings.boost else {
        return match left {
            Some(left) if has_unfinished || !left.is_loading(shared.connection.clock.now()) => {
                restore(shared, left).await
            }
            _ => Ok(()),
        };
    };
    if shared.boosted.get().is_some() {
        return Ok(());
    }
    let table = &shared.tables.trip_data;
    if table.on_demand {
        let table = table.name.clone();
        return Err(LoadRefusal::OnDemand { table }.into());
    }
    let units = |grant: Option<Grant>| grant.map_or(0, |grant| grant.rate as i64);
    // Where the capacity is raised already, the record has what it was before.
    let before = left.unwrap_or_else(|| Before {
        wcu: (
            units(Some(table.table.write)),
            units(table.index.map(|index| index.write)),
        ),
        rcu: (
            units(Some(table.table.read)),
            units(table.index.map(|index| index.read)),
        ),
        seen_at: None,
    });
    let wcu = i64::from(wcu);
    if left.is_none() && wcu <= before.wcu.0.min(before.wcu.1) {
        return Ok(());
    }
    // Before the change, so that it can be restored after a kill.
    write(shared, before).await?;
    let _ = shared.boosted.set(before);
    let raised = (wcu.max(before.wcu.0), wcu.max(before.wcu.1));
    set_capacity(&shared.connection.retrying, table, raised, before.rcu).await?;
    set_rates(shared, raised);
    shared.listener.note(&format!(
        "{} and its index have {wcu} write units until the command is done",
        table.name
    ));
    Ok(())
}

/// Writes that the command which has raised the capacity still loads. Does nothing where this process
/// has not raised it.
pub(super) async fn renew(shared: &Shared) -> Result<(), StoreError> {
    match shared.boosted.get() {
        Some(before) => write(shared, *before).await,
        None => Ok(()),
    }
}

async fn write(shared: &Shared, before: Before) -> Result<(), StoreError> {
    let seen_at = Some(shared.connection.clock.now());
    let before = Before { seen_at, ..before };
    shared.ledger.put_note(Note::Boost, &before).await
}

/// Sets the rates of the limiters of the table and of its index to the used share of the capacity.
fn set_rates(shared: &Shared, (table, index): (i64, i64)) {
    let share = shared.share;
    shared.trips.write.set_rate(table as f64 * share);
    if let Some(limiter) = &shared.trips.index_write {
        limiter.set_rate(index as f64 * share);
    }
}

/// Restores the capacity from its record, and deletes the record.
async fn restore(shared: &Shared, before: Before) -> Result<(), StoreError> {
    let table = &shared.tables.trip_data;
    if table.on_demand {
        // Its billing was changed since: there is no capacity to be restored.
        return shared.ledger.delete_note(Note::Boost).await;
    }
    set_capacity(&shared.connection.retrying, table, before.wcu, before.rcu).await?;
    set_rates(shared, before.wcu);
    shared.ledger.delete_note(Note::Boost).await?;
    shared
        .listener
        .note(&format!("{} has its capacity back", table.name));
    Ok(())
}

/// Restores the capacity for a repair, whatever has raised it.
pub(in crate::store) async fn restore_any(shared: &Shared) -> Result<(), StoreError> {
    match shared.ledger.note::<Before>(Note::Boost).await? {
        Some(before) => restore(shared, before).await,
        None => Ok(()),
    }
}

impl DynamoStore {
    /// Restores the capacity that loads of this store value have raised
    /// ([`LoadSettings::boost`](crate::store::LoadSettings::boost)). Does nothing where none has.
    ///
    /// # Errors
    ///
    /// Those of the service, such as that the capacity was lowered too often today. The next command
    /// tries again.
    pub async fn end_boost(&self) -> Result<(), StoreError> {
        match self.shared.boosted.get() {
            Some(_) => restore_any(&self.shared).await.map_err(|e| self.left(&e)),
            None => Ok(()),
        }
    }

    /// Restores the capacity that a killed command had raised: one that has not written for 15 minutes
    /// before `now`, by the clock of this machine, that it loads. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// Those of the service: it may also lack the permission.
    pub async fn restore_left_boost(&self, now: Timestamp) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let Some(left) = shared.ledger.note::<Before>(Note::Boost).await? else {
            return Ok(false);
        };
        if left.is_loading(shared.connection.clock.of_local(now)) || shared.boosted.get().is_some()
        {
            return Ok(false);
        }
        restore(shared, left).await.map_err(|e| self.left(&e))?;
        Ok(true)
    }

    /// Describes capacity that could not be restored.
    fn left(&self, error: &StoreError) -> StoreError {
        let table = &self.shared.tables.trip_data.name;
        StoreError::new(
            error.kind,
            format!(
                "{table} and its index keep the write units to which a load raised them, and these are \
                 paid for: {error}. The next divvy command tries again"
            ),
        )
    }
}
