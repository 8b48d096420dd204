//! The store on DynamoDB: the four traits over the four tables.
//!
//! ```text
//!  Incoming ─► spool (a file) ─► plan ─► rows or blocks ─► tallies ─► versions ─► entry
//!                                  ▲                          (one transaction, last of all)
//!                     ids and copies of the other archives
//! ```
//!
//! The tables of a prefix belong to one system. One archive is loaded at a time; polls, stream
//! consumers and reports go on beside it.

mod boost;
mod check;
mod incoming;
mod layout;
mod lease;
mod plan;
mod repair;
mod spool;
mod stations;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use divvy::model::{StationId, System, SystemId, TripBatch};
use divvy::store::{
    ArchiveId, Check, Checked, ContentHash, CountsTable, Departures, FromStationCount, Incoming,
    Ledger, LedgerEntry, Repair, Repaired, StoreError, StoreErrorKind, TotalsReader, Trips, Unload,
    Unloaded,
};
use divvy::tally::{Parts, Totals};
use jiff::{SignedDuration, Timestamp};

use self::layout::InForce;
use crate::connect::{ConnectOptions, Connection};
use crate::item;
use crate::ledger::{Lag, LedgerTable, Load, Note, State, Stored};
use crate::pace::{PacedTable, Used};
use crate::tables::{Capacity, Layout, Tables};

/// Which tables, and how to use them.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// What the names of the tables begin with; empty for the bare names.
    pub prefix: String,
    /// Where the service is.
    pub region: Option<String>,
    /// Its address, where it is not the region's own.
    pub endpoint: Option<String>,
    /// Carries the requests instead of the network.
    pub http_client: Option<SharedHttpClient>,
    /// How trips are to lie. `None` takes what is there, rows where there is nothing yet.
    pub layout: Option<Layout>,
    /// The capacity of tables that are made.
    pub capacity: Capacity,
    /// The share of the capacity that is used, up to 1. `None` is all of it.
    pub share: Option<f64>,
    /// How long after its process was killed, or has given it up, a request may still reach the
    /// tables. `None` takes what is usual: no time in the process, a moment on this machine, a
    /// minute over the network.
    pub late: Option<Duration>,
    /// No Lambda reads the change stream, so that this process has to do what the Lambda would.
    pub no_lambda: bool,
}

/// How loads are done.
#[derive(Clone, Debug, Default)]
pub struct LoadSettings {
    /// The trips are in the table already, imported from S3: they are verified, not written.
    pub imported: bool,
    /// Raises the table and its index to so many write units while a load writes.
    pub boost: Option<u32>,
}

/// What a load tells while it writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The archive.
    pub archive: String,
    /// Writes done.
    pub done: u64,
    /// Writes in all.
    pub of: u64,
    /// What TripData has charged since the load began.
    pub used: Used,
    /// Write units a second, at this moment.
    pub rate: f64,
    /// How long the rest will take, in seconds. `None` before anything was written.
    pub rest_s: Option<f64>,
}

/// How far a load has come with the copies of trips that other archives have too.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The archive.
    pub archive: String,
    /// Stored copies that have been read.
    pub done: u64,
    /// Stored copies in all.
    pub of: u64,
}

/// Hears how far a load has come, and what it waits for.
pub trait Listener: Send + Sync {
    /// Some stored copies of repeated trips have been read, before anything is written.
    fn compared(&self, _: &Compared) {}

    /// Some writes are done.
    fn written(&self, written: &Written);
    /// Something that people should know, in a sentence.
    fn note(&self, note: &str);
}

/// Nobody listens.
impl Listener for () {
    fn written(&self, _: &Written) {}
    fn note(&self, _: &str) {}
}

/// A store on DynamoDB. Clones share what they hold.
#[derive(Clone)]
pub struct DynamoStore {
    shared: Arc<Shared>,
}

struct Shared {
    /// The share of the capacity that is used.
    share: f64,
    /// How long a request may be under way whose sender is gone.
    late: Duration,
    /// A Lambda reads the change stream.
    has_lambda: bool,
    connection: Connection,
    prefix: String,
    tables: Tables,
    stations: Arc<PacedTable>,
    trips: Arc<PacedTable>,
    counts: Arc<PacedTable>,
    ledger: LedgerTable,
    settings: LoadSettings,
    listener: Arc<dyn Listener>,
    /// Totals that were read, and where they lie: they are asked for again and again. Without cube.
    totals: Mutex<Option<(Stored, Arc<Totals>)>>,
    /// The system that the tables belong to, once known: it never changes.
    system: std::sync::OnceLock<System>,
    /// What consumers of the stream have read and not acknowledged.
    consumers: tokio::sync::Mutex<HashMap<String, stations::Consumer>>,
}

impl std::fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DynamoStore({:?})", self.shared.prefix)
    }
}

/// What a store has used of each table's capacity since it was opened.
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
    /// Opens the store; makes its tables where they are missing.
    ///
    /// # Errors
    ///
    /// No credentials, no region, no such endpoint, a right is missing, or a table is there in
    /// another shape: one sentence each.
    pub async fn open(options: OpenOptions) -> Result<Self, StoreError> {
        let connection = connect(&options).await?;
        let tables = Tables::ensure(
            &connection.steady,
            &options.prefix,
            options.layout,
            options.capacity,
        )
        .await?;
        Ok(Self::over(connection, tables, &options))
    }

    /// Opens a store that is there. `None` where none of its tables is.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub async fn open_existing(options: OpenOptions) -> Result<Option<Self>, StoreError> {
        let connection = connect(&options).await?;
        let tables = Tables::describe(&connection.steady, &options.prefix).await?;
        Ok(tables.map(|tables| Self::over(connection, tables, &options)))
    }

    fn over(connection: Connection, tables: Tables, options: &OpenOptions) -> Self {
        let share = options.share.unwrap_or(1.0);
        let paced = |described| {
            let client = connection.dynamo.clone();
            Arc::new(PacedTable::new(client, described, share))
        };
        let usual = match (&options.http_client, connection.is_local()) {
            (Some(_), _) => Duration::ZERO,
            (None, true) => Duration::from_secs(2),
            (None, false) => Duration::from_secs(60),
        };
        let shared = Shared {
            share,
            late: options.late.unwrap_or(usual),
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
            settings: LoadSettings::default(),
            listener: Arc::new(()),
            totals: Mutex::default(),
            system: std::sync::OnceLock::new(),
            consumers: tokio::sync::Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Sets how loads are done, and who hears of them.
    ///
    /// # Panics
    ///
    /// Where the store has been cloned already.
    pub fn with_loads(mut self, settings: LoadSettings, listener: Arc<dyn Listener>) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("a store that is new has no clones");
        shared.settings = settings;
        shared.listener = listener;
        self
    }

    /// Returns what the tables are like.
    pub fn tables(&self) -> &Tables {
        &self.shared.tables
    }

    /// Returns the clients.
    pub fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    /// Returns what has been used of each table since the store was opened.
    pub fn used(&self) -> UsedOf {
        UsedOf {
            station_data: self.shared.stations.used(),
            trip_data: self.shared.trips.used(),
            from_station_counts: self.shared.counts.used(),
            load_ledger: self.shared.ledger.table.used(),
        }
    }

    /// Returns the system that the tables belong to. `None` where nothing has come yet.
    pub async fn system(&self) -> Result<Option<System>, StoreError> {
        if let Some(system) = self.shared.system.get() {
            return Ok(Some(system.clone()));
        }
        let state = self.shared.ledger.state().await?;
        let system = state.map(|state| state.system);
        if let Some(system) = &system {
            // Of two that ask at once, both have read the same.
            let _ = self.shared.system.set(system.clone());
        }
        Ok(system)
    }

    /// Returns the counts table for one record of the stream: its counts are stored with the
    /// record's sequence number.
    pub fn counts_from<'a>(&'a self, source_sequence: &'a str) -> CountsFrom<'a> {
        CountsFrom {
            store: self,
            source_sequence: Some(source_sequence),
        }
    }

    /// Takes an archive out of the store, as if it had never been loaded: trips of which other
    /// archives hold a copy are theirs from then on, its other trips are gone. Returns the entry
    /// that it had; `None` where it is not loaded.
    ///
    /// Killed in the middle, it is to be given again; in the layout of rows nothing else is loaded
    /// before.
    ///
    /// # Errors
    ///
    /// Those of the service; another load was interrupted and has to be ended first.
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
        let Some(held) = archives.find(|held| held.entry.id.content == content) else {
            return Ok(None);
        };
        incoming::unload(&self.shared, held.entry.id).await
    }

    /// Lists the counts that are what an index had which did not catch up with the stored trips, one
    /// sentence each.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn given_up(&self) -> Result<Vec<String>, StoreError> {
        let Some(state) = self.shared.ledger.state().await? else {
            return Ok(Vec::new());
        };
        let counts = self.counts(&state.system.id).await?;
        let kept: HashMap<&str, u64> = counts
            .iter()
            .map(|count| (count.from_station_id.as_str(), count.from_count))
            .collect();
        let lags = self.shared.ledger.lags().await?.into_iter();
        Ok(lags
            .filter(|(_, lag)| lag.revision == state.revision && lag.counted.is_some())
            .filter(|(origin, lag)| kept.get(origin.as_str()).copied() == lag.counted)
            .map(|(origin, lag)| sentence_of(&origin, &lag))
            .collect())
    }

    /// Asks something of the system; the tables have nothing of another.
    async fn is_of(&self, system: &SystemId) -> Result<bool, StoreError> {
        Ok(self
            .system()
            .await?
            .is_some_and(|known| known.id == *system))
    }
}

#[async_trait]
impl Unload for DynamoStore {
    /// Archives go one after another; how many copies are promoted is not counted.
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
    })
    .await
}

/// How long an index is waited for. Indexes of DynamoDB follow within a second, and longer only
/// where something is wrong.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

/// Says that the count of an origin is what its index has.
fn sentence_of(origin: &str, lag: &Lag) -> String {
    let Lag {
        stored, counted, ..
    } = lag;
    format!(
        "from_count of {origin} is {}, as counted by the index, and {stored} trips are stored: it \
         had not caught up after {} minutes; divvy check --repair corrects it",
        counted.unwrap_or(0),
        PATIENCE.as_mins()
    )
}

/// An item that another program wrote.
fn foreign(error: item::ItemError) -> StoreError {
    StoreError::because(StoreErrorKind::Damaged, "an item cannot be read", error)
}

fn string_key(name: &str, value: &str) -> item::Item {
    HashMap::from([(name.to_owned(), AttributeValue::S(value.to_owned()))])
}

impl Shared {
    /// Reads the state, and the load under way where its totals are pending: both as they were at
    /// one moment, for a commit changes both. `None` before the first write.
    async fn at_one_moment(&self) -> Result<Option<(State, Option<Load>)>, StoreError> {
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

    /// Tells whether an index that has fewer trips from an origin than are stored has been waited
    /// for long enough: then what it has is the count. The first that meets it writes down when;
    /// where a process may not write that, it is another that does.
    async fn is_given_up(
        &self,
        state: &State,
        origin: &StationId,
        counted: u64,
        stored: u64,
    ) -> Result<bool, StoreError> {
        let note = Note::Behind(origin.as_str());
        let now = Timestamp::now();
        let known = self.ledger.note::<Lag>(note).await?;
        let known = known.filter(|lag| lag.revision == state.revision && lag.stored == stored);
        let Some(lag) = known else {
            let lag = Lag {
                since: now,
                revision: state.revision,
                stored,
                counted: None,
            };
            let _ = self.ledger.put_note(note, &lag).await;
            return Ok(false);
        };
        if now.duration_since(lag.since) < PATIENCE {
            return Ok(false);
        }
        let lag = Lag {
            counted: Some(counted),
            ..lag
        };
        self.listener.note(&sentence_of(origin.as_str(), &lag));
        let _ = self.ledger.put_note(note, &lag).await;
        Ok(true)
    }

    /// Finds out which items of TripData are in force.
    async fn in_force(&self) -> Result<InForce, StoreError> {
        loop {
            let archives = self.ledger.archives().await?;
            match InForce::of(self, &archives).await {
                Ok(in_force) => return Ok(in_force),
                // A load has ended meanwhile, and the lists before it are gone.
                Err(_) if self.ledger.archives().await? != archives => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the totals over all archives that lie there, without their cube.
    async fn totals(&self, stored: Option<Stored>) -> Result<Arc<Totals>, StoreError> {
        let Some(at) = stored else {
            return Ok(Arc::default());
        };
        let known = || self.totals.lock().expect("no holder of this lock panics");
        if let Some((_, totals)) = known().as_ref().filter(|(known, _)| *known == at) {
            return Ok(Arc::clone(totals));
        }
        let totals = self.ledger.totals_without_cube(None, stored).await?;
        let totals = Arc::new(totals);
        *known() = Some((at, Arc::clone(&totals)));
        Ok(totals)
    }
}

#[async_trait]
impl Trips for DynamoStore {
    async fn begin(&self, _: &ArchiveId) -> Result<Box<dyn Incoming>, StoreError> {
        Ok(Box::new(incoming::DynamoIncoming::new(Arc::clone(
            &self.shared,
        ))?))
    }

    async fn scan(
        &self,
        system: &SystemId,
        visit: &(dyn Fn(TripBatch) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        if !self.is_of(system).await? {
            return Ok(());
        }
        let in_force = self.shared.in_force().await?;
        layout::scan(&self.shared, &in_force, &mut |rows| visit(rows.batch)).await
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
        match parts == Parts::NONE {
            true => Ok(Totals::clone(&*self.shared.totals(state.totals).await?)),
            false => self.shared.ledger.totals(None, state.totals).await,
        }
    }
}

#[async_trait]
impl Departures for DynamoStore {
    async fn departures(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<u64>, StoreError> {
        let Some((state, load)) = self.shared.at_one_moment().await? else {
            return Ok(vec![0; origins.len()]);
        };
        if state.system.id != *system {
            return Ok(vec![0; origins.len()]);
        }
        // Where a load is about to end, its trips are there already.
        let is_ending = load.is_some_and(|load| load.is_ending);
        let pending = state.pending_totals.filter(|_| is_ending);
        let expected = self.shared.totals(pending.or(state.totals)).await?;
        let packed = self.shared.tables.trip_data.layout == Layout::Packed;
        let mut counts = Vec::with_capacity(origins.len());
        for origin in origins {
            let trips = &self.shared.trips;
            let n = trips
                .count(item::count::KEY, origin.as_str(), packed)
                .await?;
            let stored = expected.stations.departures(origin).max(0) as u64;
            // More of them are there where a load has not come to its end, or never will: these
            // do not count yet. Fewer, where it has overwritten some whose origin was another.
            let is_behind = n < stored && self.shared.ledger.load().await?.is_none();
            if !is_behind {
                counts.push(stored);
            } else if self.shared.is_given_up(&state, origin, n, stored).await? {
                counts.push(n);
            } else {
                return Err(StoreError::new(
                    StoreErrorKind::Behind,
                    format!(
                        "the index of {} has {n} trips from {origin}, and {stored} are stored: it \
                         has not caught up",
                        trips.name
                    ),
                ));
            }
        }
        Ok(counts)
    }
}

#[async_trait]
impl CountsTable for DynamoStore {
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError> {
        if !self.is_of(system).await? {
            return Ok(Vec::new());
        }
        let items = self.shared.counts.scan(true).await?;
        let counts: Result<Vec<_>, _> = items.iter().map(item::count::count).collect();
        let mut counts = counts.map_err(foreign)?;
        counts.sort_by(|a, b| a.from_station_id.cmp(&b.from_station_id));
        Ok(counts)
    }

    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError> {
        if origins.is_empty() || !self.is_of(system).await? {
            return Ok(vec![None; origins.len()]);
        }
        let keys = origins
            .iter()
            .map(|id| string_key(item::count::KEY, id.as_str()));
        let mut distinct: Vec<_> = keys.collect();
        distinct.sort_by_key(|key| key[item::count::KEY].as_s().cloned().unwrap_or_default());
        distinct.dedup();
        let items = self.shared.counts.get_all(distinct).await?;
        let mut found = HashMap::new();
        for item in &items {
            let count = item::count::count(item).map_err(foreign)?;
            found.insert(count.from_station_id.clone(), count);
        }
        Ok(origins.iter().map(|id| found.get(id).cloned()).collect())
    }

    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError> {
        let without_record = CountsFrom {
            store: self,
            source_sequence: None,
        };
        without_record.put_counts(system, counts).await
    }
}

/// The counts table of a store, written for one record of the stream.
pub struct CountsFrom<'a> {
    store: &'a DynamoStore,
    source_sequence: Option<&'a str>,
}

/// How many counts are put at once.
const COUNTS_AT_ONCE: usize = 16;

#[async_trait]
impl CountsTable for CountsFrom<'_> {
    async fn counts(&self, system: &SystemId) -> Result<Vec<FromStationCount>, StoreError> {
        self.store.counts(system).await
    }

    async fn counts_of(
        &self,
        system: &SystemId,
        origins: &[StationId],
    ) -> Result<Vec<Option<FromStationCount>>, StoreError> {
        self.store.counts_of(system, origins).await
    }

    async fn put_counts(
        &self,
        system: &SystemId,
        counts: &[FromStationCount],
    ) -> Result<(), StoreError> {
        if counts.is_empty() || !self.store.is_of(system).await? {
            return Ok(());
        }
        let mut under_way = tokio::task::JoinSet::new();
        for count in counts {
            let table = Arc::clone(&self.store.shared.counts);
            let item = item::count::item(count, self.source_sequence);
            let condition = newer_than_kept(&item);
            if under_way.len() >= COUNTS_AT_ONCE {
                joined(under_way.join_next().await)?;
            }
            under_way.spawn(async move {
                // A newer count is kept: that is as good.
                let (text, values) = condition;
                table.put_if(item, Some((&text, values))).await.map(drop)
            });
        }
        while let Some(done) = under_way.join_next().await {
            joined(Some(done))?;
        }
        Ok(())
    }
}

fn joined(
    done: Option<Result<Result<(), StoreError>, tokio::task::JoinError>>,
) -> Result<(), StoreError> {
    done.map_or(Ok(()), |done| {
        done.expect("a put neither panics nor is aborted")
    })
}

/// The count that is kept is of an older version; or of the same, and no later record of the
/// stream asked for it.
fn newer_than_kept(item: &item::Item) -> (String, HashMap<String, AttributeValue>) {
    use item::count::{SOURCE_SEQUENCE, TRIPS_VERSION};
    let mut values = HashMap::new();
    let mut text = format!("attribute_not_exists({TRIPS_VERSION})");
    if let Some(version) = item.get(TRIPS_VERSION) {
        values.insert(":version".to_owned(), version.clone());
        let same = match item.get(SOURCE_SEQUENCE) {
            None => format!("{TRIPS_VERSION} = :version"),
            Some(sequence) => {
                values.insert(":sequence".to_owned(), sequence.clone());
                format!(
                    "({TRIPS_VERSION} = :version AND (attribute_not_exists({SOURCE_SEQUENCE}) OR \
                     {SOURCE_SEQUENCE} <= :sequence))"
                )
            }
        };
        text = format!("{text} OR {TRIPS_VERSION} < :version OR {same}");
    }
    (text, values)
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
