//! DynamoDB on this machine: an emulator in the process, behind a front that throttles as the
//! service does.
//!
//! The emulator (`dynoxide`) keeps tables, indexes and streams right, counts capacity right, and
//! never says no. The front says it:
//!
//! ```text
//!  SDK ──► connector (in the process) ─┐            ┌─► throttle: 400, UnprocessedItems
//!  SDK ──► server (loopback port) ─────┴─► front ───┼─► faults: 500, silence, lost answers
//!                                           │       └─► emulator ──► SQLite, mended by remedies
//!                                           └── table: keys, indexes ── capacity: buckets
//! ```
//!
//! All time is tokio's. On its paused clock a load that takes five days at 5 units a second takes
//! as long as the emulator needs.

mod batch;
mod capacity;
mod connector;
mod expression;
mod faults;
mod front;
mod meter;
mod remedies;
mod server;
mod table;
mod throttle;
mod wire;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::{Database, DynoxideError};

pub use self::capacity::Burst;
pub use self::faults::{FaultCounts, Faults};
pub use self::meter::{Meter, TableUse, Units};
pub use self::server::Serving;

use self::connector::InProcess;
use self::front::Front;
use self::remedies::Remedies;
use self::table::Rules;

/// How an emulator is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The file of the database, made when there is none. `None`: in memory, gone when the last
    /// handle is.
    pub path: Option<PathBuf>,
    /// Writes are not waited for until they are on the disk. A process that is killed loses
    /// nothing, but a machine that fails may leave a damaged file. For files made to be thrown
    /// away: about twice as fast.
    pub scratch: bool,
    /// How much burst capacity tables have when the emulator first sees them.
    pub burst: Burst,
    /// Whether one key is held to what one partition takes: 1,000 WCU and 3,000 RCU a second.
    pub key_caps: bool,
    /// The faults to begin with.
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

/// Why an emulator cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The path is not text, which the emulator needs.
    #[error("cannot use {} for a database: its name is not UTF-8", .0.display())]
    Path(PathBuf),
    /// The emulator refuses the database.
    #[error("cannot open the emulated DynamoDB in {place}")]
    Open {
        /// The file, or a name for the memory.
        place: String,
        /// What the emulator says.
        #[source]
        source: DynoxideError,
    },
    /// The stream records of the database cannot be mended.
    #[error("cannot mend the stream records of the emulated DynamoDB in {place}")]
    Mend {
        /// The file, or a name for the memory.
        place: String,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
}

/// An emulated DynamoDB with its streams. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Local {
    front: Arc<Front>,
}

impl Local {
    /// Opens an emulator.
    ///
    /// # Errors
    ///
    /// When the file is no database of the emulator, or one of a newer version, or cannot be
    /// written.
    pub fn open(options: Options) -> Result<Self, LocalError> {
        let place = match options.path {
            Some(path) => path
                .into_os_string()
                .into_string()
                .map_err(|path| LocalError::Path(path.into()))?,
            None => in_memory(),
        };
        let failed = |source| LocalError::Open {
            place: place.clone(),
            source,
        };
        let database = Database::new(&place).map_err(failed)?;
        // As opened, each item waits for the disk. Switching this mode on turns syncing off, and
        // switching it off again leaves WAL with synchronous = NORMAL.
        database.enable_bulk_loading().map_err(failed)?;
        if !options.scratch {
            database.disable_bulk_loading().map_err(failed)?;
        }
        let remedies = Remedies::apply(place.clone());
        let remedies = remedies.map_err(|source| LocalError::Mend { place, source })?;
        let rules = Rules {
            burst: options.burst,
            key_caps: options.key_caps,
        };
        Ok(Self {
            front: Arc::new(Front::new(database, remedies, rules, options.faults)),
        })
    }

    /// Returns a client for the configuration of the SDK that calls the emulator in the process.
    /// The endpoint may be any `http://` address, and credentials any.
    pub fn http_client(&self) -> SharedHttpClient {
        SharedHttpClient::new(InProcess {
            front: Arc::clone(&self.front),
            patience: None,
        })
    }

    /// Returns a configuration for the SDK's clients of tables and of streams, which call the
    /// emulator in the process.
    pub fn sdk_config(&self) -> SdkConfig {
        let nobody = Credentials::new("local", "local", None, None, "local");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(SharedCredentialsProvider::new(nobody))
            .endpoint_url("http://dynamodb.local")
            .http_client(self.http_client())
            .build()
    }

    /// Listens on a free port of this machine, for other processes. They live on the real clock,
    /// so tokio's must not be paused.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn serve(&self) -> io::Result<Serving> {
        server::serve(Arc::clone(&self.front)).await
    }

    /// Returns what went through until now.
    pub fn meter(&self) -> Meter {
        self.front.meter()
    }

    /// Begins other faults, from the start of their seed.
    pub fn set_faults(&self, faults: Faults) {
        self.front.set_faults(faults);
    }

    /// Returns the column of the emulator's database that was not as known, so that its stream
    /// records could not be mended: writes then get slower with the length of the stream, and old
    /// records stay. `None`: all is well.
    pub fn unmended(&self) -> Option<&str> {
        self.front.remedies().missing()
    }
}

/// Names a database in memory that connections of this process can share.
fn in_memory() -> String {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let n = OPENED.fetch_add(1, Ordering::Relaxed);
    format!("file:divvy-{n}?mode=memory&cache=shared")
}
