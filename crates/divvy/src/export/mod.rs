//! The tables of a store as Parquet files in Hive partitions, for SQL engines on many machines.
//!
//! ```text
//!  Store::scan_by_archive ─► months ─► trips/system=divvy/year=2016/month=07/part-00000.parquet
//!  Store::counts ────────────────────► from_station_counts/system=divvy/part-00000.parquet
//!  reports stations, places ─────────► stations/system=divvy/part-00000.parquet
//!                                      athena.sql, athena/, glue/, README.txt
//! ```
//!
//! Partition keys are in the paths alone. A table without rows has no folder and no definition.

mod definitions;
mod months;
mod parquet_file;
mod readme;
mod s3_location;
mod shape;
mod spool;
mod stations;
mod trip_rows;
mod words;

use std::fs;
use std::io;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::s3_location::{InvalidS3Location, S3Location};
pub use self::shape::{
    ColumnType, ExportColumn, FROM_STATION_COUNTS, PartitionKey, STATIONS, TABLES, TRIPS,
    TableShape,
};

use self::definitions::{DATABASE, DefinedTable};
use self::months::TripsByMonth;
use self::parquet_file::{ColumnValues, ParquetFile};
use self::stations::{StationRows, count_column};
use self::words::Words;
use crate::model::{System, TripBatch};
use crate::new_folder::{NewFolder, NewFolderError};
use crate::reports::ReportError;
use crate::store::{ContentHash, LedgerEntry, Store, StoreError};
use crate::tally::Parts;

/// Settings of an export.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Where the files are to lie on S3, for the definitions of the tables.
    pub location: S3Location,
    /// The bytes of trips in memory from which some are put into a temporary file.
    pub budget_bytes: usize,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            location: S3Location::default(),
            budget_bytes: months::BUDGET_BYTES,
        }
    }
}

/// The numbers of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Trips.
    pub trips: u64,
    /// Files with trips: one for each system and month.
    pub trip_files: u64,
    /// Stations.
    pub stations: u64,
    /// Counts of departures.
    pub counts: u64,
    /// Bytes of all Parquet files.
    pub bytes: u64,
}

/// What an export is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reads trips.
    Reading,
    /// Writes them.
    Writing,
}

/// The reason for which an export failed. Nothing is left of it then.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder has files, or cannot be made.
    #[error(transparent)]
    Folder(#[from] NewFolderError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stations cannot be reported.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// There is neither a trip nor a station nor a count.
    #[error("there is nothing to export: no trips, stations or counts are stored")]
    Nothing,
    /// Archives were loaded or removed meanwhile.
    #[error("the archives of {system} were changed while they were exported: export them again")]
    Changed {
        /// The system.
        system: String,
    },
    /// The scan has another number of trips of an archive than the ledger.
    #[error("{archive}: the ledger has {stored} trips, and {found} were found: see divvy check")]
    Incomplete {
        /// The file name of the archive.
        archive: String,
        /// The trips of the ledger.
        stored: u64,
        /// The trips of the scan.
        found: u64,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// The error of the operating system, or of encoding.
        source: io::Error,
    },
    /// The temporary file cannot be written or read.
    #[error("the temporary file of trips failed: {0}")]
    Spool(io::Error),
}

fn cannot_write(path: &Path, source: impl Into<io::Error>) -> ExportError {
    ExportError::Write {
        path: path.display().to_string(),
        source: source.into(),
    }
}

/// The numbers of some files.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    rows: u64,
    files: u64,
    bytes: u64,
}

impl AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// Exports the tables of some systems into a folder, which is missing or empty. The folder appears when
/// everything is written. `on_trips` receives how many trips of how many have been read or written; it
/// may be called from several threads.
///
/// # Errors
///
/// [`ExportError`].
pub async fn export(
    store: &dyn Store,
    systems: &[System],
    folder: &Path,
    options: &ExportOptions,
    on_trips: &(dyn Fn(Step, u64, u64) + Send + Sync),
) -> Result<Exported, ExportError> {
    let making = NewFolder::create(folder)?;
    let mut tables = TABLES.each_ref().map(|table| DefinedTable {
        table,
        systems: Vec::new(),
        years: None,
        location: &options.location,
    });
    let mut exported = Exported::default();
    for system in systems {
        let exporter = SystemExport {
            store,
            system,
            folder: making.path(),
        };
        let [trips, counts, stations] = &mut tables;
        let (written, years) = exporter.trips(options.budget_bytes, on_trips).await?;
        exported.trips += written.rows;
        exported.trip_files += written.files;
        trips.add(system, &written, years);
        let written_counts = exporter.counts().await?;
        exported.counts += written_counts.rows;
        counts.add(system, &written_counts, None);
        let written_stations = exporter.stations().await?;
        exported.stations += written_stations.rows;
        stations.add(system, &written_stations, None);
        exported.bytes += written.bytes + written_counts.bytes + written_stations.bytes;
    }
    let mut tables = Vec::from(tables);
    tables.retain(|defined| !defined.systems.is_empty());
    if tables.is_empty() {
        return Err(ExportError::Nothing);
    }
    write_definitions(making.path(), &tables, &exported, &options.location)?;
    making.finish()?;
    Ok(exported)
}

impl DefinedTable<'_> {
    /// Adds a system with its files, if it has any.
    fn add(&mut self, system: &System, written: &Written, years: Option<(i64, i64)>) {
        if written.files > 0 {
            self.systems.push(system.id.to_string());
        }
        self.years = match (self.years, years) {
            (Some((first, last)), Some(more)) => Some((first.min(more.0), last.max(more.1))),
            (known, more) => known.or(more),
        };
    }
}

fn write_definitions(
    folder: &Path,
    tables: &[DefinedTable<'_>],
    exported: &Exported,
    location: &S3Location,
) -> Result<(), ExportError> {
    let mut all = format!("CREATE DATABASE IF NOT EXISTS `{DATABASE}`;\n");
    let mut files = Vec::new();
    for defined in tables {
        let name = defined.table.name;
        let athena = defined.athena();
        all += &format!("\n{athena};\n");
        files.push((format!("athena/{name}.sql"), athena + "\n"));
        files.push((format!("glue/{name}.json"), defined.glue()));
    }
    files.push(("athena.sql".into(), all));
    files.push((
        "README.txt".into(),
        readme::readme(exported, tables, location),
    ));
    for (name, text) in files {
        let path = folder.join(name);
        let write = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&path, text)
        };
        write().map_err(|error| cannot_write(&path, error))?;
    }
    Ok(())
}

/// Returns the path of the file of a partition: `TABLE/system=ID/MORE/part-00000.parquet`.
fn partition_path(folder: &Path, table: &TableShape, system: &str, more: &[&str]) -> PathBuf {
    let mut path = folder.join(table.name).join(format!("system={system}"));
    path.extend(more);
    path.join("part-00000.parquet")
}

/// The export of one system.
struct SystemExport<'a> {
    store: &'a dyn Store,
    system: &'a System,
    folder: &'a Path,
}

impl SystemExport<'_> {
    /// Exports the trips. Returns with their files the first and the last year.
    async fn trips(
        &self,
        budget_bytes: usize,
        on_trips: &(dyn Fn(Step, u64, u64) + Send + Sync),
    ) -> Result<(Written, Option<(i64, i64)>), ExportError> {
        let id = &self.system.id;
        let entries = self.store.entries(id).await?;
        let all: u64 = entries.iter().map(|entry| entry.stored).sum();
        let names = self.store.totals_with(id, Parts::NONE).await?.names;
        let words = Words::new(names, &entries);
        let trips = TripsByMonth::create(words, self.folder, budget_bytes);
        let trips = Mutex::new((trips.map_err(ExportError::Spool)?, 0, Ok(())));
        let visit = |archive: ContentHash, batch: TripBatch| {
            let mut held = trips.lock().expect("no holder of this lock panics");
            let (trips, read, result) = &mut *held;
            // Another thread may have failed.
            if result.is_ok() {
                *result = match trips.add(archive, &batch) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(self.changed()),
                    Err(error) => Err(ExportError::Spool(error)),
                };
            }
            *read += batch.len() as u64;
            on_trips(Step::Reading, *read, all);
            result.is_ok()
        };
        self.store.scan_by_archive(id, &visit).await?;
        let (trips, _, result) = (trips.into_inner()).expect("no holder of this lock panics");
        result?;
        self.expect_unchanged(&entries, &trips).await?;
        let written = AtomicU64::new(0);
        let on_rows = |rows: u64| {
            let before = written.fetch_add(rows, Ordering::Relaxed);
            on_trips(Step::Writing, before + rows, all);
        };
        trips.write(id.as_str(), self.folder, &on_rows)
    }

    /// Fails unless the trips are those of the ledger.
    async fn expect_unchanged(
        &self,
        before: &[LedgerEntry],
        trips: &TripsByMonth,
    ) -> Result<(), ExportError> {
        let stored = |entries: &[LedgerEntry]| -> Vec<(ContentHash, u64)> {
            let entries = entries.iter();
            entries
                .map(|entry| (entry.id.content, entry.stored))
                .collect()
        };
        let after = self.store.entries(&self.system.id).await?;
        if stored(before) != stored(&after) {
            return Err(self.changed());
        }
        for (number, entry) in before.iter().enumerate() {
            let found = trips.trips_of_archive(number);
            if found != entry.stored {
                return Err(ExportError::Incomplete {
                    archive: entry.id.name.clone(),
                    stored: entry.stored,
                    found,
                });
            }
        }
        Ok(())
    }

    fn changed(&self) -> ExportError {
        ExportError::Changed {
            system: self.system.id.to_string(),
        }
    }

    /// Exports FromStationCounts.
    async fn counts(&self) -> Result<Written, ExportError> {
        let counts = self.store.counts(&self.system.id).await?;
        self.write(&FROM_STATION_COUNTS, counts.len(), |column| {
            count_column(&counts, column.name)
        })
    }

    /// Exports the stations.
    async fn stations(&self) -> Result<Written, ExportError> {
        let stations = StationRows::read(self.store, self.system).await?;
        self.write(&STATIONS, stations.len(), |column| stations.column(column))
    }

    /// Writes a table that has one row group, unless it has no rows.
    fn write(
        &self,
        table: &TableShape,
        rows: usize,
        column: impl Fn(&ExportColumn) -> ColumnValues,
    ) -> Result<Written, ExportError> {
        if rows == 0 {
            return Ok(Written::default());
        }
        let path = partition_path(self.folder, table, self.system.id.as_str(), &[]);
        let mut file = ParquetFile::create(path, table)?;
        file.write(|index| column(&table.columns[index]))?;
        Ok(Written {
            rows: rows as u64,
            files: 1,
            bytes: file.finish()?,
        })
    }
}
