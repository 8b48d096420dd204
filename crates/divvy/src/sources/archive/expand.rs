//! Expands a path to archives: a file, or all archives in a folder.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{ArchiveError, head_of};
use crate::sources::sniff::{self, FileKind};

/// The endings of archives. Files of other endings are skipped.
const ENDINGS: [&str; 3] = ["zip", "csv", "gz"];

/// Lists the archives of a path. A file is one archive. Of a folder and the folders below it, these
/// are every `*.zip`, `*.csv` and `*.gz`, and every file without ending that is an archive by its
/// content, sorted by name. Hidden files and the leftovers of macOS are skipped.
///
/// # Errors
///
/// [`ArchiveError`] for a path that does not exist and for a folder without archives.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let open_error = |source| ArchiveError::Open {
        file: path.display().to_string(),
        source,
    };
    if !fs::metadata(path).map_err(open_error)?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found).map_err(open_error)?;
    if found.is_empty() {
        return Err(ArchiveError::NoArchives {
            folder: path.display().to_string(),
        });
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<DirEntry> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        let path = entry.path();
        // Links to folders are not followed, since they may form a circle.
        if entry.file_type()?.is_dir() {
            collect(&path, found)?;
        } else if path.is_file() && may_be_archive(&path)? {
            found.push(path);
        }
    }
    Ok(())
}

fn may_be_archive(path: &Path) -> io::Result<bool> {
    if let Some(ending) = path.extension() {
        return Ok(ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known)));
    }
    let kind = sniff::sniff(&head_of(File::open(path)?)?);
    Ok(matches!(
        kind,
        FileKind::Zip | FileKind::Gzip | FileKind::Table
    ))
}
