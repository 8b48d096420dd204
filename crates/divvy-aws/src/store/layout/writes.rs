//! The writes of the rows of an incoming archive.

use divvy::store::StoreError;
use xxhash_rust::xxh3::xxh3_64;

use crate::blocks::{self, Gatherer, Month, Packed, Rows, SPOOL_LEVEL, encode_some};
use crate::item;
use crate::pace::Write;
use crate::store::copies::Copies;
use crate::store::spool::{Bits, SpoolBlock, SpooledRows};
use crate::store::temp_file::{Chunk, Chunks};
use crate::tables::Layout;

/// Partitions of rows before they are packed: each fits into memory.
const PARTITIONS: usize = 64;

/// A write, and the number of its trips.
pub(in crate::store) type TripWrite = (Write, u64);

/// The writes of an archive's own rows, in an order that is the same whenever the same archive is
/// loaded beside the same others.
pub(in crate::store) struct TripWrites {
    tag: String,
    form: Form,
    ready: std::vec::IntoIter<TripWrite>,
}

enum Form {
    /// One item for each row, in the order of the file.
    Rows {
        blocks: std::vec::IntoIter<SpoolBlock>,
        resolved: Bits,
    },
    /// Blocks, partition by partition.
    Packed {
        chunks: Chunks,
        partitions: std::vec::IntoIter<Vec<Chunk>>,
        /// The keys of the blocks so far.
        keys: Vec<String>,
    },
}

impl TripWrites {
    /// Prepares the writes of all rows that are not in `resolved`. In the packed layout also of
    /// `puts`, the stored copies among these, since blocks hold both. `tag` is that of the items:
    /// in the packed layout the [`block_tag`](super::block_tag).
    pub(in crate::store) fn new(
        layout: Layout,
        rows: &mut SpooledRows,
        tag: String,
        resolved: &Bits,
        puts: &Copies,
    ) -> Result<Self, StoreError> {
        let form = match layout {
            Layout::Rows => Form::Rows {
                blocks: rows.in_order().into_iter(),
                resolved: resolved.clone(),
            },
            Layout::Packed => partitioned(rows, resolved, puts)?,
        };
        Ok(Self {
            tag,
            form,
            ready: Vec::new().into_iter(),
        })
    }

    /// Returns the next write. `None` after the last.
    pub(in crate::store) fn next(
        &mut self,
        rows: &mut SpooledRows,
    ) -> Result<Option<TripWrite>, StoreError> {
        loop {
            if let Some(write) = self.ready.next() {
                return Ok(Some(write));
            }
            let tag = &self.tag;
            let mut writes: Vec<TripWrite> = Vec::new();
            match &mut self.form {
                Form::Rows { blocks, resolved } => {
                    let Some(block) = blocks.next() else {
                        return Ok(None);
                    };
                    let read = rows.read(block)?;
                    let first = block.row_indexes().start;
                    let others = (0..read.len()).filter(|row| !resolved.has(first + row));
                    writes.extend(others.map(|row| (put_row(&read, row, tag), 1)));
                }
                Form::Packed {
                    chunks,
                    partitions,
                    keys,
                } => {
                    let Some(partition) = partitions.next() else {
                        return Ok(None);
                    };
                    let mut gathered = Gatherer::default();
                    for chunk in partition {
                        gathered.add(&chunks.rows(chunk)?);
                    }
                    blocks::pack(&gathered.into_rows(), &mut |packed| {
                        keys.push(block_key(&packed, tag));
                        let n = u64::from(packed.n);
                        writes.push((Write::Put(item::packed::item(&packed, tag)), n));
                    });
                }
            }
            self.ready = writes.into_iter();
        }
    }

    /// Returns the sorted keys of the blocks. Empty in the layout of rows.
    pub(in crate::store) fn into_keys(self) -> Vec<String> {
        match self.form {
            Form::Rows { .. } => Vec::new(),
            Form::Packed { mut keys, .. } => {
                keys.sort();
                keys
            }
        }
    }
}

/// Partitions rows by origin and month.
fn partitioned(rows: &mut SpooledRows, resolved: &Bits, puts: &Copies) -> Result<Form, StoreError> {
    let mut chunks = Chunks::new()?;
    let mut partitions: Vec<Vec<Chunk>> = vec![Vec::new(); PARTITIONS];
    let mut assign = |rows: &Rows, is_left_out: &dyn Fn(usize) -> bool| {
        let mut assigned: Vec<Vec<u32>> = vec![Vec::new(); PARTITIONS];
        for row in (0..rows.len()).filter(|row| !is_left_out(*row)) {
            assigned[partition_of(rows, row)].push(row as u32);
        }
        for (partition, some) in partitions.iter_mut().zip(assigned) {
            if !some.is_empty() {
                let member = |row: usize| rows.member[row];
                let bytes = encode_some(&rows.batch, member, &some, SPOOL_LEVEL);
                partition.push(chunks.push(&bytes)?);
            }
        }
        Ok::<_, StoreError>(())
    };
    for block in rows.in_order() {
        let read = rows.read(block)?;
        let first = block.row_indexes().start;
        assign(&read, &|row| resolved.has(first + row))?;
    }
    for rows in puts.chunks() {
        assign(&rows?, &|_| false)?;
    }
    Ok(Form::Packed {
        chunks,
        partitions: partitions.into_iter(),
        keys: Vec::new(),
    })
}

fn partition_of(rows: &Rows, row: usize) -> usize {
    let batch = &rows.batch;
    let month = Month::of(batch.started_ms[row]);
    let text = format!("{month} {}", batch.origin_id(row));
    xxh3_64(text.as_bytes()) as usize % PARTITIONS
}

/// Returns the key of a block.
pub(super) fn block_key(packed: &Packed, tag: &str) -> String {
    item::packed::key(packed.origin.as_ref(), packed.month, tag, packed.part)
}

fn put_row(rows: &Rows, row: usize, tag: &str) -> Write {
    let row = item::trip::TripRow {
        batch: &rows.batch,
        row,
        member: rows.member[row],
        archive: tag,
    };
    Write::Put(row.item())
}

/// Makes the items of rows, in the layout of rows.
pub(in crate::store) fn put_rows(rows: &Rows, tag: &str) -> impl Iterator<Item = Write> {
    (0..rows.len()).map(move |row| put_row(rows, row, tag))
}
