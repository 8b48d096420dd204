//! What a person means by a path: the file, or all archives in a folder.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{ArchiveError, head_of};
use crate::sources::sniff::{self, Kind};

/// Endings that archives have; a file of another ending is not looked at.
const ENDINGS: [&str; 3] = ["zip", "csv", "gz"];

/// Lists the archives that a path stands for: a file stands for itself, a folder for every `*.zip`,
/// `*.csv`, `*.gz` and every file without ending that is an archive by its content, also in the
/// folders below, sorted by name. Hidden files and what macOS leaves behind are skipped.
///
/// # Errors
///
/// [`ArchiveError`] for a path that is not there and for a folder without archives.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    let opening = |source| ArchiveError::Open {
        file: path.display().to_string(),
        source,
    };
    if !fs::metadata(path).map_err(opening)?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found).map_err(opening)?;
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
        // A link to a folder is not followed: it may lead back here.
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
    Ok(matches!(kind, Kind::Zip | Kind::Gzip | Kind::Table))
}
