//! Reads trips files.

use std::fs::File;
use std::io;
use std::ops::Range;
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
use xxhash_rust::xxh3::xxh3_64;

use super::NOT_STATED;
use super::checksums::Footer;
use super::dictionary::{self, Texts};
use super::schema::{DESCRIPTOR, LAYOUT, LAYOUT_KEY, column};
use crate::model::{Flags, NONE_I16, NONE_I32, TripBatch};
use crate::store::embedded::error::{damaged, io_error};
use crate::store::embedded::shared_file::SharedFile;
use crate::store::{Projection, StoreError};

/// An open trips file. It can be read even after another process has removed it.
pub(crate) struct TripsFile {
    path: PathBuf,
    file: SharedFile,
    pub(super) metadata: ParquetMetaData,
    /// The checksum of each column chunk. `None` in a file of layout 1.
    checksums: Option<Vec<u64>>,
}

impl TripsFile {
    /// Opens a trips file.
    ///
    /// # Errors
    ///
    /// `Unreachable` if it cannot be opened, `Damaged` if it is no trips file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|e| io_error("open", path, e))?;
        let file = SharedFile::new(file).map_err(|e| io_error("open", path, e))?;
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
        let fail = |message: String| Err(damaged(path, ParquetError::General(message)));
        match (layout, footer.chunks.as_ref().map(Vec::len)) {
            (Some(LAYOUT), Some(checksums)) if checksums == chunks => {}
            (Some(LAYOUT), _) => return fail("its checksums are missing".into()),
            (Some(1), _) => {}
            (Some(other), _) => {
                return fail(format!(
                    "it has layout {other}, and this program reads {LAYOUT}"
                ));
            }
            (None, _) => return fail("it was not written by this program".into()),
        }
        let has_schema = |group: &RowGroupMetaData| {
            DESCRIPTOR.with(|schema| {
                group.num_columns() == schema.num_columns() && group.schema_descr() == schema
            })
        };
        if !metadata.row_groups().iter().all(has_schema) {
            return fail("its columns are others".into());
        }
        Ok(Self {
            path: path.into(),
            file,
            metadata,
            checksums: footer.chunks,
        })
    }

    /// Returns the number of rows, according to the file's footer.
    pub(crate) fn rows(&self) -> u64 {
        self.metadata.file_metadata().num_rows() as u64
    }

    /// Lists the rows of each row group.
    pub(crate) fn groups(&self) -> Vec<Range<u32>> {
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

    /// Reads one row group. Lines are 0: only the id index has them.
    pub(crate) fn read(&self, group: usize) -> Result<TripBatch, StoreError> {
        self.read_group(&self.group(group))
            .map_err(|e| read_failed(&self.path, e))
    }

    /// Reads the ids of one row group. The other columns stay empty, without rows.
    pub(crate) fn read_ids(&self, group: usize) -> Result<TripBatch, StoreError> {
        let mut batch = TripBatch::default();
        ids(&self.group(group), &mut batch).map_err(|e| read_failed(&self.path, e))?;
        Ok(batch)
    }

    fn group(&self, index: usize) -> Group<'_> {
        Group {
            file: self,
            index,
            metadata: self.metadata.row_group(index),
        }
    }

    /// Returns whether a row group may hold trips of a projection's time range, by its statistics.
    pub(crate) fn may_hold(&self, group: usize, projection: &Projection) -> bool {
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
    pub(crate) fn read_projection(
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
            expect_rows(dictionary::decode(&mut *group.pages(column)?, texts)?, rows)
        };
        if projection.ends {
            batch.started_offset_s = int(column::STARTED_OFFSET_S)?;
            batch.ended_ms = all_required::<Int64Type>(group, column::ENDED_AT, rows)?;
            batch.ended_offset_s = int(column::ENDED_OFFSET_S)?;
            batch.reported_s = optional(column::REPORTED_S)?;
            resolve_durations(&mut batch);
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
        const ALL: Projection = Projection {
            started_ms: None,
            stations: true,
            ends: true,
            riders: true,
            bikes: true,
            people: true,
            positions: true,
            flags: true,
        };
        let rows = group.rows();
        let mut batch = self.read_columns(group, &ALL)?;
        ids(group, &mut batch)?;
        batch.line = vec![0; rows];
        batch.precision_ms = all_required::<Int32Type>(group, column::PRECISION_MS, rows)?;
        let mut vehicles = Texts::default();
        let vehicle = dictionary::decode(&mut *group.pages(column::VEHICLE)?, &mut vehicles)?;
        batch.vehicle = expect_rows(vehicle, rows)?;
        batch.vehicles = vehicles.dictionary;
        Ok(batch)
    }
}

/// One row group.
struct Group<'a> {
    file: &'a TripsFile,
    index: usize,
    metadata: &'a RowGroupMetaData,
}

impl Group<'_> {
    fn rows(&self) -> usize {
        self.metadata.num_rows() as usize
    }

    /// Reads a whole column chunk and verifies its checksum.
    fn pages(&self, column: usize) -> Result<Box<dyn PageReader>, ParquetError> {
        let metadata = self.metadata.column(column);
        let (start, len) = metadata.byte_range();
        let bytes = self.file.file.exactly(start, len as usize)?;
        if let Some(checksums) = &self.file.checksums
            && xxh3_64(&bytes) != checksums[self.index * self.metadata.num_columns() + column]
        {
            return Err(ParquetError::General(format!(
                "the checksum of column {} in row group {} is another",
                metadata.column_path(),
                self.index
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

/// A column chunk in memory, addressed by offsets in the file.
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

/// Makes the error of a failed read: `Unreachable` if the disk failed, else `Damaged`.
fn read_failed(path: &Path, error: ParquetError) -> StoreError {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(e) if e.kind() == io::ErrorKind::UnexpectedEof => damaged(path, *e),
            Ok(e) => io_error("read", path, *e),
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

/// Replaces the reported durations of a file by those that they stand for, see [`NOT_STATED`].
fn resolve_durations(batch: &mut TripBatch) {
    for row in 0..batch.len() {
        batch.reported_s[row] = match batch.reported_s[row] {
            NOT_STATED => NONE_I32,
            NONE_I32 => i32::try_from(batch.elapsed_ms(row) / 1000).unwrap_or(NONE_I32),
            stated => stated,
        };
    }
}

/// Checks that a column has a value for each row.
fn expect_rows<T>(values: Vec<T>, rows: usize) -> Result<Vec<T>, ParquetError> {
    if values.len() == rows {
        return Ok(values);
    }
    let message = format!("a column has {} values for {rows} rows", values.len());
    Err(ParquetError::General(message))
}

/// Reads a required column.
fn all_required<T: DataType>(
    group: &Group<'_>,
    column: usize,
    rows: usize,
) -> Result<Vec<T::T>, ParquetError>
where
    T::T: Clone,
{
    let mut reader = group.column::<T>(column)?;
    let mut values = Vec::with_capacity(rows);
    while values.len() < rows {
        let (read, ..) = reader.read_records(rows - values.len(), None, None, &mut values)?;
        if read == 0 {
            break;
        }
    }
    expect_rows(values, rows)
}

/// Reads an optional column; [`NONE_I32`] stands for a missing value.
fn all_optional(group: &Group<'_>, column: usize, rows: usize) -> Result<Vec<i32>, ParquetError> {
    let mut reader = group.column::<Int32Type>(column)?;
    let (mut present, mut levels) = (Vec::new(), Vec::with_capacity(rows));
    while levels.len() < rows {
        let left = rows - levels.len();
        let (read, ..) = reader.read_records(left, Some(&mut levels), None, &mut present)?;
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
