//! The bytes of one file as they were when it was opened.
//!
//! A file is read several times: for its hash, its directory, its first rows, and all of its rows.
//! Meanwhile another program may replace it or write into it. So the first pass hashes each block as
//! well as the whole file, and every later read is verified with these hashes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Bytes that are hashed and verified as a unit. Few, because one or two of these units are read for
/// each of the thousands of members that a zip may have.
const BLOCK: usize = 64 * 1024;

/// Bytes read at a time in the first pass.
const HASHING_BYTES: usize = 8 * BLOCK;

/// The file has other bytes than when it was opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the file was changed after it had been opened: try again when no program writes to it any more"
)]
pub struct Changed;

impl From<Changed> for io::Error {
    fn from(changed: Changed) -> Self {
        Self::other(changed)
    }
}

/// A file and the hashes of its bytes.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    /// `None` after [`release`](Self::release): each reader opens the path again.
    file: Option<Arc<File>>,
    hashes: Arc<Hashes>,
}

#[derive(Debug)]
struct Hashes {
    size_bytes: u64,
    /// XXH3, 128 bits, of all bytes.
    content: u128,
    /// XXH3, 64 bits, of each block; the last one may be short.
    blocks: Vec<u64>,
}

impl Source {
    /// Reads and hashes a file, up to its present length. `path` is opened again by readers after
    /// [`release`](Self::release).
    pub(super) fn new(file: File, path: &Path) -> io::Result<Self> {
        let size_bytes = file.metadata()?.len();
        let mut content = Xxh3Default::new();
        let mut blocks = Vec::new();
        let mut buffer = vec![0; HASHING_BYTES];
        let mut offset = 0;
        while offset < size_bytes {
            let length = (size_bytes - offset).min(HASHING_BYTES as u64) as usize;
            fill(&file, offset, &mut buffer[..length])?;
            content.update(&buffer[..length]);
            blocks.extend(buffer[..length].chunks(BLOCK).map(xxh3_64));
            offset += length as u64;
        }
        Ok(Self {
            path: path.into(),
            file: Some(Arc::new(file)),
            hashes: Arc::new(Hashes {
                size_bytes,
                content: content.digest128(),
                blocks,
            }),
        })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.hashes.size_bytes
    }

    pub(super) fn content(&self) -> u128 {
        self.hashes.content
    }

    /// Closes the file.
    pub(super) fn release(&mut self) {
        self.file = None;
    }

    /// Begins to read from the first byte on.
    pub(super) fn read(&self) -> io::Result<Verified> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => Arc::new(File::open(&self.path)?),
        };
        Ok(Verified {
            file,
            hashes: self.hashes.clone(),
            offset: 0,
            block: Vec::new(),
            block_index: None,
        })
    }
}

/// A reader of a [`Source`]. Readers share one file handle and have a position each.
#[derive(Debug)]
pub(super) struct Verified {
    file: Arc<File>,
    hashes: Arc<Hashes>,
    offset: u64,
    /// The last block that was read for less than its whole length.
    block: Vec<u8>,
    /// The index of `block`.
    block_index: Option<u64>,
}

impl Verified {
    /// Reads whole blocks from an index on until `into` is full, and verifies them.
    fn read_blocks(&self, index: u64, into: &mut [u8]) -> io::Result<()> {
        fill(&self.file, index * BLOCK as u64, into)?;
        for (block, index) in into.chunks(BLOCK).zip(index..) {
            if self.hashes.blocks.get(index as usize) != Some(&xxh3_64(block)) {
                return Err(Changed.into());
            }
        }
        Ok(())
    }

    /// Makes `block` that of an index.
    fn load_block(&mut self, index: u64) -> io::Result<()> {
        if self.block_index == Some(index) {
            return Ok(());
        }
        self.block_index = None;
        let left = self.hashes.size_bytes - index * BLOCK as u64;
        let mut block = std::mem::take(&mut self.block);
        block.resize(left.min(BLOCK as u64) as usize, 0);
        self.read_blocks(index, &mut block)?;
        self.block = block;
        self.block_index = Some(index);
        Ok(())
    }
}

impl Read for Verified {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.hashes.size_bytes.saturating_sub(self.offset);
        if left == 0 || into.is_empty() {
            return Ok(0);
        }
        let index = self.offset / BLOCK as u64;
        let inside = (self.offset % BLOCK as u64) as usize;
        // Whole blocks, and a short last one, are read into the caller's buffer.
        let whole = if into.len() as u64 >= left {
            left as usize
        } else {
            into.len() / BLOCK * BLOCK
        };
        let n = if inside == 0 && whole > 0 {
            self.read_blocks(index, &mut into[..whole])?;
            whole
        } else {
            self.load_block(index)?;
            let rest = &self.block[inside..];
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            n
        };
        self.offset += n as u64;
        Ok(n)
    }
}

impl Seek for Verified {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(by) => self.hashes.size_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
        };
        let negative = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the file");
        self.offset = offset.ok_or_else(negative)?;
        Ok(self.offset)
    }
}

/// Reads from an offset of the file until `into` is full. A file that ends before has changed.
fn fill(file: &File, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        match read_at(file, into, offset) {
            Ok(0) => return Err(Changed.into()),
            Ok(n) => {
                offset += n as u64;
                into = &mut into[n..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, at)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(bytes: &[u8]) -> (tempfile::NamedTempFile, Source) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let source = Source::new(File::open(file.path()).unwrap(), file.path()).unwrap();
        (file, source)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn reads_are_those_of_the_file(
            size in prop_oneof![0..300_usize, 65_000..66_000_usize, 131_072..300_000_usize],
            steps in proptest::collection::vec((0..300_000_u64, 0..200_000_usize), 1..12),
        ) {
            let bytes: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
            let (_file, source) = source(&bytes);
            let mut reader = source.read().unwrap();
            prop_assert_eq!(source.content(), xxhash_rust::xxh3::xxh3_128(&bytes));
            for (at, length) in steps {
                reader.seek(SeekFrom::Start(at)).unwrap();
                let mut some = Vec::new();
                reader.by_ref().take(length as u64).read_to_end(&mut some).unwrap();
                let start = size.min(at as usize);
                prop_assert_eq!(&some[..], &bytes[start..size.min(start + length)]);
            }
        }
    }

    #[test]
    fn a_changed_byte_is_detected_when_it_is_read() {
        let bytes = vec![b'x'; 3 * BLOCK + 5];
        for offset in [0, BLOCK - 1, BLOCK, 3 * BLOCK + 4] {
            let (file, source) = source(&bytes);
            let mut changed = bytes.clone();
            changed[offset] = b'y';
            std::fs::write(file.path(), changed).unwrap();
            let error = source
                .read()
                .unwrap()
                .read_to_end(&mut Vec::new())
                .unwrap_err();
            assert!(error.get_ref().unwrap().is::<Changed>(), "{offset}");
        }
    }

    #[test]
    fn a_shorter_file_is_detected_and_a_longer_one_is_read_as_it_was() {
        let bytes = vec![b'x'; BLOCK + 5];
        let (file, source) = source(&bytes);
        std::fs::write(file.path(), vec![b'x'; BLOCK + 9]).unwrap();
        let mut read = Vec::new();
        source.read().unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        std::fs::write(file.path(), &bytes[..BLOCK]).unwrap();
        assert!(source.read().unwrap().read_to_end(&mut read).is_err());
    }
}
