//! Existing tables: shape and capacity as the service describes them.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    BillingMode, IndexStatus, OnDemandThroughput, ProvisionedThroughputDescription,
    TableDescription, TableStatus,
};
use divvy::store::{StoreError, StoreErrorKind};
use tokio::time::sleep;

use super::shape::{differences, index_kind, index_of};
use super::{Described, Grant, Granted, IndexShape, Layout, Table};
use crate::connect;
use crate::item::packed::BLOCK;

/// Write units a second that a new on-demand table takes at once:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html>.
pub(crate) const ON_DEMAND_WRITE_UNITS: u32 = 4000;
/// Read units a second that a new on-demand table takes at once.
pub(crate) const ON_DEMAND_READ_UNITS: u32 = 12_000;
/// The default quota of an on-demand table, in units a second.
const ON_DEMAND_QUOTA: f64 = 40_000.0;

/// Describes one table; waits until it is active. `None` where it does not exist.
pub(super) async fn describe(
    client: &Client,
    table: Table,
    name: &str,
) -> Result<Option<Described>, StoreError> {
    let found = match client.describe_table().table_name(name).send().await {
        Ok(answer) => answer.table,
        Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(None),
        Err(error) => return Err(connect::store_error(&error, &format!("describe {name}"))),
    };
    let Some(found) = found else { return Ok(None) };
    match found.table_status() {
        Some(TableStatus::Deleting) => {
            return Err(StoreError::new(
                StoreErrorKind::Unreachable,
                format!("{name} is being deleted: wait until it is gone, or name another prefix"),
            ));
        }
        Some(TableStatus::Creating) => {
            wait_until_active(client, name).await?;
            return Box::pin(describe(client, table, name)).await;
        }
        _ => {}
    }
    let differences = differences(table, &found);
    if !differences.is_empty() {
        return Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "{name} is not the table that divvy would make: {}; name another prefix",
                differences.join("; ")
            ),
        ));
    }
    let mut described = described(name, &found);
    if table == Table::TripData {
        let is_made = index_of(&found).filter(|index| {
            let status = index.index_status();
            !matches!(status, Some(IndexStatus::Creating | IndexStatus::Deleting))
        });
        (described.layout, described.index_shape) = match is_made.map(index_kind) {
            Some(Ok(kind)) => kind,
            _ => (Layout::default(), IndexShape::Missing),
        };
    }
    Ok(Some(described))
}

/// Returns the layout of TripData by its first item, for a table without the index, whose projection
/// otherwise depends on the layout. [`Layout::Rows`] for an empty table.
pub(crate) async fn layout_of_items(client: &Client, name: &str) -> Result<Layout, StoreError> {
    let first = client.scan().table_name(name).limit(1).send().await;
    let first = first.map_err(|error| connect::store_error(&error, &format!("read {name}")))?;
    let is_block = first.items().iter().any(|item| item.contains_key(BLOCK));
    Ok(if is_block {
        Layout::Packed
    } else {
        Layout::Rows
    })
}

/// Reads capacity and addresses of a table.
fn described(name: &str, found: &TableDescription) -> Described {
    let billing = found.billing_mode_summary();
    let on_demand =
        billing.and_then(|mode| mode.billing_mode()) == Some(&BillingMode::PayPerRequest);
    let index = index_of(found);
    let granted = |provisioned, warm, ceiling| {
        if on_demand {
            granted_on_demand(warm, ceiling)
        } else {
            granted_provisioned(provisioned)
        }
    };
    let warm = found.warm_throughput();
    let table = granted(
        found.provisioned_throughput(),
        WarmUnits {
            write: warm.and_then(|warm| warm.write_units_per_second()),
            read: warm.and_then(|warm| warm.read_units_per_second()),
        },
        found.on_demand_throughput(),
    );
    let index_granted = index.map(|index| {
        let warm = index.warm_throughput();
        let warm = WarmUnits {
            write: warm.and_then(|warm| warm.write_units_per_second()),
            read: warm.and_then(|warm| warm.read_units_per_second()),
        };
        granted(
            index.provisioned_throughput(),
            warm,
            index.on_demand_throughput(),
        )
    });
    Described {
        name: name.into(),
        table,
        index: index_granted,
        on_demand,
        layout: Layout::default(),
        index_shape: IndexShape::default(),
        items: found.item_count().unwrap_or(0).max(0) as u64,
        bytes: found.table_size_bytes().unwrap_or(0).max(0) as u64,
        stream: found.latest_stream_arn().map(Into::into),
        arn: found.table_arn().map(Into::into),
    }
}

/// The units a second that an on-demand table or index takes at once.
struct WarmUnits {
    write: Option<i64>,
    read: Option<i64>,
}

fn granted_provisioned(throughput: Option<&ProvisionedThroughputDescription>) -> Granted {
    let grant = |units: Option<i64>| {
        let rate = units.unwrap_or(1).max(1) as f64;
        Grant {
            rate,
            ceiling: rate,
            burst: true,
        }
    };
    Granted {
        write: grant(throughput.and_then(|units| units.write_capacity_units())),
        read: grant(throughput.and_then(|units| units.read_capacity_units())),
    }
}

/// Returns what an on-demand table takes: at once what it is warm for, or what a new table takes;
/// at most the ceiling of its owner, or the quota.
fn granted_on_demand(warm: WarmUnits, ceiling: Option<&OnDemandThroughput>) -> Granted {
    let grant = |warm: Option<i64>, ceiling: Option<i64>, new: u32| {
        let ceiling = ceiling.filter(|ceiling| *ceiling > 0);
        let ceiling = ceiling.map_or(ON_DEMAND_QUOTA, |ceiling| ceiling as f64);
        let new = f64::from(new);
        Grant {
            rate: warm.map_or(new, |warm| (warm as f64).max(new)).min(ceiling),
            ceiling,
            burst: false,
        }
    };
    Granted {
        write: grant(
            warm.write,
            ceiling.and_then(|ceiling| ceiling.max_write_request_units()),
            ON_DEMAND_WRITE_UNITS,
        ),
        read: grant(
            warm.read,
            ceiling.and_then(|ceiling| ceiling.max_read_request_units()),
            ON_DEMAND_READ_UNITS,
        ),
    }
}

/// How far the index of TripData is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexProgress {
    /// There is none.
    Missing,
    /// It is being deleted.
    Deleting,
    /// Its entries are being made.
    Creating,
    /// It can be read.
    Active,
}

/// Returns how far the index of a table is made.
///
/// # Errors
///
/// Those of the service.
pub async fn index_progress(client: &Client, name: &str) -> Result<IndexProgress, StoreError> {
    let answer = client.describe_table().table_name(name).send().await;
    let answer =
        answer.map_err(|error| connect::store_error(&error, &format!("describe {name}")))?;
    let index = answer.table().and_then(index_of);
    Ok(match index.map(|index| index.index_status()) {
        None => IndexProgress::Missing,
        Some(Some(IndexStatus::Deleting)) => IndexProgress::Deleting,
        Some(Some(IndexStatus::Creating)) => IndexProgress::Creating,
        Some(_) => IndexProgress::Active,
    })
}

/// Waits until a table and its indexes are active, which usually takes some seconds.
///
/// # Errors
///
/// Those of the service; ten minutes are over.
pub async fn wait_until_active(client: &Client, name: &str) -> Result<(), StoreError> {
    const MAX_WAIT_S: u64 = 600;
    for _ in 0..MAX_WAIT_S {
        let answer = client.describe_table().table_name(name).send().await;
        let answer =
            answer.map_err(|error| connect::store_error(&error, &format!("describe {name}")))?;
        let is_active = answer.table().is_some_and(|table| {
            let mut indexes = table.global_secondary_indexes().iter();
            let status = |index: &aws_sdk_dynamodb::types::GlobalSecondaryIndexDescription| {
                index
                    .index_status()
                    .is_none_or(|status| *status == IndexStatus::Active)
            };
            table.table_status() == Some(&TableStatus::Active) && indexes.all(status)
        });
        if is_active {
            return Ok(());
        }
        sleep(Duration::from_secs(1)).await;
    }
    Err(StoreError::new(
        StoreErrorKind::Unreachable,
        format!("{name} has not become active in ten minutes"),
    ))
}
