//! Removes what no row of the catalog names: left by a process that was killed.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::lock::Staging;
use super::{catalog, folder, index_path};
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
    for folder in [folder::TRIPS, folder::DUPLICATES, folder::INDEX] {
        folder::walk(&root.join(folder), &mut |path| {
            let is_ours = path.strip_prefix(root).is_ok_and(folder::is_ours);
            if is_ours && !named.contains(path) {
                remove_file(root, path);
            }
        })?;
    }
    Ok(())
}

/// Removes a file, and the folders that it leaves empty, up to the store's own. What stays behind
/// is swept the next time.
fn remove_file(root: &Path, path: &Path) {
    let _ = std::fs::remove_file(path);
    let folders = path.ancestors().skip(1);
    for folder in folders.take_while(|folder| folder.parent() != Some(root)) {
        // Fails on a folder that is not empty, as it should.
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

/// Removes a superseded file and its index.
pub(super) fn remove(root: &Path, relative: &str) {
    remove_file(root, &root.join(relative));
    remove_file(root, &index_path(root, relative));
}
