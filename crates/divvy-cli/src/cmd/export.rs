//! `divvy export`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::{ArgGroup, Args, ValueEnum};
use divvy::export::{self, S3Location, Step};
use divvy::new_folder::NewFolder;
use divvy::reports::plural;
use divvy_aws::export::{Compression, ExportOptions};

use super::plan;
use crate::open::Common;
use crate::outputs;
use crate::progress::RowsBar;
use crate::runtime::block_on;

/// Writes trips in a form that other services read.
///
/// --parquet writes the tables of the store (all of its systems, or that of --system) as Parquet files
/// in Hive partitions, for Athena, Spark, DuckDB and pyarrow: trips by system, year and month,
/// stations, and departures by station; beside them the definitions for Athena and Glue, and the
/// commands to type.
///
/// --dynamodb-import writes the trips of archives for DynamoDB's import from S3: a folder with objects
/// of DynamoDB JSON, the definition of the table, and the commands to type. The import makes a new
/// table, takes minutes and uses no write units; it is the cheapest way to load years of trips.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("form").args(["parquet", "dynamodb_import"]).required(true))]
#[command(after_help = "Examples:
  divvy export --parquet lake/ --s3 s3://my-bucket/divvy
  divvy export --parquet lake/ --system divvy --store dynamodb://prod?region=us-east-2
  divvy export Divvy_Trips_2016_Q3Q4.zip --dynamodb-import s3-ready/")]
pub struct Export {
    /// For --dynamodb-import: archives, or folders of archives; of copies of a trip the better one is
    /// written
    #[arg(value_name = "PATH|DIR")]
    sources: Vec<PathBuf>,
    /// The folder to make, with the store's tables as Parquet files
    #[arg(long, value_name = "FOLDER")]
    parquet: Option<PathBuf>,
    /// With --parquet: where the folder will lie on S3, for the definitions [default:
    /// s3://YOUR-BUCKET/divvy]
    #[arg(
        long,
        value_name = "URL",
        requires = "parquet",
        conflicts_with = "dynamodb_import"
    )]
    s3: Option<S3Location>,
    /// The folder to make, with the archives' trips for DynamoDB's import from S3
    #[arg(long, value_name = "FOLDER")]
    dynamodb_import: Option<PathBuf>,
    #[command(flatten)]
    import: ImportOptions,
}

/// What `--dynamodb-import` alone takes.
#[derive(Debug, Args)]
struct ImportOptions {
    /// How to pack the objects
    #[arg(long, value_enum, default_value = "gzip", conflicts_with = "parquet")]
    compress: Packing,
    /// The name of the table that the import is to make
    #[arg(
        long,
        value_name = "NAME",
        default_value = "TripData",
        conflicts_with = "parquet"
    )]
    table: String,
    /// Write units a second of the table and its index [default: paid by request]
    #[arg(long, value_name = "N", conflicts_with = "parquet", value_parser = clap::value_parser!(u32).range(1..))]
    wcu: Option<u32>,
    /// Read units a second of the table and its index [default: as --wcu]
    #[arg(long, value_name = "N", requires = "wcu", value_parser = clap::value_parser!(u32).range(1..))]
    rcu: Option<u32>,
    /// A JSON file with prices of your region, such as {"import_gb":0.165}
    #[arg(long, value_name = "FILE", conflicts_with = "parquet")]
    prices: Option<PathBuf>,
    /// Read dates like 01-02-2020 as 1 February
    #[arg(long, conflicts_with = "parquet")]
    day_first: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Packing {
    /// Smaller
    Gzip,
    /// Quicker
    Zstd,
}

impl Export {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        match (&self.parquet, &self.dynamodb_import) {
            (Some(folder), _) => self.tables(folder, common)?,
            (None, Some(folder)) => self.import.run(&self.sources, folder, common)?,
            (None, None) => unreachable!("one of the two is required"),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Exports the tables of the store.
    fn tables(&self, folder: &Path, common: &Common) -> anyhow::Result<()> {
        if let Some(source) = self.sources.first() {
            bail!(
                "--parquet exports the store {}, and takes no archives: load {} first (divvy load), and \
                 leave it out here",
                common.store,
                source.display()
            );
        }
        outputs::expect_apart(common, "--parquet", folder, &[])?;
        NewFolder::expect_empty(folder)?;
        let opened = common.open_existing()?;
        let store = opened.store();
        let mut systems = block_on(store.systems())?;
        if common.named_system(&systems)?.is_some() || systems.is_empty() {
            systems = vec![common.system_of(store)?];
        }
        let options = export::ExportOptions {
            location: self.s3.clone().unwrap_or_default(),
            ..export::ExportOptions::default()
        };
        let bar = RowsBar::new(common, "");
        let on_trips = |step: Step, done: u64, of: u64| {
            bar.name(match step {
                Step::Reading => "reading",
                Step::Writing => "writing",
            });
            bar.rows(done, of);
        };
        let exported = block_on(export::export(store, &systems, folder, &options, &on_trips));
        bar.finish();
        let exported = exported?;
        let counted = |number: u64, noun: &str| plural(number as i64, noun);
        common.say(format_args!(
            "{}: {} in {}, {}, {}; {} (see README.txt)",
            folder.display(),
            counted(exported.trips, "trip"),
            counted(exported.trip_files, "file"),
            counted(exported.stations, "station"),
            counted(exported.counts, "count"),
            counted(exported.bytes, "byte"),
        ));
        Ok(())
    }
}

impl ImportOptions {
    /// Exports the trips of archives for the import.
    fn run(self, sources: &[PathBuf], folder: &Path, common: &Common) -> anyhow::Result<()> {
        if sources.is_empty() {
            bail!(
                "--dynamodb-import exports archives: name them, such as divvy export \
                 Divvy_Trips_2016_Q3Q4.zip --dynamodb-import {}; the store is exported with --parquet",
                folder.display()
            );
        }
        if common.store_is_argument {
            bail!(
                "--store is for --parquet, which exports a store: --dynamodb-import exports archives"
            );
        }
        outputs::expect_apart(common, "--dynamodb-import", folder, sources)?;
        NewFolder::expect_empty(folder)?;
        let prices = plan::prices(self.prices.as_deref())?;
        let options = ExportOptions {
            compression: match self.compress {
                Packing::Gzip => Compression::Gzip,
                Packing::Zstd => Compression::Zstd,
            },
            table: self.table,
            capacity: self.wcu.map(|write| (write, self.rcu.unwrap_or(write))),
            ..ExportOptions::default()
        };
        let archives = plan::archives(sources)?;
        let estimate = plan::estimate(&archives, &plan::options(self.day_first, common)?, common)?;
        let exported = divvy_aws::export::export(&estimate, folder, &options, &prices)?;
        common.say(format_args!(
            "{}: {} in {}, {} unpacked; the import costs about ${:.2} (see README.txt)",
            folder.display(),
            plural(exported.rows as i64, "trip"),
            plural(exported.objects as i64, "object"),
            plural(exported.json_bytes as i64, "byte"),
            exported.import_usd,
        ));
        Ok(())
    }
}
