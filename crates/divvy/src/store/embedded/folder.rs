//! Which folders are stores, and how the files in them are named.
//!
//! A store may be opened in the folder where somebody keeps other things. So nothing is written
//! to a folder before it is known to be a store, or empty; and nothing is removed from it whose
//! name this program does not give.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use super::cannot;
use super::catalog::{self, FileRow, Tables};
use crate::store::{StoreError, StoreErrorKind};

pub(super) const CATALOG: &str = "catalog.db";
pub(super) const STAGING: &str = "staging";
pub(super) const TRIPS: &str = "trips";
pub(super) const DUPLICATES: &str = "duplicates";
pub(super) const INDEX: &str = "index";
pub(super) const WRITER_LOCK: &str = "writer.lock";
pub(super) const READERS_LOCK: &str = "readers.lock";

/// The file that says that a folder is a store.
pub(super) const MARKER: &str = "divvy-store.txt";

/// What [`MARKER`] holds. For people: the program looks at its name only.
const MARKER_TEXT: &str = "\
This folder is a store of Divvy Analyze. The program writes, replaces and removes files in it;
trips/**/*.parquet may be read by anything. Keep no other files here.
";

/// Everything that a store has at the top of its folder.
const NAMES: [&str; 11] = [
    CATALOG,
    "catalog.db-wal",
    "catalog.db-shm",
    "catalog.db-journal",
    TRIPS,
    DUPLICATES,
    INDEX,
    STAGING,
    WRITER_LOCK,
    READERS_LOCK,
    MARKER,
];

/// What a folder is, before anything is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A store can be made here: there is no folder, or an empty one, or what is left of a store
    /// whose making was interrupted.
    Free,
    /// There is a catalog of this program.
    Store,
}

/// Looks at a folder. Writes nothing, but takes back what an interrupted process wrote to the
/// catalog of a store.
///
/// # Errors
///
/// `NotAStore` where it holds other things and no catalog of this program, `Damaged` where it is a
/// store whose catalog is gone or damaged, `Unreachable` where it cannot be listed.
pub(super) fn inspect(root: &Path) -> Result<Standing, StoreError> {
    let catalog = root.join(CATALOG);
    let is_written = catalog.metadata().is_ok_and(|metadata| metadata.len() > 0);
    if is_written {
        let mut tables = catalog::tables_of(&catalog);
        if matches!(tables, Ok(Tables::Interrupted)) && root.join(MARKER).exists() {
            tables = catalog::tables_rolled_back(&catalog);
        }
        match tables {
            Ok(Tables::Ours) => return Ok(Standing::Store),
            Ok(Tables::None) => {}
            Err(error) if root.join(MARKER).exists() => return Err(error),
            Ok(Tables::Others | Tables::Interrupted) | Err(_) => {
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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Standing::Free),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(StoreError::new(
                StoreErrorKind::NotAStore,
                format!("{} is a file; a store is a folder", root.display()),
            ));
        }
        Err(error) => return Err(cannot("list", root, error)),
    };
    for entry in entries {
        let name = entry.map_err(|e| cannot("list", root, e))?.file_name();
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
                "{} has lost its {CATALOG}, which says what its files are: bring it back from a \
                 copy, or load the archives again into a new folder",
                root.display()
            ),
        ));
    }
    Ok(Standing::Free)
}

/// Tells whether the files of a store may be changed.
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

/// Tells whether a folder has files that only a store with a catalog can have.
fn holds_trips(root: &Path) -> Result<bool, StoreError> {
    let mut found = false;
    if root.join(TRIPS).is_dir() {
        walk(&root.join(TRIPS), &mut |path| {
            found |= path.strip_prefix(root).is_ok_and(is_ours);
        })?;
    }
    Ok(found)
}

/// Makes what there is not yet of a store's folder; the marker first, so that a store whose making
/// is interrupted is known for one.
pub(super) fn make(root: &Path) -> Result<(), StoreError> {
    if !root.exists() {
        make_folder(root)?;
        // The name of a relative path lies in the working folder.
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
        write().map_err(|e| cannot("write", &marker, e))?;
    }
    for folder in [TRIPS, DUPLICATES, INDEX, STAGING] {
        make_folder(&root.join(folder))?;
    }
    // Who may not write to the folder can lock this file, but not make it.
    let lock = root.join(READERS_LOCK);
    let mut options = std::fs::OpenOptions::new();
    let made = options.write(true).create(true).truncate(false).open(&lock);
    made.map(drop).map_err(|e| cannot("make", &lock, e))
}

pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(folder).map_err(|e| cannot("make", folder, e))
}

/// Makes durable that files have come to, or gone from, these paths: syncs the folders above each,
/// up to the store's own. Folders that are gone are passed over.
pub(super) fn make_names_durable<'a>(
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

/// Makes the names in a folder durable. A folder that is gone is passed over.
fn sync(folder: &Path) -> Result<(), StoreError> {
    // Windows cannot open a folder as a file, and needs no such thing.
    #[cfg(unix)]
    match std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(cannot("make durable", folder, e));
        }
        _ => {}
    }
    Ok(())
}

/// Where the id index of a trips file lies, below the store's folder.
pub(super) fn index_of(relative: &str) -> PathBuf {
    Path::new(INDEX).join(relative).with_extension("index")
}

/// Tells whether a path below the store's folder has the form of a trips file, a file of
/// duplicates or an id index:
/// `[index/](trips|duplicates)/SYSTEM/ARCHIVE-HASH/MEMBER.(parquet|index)`, where HASH is eight
/// hexadecimal digits.
pub(super) fn is_ours(relative: &Path) -> bool {
    let names: Option<Vec<&str>> = relative
        .components()
        .map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let Some(mut names) = names else { return false };
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

/// Lists the trips files and files of duplicates of our naming that are not among `files`, as
/// paths below the store's folder. An id index alone counts as its file.
pub(super) fn unnamed(root: &Path, files: &[FileRow]) -> Result<BTreeSet<String>, StoreError> {
    let named: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut unnamed = BTreeSet::new();
    for folder in [TRIPS, DUPLICATES, INDEX] {
        walk(&root.join(folder), &mut |path| {
            let Ok(relative) = path.strip_prefix(root) else {
                return;
            };
            if !is_ours(relative) {
                return;
            }
            let file = match relative.strip_prefix(INDEX) {
                Ok(indexed) => indexed.with_extension("parquet"),
                Err(_) => relative.to_path_buf(),
            };
            // Names of ours are UTF-8, and have slashes in the catalog.
            let file = file.to_string_lossy().replace('\\', "/");
            if !named.contains(file.as_str()) {
                unnamed.insert(file);
            }
        })?;
    }
    Ok(unnamed)
}

/// Visits every file below a folder. Removes nothing; links are files, and not followed.
pub(super) fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(folder).map_err(|e| cannot("list", folder, e))? {
        let entry = entry.map_err(|e| cannot("list", folder, e))?;
        let kind = entry.file_type().map_err(|e| cannot("list", folder, e))?;
        if kind.is_dir() {
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
    fn only_files_of_the_stores_form_are_its_own() {
        for ours in [
            "trips/divvy/202004-divvy-tripdata-0a1b2c3d/202004-divvy-tripdata.parquet",
            "duplicates/divvy/a-0a1b2c3d/b-r2.parquet",
            "index/trips/divvy/a-0a1b2c3d/b.index",
            "index/duplicates/divvy/a-0a1b2c3d/b.index",
        ] {
            assert!(is_ours(Path::new(ours)), "{ours}");
        }
        for foreign in [
            "trips/202004-divvy-tripdata.zip",
            "trips/divvy/2020/04.parquet",
            "trips/divvy/a-0a1b2c3d/notes.txt",
            "trips/divvy/a-0A1B2C3D/b.parquet",
            "trips/divvy/a-0a1b2c3d/c/b.parquet",
            "index/divvy/a-0a1b2c3d/b.index",
            "index/trips/divvy/a-0a1b2c3d/b.parquet",
            "other/divvy/a-0a1b2c3d/b.parquet",
            "trips/../trips/a-0a1b2c3d/b.parquet",
        ] {
            assert!(!is_ours(Path::new(foreign)), "{foreign}");
        }
    }
}
