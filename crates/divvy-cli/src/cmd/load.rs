//! `divvy load`

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use divvy::ingest::{self, LoadOptions, Loaded, SameName};
use divvy::issue::{Reason, RejectSink, Rejected};
use divvy::model::{Flag, SampleFraction};
use divvy::sources::archive::{self, Archive, ArchiveError};
use divvy::sources::http;
use divvy::store::Ledger;
use divvy_aws::plan::{self, Terms};
use divvy_aws::store::LoadSettings;
use divvy_aws::tables::Layout;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::grouped;
use super::plan::LayoutChoice;
use crate::open::{Common, DynamoOptions, Opened, StoreName, block_on};
use crate::outputs;
use crate::progress::{Bar, Writes, people_time};

/// Loads trip archives: zip, csv, csv.gz, folders of them, or addresses.
///
/// Trips and station lists are told apart by their headers, and whose trips they are by schema and
/// coordinates. Loading an archive again changes nothing; a trip that stands in two archives is
/// stored once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy load 202004-divvy-tripdata.zip 202101-divvy-tripdata.zip
  divvy load downloads/ --rejects rejected.csv
  divvy load https://divvy-tripdata.s3.amazonaws.com/202101-divvy-tripdata.zip
  divvy load 202004-divvy-tripdata.zip --store dynamodb://prod?region=us-east-2 --max-cost 0.50")]
pub struct Load {
    /// Archives, folders of archives, or addresses
    #[arg(required = true, value_name = "PATH|URL|DIR")]
    sources: Vec<OsString>,
    /// Supersede loaded archives of the same name; load one again whose files are damaged
    #[arg(long, conflicts_with = "keep_both")]
    replace: bool,
    /// Keep a loaded archive of the same name and other content beside the new one
    #[arg(long)]
    keep_both: bool,
    /// Read dates like 01-02-2020 as 1 February
    #[arg(long)]
    day_first: bool,
    /// Exit with status 1 where a row was rejected
    #[arg(long)]
    strict: bool,
    /// Write each rejected row to a CSV file: file, line, column, reason, expected, found
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// What to print to stdout when done
    #[arg(long, value_enum)]
    format: Option<LoadFormat>,
    /// Load a share of the trips, the same ones every time: 5% or 0.05
    #[arg(long, value_name = "SHARE")]
    sample: Option<SampleFraction>,
    #[command(flatten)]
    dynamo: DynamoArgs,
    /// Dollars of the archives so far.
    #[arg(skip)]
    spent: std::cell::Cell<f64>,
}

/// What makes a difference on DynamoDB alone.
#[derive(Debug, Args)]
#[command(next_help_heading = "On DynamoDB")]
struct DynamoArgs {
    /// How trips are to lie in tables that are made [default: rows]
    #[arg(long, value_enum)]
    layout: Option<LayoutChoice>,
    /// Write units a second of tables that are made, and of the index [default: paid by request]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    wcu: Option<u32>,
    /// Read units a second of tables that are made, and of the index [default: as --wcu]
    #[arg(long, value_name = "N", requires = "wcu", value_parser = clap::value_parser!(u32).range(1..))]
    rcu: Option<u32>,
    /// Use this share of the capacity, and leave the rest to others: 50% or 0.5
    #[arg(long, value_name = "SHARE")]
    share: Option<SampleFraction>,
    /// Raise table and index to so many write units while loading, and back when done or stopped
    #[arg(long, value_name = "WCU", value_parser = clap::value_parser!(u32).range(1..))]
    boost: Option<u32>,
    /// The trips were imported from S3 (divvy export): verify them, write ledger and tallies
    #[arg(long)]
    imported: bool,
    /// Against AWS: load nothing more once all of it together would cost more, in dollars
    #[arg(long, value_name = "DOLLARS", default_value_t = 1.0)]
    max_cost: f64,
}

impl DynamoArgs {
    /// Names a flag that means nothing in a folder, if one is given.
    fn given(&self) -> Option<&'static str> {
        [
            ("--layout", self.layout.is_some()),
            ("--wcu", self.wcu.is_some()),
            ("--share", self.share.is_some()),
            ("--boost", self.boost.is_some()),
            ("--imported", self.imported),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }

    fn options(&self, common: &Common) -> DynamoOptions {
        DynamoOptions {
            layout: self.layout.map(|layout| match layout {
                LayoutChoice::Rows => Layout::Rows,
                LayoutChoice::Packed => Layout::Packed,
            }),
            capacity: self.wcu.map(|wcu| (wcu, self.rcu.unwrap_or(wcu))),
            share: self.share.map(|fraction| fraction.of(1.0)),
            loads: LoadSettings {
                imported: self.imported,
                boost: self.boost,
            },
            listener: Some(Arc::new(Writes::new(common))),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LoadFormat {
    /// One array with an object for each archive
    Json,
}

impl Load {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.rejects {
            let is_url = |source: &OsString| source.to_str().is_some_and(http::is_url);
            let inputs = self.sources.iter().filter(|source| !is_url(source));
            let inputs: Vec<PathBuf> = inputs.map(PathBuf::from).collect();
            outputs::expect_apart(common, "--rejects", path, &inputs)?;
        }
        let store = self.open(common)?;
        let rejects = Rejects::create(self.rejects.as_deref())?;
        let mut summaries = Vec::new();
        let (mut failed, mut rejected) = (false, false);
        for source in &self.sources {
            let result = self.load_source(source, common, &store, &rejects, |loaded, seconds| {
                rejected |= loaded
                    .entry
                    .as_ref()
                    .is_some_and(|e| e.rejected_total() > 0);
                common.say(sentence(loaded, seconds));
                for note in loaded.notes.iter().filter(|_| common.verbose) {
                    common.say(format_args!("  {note}"));
                }
                summaries.extend(summary(loaded, seconds));
            });
            failed |= !result?;
        }
        // What has been loaded is printed whatever becomes of the counts and of the rejected rows.
        let followed = store.follow_stream(Timestamp::now());
        let finished = rejects.finish();
        if let Some(LoadFormat::Json) = self.format {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &summaries).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        followed?;
        finished?;
        Ok(match (failed, self.strict && rejected) {
            (true, _) => ExitCode::from(2),
            (false, true) => ExitCode::from(1),
            (false, false) => ExitCode::SUCCESS,
        })
    }

    fn open(&self, common: &Common) -> anyhow::Result<Opened> {
        if let StoreName::Folder(folder) = &common.store {
            if let Some(flag) = self.dynamo.given() {
                bail!(
                    "{flag} is for stores on DynamoDB, and {} is a folder",
                    folder.display()
                );
            }
            return common.open();
        }
        common.open_with(self.dynamo.options(common))
    }

    /// Against AWS: says what a load will take, and refuses one that costs too much.
    fn expect_affordable(
        &self,
        archive: &Archive,
        common: &Common,
        store: &Opened,
    ) -> anyhow::Result<()> {
        let (Some(dynamo), true) = (store.dynamo(), common.store.costs()) else {
            return Ok(());
        };
        let archives = std::slice::from_ref(archive);
        let sifted = super::plan::sifted(archives, self.day_first, common)?;
        // What is loaded already costs nothing, and a folder of archives may be given again.
        for source in &sifted.sources {
            let id = &source.read.id;
            if block_on(dynamo.holding(&id.system.id, id.content))?.is_some() {
                return Ok(());
            }
        }
        let tables = dynamo.tables();
        let packed = tables.trip_data.layout == Layout::Packed;
        let workload = plan::measure(&sifted, packed)
            .context("cannot read the rows back from the folder for temporary files")?;
        let terms = Terms {
            capacities: super::plan::capacities_of(tables),
            ..Terms::default()
        };
        let way = plan::Way::of(packed, terms.capacities.is_none());
        let forecasts = plan::forecasts(&workload, &terms);
        let forecast = forecasts.iter().find(|forecast| forecast.way == way);
        let forecast = forecast.context("there is no price for this way of loading")?;
        let share = self.sample.map_or(1.0, |fraction| fraction.of(1.0));
        let once_usd = if self.dynamo.imported {
            0.0
        } else {
            forecast.once_usd * share
        };
        common.say(format_args!(
            "{}: {} trips as {}: {} write units, {}, {}",
            archive.name(),
            grouped((workload.rows as f64 * share) as u64),
            way.as_str(),
            grouped(((forecast.table_write_units + forecast.index_write_units) * share) as u64),
            forecast
                .load_s
                .map_or_else(|| "minutes".into(), |s| people_time(s * share)),
            match once_usd {
                0.0 => "nothing to pay".to_owned(),
                ..0.01 => "less than a cent".to_owned(),
                _ => format!("${once_usd:.2}"),
            },
        ));
        let spent = self.spent.get() + once_usd;
        if spent > self.dynamo.max_cost {
            bail!(
                "${spent:.4} in all is more than --max-cost {}: raise it, or see divvy plan for \
                 other ways",
                self.dynamo.max_cost
            );
        }
        self.spent.set(spent);
        Ok(())
    }

    /// Loads what one argument names. A bad archive is told and does not stop the others; returns
    /// whether there was none.
    fn load_source(
        &self,
        source: &OsStr,
        common: &Common,
        store: &Opened,
        rejects: &Rejects,
        mut done: impl FnMut(&Loaded, f64),
    ) -> anyhow::Result<bool> {
        let url = source.to_str().filter(|source| http::is_url(source));
        let files = match url {
            Some(url) => {
                common.say(format_args!("fetching {url}"));
                fetch(url).map(|fetched| vec![fetched])
            }
            None => archive::expand(Path::new(source))
                .map(|paths| paths.into_iter().map(Source::Path).collect())
                .map_err(Into::into),
        };
        let mut all = true;
        let files = match files {
            Ok(files) => files,
            Err(error) => {
                crate::complain(crate::sentence(&error));
                return Ok(false);
            }
        };
        for file in files {
            let start = Instant::now();
            let loaded = file
                .open()
                .map_err(Into::into)
                .and_then(|archive| self.load_file(&archive, common, store, rejects));
            match loaded {
                Ok(loaded) => done(&loaded, start.elapsed().as_secs_f64()),
                Err(error) => {
                    all = false;
                    crate::complain(crate::sentence(&error));
                }
            }
        }
        Ok(all)
    }

    fn load_file(
        &self,
        archive: &Archive,
        common: &Common,
        store: &Opened,
        rejects: &Rejects,
    ) -> anyhow::Result<Loaded> {
        let options = LoadOptions {
            system: common.system.clone(),
            day_first: self.day_first,
            same_name: match (self.replace, self.keep_both) {
                (true, _) => SameName::Replace,
                (false, true) => SameName::KeepBoth,
                (false, false) => SameName::Refuse,
            },
            sample: self.sample,
            now: Timestamp::now(),
        };
        self.expect_affordable(archive, common, store)?;
        let bar = Bar::new(common, archive.name());
        let loading = ingest::load(archive, store.store(), &options, rejects, &bar);
        let loaded = block_on(async {
            match store.dynamo() {
                None => Some(loading.await),
                // A folder needs no goodbye; capacity that was raised does.
                Some(_) => tokio::select! {
                    loaded = loading => Some(loaded),
                    _ = tokio::signal::ctrl_c() => None,
                },
            }
        });
        bar.finish();
        match loaded {
            Some(loaded) => Ok(loaded?),
            None => {
                if let Some(dynamo) = store.dynamo() {
                    block_on(dynamo.restore_capacity())?;
                }
                bail!("stopped: what is written stays, and the same command goes on from there")
            }
        }
    }
}

/// One archive to be loaded.
enum Source {
    Path(PathBuf),
    /// From the network, under the name that its address gives it.
    Download {
        file: File,
        name: String,
    },
}

impl Source {
    fn open(self) -> Result<Archive, ArchiveError> {
        match self {
            Self::Path(path) => Archive::open(&path),
            Self::Download { file, name } => Archive::of(file, Path::new(&name)),
        }
    }
}

fn fetch(url: &str) -> anyhow::Result<Source> {
    /// More than any archive that was ever published.
    const LIMIT_BYTES: u64 = 16 << 30;
    // A file without a name: it is gone with the process, however that ends.
    let mut file = tempfile::tempfile().context("cannot make a file for the download")?;
    let name = http::Client::new().download(url, &mut file, LIMIT_BYTES)?;
    Ok(Source::Download { file, name })
}

/// The one line on stderr.
fn sentence(loaded: &Loaded, seconds: f64) -> String {
    let lists = loaded
        .station_lists
        .iter()
        .map(|(name, n)| format!("{name}: {} stations", grouped(*n as u64)));
    let Some(entry) = &loaded.entry else {
        return format!(
            "{}  ({})",
            lists.collect::<Vec<_>>().join(", "),
            loaded.system.id
        );
    };
    let name = &entry.id.name;
    let stored = grouped(entry.stored);
    if loaded.already {
        return format!(
            "{name}: loaded before, {stored} trips  ({})",
            loaded.system.id
        );
    }
    let mut parts = vec![
        format!("{} rows", grouped(entry.rows_read)),
        format!("{stored} trips"),
    ];
    for reason in Reason::ALL {
        if let Some(n) = entry.rejected.get(&reason) {
            parts.push(format!("{} {reason}", grouped(*n)));
        }
    }
    parts.extend(lists);
    format!(
        "{name}: {}  ({}, {seconds:.2} s)",
        parts.join(", "),
        loaded.system.id
    )
}

/// The object of one archive; `None` where there are only station lists.
fn summary(loaded: &Loaded, seconds: f64) -> Option<Value> {
    let entry = loaded.entry.as_ref()?;
    let rejected: Map<String, Value> = entry
        .rejected
        .iter()
        .map(|(reason, n)| (reason.as_str().into(), json!(n)))
        .collect();
    let flagged: Map<String, Value> = Flag::ALL
        .into_iter()
        .filter(|flag| entry.flagged(*flag) > 0)
        .map(|flag| (flag.as_str().into(), json!(entry.flagged(flag))))
        .collect();
    Some(json!({
        "archive": entry.id.name,
        "system": entry.id.system.id.as_str(),
        "already": loaded.already,
        "rows_read": entry.rows_read,
        "stored": entry.stored,
        "rejected": rejected,
        "flagged": flagged,
        "seconds": (seconds * 1000.0).round() / 1000.0,
    }))
}

/// The file of rejected rows, if one is wanted.
struct Rejects {
    writer: Option<Mutex<Wanted>>,
}

struct Wanted {
    path: PathBuf,
    csv: csv::Writer<File>,
    failed: Option<csv::Error>,
}

impl Rejects {
    fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self { writer: None });
        };
        let mut csv = csv::Writer::from_path(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        csv.write_record(["file", "line", "column", "reason", "expected", "found"])?;
        Ok(Self {
            writer: Some(Mutex::new(Wanted {
                path: path.into(),
                csv,
                failed: None,
            })),
        })
    }

    fn finish(self) -> anyhow::Result<()> {
        let Some(writer) = self.writer else {
            return Ok(());
        };
        let mut writer = writer.into_inner().expect("no holder of this lock panics");
        let failing = || format!("cannot write {}", writer.path.display());
        if let Some(error) = writer.failed {
            return Err(error).with_context(failing);
        }
        writer.csv.flush().with_context(failing)
    }
}

impl RejectSink for Rejects {
    fn reject(&self, rejected: Rejected) {
        let Some(writer) = &self.writer else {
            return;
        };
        let mut writer = writer.lock().expect("no holder of this lock panics");
        let line = rejected.line.to_string();
        let record = [
            rejected.file.as_str(),
            &line,
            &rejected.column,
            rejected.reason.as_str(),
            &rejected.expected,
            &rejected.found,
        ];
        if let Err(error) = writer.csv.write_record(record) {
            writer.failed.get_or_insert(error);
        }
    }
}
