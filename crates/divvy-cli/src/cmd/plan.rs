//! `divvy plan`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use divvy::ingest::LoadOptions;
use divvy::reports::Note;
use divvy::sources::archive::{self, Archive, FoundKind};
use divvy::sources::trips_csv::UtcTimes;
use divvy::store::{Ledger, StationTable};
use divvy_aws::duplicate_estimate::{DuplicateEstimate, estimate_duplicates};
use divvy_aws::plan::{self, Capacities, Live, Prices, Terms, Units, Warm};
use divvy_aws::store::DynamoStore;
use divvy_aws::tables::{Described, Granted, Tables};
use jiff::Timestamp;

use crate::open::{Common, Opened};
use crate::outputs;
use crate::progress::Bar;
use crate::render::Format;
use crate::runtime::block_on;
use crate::store_name::StoreName;

/// Tells what it takes to load archives into DynamoDB, each way: time, capacity, dollars.
///
/// Archives are read to their ends, every item is weighed and every block is made; nothing is
/// written anywhere. With --store, the capacity of its tables is looked up.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy plan Divvy_Trips_2016_Q3Q4.zip --wcu 5 --rcu 5 --free-tier
  divvy plan Divvy_Trips_2016_Q3Q4.zip --store dynamodb://prod?region=us-east-2
  divvy plan downloads/ --layout rows --format json")]
pub struct Plan {
    /// Archives, or folders of archives
    #[arg(required = true, value_name = "PATH|DIR")]
    sources: Vec<PathBuf>,
    /// Write units a second of each table, and of the index
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    wcu: Option<u32>,
    /// Read units a second of each table, and of the index [default: as --wcu]
    #[arg(long, value_name = "N", requires = "wcu", value_parser = clap::value_parser!(u32).range(1..))]
    rcu: Option<u32>,
    /// Count on the free tier: 25 write and 25 read units, over all tables and the index
    #[arg(long)]
    free_tier: bool,
    /// Forecast this layout alone
    #[arg(long, value_enum)]
    layout: Option<LayoutChoice>,
    /// Warm the table on demand and its index for so many write units a second before the load
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    warm: Option<u32>,
    /// Seconds between two polls of the stations, for what a month costs
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    every: u32,
    /// A JSON file with prices of your region, such as {"wcu_hour":0.00074}
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// AWS's own list of the prices of DynamoDB in a region: the file index.json of
    /// pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/current/REGION/
    #[arg(long, value_name = "FILE", conflicts_with = "prices")]
    prices_from_aws: Option<PathBuf>,
    /// Read dates like 01-02-2020 as 1 February
    #[arg(long)]
    day_first: bool,
    /// How to write it
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayoutChoice {
    /// One item a trip
    Rows,
    /// One item for the trips of a station and a month
    Packed,
}

impl Plan {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let store = match common.store {
            StoreName::Folder(_) => None,
            _ => common.open_if_there()?,
        };
        let dynamo = store.as_ref().and_then(Opened::dynamo);
        // An emulator is in no region.
        let region = dynamo.map(|dynamo| dynamo.connection().region.as_str());
        let region = region.filter(|_| common.store.costs());
        let prices = self.prices(region)?;
        if let Some(region) =
            region.filter(|region| *region != prices.region && common.store.costs())
        {
            common.say(format_args!(
                "prices are those of {}, and the store is in {region}, where they may be higher: \
                 --prices-from-aws FILE takes AWS's own list",
                prices.region
            ));
        }
        let terms = Terms {
            capacities: self.capacities(dynamo),
            warm: self
                .warm
                .map(|to| warm_of(to, dynamo.map(DynamoStore::tables))),
            free_tier: self.free_tier,
            packed_only: self.layout == Some(LayoutChoice::Packed),
            prices,
            live: Live {
                every_s: self.every.max(1).into(),
                stations: dynamo.map(stations_of).transpose()?.flatten(),
                ..Live::default()
            },
            ..Terms::default()
        };
        let archives = archives(&self.sources)?;
        let estimate = estimate(&archives, &options(self.day_first, common)?, common)?;
        let packed = self.layout != Some(LayoutChoice::Rows);
        let workload = plan::measure(&estimate, packed)
            .context("cannot read the rows back from the folder for temporary files")?;
        let table = plan::report(&workload, &terms);
        outputs::print(&table, self.format)?;
        if !self.format.has_notes() {
            table
                .notes
                .iter()
                .for_each(|note| common.say(Note::text(note)));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the capacity of the flags, else that of the store's tables. `None` for on demand.
    fn capacities(&self, dynamo: Option<&DynamoStore>) -> Option<Capacities> {
        if let Some(write) = self.wcu {
            let read = self.rcu.unwrap_or(write);
            return Some(Capacities::each(Some(Units { write, read })));
        }
        dynamo.and_then(|dynamo| capacities_of(dynamo.tables()))
    }

    /// Reads prices from the file of a flag. The default prices where there is none. `region` is that of
    /// the store.
    fn prices(&self, region: Option<&str>) -> anyhow::Result<Prices> {
        let Some(path) = &self.prices_from_aws else {
            return prices(self.prices.as_deref());
        };
        let reading = || format!("cannot read {}", path.display());
        let json = std::fs::read(path).with_context(reading)?;
        Prices::from_price_list(&json, region).with_context(|| path.display().to_string())
    }
}

/// Counts the stations that polls of a store read: all rows of StationData. `None` for a store without
/// any.
fn stations_of(dynamo: &DynamoStore) -> anyhow::Result<Option<u64>> {
    let mut stations = 0;
    for system in block_on(dynamo.systems())? {
        stations += block_on(dynamo.stations(&system.id))?.len() as u64;
    }
    Ok((stations > 0).then_some(stations))
}

/// Returns the capacity of tables. `None` where all are on demand.
pub fn capacities_of(tables: &Tables) -> Option<Capacities> {
    let units = |table: &Described, granted: Granted| {
        (!table.on_demand).then_some(Units {
            write: granted.write.rate as u32,
            read: granted.read.rate as u32,
        })
    };
    let trips = &tables.trip_data;
    let capacities = Capacities {
        trip_data: units(trips, trips.table),
        index: units(trips, trips.index.unwrap_or(trips.table)),
        station_data: units(&tables.station_data, tables.station_data.table),
        counts: units(&tables.counts, tables.counts.table),
        ledger: units(&tables.ledger, tables.ledger.table),
    };
    (capacities != Capacities::default()).then_some(capacities)
}

/// Returns the rise of the warm throughput of tables; of new ones where there are none.
pub fn warm_of(to: u32, tables: Option<&Tables>) -> Warm {
    match tables.map(|tables| &tables.trip_data) {
        Some(trips) if trips.on_demand => Warm {
            to,
            table: trips.table.write.rate as u32,
            index: trips.index.unwrap_or(trips.table).write.rate as u32,
        },
        _ => Warm::new_tables(to),
    }
}

/// Reads prices from a file. The default prices where there is none.
pub fn prices(path: Option<&Path>) -> anyhow::Result<Prices> {
    let Some(path) = path else {
        return Ok(Prices::default());
    };
    let reading = || format!("cannot read {}", path.display());
    let json = std::fs::read(path).with_context(reading)?;
    Prices::from_json(&json).with_context(|| path.display().to_string())
}

/// Opens archives, and those in folders. Their files are closed again: there may be hundreds.
pub fn archives(sources: &[PathBuf]) -> anyhow::Result<Vec<Archive>> {
    let mut archives = Vec::new();
    for source in sources {
        for found in archive::expand(source)? {
            if found.kind == FoundKind::Archive {
                archives.push(Archive::open(&found.path)?.released());
            }
        }
    }
    Ok(archives)
}

/// Returns how archives are read that are not loaded.
pub fn options(day_first: bool, common: &Common) -> anyhow::Result<LoadOptions> {
    Ok(LoadOptions {
        system: common.named_system(&[])?,
        systems: common.known_systems()?,
        day_first,
        // Prices depend on the number of trips, not on their hours.
        utc_times: Some(UtcTimes::Local),
        ..LoadOptions::new(Timestamp::now())
    })
}

/// Reads archives to their ends.
pub fn estimate(
    archives: &[Archive],
    options: &LoadOptions,
    common: &Common,
) -> anyhow::Result<DuplicateEstimate> {
    let bar = Bar::new(common, "reading");
    let estimate = estimate_duplicates(archives, options, &(), &bar);
    bar.finish();
    let estimate = estimate?;
    for source in &estimate.sources {
        for warning in &source.read.warnings {
            common.say(format_args!("{}: {warning}", source.read.id.name));
        }
        for note in source.read.notes.iter().filter(|_| common.verbose) {
            common.say(format_args!("{}: {note}", source.read.id.name));
        }
    }
    Ok(estimate)
}
