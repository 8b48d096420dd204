//! The store on DynamoDB: the store traits over the four tables.
//!
//! ```text
//!  Incoming ─► spool (a file) ─► duplicate resolution ─► rows or blocks ─► tallies ─► versions ─► entry
//!                                  ▲                          (one transaction, last of all)
//!                     ids and copies of the other archives
//! ```
//!
//! The tables of a prefix belong to one system. One archive is loaded at a time; polls, stream
//! consumers and reports run at the same time.

mod check;
mod committed_items;
mod consumer;
mod copies;
mod counts;
mod departures;
mod duplicates;
mod layout;
mod load;
mod progress;
mod readable;
mod repair;
mod spool;
mod stalls;
mod stations;
mod temp_file;
mod trips;
mod upgrade;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use divvy::model::{System, SystemId};
use divvy::store::{
    Check, Checked, ContentHash, Ledger, LedgerEntry, Repair, Repaired, StoreError, StoreErrorKind,
    TotalsReader, Unload, Unloaded,
};
use divvy::tally::{Parts, Totals};
use jiff::Timestamp;

pub use self::counts::CountsFrom;
pub use self::load::LoadRefusal;
pub use self::progress::{Compared, Listener, LoadSettings, Written};
pub use self::upgrade::{UpgradePlan, UpgradeStep};
use crate::connect::{ConnectOptions, Connection};
use crate::item;
use crate::ledger::{LedgerTable, LoadRecord, SectionOwner, SectionRef, State};
use crate::pace::{PacedTable, Used};
use crate::tables::{Capacity, Layout, NewTables, Table, Tables, delete_empty};

/// The tables to open, and how to use them.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The prefix of the names of the tables; may be empty.
    pub prefix: String,
    /// The region. `None`: see [`ConnectOptions::region`].
    pub region: Option<String>,
    /// The address of the service. `None`: see [`ConnectOptions::endpoint`].
    pub endpoint: Option<String>,
    /// Carries the requests instead of the network.
    pub http_client: Option<SharedHttpClient>,
    /// Returns the time by the clock of this machine. `None`: that of the system.
    pub clock: Option<fn() -> Timestamp>,
    /// The layout of trips. `None`: that of the existing table, or rows.
    pub layout: Option<Layout>,
    /// The capacity of tables that are created.
    pub capacity: Capacity,
    /// Whether missing tables are created on a service that is not on this machine. On this machine, and in the
    /// process, they are created in any case.
    pub create_tables: bool,
    /// The system of the tables, for a tag of those that are created. `None`: they have no such tag.
    pub system: Option<String>,
    /// The share of the capacity that is used, up to 1. `None` uses all of it.
    pub share: Option<f64>,
    /// The longest time that a request takes to arrive after its process was killed or has abandoned
    /// it. `None`: no time in the process, 2 seconds on this machine, a minute over the network.
    pub late: Option<Duration>,
    /// Whether no Lambda function handles the change stream, so that this process has to.
    pub no_lambda: bool,
}

/// A store on DynamoDB. Clones share its state.
#[derive(Clone)]
pub struct DynamoStore {
    shared: Arc<Shared>,
}

struct Shared {
    /// The share of the capacity that is used.
    share: f64,
    /// The longest time that an abandoned request takes to arrive.
    late: Duration,
    /// Whether a Lambda function handles the change stream.
    has_lambda: bool,
    connection: Connection,
    prefix: String,
    tables: Tables,
    /// The tables that were created when the store was opened.
    created: Vec<Table>,
    stations: Arc<PacedTable>,
    trips: Arc<PacedTable>,
    counts: Arc<PacedTable>,
    ledger: LedgerTable,
    settings: LoadSettings,
    /// The capacity before loads of this process raised it.
    boosted: std::sync::OnceLock<load::boost::Before>,
    /// Set once a load of this process has raised the warm throughput.
    warmed: std::sync::OnceLock<()>,
    listener: Arc<dyn Listener>,
    /// The totals that were read last, without cube, and their section.
    totals: Mutex<Option<(SectionRef, Arc<Totals>)>>,
    /// The items of TripData that belong to the archives, as they were read last.
    items: Mutex<Option<departures::CachedItems>>,
    /// The rows of StationData as this process has written them last.
    station_rows: Mutex<Option<stations::StationRows>>,
    /// The origins of which this process has noted that the index had another number of trips.
    behind: Mutex<std::collections::HashSet<divvy::model::StationId>>,
    /// The number of counts that differ from the ledger, because the index does.
    inexact_counts: std::sync::atomic::AtomicU64,
    /// The system of the tables, once known: it never changes.
    system: std::sync::OnceLock<System>,
    /// The changes that the consumers of the stream have read and not acknowledged.
    consumers: tokio::sync::Mutex<HashMap<String, consumer::Consumer>>,
}

impl std::fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DynamoStore({:?})", self.shared.prefix)
    }
}

/// The units of each table that a store has consumed since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct UsedOf {
    /// StationData.
    pub station_data: Used,
    /// TripData.
    pub trip_data: Used,
    /// FromStationCounts.
    pub from_station_counts: Used,
    /// LoadLedger.
    pub load_ledger: Used,
}

impl DynamoStore {
    /// Opens the store; creates its tables where they are missing, if the options permit it. Where the service is
    /// not on this machine, they are protected: they have tags, deletion protection and point-in-time recovery.
    ///
    /// # Errors
    ///
    /// There are no credentials or no region, the endpoint cannot be reached, a permission is
    /// missing, or a table has another shape; tables are missing and may not be created
    /// ([`MissingTables`](crate::tables::MissingTables) is the source then). No new table is left.
    pub async fn open(options: OpenOptions) -> Result<Self, StoreError> {
        let connection = connect(&options).await?;
        let is_local = connection.is_local();
        let new = NewTables {
            layout: options.layout,
            capacity: options.capacity,
            may_create: options.create_tables || is_local,
            is_protected: !is_local,
            system: options.system.clone(),
        };
        let (tables, created) = Tables::ensure(&connection, &options.prefix, &new).await?;
        upgrade::refuse_without_index(&tables)?;
        Ok(Self::over(connection, tables, created, &options))
    }

    /// Opens an existing store. `None` where none of its tables exists.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub async fn open_existing(options: OpenOptions) -> Result<Option<Self>, StoreError> {
        let connection = connect(&options).await?;
        let tables = Tables::describe(&connection.retrying, &options.prefix).await?;
        tables
            .as_ref()
            .map_or(Ok(()), upgrade::refuse_without_index)?;
        Ok(tables.map(|tables| Self::over(connection, tables, Vec::new(), &options)))
    }

    fn over(
        connection: Connection,
        tables: Tables,
        created: Vec<Table>,
        options: &OpenOptions,
    ) -> Self {
        let share = options.share.unwrap_or(1.0);
        let paced = |described| {
            let client = connection.dynamo.clone();
            Arc::new(PacedTable::new(client, described, share))
        };
        let default_late = match (&options.http_client, connection.is_local()) {
            (Some(_), _) => Duration::ZERO,
            (None, true) => Duration::from_secs(2),
            (None, false) => Duration::from_secs(60),
        };
        let shared = Shared {
            share,
            late: options.late.unwrap_or(default_late),
            stations: paced(&tables.station_data),
            trips: paced(&tables.trip_data),
            counts: paced(&tables.counts),
            ledger: LedgerTable {
                table: paced(&tables.ledger),
            },
            has_lambda: !options.no_lambda,
            connection,
            prefix: options.prefix.clone(),
            tables,
            created,
            settings: LoadSettings::default(),
            boosted: std::sync::OnceLock::new(),
            warmed: std::sync::OnceLock::new(),
            listener: Arc::new(()),
            totals: Mutex::default(),
            items: Mutex::default(),
            behind: Mutex::default(),
            station_rows: Mutex::default(),
            inexact_counts: std::sync::atomic::AtomicU64::new(0),
            system: std::sync::OnceLock::new(),
            consumers: tokio::sync::Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Sets the settings of loads, and the listener of their progress.
    ///
    /// # Panics
    ///
    /// The store was cloned before.
    pub fn with_loads(mut self, settings: LoadSettings, listener: Arc<dyn Listener>) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("a store that is new has no clones");
        shared.settings = settings;
        shared.listener = listener;
        self
    }

    /// Returns the descriptions of the tables.
    pub fn tables(&self) -> &Tables {
        &self.shared.tables
    }

    /// Deletes the tables that were created when this store was opened, if nothing was stored since then.
    /// Returns whether it has deleted some. Only on this machine: in AWS other processes may have begun to use
    /// them, and they are created on request.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn delete_unused_tables(&self) -> Result<bool, StoreError> {
        let Shared {
            connection,
            created,
            prefix,
            ..
        } = &*self.shared;
        if created.is_empty()
            || !connection.is_local()
            || self.shared.ledger.state().await?.is_some()
        {
            return Ok(false);
        }
        // The ledger comes first: without it another process begins nothing.
        for table in created.iter().rev() {
            delete_empty(&connection.retrying, &table.named(prefix), false).await?;
        }
        Ok(true)
    }

    /// Returns the connection.
    pub fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    pub(crate) fn ledger(&self) -> &LedgerTable {
        &self.shared.ledger
    }

    /// Returns whether a Lambda function handles the change stream.
    pub(crate) fn has_lambda(&self) -> bool {
        self.shared.has_lambda
    }

    /// Returns what was consumed of each table since the store was opened.
    pub fn used(&self) -> UsedOf {
        UsedOf {
            station_data: self.shared.stations.used(),
            trip_data: self.shared.trips.used(),
            from_station_counts: self.shared.counts.used(),
            load_ledger: self.shared.ledger.table.used(),
        }
    }

    /// Returns the system that the tables belong to. `None` where nothing is stored yet.
    pub async fn system(&self) -> Result<Option<System>, StoreError> {
        if let Some(system) = self.shared.system.get() {
            return Ok(Some(system.clone()));
        }
        let state = self.shared.ledger.state().await?;
        let system = state.map(|state| state.system);
        if let Some(system) = &system {
            // Concurrent calls have read the same.
            let _ = self.shared.system.set(system.clone());
        }
        Ok(system)
    }

    /// Unloads an archive, as if it had never been loaded: of trips that other archives have too,
    /// their best copy becomes stored; its other trips are deleted. Returns its entry; `None` where
    /// it is not loaded.
    ///
    /// After a kill it has to be called again; in the layout of rows, no archive can be loaded
    /// before.
    ///
    /// # Errors
    ///
    /// Those of the service; an unfinished load has to be finished first.
    pub async fn unload_archive(
        &self,
        system: &System,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        if !self.is_of(&system.id).await? {
            return Ok(None);
        }
        let archives = self.shared.ledger.archives().await?;
        let mut archives = archives.into_iter();
        let Some(loaded) = archives.find(|loaded| loaded.entry.id.content == content) else {
            return Ok(None);
        };
        load::unload(&self.shared, loaded.entry.id).await
    }

    /// Returns whether the tables belong to a system.
    async fn is_of(&self, system: &SystemId) -> Result<bool, StoreError> {
        Ok(self
            .system()
            .await?
            .is_some_and(|known| known.id == *system))
    }
}

#[async_trait]
impl Unload for DynamoStore {
    /// Unloads one archive after another. Promoted copies are not counted.
    async fn unload(
        &self,
        system: &SystemId,
        archives: &[ContentHash],
        dry_run: bool,
    ) -> Result<Unloaded, StoreError> {
        let mut unloaded = Unloaded::default();
        let Some(known) = self.system().await?.filter(|known| known.id == *system) else {
            return Ok(unloaded);
        };
        for content in archives {
            let entry = if dry_run {
                self.holding(system, *content).await?
            } else {
                self.unload_archive(&known, *content).await?
            };
            unloaded.entries.extend(entry);
        }
        Ok(unloaded)
    }
}

#[async_trait]
impl Check for DynamoStore {
    async fn check(&self, _: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Checked, StoreError> {
        DynamoStore::check(self).await
    }
}

#[async_trait]
impl Repair for DynamoStore {
    async fn repair(&self, dry_run: bool, now: Timestamp) -> Result<Repaired, StoreError> {
        DynamoStore::repair(self, dry_run, now).await
    }
}

async fn connect(options: &OpenOptions) -> Result<Connection, StoreError> {
    Connection::open(ConnectOptions {
        region: options.region.clone(),
        endpoint: options.endpoint.clone(),
        http_client: options.http_client.clone(),
        clock: options.clock,
    })
    .await
}

/// Makes the error for an item that cannot be read.
fn damaged_item(error: item::ItemError) -> StoreError {
    StoreError::with_source(StoreErrorKind::Damaged, "an item cannot be read", error)
}

const NO_PANIC: &str = "a put neither panics nor is aborted";

fn string_key(name: &str, value: &str) -> item::Item {
    HashMap::from([(name.to_owned(), AttributeValue::S(value.to_owned()))])
}

impl Shared {
    /// Reads the state, and the record of the load where totals are pending, consistently: a commit
    /// changes both. `None` before the first write.
    async fn state_and_load(&self) -> Result<Option<(State, Option<LoadRecord>)>, StoreError> {
        let Some(mut state) = self.ledger.state().await? else {
            return Ok(None);
        };
        loop {
            if state.pending_totals.is_none() {
                return Ok(Some((state, None)));
            }
            let load = self.ledger.load().await?;
            let Some(after) = self.ledger.state().await? else {
                return Ok(None);
            };
            if after == state {
                return Ok(Some((state, load)));
            }
            state = after;
        }
    }

    /// Returns the totals over all archives in a section, without their cube.
    async fn totals(&self, section: Option<SectionRef>) -> Result<Arc<Totals>, StoreError> {
        let Some(at) = section else {
            return Ok(Arc::default());
        };
        let cached = || self.totals.lock().expect("no holder of this lock panics");
        if let Some((_, totals)) = cached().as_ref().filter(|(cached, _)| *cached == at) {
            return Ok(Arc::clone(totals));
        }
        let totals = self
            .ledger
            .totals_without_cube(SectionOwner::Store, section);
        let totals = Arc::new(totals.await?);
        *cached() = Some((at, Arc::clone(&totals)));
        Ok(totals)
    }
}

#[async_trait]
impl TotalsReader for DynamoStore {
    async fn totals(&self, system: &SystemId) -> Result<Totals, StoreError> {
        self.totals_with(system, Parts::ALL).await
    }

    async fn totals_with(&self, system: &SystemId, parts: Parts) -> Result<Totals, StoreError> {
        let state = self.shared.ledger.state().await?;
        let Some(state) = state.filter(|state| state.system.id == *system) else {
            return Ok(Totals::default());
        };
        if parts == Parts::NONE {
            Ok(Totals::clone(&*self.shared.totals(state.totals).await?))
        } else {
            let ledger = &self.shared.ledger;
            ledger.totals(SectionOwner::Store, state.totals).await
        }
    }
}

#[async_trait]
impl Ledger for DynamoStore {
    async fn systems(&self) -> Result<Vec<System>, StoreError> {
        Ok(self.system().await?.into_iter().collect())
    }

    async fn entries(&self, system: &SystemId) -> Result<Vec<LedgerEntry>, StoreError> {
        if !self.is_of(system).await? {
            return Ok(Vec::new());
        }
        let archives = self.shared.ledger.archives().await?;
        Ok(archives.into_iter().map(|archive| archive.entry).collect())
    }

    async fn holding(
        &self,
        system: &SystemId,
        content: ContentHash,
    ) -> Result<Option<LedgerEntry>, StoreError> {
        let entries = self.entries(system).await?;
        let mut entries = entries.into_iter();
        Ok(entries.find(|entry| entry.id.content == content))
    }
}
