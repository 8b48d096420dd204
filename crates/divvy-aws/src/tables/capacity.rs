//! Changes of the capacity of existing tables.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    GlobalSecondaryIndexUpdate, ProvisionedThroughput, ProvisionedThroughputDescription,
    TableDescription, UpdateGlobalSecondaryIndexAction, WarmThroughput,
};
use divvy::store::StoreError;

use super::describe::{ON_DEMAND_WRITE_UNITS, wait_until_active};
use super::{Described, INDEX};
use crate::connect;

/// Makes provisioned units of a request.
pub(super) fn throughput(wcu: i64, rcu: i64) -> ProvisionedThroughput {
    ProvisionedThroughput::builder()
        .write_capacity_units(wcu)
        .read_capacity_units(rcu)
        .build()
        .expect("both are given")
}

/// Sets the write units and the read units of a provisioned table, each for the table and for its
/// index, and waits until the change is done.
///
/// # Errors
///
/// Those of the service.
pub async fn set_capacity(
    client: &Client,
    table: &Described,
    wcu: (i64, i64),
    rcu: (i64, i64),
) -> Result<(), StoreError> {
    let name = &table.name;
    let doing = format!("change the capacity of {name}");
    let now = client.describe_table().table_name(name).send().await;
    let now = now
        .map_err(|error| connect::store_error(&error, &doing))?
        .table;
    let units = |throughput: Option<&ProvisionedThroughputDescription>| {
        let throughput = throughput?;
        let write = throughput.write_capacity_units().unwrap_or(0);
        Some((write, throughput.read_capacity_units().unwrap_or(0)))
    };
    let before = now
        .as_ref()
        .and_then(|now| units(now.provisioned_throughput()));
    let index = now.iter().flat_map(|now| now.global_secondary_indexes());
    let index_before = index
        .into_iter()
        .find(|index| index.index_name() == Some(INDEX))
        .and_then(|index| units(index.provisioned_throughput()));
    let mut request = client.update_table().table_name(name);
    let mut changed = false;
    // The service refuses an update that changes nothing.
    if before != Some((wcu.0, rcu.0)) {
        request = request.provisioned_throughput(throughput(wcu.0, rcu.0));
        changed = true;
    }
    if table.index.is_some() && index_before != Some((wcu.1, rcu.1)) {
        let action = UpdateGlobalSecondaryIndexAction::builder()
            .index_name(INDEX)
            .provisioned_throughput(throughput(wcu.1, rcu.1))
            .build()
            .expect("both are given");
        request = request.global_secondary_index_updates(
            GlobalSecondaryIndexUpdate::builder().update(action).build(),
        );
        changed = true;
    }
    if changed {
        request
            .send()
            .await
            .map_err(|error| connect::store_error(&error, &doing))?;
        wait_until_active(client, name).await?;
    }
    Ok(())
}

/// Raises the warm throughput of an on-demand table and of its index to some write units a second, and waits until
/// that is done. It never falls again. Returns whether there was anything to raise.
///
/// # Errors
///
/// Those of the service.
pub async fn warm_writes(
    client: &Client,
    table: &Described,
    units: i64,
) -> Result<bool, StoreError> {
    let name = &table.name;
    let doing = format!("raise the warm throughput of {name}");
    let now = client.describe_table().table_name(name).send().await;
    let now = now.map_err(|error| connect::store_error(&error, &doing))?;
    let now = now.table.as_ref();
    let warm = WarmThroughput::builder()
        .write_units_per_second(units)
        .build();
    let mut request = client.update_table().table_name(name);
    let mut changed = false;
    if now.map_or(0, warm_of_table) < units {
        request = request.warm_throughput(warm.clone());
        changed = true;
    }
    if table.index.is_some() && now.map_or(0, warm_of_index) < units {
        let action = UpdateGlobalSecondaryIndexAction::builder()
            .index_name(INDEX)
            .warm_throughput(warm)
            .build()
            .expect("the name is given");
        request = request.global_secondary_index_updates(
            GlobalSecondaryIndexUpdate::builder().update(action).build(),
        );
        changed = true;
    }
    if changed {
        let sent = request.send().await;
        sent.map_err(|error| connect::store_error(&error, &doing))?;
        wait_until_active(client, name).await?;
    }
    Ok(changed)
}

/// Returns the write units for which a table is warm: at least those of a new one.
fn warm_of_table(table: &TableDescription) -> i64 {
    let warm = table.warm_throughput();
    let units = warm.and_then(|warm| warm.write_units_per_second());
    units.unwrap_or(0).max(ON_DEMAND_WRITE_UNITS.into())
}

/// Returns the write units for which the index of a table is warm: at least those of a new one.
fn warm_of_index(table: &TableDescription) -> i64 {
    let mut indexes = table.global_secondary_indexes().iter();
    let index = indexes.find(|index| index.index_name() == Some(INDEX));
    let warm = index.and_then(|index| index.warm_throughput());
    let units = warm.and_then(|warm| warm.write_units_per_second());
    units.unwrap_or(0).max(ON_DEMAND_WRITE_UNITS.into())
}
