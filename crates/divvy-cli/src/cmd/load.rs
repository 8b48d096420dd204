//! `divvy load`

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};
use divvy::ingest::{self, LoadOptions, Loaded};
use divvy::issue::{Reason, RejectSink, Rejected};
use divvy::model::Flag;
use divvy::refresh;
use divvy::sources::archive::{self, Archive};
use divvy::sources::http;
use divvy::store::embedded::EmbeddedStore;
use futures_executor::block_on;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::grouped;
use crate::open::Common;
use crate::progress::Bar;

/// Loads trip archives: zip, csv, csv.gz, folders of them, or addresses.
///
/// Trips and station lists are told apart by their headers, and whose trips they are by schema and
/// coordinates. Loading an archive again changes nothing; a trip that stands in two archives is
/// stored once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  divvy load 202004-divvy-tripdata.zip 202101-divvy-tripdata.zip
  divvy load downloads/ --rejects rejected.csv
  divvy load https://divvy-tripdata.s3.amazonaws.com/202101-divvy-tripdata.zip")]
pub struct Load {
    /// Archives, folders of archives, or addresses
    #[arg(required = true, value_name = "PATH|URL|DIR")]
    sources: Vec<String>,
    /// Supersede loaded archives of the same name
    #[arg(long)]
    replace: bool,
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
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LoadFormat {
    /// One array with an object for each archive
    Json,
}

impl Load {
    pub fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        let store = common.open()?;
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
        block_on(refresh::drain(&store, refresh::CONSUMER, Timestamp::now()))?;
        rejects.finish()?;
        if let Some(LoadFormat::Json) = self.format {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &summaries).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Ok(match (failed, self.strict && rejected) {
            (true, _) => ExitCode::from(2),
            (false, true) => ExitCode::from(1),
            (false, false) => ExitCode::SUCCESS,
        })
    }

    /// Loads what one argument names. A bad archive is told and does not stop the others; returns
    /// whether there was none.
    fn load_source(
        &self,
        source: &str,
        common: &Common,
        store: &EmbeddedStore,
        rejects: &Rejects,
        mut done: impl FnMut(&Loaded, f64),
    ) -> anyhow::Result<bool> {
        let download;
        let paths = if http::is_url(source) {
            common.say(format_args!("fetching {source}"));
            match fetch(source) {
                Ok(fetched) => {
                    download = fetched;
                    Ok(vec![download.path.clone()])
                }
                Err(error) => Err(error),
            }
        } else {
            archive::expand(Path::new(source)).map_err(Into::into)
        };
        let mut all = true;
        let paths = match paths {
            Ok(paths) => paths,
            Err(error) => {
                eprintln!("divvy: {}", crate::sentence(&error));
                return Ok(false);
            }
        };
        for path in paths {
            let start = Instant::now();
            match self.load_file(&path, common, store, rejects) {
                Ok(loaded) => done(&loaded, start.elapsed().as_secs_f64()),
                Err(error) => {
                    all = false;
                    eprintln!("divvy: {}", crate::sentence(&error));
                }
            }
        }
        Ok(all)
    }

    fn load_file(
        &self,
        path: &Path,
        common: &Common,
        store: &EmbeddedStore,
        rejects: &Rejects,
    ) -> anyhow::Result<Loaded> {
        let archive = Archive::open(path)?;
        let options = LoadOptions {
            system: common.system.clone(),
            day_first: self.day_first,
            replace: self.replace,
            now: Timestamp::now(),
        };
        let bar = Bar::new(common, archive.name());
        let loaded = block_on(ingest::load(&archive, store, &options, rejects, &bar));
        bar.finish();
        Ok(loaded?)
    }
}

/// An archive from the network, gone when dropped.
struct Download {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn fetch(url: &str) -> anyhow::Result<Download> {
    /// More than any archive that was ever published.
    const LIMIT_BYTES: u64 = 16 << 30;
    let folder = tempfile::tempdir().context("cannot make a folder for the download")?;
    let path = folder.path().join("download");
    let mut file = File::create(&path).context("cannot keep the download")?;
    let name = http::Client::new().download(url, &mut file, LIMIT_BYTES)?;
    let named = folder.path().join(name);
    std::fs::rename(&path, &named).context("cannot keep the download")?;
    Ok(Download {
        path: named,
        _folder: folder,
    })
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
