//! New tables, and changes of their capacity and of the index.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction,
    DeleteGlobalSecondaryIndexAction, GlobalSecondaryIndex, GlobalSecondaryIndexUpdate,
    KeySchemaElement, KeyType, Projection, ProjectionType, ProvisionedThroughput,
    ProvisionedThroughputDescription, ScalarAttributeType, StreamSpecification, StreamViewType,
    UpdateGlobalSecondaryIndexAction,
};
use divvy::store::StoreError;

use super::describe::wait_until_active;
use super::{Capacity, Described, Granted, INDEX, Layout, Table};
use crate::connect;
use crate::item::trip::{INDEX_KEY, KEY, STARTED_AT};

/// Creates a table.
pub(super) async fn create(
    client: &Client,
    table: Table,
    name: &str,
    layout: Layout,
    capacity: Capacity,
) -> Result<(), StoreError> {
    let throughput = match capacity {
        Capacity::OnDemand => None,
        Capacity::Provisioned { wcu, rcu } => Some(throughput(wcu.into(), rcu.into())),
    };
    let (hash, range) = table.key();
    let mut request = client
        .create_table()
        .table_name(name)
        .attribute_definitions(attribute(hash))
        .key_schema(key(hash, KeyType::Hash))
        .billing_mode(match throughput {
            None => BillingMode::PayPerRequest,
            Some(_) => BillingMode::Provisioned,
        })
        .set_provisioned_throughput(throughput.clone());
    if let Some(range) = range {
        request = request
            .attribute_definitions(attribute(range))
            .key_schema(key(range, KeyType::Range));
    }
    if table == Table::StationData {
        request = request.stream_specification(
            StreamSpecification::builder()
                .stream_enabled(true)
                .stream_view_type(StreamViewType::NewAndOldImages)
                .build()
                .expect("enabled is given"),
        );
    }
    if table == Table::TripData {
        let index = GlobalSecondaryIndex::builder()
            .index_name(INDEX)
            .set_key_schema(Some(index_keys()))
            .projection(index_projection(layout))
            .set_provisioned_throughput(throughput)
            .build();
        request = request
            .attribute_definitions(attribute(INDEX_KEY))
            .attribute_definitions(attribute(STARTED_AT))
            .global_secondary_indexes(index.expect("name and key are given"));
    }
    match request.send().await {
        Ok(_) => Ok(()),
        // Another process has just created it; its shape is checked when it is described.
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
        Err(error) => Err(connect::store_error(&error, &format!("create {name}"))),
    }
}

fn attribute(name: &str) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .expect("name and type are given")
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .expect("name and kind are given")
}

/// Returns the keys of the index of TripData.
fn index_keys() -> Vec<KeySchemaElement> {
    vec![
        key(INDEX_KEY, KeyType::Hash),
        key(STARTED_AT, KeyType::Range),
    ]
}

/// Returns the projection of the index of TripData: what its entries have beside the keys.
fn index_projection(layout: Layout) -> Projection {
    Projection::builder()
        .projection_type(ProjectionType::Include)
        .non_key_attributes(layout.projected())
        .build()
}

/// Deletes the index of TripData, and waits until it is gone. Writes go on meanwhile.
///
/// # Errors
///
/// Those of the service.
pub async fn delete_index(client: &Client, table: &Described) -> Result<(), StoreError> {
    let delete = DeleteGlobalSecondaryIndexAction::builder()
        .index_name(INDEX)
        .build()
        .expect("the name is given");
    let request = client.update_table().table_name(&table.name);
    let request = request.global_secondary_index_updates(
        GlobalSecondaryIndexUpdate::builder().delete(delete).build(),
    );
    let doing = format!("delete the index of {}", table.name);
    request
        .send()
        .await
        .map_err(|error| connect::store_error(&error, &doing))?;
    wait_until_active(client, &table.name).await
}

/// Creates the index of TripData with the capacity of the table, from the items that the table has:
/// one write unit each. Does not wait for it.
///
/// # Errors
///
/// Those of the service.
pub async fn create_index(client: &Client, table: &Described) -> Result<(), StoreError> {
    let units = (!table.on_demand).then(|| {
        let Granted { write, read } = table.table;
        throughput(write.rate as i64, read.rate as i64)
    });
    let create = CreateGlobalSecondaryIndexAction::builder()
        .index_name(INDEX)
        .set_key_schema(Some(index_keys()))
        .projection(index_projection(table.layout))
        .set_provisioned_throughput(units)
        .build()
        .expect("name, key and projection are given");
    let request = client
        .update_table()
        .table_name(&table.name)
        .attribute_definitions(attribute(KEY))
        .attribute_definitions(attribute(INDEX_KEY))
        .attribute_definitions(attribute(STARTED_AT))
        .global_secondary_index_updates(
            GlobalSecondaryIndexUpdate::builder().create(create).build(),
        );
    let doing = format!("create the index of {}", table.name);
    let sent = request.send().await;
    sent.map(drop)
        .map_err(|error| connect::store_error(&error, &doing))
}

fn throughput(wcu: i64, rcu: i64) -> ProvisionedThroughput {
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
