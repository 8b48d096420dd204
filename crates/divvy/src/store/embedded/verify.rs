//! Compares the files of the store with the hashes in the catalog.

use std::path::Path;

use super::catalog::{FileRow, PartRow};
use super::folder::index_path;
use super::hashed_file::hash_of;
use crate::history::part_file;

/// Lists what is wrong with a trips file and its id index, one sentence each: missing, unreadable,
/// or of another hash than when they were written. Reads both whole.
pub(super) fn faults(root: &Path, file: &FileRow) -> Vec<String> {
    let files = [
        (root.join(&file.path), file.hash),
        (index_path(root, &file.path), file.index_hash),
    ];
    files
        .iter()
        .filter_map(|(path, hash)| fault(path, *hash))
        .collect()
}

/// Returns what is wrong with a file. If `expected` is `None` it only has to exist and be readable.
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

/// Returns what is wrong with a part of the history. Reads it whole.
pub(super) fn part_fault(root: &Path, part: &PartRow) -> Option<String> {
    let path = root.join(&part.path);
    fault(&path, Some(part.hash)).or_else(|| match part_file::rows(&path) {
        Ok(rows) if rows == part.rows => None,
        Ok(rows) => Some(format!(
            "{} has {rows} rows, and the ledger has {}",
            path.display(),
            part.rows
        )),
        Err(error) => Some(format!("{} cannot be read: {error}", path.display())),
    })
}
