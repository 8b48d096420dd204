//! Compares the files of the store with what the catalog says of them.

use std::path::Path;

use super::catalog::FileRow;
use super::hashed_file::hash_of;
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
    if !path.exists() {
        return Some(format!("{shown} is missing"));
    }
    match hash_of(path) {
        Ok(found) if expected.is_none_or(|expected| found == expected) => None,
        Ok(_) => Some(format!("{shown} is damaged: it is not what was written")),
        Err(error) => Some(error.to_string()),
    }
}
