//! A file that several readers read at the same time.
//!
//! The readers of a [`File`] share one offset; here every read has its own.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// A file and its length.
#[derive(Clone)]
pub(super) struct SharedFile {
    file: Arc<File>,
    size: u64,
}

impl SharedFile {
    pub(super) fn new(file: File) -> io::Result<Self> {
        Ok(Self {
            size: file.metadata()?.len(),
            file: Arc::new(file),
        })
    }

    /// Returns the length that the file had when it was opened, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns a reader that begins at an offset.
    pub(super) fn reading(&self, start: u64) -> Reading {
        Reading {
            file: self.file.clone(),
            offset: start,
        }
    }

    /// Reads `len` bytes from an offset. Fewer are an error.
    pub(super) fn exactly(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        // A damaged length is found before memory is allocated for it.
        let end = start.checked_add(len as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        self.fill(start, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `out` with the bytes from an offset.
    pub(super) fn fill(&self, start: u64, out: &mut [u8]) -> io::Result<()> {
        self.reading(start).read_exact(out)
    }
}

/// One reader of the file.
pub(super) struct Reading {
    file: Arc<File>,
    offset: u64,
}

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let n = std::os::unix::fs::FileExt::read_at(&*self.file, out, self.offset)?;
        #[cfg(windows)]
        let n = std::os::windows::fs::FileExt::seek_read(&*self.file, out, self.offset)?;
        self.offset += n as u64;
        Ok(n)
    }
}
