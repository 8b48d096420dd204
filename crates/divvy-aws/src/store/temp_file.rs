//! Temporary files of chunks, deleted when the process ends.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use divvy::store::{StoreError, StoreErrorKind};

use crate::blocks::{self, Rows};

/// A file without a name with chunks of bytes.
#[derive(Debug)]
pub(super) struct Chunks {
    file: File,
    end: u64,
}

/// The position of a chunk in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    offset: u64,
    len: usize,
}

fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |error| {
        let doing = format!("cannot {what} a temporary file");
        StoreError::with_source(StoreErrorKind::Unreachable, doing, error)
    }
}

impl Chunks {
    pub(super) fn new() -> Result<Self, StoreError> {
        let file = tempfile::tempfile().map_err(cannot("make"))?;
        Ok(Self { file, end: 0 })
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Chunk, StoreError> {
        let chunk = Chunk {
            offset: self.end,
            len: bytes.len(),
        };
        let writing = cannot("write");
        self.file
            .seek(SeekFrom::Start(self.end))
            .map_err(&writing)?;
        self.file.write_all(bytes).map_err(&writing)?;
        self.end += bytes.len() as u64;
        Ok(chunk)
    }

    fn bytes(&mut self, chunk: Chunk) -> Result<Vec<u8>, StoreError> {
        let reading = cannot("read");
        let mut bytes = vec![0; chunk.len];
        self.file
            .seek(SeekFrom::Start(chunk.offset))
            .map_err(&reading)?;
        self.file.read_exact(&mut bytes).map_err(&reading)?;
        Ok(bytes)
    }

    pub(super) fn rows(&mut self, chunk: Chunk) -> Result<Rows, StoreError> {
        blocks::decode(&self.bytes(chunk)?).map_err(|error| {
            let doing = "a temporary file cannot be read back";
            StoreError::with_source(StoreErrorKind::Damaged, doing, error)
        })
    }
}

/// A file of chunks that several lists share. Clones share the file.
#[derive(Clone, Debug)]
pub(super) struct Scratch(Arc<Mutex<Chunks>>);

impl Scratch {
    pub(super) fn new() -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Mutex::new(Chunks::new()?))))
    }

    fn chunks(&self) -> MutexGuard<'_, Chunks> {
        self.0.lock().expect("no holder of this lock panics")
    }

    pub(super) fn push(&self, bytes: &[u8]) -> Result<Chunk, StoreError> {
        self.chunks().push(bytes)
    }

    pub(super) fn bytes(&self, chunk: Chunk) -> Result<Vec<u8>, StoreError> {
        self.chunks().bytes(chunk)
    }

    pub(super) fn rows(&self, chunk: Chunk) -> Result<Rows, StoreError> {
        self.chunks().rows(chunk)
    }
}
