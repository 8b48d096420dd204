//! `divvy export`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use divvy::reports::plural;
use divvy_aws::export::{self, Compression, ExportOptions};

use super::plan;
use crate::open::{Common, without};
use crate::outputs;

/// Writes the trips of archives in a form that other services read.
///
/// For DynamoDB's import from S3: a folder with objects of DynamoDB JSON, the definition of the
/// table, and the commands to type. The import makes a new table, takes minutes and uses no write
/// units; it is the cheapest way to load years of trips.
#[derive(Debug, Args)]
#[command(args = without(&["store"]))]
#[command(after_help = "Example:
  divvy export Divvy_Trips_2016_Q3Q4.zip --dynamodb-import s3-ready/")]
pub struct Export {
    /// Archives, or folders of archives; of copies of a trip the better one is written
    #[arg(required = true, value_name = "PATH|DIR")]
    sources: Vec<PathBuf>,
    /// The folder to make
    #[arg(long, required = true, value_name = "FOLDER")]
    dynamodb_import: PathBuf,
    /// How to pack the objects
    #[arg(long, value_enum, default_value = "gzip")]
    compress: Packing,
    /// The name of the table that the import is to make
    #[arg(long, value_name = "NAME", default_value = "TripData")]
    table: String,
    /// Write units a second of the table and its index [default: paid by request]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    wcu: Option<u32>,
    /// Read units a second of the table and its index [default: as --wcu]
    #[arg(long, value_name = "N", requires = "wcu", value_parser = clap::value_parser!(u32).range(1..))]
    rcu: Option<u32>,
    /// A JSON file with prices of your region, such as {"import_gb":0.165}
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Read dates like 01-02-2020 as 1 February
    #[arg(long)]
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
        outputs::expect_apart(
            common,
            "--dynamodb-import",
            &self.dynamodb_import,
            &self.sources,
        )?;
        export::expect_empty(&self.dynamodb_import)?;
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
        let archives = plan::archives(&self.sources)?;
        let estimate = plan::estimate(&archives, &plan::options(self.day_first, common)?, common)?;
        let exported = export::export(&estimate, &self.dynamodb_import, &options, &prices)?;
        common.say(format_args!(
            "{}: {} in {}, {} unpacked; the import costs about ${:.2} (see README.txt)",
            self.dynamodb_import.display(),
            plural(exported.rows as i64, "trip"),
            plural(exported.objects as i64, "object"),
            plural(exported.json_bytes as i64, "byte"),
            exported.import_usd,
        ));
        Ok(ExitCode::SUCCESS)
    }
}
