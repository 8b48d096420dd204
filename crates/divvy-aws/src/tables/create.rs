//! New tables, and changes of their capacity.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, GlobalSecondaryIndexUpdate,
    KeySchemaElement, KeyType, Projection, ProjectionType, ProvisionedThroughput,
    ProvisionedThroughputDescription, ScalarAttributeType, StreamSpecification, StreamViewType,
    UpdateGlobalSecondaryIndexAction,
};
use divvy::store::StoreError;

use super::describe::wait_until_active;
use super::{Capacity, Described, INDEX, Layout, Table};
use crate::connect;
use crate::item::packed;
use crate::item::trip::INDEX_KEY;

/// Creates a table.
pub(super) async fn create(
    client: &Client,
    table: Table,
    name: &str,
    layout: Layout,
    capacity: Capacity,
) -> Result<(), StoreError> {
    let attribute = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .expect("name and type are given")
    };
    let key = |name: &str, kind: KeyType| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .expect("name and kind are given")
    };
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
        let projection = match layout {
            Layout::Rows => Projection::builder().projection_type(ProjectionType::KeysOnly),
            Layout::Packed => Projection::builder()
                .projection_type(ProjectionType::Include)
                .non_key_attributes(packed::N),
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name(INDEX)
            .key_schema(key(INDEX_KEY, KeyType::Hash))
            .projection(projection.build())
            .set_provisioned_throughput(throughput)
            .build();
        request = request
            .attribute_definitions(attribute(INDEX_KEY))
            .global_secondary_indexes(index.expect("name and key are given"));
    }
    match request.send().await {
        Ok(_) => Ok(()),
        // Another process has just created it; its shape is checked when it is described.
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
        Err(error) => Err(connect::store_error(&error, &format!("create {name}"))),
    }
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
