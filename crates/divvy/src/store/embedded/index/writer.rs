//! Writes an id index.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{BLOCK, Entry, Keys, MAGIC, VERSION, Written, packing, tail};
use crate::store::StoreError;
use crate::store::embedded::hashed_file::HashedFile;
use crate::store::embedded::sorted_runs::Runs;

/// Bytes of entries that are sorted in memory. Sorting takes as much again.
const SORT_BYTES: usize = 16 << 20;

/// Writes the index of a trips file, whose rows come in order, in bounded memory.
pub(crate) struct IndexWriter {
    out: HashedFile,
    directory: Vec<u8>,
    rows: u64,
    /// Lines of the current line block.
    lines: Vec<u64>,
    entries: Runs<Entry>,
}

impl IndexWriter {
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let mut out = HashedFile::create(path)?;
        out.append(MAGIC)?;
        out.append(&VERSION.to_le_bytes())?;
        Ok(Self {
            out,
            directory: Vec::new(),
            rows: 0,
            lines: Vec::with_capacity(BLOCK),
            entries: Runs::new(path.with_extension("runs"), SORT_BYTES),
        })
    }

    /// Returns the number of rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the key and the line of the next row.
    pub(crate) fn push(&mut self, key: u64, line: u64) -> Result<(), StoreError> {
        let row = self.rows as u32;
        self.rows += 1;
        self.entries.push(Entry { key, row })?;
        self.lines.push(line);
        if self.lines.len() == BLOCK {
            self.end_line_block()?;
        }
        Ok(())
    }

    /// Ends the index and makes it durable.
    pub(crate) fn finish(mut self) -> Result<Written, StoreError> {
        self.end_line_block()?;
        let mut keys = Keys {
            bounds: (u64::MAX, 0),
            has_repeated: false,
        };
        let (mut block_keys, mut block_rows) = (Vec::new(), Vec::new());
        for entry in self.entries.take().sorted()? {
            let Entry { key, row } = entry?;
            keys.has_repeated |= keys.bounds.0 != u64::MAX && keys.bounds.1 == key;
            keys.bounds = (keys.bounds.0.min(key), key);
            block_keys.push(key);
            block_rows.push(u64::from(row));
            if block_keys.len() == BLOCK {
                self.append_key_block(&block_keys, &block_rows)?;
                block_keys.clear();
                block_rows.clear();
            }
        }
        if !block_keys.is_empty() {
            self.append_key_block(&block_keys, &block_rows)?;
        }
        let tail = tail(&self.directory, self.rows);
        self.out.append(&self.directory)?;
        self.out.append(&tail)?;
        let hash = self.out.finish()?;
        Ok(Written { keys, hash })
    }

    fn end_line_block(&mut self) -> Result<(), StoreError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let (mut plain, mut differences) = (vec![0], vec![1]);
        packing::pack(&mut plain, &self.lines);
        packing::pack_differences(&mut differences, &self.lines);
        self.lines.clear();
        let smaller = if differences.len() < plain.len() {
            differences
        } else {
            plain
        };
        self.append_block(&smaller)
    }

    fn append_key_block(&mut self, keys: &[u64], rows: &[u64]) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        packing::pack_differences(&mut bytes, keys);
        packing::pack(&mut bytes, rows);
        self.append_block(&bytes)?;
        self.directory.extend(keys[0].to_le_bytes());
        Ok(())
    }

    fn append_block(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.out.append(bytes)?;
        self.directory.extend((bytes.len() as u32).to_le_bytes());
        self.directory.extend(xxh3_64(bytes).to_le_bytes());
        Ok(())
    }
}
