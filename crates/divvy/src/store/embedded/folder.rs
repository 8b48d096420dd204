//! Which folders are stores, and how the files in them are named.
//!
//! A user may name a folder that holds other files. Nothing is written to a folder before it is
//! known to be a store or empty, and only files with names that this program gives are removed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use jiff::civil::Date;

use super::catalog::{self, DatabaseContent, FileRow};
use super::error::io_error;
use crate::model::SystemId;
use crate::store::{StoreError, StoreErrorKind};

pub(super) const CATALOG: &str = "catalog.db";
pub(super) const STAGING: &str = "staging";
pub(super) const TRIPS: &str = "trips";
pub(super) const DUPLICATES: &str = "duplicates";
pub(super) const INDEX: &str = "index";
pub(super) const HISTORY: &str = "history";
pub(super) const FORECASTS: &str = "forecasts";
pub(super) const PLACES: &str = "places.toml";
/// The systems of the user, which the program only reads.
const SYSTEMS: &str = "systems.toml";
/// The folder of alarms, which a watch keeps there and the store does not use.
const ALARMS: &str = "alarms";
pub(super) const WRITER_LOCK: &str = "writer.lock";
pub(super) const READERS_LOCK: &str = "readers.lock";

/// The marker file, which identifies a folder as a store.
pub(super) const MARKER: &str = "divvy-store.txt";

/// The text of [`MARKER`], for people: the program reads only its name.
const MARKER_TEXT: &str = "\
This folder is a store of Divvy Analyze. The program writes, replaces and removes files in it;
trips/**/*.parquet and history/**/*.parquet may be read by anything. Keep no other files here.
";

/// All names at the top level of a store.
const NAMES: [&str; 16] = [
    CATALOG,
    "catalog.db-wal",
    "catalog.db-shm",
    "catalog.db-journal",
    TRIPS,
    DUPLICATES,
    INDEX,
    HISTORY,
    FORECASTS,
    STAGING,
    WRITER_LOCK,
    READERS_LOCK,
    PLACES,
    SYSTEMS,
    ALARMS,
    MARKER,
];

/// What a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FolderContent {
    /// No store, but one can be created: there is no folder, an empty one, or what an interrupted
    /// creation left.
    Vacant,
    /// A store with a catalog.
    Store,
}

/// Finds out what a folder holds. Writes nothing, except that it rolls back what an interrupted
/// process wrote to the catalog of a store.
///
/// # Errors
///
/// `NotAStore` if it holds other files and no catalog, `Damaged` if it is a store whose catalog is
/// missing or damaged, `Unreachable` if it cannot be listed.
pub(super) fn inspect(root: &Path) -> Result<FolderContent, StoreError> {
    let catalog = root.join(CATALOG);
    let is_written = catalog.metadata().is_ok_and(|metadata| metadata.len() > 0);
    if is_written {
        let mut content = catalog::identify(&catalog);
        if matches!(content, Ok(DatabaseContent::Interrupted)) && root.join(MARKER).exists() {
            content = catalog::roll_back_and_identify(&catalog);
        }
        match content {
            Ok(DatabaseContent::Catalog) => return Ok(FolderContent::Store),
            Ok(DatabaseContent::Empty) => {}
            Err(error) if root.join(MARKER).exists() => return Err(error),
            Ok(DatabaseContent::Other | DatabaseContent::Interrupted) | Err(_) => {
                let message = format!(
                    "{} is no store: its {CATALOG} is no catalog of divvy",
                    root.display()
                );
                return Err(StoreError::new(StoreErrorKind::NotAStore, message));
            }
        }
    }
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound && root.is_symlink() => {
            return Err(StoreError::new(
                StoreErrorKind::NotAStore,
                format!(
                    "{} is a link to a folder that does not exist",
                    root.display()
                ),
            ));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FolderContent::Vacant),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(StoreError::new(
                StoreErrorKind::NotAStore,
                format!("{} is a file; a store is a folder", root.display()),
            ));
        }
        Err(error) => return Err(io_error("list", root, error)),
    };
    for entry in entries {
        let name = entry.map_err(|e| io_error("list", root, e))?.file_name();
        if !NAMES.iter().any(|known| name == *known) {
            return Err(StoreError::new(
                StoreErrorKind::NotAStore,
                format!(
                    "{} is no store: it holds {}, and no catalog of divvy; a store needs a new \
                     or an empty folder",
                    root.display(),
                    Path::new(&name).display()
                ),
            ));
        }
    }
    if holds_trips(root)? {
        return Err(StoreError::new(
            StoreErrorKind::Damaged,
            format!(
                "{} has lost its {CATALOG}, which lists its files: bring it back from a \
                 copy, or load the archives again into a new folder",
                root.display()
            ),
        ));
    }
    Ok(FolderContent::Vacant)
}

/// Returns whether the files of a store may be changed.
pub(super) fn is_writable(root: &Path) -> bool {
    let is_refused = |name: &str, may_create: bool| {
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(may_create).truncate(false);
        let opened = options.open(root.join(name));
        opened.is_err_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            )
        })
    };
    !is_refused(WRITER_LOCK, true) && !is_refused(CATALOG, false)
}

/// Returns whether a folder has trips files, which only a store with a catalog can have.
fn holds_trips(root: &Path) -> Result<bool, StoreError> {
    let mut found = false;
    if root.join(TRIPS).is_dir() {
        walk(&root.join(TRIPS), &mut |path| {
            found |= path.strip_prefix(root).is_ok_and(is_store_file);
        })?;
    }
    Ok(found)
}

/// Creates what is missing of a store's folder. The marker file comes first: it identifies a store
/// whose creation is interrupted.
pub(super) fn create(root: &Path) -> Result<(), StoreError> {
    if !root.exists() {
        create_folder(root)?;
        // The parent of a relative path of one component is the working folder.
        let above = root.parent().filter(|above| !above.as_os_str().is_empty());
        sync(above.unwrap_or(Path::new(".")))?;
    }
    let marker = root.join(MARKER);
    if !marker.exists() {
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create(&marker)?;
            file.write_all(MARKER_TEXT.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| io_error("write", &marker, e))?;
    }
    for folder in [TRIPS, DUPLICATES, INDEX, STAGING] {
        create_folder(&root.join(folder))?;
    }
    // A process without write permission can lock this file but not create it.
    let lock = root.join(READERS_LOCK);
    let mut options = std::fs::OpenOptions::new();
    let created = options.write(true).create(true).truncate(false).open(&lock);
    created.map(drop).map_err(|e| io_error("make", &lock, e))
}

/// Creates a folder and its parents, unless they exist.
pub(super) fn create_folder(folder: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(folder).map_err(|e| io_error("make", folder, e))
}

/// Makes durable that files were created or removed at these paths: syncs all parent folders up to
/// the store's own. Folders that do not exist are skipped.
pub(super) fn sync_names<'a>(
    root: &Path,
    paths: impl IntoIterator<Item = &'a Path>,
) -> Result<(), StoreError> {
    let mut synced = BTreeSet::new();
    for path in paths {
        let above = path.ancestors().skip(1);
        for folder in above.take_while(|folder| folder.starts_with(root)) {
            if !synced.insert(folder) {
                break;
            }
            sync(folder)?;
        }
    }
    Ok(())
}

/// Makes the names in a folder durable. A folder that does not exist is skipped.
fn sync(folder: &Path) -> Result<(), StoreError> {
    // Windows cannot open a folder as a file, and makes names durable without it.
    #[cfg(unix)]
    match std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(io_error("make durable", folder, e));
        }
        _ => {}
    }
    Ok(())
}

/// Returns the path of a trips file's id index. `relative` is the path of the trips file relative
/// to the store's folder.
pub(super) fn index_path(root: &Path, relative: &str) -> PathBuf {
    root.join(INDEX).join(relative).with_extension("index")
}

/// Returns whether a path relative to the store's folder has the form of a trips file, a duplicates
/// file or an id index: `[index/](trips|duplicates)/SYSTEM/ARCHIVE-HASH/MEMBER.(parquet|index)`,
/// where HASH is eight hexadecimal digits; or that of a part of the history ([`is_history_part`]).
pub(super) fn is_store_file(relative: &Path) -> bool {
    let names: Option<Vec<&str>> = relative
        .components()
        .map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let Some(mut names) = names else { return false };
    if let [HISTORY, _system, file] = names[..] {
        return is_history_part(file);
    }
    let extension = if names.first() == Some(&INDEX) {
        names.remove(0);
        "index"
    } else {
        "parquet"
    };
    let [kind, _system, archive, file] = names[..] else {
        return false;
    };
    let has_hash = archive.rsplit_once('-').is_some_and(|(_, hash)| {
        hash.len() == 8 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    (kind == TRIPS || kind == DUPLICATES)
        && has_hash
        && Path::new(file).extension() == Some(OsStr::new(extension))
}

/// Returns the path of a part of the history, relative to the store's folder. `snapshots` are the numbers of
/// the first and the last one with a change in it, `date` is the day of the first (UTC).
pub(super) fn history_part(system: &SystemId, date: Date, snapshots: (u64, u64)) -> String {
    let (first, last) = snapshots;
    format!("{HISTORY}/{system}/{date}-{first}-{last}.parquet")
}

/// Returns whether a name is that of a part of the history: `DATE-FIRST-LAST.parquet`, where FIRST and
/// LAST are numbers of snapshots.
fn is_history_part(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".parquet") else {
        return false;
    };
    let parts: Vec<&str> = stem.split('-').collect();
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 5 && parts.iter().all(is_number)
}

/// Lists the existing trips and duplicates files that are not among `files`, relative to the
/// store's folder. An id index without its trips file counts as the trips file.
pub(super) fn unnamed(root: &Path, files: &[FileRow]) -> Result<BTreeSet<String>, StoreError> {
    let named: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut unnamed = BTreeSet::new();
    for folder in [TRIPS, DUPLICATES, INDEX] {
        walk(&root.join(folder), &mut |path| {
            let Ok(relative) = path.strip_prefix(root) else {
                return;
            };
            if !is_store_file(relative) {
                return;
            }
            let file = match relative.strip_prefix(INDEX) {
                Ok(indexed) => indexed.with_extension("parquet"),
                Err(_) => relative.to_path_buf(),
            };
            // Names that this program gives are UTF-8. The catalog has them with slashes.
            let file = file.to_string_lossy().replace('\\', "/");
            if !named.contains(file.as_str()) {
                unnamed.insert(file);
            }
        })?;
    }
    Ok(unnamed)
}

/// Lists the existing parts of the history that are not among `named`, relative to the store's folder.
pub(super) fn unnamed_history(
    root: &Path,
    named: &BTreeSet<String>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut unnamed = BTreeSet::new();
    walk(&root.join(HISTORY), &mut |path| {
        let Ok(relative) = path.strip_prefix(root) else {
            return;
        };
        let part = relative.to_string_lossy().replace('\\', "/");
        if is_store_file(relative) && !named.contains(&part) {
            unnamed.insert(part);
        }
    })?;
    Ok(unnamed)
}

/// Visits every file below a folder, which need not exist. Links are visited as files, and not
/// followed.
pub(super) fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) -> Result<(), StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| io_error("list", folder, e))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| io_error("list", folder, e))?;
        let file_type = entry.file_type().map_err(|e| io_error("list", folder, e))?;
        if file_type.is_dir() {
            walk(&entry.path(), visit)?;
        } else {
            visit(&entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_files_are_recognised_by_their_names() {
        for name in [
            "trips/divvy/202004-divvy-tripdata-0a1b2c3d/202004-divvy-tripdata.parquet",
            "duplicates/divvy/a-0a1b2c3d/b-r2.parquet",
            "index/trips/divvy/a-0a1b2c3d/b.index",
            "index/duplicates/divvy/a-0a1b2c3d/b.index",
            "history/divvy/2024-06-30-12-1440.parquet",
        ] {
            assert!(is_store_file(Path::new(name)), "{name}");
        }
        for name in [
            "trips/202004-divvy-tripdata.zip",
            "trips/divvy/2020/04.parquet",
            "trips/divvy/a-0a1b2c3d/notes.txt",
            "trips/divvy/a-0A1B2C3D/b.parquet",
            "trips/divvy/a-0a1b2c3d/c/b.parquet",
            "index/divvy/a-0a1b2c3d/b.index",
            "index/trips/divvy/a-0a1b2c3d/b.parquet",
            "other/divvy/a-0a1b2c3d/b.parquet",
            "history/divvy/2024-06-30-12.parquet",
            "history/divvy/2024-06-30-12-a.parquet",
            "history/2024-06-30-12-1440.parquet",
            "trips/../trips/a-0a1b2c3d/b.parquet",
        ] {
            assert!(!is_store_file(Path::new(name)), "{name}");
        }
    }
}
