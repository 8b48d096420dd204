//! Writes trips files of older layouts again, in today's.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::catalog::{self, FileRow};
use super::commit::{free_path, move_into_place};
use super::error::damaged;
use super::folder::index_path;
use super::index::Index;
use super::staging::Staging;
use super::sweep::sweep;
use super::trips_file::{Finished, TripsFile, TripsWriter};
use super::verify;
use crate::model::SystemId;
use crate::store::{StoreError, StoreErrorKind};

/// What [`rewrite_old_files`] did.
#[derive(Default)]
pub(super) struct Rewritten {
    /// How many files it wrote again.
    pub(super) files: usize,
    /// Why files were left as they are, one sentence each.
    pub(super) left: Vec<String>,
}

/// Writes all trips files and duplicates files of older layouts again. Files that cannot be read stay
/// as they are. The caller holds the writer lock.
///
/// File by file, a new one is written, and a transaction names it in place of the old one: a process
/// killed in between leaves a store that can be used, and the next call goes on.
///
/// # Errors
///
/// If a new file or the catalog cannot be written.
pub(super) fn rewrite_old_files(
    root: &Path,
    connection: &mut Connection,
) -> Result<Rewritten, StoreError> {
    sweep(root, connection)?;
    let mut rewritten = Rewritten::default();
    let old = match OldFiles::find(root, connection) {
        // Rows of the catalog are damaged.
        Err(error) if error.kind == StoreErrorKind::Damaged => {
            rewritten.left.push(error.to_string());
            return Ok(rewritten);
        }
        old => old?,
    };
    rewritten.left = old.unreadable;
    if old.files.is_empty() {
        return Ok(rewritten);
    }
    let staging = Staging::create(root)?;
    for (system, file) in &old.files {
        let faults = verify::faults(root, file);
        if !faults.is_empty() {
            rewritten.left.extend(faults);
            continue;
        }
        match write_again(root, &staging, system, file) {
            Err(error) if error.kind == StoreErrorKind::Damaged => {
                rewritten.left.push(error.to_string());
            }
            new => {
                publish(root, connection, file, &new?)?;
                rewritten.files += 1;
            }
        }
    }
    Ok(rewritten)
}

/// The files of older layouts in a store.
pub(super) struct OldFiles {
    pub(super) files: Vec<(SystemId, FileRow)>,
    /// Why the layouts of other files are not known, one sentence each.
    unreadable: Vec<String>,
}

impl OldFiles {
    /// Opens each file that the catalog names.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub(super) fn find(root: &Path, catalog: &Connection) -> Result<Self, StoreError> {
        let mut found = Self {
            files: Vec::new(),
            unreadable: Vec::new(),
        };
        for system in catalog::systems(catalog)? {
            for file in catalog::files(catalog, Some(&system.id))? {
                match TripsFile::open(&root.join(&file.path)) {
                    Ok(trips) if trips.has_current_layout() => {}
                    Ok(_) => found.files.push((system.id.clone(), file)),
                    Err(error) => found.unreadable.push(error.to_string()),
                }
            }
        }
        Ok(found)
    }
}

/// A trips file and its index in staging.
struct NewFile {
    path: PathBuf,
    finished: Finished,
}

fn write_again(
    root: &Path,
    staging: &Staging,
    system: &SystemId,
    file: &FileRow,
) -> Result<NewFile, StoreError> {
    let old = root.join(&file.path);
    let trips = TripsFile::open(&old)?;
    let index = Index::open(&index_path(root, &file.path))?;
    let path = staging.path.join(format!("again-{}.parquet", file.id));
    let mut writer = TripsWriter::create(path.clone(), system)?;
    for (group, rows) in trips.groups().into_iter().enumerate() {
        let mut batch = trips.read(group)?;
        batch.line = index.lines(rows)?;
        writer.write(&batch)?;
    }
    let finished = writer.finish()?;
    if finished.rows == file.rows {
        return Ok(NewFile { path, finished });
    }
    let message = format!(
        "it holds {} rows, and the ledger has {}",
        finished.rows, file.rows
    );
    Err(damaged(&old, std::io::Error::other(message)))
}

/// Puts a new file in the place of an old one.
fn publish(
    root: &Path,
    connection: &mut Connection,
    old: &FileRow,
    new: &NewFile,
) -> Result<(), StoreError> {
    let named = catalog::files(connection, None)?;
    let is_free = |path: &str| {
        !root.join(path).exists()
            && !index_path(root, path).exists()
            && named.iter().all(|file| file.path != path)
    };
    let (folder, name) = old.path.rsplit_once('/').unwrap_or_default();
    let row = FileRow {
        path: free_path(folder, member_of(name), is_free),
        keys: new.finished.keys.bounds,
        hash: Some(new.finished.hash),
        index_hash: Some(new.finished.index_hash),
        ..old.clone()
    };
    let moves = [
        (
            new.path.with_extension("index"),
            index_path(root, &row.path),
        ),
        (new.path.clone(), root.join(&row.path)),
    ];
    catalog::in_transaction(connection, |catalog| {
        catalog::put_leftover(catalog, &row.path)
    })?;
    let published = catalog::in_transaction(connection, |catalog| {
        catalog::replace_file(catalog, &row)?;
        catalog::put_leftover(catalog, &old.path)?;
        move_into_place(root, &moves)
    });
    // Without the new file where that failed, else without the old one.
    let swept = sweep(root, connection);
    published.and(swept)
}

/// Returns the name of the member in the name of its file: without extension and number.
fn member_of(file_name: &str) -> &str {
    let name = file_name.strip_suffix(".parquet").unwrap_or(file_name);
    match name.rsplit_once("-r") {
        Some((member, number)) if number.parse::<u32>().is_ok() => member,
        _ => name,
    }
}
