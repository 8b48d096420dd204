//! The flags of all verbs, and the store that they name.

mod systems;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, Args, ColorChoice};
use clap_complete::ArgValueCandidates;
use divvy::refresh::{RefreshCounts, Refreshed};
use divvy::store::embedded::{EmbeddedStore, OnWait};
use divvy::store::{Check, Repair, Store};
use divvy_aws::store::{Listener, LoadSettings};
use divvy_aws::tables::{Capacity, Layout};
use divvy_aws::{DynamoStore, OpenOptions};
use jiff::Timestamp;
use throttling_dynamodb::{Emulator, Options};

use crate::completion_values;
use crate::messages;
use crate::runtime::{self, Kind, block_on};
use crate::store_name::{FOLDER, StoreName};

pub use systems::ALL_SYSTEMS;
use systems::{id_of, system_name};

/// Flags of all verbs, before or after the verb. A verb may exclude some: see [`without`].
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
    /// The store was named by an argument, not by the environment or the default.
    #[arg(skip)]
    pub store_is_argument: bool,
    /// The system, such as divvy or citibike; ID@Area/City for one that is not built in; all, for
    /// reports on every system of the store
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        value_parser = system_name,
        add = ArgValueCandidates::new(completion_values::systems)
    )]
    system: Option<String>,
    /// More systems that files may be of: a TOML file [default: systems.toml in the store's folder]
    #[arg(long, global = true, value_name = "FILE")]
    systems: Option<PathBuf>,
    /// Say nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Draw no progress bar
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Say more
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Colours: auto shows them on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: ColorChoice,
}

/// Returns arguments that exclude common flags from a verb: not in its help, and refused.
pub fn without(flags: &'static [&'static str]) -> impl Iterator<Item = Arg> {
    let refuse = |_: &str| Err::<String, _>("this verb does not take it");
    let refused =
        move |flag: &&'static str| Arg::new(*flag).long(*flag).hide(true).value_parser(refuse);
    flags.iter().map(refused)
}

/// The capabilities that commands need of a store.
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

/// Options of stores on DynamoDB: how tables are made, and how loads are done.
#[derive(Clone, Default)]
pub struct DynamoOptions {
    /// The layout of trips in tables that are made.
    pub layout: Option<Layout>,
    /// Whether missing tables are created in AWS; an emulator on this machine gets them in any case.
    pub create_tables: bool,
    /// Write and read units of tables that are made. `None` for tables on demand.
    pub capacity: Option<(u32, u32)>,
    /// The fraction of the capacity that is used. `None` for all.
    pub share: Option<f64>,
    /// How loads are done.
    pub loads: LoadSettings,
    /// Receives the progress of loads.
    pub listener: Option<Arc<dyn Listener>>,
}

impl Opened {
    /// Returns the store.
    pub fn store(&self) -> &dyn ManagedStore {
        &*self.store
    }

    /// Returns the store on DynamoDB, with its tables and their capacity. `None` for a store in a
    /// folder.
    pub fn dynamo(&self) -> Option<&DynamoStore> {
        self.dynamo.as_ref()
    }

    /// Deletes the tables that this command has created on DynamoDB, if nothing was stored in them.
    /// Returns whether it has. A failure is printed: the command has failed for another reason.
    pub fn delete_unused_tables(&self, common: &Common) -> bool {
        let Some(store) = self.dynamo() else {
            return false;
        };
        match block_on(store.delete_unused_tables()) {
            Ok(false) => false,
            Ok(true) => {
                common.say("nothing was stored: the tables that were created for it are deleted");
                true
            }
            Err(error) => {
                common.say(error);
                false
            }
        }
    }

    /// Brings the counts up to date with the change stream. `None` where a Lambda does that.
    pub fn follow_stream(&self, now: Timestamp) -> anyhow::Result<Option<Refreshed>> {
        Ok(self.run(self.store.follow_stream(now))?)
    }

    /// Runs work on the store to its end. On DynamoDB, prints why requests make no progress for a minute.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.dynamo {
            None => block_on(work),
            Some(dynamo) => block_on(dynamo.reporting_stalls(work)),
        }
    }
}

impl Common {
    /// Starts the runtime that the store needs. Has to be called before any other function.
    ///
    /// # Errors
    ///
    /// The system provides too few threads or file handles; --system names none that is known, and
    /// there is no store that may have it.
    pub fn start(&self) -> anyhow::Result<()> {
        let is_new = matches!(&self.store, StoreName::Folder(folder) if !folder.exists());
        if is_new && !self.is_of_all_systems() {
            self.named_system(&[])?;
        }
        let kind = match self.store {
            StoreName::Folder(_) => Kind::CallingThread,
            StoreName::DynamoLocal {
                virtual_clock: true,
                ..
            } => Kind::VirtualClock,
            StoreName::Dynamo { .. } | StoreName::DynamoLocal { .. } => Kind::Cores,
        };
        runtime::start(kind)
            .context("the system provides too few threads, file handles or bytes of memory")
    }

    /// Opens the store for writing. Makes it if there is none, but no tables in AWS.
    pub fn open(&self) -> anyhow::Result<Opened> {
        self.open_with(DynamoOptions::default())
    }

    /// Opens the store for writing, with options for DynamoDB. Makes it if there is none, tables in AWS only where the
    /// options permit it.
    pub fn open_with(&self, dynamo: DynamoOptions) -> anyhow::Result<Opened> {
        if let StoreName::Folder(folder) = &self.store {
            let store = EmbeddedStore::open_with(folder, self.on_wait())?;
            return Ok(store.into());
        }
        let mut options = self.dynamo_options()?;
        options.layout = dynamo.layout;
        options.share = dynamo.share;
        options.create_tables = dynamo.create_tables;
        options.system = self.system.as_deref().map(id_of).map(str::to_owned);
        if let Some((wcu, rcu)) = dynamo.capacity {
            options.capacity = Capacity::Provisioned { wcu, rcu };
        }
        let store = self.wait_for_tables(DynamoStore::open(options))?;
        // A load that raises the capacity itself goes on with what is raised.
        if dynamo.loads.boost.is_none() {
            self.restore_left_boost(&store);
        }
        self.warn_of_old_index(&store);
        let listener = dynamo.listener.unwrap_or_else(|| self.notes());
        Ok(store.with_loads(dynamo.loads, listener).into())
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// There is no store, or it cannot be opened.
    pub fn open_existing(&self) -> anyhow::Result<Opened> {
        self.open_if_there()?.with_context(|| {
            format!(
                "there is no store in {}: load an archive first (divvy load FILE.zip), or try \
                 divvy demo",
                self.store
            )
        })
    }

    /// Opens the store. `None` if there is none.
    pub fn open_if_there(&self) -> anyhow::Result<Option<Opened>> {
        match &self.store {
            StoreName::Folder(folder) => {
                let store = EmbeddedStore::open_existing_with(folder, self.on_wait())?;
                Ok(store.map(Opened::from))
            }
            // Opening the emulator makes the file.
            StoreName::DynamoLocal { file, .. } if !file.exists() => Ok(None),
            _ => {
                let options = self.dynamo_options()?;
                let store = self.wait_for_tables(DynamoStore::open_existing(options))?;
                if let Some(store) = &store {
                    self.restore_left_boost(store);
                    self.warn_of_old_index(store);
                }
                let store =
                    store.map(|store| store.with_loads(LoadSettings::default(), self.notes()));
                Ok(store.map(Opened::from))
            }
        }
    }

    /// Opens the store on DynamoDB for an upgrade, also one whose index is missing. `None` for a store
    /// in a folder.
    ///
    /// # Errors
    ///
    /// There are no tables, or they cannot be described.
    pub fn open_for_upgrade(&self) -> anyhow::Result<Option<DynamoStore>> {
        match &self.store {
            StoreName::Folder(_) => return Ok(None),
            StoreName::DynamoLocal { file, .. } if !file.exists() => {}
            _ => {
                let store = block_on(DynamoStore::open_for_upgrade(self.dynamo_options()?))?;
                if let Some(store) = store {
                    return Ok(Some(store));
                }
            }
        }
        bail!("there are no tables in {}", self.store)
    }

    /// Opens a store on DynamoDB. Where that takes minutes, prints what it waits for.
    fn wait_for_tables<T>(&self, opening: impl Future<Output = T>) -> T {
        const AFTER: Duration = Duration::from_secs(60);
        const AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);
        let waiting = async {
            let started = tokio::time::Instant::now();
            tokio::time::sleep(AFTER).await;
            loop {
                self.say(format_args!(
                    "{}: no answer about its tables for {} min, or they are being created; it is tried again",
                    self.store,
                    started.elapsed().as_secs() / 60
                ));
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        };
        block_on(async {
            tokio::select! {
                opened = opening => opened,
                () = waiting => unreachable!("it does not end"),
            }
        })
    }

    /// Makes a listener that prints the sentences of a store, unless with --quiet.
    fn notes(&self) -> Arc<dyn Listener> {
        Arc::new(messages::Notes { quiet: self.quiet })
    }

    /// Restores the capacity that a killed load has left raised, and prints that. A failure is printed too,
    /// and does not keep the command from its work: it may have no permission.
    fn restore_left_boost(&self, store: &DynamoStore) {
        match block_on(store.restore_left_boost(Timestamp::now())) {
            Ok(false) => {}
            Ok(true) => {
                let table = &store.tables().trip_data.name;
                self.say(format_args!(
                    "{table}: a load that was killed had raised its capacity, which is restored"
                ));
            }
            Err(error) => self.say(error),
        }
    }

    fn warn_of_old_index(&self, store: &DynamoStore) {
        if let Some(warning) = store.index_warning() {
            self.say(format_args!("warning: {warning}"));
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

    /// Returns the function that prints the reasons for long waits: a process that writes, an upgrade.
    fn on_wait(&self) -> Box<OnWait> {
        let quiet = self.quiet;
        Box::new(move |sentence| {
            if !quiet {
                messages::print_line(sentence);
            }
        })
    }

    /// Prints a message to stderr, unless with --quiet.
    pub fn say(&self, message: impl std::fmt::Display) {
        if !self.quiet {
            messages::print_line(message);
        }
    }
}
