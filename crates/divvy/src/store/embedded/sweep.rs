//! Removes files that are no part of the store: left by a process that was killed or failed, or
//! superseded.
//!
//! The catalog lists them ([`catalog::put_leftover`]): nothing else is removed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::lock::{ReadersLock, Staging};
use super::{catalog, catalog_failed, folder, index_path};
use crate::store::StoreError;

/// Sweeps the store. Only for the holder of the writer lock. What somebody reads at this moment,
/// or cannot be removed, is left for the next time.
pub(super) fn sweep(root: &Path, catalog: &mut Connection) -> Result<(), StoreError> {
    Staging::sweep(root)?;
    let leftovers = catalog::leftovers(catalog)?;
    if leftovers.is_empty() {
        return Ok(());
    }
    let Some(_none_reads) = ReadersLock::exclude(root)? else {
        return Ok(());
    };
    let gone: Vec<&String> = leftovers
        .iter()
        .filter(|path| {
            // A damaged catalog must not name files of others.
            folder::is_ours(Path::new(path))
                && remove(root, &root.join(path))
                && remove(root, &index_path(root, path))
        })
        .collect();
    // Else a power cut may bring back files that no list names any more.
    let paths: Vec<PathBuf> = (gone.iter())
        .flat_map(|path| [root.join(path), index_path(root, path)])
        .collect();
    folder::make_names_durable(root, paths.iter().map(PathBuf::as_path))?;
    let transaction = catalog::begin(catalog)?;
    for path in gone {
        catalog::delete_leftover(&transaction, path)?;
    }
    transaction
        .commit()
        .map_err(catalog_failed("write the catalog"))
}

/// Removes a file, and the folders that it leaves empty, up to the store's own. Returns whether it
/// is gone.
fn remove(root: &Path, path: &Path) -> bool {
    let is_gone = match std::fs::remove_file(path) {
        Ok(()) => true,
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    };
    let folders = path.ancestors().skip(1);
    for folder in folders.take_while(|folder| folder.parent() != Some(root)) {
        // Fails on a folder that is not empty, as it should.
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
    is_gone
}
