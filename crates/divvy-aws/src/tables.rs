//! The four tables: how they are called, what shape they have, and what capacity.
//!
//! | table | key | beside it |
//! |---|---|---|
//! | `StationData` | `station_id` | stream of new and old images |
//! | `TripData` | `trip_id` | index `from_station_id-index`: keys only; with `n` in the packed layout |
//! | `FromStationCounts` | `from_station_id` | |
//! | `LoadLedger` | `archive`, `part` | |
//!
//! All keys are strings. A table that is there in another shape is refused, never changed.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ProvisionedThroughput, ScalarAttributeType, StreamSpecification,
    StreamViewType, TableDescription, TableStatus,
};
use divvy::store::{StoreError, StoreErrorKind};
use tokio::time::sleep;

use crate::connect;
use crate::pace::Grant;

/// The index of TripData by origin.
pub const INDEX: &str = "from_station_id-index";
/// Its key.
pub const INDEX_KEY: &str = "from_station_id";

/// One of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The newest of each station.
    StationData,
    /// Trips.
    TripData,
    /// The counts that the stream keeps.
    FromStationCounts,
    /// Archives, their tallies and ids, and the state of everything else.
    LoadLedger,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::StationData,
        Self::TripData,
        Self::FromStationCounts,
        Self::LoadLedger,
    ];

    /// Returns its name without prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StationData => "StationData",
            Self::TripData => "TripData",
            Self::FromStationCounts => "FromStationCounts",
            Self::LoadLedger => "LoadLedger",
        }
    }

    /// Returns its name under a prefix: `prod-TripData`; the bare name where that is empty.
    pub fn named(self, prefix: &str) -> String {
        match prefix {
            "" => self.as_str().into(),
            _ => format!("{prefix}-{}", self.as_str()),
        }
    }

    /// Returns the attributes of its key: hash, and range where it has one.
    pub fn key(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::StationData => ("station_id", None),
            Self::TripData => ("trip_id", None),
            Self::FromStationCounts => ("from_station_id", None),
            Self::LoadLedger => ("archive", Some("part")),
        }
    }
}

/// How trips lie in TripData. The projection of the index tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One item a trip.
    #[default]
    Rows,
    /// One item for the trips of a station and a month, compressed.
    Packed,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rows => "rows",
            Self::Packed => "packed",
        })
    }
}

/// What capacity a table that is made gets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Capacity {
    /// As much as is asked for, paid by request.
    #[default]
    OnDemand,
    /// So many units a second, for the table and again for its index.
    Provisioned {
        /// Write units.
        wcu: u32,
        /// Read units.
        rcu: u32,
    },
}

/// What the service grants to the writes and reads of a table, or of an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Granted {
    /// Writes.
    pub write: Grant,
    /// Reads.
    pub read: Grant,
}

/// A table as the service describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Its name, prefix and all.
    pub name: String,
    /// Its capacity.
    pub table: Granted,
    /// That of its index. `None` where it has none.
    pub index: Option<Granted>,
    /// Paid by request.
    pub on_demand: bool,
    /// How trips lie in it, where it holds trips.
    pub layout: Layout,
    /// The address of its stream. `None` where it has none.
    pub stream: Option<String>,
    /// Its address.
    pub arn: Option<String>,
}

/// All four.
#[derive(Clone, Debug)]
pub struct Tables {
    /// StationData.
    pub station_data: Described,
    /// TripData.
    pub trip_data: Described,
    /// FromStationCounts.
    pub counts: Described,
    /// LoadLedger.
    pub ledger: Described,
}

/// On-demand tables take this at once, and more when it is asked for.
const ON_DEMAND_WRITE: f64 = 4000.0;
const ON_DEMAND_READ: f64 = 12_000.0;
/// The default quota of a table.
const ON_DEMAND_MOST: f64 = 40_000.0;

impl Tables {
    /// Describes the tables of a prefix. `None` where none of them is there.
    ///
    /// # Errors
    ///
    /// Some are missing, one has another shape, or the service fails.
    pub async fn describe(client: &Client, prefix: &str) -> Result<Option<Self>, StoreError> {
        let mut found = Vec::new();
        for table in Table::ALL {
            found.push(describe(client, table, &table.named(prefix)).await?);
        }
        if found.iter().all(Option::is_none) {
            return Ok(None);
        }
        let missing: Vec<String> = Table::ALL
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(table, _)| table.named(prefix))
            .collect();
        if !missing.is_empty() {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                format!(
                    "of the four tables {} missing: {}",
                    if missing.len() == 1 {
                        "one is"
                    } else {
                        "some are"
                    },
                    missing.join(", ")
                ),
            ));
        }
        let mut found = found.into_iter().flatten();
        let mut next = || found.next().expect("all four were found");
        Ok(Some(Self {
            station_data: next(),
            trip_data: next(),
            counts: next(),
            ledger: next(),
        }))
    }

    /// Makes the tables of a prefix that are missing, and describes all.
    ///
    /// # Errors
    ///
    /// One is there in another shape or layout; some are owned by a stack, which then has to make
    /// the others; the service fails.
    pub async fn ensure(
        client: &Client,
        prefix: &str,
        layout: Option<Layout>,
        capacity: Capacity,
    ) -> Result<Self, StoreError> {
        let mut missing = Vec::new();
        for table in Table::ALL {
            match describe(client, table, &table.named(prefix)).await? {
                None => missing.push(table),
                Some(found) => {
                    if let Some(stack) = stack_of(client, &found).await {
                        refuse_if_missing(client, prefix, &stack).await?;
                    }
                }
            }
        }
        for table in &missing {
            create(
                client,
                *table,
                &table.named(prefix),
                layout.unwrap_or_default(),
                capacity,
            )
            .await?;
        }
        for table in missing {
            wait_until_active(client, &table.named(prefix)).await?;
        }
        let tables = Self::describe(client, prefix).await?;
        let tables = tables.ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Unreachable,
                "the tables were made, and are gone again: is somebody deleting them?",
            )
        })?;
        if let Some(wanted) = layout.filter(|wanted| *wanted != tables.trip_data.layout) {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                format!(
                    "{} has the layout {}, not {wanted}: one table holds one layout; name another \
                     prefix",
                    tables.trip_data.name, tables.trip_data.layout
                ),
            ));
        }
        Ok(tables)
    }
}

/// Which stack a table belongs to; `None` too where that cannot be asked.
async fn stack_of(client: &Client, table: &Described) -> Option<String> {
    let arn = table.arn.as_ref()?;
    let tags = client
        .list_tags_of_resource()
        .resource_arn(arn)
        .send()
        .await;
    let tags = tags.ok()?.tags.unwrap_or_default();
    let stack = tags
        .into_iter()
        .find(|tag| tag.key() == "aws:cloudformation:stack-name");
    stack.map(|tag| tag.value().to_owned())
}

async fn refuse_if_missing(client: &Client, prefix: &str, stack: &str) -> Result<(), StoreError> {
    for table in Table::ALL {
        let name = table.named(prefix);
        if describe(client, table, &name).await?.is_none() {
            return Err(StoreError::new(
                StoreErrorKind::Damaged,
                format!(
                    "{name} is missing, and the stack {stack} owns the tables beside it: deploy \
                     the stack again, or name another prefix"
                ),
            ));
        }
    }
    Ok(())
}

/// Describes one table, as soon as it is active. `None` where there is none.
async fn describe(
    client: &Client,
    table: Table,
    name: &str,
) -> Result<Option<Described>, StoreError> {
    let said = match client.describe_table().table_name(name).send().await {
        Ok(said) => said.table,
        Err(error)
            if error
                .as_service_error()
                .and_then(ProvideErrorMetadata::code)
                == Some("ResourceNotFoundException") =>
        {
            return Ok(None);
        }
        Err(error) => return Err(connect::sentence(&error, &format!("describe {name}"))),
    };
    let Some(said) = said else { return Ok(None) };
    match said.table_status() {
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
    let differences = differences(table, &said);
    if !differences.is_empty() {
        return Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "{name} is not the table that divvy would make: {}; name another prefix",
                differences.join("; ")
            ),
        ));
    }
    let on_demand = said
        .billing_mode_summary()
        .and_then(|mode| mode.billing_mode())
        == Some(&BillingMode::PayPerRequest);
    let warm = said.warm_throughput();
    let most = said.on_demand_throughput();
    let index = said
        .global_secondary_indexes()
        .iter()
        .find(|i| i.index_name() == Some(INDEX));
    let grants = |write: Option<i64>,
                  read: Option<i64>,
                  warm: (Option<i64>, Option<i64>),
                  most: (Option<i64>, Option<i64>)| match on_demand {
        true => Granted {
            write: on_demand_grant(warm.0, most.0, ON_DEMAND_WRITE),
            read: on_demand_grant(warm.1, most.1, ON_DEMAND_READ),
        },
        false => Granted {
            write: provisioned(write),
            read: provisioned(read),
        },
    };
    let throughput = said.provisioned_throughput();
    Ok(Some(Described {
        name: name.into(),
        table: grants(
            throughput.and_then(|t| t.write_capacity_units()),
            throughput.and_then(|t| t.read_capacity_units()),
            (
                warm.and_then(|w| w.write_units_per_second()),
                warm.and_then(|w| w.read_units_per_second()),
            ),
            (
                most.and_then(|m| m.max_write_request_units()),
                most.and_then(|m| m.max_read_request_units()),
            ),
        ),
        index: index.map(|index| {
            let throughput = index.provisioned_throughput();
            let warm = index.warm_throughput();
            let most = index.on_demand_throughput();
            grants(
                throughput.and_then(|t| t.write_capacity_units()),
                throughput.and_then(|t| t.read_capacity_units()),
                (
                    warm.and_then(|w| w.write_units_per_second()),
                    warm.and_then(|w| w.read_units_per_second()),
                ),
                (
                    most.and_then(|m| m.max_write_request_units()),
                    most.and_then(|m| m.max_read_request_units()),
                ),
            )
        }),
        on_demand,
        layout: match index.and_then(|index| index.projection()?.projection_type()) {
            Some(ProjectionType::Include) => Layout::Packed,
            _ => Layout::Rows,
        },
        stream: said.latest_stream_arn().map(Into::into),
        arn: said.table_arn().map(Into::into),
    }))
}

fn provisioned(units: Option<i64>) -> Grant {
    let rate = units.unwrap_or(1).max(1) as f64;
    Grant {
        rate,
        ceiling: rate,
        burst: true,
    }
}

/// What an on-demand table takes at once: what it is warm for; at most what its owner allows.
fn on_demand_grant(warm: Option<i64>, most: Option<i64>, new: f64) -> Grant {
    let limit = most
        .filter(|most| *most > 0)
        .map_or(ON_DEMAND_MOST, |most| most as f64);
    let rate = warm.map_or(new, |warm| (warm as f64).max(new)).min(limit);
    Grant {
        rate,
        ceiling: limit,
        burst: false,
    }
}

/// Spells out in what a table differs from ours.
fn differences(table: Table, said: &TableDescription) -> Vec<String> {
    let mut differences = Vec::new();
    let (hash, range) = table.key();
    let key = |schema: &[KeySchemaElement], kind: &KeyType| {
        let element = schema.iter().find(|element| element.key_type() == kind);
        element.map(|element| element.attribute_name().to_owned())
    };
    for (kind, expected) in [(KeyType::Hash, Some(hash)), (KeyType::Range, range)] {
        let found = key(said.key_schema(), &kind);
        if found.as_deref() != expected {
            differences.push(format!(
                "its {} key is {}, expected {}",
                if kind == KeyType::Hash {
                    "hash"
                } else {
                    "range"
                },
                found.as_deref().unwrap_or("none"),
                expected.unwrap_or("none")
            ));
        }
    }
    let mut keys = vec![hash];
    keys.extend(range);
    if table == Table::TripData {
        keys.push(INDEX_KEY);
    }
    for attribute in said.attribute_definitions() {
        let is_key = keys.contains(&attribute.attribute_name());
        if is_key && *attribute.attribute_type() != ScalarAttributeType::S {
            differences.push(format!(
                "{} is of type {}, expected S",
                attribute.attribute_name(),
                attribute.attribute_type().as_str()
            ));
        }
    }
    if table == Table::StationData {
        let view = said
            .stream_specification()
            .and_then(|stream| stream.stream_view_type());
        if view != Some(&StreamViewType::NewAndOldImages) {
            differences.push(format!(
                "its stream shows {}, expected NEW_AND_OLD_IMAGES",
                view.map_or("nothing", |view| view.as_str())
            ));
        }
    }
    if table == Table::TripData {
        differences.extend(index_differences(said));
    }
    differences
}

fn index_differences(said: &TableDescription) -> Option<String> {
    let indexes = said.global_secondary_indexes();
    let Some(index) = indexes.iter().find(|i| i.index_name() == Some(INDEX)) else {
        return Some(format!("it has no index {INDEX}"));
    };
    let hash = index
        .key_schema()
        .iter()
        .find(|element| *element.key_type() == KeyType::Hash)
        .map(|element| element.attribute_name());
    if hash != Some(INDEX_KEY) {
        return Some(format!(
            "{INDEX} is by {}, expected {INDEX_KEY}",
            hash.unwrap_or("nothing")
        ));
    }
    let projection = index.projection();
    let kind = projection.and_then(|projection| projection.projection_type());
    let with = projection
        .map(|projection| projection.non_key_attributes())
        .unwrap_or_default();
    match kind {
        Some(ProjectionType::KeysOnly) => None,
        Some(ProjectionType::Include) if with == ["n"] => None,
        _ => Some(format!(
            "{INDEX} projects {}, expected KEYS_ONLY (or INCLUDE n for the packed layout): a count \
             over it would cost nine times as much",
            kind.map_or("nothing", |kind| kind.as_str())
        )),
    }
}

/// Makes a table of ours.
async fn create(
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
        Capacity::Provisioned { wcu, rcu } => Some(
            ProvisionedThroughput::builder()
                .write_capacity_units(wcu.into())
                .read_capacity_units(rcu.into())
                .build()
                .expect("both are given"),
        ),
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
                .non_key_attributes("n"),
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
        // Somebody else has made it just now; its shape is checked when it is described.
        Err(error)
            if error
                .as_service_error()
                .and_then(ProvideErrorMetadata::code)
                == Some("ResourceInUseException") =>
        {
            Ok(())
        }
        Err(error) => Err(connect::sentence(&error, &format!("create {name}"))),
    }
}

/// Changes the capacity of a provisioned table and its index, and waits until that is done.
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
    use aws_sdk_dynamodb::types::{GlobalSecondaryIndexUpdate, UpdateGlobalSecondaryIndexAction};
    let throughput = |wcu: i64, rcu: i64| {
        ProvisionedThroughput::builder()
            .write_capacity_units(wcu)
            .read_capacity_units(rcu)
            .build()
            .expect("both are given")
    };
    let name = &table.name;
    let doing = format!("change the capacity of {name}");
    let now = client.describe_table().table_name(name).send().await;
    let now = now
        .map_err(|error| connect::sentence(&error, &doing))?
        .table;
    let units = |t: Option<&aws_sdk_dynamodb::types::ProvisionedThroughputDescription>| {
        t.map(|t| {
            (
                t.write_capacity_units().unwrap_or(0),
                t.read_capacity_units().unwrap_or(0),
            )
        })
    };
    let has = now
        .as_ref()
        .and_then(|now| units(now.provisioned_throughput()));
    let index = now.iter().flat_map(|now| now.global_secondary_indexes());
    let index_has = index
        .into_iter()
        .find(|index| index.index_name() == Some(INDEX))
        .and_then(|index| units(index.provisioned_throughput()));
    let mut request = client.update_table().table_name(name);
    let mut changed = false;
    // The service refuses an update that changes nothing.
    if has != Some((wcu.0, rcu.0)) {
        request = request.provisioned_throughput(throughput(wcu.0, rcu.0));
        changed = true;
    }
    if table.index.is_some() && index_has != Some((wcu.1, rcu.1)) {
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
            .map_err(|error| connect::sentence(&error, &doing))?;
        wait_until_active(client, name).await?;
    }
    Ok(())
}

/// Waits until a table can be used: mostly some seconds.
async fn wait_until_active(client: &Client, name: &str) -> Result<(), StoreError> {
    const PATIENCE_S: u64 = 600;
    for _ in 0..PATIENCE_S {
        let said = client.describe_table().table_name(name).send().await;
        let said = said.map_err(|error| connect::sentence(&error, &format!("describe {name}")))?;
        let table = said.table();
        let indexes_active = table.is_none_or(|table| {
            let mut indexes = table.global_secondary_indexes().iter();
            indexes.all(|index| {
                index
                    .index_status()
                    .is_none_or(|status| *status == aws_sdk_dynamodb::types::IndexStatus::Active)
            })
        });
        let status = table.and_then(TableDescription::table_status);
        if status == Some(&TableStatus::Active) && indexes_active {
            return Ok(());
        }
        sleep(Duration::from_secs(1)).await;
    }
    Err(StoreError::new(
        StoreErrorKind::Unreachable,
        format!("{name} has not become active in ten minutes"),
    ))
}
