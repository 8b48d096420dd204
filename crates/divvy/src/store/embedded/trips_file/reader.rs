//! Reads trips files.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

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

use super::aliases::{self, AliasNames};
use super::checksums::Footer;
use super::dictionary::{self, Texts};
use super::schema::{
    ALIASES_KEY, LAYOUT, LAYOUT_KEY, SCHEMA, SCHEMA_BEFORE_ALIASES, Schema, column,
};
use crate::model::{Flags, NONE_I16, NONE_I32, TripBatch};
use crate::store::embedded::error::{damaged, io_error};
use crate::store::embedded::shared_file::SharedFile;
use crate::store::{Projection, StoreError};

/// The reported duration in layouts 1 and 2 for a trip whose publisher states none. A missing value
/// stood for the time elapsed between start and end.
const NOT_STATED: i32 = -1;

/// An open trips file. It can be read even after another process has removed it.
pub(crate) struct TripsFile {
    path: PathBuf,
    file: SharedFile,
    pub(super) metadata: ParquetMetaData,
    schema: &'static Schema,
    layout: u32,
    /// The checksum of each column chunk. `None` in a file of layout 1.
    checksums: Option<Vec<u64>>,
    /// Read when stations are.
    names: OnceLock<Result<AliasNames, String>>,
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
        let fail = |message: String| Err(damaged(path, ParquetError::General(message)));
        let layout = value_of(&metadata, LAYOUT_KEY).and_then(|text| text.parse::<u32>().ok());
        let (layout, schema) = match layout {
            Some(LAYOUT) => (LAYOUT, &*SCHEMA),
            Some(old @ 1..LAYOUT) => (old, &*SCHEMA_BEFORE_ALIASES),
            Some(other) => {
                return fail(format!(
                    "it has layout {other}, and this program reads {LAYOUT}"
                ));
            }
            None => return fail("it was not written by this program".into()),
        };
        let chunks: usize = (metadata.row_groups().iter())
            .map(|group| group.num_columns())
            .sum();
        let checksums = footer.chunks.as_ref().map(Vec::len);
        if layout > 1 && checksums != Some(chunks) {
            return fail("its checksums are missing".into());
        }
        let has_schema = |group: &RowGroupMetaData| {
            group.num_columns() == schema.descriptor.num_columns()
                && *group.schema_descr() == *schema.descriptor
        };
        if !metadata.row_groups().iter().all(has_schema) {
            return fail("its columns are others".into());
        }
        Ok(Self {
            path: path.into(),
            file,
            metadata,
            schema,
            layout,
            checksums: footer.chunks,
            names: OnceLock::new(),
        })
    }

    /// Returns whether the file has the layout that is written today.
    pub(crate) fn has_current_layout(&self) -> bool {
        self.layout == LAYOUT
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
        let group = self.group(group);
        let Some(Statistics::Int64(starts)) = group.statistics(column::STARTED_AT) else {
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
        let optional = |column| all_optional::<Int32Type>(group, column, rows, NONE_I32);
        let texts = |column, texts: &mut Texts| group.texts(column, texts);
        if projection.ends {
            batch.started_offset_s = int(column::STARTED_OFFSET_S)?;
            batch.ended_ms = all_required::<Int64Type>(group, column::ENDED_AT, rows)?;
            batch.ended_offset_s = int(column::ENDED_OFFSET_S)?;
            batch.reported_s = self.reported_durations(group, &batch)?;
        }
        if projection.stations {
            let mut stations = Texts::default();
            let mut of = |id, alias| self.stations(group, id, alias, &mut stations);
            batch.origin = of(column::ORIGIN, column::ORIGIN_ALIAS)?;
            batch.destination = of(column::DESTINATION, column::DESTINATION_ALIAS)?;
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
            origins: None,
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
        batch.vehicle = group.texts(column::VEHICLE, &mut vehicles)?;
        batch.vehicles = vehicles.dictionary;
        Ok(batch)
    }

    /// Reads the durations that the publisher states. The batch has starts and ends.
    fn reported_durations(
        &self,
        group: &Group<'_>,
        batch: &TripBatch,
    ) -> Result<Vec<i32>, ParquetError> {
        let rows = group.rows();
        if self.has_current_layout() {
            let none = i64::from(NONE_I32);
            return all_optional::<Int64Type>(group, column::REPORTED_S, rows, none)?
                .into_iter()
                .map(|stated| i32::try_from(stated).map_err(|e| ParquetError::External(e.into())))
                .collect();
        }
        let mut stated = all_optional::<Int32Type>(group, column::REPORTED_S, rows, NONE_I32)?;
        for (row, stated) in stated.iter_mut().enumerate() {
            *stated = match *stated {
                NOT_STATED => NONE_I32,
                NONE_I32 => i32::try_from(batch.elapsed_ms(row) / 1000).unwrap_or(NONE_I32),
                stated => stated,
            };
        }
        Ok(stated)
    }

    /// Reads a column of station ids and that of their aliases.
    fn stations(
        &self,
        group: &Group<'_>,
        ids: usize,
        aliases: usize,
        texts: &mut Texts,
    ) -> Result<Vec<u32>, ParquetError> {
        let rows = group.rows();
        let numbers = match group.statistics(aliases) {
            // A column that an old layout lacks.
            None => None,
            Some(Statistics::Int32(of)) if (of.min_opt(), of.max_opt()) == (Some(&0), Some(&0)) => {
                // Verifies the checksum: most files have no other numbers, and these need not be read.
                group.pages(aliases)?;
                None
            }
            Some(_) => Some(all_required::<Int32Type>(group, aliases, rows)?),
        };
        let names = self.names.get_or_init(|| {
            AliasNames::from_metadata(value_of(&self.metadata, ALIASES_KEY))
                .map_err(|e| format!("the names of its stations cannot be read: {e}"))
        });
        let names = names
            .as_ref()
            .map_err(|message| ParquetError::General(message.clone()))?;
        let indexes = aliases::decode(&mut *group.pages(ids)?, numbers, names, texts)?;
        expect_rows(indexes, rows)
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

    /// Returns the index of a column in the layout of the file.
    fn index(&self, column: usize) -> Result<usize, ParquetError> {
        let index = self.file.schema.index(column);
        index.ok_or_else(|| ParquetError::General("it lacks a column".into()))
    }

    /// Reads an optional column of texts, which are added to a dictionary.
    fn texts(&self, column: usize, texts: &mut Texts) -> Result<Vec<u32>, ParquetError> {
        let index_of = &mut |text: &str| Ok(texts.index_of(text));
        let indexes = dictionary::decode(&mut *self.pages(column)?, index_of)?;
        expect_rows(indexes, self.rows())
    }

    /// Returns the statistics of a column. `None` if the file has none, or lacks the column.
    fn statistics(&self, column: usize) -> Option<&Statistics> {
        let column = self.file.schema.index(column)?;
        self.metadata.column(column).statistics()
    }

    /// Reads a whole column chunk and verifies its checksum.
    fn pages(&self, column: usize) -> Result<Box<dyn PageReader>, ParquetError> {
        let column = self.index(column)?;
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
        let descriptor = self.metadata.column(self.index(column)?).column_descr_ptr();
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

/// Reads an optional column of numbers; `none` stands for a missing one.
fn all_optional<T: DataType>(
    group: &Group<'_>,
    column: usize,
    rows: usize,
    none: T::T,
) -> Result<Vec<T::T>, ParquetError>
where
    T::T: Copy,
{
    let mut reader = group.column::<T>(column)?;
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
            0 => none,
            _ => present.next().unwrap_or(none),
        })
        .collect();
    expect_rows(values, rows)
}

/// Returns the value of a key of the file's metadata.
fn value_of<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let mut pairs = (metadata.file_metadata().key_value_metadata())
        .into_iter()
        .flatten();
    pairs.find(|pair| pair.key == key)?.value.as_deref()
}
