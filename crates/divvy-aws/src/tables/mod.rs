//! The four tables: names, keys, shapes and capacity.
//!
//! | table | key | beside it |
//! |---|---|---|
//! | `StationData` | `station_id` | stream of new and old images |
//! | `TripData` | `trip_id` | index `from_station_id-index`, sorted by `started_at`, with `archive`; with `n` in the packed layout |
//! | `FromStationCounts` | `from_station_id` | |
//! | `LoadLedger` | `archive`, `part` | |
//!
//! All keys are strings. An existing table of another shape is refused, never changed.

mod capacity;
mod create;
mod describe;
mod missing;
mod shape;

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_dynamodb::Client;
use divvy::store::{StoreError, StoreErrorKind};

pub use self::capacity::{set_capacity, warm_writes};
pub(crate) use self::create::delete_empty;
use self::create::{create_all, has_items, protect_unused};
pub use self::create::{create_index, delete_index};
use self::describe::describe;
pub(crate) use self::describe::layout_of_items;
pub use self::describe::{IndexProgress, index_progress, wait_until_active};
pub(crate) use self::describe::{ON_DEMAND_READ_UNITS, ON_DEMAND_WRITE_UNITS};
pub use self::missing::MissingTables;
use crate::connect::Connection;
use crate::item::{count, packed, station, trip};

/// The index of TripData by origin.
pub const INDEX: &str = "from_station_id-index";

/// One of the four tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Stations with their latest reports.
    StationData,
    /// Trips.
    TripData,
    /// The departure counts that the handler of the stream keeps.
    FromStationCounts,
    /// Archives with their tallies and ids, and the state of the store.
    LoadLedger,
}

impl Table {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::StationData,
        Self::TripData,
        Self::FromStationCounts,
        Self::LoadLedger,
    ];

    /// Returns the name without prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StationData => station::TABLE,
            Self::TripData => trip::TABLE,
            Self::FromStationCounts => count::TABLE,
            Self::LoadLedger => "LoadLedger",
        }
    }

    /// Returns the name with a prefix: `prod-TripData`; without one where the prefix is empty.
    pub fn named(self, prefix: &str) -> String {
        match prefix {
            "" => self.as_str().into(),
            _ => format!("{prefix}-{}", self.as_str()),
        }
    }

    /// Returns the attributes of the key: hash key, and range key if there is one.
    pub fn key(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::StationData => (station::KEY, None),
            Self::TripData => (trip::KEY, None),
            Self::FromStationCounts => (count::KEY, None),
            Self::LoadLedger => ("archive", Some("part")),
        }
    }
}

/// The layout of trips in TripData. The projection of the index of an existing table depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One item for each trip.
    #[default]
    Rows,
    /// One compressed item for the trips of a station and a month.
    Packed,
}

impl Layout {
    /// Returns the attribute that entries of the index have beside the keys: whose trip it is, or
    /// the number of trips of the block.
    pub fn projected(self) -> &'static str {
        match self {
            Self::Rows => trip::ARCHIVE,
            Self::Packed => packed::N,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rows => "rows",
            Self::Packed => "packed",
        })
    }
}

/// The index of TripData by origin, as far as counts and reports depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexShape {
    /// Sorted by start, with the archive of each trip, or the number of trips of each block: its
    /// entries are counted.
    #[default]
    Counted,
    /// Neither sorted nor with archives, as programs made it before December 2026: counts are those
    /// of the ledger, and the index is only compared with them.
    Compared,
    /// It does not exist, or its entries are still being made.
    Missing,
}

/// The capacity of a new table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Capacity {
    /// Paid by request.
    #[default]
    OnDemand,
    /// Units a second, for the table and again for its index.
    Provisioned {
        /// Write units.
        wcu: u32,
        /// Read units.
        rcu: u32,
    },
}

/// How missing tables are created.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewTables {
    /// The layout of trips, which an existing table has to have as well. `None`: that of the existing table, or
    /// rows.
    pub layout: Option<Layout>,
    /// Their capacity.
    pub capacity: Capacity,
    /// Whether missing tables may be created.
    pub may_create: bool,
    /// Whether they get tags, deletion protection and point-in-time recovery.
    pub is_protected: bool,
    /// The value of the tag `system`. `None`: no such tag.
    pub system: Option<String>,
}

/// The units a second that the service grants to one capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// The initial rate.
    pub rate: f64,
    /// The largest rate of an on-demand table, whose capacity grows with the load; else `rate`.
    pub ceiling: f64,
    /// Whether unused seconds of capacity may have accumulated.
    pub burst: bool,
}

/// The capacities of a table or of an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Granted {
    /// For writes.
    pub write: Grant,
    /// For reads.
    pub read: Grant,
}

/// A table as the service describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Its name with the prefix.
    pub name: String,
    /// Its capacity.
    pub table: Granted,
    /// The capacity of its index. `None` where it has none.
    pub index: Option<Granted>,
    /// Whether it is paid by request.
    pub on_demand: bool,
    /// The layout of trips; [`Layout::Rows`] for tables other than TripData.
    pub layout: Layout,
    /// The number of its items as the service last counted them, which it does every six hours.
    pub items: u64,
    /// Their bytes, counted at the same time.
    pub bytes: u64,
    /// The shape of its index; [`IndexShape::Counted`] for tables that have none.
    pub index_shape: IndexShape,
    /// The ARN of its stream. `None` where it has none.
    pub stream: Option<String>,
    /// Its ARN.
    pub arn: Option<String>,
}

/// The four tables.
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

impl Tables {
    /// Describes the tables of a prefix. `None` where none of them exists.
    ///
    /// # Errors
    ///
    /// Some are missing, one has another shape, or the service fails.
    pub async fn describe(client: &Client, prefix: &str) -> Result<Option<Self>, StoreError> {
        let found = Found::of(client, prefix).await?;
        if found.described.is_empty() {
            return Ok(None);
        }
        let missing = found.missing();
        if missing.is_empty() {
            return Ok(Some(found.into_tables()));
        }
        let missing: Vec<String> = missing.iter().map(|table| table.named(prefix)).collect();
        let are = if missing.len() == 1 {
            "one is"
        } else {
            "some are"
        };
        Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!("of the four tables {are} missing: {}", missing.join(", ")),
        ))
    }

    /// Creates the missing tables of a prefix, and describes all. Everything is checked before the first is created,
    /// and where one cannot be created, none is left. Returns also which ones it has created.
    ///
    /// # Errors
    ///
    /// One exists in another shape or layout; some are missing and may not be created ([`MissingTables`] is the
    /// source then); some belong to a CloudFormation stack, which has to create the others; the trips are there
    /// without the ledger, or the ledger without them; the service fails.
    pub async fn ensure(
        connection: &Connection,
        prefix: &str,
        new: &NewTables,
    ) -> Result<(Self, Vec<Table>), StoreError> {
        let client = &connection.retrying;
        let found = Found::of(client, prefix).await?;
        if let Some(trips) = found.described.get(&Table::TripData) {
            expect_layout(trips, new.layout)?;
        }
        let missing = found.missing();
        if missing.is_empty() {
            let tables = found.into_tables();
            if new.may_create && new.is_protected {
                protect_unused(client, &tables).await?;
            }
            return Ok((tables, Vec::new()));
        }
        found
            .expect_complete_parts(client, prefix, &missing)
            .await?;
        if !new.may_create {
            let names = missing.iter().map(|table| table.named(prefix)).collect();
            return Err(MissingTables::of(connection, names).await.into());
        }
        let created = create_all(client, prefix, &missing, new).await?;
        let tables = Self::describe(client, prefix).await?;
        let tables = tables.ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Unreachable,
                "the tables were created, and no longer exist: another process may have deleted them",
            )
        })?;
        // Another process may have created it meanwhile.
        expect_layout(&tables.trip_data, new.layout)?;
        Ok((tables, created))
    }
}

/// The tables of a prefix that exist.
struct Found {
    described: BTreeMap<Table, Described>,
}

impl Found {
    async fn of(client: &Client, prefix: &str) -> Result<Self, StoreError> {
        let described = Table::ALL.map(async |table| {
            let described = describe(client, table, &table.named(prefix)).await?;
            Ok::<_, StoreError>(described.map(|described| (table, described)))
        });
        let [stations, trips, counts, ledger] = described;
        let described = tokio::join!(stations, trips, counts, ledger);
        // Of several errors the first in the order of the tables.
        let described: Result<Vec<_>, _> = <[_; 4]>::from(described).into_iter().collect();
        Ok(Self {
            described: described?.into_iter().flatten().collect(),
        })
    }

    fn missing(&self) -> Vec<Table> {
        let is_missing = |table: &Table| !self.described.contains_key(table);
        Table::ALL.into_iter().filter(is_missing).collect()
    }

    /// Returns all four.
    ///
    /// # Panics
    ///
    /// One is missing.
    fn into_tables(mut self) -> Tables {
        let mut take = |table| self.described.remove(&table).expect("none is missing");
        Tables {
            station_data: take(Table::StationData),
            trip_data: take(Table::TripData),
            counts: take(Table::FromStationCounts),
            ledger: take(Table::LoadLedger),
        }
    }

    /// Refuses to create tables beside others that do not mean anything without the ones that are gone.
    async fn expect_complete_parts(
        &self,
        client: &Client,
        prefix: &str,
        missing: &[Table],
    ) -> Result<(), StoreError> {
        let damaged = |message| Err(StoreError::new(StoreErrorKind::Damaged, message));
        for found in self.described.values() {
            if let Some(stack) = stack_of(client, found).await {
                return damaged(format!(
                    "{} is missing, and the stack {stack} owns the tables beside it: deploy the stack \
                     again, or name another prefix",
                    missing[0].named(prefix)
                ));
            }
        }
        for (gone, other) in [
            (Table::LoadLedger, Table::TripData),
            (Table::TripData, Table::LoadLedger),
        ] {
            let Some(other) = self.described.get(&other) else {
                continue;
            };
            if missing.contains(&gone) && has_items(client, &other.name).await? {
                return damaged(format!(
                    "{} is missing, and {} has items that mean nothing without it: restore it from a \
                     backup; or delete the other tables, too, and load again; or name another prefix",
                    gone.named(prefix),
                    other.name
                ));
            }
        }
        Ok(())
    }
}

/// Checks that TripData has a layout.
fn expect_layout(trip_data: &Described, layout: Option<Layout>) -> Result<(), StoreError> {
    match layout.filter(|wanted| *wanted != trip_data.layout) {
        None => Ok(()),
        Some(wanted) => Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "{} has the layout {}, not {wanted}: one table holds one layout; name another \
                 prefix",
                trip_data.name, trip_data.layout
            ),
        )),
    }
}

/// Returns the CloudFormation stack of a table. `None` also where its tags cannot be read.
pub(crate) async fn stack_of(client: &Client, table: &Described) -> Option<String> {
    let arn = table.arn.as_ref()?;
    let request = client.list_tags_of_resource().resource_arn(arn);
    let tags = request.send().await.ok()?.tags.unwrap_or_default();
    let stack = tags.into_iter().find(|tag| tag.key() == create::STACK_TAG);
    stack.map(|tag| tag.value().to_owned())
}
