//! Trips files: batches out to Parquet, one row group each, and back.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;

use super::delta;
use super::dictionary::{self, Texts};
use super::index::{Entry, key_of};
use super::pages::{self, Pages};
use super::schema::{LAYOUT, LAYOUT_KEY, PROPERTIES, SCHEMA, column};
use super::shared_file::SharedFile;
use super::{cannot, damaged};
use crate::model::{Flags, NONE_I16, NONE_I32, TripBatch};
use crate::store::{StoreError, Wanted};

/// Writes a trips file.
pub(super) struct TripsWriter {
    path: PathBuf,
    writer: SerializedFileWriter<BufWriter<File>>,
    zstd: zstd::bulk::Compressor<'static>,
    /// An entry for each row, for the id index.
    entries: Vec<Entry>,
}

impl TripsWriter {
    pub(super) fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = File::create(&path).map_err(|e| cannot("create", &path, e))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let writer = SerializedFileWriter::new(file, SCHEMA.clone(), PROPERTIES.clone())
            .map_err(|e| write_failed(&path, e))?;
        let zstd = zstd::bulk::Compressor::new(1).map_err(|e| cannot("compress for", &path, e))?;
        Ok(Self {
            path,
            writer,
            zstd,
            entries: Vec::new(),
        })
    }

    /// Writes a batch as a row group, ordered by start: differences between neighbours stay small.
    pub(super) fn write(&mut self, batch: &TripBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let first = self.entries.len() as u32;
        // In the order of the file: ids are mostly given out in order.
        self.entries
            .extend((0..batch.len() as u32).map(|row| Entry {
                key: key_of(batch.id_raw(row as usize)),
                row: first + row,
                line: batch.line[row as usize] as u32,
            }));
        let entries = &mut self.entries[first as usize..];
        let ordered;
        let batch = if batch.started_ms.is_sorted() {
            batch
        } else {
            let order = by_start(&batch.started_ms);
            for (place, row) in (first..).zip(&order) {
                entries[*row as usize].row = place;
            }
            ordered = batch.select(&order);
            &ordered
        };
        self.write_row_group(batch)
            .map_err(|e| write_failed(&self.path, e))
    }

    fn write_row_group(&mut self, batch: &TripBatch) -> Result<(), ParquetError> {
        let years: Vec<i32> = batch
            .birth_year
            .iter()
            .map(|year| match *year {
                NONE_I16 => NONE_I32,
                year => i32::from(year),
            })
            .collect();
        let flags: Vec<i32> = batch.flags.iter().map(|f| i32::from(f.bits())).collect();
        // In the order of the schema.
        let columns: [&dyn Fn() -> Pages; 19] = [
            &|| delta::texts(&batch.id_bytes, &batch.id_ends),
            &|| delta::longs(&batch.started_ms),
            &|| dictionary::ints(&batch.started_offset_s),
            &|| delta::longs(&batch.ended_ms),
            &|| dictionary::ints(&batch.ended_offset_s),
            &|| dictionary::ints(&batch.precision_ms),
            &|| delta::optional_ints(&reported_differently(batch)),
            &|| dictionary::texts(&batch.origin, &batch.stations),
            &|| dictionary::texts(&batch.destination, &batch.stations),
            &|| dictionary::texts(&batch.vehicle, &batch.vehicles),
            &|| dictionary::texts(&batch.bike, &batch.words),
            &|| dictionary::texts(&batch.rider, &batch.words),
            &|| dictionary::texts(&batch.gender, &batch.words),
            &|| dictionary::optional_ints(&years),
            &|| pages::plain(&batch.from_latitude),
            &|| pages::plain(&batch.from_longitude),
            &|| pages::plain(&batch.to_latitude),
            &|| pages::plain(&batch.to_longitude),
            &|| dictionary::ints(&flags),
        ];
        let mut group = self.writer.next_row_group()?;
        for (place, encode) in columns.into_iter().enumerate() {
            let column = DESCRIPTOR.with(|schema| schema.column(place));
            let (bytes, result) = encode().chunk(column, batch.len(), &mut self.zstd)?;
            group.append_column(&bytes, result)?;
        }
        group.close()?;
        Ok(())
    }

    /// Ends the file, makes it durable, and returns an index entry for each row.
    pub(super) fn finish(self) -> Result<Vec<Entry>, StoreError> {
        let Self {
            path,
            writer,
            entries,
            ..
        } = self;
        let file = writer.into_inner().map_err(|e| write_failed(&path, e))?;
        let mut file = file
            .into_inner()
            .map_err(|e| cannot("write", &path, e.into_error()))?;
        file.flush().map_err(|e| cannot("write", &path, e))?;
        file.sync_all().map_err(|e| cannot("write", &path, e))?;
        Ok(entries)
    }
}

/// Puts rows in order of their start; rows of one start stay in the order of the file.
fn by_start(started_ms: &[i64]) -> Vec<u32> {
    // The newest first, as many files are: turned round, it is in order.
    if started_ms.is_sorted_by(|a, b| a >= b) {
        let mut order = Vec::with_capacity(started_ms.len());
        for same in started_ms.chunk_by(|a, b| a == b).rev() {
            let behind = (started_ms.len() - order.len()) as u32;
            order.extend(behind - same.len() as u32..behind);
        }
        return order;
    }
    const ROW_BITS: u32 = 20;
    let first = started_ms.iter().min().copied().unwrap_or(0);
    let last = started_ms.iter().max().copied().unwrap_or(0);
    if last.abs_diff(first) < 1 << (64 - ROW_BITS) && started_ms.len() <= 1 << ROW_BITS {
        // Start and row in one number: sorting then follows no row to its start.
        let starts = started_ms.iter().map(|started| started.abs_diff(first));
        let mut keys: Vec<u64> = (0..)
            .zip(starts)
            .map(|(row, start)| start << ROW_BITS | row)
            .collect();
        keys.sort();
        let row = (1 << ROW_BITS) - 1;
        return keys.into_iter().map(|key| (key & row) as u32).collect();
    }
    let mut order: Vec<u32> = (0..started_ms.len() as u32).collect();
    order.sort_by_key(|row| started_ms[*row as usize]);
    order
}

thread_local! {
    // Not Sync in the library, so one a thread.
    static DESCRIPTOR: parquet::schema::types::SchemaDescriptor =
        parquet::schema::types::SchemaDescriptor::new(SCHEMA.clone());
}

fn write_failed(path: &Path, error: ParquetError) -> StoreError {
    cannot("write", path, io::Error::other(error))
}

/// The stated durations that the two times do not tell already.
fn reported_differently(batch: &TripBatch) -> Vec<i32> {
    (0..batch.len())
        .map(|row| match batch.reported_s[row] {
            stated if i64::from(stated) * 1000 == batch.elapsed_ms(row) => SAME_AS_ELAPSED,
            stated => stated,
        })
        .map(|stated| match stated {
            NONE_I32 => NOT_STATED,
            SAME_AS_ELAPSED => NONE_I32,
            stated => stated,
        })
        .collect()
}

/// Never a duration: stands for one that equals the time elapsed while columns are made.
const SAME_AS_ELAPSED: i32 = i32::MIN + 1;
/// Stands in the file for "the publisher states no duration".
const NOT_STATED: i32 = -1;

/// A trips file that is open: it can be read even after another process superseded it.
pub(super) struct TripsFile {
    path: PathBuf,
    reader: SerializedFileReader<SharedFile>,
}

impl TripsFile {
    /// # Errors
    ///
    /// `Unreachable` where it cannot be opened, `Damaged` where it is no trips file.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| cannot("open", path, e))?;
        let file = SharedFile::new(file).map_err(|e| cannot("open", path, e))?;
        let reader = SerializedFileReader::new(file).map_err(|e| damaged(path, e))?;
        let metadata = reader.metadata().file_metadata();
        let layout = metadata
            .key_value_metadata()
            .into_iter()
            .flatten()
            .find(|pair| pair.key == LAYOUT_KEY)
            .and_then(|pair| pair.value.as_deref()?.parse::<u32>().ok());
        match layout {
            Some(LAYOUT) => {}
            Some(other) => {
                let message = format!("it has layout {other}, and this program reads {LAYOUT}");
                return Err(damaged(path, ParquetError::General(message)));
            }
            None => {
                let message = "it was not written by this program".into();
                return Err(damaged(path, ParquetError::General(message)));
            }
        }
        Ok(Self {
            path: path.into(),
            reader,
        })
    }

    /// Counts the rows, by the file's own footer.
    pub(super) fn rows(&self) -> u64 {
        self.reader.metadata().file_metadata().num_rows() as u64
    }

    /// Lists the row groups as ranges of rows.
    pub(super) fn groups(&self) -> Vec<std::ops::Range<u32>> {
        let mut start = 0;
        self.reader
            .metadata()
            .row_groups()
            .iter()
            .map(|group| {
                let range = start..start + group.num_rows() as u32;
                start = range.end;
                range
            })
            .collect()
    }

    /// Reads one row group. Lines are 0: the id index has them.
    pub(super) fn read(&self, group: usize) -> Result<TripBatch, StoreError> {
        self.read_group(group).map_err(|e| damaged(&self.path, e))
    }

    /// Tells by its statistics whether a row group may hold trips that start when wanted.
    pub(super) fn may_hold(&self, group: usize, wanted: &Wanted) -> bool {
        let Some((from_ms, until_ms)) = wanted.started_ms else {
            return true;
        };
        let group = self.reader.metadata().row_group(group);
        let Some(Statistics::Int64(starts)) = group.column(column::STARTED_AT).statistics() else {
            return true;
        };
        let first = starts.min_opt().is_none_or(|first| *first < until_ms);
        first && starts.max_opt().is_none_or(|last| *last >= from_ms)
    }

    /// Reads the wanted columns of one row group; the others hold nothing.
    pub(super) fn read_some(&self, group: usize, wanted: &Wanted) -> Result<TripBatch, StoreError> {
        self.read_columns(group, wanted)
            .map_err(|e| damaged(&self.path, e))
    }

    fn read_columns(&self, group: usize, wanted: &Wanted) -> Result<TripBatch, ParquetError> {
        let group = self.reader.get_row_group(group)?;
        let rows = group.metadata().num_rows() as usize;
        let mut batch = TripBatch {
            id_ends: vec![0; rows],
            started_ms: all_required::<Int64Type>(&*group, column::STARTED_AT, rows)?,
            line: vec![0; rows],
            vehicle: vec![0; rows],
            ..TripBatch::default()
        };
        let int = |place, wanted| match wanted {
            true => all_required::<Int32Type>(&*group, place, rows),
            false => Ok(vec![0; rows]),
        };
        let optional = |place, wanted| match wanted {
            true => all_optional(&*group, place, rows),
            false => Ok(vec![NONE_I32; rows]),
        };
        let texts = |place, texts: &mut Texts, wanted| match wanted {
            true => {
                let places = dictionary::decode(&mut *group.get_column_page_reader(place)?, texts)?;
                expect_rows(places, rows)
            }
            false => Ok(vec![0; rows]),
        };
        batch.started_offset_s = int(column::STARTED_OFFSET_S, wanted.ends)?;
        batch.ended_ms = match wanted.ends {
            true => all_required::<Int64Type>(&*group, column::ENDED_AT, rows)?,
            false => batch.started_ms.clone(),
        };
        batch.ended_offset_s = int(column::ENDED_OFFSET_S, wanted.ends)?;
        batch.precision_ms = vec![1; rows];
        batch.reported_s = optional(column::REPORTED_S, wanted.ends)?;
        stated_durations(&mut batch);
        let mut stations = Texts::default();
        batch.origin = texts(column::ORIGIN, &mut stations, wanted.stations)?;
        batch.destination = texts(column::DESTINATION, &mut stations, wanted.stations)?;
        batch.stations = stations.dictionary;
        let mut words = Texts::default();
        batch.bike = texts(column::BIKE, &mut words, wanted.bikes)?;
        batch.rider = texts(column::RIDER, &mut words, wanted.riders)?;
        batch.gender = texts(column::GENDER, &mut words, wanted.people)?;
        batch.words = words.dictionary;
        batch.birth_year = optional(column::BIRTH_YEAR, wanted.people)?
            .into_iter()
            .map(|year| i16::try_from(year).unwrap_or(NONE_I16))
            .collect();
        batch.from_latitude = optional(column::FROM_LATITUDE, wanted.positions)?;
        batch.from_longitude = optional(column::FROM_LONGITUDE, wanted.positions)?;
        batch.to_latitude = optional(column::TO_LATITUDE, wanted.positions)?;
        batch.to_longitude = optional(column::TO_LONGITUDE, wanted.positions)?;
        batch.flags = int(column::FLAGS, wanted.flags)?
            .into_iter()
            .map(|bits| Flags::from_bits(bits as u16))
            .collect();
        Ok(batch)
    }

    fn read_group(&self, group: usize) -> Result<TripBatch, ParquetError> {
        let group = self.reader.get_row_group(group)?;
        let rows = group.metadata().num_rows() as usize;
        let mut batch = TripBatch::default();
        for id in all_required::<ByteArrayType>(&*group, column::TRIP_ID, rows)? {
            batch.id_bytes.extend_from_slice(id.as_utf8()?.as_bytes());
            batch.id_ends.push(batch.id_bytes.len() as u32);
        }
        batch.started_ms = all_required::<Int64Type>(&*group, column::STARTED_AT, rows)?;
        let int = |place| all_required::<Int32Type>(&*group, place, rows);
        batch.started_offset_s = int(column::STARTED_OFFSET_S)?;
        batch.ended_ms = all_required::<Int64Type>(&*group, column::ENDED_AT, rows)?;
        batch.ended_offset_s = int(column::ENDED_OFFSET_S)?;
        batch.precision_ms = int(column::PRECISION_MS)?;
        batch.reported_s = all_optional(&*group, column::REPORTED_S, rows)?;
        let mut stations = Texts::default();
        let texts = |place, texts: &mut Texts| {
            let places = dictionary::decode(&mut *group.get_column_page_reader(place)?, texts)?;
            expect_rows(places, rows)
        };
        batch.origin = texts(column::ORIGIN, &mut stations)?;
        batch.destination = texts(column::DESTINATION, &mut stations)?;
        batch.stations = stations.dictionary;
        let mut vehicles = Texts::default();
        batch.vehicle = texts(column::VEHICLE, &mut vehicles)?;
        batch.vehicles = vehicles.dictionary;
        let mut words = Texts::default();
        batch.bike = texts(column::BIKE, &mut words)?;
        batch.rider = texts(column::RIDER, &mut words)?;
        batch.gender = texts(column::GENDER, &mut words)?;
        batch.words = words.dictionary;
        batch.birth_year = all_optional(&*group, column::BIRTH_YEAR, rows)?
            .into_iter()
            .map(|year| i16::try_from(year).unwrap_or(NONE_I16))
            .collect();
        batch.from_latitude = all_optional(&*group, column::FROM_LATITUDE, rows)?;
        batch.from_longitude = all_optional(&*group, column::FROM_LONGITUDE, rows)?;
        batch.to_latitude = all_optional(&*group, column::TO_LATITUDE, rows)?;
        batch.to_longitude = all_optional(&*group, column::TO_LONGITUDE, rows)?;
        batch.flags = int(column::FLAGS)?
            .into_iter()
            .map(|bits| Flags::from_bits(bits as u16))
            .collect();
        batch.line = vec![0; rows];
        stated_durations(&mut batch);
        Ok(batch)
    }
}

/// Puts stated durations in, where the file says them by the two times alone.
fn stated_durations(batch: &mut TripBatch) {
    for row in 0..batch.len() {
        batch.reported_s[row] = match batch.reported_s[row] {
            NOT_STATED => NONE_I32,
            NONE_I32 => i32::try_from(batch.elapsed_ms(row) / 1000).unwrap_or(NONE_I32),
            stated => stated,
        };
    }
}

fn expect_rows<T>(values: Vec<T>, rows: usize) -> Result<Vec<T>, ParquetError> {
    if values.len() == rows {
        return Ok(values);
    }
    let message = format!("a column has {} values for {rows} rows", values.len());
    Err(ParquetError::General(message))
}

fn all_required<T: DataType>(
    group: &dyn RowGroupReader,
    place: usize,
    rows: usize,
) -> Result<Vec<T::T>, ParquetError>
where
    T::T: Clone,
{
    let mut column: ColumnReaderImpl<T> = get_typed_column_reader(group.get_column_reader(place)?);
    let mut values = Vec::with_capacity(rows);
    while values.len() < rows {
        let (read, ..) = column.read_records(rows - values.len(), None, None, &mut values)?;
        if read == 0 {
            break;
        }
    }
    expect_rows(values, rows)
}

fn all_optional(
    group: &dyn RowGroupReader,
    place: usize,
    rows: usize,
) -> Result<Vec<i32>, ParquetError> {
    let mut column: ColumnReaderImpl<Int32Type> =
        get_typed_column_reader(group.get_column_reader(place)?);
    let (mut present, mut levels) = (Vec::new(), Vec::with_capacity(rows));
    while levels.len() < rows {
        let left = rows - levels.len();
        let (read, ..) = column.read_records(left, Some(&mut levels), None, &mut present)?;
        if read == 0 {
            break;
        }
    }
    let mut present = present.into_iter();
    let values = levels
        .iter()
        .map(|level| match level {
            0 => NONE_I32,
            _ => present.next().unwrap_or(NONE_I32),
        })
        .collect();
    expect_rows(values, rows)
}

/// Keeps the library's reader and writer agreeing on what a batch is: used by tests.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Rider, Trip, TripId};

    fn trip(id: &str, started_ms: i64) -> Trip {
        Trip {
            id: TripId::from(id),
            started_ms,
            started_offset_s: -18_000,
            ended_ms: started_ms + 600_000,
            ended_offset_s: -18_000,
            precision_ms: 1000,
            reported_s: None,
            origin: None,
            destination: None,
            vehicle: None,
            bike: None,
            rider: Rider::Unknown,
            gender: None,
            birth_year: None,
            from: None,
            to: None,
            flags: Flags::NONE,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let mut trips = [trip("17", 9_000), trip("18", 4_000), trip("19", 5_000)];
        trips[0].reported_s = Some(600);
        trips[1].reported_s = Some(599);
        trips[1].origin = Some("TA1".into());
        trips[2].origin = Some("86".into());
        trips[2].destination = Some("TA1".into());
        trips[2].birth_year = Some(1984);
        trips[0].from = Some((41_881_832, -87_623_177));
        trips[0].rider = Rider::Member;
        let mut writer = TripsWriter::create(path.clone()).unwrap();
        writer.write(&trips.iter().cloned().collect()).unwrap();
        writer
            .write(&[trip("20", 1)].into_iter().collect())
            .unwrap();
        let entries = writer.finish().unwrap();
        let mut in_order: Vec<&Trip> = trips.iter().collect();
        in_order.sort_by_key(|trip| trip.started_ms);

        let file = TripsFile::open(&path).unwrap();
        assert_eq!(file.groups(), [0..3, 3..4]);
        let read: Vec<Trip> = file.read(0).unwrap().trips().collect();
        assert_eq!(read.iter().collect::<Vec<_>>(), in_order);
        assert_eq!(file.read(1).unwrap().trip(0), trip("20", 1));
        let mut entries: Vec<_> = entries.iter().map(|e| (e.key, e.row)).collect();
        entries.sort_unstable();
        assert_eq!(entries, [(17, 2), (18, 0), (19, 1), (20, 3)]);
    }

    #[test]
    fn a_foreign_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        std::fs::write(&path, b"PAR1 but no more than that").unwrap();
        let error = TripsFile::open(&path).err().unwrap();
        assert_eq!(error.kind, crate::store::StoreErrorKind::Damaged);
    }

    #[test]
    fn many_texts_and_nulls_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let trips: Vec<Trip> = (0..5000)
            .map(|n| {
                let mut trip = trip(&n.to_string(), n);
                trip.origin = (n % 3 != 0).then(|| format!("S{}", n % 701).as_str().into());
                trip.vehicle = Some((n % 997).to_string().as_str().into());
                trip
            })
            .collect();
        let mut writer = TripsWriter::create(path.clone()).unwrap();
        writer.write(&trips.iter().cloned().collect()).unwrap();
        writer.finish().unwrap();
        let read: Vec<Trip> = TripsFile::open(&path)
            .unwrap()
            .read(0)
            .unwrap()
            .trips()
            .collect();
        assert_eq!(read, trips);
    }

    proptest::proptest! {
        /// The library reads what our own pages say, however wild the numbers.
        #[test]
        fn any_numbers_survive(
            rows in proptest::collection::vec(
                (
                    proptest::prop_oneof![-9_000_000_i64..9_000_000, -(1_i64 << 60)..1 << 60],
                    proptest::option::of(0..i32::MAX),
                    proptest::option::of((-90_000_000..90_000_000, -180_000_000..=180_000_000)),
                    proptest::option::of(1900_i16..2020),
                    0_u16..1024,
                    "[A-Z0-9]{1,18}",
                ),
                1..400,
            ),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("trips.parquet");
            let mut trips: Vec<Trip> = rows
                .into_iter()
                .map(|(started_ms, reported_s, from, birth_year, flags, id)| Trip {
                    started_offset_s: started_ms as i32 % 86_400,
                    reported_s,
                    from,
                    birth_year,
                    flags: Flags::from_bits(flags),
                    ..trip(&id, started_ms)
                })
                .collect();
            let mut writer = TripsWriter::create(path.clone()).unwrap();
            writer.write(&trips.iter().cloned().collect()).unwrap();
            writer.finish().unwrap();
            let read: Vec<Trip> = TripsFile::open(&path).unwrap().read(0).unwrap().trips().collect();
            trips.sort_by_key(|trip| trip.started_ms);
            proptest::prop_assert_eq!(read, trips);
        }
    }
}
