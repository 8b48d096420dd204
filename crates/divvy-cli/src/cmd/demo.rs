//! `divvy demo`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use divvy::ingest::{self, LoadOptions, SameName};
use divvy::reports::{self, Filters};
use divvy::sample::{self, Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::embedded::EmbeddedStore;
use jiff::Timestamp;

use super::grouped;
use crate::open::{Common, FOLDER, Opened, StoreName, block_on, without};
use crate::progress::Bar;
use crate::render::Format;

/// Runs the whole flow on a sample: no network, no account.
///
/// Makes an archive and a feed in a folder of its own, loads them, and prints reports. With
/// --store dynamodb-local:FILE the flow is that on AWS: tables, stream, handler, counts.
#[derive(Debug, Args)]
#[command(args = without(&["system"]))]
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

/// The demo is the same every day, but for the clock of its feed.
const SEED: u64 = 1;
const ERA: Era = Era::Y2024;

impl Demo {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let now = Timestamp::now();
        let folder = &self.folder;
        let on_dynamo = match &common.store {
            StoreName::DynamoLocal { .. } => true,
            // What the environment says is meant for the other verbs.
            StoreName::Folder(folder)
                if folder.as_os_str() == FOLDER
                    || std::env::var_os("DIVVY_STORE").as_deref() == Some(folder.as_os_str()) =>
            {
                false
            }
            StoreName::Folder(_) => bail!(
                "the demo makes a store of its own: --folder says where, and --store takes \
                 dynamodb-local:FILE alone"
            ),
            StoreName::Dynamo { .. } => bail!(
                "the demo writes to no account: name an emulator (--store dynamodb-local:demo.db), \
                 or leave --store out"
            ),
        };
        let trips = self
            .trips
            .unwrap_or(if on_dynamo { 10_000 } else { 100_000 });
        let making = || format!("cannot make {}", folder.display());
        std::fs::create_dir_all(folder.join("feed")).with_context(making)?;

        common.say("1. A trip archive, as a publisher would put it on the web");
        let path = folder.join(ERA.archive_name());
        let feed_files = sample::feed(ERA, SEED, now);
        let feed_paths = feed_files
            .iter()
            .map(|(name, _)| folder.join("feed").join(name));
        for path in feed_paths.chain([path.clone()]) {
            expect_sample(&path)?;
        }
        if path.exists() {
            common.say("   (in place of the archive and the feed of an earlier demo)");
        }
        let file = std::fs::File::create(&path).with_context(making)?;
        let sample = Sample {
            era: ERA,
            trips,
            seed: SEED,
        };
        sample
            .write_zip(std::io::BufWriter::new(file), &mut |_| {})
            .with_context(making)?;
        for (name, bytes) in feed_files {
            std::fs::write(folder.join("feed").join(name), bytes).with_context(making)?;
        }
        common.say(format_args!(
            "   {} and {}",
            path.display(),
            folder.join("feed").display()
        ));

        common.say("2. divvy load: every row becomes a trip or a rejected row");
        let data = folder.join(FOLDER);
        let store = match on_dynamo {
            true => common.open()?,
            false => Opened::from(EmbeddedStore::open(&data)?),
        };
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
        let archive = Archive::open(&path)?;
        let options = LoadOptions {
            system: None,
            day_first: false,
            same_name: SameName::Replace,
            sample: None,
            now,
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

        common.say("3. divvy poll: the stations of this minute");
        let feed = folder.join("feed");
        let polled = block_on(ingest::poll(&[feed], store.store(), None, now))?;
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
        for (name, top) in [
            ("stations", Some(10)),
            ("durations", None),
            ("riders", None),
        ] {
            let filters = Filters {
                top,
                ..Filters::default()
            };
            let table = block_on(reports::report(
                name,
                store.store(),
                &polled.system,
                &filters,
            ))?;
            common.say(format_args!("\n   divvy report {name}"));
            crate::outputs::print(&table, Format::Table)?;
        }
        let data = match on_dynamo {
            true => common.store.to_string(),
            false => data.display().to_string(),
        };
        common.say(format_args!(
            "\nThe store is in {0}. Look around in it:\n  \
             divvy report hours --store {0}\n  \
             divvy report stations --rider casual --top 5 --store {0}\n  \
             divvy check --store {0}\nOr load real archives:\n  \
             divvy load https://divvy-tripdata.s3.amazonaws.com/202101-divvy-tripdata.zip\n  \
             divvy poll https://gbfs.divvybikes.com/gbfs/2.3/gbfs.json\n  \
             divvy report stations",
            data
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses to write over a file that is no sample.
fn expect_sample(path: &Path) -> anyhow::Result<()> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mark = sample::LABEL.as_bytes();
    if !bytes.windows(mark.len()).any(|window| window == mark) {
        bail!(
            "{} is there and is no sample: --folder names another place for the demo",
            path.display()
        );
    }
    Ok(())
}
