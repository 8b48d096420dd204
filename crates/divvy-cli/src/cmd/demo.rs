//! `divvy demo`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use divvy::ingest::{self, LoadOptions};
use divvy::refresh;
use divvy::reports::{self, Filters};
use divvy::sample::{self, Era, Sample};
use divvy::sources::archive::Archive;
use divvy::store::embedded::EmbeddedStore;
use futures_executor::block_on;
use jiff::Timestamp;

use super::grouped;
use super::report::print;
use crate::open::{Common, without};
use crate::progress::Bar;
use crate::render::Format;

/// Runs the whole flow on a sample: no network, no account.
///
/// Makes an archive and a feed in a folder of its own, loads them, and prints reports.
#[derive(Debug, Args)]
#[command(args = without(&["store", "system"]))]
pub struct Demo {
    /// The folder to work in
    #[arg(long, default_value = "divvy-demo", value_name = "FOLDER")]
    folder: PathBuf,
    /// How many trips to invent
    #[arg(long, default_value_t = 100_000)]
    trips: u64,
}

/// The demo is the same every day, but for the clock of its feed.
const SEED: u64 = 1;
const ERA: Era = Era::Y2024;

impl Demo {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let now = Timestamp::now();
        let folder = &self.folder;
        let making = || format!("cannot make {}", folder.display());
        std::fs::create_dir_all(folder.join("feed")).with_context(making)?;

        common.say("1. A trip archive, as a publisher would put it on the web");
        let path = folder.join(ERA.archive_name());
        let file = std::fs::File::create(&path).with_context(making)?;
        let sample = Sample {
            era: ERA,
            trips: self.trips,
            seed: SEED,
        };
        sample
            .write_zip(std::io::BufWriter::new(file), &mut |_| {})
            .with_context(making)?;
        for (name, bytes) in sample::feed(ERA, SEED, now) {
            std::fs::write(folder.join("feed").join(name), bytes).with_context(making)?;
        }
        common.say(format_args!(
            "   {} and {}",
            path.display(),
            folder.join("feed").display()
        ));

        common.say("2. divvy load: every row becomes a trip or a rejected row");
        let store = EmbeddedStore::open(&folder.join("divvy-data"))?;
        let archive = Archive::open(&path)?;
        let options = LoadOptions {
            system: None,
            day_first: false,
            replace: true,
            now,
        };
        let bar = Bar::new(common, archive.name());
        let loaded = block_on(ingest::load(&archive, &store, &options, &(), &bar));
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
        let feed = folder.join("feed").display().to_string();
        let polled = block_on(ingest::poll(&[feed], &store, None, now))?;
        common.say(format_args!(
            "   {} stations",
            grouped(polled.stations as u64)
        ));

        common.say("4. The change stream brings the counts up to date");
        let refreshed = block_on(refresh::drain(&store, refresh::CONSUMER, now))?;
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
            let table = block_on(reports::report(name, &store, &polled.system, &filters))?;
            common.say(format_args!("\n   divvy report {name}"));
            print(&table, Format::Table)?;
        }
        let data = folder.join("divvy-data");
        common.say(format_args!(
            "\nThe store is in {0}. Look around in it:\n  \
             divvy report hours --store {0}\n  \
             divvy report stations --rider casual --top 5 --store {0}\n  \
             divvy check --store {0}\nOr load real archives:\n  \
             divvy load https://divvy-tripdata.s3.amazonaws.com/202101-divvy-tripdata.zip\n  \
             divvy poll https://gbfs.divvybikes.com/gbfs/2.3/gbfs.json\n  \
             divvy report stations",
            data.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}
