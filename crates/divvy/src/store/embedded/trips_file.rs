//! Trips files: batches out to Parquet, one row group each, and back.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use xxhash_rust::xxh3::xxh3_64;

use super::checksums::{CheckedFile, Footer};
use super::delta;
use super::dictionary::{self, Texts};
use super::hashed_file::HashedFile;
use super::index::{IndexWriter, Keys, key_of};
use super::pages::{self, Pages};
use super::schema::{LAYOUT, LAYOUT_KEY, PROPERTIES, SCHEMA, column};
use super::shared_file::SharedFile;
use super::{cannot, damaged};
use crate::model::{Flags, NONE_I16, NONE_I32, TripBatch};
use crate::store::{Projection, StoreError};

/// Writes a trips file, and beside it the index of its ids.
pub(super) struct TripsWriter {
    path: PathBuf,
    writer: SerializedFileWriter<CheckedFile>,
    zstd: zstd::bulk::Compressor<'static>,
    index: IndexWriter,
}

/// A trips file and its index that have been written, and are durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    pub(super) rows: u64,
    pub(super) keys: Keys,
    /// The XXH3-128 of the trips file.
    pub(super) hash: u128,
    /// The XXH3-128 of the index.
    pub(super) index_hash: u128,
}

impl TripsWriter {
    /// Creates a trips file, and its index at the same path with the extension `index`.
    pub(super) fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = CheckedFile::new(HashedFile::create(&path)?);
        let writer = SerializedFileWriter::new(file, SCHEMA.clone(), PROPERTIES.clone())
            .map_err(|e| write_failed(&path, e))?;
        let zstd = zstd::bulk::Compressor::new(1).map_err(|e| cannot("compress for", &path, e))?;
        Ok(Self {
            index: IndexWriter::create(&path.with_extension("index"))?,
            path,
            writer,
            zstd,
        })
    }

    /// Writes a batch as a row group, ordered by start: differences between neighbours stay small.
    pub(super) fn write(&mut self, batch: &TripBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let ordered;
        let batch = if batch.started_ms.is_sorted() {
            batch
        } else {
            ordered = batch.select(&by_start(&batch.started_ms));
            &ordered
        };
        for (row, line) in batch.line.iter().enumerate() {
            self.index.push(key_of(batch.id_raw(row)), *line)?;
        }
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
        let mut checksums = Vec::with_capacity(columns.len());
        let mut group = self.writer.next_row_group()?;
        for (place, encode) in columns.into_iter().enumerate() {
            let column = DESCRIPTOR.with(|schema| schema.column(place));
            let (bytes, result) = encode().chunk(column, batch.len(), &mut self.zstd)?;
            checksums.push(xxh3_64(&bytes));
            group.append_column(&bytes, result)?;
        }
        group.close()?;
        self.writer.inner_mut().chunks(&checksums);
        Ok(())
    }

    /// Ends the file and its index, and makes both durable.
    pub(super) fn finish(self) -> Result<Finished, StoreError> {
        let Self {
            path,
            mut writer,
            index,
            ..
        } = self;
        let rows = index.rows();
        writer.flush().map_err(|e| cannot("write", &path, e))?;
        writer.inner_mut().begin_footer();
        let file = writer.into_inner().map_err(|e| write_failed(&path, e))?;
        let hash = file.finish()?;
        let index = index.finish()?;
        Ok(Finished {
            rows,
            keys: index.keys,
            hash,
            index_hash: index.hash,
        })
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
    file: SharedFile,
    metadata: ParquetMetaData,
    /// The checksum of each column chunk. `None` in a file of layout 1.
    checksums: Option<Vec<u64>>,
}

impl TripsFile {
    /// # Errors
    ///
    /// `Unreachable` where it cannot be opened, `Damaged` where it is no trips file.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| cannot("open", path, e))?;
        let file = SharedFile::new(file).map_err(|e| cannot("open", path, e))?;
        let footer = Footer::read(&file).map_err(|e| read_failed(path, e))?;
        let metadata = ParquetMetaDataReader::decode_metadata(&footer.metadata)
            .map_err(|e| damaged(path, e))?;
        let layout = metadata
            .file_metadata()
            .key_value_metadata()
            .into_iter()
            .flatten()
            .find(|pair| pair.key == LAYOUT_KEY)
            .and_then(|pair| pair.value.as_deref()?.parse::<u32>().ok());
        let chunks: usize = (metadata.row_groups().iter())
            .map(|group| group.num_columns())
            .sum();
        let wrong = |message: String| Err(damaged(path, ParquetError::General(message)));
        match (layout, footer.chunks.as_ref().map(Vec::len)) {
            (Some(LAYOUT), Some(checksums)) if checksums == chunks => {}
            (Some(LAYOUT), _) => return wrong("its checksums are missing".into()),
            (Some(1), _) => {}
            (Some(other), _) => {
                return wrong(format!(
                    "it has layout {other}, and this program reads {LAYOUT}"
                ));
            }
            (None, _) => return wrong("it was not written by this program".into()),
        }
        let same = |group: &RowGroupMetaData| {
            DESCRIPTOR.with(|schema| {
                group.num_columns() == schema.num_columns() && group.schema_descr() == schema
            })
        };
        if !metadata.row_groups().iter().all(same) {
            return wrong("its columns are others".into());
        }
        Ok(Self {
            path: path.into(),
            file,
            metadata,
            checksums: footer.chunks,
        })
    }

    /// Counts the rows, by the file's own footer.
    pub(super) fn rows(&self) -> u64 {
        self.metadata.file_metadata().num_rows() as u64
    }

    /// Lists the row groups as ranges of rows.
    pub(super) fn groups(&self) -> Vec<std::ops::Range<u32>> {
        let mut start = 0;
        self.metadata
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
        self.read_group(&self.group(group))
            .map_err(|e| read_failed(&self.path, e))
    }

    /// Reads the ids of one row group; the other columns are left empty, even without rows.
    pub(super) fn read_ids(&self, group: usize) -> Result<TripBatch, StoreError> {
        let mut batch = TripBatch::default();
        ids(&self.group(group), &mut batch).map_err(|e| read_failed(&self.path, e))?;
        Ok(batch)
    }

    fn group(&self, place: usize) -> Group<'_> {
        Group {
            file: self,
            place,
            metadata: self.metadata.row_group(place),
        }
    }

    /// Returns whether a row group may hold trips of the projection's time range, by its statistics.
    pub(super) fn may_hold(&self, group: usize, projection: &Projection) -> bool {
        let Some((from_ms, until_ms)) = projection.started_ms else {
            return true;
        };
        let group = self.metadata.row_group(group);
        let Some(Statistics::Int64(starts)) = group.column(column::STARTED_AT).statistics() else {
            return true;
        };
        let first = starts.min_opt().is_none_or(|first| *first < until_ms);
        first && starts.max_opt().is_none_or(|last| *last >= from_ms)
    }

    /// Reads some columns of one row group; the others are empty.
    pub(super) fn read_projection(
        &self,
        group: usize,
        projection: &Projection,
    ) -> Result<TripBatch, StoreError> {
        self.read_columns(&self.group(group), projection)
            .map_err(|e| read_failed(&self.path, e))
    }

    fn read_columns(
        &self,
        group: &Group<'_>,
        projection: &Projection,
    ) -> Result<TripBatch, ParquetError> {
        let rows = group.rows();
        let mut batch = TripBatch {
            started_ms: all_required::<Int64Type>(group, column::STARTED_AT, rows)?,
            ..TripBatch::default()
        };
        let int = |column| all_required::<Int32Type>(group, column, rows);
        let optional = |column| all_optional(group, column, rows);
        let texts = |column, texts: &mut Texts| {
            let places = dictionary::decode(&mut *group.pages(column)?, texts)?;
            expect_rows(places, rows)
        };
        if projection.ends {
            batch.started_offset_s = int(column::STARTED_OFFSET_S)?;
            batch.ended_ms = all_required::<Int64Type>(group, column::ENDED_AT, rows)?;
            batch.ended_offset_s = int(column::ENDED_OFFSET_S)?;
            batch.reported_s = optional(column::REPORTED_S)?;
            stated_durations(&mut batch);
        }
        if projection.stations {
            let mut stations = Texts::default();
            batch.origin = texts(column::ORIGIN, &mut stations)?;
            batch.destination = texts(column::DESTINATION, &mut stations)?;
            batch.stations = stations.dictionary;
        }
        let mut words = Texts::default();
        if projection.bikes {
            batch.bike = texts(column::BIKE, &mut words)?;
        }
        if projection.riders {
            batch.rider = texts(column::RIDER, &mut words)?;
        }
        if projection.people {
            batch.gender = texts(column::GENDER, &mut words)?;
            batch.birth_year = optional(column::BIRTH_YEAR)?
                .into_iter()
                .map(|year| i16::try_from(year).unwrap_or(NONE_I16))
                .collect();
        }
        batch.words = words.dictionary;
        if projection.positions {
            batch.from_latitude = optional(column::FROM_LATITUDE)?;
            batch.from_longitude = optional(column::FROM_LONGITUDE)?;
            batch.to_latitude = optional(column::TO_LATITUDE)?;
            batch.to_longitude = optional(column::TO_LONGITUDE)?;
        }
        if projection.flags {
            batch.flags = int(column::FLAGS)?
                .into_iter()
                .map(|bits| Flags::from_bits(bits as u16))
                .collect();
        }
        Ok(batch)
    }

    fn read_group(&self, group: &Group<'_>) -> Result<TripBatch, ParquetError> {
        let rows = group.rows();
        let mut batch = TripBatch::default();
        ids(group, &mut batch)?;
        batch.started_ms = all_required::<Int64Type>(group, column::STARTED_AT, rows)?;
        let int = |place| all_required::<Int32Type>(group, place, rows);
        batch.started_offset_s = int(column::STARTED_OFFSET_S)?;
        batch.ended_ms = all_required::<Int64Type>(group, column::ENDED_AT, rows)?;
        batch.ended_offset_s = int(column::ENDED_OFFSET_S)?;
        batch.precision_ms = int(column::PRECISION_MS)?;
        batch.reported_s = all_optional(group, column::REPORTED_S, rows)?;
        let mut stations = Texts::default();
        let texts = |place, texts: &mut Texts| {
            let places = dictionary::decode(&mut *group.pages(place)?, texts)?;
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
        batch.birth_year = all_optional(group, column::BIRTH_YEAR, rows)?
            .into_iter()
            .map(|year| i16::try_from(year).unwrap_or(NONE_I16))
            .collect();
        batch.from_latitude = all_optional(group, column::FROM_LATITUDE, rows)?;
        batch.from_longitude = all_optional(group, column::FROM_LONGITUDE, rows)?;
        batch.to_latitude = all_optional(group, column::TO_LATITUDE, rows)?;
        batch.to_longitude = all_optional(group, column::TO_LONGITUDE, rows)?;
        batch.flags = int(column::FLAGS)?
            .into_iter()
            .map(|bits| Flags::from_bits(bits as u16))
            .collect();
        batch.line = vec![0; rows];
        stated_durations(&mut batch);
        Ok(batch)
    }
}

/// One row group.
struct Group<'a> {
    file: &'a TripsFile,
    place: usize,
    metadata: &'a RowGroupMetaData,
}

impl Group<'_> {
    fn rows(&self) -> usize {
        self.metadata.num_rows() as usize
    }

    /// Reads and verifies a column, all of it at once.
    fn pages(&self, column: usize) -> Result<Box<dyn PageReader>, ParquetError> {
        let metadata = self.metadata.column(column);
        let (start, len) = metadata.byte_range();
        let bytes = self.file.file.exactly(start, len as usize)?;
        if let Some(checksums) = &self.file.checksums
            && xxh3_64(&bytes) != checksums[self.place * self.metadata.num_columns() + column]
        {
            return Err(ParquetError::General(format!(
                "the checksum of column {} in row group {} is another",
                metadata.column_path(),
                self.place
            )));
        }
        let chunk = Arc::new(Chunk {
            start,
            bytes: bytes.into(),
        });
        let pages = SerializedPageReader::new(chunk, metadata, self.rows(), None)?;
        Ok(Box::new(pages))
    }

    fn column<T: DataType>(&self, column: usize) -> Result<ColumnReaderImpl<T>, ParquetError> {
        let descriptor = self.metadata.column(column).column_descr_ptr();
        let reader = get_column_reader(descriptor, self.pages(column)?);
        Ok(get_typed_column_reader(reader))
    }
}

/// A column chunk in memory, which is asked for by its place in the file.
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        start
            .checked_sub(self.start)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| *start <= self.bytes.len())
            .map(|start| self.bytes.slice(start..))
            .ok_or_else(|| ParquetError::EOF("a page lies outside its column".into()))
    }
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Chunk {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF("a page is cut off".into()));
        }
        Ok(bytes.slice(..length))
    }
}

/// Says what hindered reading: the disk, or what it holds.
fn read_failed(path: &Path, error: ParquetError) -> StoreError {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(e) if e.kind() == io::ErrorKind::UnexpectedEof => damaged(path, *e),
            Ok(e) => cannot("read", path, *e),
            Err(cause) => damaged(path, ParquetError::External(cause)),
        },
        error => damaged(path, error),
    }
}

/// Reads the ids of a row group.
fn ids(group: &Group<'_>, batch: &mut TripBatch) -> Result<(), ParquetError> {
    for id in all_required::<ByteArrayType>(group, column::TRIP_ID, group.rows())? {
        batch.id_bytes.extend_from_slice(id.as_utf8()?.as_bytes());
        batch.id_ends.push(batch.id_bytes.len() as u32);
    }
    Ok(())
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
    group: &Group<'_>,
    place: usize,
    rows: usize,
) -> Result<Vec<T::T>, ParquetError>
where
    T::T: Clone,
{
    let mut column = group.column::<T>(place)?;
    let mut values = Vec::with_capacity(rows);
    while values.len() < rows {
        let (read, ..) = column.read_records(rows - values.len(), None, None, &mut values)?;
        if read == 0 {
            break;
        }
    }
    expect_rows(values, rows)
}

fn all_optional(group: &Group<'_>, place: usize, rows: usize) -> Result<Vec<i32>, ParquetError> {
    let mut column = group.column::<Int32Type>(place)?;
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
pub(super) mod tests {
    use super::*;
    use crate::model::{Rider, Trip, TripId};
    use crate::store::StoreErrorKind;
    use crate::store::embedded::index::Index;

    /// A trip with nothing to it but its id and its start.
    pub(in super::super) fn trip(id: &str, started_ms: i64) -> Trip {
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
        let finished = writer.finish().unwrap();
        let mut in_order: Vec<&Trip> = trips.iter().collect();
        in_order.sort_by_key(|trip| trip.started_ms);

        let file = TripsFile::open(&path).unwrap();
        assert_eq!(file.groups(), [0..3, 3..4]);
        let read: Vec<Trip> = file.read(0).unwrap().trips().collect();
        assert_eq!(read.iter().collect::<Vec<_>>(), in_order);
        assert_eq!(file.read(1).unwrap().trip(0), trip("20", 1));
        assert_eq!((finished.rows, finished.keys.bounds), (4, (17, 20)));
        let index = Index::open(&path.with_extension("index")).unwrap();
        let mut cursor = index.cursor((0, u64::MAX)).unwrap();
        let mut entries = Vec::new();
        while let Some(entry) = cursor.entry() {
            entries.push((entry.key, entry.row));
            cursor.advance().unwrap();
        }
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

    /// Trips that fill every column, and some of them.
    fn of_all_kinds(n: i64) -> TripBatch {
        let trip = |n: i64| Trip {
            origin: Some(["TA1", "86", "KA15"][n as usize % 3].into()),
            destination: (n % 4 != 0).then(|| "TA1".into()),
            vehicle: Some((n % 7).to_string().as_str().into()),
            bike: (n % 2 == 0).then(|| "classic_bike".into()),
            rider: if n % 3 == 0 {
                Rider::Member
            } else {
                Rider::Casual
            },
            gender: (n % 5 == 0).then(|| "Male".into()),
            birth_year: (n % 5 == 0).then_some(1960 + n as i16 % 40),
            from: Some((41_881_832 + n as i32 * 977 % 5_000, -87_623_177)),
            to: (n % 6 != 0).then_some((41_900_000, -87_600_000 - n as i32)),
            reported_s: Some(600 + (n % 9) as i32),
            ..trip(&(n * 31 % 4_096).to_string(), n * 60_000)
        };
        (0..n).map(trip).collect()
    }

    fn read_all(path: &Path) -> Result<Vec<TripBatch>, StoreError> {
        let file = TripsFile::open(path)?;
        (0..file.groups().len())
            .map(|group| file.read(group))
            .collect()
    }

    #[test]
    fn a_flipped_bit_never_makes_other_trips() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let mut writer = TripsWriter::create(path.clone()).unwrap();
        writer.write(&of_all_kinds(40)).unwrap();
        writer.write(&of_all_kinds(25)).unwrap();
        let finished = writer.finish().unwrap();
        let sound = std::fs::read(&path).unwrap();
        assert_eq!(xxhash_rust::xxh3::xxh3_128(&sound), finished.hash);
        let trips = read_all(&path).unwrap();
        for place in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&path, &bytes).unwrap();
            match read_all(&path) {
                // Only the first four bytes say nothing.
                Ok(read) => assert!(place < 4 && read == trips, "byte {place}"),
                Err(error) => {
                    assert_eq!(error.kind, StoreErrorKind::Damaged, "byte {place}: {error}");
                    assert!(error.message.contains("trips.parquet"), "{error}");
                }
            }
        }
        for size in (0..sound.len()).step_by(97) {
            std::fs::write(&path, &sound[..size]).unwrap();
            assert!(read_all(&path).is_err(), "cut off at {size}");
        }
    }

    /// Files of the first layout, of invented trips, as the program of that time wrote them.
    #[test]
    fn layout_1_is_still_read() {
        let folder = tempfile::tempdir().unwrap();
        let (path, index) = (
            folder.path().join("a.parquet"),
            folder.path().join("a.index"),
        );
        std::fs::write(&path, include_bytes!("layout_1/trips.parquet")).unwrap();
        std::fs::write(&index, include_bytes!("layout_1/trips.index")).unwrap();
        let file = TripsFile::open(&path).unwrap();
        assert_eq!(file.rows(), 17);
        assert_eq!(file.groups(), std::iter::once(0..17).collect::<Vec<_>>());
        let batch = file.read(0).unwrap();
        assert_eq!((batch.id(0), batch.id(17 - 1)), ("10400046", "10400059"));
        assert!(batch.started_ms.is_sorted());

        let again = folder.path().join("again.index");
        let rebuilt = crate::store::embedded::index::rebuild(&file, &index, &again).unwrap();
        assert_eq!(rebuilt.lines_lost, 0);
        let lines = Index::open(&again).unwrap().lines(0..17).unwrap();
        assert_eq!(
            lines,
            [18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
        );
    }

    /// Other engines have the CRC of each page alone.
    #[test]
    fn the_library_finds_a_flipped_bit_in_any_page() {
        use parquet::file::reader::{FileReader, SerializedFileReader};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let mut writer = TripsWriter::create(path.clone()).unwrap();
        writer.write(&of_all_kinds(64)).unwrap();
        writer.finish().unwrap();
        let sound = std::fs::read(&path).unwrap();
        let read_all = |bytes: Vec<u8>| -> Result<usize, ParquetError> {
            let reader = SerializedFileReader::new(Bytes::from(bytes))?;
            let rows = reader.get_row_iter(None)?;
            rows.map(|row| row.map(|_| 1)).sum()
        };
        assert_eq!(read_all(sound.clone()).unwrap(), 64);
        let group = TripsFile::open(&path).unwrap();
        for column in group.metadata.row_group(0).columns() {
            let (start, len) = column.byte_range();
            let mut bytes = sound.clone();
            // The last page has no header behind it.
            bytes[(start + len) as usize - 1] ^= 16;
            let error = read_all(bytes).unwrap_err().to_string();
            assert!(error.contains("CRC"), "{}: {error}", column.column_path());
        }
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
