//! `divvy watch`

mod alarms;
mod forecasts;
mod gate;
mod lock;
mod metrics;
mod metrics_server;
mod shared;
mod signals;
mod snapshot_line;
mod source;
mod totals;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use divvy::alarms::Forecasts;
use divvy::ingest::watch::{
    ClockSteps, DEFAULT_FLOOR, Recorder, SystemWatch, WatchOptions, in_words,
};
use divvy::reports::plural;
use divvy::sources::http::Client;
use divvy::store::embedded::EmbeddedStore;
use jiff::Timestamp;

use alarms::Alarms;
use forecasts::LiveForecasts;
use gate::Gate;
use metrics::Metrics;
use shared::{Clock, Shared};
use signals::Signals;
use source::{Source, parse_every};

use crate::flags;
use crate::open::{Common, DynamoOptions, Opened};
use crate::runtime::block_on;
use crate::store_name::StoreName;

/// Polls one or many systems until it is stopped, and refreshes the counts they concern.
///
/// Each system is polled at the ttl of its feed, at least a minute and at most an hour apart, with
/// requests that are answered by "not modified" while nothing has changed. What goes wrong is printed
/// when it begins, each hour while it lasts, and when it ends; the polls go on. SIGINT (Ctrl-C) and
/// SIGTERM end it with exit status 0 and a line of totals, a second signal at once. The store is locked
/// for a snapshot at a time, so that loads run beside it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy watch https://gbfs.divvybikes.com/gbfs/2.3/gbfs.json
  divvy watch --record recorded --metrics 9184 https://gbfs.divvybikes.com/gbfs/2.3/gbfs.json
  divvy watch --rules alarms.toml https://gbfs.divvybikes.com/gbfs/2.3/gbfs.json
  divvy watch divvy=https://a.example/gbfs.json velov@Europe/Paris=https://b.example/gbfs.json")]
pub struct Watch {
    /// A discovery file (gbfs.json) or the older stations.json of each system; SYSTEM= before it names
    /// the system
    #[arg(required = true, value_name = "[SYSTEM=]URL", value_parser = Source::parse)]
    sources: Vec<Source>,
    /// The shortest time between two polls of a system, such as 30s or 5m [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = parse_every)]
    every: Option<Duration>,
    /// Keep the bodies as they came, compressed by Zstandard, with a manifest of their hashes
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Evaluate these rules after each poll, and send notices of alarms: a TOML file (docs/ALARMS.md)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Where alarms and notices that wait are kept [default: alarms in the store's folder]
    #[arg(long, value_name = "DIR", requires = "rules")]
    alarms: Option<PathBuf>,
    /// Serve metrics for Prometheus at http://127.0.0.1:PORT/metrics, and /healthz; 0 takes a free port
    #[arg(long, value_name = "PORT")]
    metrics: Option<u16>,
    /// What to print to stdout: nothing, or with ndjson a line of JSON for each snapshot
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<WatchFormat>,
    /// On DynamoDB, which keeps no history of states: keep it in this folder, a store of its own for
    /// reports of the history (divvy --store FOLDER report history)
    #[arg(long, value_name = "FOLDER")]
    history: Option<PathBuf>,
    /// On DynamoDB: create the tables where they are missing, also in AWS
    #[arg(long)]
    create_tables: bool,
}

/// What is printed to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WatchFormat {
    Ndjson,
}

/// How many systems one process watches: each has a thread.
const MAX_SYSTEMS: usize = 500;

/// The first polls of several systems begin this far apart.
const FIRST_POLLS_APART: Duration = Duration::from_millis(100);

/// How long a snapshot that is being stored, or a notice that is being sent, is waited for after a signal.
const MAX_STORING: Duration = Duration::from_secs(5);

/// The exit status of a process that a second signal ends, as shells write it for SIGINT.
const ENDED_AT_ONCE: i32 = 130;

impl Watch {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        source::expect_different(&self.sources)?;
        if self.sources.len() > MAX_SYSTEMS {
            bail!("one process watches {MAX_SYSTEMS} systems at most: start several");
        }
        if let (StoreName::Folder(folder), true) = (&common.store, self.create_tables) {
            bail!(
                "--create-tables is for stores on DynamoDB, and {} is a folder",
                folder.display()
            );
        }
        if let (StoreName::Folder(folder), Some(_)) = (&common.store, &self.history) {
            bail!(
                "--history is for stores on DynamoDB: {} keeps its own",
                folder.display()
            );
        }
        if let Some(history) = &self.history {
            let is_folder = matches!(
                StoreName::parse(history.clone().into()),
                Ok(StoreName::Folder(_))
            );
            if !is_folder {
                bail!(
                    "--history takes a folder: {} is on DynamoDB, which keeps no history",
                    history.display()
                );
            }
        }
        let recorder = self.record.as_deref().map(Recorder::open).transpose()?;
        let opened = common.open_with(DynamoOptions {
            create_tables: self.create_tables,
            ..DynamoOptions::default()
        })?;
        let history = self
            .history
            .as_deref()
            .map(EmbeddedStore::open)
            .transpose()?;
        let watches = self.watches(common, &opened)?;
        let clock = Clock::start();
        let metrics = Metrics::new(watches.len());
        let forecasts = Arc::new(LiveForecasts::default());
        let has_history = history.is_some() || opened.store().history().is_some();
        let forecasting = has_history.then(|| Arc::clone(&forecasts) as Arc<dyn Forecasts>);
        let alarms = self.open_alarms(&watches, forecasting, common)?;
        let shared = Shared {
            common,
            opened: &opened,
            history: history.as_ref(),
            is_folder: matches!(common.store, StoreName::Folder(_)),
            prints_snapshots: self.format == Some(WatchFormat::Ndjson),
            gate: Gate::default(),
            clock,
            clock_steps: Mutex::new(ClockSteps::new(clock.now())),
            folder_lock: Mutex::new(()),
            recorder: recorder.map(Mutex::new),
            alarms,
            metrics,
            forecasts,
        };
        // Before the first line: a signal after it is handled.
        let mut signals = block_on(async { Signals::listen() })?;
        thread::scope(|scope| {
            if let Some(port) = self.metrics {
                let address = metrics_server::start(scope, port, &shared)?;
                common.say(format_args!("metrics at http://{address}/metrics"));
            }
            let systems = plural(watches.len() as i64, "system");
            common.say(format_args!("watching {systems}; Ctrl-C ends it"));
            if shared.history.is_none() && shared.opened.store().history().is_none() {
                common.say("this store keeps no history of states: --history FOLDER does");
            }
            if let Some(alarms) = &shared.alarms {
                alarms
                    .start(scope, &shared.gate, common)
                    .inspect_err(|_| shared.gate.stop())?;
            }
            for (index, mut watch) in watches.into_iter().enumerate() {
                let (gate, shared) = (shared.gate.enter(), &shared);
                let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                    let _inside = gate;
                    worker::follow(shared, &mut watch, index);
                });
                if let Err(error) = spawned {
                    shared.gate.stop();
                    return Err(error).context("the system provides too few threads");
                }
            }
            block_on(async {
                tokio::select! {
                    () = signals.next() => {}
                    () = shared.gate.stopped() => {}
                }
            });
            shared.gate.stop();
            let is_ended = block_on(wait_for_workers(&mut signals, &shared.gate));
            Ok(end(&shared, is_ended))
        })
    }

    /// Opens the alarms of `--rules`. `None` without it.
    fn open_alarms(
        &self,
        watches: &[SystemWatch],
        forecasts: Option<Arc<dyn Forecasts>>,
        common: &Common,
    ) -> anyhow::Result<Option<Alarms>> {
        let Some(rules) = &self.rules else {
            return Ok(None);
        };
        let folder = alarms::folder(self.alarms.as_deref(), common)?;
        let watches: Vec<_> = self.sources.iter().zip(watches).collect();
        Alarms::open(rules, &folder, &watches, forecasts, common).map(Some)
    }

    /// Makes what watches each system.
    fn watches(&self, common: &Common, opened: &Opened) -> anyhow::Result<Vec<SystemWatch>> {
        let stored = block_on(opened.store().systems())?;
        let systems = common.known_systems()?.with_stored(&stored);
        let named = common.named_system(&stored)?;
        if named.is_some() && self.sources.len() > 1 {
            bail!("--system names one system: write SYSTEM=URL for each of several");
        }
        let client = Client::new();
        let watch = |(index, source): (usize, &Source)| {
            let system = match &source.system {
                Some(name) => Some(systems.parse(name)?),
                None => named.clone(),
            };
            let options = WatchOptions {
                system,
                systems: systems.clone(),
                client: client.clone(),
                floor: self.every.unwrap_or(DEFAULT_FLOOR),
                first_poll_at: FIRST_POLLS_APART * index as u32,
                seed: (u64::from(std::process::id()) << 32) + index as u64,
                keeps_bodies: self.record.is_some(),
                describe: |error| flags::message(error),
            };
            Ok(SystemWatch::new(&source.url, options))
        };
        self.sources.iter().enumerate().map(watch).collect()
    }
}

/// Waits until no worker runs, or none stores a snapshot. A second signal ends the process. Returns
/// whether all workers have ended.
async fn wait_for_workers(signals: &mut Signals, gate: &Gate) -> bool {
    const STEP: Duration = Duration::from_millis(10);
    let until = Instant::now() + MAX_STORING;
    let settled = async {
        while !gate.is_settled() && Instant::now() < until {
            tokio::time::sleep(STEP).await;
        }
    };
    tokio::select! {
        () = signals.next() => std::process::exit(ENDED_AT_ONCE),
        () = settled => {}
    }
    gate.is_empty()
}

/// Prints the totals and returns the exit status. Where workers still wait for a server, or for another
/// process that writes to the store, it ends the process: what they would do next is not begun.
fn end(shared: &Shared, is_ended: bool) -> ExitCode {
    let common = shared.common;
    let length = in_words(shared.clock.now().since_start);
    let totals = shared.metrics.totals();
    let waiting = shared.alarms.as_ref().map_or(0, Alarms::waiting);
    if waiting > 0 {
        let waiting = plural(waiting as i64, "notice");
        common.say(format_args!(
            "{waiting} waiting to be sent at the next start"
        ));
    }
    common.say(format_args!("watched for {length}: {totals}"));
    let code: u8 = match shared.gate.is_broken.load(Ordering::Relaxed) {
        true => 2,
        false => 0,
    };
    if !is_ended {
        std::process::exit(i32::from(code));
    }
    ExitCode::from(code)
}

/// Returns the present time of day, to the millisecond.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
