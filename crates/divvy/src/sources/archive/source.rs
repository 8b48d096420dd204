//! The bytes of one file, as they were when it was opened.
//!
//! A file is read more than once: for its hash, for its directory, for the first rows, for all rows.
//! Meanwhile another program may put another file in its place, or write into it. So the first
//! pass hashes each block as well as the whole, and every later read is held against these hashes:
//! a byte is handed out only where it is one that the hash of the whole stands for.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// Bytes that are hashed and read as one. Small, because a zip of thousands of members reads one
/// or two for each.
const BLOCK: usize = 64 * 1024;

/// Bytes read at a time where all are read.
const STRETCH: usize = 8 * BLOCK;

/// The file holds other bytes than when it was opened.
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
    /// `None` where each reader opens the path again.
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
    /// Reads a file to the end that it has now, and hashes it. `path` is opened again by the
    /// readers of a source that was [`released`](Self::release).
    pub(super) fn new(file: File, path: &Path) -> io::Result<Self> {
        let size_bytes = file.metadata()?.len();
        let mut content = Xxh3Default::new();
        let mut blocks = Vec::new();
        let mut stretch = vec![0; STRETCH];
        let mut at = 0;
        while at < size_bytes {
            let length = (size_bytes - at).min(STRETCH as u64) as usize;
            fill(&file, at, &mut stretch[..length])?;
            content.update(&stretch[..length]);
            blocks.extend(stretch[..length].chunks(BLOCK).map(xxh3_64));
            at += length as u64;
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
            at: 0,
            block: Vec::new(),
            held: None,
        })
    }
}

/// A reader of a [`Source`]. Readers share one file handle and have a position each.
#[derive(Debug)]
pub(super) struct Verified {
    file: Arc<File>,
    hashes: Arc<Hashes>,
    at: u64,
    /// The block at hand, and its place in the file.
    block: Vec<u8>,
    held: Option<u64>,
}

impl Verified {
    /// Reads whole blocks from `place` on into `into`, which they fill.
    fn blocks(&self, place: u64, into: &mut [u8]) -> io::Result<()> {
        fill(&self.file, place * BLOCK as u64, into)?;
        for (block, place) in into.chunks(BLOCK).zip(place..) {
            if self.hashes.blocks.get(place as usize) != Some(&xxh3_64(block)) {
                return Err(Changed.into());
            }
        }
        Ok(())
    }

    /// Takes the block of that place at hand.
    fn hold(&mut self, place: u64) -> io::Result<()> {
        if self.held == Some(place) {
            return Ok(());
        }
        self.held = None;
        let left = self.hashes.size_bytes - place * BLOCK as u64;
        let mut block = std::mem::take(&mut self.block);
        block.resize(left.min(BLOCK as u64) as usize, 0);
        self.blocks(place, &mut block)?;
        self.block = block;
        self.held = Some(place);
        Ok(())
    }
}

impl Read for Verified {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.hashes.size_bytes.saturating_sub(self.at);
        if left == 0 || into.is_empty() {
            return Ok(0);
        }
        let (place, inside) = (self.at / BLOCK as u64, (self.at % BLOCK as u64) as usize);
        // Whole blocks go straight to the caller; of the last one, all that there is.
        let whole = match into.len() as u64 >= left {
            true => left as usize,
            false => into.len() / BLOCK * BLOCK,
        };
        let n = if inside == 0 && whole > 0 {
            self.blocks(place, &mut into[..whole])?;
            whole
        } else {
            self.hold(place)?;
            let rest = &self.block[inside..];
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            n
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Verified {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.hashes.size_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the file");
        self.at = at.ok_or_else(before)?;
        Ok(self.at)
    }
}

/// Reads from a place of the file until `into` is full. A file that ends before has changed.
fn fill(file: &File, mut at: u64, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        match read_at(file, into, at) {
            Ok(0) => return Err(Changed.into()),
            Ok(n) => {
                at += n as u64;
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
    fn a_byte_changed_anywhere_is_noticed_by_who_reads_it() {
        let bytes = vec![b'x'; 3 * BLOCK + 5];
        for place in [0, BLOCK - 1, BLOCK, 3 * BLOCK + 4] {
            let (file, source) = source(&bytes);
            let mut changed = bytes.clone();
            changed[place] = b'y';
            std::fs::write(file.path(), changed).unwrap();
            let error = source
                .read()
                .unwrap()
                .read_to_end(&mut Vec::new())
                .unwrap_err();
            assert!(error.get_ref().unwrap().is::<Changed>(), "{place}");
        }
    }

    #[test]
    fn a_file_cut_short_is_noticed_and_one_that_grew_is_read_as_it_was() {
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
