//! `divvy load`

mod dynamo_args;
mod inputs;
mod rejects;
mod results;
mod summary;

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use divvy::ingest::{self, LoadError, LoadOptions, Loaded, SameName};
use divvy::issue::Skipped;
use divvy::model::{SampleFraction, System};
use divvy::reports::plural;
use divvy::sample;
use divvy::sources::archive::{Archive, ArchiveError, FoundKind};
use divvy::sources::http;
use divvy::sources::trips_csv::UtcTimes;
use divvy::store::Ledger;
use divvy_aws::plan::{self, Terms};
use divvy_aws::tables::Layout;
use jiff::Timestamp;

use dynamo_args::DynamoArgs;
use inputs::{Content, Input, fetch};
use rejects::Rejects;
use results::Results;

use super::grouped;
use crate::open::{Common, Opened};
use crate::outputs;
use crate::progress::{Bar, people_time};
use crate::runtime::block_on;
use crate::store_name::StoreName;

/// Loads trip archives: zip, csv, csv.gz, folders of them, or addresses.
///
/// The header of a file decides whether it holds trips or a station list. The system is decided by
/// coordinates, headers, station ids and names, those in the store, and names of files; where they
/// do not decide, name it with --system. Loading an archive again changes nothing; a trip that stands
/// in two archives is stored once.
///
/// Exit status 1 means that something that may be a table was not loaded: it is named on stderr, in the
/// field "skipped" of --format json, and whenever the archive is loaded again.
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
    /// Take --system even where most coordinates lie in another known system
    #[arg(long, requires = "system")]
    force_system: bool,
    /// How to read times that end in Z or UTC: as UTC, or as local times that are marked wrongly
    #[arg(long, value_enum, value_name = "HOW")]
    utc_times: Option<UtcTimesChoice>,
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
    /// The system that --system names.
    #[arg(skip)]
    system: OnceCell<Option<System>>,
    /// Dollars of the archives so far.
    #[arg(skip)]
    spent: std::cell::Cell<f64>,
    /// Whether the warm throughput is paid for, by an archive so far.
    #[arg(skip)]
    warmed: std::cell::Cell<bool>,
    /// How many seconds the loads of this command take in which the capacity is raised, as forecast.
    #[arg(skip)]
    boosted_s: std::cell::Cell<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UtcTimesChoice {
    /// They are in UTC: convert them to the clock of the system
    Convert,
    /// They are local times
    Local,
}

impl From<UtcTimesChoice> for UtcTimes {
    fn from(choice: UtcTimesChoice) -> Self {
        match choice {
            UtcTimesChoice::Convert => Self::Convert,
            UtcTimesChoice::Local => Self::Local,
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
        let stored = block_on(store.store().systems())?;
        let _ = self.system.set(common.named_system(&stored)?);
        let rejects = Rejects::create(self.rejects.as_deref())?;
        let mut results = Results::new(common, self.rejects.as_deref());
        let inputs: Vec<Input<'_>> = self.sources.iter().map(|it| Input::of(it)).collect();
        results.files = inputs.iter().map(Input::files).sum();
        let loaded = (inputs.into_iter())
            .try_for_each(|input| self.load_input(input, &store, &rejects, &mut results));
        // Also after an error: the capacity is paid for.
        if let Some(Err(error)) = store.dynamo().map(|dynamo| block_on(dynamo.end_boost())) {
            results.fail(&error.into());
        }
        let is_deleted = store.delete_unused_tables(common);
        loaded?;
        // The summaries are printed even if the counts or the rejected rows fail.
        let followed = if is_deleted {
            Ok(None)
        } else {
            store.follow_stream(Timestamp::now())
        };
        let finished = rejects.finish();
        let printed = match self.format {
            Some(LoadFormat::Json) => outputs::print_json(&results.summaries),
            None => Ok(()),
        };
        results.say_total();
        followed?;
        finished?;
        outputs::unless_closed(printed)?;
        Ok(results.exit_code(self.strict))
    }

    fn open(&self, common: &Common) -> anyhow::Result<Opened> {
        if let StoreName::Folder(folder) = &common.store {
            if let Some(flag) = self.dynamo.first_given() {
                bail!(
                    "{flag} is for stores on DynamoDB, and {} is a folder",
                    folder.display()
                );
            }
            return common.open();
        }
        common.open_with(self.dynamo.options(common))
    }

    /// On AWS: prints cost and duration of a load.
    ///
    /// # Errors
    ///
    /// With this load, all loads of the command cost more than --max-cost.
    fn expect_affordable(
        &self,
        archive: &Archive,
        options: &LoadOptions,
        common: &Common,
        store: &Opened,
    ) -> anyhow::Result<()> {
        let (Some(dynamo), true) = (store.dynamo(), common.store.costs()) else {
            return Ok(());
        };
        let archives = std::slice::from_ref(archive);
        let estimate = super::plan::estimate(archives, options, common)?;
        // An archive that is loaded already costs nothing.
        for source in &estimate.sources {
            let id = &source.read.id;
            if block_on(dynamo.holding(&id.system.id, id.content))?.is_some() {
                return Ok(());
            }
        }
        let tables = dynamo.tables();
        let packed = tables.trip_data.layout == Layout::Packed;
        let workload = plan::measure(&estimate, packed)
            .context("cannot read the rows back from the folder for temporary files")?;
        let terms = Terms {
            capacities: super::plan::capacities_of(tables),
            boost: self.dynamo.boost,
            warm: (self.dynamo.warm).map(|to| super::plan::warm_of(to, Some(tables))),
            ..Terms::default()
        };
        let method = plan::LoadMethod::of(packed, terms.capacities.is_none());
        let forecasts = plan::forecasts(&workload, &terms);
        let forecast = forecasts.iter().find(|forecast| forecast.method == method);
        let forecast = forecast.context("there is no price for this way of loading")?;
        let share = self.sample.map_or(1.0, |fraction| fraction.of(1.0));
        // Once raised, the capacity is paid for until the end of the command, by the begun hour.
        let boosted_s = self.boosted_s.get();
        let boost_usd = |seconds: f64| forecast.boost_usd_hour * (seconds / 3600.0).ceil();
        let more_s = (forecast.load_s.unwrap_or_default() * share).max(1.0);
        // Paid with the first archive.
        let warm_usd = if self.warmed.get() {
            0.0
        } else {
            forecast.warm_usd
        };
        let once_usd = if self.dynamo.imported {
            0.0
        } else {
            forecast.once_usd * share + boost_usd(boosted_s + more_s) - boost_usd(boosted_s)
                + warm_usd
        };
        common.say(format_args!(
            "{}: {} as {}: {} write units, {}, {}",
            archive.name(),
            plural((workload.rows as f64 * share) as i64, "trip"),
            method.as_str(),
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
        self.warmed.set(true);
        self.boosted_s.set(boosted_s + more_s);
        Ok(())
    }

    /// Loads the archives of one argument. Those that fail are reported and do not stop the others.
    fn load_input(
        &self,
        input: Input<'_>,
        store: &Opened,
        rejects: &Rejects,
        results: &mut Results<'_>,
    ) -> anyhow::Result<()> {
        let source = input.source;
        let files = match input.content {
            Content::Url(url) => {
                results.common.say(format_args!("fetching {url}"));
                fetch(url).map(|fetched| vec![(fetched, FoundKind::Archive)])
            }
            Content::Files(files) => files.map_err(Into::into),
        };
        let files = match files {
            Ok(files) => files,
            Err(error) => {
                results.begin_file();
                results.fail_file(&source.to_string_lossy(), &error);
                return Ok(());
            }
        };
        let mut skipped = Vec::new();
        for (file, kind) in files {
            if let FoundKind::Skipped(file) = kind {
                skipped.push(file);
                continue;
            }
            let start = Instant::now();
            let name = file.name();
            let at = results.begin_file();
            let common = results.common;
            let loaded = file
                .open()
                .map_err(|error| LoadError::from(error).into())
                .and_then(|archive| self.load_file(&archive, at, common, store, rejects));
            match loaded {
                Ok(loaded) => results.add(&loaded, start.elapsed().as_secs_f64()),
                Err(error) if kind == FoundKind::Perhaps => match no_archive(&error, &name) {
                    Some(file) => skipped.push(file),
                    None => results.fail_file(&name, &error),
                },
                Err(error) => results.fail_file(&name, &error),
            }
        }
        results.skip(source, &skipped);
        Ok(())
    }

    /// Loads one archive. `at` is the number of its file, and how many files there are.
    fn load_file(
        &self,
        archive: &Archive,
        at: (usize, usize),
        common: &Common,
        store: &Opened,
        rejects: &Rejects,
    ) -> anyhow::Result<Loaded> {
        let options = LoadOptions {
            system: self.system.get().cloned().flatten(),
            force_system: self.force_system,
            systems: common.known_systems()?,
            day_first: self.day_first,
            utc_times: self.utc_times.map(Into::into),
            same_name: if self.replace {
                SameName::Replace
            } else if self.keep_both {
                SameName::KeepBoth
            } else {
                SameName::Refuse
            },
            sample: self.sample,
            now: Timestamp::now(),
        };
        expect_own_system(archive, options.system.as_ref())?;
        self.expect_affordable(archive, &options, common, store)?;
        let bar = Bar::of_file(common, archive.name(), at);
        let loading = ingest::load(archive, store.store(), &options, rejects, &bar);
        let loaded = block_on(async {
            match store.dynamo() {
                None => Some(loading.await),
                // Raised capacity is restored before the process ends.
                Some(dynamo) => tokio::select! {
                    loaded = dynamo.reporting_stalls(loading) => Some(loaded),
                    _ = tokio::signal::ctrl_c() => None,
                },
            }
        });
        bar.finish();
        match loaded {
            Some(loaded) => {
                let loaded = loaded?;
                if loaded.already && self.rejects.is_some() {
                    // Which hour such a time means is decided, and makes no row rejected.
                    let utc_times = options.utc_times.or(Some(UtcTimes::Local));
                    let options = LoadOptions {
                        utc_times,
                        ..options
                    };
                    let system = &loaded.attribution.system;
                    ingest::read_rejected(archive, system, &options, rejects, &())?;
                }
                Ok(loaded)
            }
            None => {
                bail!("stopped: what is written stays, and the same command goes on from there")
            }
        }
    }
}

/// Refuses to load invented trips into the system of real ones.
///
/// # Errors
///
/// The archive carries the label of samples, and `named`, the system of --system, is another one than
/// that of samples.
fn expect_own_system(archive: &Archive, named: Option<&System>) -> anyhow::Result<()> {
    match named.filter(|named| !named.is_sample()) {
        Some(named) if archive.comment() == sample::LABEL => bail!(
            "{} holds invented trips (divvy sample), which are kept apart from those of {}: load \
             it without --system",
            archive.name(),
            named.id
        ),
        _ => Ok(()),
    }
}

/// Returns the entry of `skipped` for a file of a folder that is no archive. `None` for other errors of
/// loading it.
fn no_archive(error: &anyhow::Error, file: &str) -> Option<Skipped> {
    let skipped = |why: String, what_to_do: &str| Skipped {
        member: file.into(),
        why,
        what_to_do: what_to_do.into(),
    };
    match error.downcast_ref()? {
        LoadError::Trips(error) => error.skipped(file),
        LoadError::NothingToLoad { left_out, .. } => {
            let why = format!("an archive of which nothing is read ({left_out})");
            Some(skipped(why, "load the CSV files that it holds"))
        }
        LoadError::Archive(ArchiveError::Unsupported { kind, .. }) => {
            Some(skipped(kind.what.into(), kind.advice))
        }
        LoadError::Archive(ArchiveError::Nothing { held, advice, .. }) => Some(skipped(
            format!("an archive without a CSV file{held}"),
            advice,
        )),
        _ => None,
    }
}
