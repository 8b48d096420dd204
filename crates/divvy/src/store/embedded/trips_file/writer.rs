//! Writes trips files.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use xxhash_rust::xxh3::xxh3_64;

use super::checksums::CheckedFile;
use super::pages::{self, Pages};
use super::schema::{DESCRIPTOR, PROPERTIES, SCHEMA};
use super::{NOT_STATED, delta, dictionary};
use crate::model::{NONE_I16, NONE_I32, TripBatch};
use crate::store::StoreError;
use crate::store::embedded::error::io_error;
use crate::store::embedded::hashed_file::HashedFile;
use crate::store::embedded::index::{IndexWriter, Keys, key_of};

/// Writes a trips file, and its id index beside it.
pub(crate) struct TripsWriter {
    path: PathBuf,
    writer: SerializedFileWriter<CheckedFile>,
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
    /// Creates a trips file, and its index at the same path with the extension `index`.
    pub(crate) fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = CheckedFile::new(HashedFile::create(&path)?);
        let writer = SerializedFileWriter::new(file, SCHEMA.clone(), PROPERTIES.clone())
            .map_err(|e| write_failed(&path, e))?;
        let zstd =
            zstd::bulk::Compressor::new(1).map_err(|e| io_error("compress for", &path, e))?;
        Ok(Self {
            index: IndexWriter::create(&path.with_extension("index"))?,
            path,
            writer,
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
            &|| delta::optional_ints(&reported_durations(batch)),
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
        for (n, encode) in columns.into_iter().enumerate() {
            let column = DESCRIPTOR.with(|schema| schema.column(n));
            let (bytes, result) = encode().chunk(column, batch.len(), &mut self.zstd)?;
            checksums.push(xxh3_64(&bytes));
            group.append_column(&bytes, result)?;
        }
        group.close()?;
        self.writer.inner_mut().add_checksums(&checksums);
        Ok(())
    }

    /// Ends the file and its index, and makes both durable.
    pub(crate) fn finish(self) -> Result<Finished, StoreError> {
        let Self {
            path,
            mut writer,
            index,
            ..
        } = self;
        let rows = index.rows();
        writer.flush().map_err(|e| io_error("write", &path, e))?;
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

/// Returns the reported durations as a file has them, see [`NOT_STATED`].
fn reported_durations(batch: &TripBatch) -> Vec<i32> {
    (0..batch.len())
        .map(|row| match batch.reported_s[row] {
            stated if i64::from(stated) * 1000 == batch.elapsed_ms(row) => NONE_I32,
            NONE_I32 => NOT_STATED,
            stated => stated,
        })
        .collect()
}
