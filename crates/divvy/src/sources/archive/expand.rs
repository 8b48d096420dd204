//! Expands a path to archives: a file, or all archives in a folder.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};

use super::zip_directory::is_readme;
use super::{ArchiveError, file_name, head_of};
use crate::issue::Skipped;
use crate::sources::sniff::{self, FileKind, Unsupported};
use crate::sources::text::Encoding;

/// The endings of archives.
const ENDINGS: [&str; 3] = ["zip", "csv", "gz"];

/// The endings of texts in which people describe data, with tables in them.
const PROSE: [&str; 2] = ["md", "rst"];

/// A file to which a path was expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: FoundKind,
}

/// What a file is by its name and its first bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum FoundKind {
    /// An archive by its name, or the file that the user named.
    Archive,
    /// A table or a zip of another name: an archive if its header is known.
    Perhaps,
    /// It may be a table and cannot be read.
    Skipped(Skipped),
}

/// Lists the files of a path that may be archives. A file is one archive. Of a folder and the folders
/// below it, these are every `*.zip`, `*.csv` and `*.gz`, and other files that may hold tables by their
/// first bytes, sorted by name. Hidden files and the leftovers of macOS are passed over.
///
/// # Errors
///
/// [`ArchiveError`] for a path that does not exist and for a folder without archives.
pub fn expand(path: &Path) -> Result<Vec<Found>, ArchiveError> {
    let open_error = |source| ArchiveError::Open {
        file: path.display().to_string(),
        source,
    };
    if !fs::metadata(path).map_err(open_error)?.is_dir() {
        return Ok(vec![Found {
            path: path.into(),
            kind: FoundKind::Archive,
        }]);
    }
    let mut found = Vec::new();
    collect(path, &mut found).map_err(open_error)?;
    let skipped = |found: &Found| match &found.kind {
        FoundKind::Skipped(skipped) => Some(format!("; {skipped}")),
        FoundKind::Archive | FoundKind::Perhaps => None,
    };
    if found.iter().all(|found| skipped(found).is_some()) {
        return Err(ArchiveError::NoArchives {
            folder: path.display().to_string(),
            skipped: found.iter().filter_map(skipped).collect(),
        });
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<Found>) -> io::Result<()> {
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
        } else if path.is_file()
            && let Some(kind) = kind_of(&path)?
        {
            found.push(Found { path, kind });
        }
    }
    Ok(())
}

/// Returns what a file of a folder is. `None` for one that holds no table.
fn kind_of(path: &Path) -> io::Result<Option<FoundKind>> {
    let name = file_name(path);
    let ending = path.extension().unwrap_or_default();
    let is_one_of = |endings: &[&str]| {
        endings
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    };
    if is_one_of(&ENDINGS) {
        return Ok(Some(FoundKind::Archive));
    }
    if is_one_of(&PROSE) || is_readme(&name) && !sniff::is_named_as_table(&name) {
        return Ok(None);
    }
    let head = head_of(File::open(path)?)?;
    let is_regular = || sniff::is_regular(&Encoding::of(&head).decode_head(&head));
    let skipped = |kind: &Unsupported| {
        FoundKind::Skipped(Skipped {
            member: path.display().to_string(),
            why: kind.what.into(),
            what_to_do: kind.advice.into(),
        })
    };
    Ok(match sniff::sniff(&head) {
        FileKind::Zip | FileKind::Gzip => Some(FoundKind::Perhaps),
        FileKind::Table if sniff::is_named_as_table(&name) || is_regular() => {
            Some(FoundKind::Perhaps)
        }
        FileKind::Unsupported(kind) if kind.may_be_table || kind.is_table_by_name(&name) => {
            Some(skipped(kind))
        }
        FileKind::Text if sniff::is_named_as_table(&name) => Some(skipped(&sniff::NO_COLUMNS)),
        FileKind::Table | FileKind::Text | FileKind::Unsupported(_) => None,
    })
}
