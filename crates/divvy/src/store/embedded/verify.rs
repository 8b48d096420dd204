//! Compares the files of the store with what the catalog says of them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::catalog::FileRow;
use super::index_path;

impl FileRow {
    /// Lists what is wrong with the file and its id index, one sentence each: gone, unreadable, or
    /// of another hash than when they were written. Reads both whole.
    pub(super) fn faults(&self, root: &Path) -> Vec<String> {
        let files = [
            (root.join(&self.path), self.hash),
            (index_path(root, &self.path), self.index_hash),
        ];
        files
            .iter()
            .filter_map(|(path, hash)| fault(path, *hash))
            .collect()
    }
}

/// Says what is wrong with a file of that hash. A file of an unknown hash only has to be there.
fn fault(path: &Path, expected: Option<u128>) -> Option<String> {
    let shown = path.display();
    match hash_of(path) {
        Ok(found) if expected.is_none_or(|expected| found == expected) => None,
        Ok(_) => Some(format!("{shown} is damaged: it is not what was written")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(format!("{shown} is missing"))
        }
        Err(error) => Some(format!("{shown} cannot be read: {error}")),
    }
}

/// Computes the XXH3-128 hash of a file.
fn hash_of(path: &Path) -> std::io::Result<u128> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.digest128()),
            n => hash.update(&buffer[..n]),
        }
    }
}
