//! Which store, and which of its systems.

use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, Args};
use divvy::model::System;
use divvy::refresh::{RefreshCounts, Refreshed};
use divvy::store::embedded::{EmbeddedStore, OnWait};
use divvy::store::{Check, Repair, Store};
use divvy_aws::store::{Listener, LoadSettings};
use divvy_aws::tables::{Capacity, Layout};
use divvy_aws::{DynamoStore, OpenOptions};
use jiff::Timestamp;
use throttling_dynamodb::{Emulator, Options};
use tokio::runtime::{Builder, Runtime};

/// Flags that stand before or behind any verb, but for those [`without`] some.
#[derive(Debug, Args)]
pub struct Common {
    /// The store: a folder, dynamodb://PREFIX?region=..., or dynamodb-local:FILE
    #[arg(
        long,
        global = true,
        env = "DIVVY_STORE",
        hide_env_values = true,
        value_name = "STORE",
        default_value = FOLDER,
        value_parser = OsStringValueParser::new().try_map(StoreName::parse)
    )]
    pub store: StoreName,
    /// The system, such as divvy or citibike; ID@Area/City for one that divvy does not know
    #[arg(long, global = true, value_name = "NAME", value_parser = system)]
    pub system: Option<System>,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Draw no progress bar
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Say more
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// Makes of common flags ones that mean nothing to a verb: left out of its help, and refused.
pub fn without(flags: &'static [&'static str]) -> impl Iterator<Item = Arg> {
    let refuse = |_: &str| Err::<String, _>("this verb does not take it");
    let refused =
        move |flag: &&'static str| Arg::new(*flag).long(*flag).hide(true).value_parser(refuse);
    flags.iter().map(refused)
}

fn system(text: &str) -> Result<System, String> {
    System::parse(text).map_err(|error| error.to_string())
}

/// Where a store is kept unless it is said.
pub const FOLDER: &str = "divvy-data";

/// What `--store` names.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreName {
    /// A folder: Parquet and SQLite.
    Folder(PathBuf),
    /// Tables of DynamoDB.
    Dynamo {
        /// What their names begin with; empty for the bare names.
        prefix: String,
        /// The region. `None` takes it from environment or profile.
        region: Option<String>,
        /// The address of the service, where it is not the region's own.
        endpoint: Option<String>,
    },
    /// The same tables in an emulator in this process.
    DynamoLocal {
        /// Its file.
        file: PathBuf,
        /// Write and read units of each table and of the index. `None` on demand.
        capacity: Option<(u32, u32)>,
        /// What waits for capacity waits no time.
        virtual_clock: bool,
    },
}

impl StoreName {
    /// Reads what `--store` and `DIVVY_STORE` say. A path may be of any bytes.
    fn parse(text: OsString) -> Result<Self, String> {
        match text.to_str() {
            Some(text) => Self::parse_text(text),
            None => Ok(Self::Folder(text.into())),
        }
    }

    fn parse_text(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(format!("it is empty: name a folder, such as {FOLDER}"));
        }
        let (name, query) = text.split_once('?').unwrap_or((text, ""));
        let said: Vec<(&str, &str)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let known = |names: &[&str]| {
            let unknown = said.iter().find(|(name, _)| !names.contains(name));
            unknown.map_or(Ok(()), |(name, _)| {
                Err(format!(
                    "what is {name:?}? After the question mark may stand {}",
                    names.join(", ")
                ))
            })
        };
        let value = |wanted: &str| {
            let found = said
                .iter()
                .find(|(name, value)| *name == wanted && !value.is_empty());
            found.map(|(_, value)| (*value).to_owned())
        };
        let units = |wanted: &str| {
            let value = value(wanted).map(|value| value.parse::<u32>().map_err(|_| value));
            match value.transpose() {
                Ok(Some(0)) | Err(_) => {
                    Err(format!("{wanted}: expected units a second, from 1 on"))
                }
                Ok(units) => Ok(units),
            }
        };
        if let Some(prefix) = name.strip_prefix("dynamodb://") {
            known(&["region", "endpoint"])?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            if !prefix.chars().all(is_name) {
                return Err(format!(
                    "{prefix:?} cannot begin the names of tables: letters, digits, _ . - only"
                ));
            }
            return Ok(Self::Dynamo {
                prefix: prefix.into(),
                region: value("region"),
                endpoint: value("endpoint"),
            });
        }
        if let Some(file) = name.strip_prefix("dynamodb-local:") {
            known(&["wcu", "rcu", "clock"])?;
            if file.is_empty() {
                return Err("name the file of the emulator: dynamodb-local:demo.db".into());
            }
            let (wcu, rcu) = (units("wcu")?, units("rcu")?);
            let capacity = wcu.or(rcu).map(|_| {
                let (wcu, rcu) = (wcu.or(rcu), rcu.or(wcu));
                (wcu.unwrap_or(1), rcu.unwrap_or(1))
            });
            let virtual_clock = match value("clock").as_deref() {
                None | Some("real") => false,
                Some("virtual") => true,
                Some(other) => return Err(format!("clock={other}: expected real or virtual")),
            };
            return Ok(Self::DynamoLocal {
                file: file.into(),
                capacity,
                virtual_clock,
            });
        }
        if name.starts_with("dynamodb:") {
            return Err("expected dynamodb://PREFIX?region=us-east-2".into());
        }
        if let Some(scheme) = scheme(text) {
            return Err(format!(
                "there are no stores of the kind {scheme}: expected a folder, \
                 dynamodb://PREFIX?region=us-east-2 or dynamodb-local:FILE (a folder of that name \
                 is ./{text})"
            ));
        }
        Ok(Self::Folder(text.into()))
    }
}

/// Finds what looks like the scheme of an address (RFC 3986, section 3.1) before the first colon.
/// `None` for a path, also for one with the letter of a drive.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    let is_drive = cfg!(windows) && scheme.len() == 1;
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(is_letter)
        && !is_drive)
        .then_some(scheme)
}

impl std::fmt::Display for StoreName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Dynamo { prefix, .. } => write!(f, "dynamodb://{prefix}"),
            Self::DynamoLocal { file, .. } => write!(f, "dynamodb-local:{}", file.display()),
        }
    }
}

impl StoreName {
    /// Tells whether it is kept by AWS itself, where it costs money.
    pub fn costs(&self) -> bool {
        matches!(self, Self::Dynamo { endpoint: None, .. })
    }
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Runs a future to its end. The clock is a virtual one where the store asks for it.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.get_or_init(|| runtime(false)).block_on(future)
}

fn runtime(virtual_clock: bool) -> Runtime {
    let mut builder = match virtual_clock {
        true => Builder::new_current_thread(),
        false => Builder::new_multi_thread(),
    };
    builder.enable_all().start_paused(virtual_clock);
    builder
        .build()
        .expect("the system gives threads and timers")
}

/// What commands need of a store.
pub trait ManagedStore: Store + Check + Repair + RefreshCounts {}
impl<T: Store + Check + Repair + RefreshCounts> ManagedStore for T {}

/// A store that has been opened.
pub struct Opened {
    store: Box<dyn ManagedStore>,
    dynamo: Option<DynamoStore>,
}

impl From<EmbeddedStore> for Opened {
    fn from(store: EmbeddedStore) -> Self {
        Self {
            store: Box::new(store),
            dynamo: None,
        }
    }
}

impl From<DynamoStore> for Opened {
    fn from(store: DynamoStore) -> Self {
        Self {
            store: Box::new(store.clone()),
            dynamo: Some(store),
        }
    }
}

/// How tables are made, and how loads are done, on DynamoDB.
#[derive(Clone, Default)]
pub struct DynamoOptions {
    /// How trips are to lie.
    pub layout: Option<Layout>,
    /// The capacity of tables that are made.
    pub capacity: Option<(u32, u32)>,
    /// The share of the capacity that is used.
    pub share: Option<f64>,
    /// How loads are done.
    pub loads: LoadSettings,
    /// Who hears of them.
    pub listener: Option<Arc<dyn Listener>>,
}

impl Opened {
    /// Returns the store.
    pub fn store(&self) -> &dyn ManagedStore {
        &*self.store
    }

    /// Returns the store on DynamoDB, for what has to do with its tables and their capacity. `None`
    /// for one in a folder.
    pub fn dynamo(&self) -> Option<&DynamoStore> {
        self.dynamo.as_ref()
    }

    /// Brings the counts up to date with the change stream. `None` where a Lambda does that.
    pub fn follow_stream(&self, now: Timestamp) -> anyhow::Result<Option<Refreshed>> {
        Ok(block_on(self.store.follow_stream(now))?)
    }
}

impl Common {
    /// Prepares the clock: before anything else is done.
    pub fn start(&self) {
        let virtual_clock = matches!(
            self.store,
            StoreName::DynamoLocal {
                virtual_clock: true,
                ..
            }
        );
        RUNTIME.get_or_init(|| runtime(virtual_clock));
    }

    /// Opens the store for writing; makes it where there is none.
    pub fn open(&self) -> anyhow::Result<Opened> {
        self.open_with(DynamoOptions::default())
    }

    /// Opens the store for writing, with what is asked for on DynamoDB.
    pub fn open_with(&self, asked: DynamoOptions) -> anyhow::Result<Opened> {
        if let StoreName::Folder(folder) = &self.store {
            let store = EmbeddedStore::open_with(folder, self.on_wait())?;
            return Ok(store.into());
        }
        let mut options = self.dynamo_options()?;
        options.layout = asked.layout;
        options.share = asked.share;
        if let Some((wcu, rcu)) = asked.capacity {
            options.capacity = Capacity::Provisioned { wcu, rcu };
        }
        let store = block_on(DynamoStore::open(options))?;
        let listener = asked.listener.unwrap_or_else(|| Arc::new(()));
        Ok(store.with_loads(asked.loads, listener).into())
    }

    /// Opens a store that is there.
    pub fn open_existing(&self) -> anyhow::Result<Opened> {
        self.open_if_there()?.with_context(|| {
            format!(
                "there is no store in {}: load an archive first (divvy load FILE.zip), or try \
                 divvy demo",
                self.store
            )
        })
    }

    /// Opens a store. `None` where there is none.
    pub fn open_if_there(&self) -> anyhow::Result<Option<Opened>> {
        match &self.store {
            StoreName::Folder(folder) => {
                let store = EmbeddedStore::open_existing_with(folder, self.on_wait())?;
                Ok(store.map(Opened::from))
            }
            // Opening it would make the file.
            StoreName::DynamoLocal { file, .. } if !file.exists() => Ok(None),
            _ => {
                let store = block_on(DynamoStore::open_existing(self.dynamo_options()?))?;
                Ok(store.map(Opened::from))
            }
        }
    }

    /// Returns which tables to open; opens the emulator if they are in one.
    fn dynamo_options(&self) -> anyhow::Result<OpenOptions> {
        match &self.store {
            StoreName::Folder(_) => unreachable!("folders were opened before"),
            StoreName::Dynamo {
                prefix,
                region,
                endpoint,
            } => Ok(OpenOptions {
                prefix: prefix.clone(),
                region: region.clone(),
                endpoint: endpoint.clone(),
                ..OpenOptions::default()
            }),
            StoreName::DynamoLocal { file, capacity, .. } => {
                if file.is_dir() {
                    bail!("{} is a folder; the emulator keeps a file", file.display());
                }
                let local = Emulator::open(Options {
                    path: Some(file.clone()),
                    ..Options::default()
                })?;
                if let Some(column) = local.unpatched_column() {
                    self.say(format_args!(
                        "warning: the emulator's file has no {column}: its stream will grow slow"
                    ));
                }
                Ok(OpenOptions {
                    http_client: Some(local.http_client()),
                    capacity: match *capacity {
                        None => Capacity::OnDemand,
                        Some((wcu, rcu)) => Capacity::Provisioned { wcu, rcu },
                    },
                    no_lambda: true,
                    ..OpenOptions::default()
                })
            }
        }
    }

    /// Finds the system to speak of: the one named, else the store's only one.
    pub fn system_of(&self, store: &dyn Store) -> anyhow::Result<System> {
        let known = block_on(store.systems())?;
        match (&self.system, known.as_slice()) {
            (Some(named), _) => match known.iter().find(|system| system.id == named.id) {
                Some(system) => Ok(system.clone()),
                None => bail!(
                    "the store has nothing of {}; it has {}",
                    named.id,
                    names(&known)
                ),
            },
            (None, [only]) => Ok(only.clone()),
            (None, []) => bail!(
                "the store in {} is empty: load an archive first (divvy load FILE.zip)",
                self.store
            ),
            (None, _) => bail!(
                "the store has several systems ({}): say which with --system NAME",
                names(&known)
            ),
        }
    }

    /// Prints what takes long: for which process a writer waits, or an upgrade.
    fn on_wait(&self) -> Box<OnWait> {
        let quiet = self.quiet;
        Box::new(move |sentence| {
            if !quiet {
                crate::messages::print_line(sentence);
            }
        })
    }

    /// Prints a message to stderr, unless asked to be quiet.
    pub fn say(&self, message: impl std::fmt::Display) {
        if !self.quiet {
            crate::messages::print_line(message);
        }
    }
}

fn names(systems: &[System]) -> String {
    match systems {
        [] => "nothing at all".into(),
        _ => {
            let ids: Vec<&str> = systems.iter().map(|system| system.id.as_str()).collect();
            ids.join(", ")
        }
    }
}
