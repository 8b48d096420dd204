//! Removes files that do not belong to the store: superseded ones, and those that a killed or
//! failed process left.
//!
//! Only files in the catalog's list of leftovers ([`catalog::put_leftover`]) are removed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::folder::index_path;
use super::lock::{ReadersLock, WriterLock};
use super::staging::Staging;
use super::{catalog, folder};
use crate::store::StoreError;

/// Sweeps a store that has leftovers, unless another process is writing: that one sweeps it.
pub(super) fn sweep_unless_locked(root: &Path, catalog: &mut Connection) -> Result<(), StoreError> {
    if !catalog::leftovers(catalog)?.is_empty()
        && let Some(_lock) = WriterLock::attempt(root)?
    {
        sweep(root, catalog)?;
    }
    Ok(())
}

/// Sweeps the store. The caller holds the writer lock.
///
/// Files stay leftovers while a process reads the store, or if they cannot be removed.
pub(super) fn sweep(root: &Path, catalog: &mut Connection) -> Result<(), StoreError> {
    Staging::sweep(root)?;
    let leftovers = catalog::leftovers(catalog)?;
    if leftovers.is_empty() {
        return Ok(());
    }
    let Some(_no_readers) = ReadersLock::exclude(root)? else {
        return Ok(());
    };
    let removed: Vec<&String> = leftovers
        .iter()
        .filter(|path| {
            // A damaged catalog could name files that are not the store's.
            folder::is_store_file(Path::new(path))
                && remove(root, &root.join(path))
                && remove(root, &index_path(root, path))
        })
        .collect();
    // Without this a power cut may restore files that are no leftovers any more.
    let paths: Vec<PathBuf> = (removed.iter())
        .flat_map(|path| [root.join(path), index_path(root, path)])
        .collect();
    folder::sync_names(root, paths.iter().map(PathBuf::as_path))?;
    catalog::in_transaction(catalog, |catalog| {
        let mut removed = removed.into_iter();
        removed.try_for_each(|path| catalog::delete_leftover(catalog, path))
    })
}

/// Removes a file and the folders that this leaves empty, up to the store's own. Returns whether
/// the file does not exist any more.
fn remove(root: &Path, path: &Path) -> bool {
    let is_removed = match std::fs::remove_file(path) {
        Ok(()) => true,
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    };
    let folders = path.ancestors().skip(1);
    for folder in folders.take_while(|folder| folder.parent() != Some(root)) {
        // Fails on a folder that is not empty.
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
    is_removed
}
