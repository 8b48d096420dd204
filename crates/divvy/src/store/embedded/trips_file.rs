//! Trips files: batches out to Parquet, one row group each, and back.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::dictionary::{self, Texts};
use super::index::{Entry, key_of};
use super::schema::{LAYOUT, LAYOUT_KEY, PROPERTIES, SCHEMA, column};
use super::shared_file::SharedFile;
use super::{cannot, damaged};
use crate::model::{Dictionary, Flags, NONE_I16, NONE_I32, TripBatch};
use crate::store::StoreError;

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
        let sorted = batch.started_ms.is_sorted();
        let ordered;
        let batch = if sorted {
            batch
        } else {
            let mut order: Vec<u32> = (0..batch.len() as u32).collect();
            order.sort_by_key(|row| batch.started_ms[*row as usize]);
            ordered = batch.select(&order);
            &ordered
        };
        let first = self.entries.len() as u32;
        self.entries.reserve(batch.len());
        for row in 0..batch.len() {
            self.entries.push(Entry {
                key: key_of(batch.id_raw(row)),
                row: first + row as u32,
                line: batch.line[row] as u32,
            });
        }
        self.write_row_group(batch)
            .map_err(|e| write_failed(&self.path, e))
    }

    fn write_row_group(&mut self, batch: &TripBatch) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        required::<ByteArrayType>(&mut group, &ids(batch))?;
        required::<Int64Type>(&mut group, &batch.started_ms)?;
        required::<Int32Type>(&mut group, &batch.started_offset_s)?;
        required::<Int64Type>(&mut group, &batch.ended_ms)?;
        required::<Int32Type>(&mut group, &batch.ended_offset_s)?;
        required::<Int32Type>(&mut group, &batch.precision_ms)?;
        optional(&mut group, &reported_differently(batch))?;
        let texts: [(&[u32], &Dictionary); 6] = [
            (&batch.origin, &batch.stations),
            (&batch.destination, &batch.stations),
            (&batch.vehicle, &batch.vehicles),
            (&batch.bike, &batch.words),
            (&batch.rider, &batch.words),
            (&batch.gender, &batch.words),
        ];
        for (place, (places, words)) in (column::ORIGIN..).zip(texts) {
            let descriptor = DESCRIPTOR.with(|schema| schema.column(place));
            let (chunk, result) = dictionary::encode(descriptor, places, words, &mut self.zstd)?;
            group.append_column(&chunk, result)?;
        }
        let years: Vec<i32> = batch
            .birth_year
            .iter()
            .map(|year| match *year {
                NONE_I16 => NONE_I32,
                year => i32::from(year),
            })
            .collect();
        optional(&mut group, &years)?;
        optional(&mut group, &batch.from_latitude)?;
        optional(&mut group, &batch.from_longitude)?;
        optional(&mut group, &batch.to_latitude)?;
        optional(&mut group, &batch.to_longitude)?;
        let flags: Vec<i32> = batch.flags.iter().map(|f| i32::from(f.bits())).collect();
        required::<Int32Type>(&mut group, &flags)?;
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

thread_local! {
    // Not Sync in the library, so one a thread.
    static DESCRIPTOR: parquet::schema::types::SchemaDescriptor =
        parquet::schema::types::SchemaDescriptor::new(SCHEMA.clone());
}

fn write_failed(path: &Path, error: ParquetError) -> StoreError {
    cannot("write", path, io::Error::other(error))
}

fn ids(batch: &TripBatch) -> Vec<ByteArray> {
    let bytes = Bytes::copy_from_slice(&batch.id_bytes);
    let mut start = 0;
    batch
        .id_ends
        .iter()
        .map(|end| {
            let id = bytes.slice(start..*end as usize);
            start = *end as usize;
            ByteArray::from(id)
        })
        .collect()
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

fn required<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, BufWriter<File>>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let mut column = group
        .next_column()?
        .expect("columns are written in the order of the schema");
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

fn optional(
    group: &mut SerializedRowGroupWriter<'_, BufWriter<File>>,
    values: &[i32],
) -> Result<(), ParquetError> {
    let levels: Vec<i16> = values
        .iter()
        .map(|value| i16::from(*value != NONE_I32))
        .collect();
    let present: Vec<i32> = values
        .iter()
        .copied()
        .filter(|value| *value != NONE_I32)
        .collect();
    let mut column = group
        .next_column()?
        .expect("columns are written in the order of the schema");
    column
        .typed::<Int32Type>()
        .write_batch(&present, Some(&levels), None)?;
    column.close()
}

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
        for row in 0..rows {
            batch.reported_s[row] = match batch.reported_s[row] {
                NOT_STATED => NONE_I32,
                NONE_I32 => i32::try_from(batch.elapsed_ms(row) / 1000).unwrap_or(NONE_I32),
                stated => stated,
            };
        }
        Ok(batch)
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
        assert_eq!(
            entries.iter().map(|e| e.key).collect::<Vec<_>>(),
            [18, 19, 17, 20]
        );
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
}
