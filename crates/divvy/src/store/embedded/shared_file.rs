//! A file that several readers read at once.
//!
//! A [`File`] has one position, which readers would take from each other; here every read says
//! where it reads.

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

    /// Returns a reader that begins at a place.
    pub(super) fn reading(&self, start: u64) -> Reading {
        Reading {
            file: self.file.clone(),
            at: start,
        }
    }

    /// Reads so many bytes from a place; fewer are an error.
    pub(super) fn exactly(&self, start: u64, len: usize) -> io::Result<Vec<u8>> {
        // A length that is wrong is found before memory is taken for it.
        let behind = start.checked_add(len as u64);
        if behind.is_none_or(|behind| behind > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        self.fill(start, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `out` from a place.
    pub(super) fn fill(&self, start: u64, out: &mut [u8]) -> io::Result<()> {
        self.reading(start).read_exact(out)
    }
}

/// One reader's place in the file.
pub(super) struct Reading {
    file: Arc<File>,
    at: u64,
}

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let n = std::os::unix::fs::FileExt::read_at(&*self.file, out, self.at)?;
        #[cfg(windows)]
        let n = std::os::windows::fs::FileExt::seek_read(&*self.file, out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
