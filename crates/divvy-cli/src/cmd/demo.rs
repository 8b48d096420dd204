//! `divvy demo`

mod story;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use divvy::ingest::{self, LoadOptions, PollOptions, SameName};
use divvy::model::System;
use divvy::reports::{self, Filters, Table};
use divvy::sample::{self, Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::embedded::EmbeddedStore;
use divvy::store::{Applied, LedgerEntry};
use divvy_aws::DynamoStore;
use jiff::{SignedDuration, Timestamp};

use self::story::{Minute, Story};
use super::report::page::{answer_all, page_of_all, rows_command, source};
use crate::open::{Common, Opened, without};
use crate::outputs;
use crate::progress::Bar;
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
    /// The folder to work in; the demo's store is in it
    #[arg(long, default_value = "divvy-demo", value_name = "FOLDER")]
    folder: PathBuf,
    /// How many trips to invent [default: 100000; 10000 on DynamoDB]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    trips: Option<u64>,
}

/// The demo has the same trips every day; only the time of its feed changes.
const SEED: u64 = 1;
const ERA: Era = Era::Y2024;
/// The page of all reports, in the demo's folder.
const REPORT: &str = "report.html";

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

        let report = self.folder.join(REPORT);
        expect_sample(&report)?;
        let archive = self.write_archive(trips)?;
        let a_minute_ago = now - MINUTE;
        let feed = self.write_feed(a_minute_ago)?;

        let store: Opened = if on_dynamo {
            common.open()?
        } else {
            EmbeddedStore::open(&folder)?.into()
        };
        let loading = Instant::now();
        let loaded = load(&archive, &store, now, common)?;
        let load_s = loading.elapsed().as_secs_f64();
        let poll = |at: Timestamp| {
            let options = PollOptions::new(at);
            block_on(ingest::poll(&[&feed], store.store(), &options))
        };
        let polled = poll(a_minute_ago)?;
        let refreshing = Instant::now();
        let refreshed = store.follow_stream(now)?.unwrap_or_default();
        let refresh_s = refreshing.elapsed().as_secs_f64();
        // Those of earlier demos in this folder.
        let flows_before = flows(&store, &polled.system)?;
        self.write_feed(now)?;
        let a_minute_later = poll(now)?;
        store.follow_stream(now)?;
        let store_name = if on_dynamo {
            common.store.clone()
        } else {
            StoreName::Folder(folder)
        };
        write_page(&report, &store, &polled.system, &store_name)?;

        let story = Story {
            archive,
            loaded,
            load_s,
            feed,
            stations: polled.stations as u64,
            taken_at: polled.system.zone().rfc3339(polled.time.taken_at),
            refreshed,
            refresh_s,
            minute: Minute {
                changed: match a_minute_later.applied {
                    Applied::Accepted { changed, .. } => changed,
                    _ => 0,
                },
                flows: flows(&store, &polled.system)?
                    .zip(flows_before)
                    .map(|(after, before)| [0, 1].map(|at| after[at] - before[at])),
            },
            busiest: busiest(&store, &polled.system)?,
            starts: starts_by_hour(&store, &polled.system)?,
            tables: store.dynamo().map(table_names),
            store: store_name.to_string(),
            report,
        };
        outputs::write(None, |out, screen| story.write(screen, out))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Writes the archive. Returns its path.
    fn write_archive(&self, trips: u64) -> anyhow::Result<PathBuf> {
        let making = || format!("cannot make {}", self.folder.display());
        std::fs::create_dir_all(&self.folder).with_context(making)?;
        let archive = self.folder.join(ERA.archive_name());
        expect_sample(&archive)?;
        let file = File::create(&archive).with_context(making)?;
        let sample = Sample {
            era: ERA,
            trips,
            seed: SEED,
        };
        sample
            .write_zip(BufWriter::new(file), &mut |_| {})
            .with_context(making)?;
        Ok(archive)
    }

    /// Writes the feed as it is at an instant. Returns its folder.
    fn write_feed(&self, at: Timestamp) -> anyhow::Result<PathBuf> {
        let feed = self.folder.join("feed");
        let making = || format!("cannot make {}", feed.display());
        std::fs::create_dir_all(&feed).with_context(making)?;
        for (name, bytes) in sample::feed(ERA, SEED, at) {
            let path = feed.join(name);
            expect_sample(&path)?;
            std::fs::write(path, bytes).with_context(making)?;
        }
        Ok(feed)
    }
}

/// The time between the two snapshots of the demo.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

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

/// Loads the archive. `None` where it was loaded before.
fn load(
    path: &Path,
    store: &Opened,
    now: Timestamp,
    common: &Common,
) -> anyhow::Result<Option<LedgerEntry>> {
    let archive = Archive::open(path)?;
    let options = LoadOptions {
        same_name: SameName::Replace,
        ..LoadOptions::new(now)
    };
    let bar = Bar::new(common, archive.name());
    let loaded = block_on(ingest::load(&archive, store.store(), &options, &(), &bar));
    bar.finish();
    let loaded = loaded?;
    Ok(loaded.entry.filter(|_| !loaded.already))
}

/// Writes the page of all reports, with the label of a sample.
fn write_page(
    path: &Path,
    store: &Opened,
    system: &System,
    name: &StoreName,
) -> anyhow::Result<()> {
    let store = store.store();
    let all = Filters::default();
    let answers = answer_all(store, system, &all)?;
    let source = source(name, store, system)?;
    let rows_command = rows_command(name, store, (system, &all))?;
    let page = page_of_all(&answers, (store, system, &all), None, source, rows_command);
    outputs::write(Some(path), |out, _| {
        page.write(out)?;
        writeln!(out, "<!-- {} -->", sample::LABEL)
    })
}

/// Returns the five stations at which most trips start, with the bikes that stand there now.
fn busiest(store: &Opened, system: &System) -> anyhow::Result<Table> {
    const SHOWN: [&str; 5] = [
        "name",
        "from_count",
        "available_bikes",
        "available_ebikes",
        "available_docks",
    ];
    let filters = Filters {
        top: Some(5),
        ..Filters::default()
    };
    let report = &reports::Stations;
    let table = block_on(reports::answer(report, store.store(), system, &filters))?;
    Ok(table.with_columns(&SHOWN))
}

/// Counts the departures and arrivals that the history of states shows. `None` for a store without one.
fn flows(store: &Opened, system: &System) -> anyhow::Result<Option<[i64; 2]>> {
    let store = store.store();
    if store.history().is_none() {
        return Ok(None);
    }
    let filters = Filters::default();
    let table = block_on(reports::answer(&reports::Flows, store, system, &filters))?;
    let sum = |name: &str| {
        let mut columns = table.columns.iter();
        let at = columns.position(|column| column.name == name);
        let at = at.context("the report of flows counts departures and arrivals")?;
        let numbers = table.rows.iter().filter_map(|row| row[at].number());
        anyhow::Ok(numbers.sum::<f64>() as i64)
    };
    Ok(Some([sum("departures")?, sum("arrivals")?]))
}

/// Counts the starts of trips in each hour of the day.
fn starts_by_hour(store: &Opened, system: &System) -> anyhow::Result<Vec<f64>> {
    let filters = Filters::default();
    let table = block_on(reports::answer(
        &reports::HOURS,
        store.store(),
        system,
        &filters,
    ))?;
    let starts = table
        .columns
        .iter()
        .position(|column| column.name == "starts");
    let starts = starts.context("the report of hours counts starts")?;
    let starts = table.rows.iter().map(|row| row[starts].number());
    Ok(starts.map(Option::unwrap_or_default).collect())
}

/// Lists the names of the tables on DynamoDB.
fn table_names(store: &DynamoStore) -> Vec<String> {
    let tables = store.tables();
    let all = [
        &tables.station_data,
        &tables.trip_data,
        &tables.counts,
        &tables.ledger,
    ];
    all.map(|table| table.name.clone()).into()
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
