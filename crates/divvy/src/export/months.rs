//! The trips of a system by month, in bounded memory, whatever the order in which they come.
//!
//! A scan delivers batches in any order and from several threads, and a trip of any month may come
//! last. Few large files are what SQL engines read best, so each month becomes one file, and files are
//! not written before all trips are known:
//!
//! ```text
//!  scan ─► rows by month in memory ─────────────────────────► sorted row groups ─► month=07/part-00000.parquet
//!            │ more than BUDGET_BYTES: the largest month            ▲
//!            └─► spool: one temporary file, compressed ─────────────┘ month by month
//! ```
//!
//! Memory holds the budget, and then one row group in each of [`WRITING_THREADS`], each some 60 MB with
//! what encoding takes. The spool needs about as much disk as the export.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use super::parquet_file::ParquetFile;
use super::shape::TRIPS;
use super::spool::{Spool, Spooled};
use super::trip_rows::TripRows;
use super::words::Words;
use super::{ExportError, Written, partition_path};
use crate::model::TripBatch;
use crate::model::civil_date::{civil_from_days, day_of_ms};
use crate::store::ContentHash;

/// The largest number of trips that are put together to a row group: some 8 MB, compressed. Trips that
/// were never spooled may be more.
const GROUP_ROWS: usize = 262_144;

/// The largest number of trips that are spooled as one.
const SPOOLED_ROWS: usize = GROUP_ROWS / 2;

/// The bytes of trips in memory from which the largest month is spooled.
pub(super) const BUDGET_BYTES: usize = 32 << 20;

/// Threads that write files at most.
const WRITING_THREADS: usize = 2;

/// A month of local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
}

impl Month {
    fn of_day(day: i32) -> Self {
        let (year, month, _) = civil_from_days(day.into());
        Self { year, month }
    }
}

/// The trips of one month.
#[derive(Default)]
struct MonthRows {
    spooled: Vec<Spooled>,
    pending: TripRows,
}

/// Trips by month.
pub(super) struct TripsByMonth {
    months: BTreeMap<Month, MonthRows>,
    spool: Spool,
    words: Words,
    /// The trips of each archive, by its number in `words`.
    trips_of_archives: Vec<u64>,
    /// The bytes of all pending trips.
    bytes: usize,
    budget_bytes: usize,
}

impl TripsByMonth {
    /// Makes an empty collection, which spools on the disk of a folder what exceeds the budget.
    pub(super) fn create(words: Words, folder: &Path, budget_bytes: usize) -> io::Result<Self> {
        Ok(Self {
            months: BTreeMap::new(),
            spool: Spool::create_in(folder)?,
            words,
            trips_of_archives: Vec::new(),
            bytes: 0,
            budget_bytes,
        })
    }

    /// Returns how many trips of an archive have been added, by its number.
    pub(super) fn trips_of_archive(&self, number: usize) -> u64 {
        self.trips_of_archives.get(number).copied().unwrap_or(0)
    }

    /// Adds the trips of a batch. Returns `false`, and adds none, for an archive without a number in the
    /// words.
    pub(super) fn add(&mut self, archive: ContentHash, batch: &TripBatch) -> io::Result<bool> {
        let Some(number) = self.words.archive_number(archive) else {
            return Ok(false);
        };
        if self.trips_of_archives.len() <= number {
            self.trips_of_archives.resize(number + 1, 0);
        }
        self.trips_of_archives[number] += batch.len() as u64;
        let stations = self.words.station_numbers(&batch.stations);
        for (month, rows) in runs(&batch.started_ms) {
            let month = self.months.entry(month).or_default();
            let before = month.pending.bytes();
            month.pending.add(batch, rows, &stations, number as i32);
            self.bytes += month.pending.bytes() - before;
        }
        while self.bytes > self.budget_bytes {
            self.spool_largest()?;
        }
        Ok(true)
    }

    fn spool_largest(&mut self) -> io::Result<()> {
        let largest = self.months.values_mut();
        let largest = largest.max_by_key(|month| month.pending.bytes());
        let month = largest.expect("bytes are those of some month");
        let trips = std::mem::take(&mut month.pending);
        self.bytes -= trips.bytes();
        for start in (0..trips.len()).step_by(SPOOLED_ROWS) {
            let rows = start..trips.len().min(start + SPOOLED_ROWS);
            month.spooled.push(self.spool.write(&trips, rows)?);
        }
        Ok(())
    }

    /// Writes a file for each month below the folder. `on_rows` receives the number of trips written.
    /// Returns with the files the first and the last year, `None` without trips.
    pub(super) fn write(
        self,
        system: &str,
        folder: &Path,
        on_rows: &(dyn Fn(u64) + Sync),
    ) -> Result<(Written, Option<(i64, i64)>), ExportError> {
        let Self {
            months,
            spool,
            words,
            ..
        } = self;
        let years = months.keys().map(|month| month.year);
        let years = years.clone().min().zip(years.max());
        let queue = Mutex::new(months.into_iter());
        let work = || -> Result<Written, ExportError> {
            let mut sum = Written::default();
            loop {
                let next = queue.lock().expect("no holder of this lock panics").next();
                let Some((month, trips)) = next else {
                    return Ok(sum);
                };
                let year = format!("year={}", month.year);
                let of_year = format!("month={:02}", month.month);
                let path = partition_path(folder, &TRIPS, system, &[&year, &of_year]);
                let mut file = ParquetFile::create(path, &TRIPS)?;
                let written = trips.write(&spool, &words, &mut file, on_rows)?;
                sum += Written {
                    rows: written,
                    files: 1,
                    bytes: file.finish()?,
                };
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let written = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.min(WRITING_THREADS))
                .map(|_| scope.spawn(work))
                .collect();
            let mut sum = Written::default();
            for worker in workers {
                sum += worker.join().expect("writing does not panic")?;
            }
            Ok::<Written, ExportError>(sum)
        })?;
        Ok((written, years))
    }
}

impl MonthRows {
    /// Writes the trips as row groups. Returns their number.
    fn write(
        self,
        spool: &Spool,
        words: &Words,
        file: &mut ParquetFile,
        on_rows: &(dyn Fn(u64) + Sync),
    ) -> Result<u64, ExportError> {
        let mut all = 0;
        let mut write = |trips: TripRows| {
            let rows = trips.len() as u64;
            if rows > 0 {
                let group = trips.into_row_group(words);
                file.write(|column| group.column(TRIPS.columns[column].name))?;
                on_rows(rows);
                all += rows;
            }
            Ok::<(), ExportError>(())
        };
        let mut group = TripRows::default();
        for spooled in self.spooled {
            if group.len() + spooled.rows() > GROUP_ROWS {
                write(std::mem::take(&mut group))?;
            }
            let read = spool.read(spooled, &mut group);
            read.map_err(ExportError::Spool)?;
        }
        if group.len() + self.pending.len() > GROUP_ROWS {
            write(std::mem::take(&mut group))?;
        }
        group.append(self.pending);
        write(group)?;
        Ok(all)
    }
}

/// Returns the months of local starts, with the rows that follow each other in one month.
fn runs(started_ms: &[i64]) -> Vec<(Month, Range<usize>)> {
    let mut runs: Vec<(Month, Range<usize>)> = Vec::new();
    // Rows of one day are of one month.
    let mut start = 0;
    for same_day in started_ms.chunk_by(|a, b| day_of_ms(*a) == day_of_ms(*b)) {
        let end = start + same_day.len();
        let month = Month::of_day(day_of_ms(same_day[0]));
        match runs.last_mut() {
            Some((last, rows)) if *last == month => rows.end = end,
            _ => runs.push((month, start..end)),
        }
        start = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_of_months_of_local_time() {
        const DAY: i64 = 86_400_000;
        let month = |year, month| Month { year, month };
        let new_year = 16_801 * DAY; // 2016-01-01
        let starts = [new_year - 1, new_year, new_year + DAY, new_year - DAY, -1];
        let expected = vec![
            (month(2015, 12), 0..1),
            (month(2016, 1), 1..3),
            (month(2015, 12), 3..4),
            (month(1969, 12), 4..5),
        ];
        assert_eq!(runs(&starts), expected);
    }
}
