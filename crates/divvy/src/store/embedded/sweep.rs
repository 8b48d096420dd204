//! Removes what no row of the catalog names: left by a process that was killed.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::lock::Staging;
use super::{cannot, catalog, index_path};
use crate::store::StoreError;

/// Sweeps the store. Only for the holder of the writer lock.
pub(super) fn sweep(root: &Path, catalog: &Connection) -> Result<(), StoreError> {
    Staging::sweep(root)?;
    let files = catalog::files(catalog, None)?;
    let mut named = BTreeSet::new();
    for file in &files {
        named.insert(root.join(&file.path));
        named.insert(index_path(root, &file.path));
    }
    for folder in ["trips", "duplicates", "index"] {
        walk(&root.join(folder), &mut |path| {
            if !named.contains(path) {
                // What stays behind is swept the next time.
                let _ = std::fs::remove_file(path);
            }
        })?;
    }
    Ok(())
}

/// Removes a superseded file and its index. What stays behind is swept the next time.
pub(super) fn remove(root: &Path, relative: &str) {
    let _ = std::fs::remove_file(root.join(relative));
    let _ = std::fs::remove_file(index_path(root, relative));
}

/// Visits every file below a folder, and removes folders that are left empty.
pub(super) fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(folder).map_err(|e| cannot("list", folder, e))? {
        let entry = entry.map_err(|e| cannot("list", folder, e))?;
        let kind = entry.file_type().map_err(|e| cannot("list", folder, e))?;
        if kind.is_dir() {
            walk(&entry.path(), visit)?;
            // Fails on a folder that is not empty, as it should.
            let _ = std::fs::remove_dir(entry.path());
        } else {
            visit(&entry.path());
        }
    }
    Ok(())
}
