//! Writes trips files.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataWriter,
    RowGroupMetaData,
};

use super::aliases::{self, AliasNumbers};
use super::checksums::CheckedFile;
use super::pages::{Chunk, Number, Pages};
use super::schema::{ALIASES_KEY, LAYOUT, LAYOUT_KEY, SCHEMA};
use super::{delta, dictionary};
use crate::model::{NONE_I16, NONE_I32, SystemId, TripBatch};
use crate::store::StoreError;
use crate::store::embedded::error::io_error;
use crate::store::embedded::hashed_file::HashedFile;
use crate::store::embedded::index::{IndexWriter, Keys, key_of};

/// Writes a trips file, and its id index beside it.
pub(crate) struct TripsWriter {
    path: PathBuf,
    system: SystemId,
    file: CheckedFile,
    groups: Vec<RowGroupMetaData>,
    aliases: AliasNumbers,
    zstd: zstd::bulk::Compressor<'static>,
    index: IndexWriter,
}

/// A trips file and its index, written and durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) rows: u64,
    pub(crate) keys: Keys,
    /// The XXH3-128 of the trips file.
    pub(crate) hash: u128,
    /// The XXH3-128 of the index.
    pub(crate) index_hash: u128,
}

impl TripsWriter {
    /// Creates a trips file of a system, and its index at the same path with the extension `index`.
    pub(crate) fn create(path: PathBuf, system: &SystemId) -> Result<Self, StoreError> {
        let file = CheckedFile::new(HashedFile::create(&path)?)?;
        let zstd =
            zstd::bulk::Compressor::new(1).map_err(|e| io_error("compress for", &path, e))?;
        Ok(Self {
            index: IndexWriter::create(&path.with_extension("index"))?,
            path,
            system: system.clone(),
            file,
            groups: Vec::new(),
            aliases: AliasNumbers::default(),
            zstd,
        })
    }

    /// Writes a batch as a row group, ordered by start so that differences between neighbours are
    /// small.
    pub(crate) fn write(&mut self, batch: &TripBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let ordered;
        let batch = if batch.started_ms.is_sorted() {
            batch
        } else {
            ordered = batch.select(&order_by_start(&batch.started_ms));
            &ordered
        };
        for (row, line) in batch.line.iter().enumerate() {
            self.index.push(key_of(batch.id_raw(row)), *line)?;
        }
        let [origin, origin_alias] =
            aliases::encode(&batch.origin, &batch.stations, &mut self.aliases);
        let [destination, destination_alias] =
            aliases::encode(&batch.destination, &batch.stations, &mut self.aliases);
        let mut group = GroupWriter::new(self, batch.len());
        group.column(delta::texts(&batch.id_bytes, &batch.id_ends))?;
        group.column(dictionary::constant_text(
            group.writer.system.as_str(),
            batch.len(),
        ))?;
        group.column(delta::longs(&batch.started_ms))?;
        group.column(dictionary::ints(&batch.started_offset_s))?;
        group.column(delta::longs(&batch.ended_ms))?;
        group.column(dictionary::ints(&batch.ended_offset_s))?;
        group.column(dictionary::ints(&batch.precision_ms))?;
        group.durations(batch)?;
        group.column(origin)?;
        group.column(origin_alias)?;
        group.column(destination)?;
        group.column(destination_alias)?;
        group.column(dictionary::texts(&batch.vehicle, &batch.vehicles))?;
        group.column(dictionary::texts(&batch.bike, &batch.words))?;
        group.column(dictionary::texts(&batch.rider, &batch.words))?;
        group.column(dictionary::texts(&batch.gender, &batch.words))?;
        group.column(birth_years(batch))?;
        for degrees in [
            &batch.from_latitude,
            &batch.from_longitude,
            &batch.to_latitude,
            &batch.to_longitude,
        ] {
            group.column(dictionary::optional_or_plain(degrees))?;
        }
        let flags: Vec<i32> = batch.flags.iter().map(|f| i32::from(f.bits())).collect();
        group.column(dictionary::ints(&flags))?;
        group.end()
    }

    /// Ends the file and its index, and makes both durable.
    pub(crate) fn finish(self) -> Result<Finished, StoreError> {
        let rows = self.index.rows();
        let footer = self.footer().map_err(|e| write_failed(&self.path, e))?;
        let hash = self.file.finish(&footer)?;
        let index = self.index.finish()?;
        Ok(Finished {
            rows,
            keys: index.keys,
            hash,
            index_hash: index.hash,
        })
    }

    /// Encodes the metadata of the file, its length and the end of the file.
    fn footer(&self) -> Result<Vec<u8>, ParquetError> {
        const FORMAT_VERSION: i32 = 1;
        let mut pairs = vec![KeyValue::new(LAYOUT_KEY.into(), LAYOUT.to_string())];
        if let Some(names) = self.aliases.to_metadata() {
            pairs.push(KeyValue::new(ALIASES_KEY.into(), names));
        }
        let file = FileMetaData::new(
            FORMAT_VERSION,
            self.index.rows() as i64,
            Some(concat!("divvy ", env!("CARGO_PKG_VERSION")).into()),
            Some(pairs),
            SCHEMA.descriptor.clone(),
            None,
        );
        let metadata = ParquetMetaData::new(file, self.groups.clone());
        let mut footer = Vec::new();
        ParquetMetaDataWriter::new(&mut footer, &metadata).finish()?;
        Ok(footer)
    }
}

/// Writes a row group, column by column in the order of the schema.
struct GroupWriter<'a> {
    writer: &'a mut TripsWriter,
    rows: usize,
    columns: Vec<ColumnChunkMetaData>,
}

impl<'a> GroupWriter<'a> {
    fn new(writer: &'a mut TripsWriter, rows: usize) -> Self {
        Self {
            columns: Vec::with_capacity(SCHEMA.descriptor.num_columns()),
            writer,
            rows,
        }
    }

    /// Writes the next column.
    fn column(&mut self, pages: Pages) -> Result<(), StoreError> {
        self.chunk(pages).map(drop)
    }

    /// Writes the next column. Returns its chunk, and where this begins.
    fn chunk(&mut self, pages: Pages) -> Result<(Chunk, u64), StoreError> {
        let writer = &mut *self.writer;
        let chunk = pages
            .chunk(self.rows, &mut writer.zstd)
            .map_err(|e| write_failed(&writer.path, e))?;
        let offset = writer.file.append_chunk(&chunk.bytes)?;
        self.describe(&chunk, offset)?;
        Ok((chunk, offset))
    }

    /// Describes the next column.
    fn describe(&mut self, chunk: &Chunk, offset: u64) -> Result<(), StoreError> {
        let column = SCHEMA.descriptor.column(self.columns.len());
        let metadata = chunk
            .metadata(column, offset)
            .map_err(|e| write_failed(&self.writer.path, e))?;
        self.columns.push(metadata);
        Ok(())
    }

    /// Writes the two columns of durations. Where the publisher states each, they are equal and have
    /// the same pages: the footer names these twice.
    fn durations(&mut self, batch: &TripBatch) -> Result<(), StoreError> {
        let durations: Vec<i64> = (0..batch.len()).map(|row| batch.duration_s(row)).collect();
        let (chunk, offset) = self.chunk(dictionary::optional(&durations))?;
        if !batch.reported_s.contains(&NONE_I32) {
            self.describe(&chunk, offset)?;
            self.writer.file.share_chunk();
            return Ok(());
        }
        let reported: Vec<i64> = batch
            .reported_s
            .iter()
            .map(|stated| match *stated {
                NONE_I32 => i64::NONE,
                stated => i64::from(stated),
            })
            .collect();
        self.column(dictionary::optional(&reported))
    }

    fn end(self) -> Result<(), StoreError> {
        let bytes = self.columns.iter().map(|column| column.uncompressed_size());
        let group = RowGroupMetaData::builder(SCHEMA.descriptor.clone())
            .set_num_rows(self.rows as i64)
            .set_total_byte_size(bytes.sum())
            .set_ordinal(self.writer.groups.len() as i32)
            .set_column_metadata(self.columns)
            .build()
            .map_err(|e| write_failed(&self.writer.path, e))?;
        self.writer.groups.push(group);
        Ok(())
    }
}

fn birth_years(batch: &TripBatch) -> Pages {
    let years: Vec<i32> = batch
        .birth_year
        .iter()
        .map(|year| match *year {
            NONE_I16 => NONE_I32,
            year => i32::from(year),
        })
        .collect();
    dictionary::optional(&years)
}

/// Returns the rows in the order of their starts; rows of equal start keep their order.
fn order_by_start(started_ms: &[i64]) -> Vec<u32> {
    // Many files have the newest trip first: reversing them is faster than sorting.
    if started_ms.is_sorted_by(|a, b| a >= b) {
        let mut order = Vec::with_capacity(started_ms.len());
        for same in started_ms.chunk_by(|a, b| a == b).rev() {
            let end = (started_ms.len() - order.len()) as u32;
            order.extend(end - same.len() as u32..end);
        }
        return order;
    }
    const ROW_BITS: u32 = 20;
    let first = started_ms.iter().min().copied().unwrap_or(0);
    let last = started_ms.iter().max().copied().unwrap_or(0);
    if last.abs_diff(first) < 1 << (64 - ROW_BITS) && started_ms.len() <= 1 << ROW_BITS {
        // Sorts numbers that hold both start and row, without looking starts up by row.
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

fn write_failed(path: &Path, error: ParquetError) -> StoreError {
    io_error("write", path, io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{StationAlias, Trip};
    use crate::store::StoreErrorKind;
    use crate::store::embedded::testing::{divvy, trip};
    use crate::store::embedded::trips_file::TripsFile;

    #[test]
    fn an_alias_without_its_name_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trips.parquet");
        let batch: TripBatch = ["a", "b"]
            .map(|name| Trip {
                origin: Some(StationAlias::new("517", name).as_str().into()),
                ..trip(name, 0)
            })
            .into_iter()
            .collect();
        let mut writer = TripsWriter::create(path.clone(), &divvy().id).unwrap();
        writer.write(&batch).unwrap();
        writer.aliases = AliasNumbers::default();
        writer.finish().unwrap();
        let error = TripsFile::open(&path).unwrap().read(0).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Damaged);
        assert!(error.to_string().contains("517"), "{error}");
    }
}
