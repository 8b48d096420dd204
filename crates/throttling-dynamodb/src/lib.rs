//! DynamoDB in the process, which throttles as the service does.
//!
//! Emulators of DynamoDB accept every request at once, so a program that was only tested with one
//! meets its first throttle in production. This crate puts the limits of the service in front of
//! the emulator `dynoxide`: provisioned capacity with five minutes of burst, on-demand capacity
//! that follows the traffic, the limits of a partition key and of an account, batches that return
//! `UnprocessedItems`, transactions that are cancelled, and faults that a test injects.
//!
//! ```text
//!  SDK ──► connector (in the process) ─┐              ┌─► throttle: status 400, UnprocessedItems
//!  SDK ──► server (loopback port) ─────┴─► service ───┼─► faults: status 500, no response
//!                                            │        └─► emulator ──► SQLite
//!                                            └── table: keys, indexes ── capacity: token buckets
//! ```
//!
//! All time is that of tokio. On its paused clock a load that would take five days at 5 units a
//! second takes as long as the emulator needs for the writes:
//!
//! ```
//! use aws_sdk_dynamodb::Client;
//! use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
//! use aws_sdk_dynamodb::types::{
//!     AttributeDefinition, AttributeValue, KeySchemaElement, KeyType, ProvisionedThroughput,
//!     ScalarAttributeType,
//! };
//! use throttling_dynamodb::{Emulator, Options};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = Emulator::open(Options::default())?;
//! // The pauses of the SDK are random: three attempts, its default, may all be throttled.
//! let retries = RetryConfig::standard().with_max_attempts(20);
//! let config = Builder::from(&emulator.sdk_config()).retry_config(retries);
//! let client = Client::from_conf(config.build());
//! let id = AttributeDefinition::builder()
//!     .attribute_name("id")
//!     .attribute_type(ScalarAttributeType::S);
//! let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
//! let capacity = ProvisionedThroughput::builder()
//!     .read_capacity_units(5)
//!     .write_capacity_units(5);
//! client
//!     .create_table()
//!     .table_name("Orders")
//!     .attribute_definitions(id.build()?)
//!     .key_schema(key.build()?)
//!     .provisioned_throughput(capacity.build()?)
//!     .send()
//!     .await?;
//!
//! // The SDK repeats throttled requests after pauses, which take no time on the paused clock.
//! for id in 0..50 {
//!     let id = AttributeValue::S(id.to_string());
//!     client.put_item().table_name("Orders").item("id", id).send().await?;
//! }
//! let meter = emulator.meter();
//! assert_eq!(meter.tables["Orders"].own.write, 50.0);
//! assert!(meter.throttled_requests > 0);
//! # Ok(())
//! # }
//! ```
//!
//! Tables, indexes, items and streams are kept by the emulator, in memory or in a file. Not
//! emulated: PartiQL, backups, exports and imports, and everything that concerns several accounts
//! or regions.

mod capacity;
mod connector;
mod emulator_patches;
mod expression;
mod faults;
mod meter;
mod request;
mod server;
mod service;
mod state;
mod table;
mod throttle;
mod trickle;
mod warm_units;
mod wire;
mod write_cost;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use aws_types::region::Region;
use dynoxide::{Database, DynoxideError};

pub use self::capacity::Burst;
pub use self::faults::{FaultCounts, Faults};
pub use self::meter::{Meter, TableUse, Units};
pub use self::server::Server;

use self::capacity::LimiterOptions;
use self::connector::InProcess;
use self::emulator_patches::EmulatorPatches;
use self::service::Service;

/// The options of an emulator.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The file of the database, created if missing. `None`: in memory, until the last handle is
    /// dropped.
    pub path: Option<PathBuf>,
    /// Whether writes return before they are on the disk, which is about twice as fast. A killed
    /// process loses nothing, but a power failure may damage the file.
    pub scratch: bool,
    /// The burst capacity of tables when the emulator first reads their description.
    pub burst: Burst,
    /// Whether each partition key is limited to what one partition takes: 1,000 WCU and 3,000 RCU
    /// a second.
    pub key_caps: bool,
    /// The faults injected from the first request on.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: None,
            scratch: false,
            burst: Burst::default(),
            key_caps: true,
            faults: Faults::default(),
        }
    }
}

/// The reason for which an emulator cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path is not UTF-8, which the emulator requires.
    #[error("cannot use {} for a database: its name is not UTF-8", .0.display())]
    Path(PathBuf),
    /// The file is not one that the emulator has made, and stays as it is.
    #[error("{} is no file of the emulator: {found}", .path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// The emulator cannot open the database.
    #[error("cannot open the emulated DynamoDB in {name}")]
    Open {
        /// The file, or the name of the database in memory.
        name: String,
        /// The error of the emulator.
        #[source]
        source: DynoxideError,
    },
    /// The stream records of the database cannot be indexed or trimmed.
    #[error("cannot mend the stream records of the emulated DynamoDB in {name}")]
    Patch {
        /// The file, or the name of the database in memory.
        name: String,
        /// The error of SQLite.
        #[source]
        source: rusqlite::Error,
    },
}

/// An emulated DynamoDB with its streams. Clones are handles to the same database.
#[derive(Clone, Debug)]
pub struct Emulator {
    service: Arc<Service>,
}

/// Refuses a file of another program.
///
/// # Errors
///
/// [`OpenError::OtherFile`]. A file that cannot be read is refused when it is opened.
fn expect_own_file(path: &Path) -> Result<(), OpenError> {
    let other = |found| {
        Err(OpenError::OtherFile {
            path: path.to_owned(),
            found,
        })
    };
    let mut header = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut header));
    if read.is_err() || header.is_empty() {
        return Ok(());
    }
    if header != b"SQLite format 3\0" {
        return other("it is no database of SQLite");
    }
    let tables = || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(path, flags)?;
        let select = "SELECT count(*), coalesce(sum(name = '_tables'), 0) FROM sqlite_master \
                      WHERE type = 'table'";
        database.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    match tables() {
        Ok((1_i64.., 0_i64)) => other("it is a database of another program"),
        _ => Ok(()),
    }
}

impl Emulator {
    /// Opens an emulator.
    ///
    /// # Errors
    ///
    /// The file is not a database of the emulator, is of a newer version, or cannot be written.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        if let Some(path) = &options.path {
            expect_own_file(path)?;
        }
        let name = match options.path {
            Some(path) => path
                .into_os_string()
                .into_string()
                .map_err(|path| OpenError::Path(path.into()))?,
            None => memory_database_name(),
        };
        let failed = |source| OpenError::Open {
            name: name.clone(),
            source,
        };
        let database = Database::new(&name).map_err(failed)?;
        // As opened, the database waits for the disk with each item. Enabling this mode turns
        // syncing off, and disabling it again leaves WAL with synchronous = NORMAL.
        database.enable_bulk_loading().map_err(failed)?;
        if !options.scratch {
            database.disable_bulk_loading().map_err(failed)?;
        }
        let patches = EmulatorPatches::apply(name.clone());
        let patches = patches.map_err(|source| OpenError::Patch { name, source })?;
        let limits = LimiterOptions {
            burst: options.burst,
            key_caps: options.key_caps,
        };
        Ok(Self {
            service: Arc::new(Service::new(database, patches, limits, options.faults)),
        })
    }

    /// Returns an HTTP client for the configuration of the SDK that calls the emulator in the
    /// process. The endpoint may be any `http://` address, and the credentials any.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(InProcess {
            service: Arc::clone(&self.service),
            read_timeout: None,
        })
    }

    /// Returns a configuration for the SDK's clients of tables and of streams that call the
    /// emulator in the process.
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new("local", "local", None, None, "local");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url("http://dynamodb.local")
            .http_client(self.http_client())
            .build()
    }

    /// Listens on a free loopback port, for other processes. These run on the real clock, so
    /// tokio's must not be paused.
    ///
    /// # Errors
    ///
    /// No port is available.
    pub async fn serve(&self) -> io::Result<Server> {
        server::serve(Arc::clone(&self.service)).await
    }

    /// Returns the requests, capacity units and faults counted until now.
    pub fn meter(&self) -> Meter {
        self.service.meter()
    }

    /// Injects other faults from the next request on, starting at the beginning of their seed.
    pub fn set_faults(&self, faults: Faults) {
        self.service.set_faults(faults);
    }

    /// Returns the column of the emulator's database that is missing, so that its stream records
    /// are neither indexed nor trimmed: writes slow down as the stream grows, and old records
    /// stay. `None`: all columns exist.
    pub fn unpatched_column(&self) -> Option<&str> {
        self.service.missing_column()
    }
}

/// Returns the name of a new database in memory, which connections of this process share.
fn memory_database_name() -> String {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let n = OPENED.fetch_add(1, Ordering::Relaxed);
    format!("file:throttling-dynamodb-{n}?mode=memory&cache=shared")
}
