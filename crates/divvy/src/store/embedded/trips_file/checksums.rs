//! The checksums of a trips file: of each column chunk and of the footer.
//!
//! Parquet has checksums for the bytes of pages only: a bit that flips in the header of a page or in
//! the footer could change trips. A block between the last row group and the footer, which other
//! readers skip, therefore holds more:
//!
//! ```text
//! row group…
//! the XXH3-64 of each column chunk, row group by row group     u64 each, little-endian
//! their number                                                 u32
//! the XXH3-64 of the lines above and of the footer              u64
//! `DVCK`
//! footer       (Thrift, its length, `PAR1`)
//! ```

use std::io;

use parquet::errors::ParquetError;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::store::StoreError;
use crate::store::embedded::hashed_file::HashedFile;
use crate::store::embedded::shared_file::SharedFile;

const MAGIC: &[u8; 4] = b"DVCK";
/// How a Parquet file begins and ends.
const PARQUET: &[u8; 4] = b"PAR1";
/// Bytes of the number, the checksum and `DVCK`.
const FIXED: usize = 16;
/// Bytes of the length of the footer and `PAR1`.
const END: usize = 8;

/// A trips file being written: column chunks, then the footer.
pub(super) struct CheckedFile {
    file: HashedFile,
    /// Bytes written so far.
    size: u64,
    chunks: Vec<u64>,
}

impl CheckedFile {
    /// Begins a file.
    pub(super) fn new(mut file: HashedFile) -> Result<Self, StoreError> {
        file.append(PARQUET)?;
        Ok(Self {
            file,
            size: PARQUET.len() as u64,
            chunks: Vec::new(),
        })
    }

    /// Appends the chunk of the next column, and returns where it begins.
    pub(super) fn append_chunk(&mut self, bytes: &[u8]) -> Result<u64, StoreError> {
        let offset = self.size;
        self.file.append(bytes)?;
        self.size += bytes.len() as u64;
        self.chunks.push(xxh3_64(bytes));
        Ok(offset)
    }

    /// Makes the chunk of the last column that of the next column, too.
    pub(super) fn share_chunk(&mut self) {
        self.chunks.extend(self.chunks.last().copied());
    }

    /// Writes checksums and footer, makes the file durable, and returns its XXH3-128.
    pub(super) fn finish(mut self, footer: &[u8]) -> Result<u128, StoreError> {
        let mut block: Vec<u8> = self.chunks.iter().flat_map(|c| c.to_le_bytes()).collect();
        block.extend((self.chunks.len() as u32).to_le_bytes());
        let hash = hash(&block, footer);
        block.extend(hash.to_le_bytes());
        block.extend(MAGIC);
        self.file.append(&block)?;
        self.file.append(footer)?;
        self.file.finish()
    }
}

fn hash(chunks: &[u8], footer: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(chunks);
    hash.update(footer);
    hash.digest()
}

/// The end of a Parquet file.
pub(super) struct Footer {
    /// The file's metadata, in Thrift.
    pub(super) metadata: Vec<u8>,
    /// The checksum of each column chunk. `None` if the file has no checksums. If it has,
    /// `metadata` has been verified.
    pub(super) chunks: Option<Vec<u64>>,
}

impl Footer {
    /// Reads the end of a file, and verifies it if it has checksums.
    pub(super) fn read(file: &SharedFile) -> Result<Self, ParquetError> {
        /// Bytes that are read at first: more than most footers have.
        const TAIL: u64 = 1 << 15;
        let wrong = |what: &str| ParquetError::General(what.into());
        let cut_off = || wrong("it is cut off");
        let size = file.size();
        let mut tail = file.exactly(size.saturating_sub(TAIL), size.min(TAIL) as usize)?;
        let end = tail.len().checked_sub(END).ok_or_else(cut_off)?;
        if tail[end + 4..] != *PARQUET {
            return Err(wrong("it does not end as a Parquet file"));
        }
        let len = u32::from_le_bytes(tail[end..end + 4].try_into().expect("these are 4 bytes"));
        let len = len as usize;
        let wanted = len.saturating_add(END + FIXED);
        tail = last(file, tail, wanted.min(size as usize))?;
        let start = tail.len().checked_sub(len + END).ok_or_else(cut_off)?;
        let mut chunks = None;
        if let Some(fixed) = start.checked_sub(FIXED)
            && tail[start - MAGIC.len()..start] == *MAGIC
        {
            let number = tail[fixed..fixed + 4].try_into();
            let n = u32::from_le_bytes(number.expect("these are 4 bytes")) as usize;
            let wanted = n.saturating_mul(8).saturating_add(wanted);
            if wanted as u64 > size {
                return Err(wrong("its checksums are cut off"));
            }
            tail = last(file, tail, wanted)?;
            let start = tail.len() - wanted;
            let (hashed, rest) = tail[start..].split_at(n * 8 + 4);
            let (stored, footer) = rest.split_at(FIXED - 4);
            if hash(hashed, footer).to_le_bytes() != stored[..8] {
                return Err(wrong("the checksum of its footer is another"));
            }
            let each = hashed[..n * 8].chunks_exact(8);
            let each = each.map(|c| u64::from_le_bytes(c.try_into().expect("these are 8 bytes")));
            chunks = Some(each.collect());
        }
        let start = tail.len() - len - END;
        let metadata = tail[start..start + len].to_vec();
        Ok(Self { metadata, chunks })
    }
}

/// Returns at least `wanted` of a file's last bytes, of which `read` have been read.
fn last(file: &SharedFile, read: Vec<u8>, wanted: usize) -> io::Result<Vec<u8>> {
    if read.len() >= wanted {
        return Ok(read);
    }
    file.exactly(file.size() - wanted as u64, wanted)
}
