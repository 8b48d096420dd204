//! A file that is written once, from front to back, and hashed as it is written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::error::io_error;
use crate::store::StoreError;

/// Bytes that are buffered before they are written.
const BUFFER: usize = 1 << 20;

/// A new file, and the XXH3-128 of its bytes so far.
pub(super) struct HashedFile {
    path: PathBuf,
    out: BufWriter<Hashing>,
}

struct Hashing {
    file: File,
    hash: Box<Xxh3>,
}

impl HashedFile {
    /// Creates the file, or truncates an existing one.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(|e| io_error("create", path, e))?;
        let hash = Box::new(Xxh3::new());
        Ok(Self {
            path: path.into(),
            out: BufWriter::with_capacity(BUFFER, Hashing { file, hash }),
        })
    }

    /// Appends bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.out
            .write_all(bytes)
            .map_err(|e| io_error("write", &self.path, e))
    }

    /// Makes the file durable and returns the XXH3-128 of all its bytes.
    pub(super) fn finish(self) -> Result<u128, StoreError> {
        let Self { path, out } = self;
        let Hashing { file, hash } = out
            .into_inner()
            .map_err(|e| io_error("write", &path, e.into_error()))?;
        file.sync_all().map_err(|e| io_error("write", &path, e))?;
        Ok(hash.digest128())
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads a file and returns the XXH3-128 of its bytes, as [`HashedFile::finish`] did.
pub(super) fn hash_of(path: &Path) -> Result<u128, StoreError> {
    let mut file = File::open(path).map_err(|e| io_error("open", path, e))?;
    let mut hashing = Xxh3::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Ok(hashing.digest128()),
            Ok(n) => hashing.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(io_error("read", path, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_equals_that_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = HashedFile::create(&path).unwrap();
        let long = vec![7; 3 * BUFFER + 5];
        file.append(b"head").unwrap();
        file.append(&long).unwrap();
        file.append(b"tail").unwrap();
        let hash = file.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), long.len() + 8);
        assert_eq!(hash, xxhash_rust::xxh3::xxh3_128(&bytes));
        assert_eq!(hash, hash_of(&path).unwrap());
    }
}
