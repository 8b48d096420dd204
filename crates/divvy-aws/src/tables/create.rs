//! New tables, and a new index of TripData.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction,
    DeleteGlobalSecondaryIndexAction, GlobalSecondaryIndex, GlobalSecondaryIndexUpdate,
    KeySchemaElement, KeyType, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus,
    Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType, Tag,
};
use divvy::store::StoreError;
use tokio::time::sleep;

use super::capacity::throughput;
use super::describe::wait_until_active;
use super::{Capacity, Described, Granted, INDEX, Layout, NewTables, Table, Tables};
use crate::connect;
use crate::item::trip::{INDEX_KEY, KEY, STARTED_AT};

/// The tag of all tables that are created: its key, and its value.
const APP: (&str, &str) = ("app", "divvy-analyze");
/// The tag of the tables of a CloudFormation stack: its value is the stack's name.
pub(super) const STACK_TAG: &str = "aws:cloudformation:stack-name";
/// How often point-in-time recovery is requested of a table for which it is not possible yet.
const RECOVERY_ATTEMPTS: u32 = 60;
/// The time between two such requests.
const RECOVERY_PAUSE: Duration = Duration::from_secs(5);

/// Creates tables, and waits until they are active and protected. All of them or none. Returns those that
/// this process has created: another one may have been faster.
///
/// # Errors
///
/// Those of the service. The tables that were created before are deleted again, unless something was written to
/// them meanwhile.
pub(super) async fn create_all(
    client: &Client,
    prefix: &str,
    missing: &[Table],
    new: &NewTables,
) -> Result<Vec<Table>, StoreError> {
    let mut created = Vec::new();
    let creating = async {
        for table in missing {
            let name = table.named(prefix);
            if create(client, *table, &name, prefix, new).await? {
                created.push(*table);
            }
        }
        for table in missing {
            wait_until_active(client, &table.named(prefix)).await?;
        }
        if new.is_protected {
            for table in missing {
                enable_recovery(client, &table.named(prefix)).await?;
            }
        }
        Ok(())
    };
    let error: StoreError = match Box::pin(creating).await {
        Ok(()) => return Ok(created),
        Err(error) => error,
    };
    let mut left = Vec::new();
    for table in created {
        let name = table.named(prefix);
        if delete_empty(client, &name, new.is_protected).await.is_err() {
            left.push(name);
        }
    }
    let outcome = if left.is_empty() {
        "no table was created".to_owned()
    } else {
        let left = left.join(", ");
        format!(
            "created before, and not deleted again, because that failed or they have items: {left}"
        )
    };
    Err(StoreError {
        message: format!("{}; {outcome}", error.message),
        ..error
    })
}

/// Enables point-in-time recovery of tables that this program has created and that nothing was stored in, since it
/// was killed before it did. Of others their owner decides.
///
/// # Errors
///
/// Those of the service.
pub(super) async fn protect_unused(client: &Client, tables: &Tables) -> Result<(), StoreError> {
    if has_items(client, &tables.ledger.name).await? {
        return Ok(());
    }
    for table in [
        &tables.station_data,
        &tables.trip_data,
        &tables.counts,
        &tables.ledger,
    ] {
        if is_created_here(client, table).await && !has_recovery(client, &table.name).await? {
            enable_recovery(client, &table.name).await?;
        }
    }
    Ok(())
}

/// Returns whether a table has the tag of those that are created here, and no stack owns it. `false` also where its
/// tags cannot be read.
async fn is_created_here(client: &Client, table: &Described) -> bool {
    let Some(arn) = &table.arn else { return false };
    let request = client.list_tags_of_resource().resource_arn(arn);
    let tags = request.send().await.ok().and_then(|answer| answer.tags);
    let tags = tags.unwrap_or_default();
    let is_ours = tags.iter().any(|tag| (tag.key(), tag.value()) == APP);
    is_ours && !tags.iter().any(|tag| tag.key() == STACK_TAG)
}

async fn has_recovery(client: &Client, name: &str) -> Result<bool, StoreError> {
    let answer = client.describe_continuous_backups().table_name(name).send();
    let doing = format!("describe the backups of {name}");
    let answer = answer
        .await
        .map_err(|error| connect::store_error(&error, &doing))?;
    let backups = answer.continuous_backups_description;
    let recovery = backups.and_then(|backups| backups.point_in_time_recovery_description);
    let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
    Ok(status == Some(PointInTimeRecoveryStatus::Enabled))
}

/// Enables point-in-time recovery.
async fn enable_recovery(client: &Client, name: &str) -> Result<(), StoreError> {
    let recovery = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build()
        .expect("enabled is given");
    let request = client
        .update_continuous_backups()
        .table_name(name)
        .point_in_time_recovery_specification(recovery);
    let doing = format!("enable point-in-time recovery of {name}");
    for _ in 0..RECOVERY_ATTEMPTS {
        match request.clone().send().await {
            Ok(_) => return Ok(()),
            // The service makes backups possible some time after a table has become active.
            Err(error) if error.code() == Some("ContinuousBackupsUnavailableException") => {
                sleep(RECOVERY_PAUSE).await;
            }
            Err(error) => return Err(connect::store_error(&error, &doing)),
        }
    }
    let enabled = request.send().await;
    enabled
        .map(drop)
        .map_err(|error| connect::store_error(&error, &doing))
}

/// Returns whether a table has items.
pub(super) async fn has_items(client: &Client, name: &str) -> Result<bool, StoreError> {
    let items = client
        .scan()
        .table_name(name)
        .limit(1)
        .consistent_read(true);
    let items = items.send().await;
    let items = items.map_err(|error| connect::store_error(&error, &format!("read {name}")))?;
    Ok(items.count > 0)
}

/// Deletes a table that has no items.
pub(crate) async fn delete_empty(
    client: &Client,
    name: &str,
    is_protected: bool,
) -> Result<(), StoreError> {
    let doing = format!("delete {name}");
    wait_until_active(client, name).await?;
    if has_items(client, name).await? {
        let message = format!("{name} has items");
        return Err(StoreError::new(divvy::store::StoreErrorKind::Busy, message));
    }
    if is_protected {
        let unprotect = client.update_table().table_name(name);
        let unprotect = unprotect.deletion_protection_enabled(false).send().await;
        unprotect.map_err(|error| connect::store_error(&error, &doing))?;
        wait_until_active(client, name).await?;
    }
    let deleted = client.delete_table().table_name(name).send().await;
    deleted.map_err(|error| connect::store_error(&error, &doing))?;
    Ok(())
}

fn tag((key, value): (&str, &str)) -> Tag {
    let tag = Tag::builder().key(key).value(value).build();
    tag.expect("key and value are given")
}

/// Creates a table. Returns whether it did: another process may have been faster.
async fn create(
    client: &Client,
    table: Table,
    name: &str,
    prefix: &str,
    new: &NewTables,
) -> Result<bool, StoreError> {
    let (layout, capacity) = (new.layout.unwrap_or_default(), new.capacity);
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
    if new.is_protected {
        let system = new.system.as_deref().map(|system| ("system", system));
        let prefix = Some(("prefix", prefix)).filter(|(_, prefix)| !prefix.is_empty());
        let tags = [Some(APP), prefix, system].into_iter().flatten();
        request = request
            .set_tags(Some(tags.map(tag).collect()))
            .deletion_protection_enabled(true);
    }
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
        Ok(_) => Ok(true),
        // Another process has just created it; its shape is checked when it is described.
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(false),
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
