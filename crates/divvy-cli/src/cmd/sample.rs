//! `divvy sample`

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use divvy::reports::plural;
use divvy::sample::{Era, Sample};

use crate::open::{Common, without};
use crate::outputs;

/// Writes a realistic trip archive of invented trips, in the form the publisher used that year.
///
/// The same arguments give the same bytes. The archive is marked as a sample: loads keep its trips
/// apart from real ones, in the system sample.
#[derive(Debug, Args)]
#[command(args = without(&["store", "system", "systems"]))]
#[command(after_help = "Example:
  divvy sample --trips 2100000 --era 2016 Divvy_Trips_2016_Q3Q4.zip")]
pub struct SampleArgs {
    /// How many trips
    #[arg(long, default_value_t = 100_000)]
    trips: u64,
    /// The form of which year: 2016, 2018, 2020 or 2024
    #[arg(long, default_value = "2016")]
    era: Era,
    /// Another seed gives other trips
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// The archive to write
    #[arg(value_name = "OUT.zip")]
    out: PathBuf,
}

impl SampleArgs {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        outputs::expect_apart(common, "the archive", &self.out, &[])?;
        outputs::expect_new(&self.out, self.force)?;
        let writing = || format!("cannot write {}", self.out.display());
        let file = File::create(&self.out).with_context(writing)?;
        let sample = Sample {
            era: self.era,
            trips: self.trips,
            seed: self.seed,
        };
        let written = sample
            .write_zip(BufWriter::with_capacity(1 << 20, file), &mut |_| {})
            .with_context(writing)?;
        common.say(format_args!(
            "{}: {} in {}",
            self.out.display(),
            plural(written.trips as i64, "trip"),
            written.trip_files.join(" and ")
        ));
        Ok(ExitCode::SUCCESS)
    }
}
