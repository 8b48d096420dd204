//! Warm throughput: what a table that is paid by request takes at once. It is raised before a load, so that the load
//! does not have to wait until the table has scaled.

use divvy::store::StoreError;

use super::refusal::LoadRefusal;
use crate::store::Shared;
use crate::tables::warm_writes;

/// Raises the warm throughput of TripData and of its index if the settings demand it and it is lower.
pub(super) async fn warm(shared: &Shared) -> Result<(), StoreError> {
    let Some(units) = shared.settings.warm else {
        return Ok(());
    };
    let described = &shared.tables.trip_data;
    let table = described.name.clone();
    if !described.on_demand {
        return Err(LoadRefusal::Provisioned { table }.into());
    }
    let index = described.index.unwrap_or(described.table);
    let most = described.table.write.ceiling.min(index.write.ceiling);
    if f64::from(units) > most {
        let most = most as u64;
        return Err(LoadRefusal::WarmAboveMaximum { table, most }.into());
    }
    let rates = [described.table.write.rate, index.write.rate];
    if rates.iter().all(|rate| *rate >= f64::from(units)) || shared.warmed.get().is_some() {
        return Ok(());
    }
    shared.listener.note(&format!(
        "{table} and its index are warmed for {units} write units a second, which may take some minutes"
    ));
    warm_writes(&shared.connection.retrying, described, units.into()).await?;
    let _ = shared.warmed.set(());
    let rate = f64::from(units) * shared.share;
    shared.trips.write.raise_rate(rate);
    if let Some(index) = &shared.trips.index_write {
        index.raise_rate(rate);
    }
    Ok(())
}
