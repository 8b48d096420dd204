//! `divvy demo`

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use divvy::ingest::{self, LoadOptions, PollOptions, SameName};
use divvy::model::System;
use divvy::reports::{self, Filters, Report};
use divvy::sample::{self, Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::embedded::EmbeddedStore;
use jiff::Timestamp;

use super::grouped;
use crate::open::{Common, Opened, without};
use crate::outputs;
use crate::progress::Bar;
use crate::render::Format;
use crate::runtime::block_on;
use crate::store_name::{FOLDER, StoreName};

/// Runs the whole flow on a sample: no network, no account.
///
/// Makes an archive and a feed in a folder of its own, loads them, and prints reports. With
/// --store dynamodb-local:FILE the flow is that on AWS: tables, stream, handler, counts.
#[derive(Debug, Args)]
#[command(args = without(&["system", "systems"]))]
#[command(after_help = "Examples:
  divvy demo
  divvy demo --store dynamodb-local:demo.db")]
pub struct Demo {
    /// The folder to work in
    #[arg(long, default_value = "divvy-demo", value_name = "FOLDER")]
    folder: PathBuf,
    /// How many trips to invent [default: 100000; 10000 on DynamoDB]
    #[arg(long)]
    trips: Option<u64>,
}

/// The demo has the same trips every day; only the time of its feed changes.
const SEED: u64 = 1;
const ERA: Era = Era::Y2024;

impl Demo {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let now = Timestamp::now();
        let on_dynamo = is_on_dynamo(&common.store)?;
        let folder = self.folder.join(FOLDER);
        let (there, name) = if on_dynamo {
            (common.open_if_there()?, common.store.to_string())
        } else {
            let there = EmbeddedStore::open_existing(&folder)?;
            (there.map(Opened::from), folder.display().to_string())
        };
        if let Some(store) = there {
            expect_demo(&store, &name)?;
        }
        let trips = self
            .trips
            .unwrap_or(if on_dynamo { 10_000 } else { 100_000 });

        common.say("1. A trip archive, as a publisher would put it on the web");
        let archive = self.write_samples(trips, now, common)?;

        common.say("2. divvy load: every row becomes a trip or a rejected row");
        let store = if on_dynamo {
            let store = common.open()?;
            say_tables(&store, common);
            store
        } else {
            EmbeddedStore::open(&folder)?.into()
        };
        load(&archive, &store, now, common)?;

        common.say("3. divvy poll: the stations of this minute");
        let feed = self.folder.join("feed");
        let polled = block_on(ingest::poll(&[feed], store.store(), &PollOptions::new(now)))?;
        common.say(format_args!(
            "   {} stations",
            grouped(polled.stations as u64)
        ));

        common.say("4. The change stream brings the counts up to date");
        let refreshed = store.follow_stream(now)?.unwrap_or_default();
        common.say(format_args!(
            "   {} changes, {} counts refreshed",
            grouped(refreshed.changes),
            grouped(refreshed.recounted)
        ));

        common.say("5. divvy report: history joined to the stations of this minute");
        print_reports(&store, &polled.system, common)?;
        common.say(format_args!(
            "\nThe store is in {name}. Look around in it:\n  \
             divvy report hours --store {name}\n  \
             divvy report stations --rider casual --top 5 --store {name}\n  \
             divvy check --store {name}\nOr load real archives:\n  \
             divvy load https://divvy-tripdata.s3.amazonaws.com/202101-divvy-tripdata.zip\n  \
             divvy poll https://gbfs.divvybikes.com/gbfs/2.3/gbfs.json\n  \
             divvy report stations",
        ));
        Ok(ExitCode::SUCCESS)
    }

    /// Writes the archive and the feed. Returns the path of the archive.
    fn write_samples(
        &self,
        trips: u64,
        now: Timestamp,
        common: &Common,
    ) -> anyhow::Result<PathBuf> {
        let making = || format!("cannot make {}", self.folder.display());
        let feed = self.folder.join("feed");
        std::fs::create_dir_all(&feed).with_context(making)?;
        let path = self.folder.join(ERA.archive_name());
        let files: Vec<(PathBuf, Vec<u8>)> = (sample::feed(ERA, SEED, now).into_iter())
            .map(|(name, bytes)| (feed.join(name), bytes))
            .collect();
        for path in files.iter().map(|(path, _)| path).chain([&path]) {
            expect_sample(path)?;
        }
        if path.exists() {
            common.say("   (in place of the archive and the feed of an earlier demo)");
        }
        let file = File::create(&path).with_context(making)?;
        let sample = Sample {
            era: ERA,
            trips,
            seed: SEED,
        };
        sample
            .write_zip(BufWriter::new(file), &mut |_| {})
            .with_context(making)?;
        for (path, bytes) in files {
            std::fs::write(path, bytes).with_context(making)?;
        }
        common.say(format_args!("   {} and {}", path.display(), feed.display()));
        Ok(path)
    }
}

/// Returns whether the demo is to run on an emulator of DynamoDB, rather than in a folder.
///
/// # Errors
///
/// For any other store that is named with --store.
fn is_on_dynamo(store: &StoreName) -> anyhow::Result<bool> {
    match store {
        StoreName::DynamoLocal { .. } => Ok(true),
        // A store that the environment names is that of the other commands.
        StoreName::Folder(folder)
            if folder.as_os_str() == FOLDER
                || std::env::var_os("DIVVY_STORE").as_deref() == Some(folder.as_os_str()) =>
        {
            Ok(false)
        }
        StoreName::Folder(_) => bail!(
            "the demo makes a store of its own: --folder says where, and --store takes \
             dynamodb-local:FILE alone"
        ),
        StoreName::Dynamo { .. } => bail!(
            "the demo writes to no account: name an emulator (--store dynamodb-local:demo.db), or \
             leave --store out"
        ),
    }
}

fn say_tables(store: &Opened, common: &Common) {
    if let Some(dynamo) = store.dynamo() {
        let tables = dynamo.tables();
        common.say(format_args!(
            "   tables {}, {}, {} and {}, in {}",
            tables.station_data.name,
            tables.trip_data.name,
            tables.counts.name,
            tables.ledger.name,
            common.store
        ));
    }
}

fn load(path: &Path, store: &Opened, now: Timestamp, common: &Common) -> anyhow::Result<()> {
    let archive = Archive::open(path)?;
    let options = LoadOptions {
        same_name: SameName::Replace,
        ..LoadOptions::new(now)
    };
    let bar = Bar::new(common, archive.name());
    let loaded = block_on(ingest::load(&archive, store.store(), &options, &(), &bar));
    bar.finish();
    if let Some(entry) = loaded?.entry {
        common.say(format_args!(
            "   {} rows: {} trips stored, {} rejected",
            grouped(entry.rows_read),
            grouped(entry.stored),
            grouped(entry.rejected_total())
        ));
    }
    Ok(())
}

fn print_reports(store: &Opened, system: &System, common: &Common) -> anyhow::Result<()> {
    let reports: [(&dyn Report, Option<usize>); 3] = [
        (&reports::Stations, Some(10)),
        (&reports::DURATIONS, None),
        (&reports::RIDERS, None),
    ];
    for (report, top) in reports {
        let filters = Filters {
            top,
            ..Filters::default()
        };
        let table = block_on(reports::answer(report, store.store(), system, &filters))?;
        common.say(format_args!("\n   divvy report {}", report.name()));
        outputs::print(&table, Format::Table)?;
    }
    Ok(())
}

/// Refuses to load the sample into a store with other archives.
///
/// # Errors
///
/// An archive of the store is not the demo's. The message has its name and that of the store.
fn expect_demo(store: &Opened, name: &str) -> anyhow::Result<()> {
    let own = ERA.archive_name();
    let store = store.store();
    for system in block_on(store.systems())? {
        for entry in block_on(store.entries(&system.id))? {
            if !system.is_sample() || entry.id.name != own {
                bail!(
                    "the store {name} holds {} of {}, which is no archive of the demo: name \
                     another place for the demo",
                    entry.id.name,
                    system.id
                );
            }
        }
    }
    Ok(())
}

/// Refuses to write over a file that is no sample.
///
/// # Errors
///
/// The file exists and is no sample, or cannot be read.
fn expect_sample(path: &Path) -> anyhow::Result<()> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let label = sample::LABEL.as_bytes();
    if !bytes.windows(label.len()).any(|window| window == label) {
        bail!(
            "{} is there and is no sample: --folder names another place for the demo",
            path.display()
        );
    }
    Ok(())
}
